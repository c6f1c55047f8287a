//! The catalogue: which components exist and under which coordinate each source has them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::error::ComponentError;
use super::version::Version;
use crate::model::SourceKind;

const EMBEDDED: &str = include_str!("../../components.yaml");

/// The version of this program; what `self` in the catalogue stands for.
pub const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// All known components by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    components: BTreeMap<String, Component>,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Component {
    /// Half a sentence for people.
    pub about: String,
    /// What the component brings; the first is the main program.
    pub programs: Vec<String>,
    pub version: VersionRules,
    pub workspace: Option<WorkspaceSource>,
    /// Program → the names under which it may lie on PATH.
    pub path: Option<BTreeMap<String, Vec<String>>>,
    pub archive: Option<ArchiveSource>,
    pub debian: Option<DebianSource>,
    pub go: Option<GoSource>,
    pub maven: Option<MavenSource>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VersionRules {
    pub default: String,
    pub minimum: String,
    /// What makes the program print its version; empty when nothing cheap does.
    #[serde(default = "dash_dash_version")]
    pub arguments: Vec<String>,
}

fn dash_dash_version() -> Vec<String> {
    vec!["--version".into()]
}

/// Built from this checkout, or beside the running program. The program's name says it all.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceSource {}

/// A release archive of the vendor with its published checksums.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSource {
    /// `os-arch` pairs that the vendor publishes.
    pub platforms: Vec<String>,
    /// Address of the folder; a mirror replaces it by `<mirror>/<name>/<version>`.
    pub folder: String,
    pub file: String,
    /// File beside the archive that holds the checksums.
    pub sums: String,
    pub algorithm: Algorithm,
    /// Program → path inside the archive.
    pub programs: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub fn word(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the checksum in hexadecimal digits.
    pub fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// Debian packages of one suite, unpacked without being installed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebianSource {
    pub suite: String,
    /// The first gives the component's version.
    pub packages: Vec<String>,
    /// Program → path inside the packages.
    pub programs: BTreeMap<String, String>,
    /// Paths of the machine without which the unpacked program does not work.
    #[serde(default)]
    pub needs: Vec<String>,
}

/// A Go module, built here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GoSource {
    pub module: String,
    /// Template of the module's version.
    pub module_version: Option<String>,
    /// Versions whose module version follows no template.
    #[serde(default)]
    pub module_versions: BTreeMap<String, String>,
    /// Program → package path.
    pub packages: BTreeMap<String, String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub ldflags: String,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Built from a module of our own that requires it, because `go install` refuses its go.mod.
    #[serde(default)]
    pub wrapper: bool,
    /// Template of the version at which the modules are published that its go.mod replaces by
    /// folders of its own repository (Kubernetes' `staging`); only with `wrapper`.
    pub folder_modules: Option<String>,
}

/// A zip artifact of a Maven repository.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MavenSource {
    pub group: String,
    pub artifact: String,
    pub extension: String,
    /// Major version → the oldest Java that it runs on, where the artifact brings none.
    #[serde(default)]
    pub java: BTreeMap<u64, u32>,
    /// Program → path inside the artifact.
    pub programs: BTreeMap<String, String>,
}

impl MavenSource {
    /// The oldest Java for `version`; `None` when it needs none of its own.
    pub fn java(&self, version: &Version) -> Option<u32> {
        self.java.get(&version.number(0)).copied()
    }
}

impl Catalogue {
    /// The catalogue built into this program.
    pub fn embedded() -> Result<&'static Self, ComponentError> {
        static PARSED: OnceLock<Result<Catalogue, String>> = OnceLock::new();
        match PARSED.get_or_init(|| Self::parse(EMBEDDED)) {
            Ok(catalogue) => Ok(catalogue),
            Err(reason) => Err(ComponentError::Catalogue(reason.clone())),
        }
    }

    /// Reads a catalogue and checks what the types cannot say.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut components: BTreeMap<String, Component> =
            serde_yaml::from_str(text).map_err(|e| e.to_string())?;
        for (name, component) in &mut components {
            component.resolve_self();
            component
                .check()
                .map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(Self { components })
    }

    /// The component called `name`, or an error that names the nearest one.
    pub fn get(&self, name: &str) -> Result<&Component, ComponentError> {
        self.components
            .get(name)
            .ok_or_else(|| ComponentError::Unknown {
                name: name.into(),
                nearest: nearest(name, self.names()),
            })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.components.keys().map(String::as_str)
    }
}

impl Component {
    fn resolve_self(&mut self) {
        for text in [&mut self.version.default, &mut self.version.minimum] {
            if text == "self" {
                *text = OWN_VERSION.into();
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.programs.is_empty() {
            return Err("no program".into());
        }
        let default = Version::parse(&self.version.default).ok_or("default is no version")?;
        let minimum = Version::parse(&self.version.minimum).ok_or("minimum is no version")?;
        if default < minimum {
            return Err("the default version is below the minimum".into());
        }
        let per_source = [
            self.path.as_ref().map(|p| p.keys().collect::<Vec<_>>()),
            self.archive.as_ref().map(|s| s.programs.keys().collect()),
            self.debian.as_ref().map(|s| s.programs.keys().collect()),
            self.go.as_ref().map(|s| s.packages.keys().collect()),
            self.maven.as_ref().map(|s| s.programs.keys().collect()),
        ];
        for programs in per_source.into_iter().flatten() {
            if self.programs.iter().any(|p| !programs.contains(&p)) {
                return Err("a source does not have every program".into());
            }
        }
        if self.debian.as_ref().is_some_and(|d| d.packages.is_empty()) {
            return Err("debian without packages".into());
        }
        if (self.go.as_ref()).is_some_and(|g| g.folder_modules.is_some() && !g.wrapper) {
            return Err("folderModules without wrapper".into());
        }
        Ok(())
    }

    /// The main program's name.
    pub fn main(&self) -> &str {
        self.programs.first().map_or("", String::as_str)
    }

    /// The oldest version that works with our configuration. `check` made sure that it parses.
    pub fn minimum(&self) -> Option<Version> {
        Version::parse(&self.version.minimum)
    }

    /// Whether the catalogue has a coordinate for `source`.
    pub fn has(&self, source: SourceKind) -> bool {
        match source {
            SourceKind::Workspace => self.workspace.is_some(),
            SourceKind::Path => self.path.is_some(),
            SourceKind::Cache => {
                self.archive.is_some()
                    || self.debian.is_some()
                    || self.go.is_some()
                    || self.maven.is_some()
            }
            SourceKind::Archive => self.archive.is_some(),
            SourceKind::Debian => self.debian.is_some(),
            SourceKind::Go => self.go.is_some(),
            SourceKind::Maven => self.maven.is_some(),
        }
    }
}

/// Fills a template of the catalogue.
pub fn fill(template: &str, version: &str, platform: &super::Platform) -> String {
    let parsed = Version::parse(version);
    let number = |n| parsed.as_ref().map_or(0, |v| v.number(n));
    template
        .replace("{version}", version)
        .replace("{major}", &number(0).to_string())
        .replace("{minor2}", &format!("{:02}", number(1)))
        .replace("{minor}", &number(1).to_string())
        .replace("{patch}", &number(2).to_string())
        .replace("{os}", &platform.os)
        .replace("{arch}", &platform.arch)
        .replace("{machine}", platform.machine())
        .replace("{processor}", platform.processor())
}

/// The known name with the fewest edits, when it is close enough to be a slip of the hand.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|k| (distance(name, k), k))
        .min()
        .filter(|(edits, k)| *edits <= (k.len() / 3).max(1))
        .map(|(_, k)| k.to_string())
}

/// Levenshtein distance over characters, case ignored.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::Platform;

    fn linux() -> Platform {
        Platform {
            os: "linux".into(),
            arch: "amd64".into(),
        }
    }

    #[test]
    fn the_embedded_catalogue_is_sound() {
        let catalogue = Catalogue::embedded().expect("parses");
        for name in [
            "kai-agent",
            "kai-observe",
            "ticketing",
            "prometheus",
            "alertmanager",
        ] {
            assert!(catalogue.get(name).is_ok(), "{name}");
        }
        for component in catalogue.components.values() {
            if let Some(source) = &component.archive {
                for text in [&source.folder, &source.file, &source.sums] {
                    assert!(!fill(text, "1.2.3", &linux()).contains('{'), "{text}");
                }
                assert!(source.folder.starts_with("https://"));
            }
        }
    }

    #[test]
    fn templates_follow_the_module_numbers() {
        assert_eq!(
            fill("v0.{major}{minor2}.{patch}", "3.5.3", &linux()),
            "v0.305.3"
        );
        assert_eq!(
            fill("v0.{major}{minor2}.{patch}", "3.16.0", &linux()),
            "v0.316.0"
        );
        assert_eq!(
            fill("{os}-{arch}-{machine}", "1", &linux()),
            "linux-amd64-x86_64"
        );
    }

    #[test]
    fn unknown_names_get_the_nearest_one() {
        let catalogue = Catalogue::embedded().expect("parses");
        let say = |name| catalogue.get(name).expect_err("unknown").to_string();
        assert_eq!(
            say("promethues"),
            "unknown component `promethues`; did you mean `prometheus`?"
        );
        assert_eq!(say("zzz"), "unknown component `zzz`");
    }

    #[test]
    fn a_source_without_every_program_is_refused() {
        let text = "x:\n  about: y\n  programs: [a, b]\n  version: { default: '1', minimum: '1' }\n  path: { a: [a] }\n";
        assert_eq!(
            Catalogue::parse(text),
            Err("x: a source does not have every program".into())
        );
        assert!(Catalogue::parse("x: { abuot: y }").is_err());
    }

    proptest::proptest! {
        #[test]
        fn distance_is_symmetric_and_zero_for_equals(a in "[a-z-]{0,10}", b in "[a-z-]{0,10}") {
            proptest::prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            proptest::prop_assert_eq!(distance(&a, &a), 0);
        }
    }
}
