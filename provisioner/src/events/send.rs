//! Tells one recipient. Errors name the recipient's words, never its secret.

use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use reqwest::Method;
use serde_json::{Value, json};

use super::recipients::Key;
use super::{Deploy, Ledger, Recipient, Told, Way, letters};
use crate::clock;
use crate::http;
use crate::model::{Connection, Smtp};
use crate::systems::rest::{Rest, RestError};
use crate::systems::secret;

const TIMEOUT: Duration = Duration::from_secs(15);

/// Tells one, unless it was told before, and writes that down.
pub async fn tell(recipient: &Recipient, deploy: &Deploy, ledger: &mut Ledger) -> Told {
    let way = match &recipient.way {
        Ok(way) => way,
        Err(told) => return told.clone(),
    };
    // Elasticsearch and Grafana are asked instead: they may have lost it, or another machine told.
    let asked = matches!(way, Way::Elasticsearch(_) | Way::Grafana(_));
    if !asked && ledger.has(recipient.name) {
        return Told::Already;
    }
    let result = match way {
        Way::Elasticsearch(access) => elasticsearch(access, deploy).await,
        Way::Grafana(access) => grafana(access, deploy).await,
        Way::Pagerduty { url, key } => pagerduty(url, key, deploy).await,
        Way::Slack(key) => slack(key, deploy).await,
        Way::Email { to, smtp } => email(to, smtp, deploy).await,
    };
    match result {
        Ok(told) => {
            let at = clock::rfc3339(std::time::SystemTime::now());
            match ledger.note(recipient.name, at) {
                Ok(()) => told,
                Err(_) if asked => told,
                Err(error) => Told::Failed(format!(
                    "told, but that could not be written down, so that a repeated step tells it \
                     again: {error}"
                )),
            }
        }
        Err(reason) => Told::Failed(reason),
    }
}

/// One document by its id. A data stream takes the same id again after a rollover, so all of its
/// indices are asked first. What is asked is what the smallest builds have too: `_data_stream` they
/// have not.
async fn elasticsearch(access: &Connection, deploy: &Deploy) -> Result<Told, String> {
    let rest = Rest::new(access).map_err(words)?;
    let stream = letters::data_stream(deploy);
    let resolved = rest
        .get(&format!("/_resolve/index/{stream}"))
        .await
        .map_err(words)?;
    let there = resolved
        .as_ref()
        .and_then(|found| found["data_streams"].as_array())
        .is_some_and(|streams| !streams.is_empty());
    if there {
        let query = json!({ "size": 0, "query": { "ids": { "values": [deploy.id] } } });
        let found = rest
            .json(Method::POST, &format!("/{stream}/_search"), Some(&query))
            .await
            .map_err(words)?;
        if found["hits"]["total"]["value"].as_u64().unwrap_or(0) > 0 {
            return Ok(Told::Already);
        }
    }
    let path = format!("/{stream}/_create/{}?refresh=wait_for", deploy.id);
    // Without a template the first document would make an ordinary index of that name.
    let strict = create(&rest, &format!("{path}&require_data_stream=true"), deploy).await;
    match strict {
        Err(error) if no_template(&error) => Err(template_missing(&stream, error)),
        Err(error) if is_unknown_parameter(&error) => {
            if !there {
                make(&rest, &stream).await?;
            }
            create(&rest, &path, deploy).await.map_err(words)?
        }
        other => other.map_err(words)?,
    }
}

/// The outer error is the server's, the inner an answer that makes no sense.
async fn create(
    rest: &Rest,
    path: &str,
    deploy: &Deploy,
) -> Result<Result<Told, String>, RestError> {
    let document = letters::document(deploy);
    match rest.json(Method::PUT, path, Some(&document)).await {
        Ok(reply) if reply["result"] == "created" => Ok(Ok(Told::Told)),
        Ok(reply) => Ok(Err(format!("the document was not created: {reply}"))),
        Err(error) if error.status() == Some(409) => Ok(Ok(Told::Already)),
        Err(error) => Err(error),
    }
}

/// For OpenSearch and Elasticsearch before 8.13, which cannot be told to insist on a data stream.
async fn make(rest: &Rest, stream: &str) -> Result<(), String> {
    let place = format!("/_data_stream/{stream}");
    match rest.json(Method::PUT, &place, None).await {
        Ok(_) => Ok(()),
        Err(RestError::Refused { body, .. }) if body.contains("already_exists") => Ok(()),
        Err(error) if error.status() == Some(400) => Err(template_missing(stream, error)),
        Err(error) => Err(words(error)),
    }
}

fn no_template(error: &RestError) -> bool {
    matches!(error, RestError::Refused { status: 404, body, .. }
        if body.contains("requires a data stream"))
}

fn is_unknown_parameter(error: &RestError) -> bool {
    matches!(error, RestError::Refused { status: 400, body, .. }
        if body.contains("unrecognized parameter") && body.contains("require_data_stream"))
}

fn template_missing(stream: &str, error: RestError) -> String {
    format!(
        "there is no index template for the data stream {stream}; run `kai-observe provision` \
         first ({error})"
    )
}

async fn grafana(access: &Connection, deploy: &Deploy) -> Result<Told, String> {
    let rest = Rest::new(access).map_err(words)?;
    let tag = letters::id_tag(deploy);
    let found = rest
        .json(
            Method::GET,
            &format!("/api/annotations?type=annotation&limit=1&tags={tag}"),
            None,
        )
        .await
        .map_err(words)?;
    match found.as_array() {
        Some(list) if list.is_empty() => {}
        Some(_) => return Ok(Told::Already),
        None => return Err(format!("its answer is no list of annotations: {found}")),
    }
    let reply = rest
        .json(
            Method::POST,
            "/api/annotations",
            Some(&letters::annotation(deploy)),
        )
        .await
        .map_err(words)?;
    if reply["id"].is_number() {
        Ok(Told::Told)
    } else {
        Err(format!("it gave the annotation no id: {reply}"))
    }
}

async fn pagerduty(url: &str, key: &Key, deploy: &Deploy) -> Result<Told, String> {
    let key = expose(key)?;
    let body = letters::change(deploy, &key);
    let (status, text) = post(url, &body, &key).await?;
    match status {
        202 => Ok(Told::Told),
        429 => Err("PagerDuty wants fewer events a minute; try again later".to_owned()),
        _ => Err(format!("answered {status}: {text}")),
    }
}

async fn slack(key: &Key, deploy: &Deploy) -> Result<Told, String> {
    let hook = expose(key)?;
    let (status, text) = post(&hook, &letters::slack(deploy), &hook).await?;
    match status {
        200 => Ok(Told::Told),
        _ => Err(format!("answered {status}: {text}")),
    }
}

fn expose(key: &Key) -> Result<String, String> {
    match key {
        Key::StandIn(key) => Ok(key.clone()),
        Key::Secret(reference) => secret::resolve(reference)
            .map(|value| value.expose().to_owned())
            .map_err(|error| error.to_string()),
    }
}

/// Status and the beginning of the answer, in which the secret is not repeated.
async fn post(url: &str, body: &Value, secret: &str) -> Result<(u16, String), String> {
    let sent = http::client(TIMEOUT).post(url).json(body).send().await;
    let reply = sent.map_err(|error| {
        // Without the address, which may be the secret.
        if error.is_timeout() {
            format!("no answer within {} s", TIMEOUT.as_secs())
        } else if error.is_connect() {
            "nothing listens there, or its certificate is not trusted".to_owned()
        } else if error.is_builder() {
            "its address is no http address".to_owned()
        } else {
            "the connection broke".to_owned()
        }
    })?;
    let status = reply.status().as_u16();
    let text = reply.text().await.unwrap_or_default();
    let text: String = text.trim().chars().take(300).collect();
    Ok((status, text.replace(secret, "…")))
}

async fn email(to: &str, smtp: &Result<Smtp, u16>, deploy: &Deploy) -> Result<Told, String> {
    let message = message(to, smtp.as_ref().ok(), deploy)?;
    deliver(smtp, message).await.map(|()| Told::Told)
}

/// A mail without any event.
pub fn letter(
    to: &str,
    smtp: Option<&Smtp>,
    subject: &str,
    text: String,
) -> Result<Message, String> {
    let from = smtp.map_or("kai-observe@localhost", |smtp| smtp.from.as_str());
    let mailbox = |text: &str| {
        text.parse::<Mailbox>()
            .map_err(|error| format!("{text:?} is no mail address: {error}"))
    };
    Message::builder()
        .from(mailbox(from)?)
        .to(mailbox(to)?)
        .subject(subject)
        .header(lettre::message::header::ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(|error| error.to_string())
}

/// By the mail server, or by the inbox's port in its place.
pub async fn deliver(smtp: &Result<Smtp, u16>, message: Message) -> Result<(), String> {
    http::install_crypto();
    let transport = match smtp {
        Err(port) => {
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(*port)
        }
        Ok(smtp) => {
            let tls = TlsParameters::new(smtp.host.clone())
                .map_err(|error| format!("cannot prepare TLS: {error}"))?;
            // As Alertmanager does: TLS from the start on 465, else STARTTLS or nothing.
            let tls = if smtp.port == 465 {
                Tls::Wrapper(tls)
            } else {
                Tls::Required(tls)
            };
            let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
                .port(smtp.port)
                .tls(tls);
            if let (Some(username), Some(password)) = (&smtp.username, &smtp.password) {
                let password = secret::resolve(password).map_err(|error| error.to_string())?;
                transport = transport.credentials(Credentials::new(
                    username.clone(),
                    password.expose().to_owned(),
                ));
            }
            transport
        }
    };
    let transport = transport.timeout(Some(TIMEOUT)).build();
    match transport.send(message).await {
        Ok(reply) if reply.is_positive() => Ok(()),
        Ok(reply) => Err(format!("the mail server answered {}", reply.code())),
        Err(error) => {
            let mut text = error.to_string();
            if let Some(cause) = std::error::Error::source(&error) {
                text.push_str(&format!(": {cause}"));
            }
            Err(text)
        }
    }
}

fn message(to: &str, smtp: Option<&Smtp>, deploy: &Deploy) -> Result<Message, String> {
    let from = smtp.map_or("kai-observe@localhost", |smtp| smtp.from.as_str());
    let mailbox = |text: &str| {
        text.parse::<Mailbox>()
            .map_err(|error| format!("{text:?} is no mail address: {error}"))
    };
    let (subject, text) = letters::mail(deploy);
    let mut builder = Message::builder()
        .from(mailbox(from)?)
        .to(mailbox(to)?)
        .subject(subject)
        // The same event is the same message: mailboxes drop the second.
        .message_id(Some(format!("<{}@kai-observe>", deploy.id)))
        .header(lettre::message::header::ContentType::TEXT_PLAIN);
    for (name, value) in [
        ("X-Kai-Event", deploy.id.as_str()),
        ("X-Kai-Service", &deploy.service),
        ("X-Kai-Team", &deploy.team),
        ("X-Kai-Environment", &deploy.environment),
    ] {
        let name = HeaderName::new_from_ascii_str(name);
        builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
    }
    builder
        .body(text)
        .map_err(|error| format!("cannot write the mail: {error}"))
}

fn words(error: RestError) -> String {
    error.to_string()
}
