//! Slack incoming webhooks as Slack judges them: bytes in, `ok` or one of Slack's short error words
//! out (docs.slack.dev, "Sending messages using incoming webhooks", and the 2016 change of its
//! status codes). Alertmanager shows that word to the person, so it must be the true one.

use std::borrow::Cow;

use reqwest::Url;
use serde_json::{Map, Value};

use super::facts::Facts;
use super::message::Status;
use super::redact::{self, Token};

/// Slack does not publish a limit of its own for webhooks; a sender with more is broken.
pub const MAX_BODY: usize = 1 << 20;
const MAX_ATTACHMENTS: usize = 100;
const MAX_BLOCKS: usize = 50;

/// The errors that Slack answers, as plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlackError {
    InvalidPayload,
    NoText,
    TooManyAttachments,
    InvalidAttachments,
    InvalidBlocks,
    InvalidBlocksFormat,
    InvalidToken,
    ActionProhibited,
    NoService,
    NoTeam,
    ChannelNotFound,
    ChannelIsArchived,
    RateLimited,
    TooLarge,
}

impl SlackError {
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidPayload
            | Self::NoText
            | Self::TooManyAttachments
            | Self::InvalidAttachments
            | Self::InvalidBlocks
            | Self::InvalidBlocksFormat => 400,
            Self::InvalidToken | Self::ActionProhibited => 403,
            Self::NoService | Self::NoTeam | Self::ChannelNotFound => 404,
            Self::ChannelIsArchived => 410,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
        }
    }

    /// The body of the answer.
    pub fn word(self) -> &'static str {
        match self {
            Self::InvalidPayload => "invalid_payload",
            Self::NoText => "no_text",
            Self::TooManyAttachments => "too_many_attachments",
            Self::InvalidAttachments => "invalid_attachments",
            Self::InvalidBlocks => "invalid_blocks",
            Self::InvalidBlocksFormat => "invalid_blocks_format",
            Self::InvalidToken => "invalid_token",
            Self::ActionProhibited => "action_prohibited",
            Self::NoService => "no_service",
            Self::NoTeam => "no_team",
            Self::ChannelNotFound => "channel_not_found",
            Self::ChannelIsArchived => "channel_is_archived",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "request_too_large",
        }
    }
}

/// The three parts of `/services/T…/B…/<token>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub workspace: String,
    pub service: String,
    token: Token,
}

impl Hook {
    /// From the path behind `/services/`. A hook that Slack could not have issued is an
    /// `invalid_token` where a part has the wrong form, and a `no_service` where one is missing.
    pub fn parse(path: &str) -> Result<Self, SlackError> {
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let [workspace, service, token] = parts.as_slice() else {
            return Err(SlackError::NoService);
        };
        let id = |text: &str, first: char| {
            text.strip_prefix(first).is_some_and(|rest| {
                !rest.is_empty()
                    && rest
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
            })
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !id(workspace, 'T') || !id(service, 'B') || token.is_empty() || !token.chars().all(plain)
        {
            return Err(SlackError::InvalidToken);
        }
        Ok(Self {
            workspace: (*workspace).to_owned(),
            service: (*service).to_owned(),
            token: Token::new(token),
        })
    }

    /// Where a message went, as it is kept: `/services/T0000LOCAL/BPAYMENT/…abcd`.
    pub fn endpoint_text(&self) -> String {
        format!(
            "/services/{}/{}/{}",
            self.workspace, self.service, self.token
        )
    }

    /// Tells hooks apart, for rate limits. Not for keeping.
    pub fn key(&self) -> String {
        format!(
            "{}/{}/{}",
            self.workspace,
            self.service,
            self.token.expose()
        )
    }

    /// The local stack names a hook after its team.
    fn local_team(&self) -> Option<String> {
        (self.workspace == "T0000LOCAL").then(|| self.service[1..].to_lowercase())
    }
}

/// What was read out of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub facts: Facts,
    /// The message without its secrets.
    pub raw: Value,
    pub refusal: Option<SlackError>,
}

/// Judges one request body sent to `hook`.
pub fn judge(hook: &Hook, content_type: Option<&str>, body: &[u8]) -> Judged {
    let secrets = [hook.token.expose()];
    let mut raw = match parse(content_type, body) {
        Some(message @ Value::Object(_)) => message,
        other => {
            let raw = match other {
                Some(mut value) => {
                    redact::json(&mut value, &secrets);
                    value
                }
                None => Value::String(redact::text(&String::from_utf8_lossy(body))),
            };
            let refusal = Some(SlackError::InvalidPayload);
            return Judged {
                facts: Facts::default(),
                raw,
                refusal,
            };
        }
    };
    redact::json(&mut raw, &secrets);
    let empty = Map::new();
    let message = raw.as_object().unwrap_or(&empty);
    let refusal = check(message).err();
    let mut facts = facts(message);
    if facts.team.is_none() {
        facts.team = hook.local_team();
    }
    facts.bound();
    Judged {
        facts,
        raw,
        refusal,
    }
}

fn parse(content_type: Option<&str>, body: &[u8]) -> Option<Value> {
    let kind = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return serde_json::from_slice(body).ok();
    }
    // `payload=` with the JSON in it; anything else in a form is not understood.
    let body = std::str::from_utf8(body).ok()?;
    let mut form = Url::parse("form:").ok()?;
    form.set_query(Some(body));
    let payload = form
        .query_pairs()
        .find_map(|(key, value)| (key == "payload").then_some(value));
    serde_json::from_str(&payload.unwrap_or(Cow::Borrowed(""))).ok()
}

fn check(message: &Map<String, Value>) -> Result<(), SlackError> {
    let text = match message.get("text") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(_) => return Err(SlackError::InvalidPayload),
    };
    let attachments = list(message, "attachments", SlackError::InvalidAttachments)?;
    let blocks = list(message, "blocks", SlackError::InvalidBlocksFormat)?;
    if attachments.len() > MAX_ATTACHMENTS {
        return Err(SlackError::TooManyAttachments);
    }
    if blocks.len() > MAX_BLOCKS
        || !blocks
            .iter()
            .all(|block| block.get("type").is_some_and(Value::is_string))
    {
        return Err(SlackError::InvalidBlocks);
    }
    for attachment in attachments {
        attachment_shape(attachment)?;
    }
    let said = !text.trim().is_empty() || !blocks.is_empty() || attachments.iter().any(says);
    if said {
        Ok(())
    } else {
        Err(SlackError::NoText)
    }
}

fn list<'a>(
    message: &'a Map<String, Value>,
    key: &str,
    error: SlackError,
) -> Result<&'a [Value], SlackError> {
    match message.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(error),
    }
}

fn attachment_shape(attachment: &Value) -> Result<(), SlackError> {
    let Value::Object(attachment) = attachment else {
        return Err(SlackError::InvalidAttachments);
    };
    for key in [
        "title",
        "title_link",
        "text",
        "fallback",
        "pretext",
        "color",
        "footer",
    ] {
        if attachment
            .get(key)
            .is_some_and(|value| !value.is_string() && !value.is_null())
        {
            return Err(SlackError::InvalidAttachments);
        }
    }
    for field in list(attachment, "fields", SlackError::InvalidAttachments)? {
        if !field.is_object() {
            return Err(SlackError::InvalidAttachments);
        }
    }
    Ok(())
}

/// An attachment shows something: words, fields, an image or blocks of its own.
fn says(attachment: &Value) -> bool {
    let words = [
        "text",
        "fallback",
        "pretext",
        "title",
        "image_url",
        "thumb_url",
    ];
    words.iter().any(|key| {
        attachment
            .get(key)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.trim().is_empty())
    }) || ["fields", "blocks"].iter().any(|key| {
        attachment
            .get(key)
            .and_then(Value::as_array)
            .is_some_and(|items| !items.is_empty())
    })
}

fn facts(message: &Map<String, Value>) -> Facts {
    let mut facts = Facts::default();
    let attachments = message.get("attachments").and_then(Value::as_array);
    let first = attachments.and_then(|items| items.first());
    let text = |key: &str| {
        let of_first = first.and_then(|attachment| attachment.get(key));
        of_first
            .and_then(Value::as_str)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    for attachment in attachments.into_iter().flatten() {
        for field in attachment
            .get("fields")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let part = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default();
            facts.take(part("title"), part("value"));
        }
    }
    let title = text("title");
    if let Some(title) = title.or(text("fallback")) {
        facts.take_title(title);
    }
    let colour = text("color").unwrap_or_default();
    if facts.status.is_none() && colour == "good" {
        facts.status = Some(Status::Resolved);
    }
    if facts.severity.is_none() {
        facts.severity = match colour {
            "danger" => Some("critical".to_owned()),
            "warning" => Some("warning".to_owned()),
            _ => None,
        };
    }
    if facts.summary.is_none() {
        let own = message
            .get("text")
            .and_then(Value::as_str)
            .filter(|text| !text.trim().is_empty());
        let summary = title
            .or(text("text"))
            .or(text("fallback"))
            .or(text("pretext"))
            .or(own);
        facts.summary = summary.map(str::to_owned).or_else(|| block_text(message));
    }
    facts
}

/// The first words of a message made of blocks.
fn block_text(message: &Map<String, Value>) -> Option<String> {
    let blocks = message.get("blocks")?.as_array()?;
    blocks
        .iter()
        .find_map(|block| Some(block.get("text")?.get("text")?.as_str()?.to_owned()))
}

#[cfg(test)]
mod tests;
