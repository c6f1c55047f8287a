//! Tokens never reach the disk, the page or the log: an integration key or a webhook token is cut
//! to `…` and its last four characters, which is enough to tell two apart.

use std::fmt;

use serde_json::Value;

/// Keys whose values are secrets wherever they stand in a body.
const SECRET_KEYS: [&str; 8] = [
    "routing_key",
    "service_key",
    "integration_key",
    "token",
    "api_key",
    "password",
    "authorization",
    "secret",
];

/// Shorter values are too small to show a part of.
const SHOWN_FROM: usize = 8;

/// A secret in memory: whatever prints it prints `…` and the last four characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub fn new(secret: &str) -> Self {
        Self(secret.to_owned())
    }

    /// The whole of it, to compare and to cut by. Not for keeping.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&token(&self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `…abcd`, or `…` for a short one.
pub fn token(secret: &str) -> String {
    let chars: Vec<char> = secret.chars().collect();
    if chars.len() < SHOWN_FROM {
        return "…".to_owned();
    }
    let mut text = String::from("…");
    text.extend(&chars[chars.len() - 4..]);
    text
}

/// Cuts every secret of a JSON body: the known keys, and `secrets` wherever they occur as text.
pub fn json(value: &mut Value, secrets: &[&str]) {
    match value {
        Value::String(text) => replace(text, secrets),
        Value::Array(items) => items.iter_mut().for_each(|item| json(item, secrets)),
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                let secret = SECRET_KEYS
                    .iter()
                    .any(|name| key.eq_ignore_ascii_case(name));
                match item {
                    Value::String(text) if secret => *text = token(text),
                    Value::Number(_) | Value::Array(_) | Value::Object(_) if secret => {
                        *item = Value::String("…".to_owned());
                    }
                    item => json(item, secrets),
                }
            }
            // A sender that mixed up its fields can have the token as a key.
            let keyed = |key: &String| secrets.iter().any(|s| !s.is_empty() && key.contains(s));
            if map.keys().any(keyed) {
                let old = std::mem::take(map);
                map.extend(old.into_iter().map(|(mut key, item)| {
                    replace(&mut key, secrets);
                    (key, item)
                }));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Text that could not be parsed: any run of twenty or more letters and digits may be a token.
pub fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut run = String::new();
    let flush = |run: &mut String, out: &mut String| {
        if run.len() >= 20 {
            out.push_str(&token(run));
        } else {
            out.push_str(run);
        }
        run.clear();
    };
    for char in raw.chars() {
        if char.is_ascii_alphanumeric() {
            run.push(char);
        } else {
            flush(&mut run, &mut out);
            out.push(char);
        }
    }
    flush(&mut run, &mut out);
    out
}

fn replace(text: &mut String, secrets: &[&str]) {
    for secret in secrets {
        // Replacing a very short "secret" would only garble the message.
        if secret.chars().count() >= SHOWN_FROM && text.contains(secret) {
            *text = text.replace(secret, &token(secret));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_token_keeps_its_last_four() {
        assert_eq!(token("e93facc04764012d7bfb002500d5d1a6"), "…d1a6");
        assert_eq!(token("short"), "…");
        assert_eq!(token(""), "…");
        assert_eq!(
            format!("{:?}", Token::new("e93facc04764012d7bfb002500d5d1a6")),
            "…d1a6"
        );
    }

    #[test]
    fn the_key_is_found_wherever_it_stands() {
        let key = "e93facc04764012d7bfb002500d5d1a6";
        let mut body = json!({
            "routing_key": key,
            "payload": {"summary": format!("sent with {key}"), "custom_details": {"list": [key]}},
            "Token": ["x"],
            key: 1,
        });
        json(&mut body, &[key]);
        assert!(!body.to_string().contains(key), "{body}");
        assert_eq!(body["routing_key"], "…d1a6");
        assert_eq!(body["payload"]["summary"], "sent with …d1a6");
    }

    #[test]
    fn unparsable_text_is_masked() {
        let masked = text("{\"routing_key\": \"e93facc04764012d7bfb002500d5d1a6\", oops");
        assert_eq!(masked, "{\"routing_key\": \"…d1a6\", oops");
    }

    proptest! {
        #[test]
        fn no_long_run_survives(raw in "[a-zA-Z0-9 ,é]{0,200}") {
            let masked = text(&raw);
            let longest = masked.split(|c: char| !c.is_ascii_alphanumeric()).map(str::len).max();
            prop_assert!(longest.unwrap_or(0) < 20);
        }
    }
}
