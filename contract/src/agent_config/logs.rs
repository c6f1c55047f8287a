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
    /// Without it lines are read for business rules only, and go nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elasticsearch: Option<Elasticsearch>,
    /// What must not leave the node in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<super::Privacy>,
    /// Bytes of lines that the lane holds at most, read and not acknowledged; reading waits then.
    #[serde(default = "default_memory_bytes")]
    pub memory_bytes: u64,
    /// Bytes of dead letters kept on disk; the oldest go first, counted.
    #[serde(default = "default_dead_letter_bytes")]
    pub dead_letter_bytes: u64,
    /// Bytes of one line that are kept; what is longer is cut and marked in `log.flags`.
    #[serde(default = "default_max_line_bytes")]
    pub max_line_bytes: u64,
    /// Names that the fields of one data stream have at most, in a day; further ones go as a text into
    /// `kai.overflow`.
    #[serde(
        default = "default_max_fields",
        skip_serializing_if = "is_default_max_fields"
    )]
    pub max_fields: u64,
    /// How `compress: gzip` was written before there were others.
    #[serde(default)]
    pub gzip: bool,
    /// Where events of sources that cannot be read again wait on disk; in memory without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<super::Spool>,
    /// How what is sent is compressed: less network, more CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<Compress>,
}

impl Logs {
    /// As `compress`, or else `gzip`, says.
    pub fn compression(&self) -> Compress {
        let older = if self.gzip {
            Compress::Gzip
        } else {
            Compress::None
        };
        self.compress.unwrap_or(older)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    #[default]
    None,
    Gzip,
    /// Where the cluster unpacks it.
    Zstd,
    /// The best that the cluster unpacks.
    Auto,
}

/// Files of one service, the journal, or what comes over the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSource {
    /// Absolute globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// In place of `paths`: systemd's journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journald: Option<Journald>,
    /// In place of `paths`: messages from the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<super::Syslog>,
    /// In place of `paths`: OTLP log records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<super::OtlpLogs>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    #[serde(default)]
    pub format: LogFormat,
    /// With `format: pattern`: a regular expression whose named groups become fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What a container runtime wraps around each line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<LogContainer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiline: Option<Multiline>,
    /// Zone of times that name none, such as `Asia/Jakarta`; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// `logs-kai.<service>-<environment>`; of OTLP with `{service}` and `{environment}` in it.
    pub data_stream: String,
    /// Added to every document under these dotted names, such as `service.name`; a field that the
    /// line has itself stays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Conditions on fields; a line that one fits is not sent, and counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// Level or condition → the share of such lines that is sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sample: BTreeMap<String, super::Share>,
    /// Its lines are all kept, also when their team's budget is spent: an audit's, for example.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_sample: bool,
    /// Where reading starts in a file that was there before the agent first saw it.
    #[serde(default)]
    pub start: LogStart,
    /// Its files are containers' of the node's pods, whose metadata is added; needs `kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<LogPods>,
}

/// `pods` of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogPods {
    /// Milliseconds that a file waits for its pod to be known; its lines go on without, marked.
    pub wait_ms: u64,
    /// Labels of the pod that are added, under `kubernetes.labels`, with `_` for each dot.
    pub labels: Vec<String>,
}

impl Default for LogPods {
    fn default() -> Self {
        let labels = ["name", "instance", "version", "component", "part-of"];
        Self {
            wait_ms: 10_000,
            labels: labels
                .iter()
                .map(|name| format!("app.kubernetes.io/{name}"))
                .collect(),
        }
    }
}

impl LogSource {
    /// Its events come once, over the network.
    pub fn is_network(&self) -> bool {
        self.syslog.is_some() || self.otlp.is_some()
    }
}

/// Entries of systemd's journal; `journalctl` reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Journald {
    /// Of these units only, as `journalctl --unit` takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// `FIELD=value`; several of one field mean any of them, of several fields all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<String>,
    /// Folder with journal files; the machine's own journal when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// The program; looked for in /usr/bin and /bin when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journalctl: Option<PathBuf>,
}

/// What is wrong with one of [`Journald`]'s units or matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalProblem {
    pub key: &'static str,
    pub index: usize,
    pub message: String,
    pub help: &'static str,
}

impl Journald {
    /// What journalctl would not take, or take for something else.
    pub fn wrong(&self) -> Vec<JournalProblem> {
        let units = self.units.iter().enumerate().filter_map(|(index, unit)| {
            let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
            (unit.is_empty() || unit.contains(odd)).then(|| JournalProblem {
                key: "units",
                index,
                message: format!("\"{unit}\" is no unit"),
                help: "write one like nginx.service",
            })
        });
        let matches = self.matches.iter().enumerate().filter_map(|(index, text)| {
            let named = text.split_once('=').is_some_and(|(field, _)| {
                let known = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                !field.is_empty() && field.len() <= 64 && field.chars().all(known)
            });
            (!named || text.contains('\0')).then(|| JournalProblem {
                key: "matches",
                index,
                message: format!("\"{text}\" is no match"),
                help: "write one like _TRANSPORT=kernel",
            })
        });
        units.chain(matches).collect()
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line that is a JSON object is taken as one, any other as plain text.
    #[default]
    Auto,
    Json,
    Plain,
    /// `level=info msg="hold expired"`
    Logfmt,
    /// The common or combined format of HTTP servers.
    Access,
    /// RFC 5424 or RFC 3164.
    Syslog,
    /// The authentication log: syslog, and who logged in, became root or changed an account.
    Auth,
    /// By the source's own `pattern`.
    Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogContainer {
    /// The Kubernetes runtimes' `time stream F text`.
    Cri,
    /// Docker's json-file driver.
    Docker,
    /// Each line tells by itself.
    Auto,
}

/// Which lines are one event. Exactly one of the first three keys is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Multiline {
    /// A regular expression: an event begins with a line that matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<String>,
    /// A regular expression: a line that matches goes on with the event before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
    /// Stack traces of a language belong to the line before them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<TraceLanguage>,
    /// Lines of one event at most; what is more goes on as another one, marked.
    #[serde(default = "default_most_lines")]
    pub max_lines: usize,
    /// An event at the end of a file is taken when the file has been quiet for so long.
    #[serde(default = "default_pause_ms")]
    pub pause_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceLanguage {
    Java,
    Python,
    Go,
    Rust,
    Node,
}

fn default_most_lines() -> usize {
    1000
}

fn default_pause_ms() -> u64 {
    1000
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
    /// PEM file of the authorities that sign the servers' certificates; the machine's own when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// How a server is told who asks. Only names of files: a configuration holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AuthKeys", into = "AuthKeys")]
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

/// [`HttpAuth`] as it is written: one of the keys. (serde_yaml reads an enum only with a YAML tag,
/// which nobody expects in a configuration.)
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AuthKeys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    basic: Option<BasicKeys>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BasicKeys {
    username: String,
    password_file: PathBuf,
}

impl TryFrom<AuthKeys> for HttpAuth {
    type Error = &'static str;

    fn try_from(keys: AuthKeys) -> Result<Self, Self::Error> {
        match (keys.api_key_file, keys.token_file, keys.basic) {
            (Some(file), None, None) => Ok(Self::ApiKeyFile(file)),
            (None, Some(file), None) => Ok(Self::TokenFile(file)),
            (None, None, Some(basic)) => Ok(Self::Basic {
                username: basic.username,
                password_file: basic.password_file,
            }),
            _ => Err("give exactly one of apiKeyFile, tokenFile and basic"),
        }
    }
}

impl From<HttpAuth> for AuthKeys {
    fn from(auth: HttpAuth) -> Self {
        let mut keys = Self::default();
        match auth {
            HttpAuth::ApiKeyFile(file) => keys.api_key_file = Some(file),
            HttpAuth::TokenFile(file) => keys.token_file = Some(file),
            HttpAuth::Basic {
                username,
                password_file,
            } => {
                keys.basic = Some(BasicKeys {
                    username,
                    password_file,
                });
            }
        }
        keys
    }
}

fn default_memory_bytes() -> u64 {
    6 << 20
}

fn default_dead_letter_bytes() -> u64 {
    64 << 20
}

/// Half of what an index has room for: not all names come from here, and a name whose type is not
/// mapped can be two fields.
pub const MAX_FIELDS: u64 = 500;

fn default_max_fields() -> u64 {
    MAX_FIELDS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default_max_fields(given: &u64) -> bool {
    *given == MAX_FIELDS
}

fn default_max_line_bytes() -> u64 {
    256 << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_to_tell_who_asks() {
        let read = |text: &str| serde_yaml::from_str::<HttpAuth>(text);
        assert_eq!(
            read("apiKeyFile: /k").unwrap(),
            HttpAuth::ApiKeyFile("/k".into())
        );
        let basic = read("basic: {username: u, passwordFile: /p}").unwrap();
        let written = serde_yaml::to_string(&basic).unwrap();
        assert_eq!(read(&written).unwrap(), basic);
        assert!(read("{}").is_err());
        assert!(read("{apiKeyFile: /k, tokenFile: /t}").is_err());
    }
}
