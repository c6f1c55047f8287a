//! The log lane: files that are tailed and the Elasticsearch that their lines go to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `logs:` of the agent's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logs {
    /// What is read, by name; the name is the label `source` of the lane's metrics.
    #[serde(default)]
    pub sources: BTreeMap<String, LogSource>,
    pub elasticsearch: Elasticsearch,
    /// Bytes of lines that the lane holds at most, read and not acknowledged; reading waits then.
    #[serde(default = "default_memory_bytes")]
    pub memory_bytes: u64,
    /// Bytes of dead letters kept on disk; the oldest go first, counted.
    #[serde(default = "default_dead_letter_bytes")]
    pub dead_letter_bytes: u64,
}

/// Files of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSource {
    /// Absolute globs.
    pub paths: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    #[serde(default)]
    pub format: LogFormat,
    /// `logs-kai.<service>-<environment>`
    pub data_stream: String,
    /// Added to every document under these dotted names, such as `service.name`; a field that the
    /// line has itself stays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Where reading starts in a file that was there before the agent first saw it.
    #[serde(default)]
    pub start: LogStart,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line that is a JSON object is taken as one, any other as plain text.
    #[default]
    Auto,
    Json,
    Plain,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStart {
    #[default]
    Beginning,
    End,
}

/// A cluster, as an agent reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Elasticsearch {
    /// `http://` or `https://` addresses of nodes of one cluster.
    pub endpoints: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
}

/// How a server is told who asks. Only names of files: a configuration holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawAuth", into = "RawAuth")]
pub enum HttpAuth {
    /// File that holds an Elasticsearch API key in its encoded form.
    ApiKeyFile(PathBuf),
    /// File that holds a bearer token.
    TokenFile(PathBuf),
    Basic {
        username: String,
        password_file: PathBuf,
    },
}

/// `serde_yaml` reads an enum only from a YAML tag; this is the map that people write.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawAuth {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    basic: Option<RawBasic>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawBasic {
    username: String,
    password_file: PathBuf,
}

impl TryFrom<RawAuth> for HttpAuth {
    type Error = &'static str;

    fn try_from(raw: RawAuth) -> Result<Self, Self::Error> {
        match (raw.api_key_file, raw.token_file, raw.basic) {
            (Some(file), None, None) => Ok(Self::ApiKeyFile(file)),
            (None, Some(file), None) => Ok(Self::TokenFile(file)),
            (None, None, Some(basic)) => Ok(Self::Basic {
                username: basic.username,
                password_file: basic.password_file,
            }),
            _ => Err("give exactly one of apiKeyFile, tokenFile and \
                      basic: { username, passwordFile }"),
        }
    }
}

impl From<HttpAuth> for RawAuth {
    fn from(auth: HttpAuth) -> Self {
        let mut raw = Self {
            api_key_file: None,
            token_file: None,
            basic: None,
        };
        match auth {
            HttpAuth::ApiKeyFile(file) => raw.api_key_file = Some(file),
            HttpAuth::TokenFile(file) => raw.token_file = Some(file),
            HttpAuth::Basic {
                username,
                password_file,
            } => {
                raw.basic = Some(RawBasic {
                    username,
                    password_file,
                });
            }
        }
        raw
    }
}

fn default_memory_bytes() -> u64 {
    16 << 20
}

fn default_dead_letter_bytes() -> u64 {
    64 << 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_way_to_tell_who_asks() {
        let read = |text: &str| serde_yaml::from_str::<HttpAuth>(text);
        for (text, auth) in [
            ("apiKeyFile: /k", HttpAuth::ApiKeyFile("/k".into())),
            ("tokenFile: /t", HttpAuth::TokenFile("/t".into())),
            (
                "basic: { username: u, passwordFile: /p }",
                HttpAuth::Basic {
                    username: "u".into(),
                    password_file: "/p".into(),
                },
            ),
        ] {
            assert_eq!(read(text).unwrap(), auth);
            let written = serde_yaml::to_string(&auth).unwrap();
            assert_eq!(read(&written).unwrap(), auth, "{written}");
        }
        for wrong in ["{}", "{ apiKeyFile: /k, tokenFile: /t }", "{ token: x }"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
