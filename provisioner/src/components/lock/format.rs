//! The text of `observe.lock`: sorted nested maps with every value quoted, so that a diff shows
//! only what changed and no version turns into a number. Damage is reported with its position.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::{Corrupt, PinKey, Pins};
use crate::model::SourceKind;

const HEADER: &str = "\
# Written by kai-observe: what each source published as checksum when a component was first used.
# Keep it in version control; a source that publishes something else later is refused.
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Raw {
    lock_version: LockVersion,
    components: Unique<String, Unique<Source, Versions>>,
}

type Versions = Unique<String, Unique<Place, RawPin>>;
type RawPin = Unique<String, Checksum>;

/// A map that refuses a key said twice: of two pins nobody could say which one counts.
struct Unique<K, V>(BTreeMap<K, V>);

impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Deserialize<'de>
    for Unique<K, V>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de> + Ord + fmt::Display, V: Deserialize<'de>> Visitor<'de>
            for Entries<K, V>
        {
            type Value = Unique<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(key) = map.next_key::<K>()? {
                    if entries.contains_key(&key) {
                        return Err(de::Error::custom(format!("`{key}` is there twice")));
                    }
                    entries.insert(key, map.next_value()?);
                }
                Ok(Unique(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Only what this build understands; a later format must not be half read and rewritten.
struct LockVersion;

impl<'de> Deserialize<'de> for LockVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(de::Error::custom(format!(
                "lockVersion {other} is not known to this kai-observe, which reads 1"
            ))),
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Source(SourceKind);

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        SourceKind::ALL
            .into_iter()
            .filter(|s| is_pinned(*s))
            .find(|s| s.word() == word)
            .map(Self)
            .ok_or_else(|| {
                de::Error::custom(format!(
                    "`{word}` is no source with checksums; archive, debian, go and maven are"
                ))
            })
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place(String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once('/') {
            Some((os, arch)) if !os.is_empty() && !arch.is_empty() => Ok(Self(text)),
            _ => Err(de::Error::custom(format!(
                "`{text}` is no platform; write linux/amd64"
            ))),
        }
    }
}

struct Checksum(String);

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if is_checksum(&text) {
            Ok(Self(text))
        } else {
            Err(de::Error::custom(format!(
                "`{text}` is no checksum; write sha256:…, sha512:…, sha1:… or h1:…"
            )))
        }
    }
}

/// `sha256:`, `sha512:`, `sha1:` with so many hexadecimal digits, or Go's `h1:` with base64.
pub fn is_checksum(text: &str) -> bool {
    let hex = |value: &str, n| value.len() == n && value.bytes().all(|b| b.is_ascii_hexdigit());
    match text.split_once(':') {
        Some(("sha256", value)) => hex(value, 64),
        Some(("sha512", value)) => hex(value, 128),
        Some(("sha1", value)) => hex(value, 40),
        Some(("h1", value)) => {
            value.len() == 44
                && value.ends_with('=')
                && value[..43]
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        }
        _ => false,
    }
}

/// PATH and the workspace publish nothing, the cache holds what others published.
fn is_pinned(source: SourceKind) -> bool {
    match source {
        SourceKind::Workspace | SourceKind::Path | SourceKind::Cache => false,
        SourceKind::Archive | SourceKind::Debian | SourceKind::Go | SourceKind::Maven => true,
    }
}

impl Pins {
    /// Reads the text of a lock file.
    pub fn parse(text: &str) -> Result<Self, Corrupt> {
        if text.trim().is_empty() {
            return Err(Corrupt {
                line: 1,
                column: 1,
                reason: "the file is empty".into(),
            });
        }
        let raw: Raw = serde_yaml::from_str(text).map_err(|error| {
            let (line, column) = error
                .location()
                .map_or((1, 1), |l| (l.line() as u64, l.column() as u64));
            Corrupt {
                line,
                column,
                reason: reason_of(&error.to_string()),
            }
        })?;
        let LockVersion = raw.lock_version;
        let mut pins = BTreeMap::new();
        for (component, sources) in raw.components.0 {
            for (source, versions) in sources.0 {
                for (version, platforms) in versions.0 {
                    for (platform, checksums) in platforms.0 {
                        let key = PinKey {
                            component: component.clone(),
                            source: source.0,
                            version: version.clone(),
                            platform: platform.0,
                        };
                        pins.insert(
                            key,
                            checksums.0.into_iter().map(|(k, v)| (k, v.0)).collect(),
                        );
                    }
                }
            }
        }
        Ok(Self(pins))
    }

    /// The text that `parse` reads back.
    pub fn render(&self) -> String {
        let mut out = format!("{HEADER}lockVersion: 1\ncomponents:");
        if self.0.is_empty() {
            out.push_str(" {}\n");
            return out;
        }
        out.push('\n');
        let (mut component, mut source, mut version) = (None, None, None);
        for (key, checksums) in &self.0 {
            if component != Some(&key.component) {
                out.push_str(&format!("  {}:\n", quote(&key.component)));
                (component, source, version) = (Some(&key.component), None, None);
            }
            if source != Some(key.source) {
                out.push_str(&format!("    {}:\n", key.source.word()));
                (source, version) = (Some(key.source), None);
            }
            if version != Some(&key.version) {
                out.push_str(&format!("      {}:\n", quote(&key.version)));
                version = Some(&key.version);
            }
            if checksums.is_empty() {
                out.push_str(&format!("        {}: {{}}\n", quote(&key.platform)));
                continue;
            }
            out.push_str(&format!("        {}:\n", quote(&key.platform)));
            for (file, checksum) in checksums {
                out.push_str(&format!("          {}: {}\n", quote(file), quote(checksum)));
            }
        }
        out
    }
}

/// A YAML double-quoted text. JSON's escapes are a subset of YAML's, but YAML 1.1 breaks lines at
/// more characters than JSON escapes.
fn quote(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{85}', "\\u0085")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// The parser's message without its own copy of the position.
fn reason_of(message: &str) -> String {
    let line = message.lines().next().unwrap_or("unreadable");
    line.find(" at line ")
        .map_or(line, |at| &line[..at])
        .to_string()
}
