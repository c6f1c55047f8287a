//! How the program of a component gets here.
//!
//! A chain of sources is asked in a fixed order: workspace → PATH → cache → official archive →
//! Debian package → Go module → Maven artifact. The first that can deliver wins; each other says
//! why it was passed over. What is fetched or built is judged by the checksum that its source
//! publishes, pinned at first use in `observe.lock`, and enters the cache by one rename.
//!
//! A mirror stands in for a source's own address (`components.mirrors` of the spec):
//!
//! | source | value | what lies there |
//! |---|---|---|
//! | archive | `http(s)://…`, `file://…`, folder | `<component>/<version>/<vendor's file>` and the vendor's list of checksums beside it |
//! | debian | address or folder | a Debian archive (`dists/`, `pool/`) as Debian signed it |
//! | go | a value for GOPROXY, or a folder | the module proxy protocol |
//! | maven | address or folder | the repository layout, with `.sha512` or `.sha256` files |
//!
//! A relative folder starts at the folder of the spec.
//!
//! What cannot be trusted stops the run ([`ComponentError`]); what merely cannot deliver makes the
//! chain go on ([`Attempt`]).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::model::{ComponentPolicy, SourceKind};
use crate::progress::Progress;

pub mod apt;
mod archive;
pub mod catalogue;
mod chain;
mod debian;
mod dep_info;
pub mod digest;
mod download;
mod error;
mod go;
mod guard;
pub mod java;
mod job;
pub mod lock;
mod machine;
mod maven;
mod on_path;
mod place;
mod tool;
mod unpack;
pub mod version;
mod workspace;

pub use error::{ChecksumDiffers, ComponentError, Free, human_bytes};
pub use machine::{Faults, Machine, Platform};

/// What the chain works with.
#[derive(Clone)]
pub struct Context {
    /// `KAI_CACHE`; made when missing.
    pub cache: PathBuf,
    /// `observe.lock` beside the spec. Relative mirrors start at its folder.
    pub lock_file: PathBuf,
    pub policy: ComponentPolicy,
    /// Root with Cargo.toml, when run from a checkout.
    pub workspace: Option<PathBuf>,
    pub progress: Arc<dyn Progress>,
}

/// What is here already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    Installed(Installed),
    /// To be fetched or built, or a build that is older than its sources.
    Missing,
}

/// How asking the chain ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Installed(Installed),
    /// No source could deliver; one entry per source that was asked.
    NotInstalled(Vec<Attempt>),
}

/// A component that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    pub name: String,
    pub version: String,
    /// Where it came from at first: what the cache holds keeps the source that delivered it.
    #[serde(with = "word")]
    pub source: SourceKind,
    /// Taken from the cache, nothing was fetched or built.
    pub cached: bool,
    /// Nothing is left for [`Context::obtain`] to do: its checksum is pinned in `observe.lock`, or
    /// its source is one that is never pinned.
    pub settled: bool,
    pub coordinate: String,
    pub verification: Verification,
    /// Program → absolute path.
    pub programs: BTreeMap<String, PathBuf>,
    /// SHA-256 of the main program, in hexadecimal.
    pub digest: String,
    /// Sources asked before this one.
    pub passed_over: Vec<Attempt>,
}

/// Why the bytes are believed to be what they are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Verification {
    /// They have the checksum that their source publishes.
    Published { by: String },
    /// Built here from sources that have the checksum published for them.
    Built { by: String },
    /// Nothing was compared.
    Unverified { why: String },
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published { by } => write!(f, "verified: {by}"),
            Self::Built { by } => write!(f, "built here: {by}"),
            Self::Unverified { why } => write!(f, "unverified: {why}"),
        }
    }
}

/// A source that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    #[serde(with = "word")]
    pub source: SourceKind,
    /// Address, package or module; empty where the catalogue has none.
    pub coordinate: String,
    pub reason: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            coordinate,
            reason,
        } = self;
        let what = if coordinate.is_empty() {
            String::new()
        } else {
            format!(" ({coordinate})")
        };
        write!(f, "{}{what}: {reason}", source.word())
    }
}

impl fmt::Display for Installed {
    /// `prometheus 3.5.3 from debian (verified: …)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cached = if self.cached { ", cached" } else { "" };
        let Self {
            name,
            version,
            source,
            verification,
            ..
        } = self;
        write!(
            f,
            "{name} {version} from {}{cached} ({verification})",
            source.word()
        )
    }
}

/// A source as its word in JSON.
mod word {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::model::SourceKind;

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    pub fn serialize<S: Serializer>(source: &SourceKind, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(source.word())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SourceKind, D::Error> {
        let word = String::deserialize(from)?;
        let known = SourceKind::ALL.into_iter().find(|s| s.word() == word);
        known.ok_or_else(|| de::Error::custom(format!("`{word}` is no source")))
    }
}

/// Names of all components that the catalogue has.
pub fn known() -> Vec<String> {
    catalogue::Catalogue::embedded()
        .map(|catalogue| catalogue.names().map(String::from).collect())
        .unwrap_or_default()
}

/// The attempts that say something, and the sources that simply do not have the component.
pub fn telling(attempts: &[Attempt]) -> (Vec<&Attempt>, Vec<&'static str>) {
    let (tried, without): (Vec<&Attempt>, Vec<&Attempt>) = attempts
        .iter()
        .partition(|attempt| !attempt.coordinate.is_empty());
    if tried.is_empty() {
        return (without, Vec::new());
    }
    let words = without
        .iter()
        .map(|attempt| attempt.source.word())
        .collect();
    (tried, words)
}

/// What was tried, one source per line.
pub fn describe(attempts: &[Attempt]) -> String {
    let (tried, without) = telling(attempts);
    let mut out = "no source could give it:".to_owned();
    for attempt in tried {
        out.push_str(&format!("\n  {attempt}"));
    }
    if !without.is_empty() {
        out.push_str(&format!("\n  {}: none", without.join(", ")));
    }
    out
}

#[cfg(test)]
impl Installed {
    /// A component with one program of its own name.
    pub fn for_test(name: &str, version: &str, digest: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            source: SourceKind::Path,
            cached: false,
            settled: true,
            coordinate: name.into(),
            verification: Verification::Unverified {
                why: "a test".into(),
            },
            programs: [(name.to_string(), PathBuf::from("/usr/bin").join(name))].into(),
            digest: digest.into(),
            passed_over: Vec::new(),
        }
    }
}

impl Context {
    /// What is here already: no network, no build, nothing written but memos of digests. A build
    /// older than its sources is `Missing`, as is a cached program that was changed.
    ///
    /// # Errors
    /// An unknown component or version, a lock file that cannot be read, a cached component whose
    /// published checksum is not the pinned one.
    pub fn lookup(&self, name: &str, version: Option<&str>) -> Result<Lookup, ComponentError> {
        self.lookup_on(&Machine::this()?, name, version)
    }

    /// [`Context::lookup`] on a machine that is given.
    pub fn lookup_on(
        &self,
        machine: &Machine,
        name: &str,
        version: Option<&str>,
    ) -> Result<Lookup, ComponentError> {
        chain::lookup(&job::Job::new(self, machine, name, version)?)
    }

    /// Asks the chain. Blocks, for minutes when something is built. Safe to call for several
    /// components at once, from threads and processes. Says `done` to the progress exactly once
    /// unless it stops with an error.
    ///
    /// # Errors
    /// As [`Context::lookup`], and a checksum that differs, an archive that tries to leave its
    /// folder, a cache folder without space or permission. Nothing half done is left then.
    pub fn obtain(&self, name: &str, version: Option<&str>) -> Result<Outcome, ComponentError> {
        self.obtain_on(&Machine::this()?, name, version)
    }

    /// [`Context::obtain`] on a machine that is given.
    pub fn obtain_on(
        &self,
        machine: &Machine,
        name: &str,
        version: Option<&str>,
    ) -> Result<Outcome, ComponentError> {
        let start = Instant::now();
        let job = job::Job::new(self, machine, name, version)?;
        let outcome = chain::obtain(&job)?;
        let line = match &outcome {
            Outcome::Installed(installed) => {
                format!("{installed}, {:.1} s", start.elapsed().as_secs_f64())
            }
            // What was tried is told once, with the plan's outcome.
            Outcome::NotInstalled(_) => "not installed, see below".to_owned(),
        };
        self.progress.done(name, &line);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_what_was_tried() {
        let attempts = vec![
            Attempt {
                source: SourceKind::Path,
                coordinate: String::new(),
                reason: "grafana is not on PATH".into(),
            },
            Attempt {
                source: SourceKind::Archive,
                coordinate: "https://example.org/g.tar.gz".into(),
                reason: "could not resolve host example.org".into(),
            },
        ];
        assert_eq!(
            describe(&attempts),
            "no source could give it:\n  archive (https://example.org/g.tar.gz): could not resolve host example.org\n  path: none"
        );
        let json = serde_json::to_value(&attempts[1]).expect("json");
        assert_eq!(json["source"], "archive");
    }
}
