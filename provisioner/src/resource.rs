//! What a stack consists of: resources. An address names one, a document says what it should be,
//! `needs` says what must be there first.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::object::{Object, System};

/// For example `file/prometheus/prometheus.yml` or `process/alertmanager`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    pub fn component(name: &str) -> Self {
        Self(format!("component/{name}"))
    }
    pub fn file(path: &str) -> Self {
        Self(format!("file/{path}"))
    }
    pub fn secret(name: &str) -> Self {
        Self(format!("secret/{name}"))
    }
    pub fn process(name: &str) -> Self {
        Self(format!("process/{name}"))
    }
    /// For example `elasticsearch/index-template/logs`.
    pub fn object(system: System, kind: &str, slug: &str) -> Self {
        Self(format!("{system}/{kind}/{slug}"))
    }
    /// What its holder works with until it has another.
    pub fn is_api_key(&self) -> bool {
        self.0.starts_with("elasticsearch/api-key/")
    }
    /// The part before the first slash.
    pub fn kind(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
    /// The part after the first slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// From text that this program wrote itself, for example a process marker.
    pub fn from_marker(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that should exist.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub address: Address,
    pub document: Document,
    pub needs: Vec<Address>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    Component(Component),
    File(File),
    Secret(Secret),
    Process(Box<Process>),
    Object(Box<Object>),
}

/// A program that must be on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    pub name: String,
    pub version: Option<String>,
    /// Without it the whole `provision` fails; otherwise it is listed as not installed.
    pub required: bool,
}

/// A rendered file below the stack's folder.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// Relative to the stack's folder.
    pub path: PathBuf,
    pub body: String,
    pub comment: Comment,
}

/// How a file of this format carries the mark that says it is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comment {
    /// `# …`
    Hash,
    /// `{{/* … */}}`
    GoTemplate,
    /// A first key `__kai`; the body is the object without its opening brace.
    Json,
}

/// A file that holds one secret, mode 0600. Its value is never part of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Secret {
    /// Relative to the stack's folder; the name carries a digest of the reference and its
    /// rotation, so that a changed reference is a new file.
    pub path: PathBuf,
    pub reference: crate::model::SecretRef,
}

/// A detached local process.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    pub name: String,
    pub component: String,
    /// Key into the component's programs.
    pub program: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Folders (relative to the stack's) that must exist before it starts; they hold its data.
    pub data: Vec<PathBuf>,
    /// Answers 200 when the process does its work.
    pub ready: String,
    pub ready_within: Duration,
    pub ports: Vec<u16>,
    /// Files that it reads.
    pub config: Vec<Address>,
    pub loaded: Loaded,
    pub reload: Reload,
    /// It is a Java server with wishes of its own.
    pub java: Option<JavaServer>,
}

/// A server that runs on Java, refuses root, and writes into its folder of configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct JavaServer {
    /// What its variables begin with: `ES`, `OPENSEARCH`.
    pub prefix: &'static str,
    /// Its own folder, absolute, made for the user that runs it: `config`, `data`, `logs`, `tmp`.
    pub place: PathBuf,
    /// Rendered files (relative to the stack's folder) and their names in `config`, where they lie
    /// over what the program brings.
    pub overlay: Vec<(PathBuf, &'static str)>,
    pub heap_mib: u32,
}

/// How a process tells which configuration it has in force.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// It reads none, or reads it only when it starts.
    AtStart,
    /// A gauge on its metrics page holds the Unix time of the last accepted load.
    Timestamp { url: String, metric: &'static str },
    /// A label of a series on its metrics page holds the SHA-256 of the file.
    Digest {
        url: String,
        metric: &'static str,
        label: &'static str,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reload {
    /// `POST` to this address.
    Http(String),
    /// `POST /reload` over this Unix socket.
    Socket(PathBuf),
    /// Restart it.
    Restart,
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: impl AsRef<[u8]>) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(bytes.as_ref()) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

impl File {
    /// The whole file: mark, then body. The mark holds the digest of the body, so that a later
    /// run can tell "edited by hand" from "the spec has changed".
    pub fn content(&self, owner: &str, address: &Address) -> String {
        format!(
            "{}{}",
            self.comment.mark(owner, address, &digest(&self.body)),
            self.body
        )
    }
}

impl Comment {
    fn mark(self, owner: &str, address: &Address, applied: &str) -> String {
        let line = format!("managed by kai-observe owner={owner} address={address}");
        let advice = "edits are undone by `kai-observe provision`; change the spec instead";
        match self {
            Self::Hash => format!("# {line}\n# {advice}\n# applied=sha256:{applied}\n"),
            Self::GoTemplate => {
                format!("{{{{/* {line}\n{advice}\napplied=sha256:{applied} */ -}}}}\n")
            }
            Self::Json => format!(
                "{{ \"__kai\": [ \"{line}\",\n  \"{advice}\",\n  \"applied=sha256:{applied}\" ],\n"
            ),
        }
    }
}

/// What the mark of a file on disk says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub owner: String,
    pub address: String,
    pub applied: String,
    /// The body is what was applied.
    pub untouched: bool,
}

/// Reads the mark of a file that may be ours. Pure; `None` when there is no mark.
pub fn read_mark(content: &str) -> Option<Mark> {
    let mut head = content.splitn(4, '\n');
    let (first, _, third, body) = (head.next()?, head.next()?, head.next()?, head.next()?);
    let rest = first.split_once("managed by kai-observe owner=")?.1;
    let (owner, address) = rest.split_once(" address=")?;
    let applied = third.split_once("applied=sha256:")?.1;
    let applied: String = applied
        .chars()
        .take_while(char::is_ascii_hexdigit)
        .collect();
    Some(Mark {
        owner: owner.to_owned(),
        address: address.trim().trim_end_matches("\",").to_owned(),
        untouched: digest(body) == applied,
        applied,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(comment: Comment) -> File {
        File {
            path: "x".into(),
            body: "a: 1\n".into(),
            comment,
        }
    }

    #[test]
    fn a_mark_is_read_back_in_every_comment_style() {
        for comment in [Comment::Hash, Comment::GoTemplate, Comment::Json] {
            let address = Address::file("x/y.yml");
            let content = file(comment).content("abc-local", &address);
            let mark = read_mark(&content).expect("marked");
            assert_eq!(mark.owner, "abc-local");
            assert_eq!(mark.address, "file/x/y.yml");
            assert!(mark.untouched);
            assert!(
                !read_mark(&format!("{content}b: 2\n"))
                    .expect("marked")
                    .untouched
            );
        }
    }

    #[test]
    fn a_file_without_a_mark_is_not_ours() {
        assert_eq!(read_mark("a: 1\n"), None);
        assert_eq!(read_mark(""), None);
        assert_eq!(read_mark("# managed by kai-observe owner=x\n\n\n\n"), None);
    }
}
