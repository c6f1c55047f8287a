//! The machine's apt sources as values: which Debian mirror it uses and which key signs it.
//! Both forms are read: one-line `sources.list` and deb822 `.sources` (sources.list(5)).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One entry: packages of `suites`, `components` below each of `uris`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AptSource {
    /// `deb`, `deb-src`.
    pub types: Vec<String>,
    pub uris: Vec<String>,
    pub suites: Vec<String>,
    pub components: Vec<String>,
    pub signed_by: Option<SignedBy>,
    pub enabled: bool,
}

/// What verifies the source. Absent: the machine's trusted keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// Key files or fingerprints, as written.
    Keys(String),
    /// An armoured key inside the entry, one line per element.
    Embedded(Vec<String>),
}

/// A Debian mirror of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub uri: String,
    pub signed_by: Option<SignedBy>,
}

/// Names under which a Debian archive publishes its main suites. Other vendors' archives on the
/// same machine, and security or backports suites, have other names.
const DEBIAN_SUITES: [&str; 11] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// The first enabled entry that is a Debian archive with its `main` packages.
pub fn debian_mirror(sources: &[AptSource]) -> Option<Mirror> {
    sources
        .iter()
        .filter(|s| s.enabled && s.types.iter().any(|t| t == "deb"))
        .filter(|s| s.components.iter().any(|c| c == "main"))
        .filter(|s| {
            s.suites
                .iter()
                .any(|suite| DEBIAN_SUITES.contains(&suite.as_str()))
        })
        .find_map(|s| {
            let uri = s.uris.iter().find(|u| !u.starts_with("cdrom:"))?;
            Some(Mirror {
                uri: uri.clone(),
                signed_by: s.signed_by.clone(),
            })
        })
}

/// Reads all sources below `etc` in apt's own order. Files that cannot be read are skipped, as
/// there may be several; an empty list is reported by the caller.
pub fn read_sources(etc: &Path) -> Vec<AptSource> {
    let mut files = vec![etc.join("sources.list")];
    let mut parts: Vec<_> = fs::read_dir(etc.join("sources.list.d"))
        .into_iter()
        .flatten()
        .filter_map(|f| Some(f.ok()?.path()))
        .collect();
    parts.sort();
    files.extend(parts);
    files
        .iter()
        .filter_map(|file| {
            let text = fs::read(file).ok()?;
            let text = String::from_utf8_lossy(&text);
            match file.extension()?.to_str()? {
                "list" => Some(parse_list(&text)),
                "sources" => Some(parse_deb822(&text)),
                _ => None,
            }
        })
        .flatten()
        .collect()
}

/// The one-line form: `deb [signed-by=/a/key.gpg arch=amd64] URI SUITE COMPONENT…`.
pub fn parse_list(text: &str) -> Vec<AptSource> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<AptSource> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    if kind != "deb" && kind != "deb-src" {
        return None;
    }
    let mut rest = rest.trim_start();
    let mut signed_by = None;
    if let Some(inside) = rest.strip_prefix('[') {
        let (options, after) = inside.split_once(']')?;
        signed_by = options
            .split_whitespace()
            .filter_map(|o| o.split_once('='))
            .find(|(key, _)| key.eq_ignore_ascii_case("signed-by"))
            .map(|(_, value)| SignedBy::Keys(value.to_string()));
        rest = after.trim_start();
    }
    let mut words = words_with_brackets(rest).into_iter();
    let (uri, suite) = (words.next()?, words.next()?);
    Some(AptSource {
        types: vec![kind.into()],
        uris: vec![uri],
        suites: vec![suite],
        components: words.collect(),
        signed_by,
        enabled: true,
    })
}

/// Words separated by blanks, where `[…]` holds blanks together (`cdrom:[Debian 12]/`).
fn words_with_brackets(text: &str) -> Vec<String> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        if c.is_whitespace() && !inside {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The deb822 form: stanzas of `Field: value` lines.
pub fn parse_deb822(text: &str) -> Vec<AptSource> {
    stanzas(text)
        .into_iter()
        .filter_map(|fields| {
            let words = |name: &str| -> Vec<String> {
                fields
                    .get(name)
                    .map(|lines| {
                        lines
                            .iter()
                            .flat_map(|l| l.split_whitespace())
                            .map(String::from)
                    })
                    .into_iter()
                    .flatten()
                    .collect()
            };
            let uris = words("uris");
            if uris.is_empty() {
                return None;
            }
            let enabled = words("enabled").first().is_none_or(|w| {
                !["no", "false", "0", "off", "without", "disable"]
                    .contains(&w.to_lowercase().as_str())
            });
            Some(AptSource {
                types: words("types"),
                uris,
                suites: words("suites"),
                components: words("components"),
                signed_by: fields.get("signed-by").and_then(|lines| signed_by(lines)),
                enabled,
            })
        })
        .collect()
}

fn signed_by(lines: &[String]) -> Option<SignedBy> {
    if lines.iter().any(|l| l.contains("BEGIN PGP")) {
        let key = lines.iter().filter(|l| !l.is_empty());
        return Some(SignedBy::Embedded(key.cloned().collect()));
    }
    let keys: Vec<&str> = lines.iter().flat_map(|l| l.split_whitespace()).collect();
    (!keys.is_empty()).then(|| SignedBy::Keys(keys.join(" ")))
}

/// The stanzas of a control file: lower-case field name → its lines, the first being what stands
/// behind the colon. Comment lines are dropped.
pub fn stanzas(text: &str) -> Vec<BTreeMap<String, Vec<String>>> {
    let mut all = Vec::new();
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !fields.is_empty() {
                all.push(std::mem::take(&mut fields));
            }
            current = None;
        } else if line.starts_with([' ', '\t']) {
            if let Some(lines) = current.as_ref().and_then(|name| fields.get_mut(name)) {
                lines.push(line.trim().to_string());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            let name = name.trim().to_ascii_lowercase();
            fields.insert(name.clone(), vec![value.trim().to_string()]);
            current = Some(name);
        }
    }
    if !fields.is_empty() {
        all.push(fields);
    }
    all
}

impl Mirror {
    /// A deb822 source file with only this mirror's `suite`. Nothing that loosens verification is
    /// ever taken over from the machine's own entry (`Trusted: yes`, `Allow-Insecure: yes`).
    pub fn source_file(&self, suite: &str, arch: &str) -> String {
        let mut out = format!(
            "Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\nArchitectures: {arch}\n",
            self.uri
        );
        match &self.signed_by {
            Some(SignedBy::Keys(keys)) => out.push_str(&format!("Signed-By: {keys}\n")),
            Some(SignedBy::Embedded(lines)) => {
                out.push_str("Signed-By:\n");
                for line in lines {
                    out.push_str(&format!(" {line}\n"));
                }
            }
            None => {}
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOOKWORM: &str = "\
Types: deb
# a snapshot address stood here
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
";

    #[test]
    fn reads_a_container_image() {
        let sources = parse_deb822(BOOKWORM);
        assert_eq!(sources.len(), 2);
        assert_eq!(
            debian_mirror(&sources),
            Some(Mirror {
                uri: "http://mirror.example/debian".into(),
                signed_by: Some(SignedBy::Keys(
                    "/usr/share/keyrings/debian-archive-keyring.gpg".into()
                )),
            })
        );
    }

    #[test]
    fn reads_one_line_sources() {
        let text = "# comment\ndeb cdrom:[Debian 12 _Bookworm_]/ bookworm main\n\
            deb-src http://a/debian bookworm main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://b/debian bookworm main contrib # why\n\
            deb https://vendor.example/apt stable main\nrubbish\n";
        let sources = parse_list(text);
        assert_eq!(sources.len(), 4);
        assert_eq!(
            debian_mirror(&sources),
            Some(Mirror {
                uri: "http://b/debian".into(),
                signed_by: Some(SignedBy::Keys("/k.gpg".into()))
            })
        );
    }

    #[test]
    fn other_vendors_and_disabled_entries_are_no_debian_mirror() {
        let ubuntu = parse_list("deb http://u/ubuntu jammy main universe\n");
        assert_eq!(debian_mirror(&ubuntu), None);
        let cloud = parse_list("deb https://p/apt cloud-sdk-bookworm main\n");
        assert_eq!(debian_mirror(&cloud), None);
        let off = parse_deb822(
            "Enabled: no\nTypes: deb\nURIs: http://a\nSuites: sid\nComponents: main\n",
        );
        assert_eq!(debian_mirror(&off), None);
        let security = parse_list("deb http://s/debian-security bookworm-security main\n");
        assert_eq!(debian_mirror(&security), None);
    }

    #[test]
    fn an_embedded_key_is_carried_over_and_trust_is_not() {
        let text = "Types: deb\nURIs: http://a/debian\nSuites: sid\nComponents: main\nTrusted: yes\n\
            Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEX\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let mirror = debian_mirror(&parse_deb822(text)).expect("a mirror");
        let file = mirror.source_file("forky", "amd64");
        assert!(file.ends_with(
            "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEX\n -----END PGP PUBLIC KEY BLOCK-----\n"
        ), "{file}");
        assert!(!file.contains("Trusted"));
        assert_eq!(parse_deb822(&file)[0].signed_by, mirror.signed_by);
    }

    proptest! {
        #[test]
        fn never_panics(text in "([A-Za-z-]{1,8}: ?[\\PC]{0,20}\n|[ \\t#\\[\\]=]{0,3}[\\PC]{0,20}\n){0,8}") {
            let _ = parse_list(&text);
            let _ = parse_deb822(&text);
        }

        #[test]
        fn what_it_writes_it_reads(uri in "https?://[a-z.]{1,12}/[a-z/]{0,8}", key in proptest::option::of("/[a-z/]{1,12}\\.gpg")) {
            let mirror = Mirror { uri, signed_by: key.map(SignedBy::Keys) };
            let read = parse_deb822(&mirror.source_file("forky", "amd64"));
            prop_assert_eq!(debian_mirror(&read), Some(mirror));
        }

        #[test]
        fn one_line_fields_come_back(uri in "[a-z]{2,5}://[a-z.]{1,10}", suite in "[a-z]{1,8}", parts in proptest::collection::vec("[a-z]{1,6}", 0..3)) {
            let read = parse_list(&format!("deb  {uri}\t{suite}  {}\n", parts.join(" ")));
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(&read[0].uris, &vec![uri]);
            prop_assert_eq!(&read[0].suites, &vec![suite]);
            prop_assert_eq!(&read[0].components, &parts);
        }
    }
}
