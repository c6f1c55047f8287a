//! `observe.lock`: the checksums that sources published when a component was first used. A source
//! that publishes another one later is refused. Nothing in it is computed from a download.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

mod format;

pub use format::is_checksum;

use super::error::{ChecksumDiffers, ComponentError, is_no_space, no_space};
use super::guard::Guard;
use super::machine::Platform;
use super::place::write_atomically;
use super::version::Version;
use crate::model::SourceKind;

/// Which thing of which source a pin is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinKey {
    pub component: String,
    pub source: SourceKind,
    /// As the source calls it: `3.5.3+ds1-6` for a Debian package.
    pub version: String,
    /// `linux/amd64`.
    pub platform: String,
}

impl PinKey {
    pub fn new(component: &str, source: SourceKind, version: &str, platform: &Platform) -> Self {
        Self {
            component: component.into(),
            source,
            version: version.into(),
            platform: platform.to_string(),
        }
    }
}

/// File, package or module → `algorithm:value` as published.
pub type Checksums = BTreeMap<String, String>;

/// All pins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<PinKey, Checksums>);

/// What is wrong with a lock file, and where (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrupt {
    pub line: u64,
    pub column: u64,
    pub reason: String,
}

impl Pins {
    /// Reads the file; without one there are no pins.
    pub fn read(path: &Path) -> Result<Self, ComponentError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(ComponentError::LockUnreadable {
                    path: path.into(),
                    source,
                });
            }
        };
        let corrupt = |c: Corrupt| ComponentError::LockCorrupt {
            path: path.into(),
            line: c.line,
            column: c.column,
            reason: c.reason,
        };
        let text = std::str::from_utf8(&bytes).map_err(|e| corrupt(not_utf8(&bytes, e)))?;
        Self::parse(text).map_err(corrupt)
    }

    pub fn get(&self, key: &PinKey) -> Option<&Checksums> {
        self.0.get(key)
    }

    /// Whether all of `checksums` are pinned under `key`.
    pub fn has(&self, key: &PinKey, checksums: &Checksums) -> bool {
        self.get(key)
            .is_some_and(|pinned| checksums.iter().all(|(k, v)| pinned.get(k) == Some(v)))
    }

    pub fn insert(&mut self, key: PinKey, checksums: Checksums) {
        self.0.insert(key, checksums);
    }

    /// The newest version pinned for this component, source and platform that `accepts` takes.
    pub fn newest(
        &self,
        component: &str,
        source: SourceKind,
        platform: &Platform,
        accepts: impl Fn(&Version) -> bool,
    ) -> Option<&str> {
        let platform = platform.to_string();
        self.0
            .keys()
            .filter(|k| k.component == component && k.source == source && k.platform == platform)
            .filter_map(|k| Some((Version::parse(&k.version)?, k.version.as_str())))
            .filter(|(version, _)| accepts(version))
            .max()
            .map(|(_, text)| text)
    }
}

/// Compares what a source publishes with the pin; equal or not pinned yet is fine.
pub fn compare(
    pins: &Pins,
    key: &PinKey,
    published: &Checksums,
    by: &str,
) -> Result<(), ComponentError> {
    let Some(pinned) = pins.get(key) else {
        return Ok(());
    };
    let differing = published.iter().find(|(file, sum)| {
        pinned
            .get(*file)
            .is_none_or(|p| !p.eq_ignore_ascii_case(sum))
    });
    let Some((file, found)) = differing else {
        return Ok(());
    };
    let expected = pinned.get(file).map_or("nothing for it", String::as_str);
    Err(ChecksumDiffers {
        component: format!(
            "{} {} from {} on {}",
            key.component,
            key.version,
            key.source.word(),
            key.platform
        ),
        file: file.clone(),
        expected_by: "observe.lock pins".into(),
        expected: expected.into(),
        found_by: by.into(),
        found: found.clone(),
        advice: "a release is never replaced in place by an honest vendor, so find out who changed \
                 it; only when the change is explained, remove that entry from observe.lock and run \
                 again"
            .into(),
    }
    .into())
}

/// Pins `checksums` in the file unless they are there; another process' pins are kept. The file
/// is written whole or not at all, and not touched when it says the same already.
pub fn pin(
    file: &Path,
    cache: &Path,
    key: PinKey,
    checksums: &Checksums,
) -> Result<(), ComponentError> {
    if checksums.is_empty() || Pins::read(file)?.has(&key, checksums) {
        return Ok(());
    }
    let name = format!(
        "observe-lock-{}",
        &super::digest::hex_sha256(&file.to_string_lossy())[..16]
    );
    let _guard = Guard::acquire(cache, &name, &mut |_| {})?;
    let mut pins = Pins::read(file)?;
    compare(&pins, &key, checksums, "the source publishes")?;
    if pins.has(&key, checksums) {
        return Ok(());
    }
    pins.0.entry(key).or_default().extend(checksums.clone());
    // A link stays a link: the file that it leads to is what is kept in version control.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
    write_atomically(&target, pins.render().as_bytes()).map_err(|source| {
        if is_no_space(&source) {
            return no_space(&target, None);
        }
        ComponentError::LockUnwritable {
            path: file.into(),
            source,
        }
    })
}

fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Corrupt {
    let lines: Vec<&[u8]> = bytes[..error.valid_up_to()]
        .split(|b| *b == b'\n')
        .collect();
    let column = lines.last().map_or(0, |l| l.len()) as u64 + 1;
    Corrupt {
        line: lines.len() as u64,
        column,
        reason: "not UTF-8 text".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(component: &str, source: SourceKind, version: &str) -> PinKey {
        PinKey::new(
            component,
            source,
            version,
            &Platform {
                os: "linux".into(),
                arch: "amd64".into(),
            },
        )
    }

    fn sums(file: &str, digit: char) -> Checksums {
        [(
            file.to_string(),
            format!("sha256:{}", digit.to_string().repeat(64)),
        )]
        .into()
    }

    #[test]
    fn reads_what_it_writes() {
        let mut pins = Pins::default();
        assert_eq!(Pins::parse(&pins.render()), Ok(pins.clone()));
        pins.insert(
            key("prometheus", SourceKind::Debian, "3.5.3+ds1-6"),
            sums("p.deb", 'a'),
        );
        pins.insert(
            key("prometheus", SourceKind::Archive, "3.10"),
            sums("p.tar.gz", 'b'),
        );
        let h1 = "h1:eAmIC42lzbWslHkMt693T36qdxfyZULswiHr681YS3Q=".to_string();
        pins.insert(
            key("alertmanager", SourceKind::Go, "0.31.1"),
            [("github.com/x@v0.31.1".to_string(), h1)].into(),
        );
        let text = pins.render();
        assert_eq!(Pins::parse(&text), Ok(pins));
        assert!(
            text.contains("\n      \"3.10\":\n        \"linux/amd64\":\n"),
            "{text}"
        );
        assert!(
            text.find("alertmanager") < text.find("prometheus"),
            "{text}"
        );
    }

    #[test]
    fn says_where_a_lock_file_is_broken() {
        let at = |text: &str| {
            let c = Pins::parse(text).expect_err("corrupt");
            (c.line, c.column, c.reason)
        };
        let (line, column, reason) = at(
            "lockVersion: 1\ncomponents:\n  p:\n    archive:\n      \"1\":\n        linux/amd64:\n          f: sha256:12\n",
        );
        assert_eq!((line, column), (7, 11), "{reason}");
        assert!(reason.contains("`sha256:12` is no checksum"), "{reason}");
        let (line, _, reason) = at("lockVersion: 1\ncomponents:\n<<<<<<< HEAD\n  p: {}\n");
        assert!(line >= 2, "{line} {reason}");
        let (line, _, reason) = at("lockVersion: 2\ncomponents: {}\n");
        assert_eq!(line, 1);
        assert!(reason.contains("lockVersion 2 is not known"), "{reason}");
        let (_, _, reason) = at("lockVersion: 1\ncomponents: {p: {path: {}}}\n");
        assert!(
            reason.contains("`path` is no source with checksums"),
            "{reason}"
        );
        assert_eq!(at("").2, "the file is empty");
        // The parser tells where the map begins; the key is named.
        let (line, _, reason) = at("lockVersion: 1\ncomponents:\n  p: {}\n  p: {}\n");
        assert_eq!(
            (line, reason.as_str()),
            (3, "components: `p` is there twice")
        );
    }

    #[test]
    fn pins_at_first_use_and_keeps_other_platforms() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, cache) = (dir.path().join("observe.lock"), dir.path().join("cache"));
        let first = key("p", SourceKind::Archive, "3.0.0");
        let arm = PinKey {
            platform: "linux/arm64".into(),
            ..first.clone()
        };
        pin(&file, &cache, first.clone(), &sums("f", 'a')).expect("pinned");
        pin(&file, &cache, arm.clone(), &sums("f", 'b')).expect("pinned");
        let before = fs::metadata(&file)
            .expect("there")
            .modified()
            .expect("a time");
        pin(&file, &cache, first.clone(), &sums("f", 'a')).expect("the same");
        assert_eq!(
            fs::metadata(&file)
                .expect("there")
                .modified()
                .expect("a time"),
            before
        );
        let error = pin(&file, &cache, first.clone(), &sums("f", 'c')).expect_err("differs");
        let text = error.to_string();
        assert!(
            text.contains("checksum of f differs: observe.lock pins sha256:aaaa"),
            "{text}"
        );
        assert!(text.contains("the source publishes sha256:cccc"), "{text}");
        let pins = Pins::read(&file).expect("readable");
        assert_eq!(
            (pins.get(&first), pins.get(&arm)),
            (Some(&sums("f", 'a')), Some(&sums("f", 'b')))
        );
        let linux = Platform {
            os: "linux".into(),
            arch: "arm64".into(),
        };
        assert_eq!(
            pins.newest("p", SourceKind::Archive, &linux, |_| true),
            Some("3.0.0")
        );
        assert_eq!(pins.newest("p", SourceKind::Go, &linux, |_| true), None);
    }

    #[test]
    fn bytes_that_are_no_text_have_a_position() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("observe.lock");
        fs::write(&file, b"lockVersion: 1\ncomp\xff").expect("a file");
        let text = Pins::read(&file).expect_err("corrupt").to_string();
        assert!(
            text.contains("observe.lock:2:5: not UTF-8 text; "),
            "{text}"
        );
    }

    fn any_pin() -> impl Strategy<Value = (PinKey, Checksums)> {
        let source = prop::sample::select(vec![
            SourceKind::Archive,
            SourceKind::Debian,
            SourceKind::Go,
            SourceKind::Maven,
        ]);
        let checksum = prop_oneof![
            "sha256:[0-9a-f]{64}",
            "sha1:[0-9a-f]{40}",
            "h1:[A-Za-z0-9+/]{43}="
        ];
        let sums = prop::collection::btree_map("\\PC{1,12}", checksum, 0..3);
        (
            "\\PC{1,10}",
            source,
            "[0-9]{1,2}(\\.[0-9]{1,2}){0,2}(\\+ds)?",
            sums,
        )
            .prop_map(|(component, source, version, sums)| {
                (key(&component, source, &version), sums)
            })
    }

    proptest! {
        #[test]
        fn round_trip(pins in prop::collection::btree_map(any_pin().prop_map(|(k, _)| k), any_pin().prop_map(|(_, s)| s), 0..6)) {
            let pins = Pins(pins);
            prop_assert_eq!(Pins::parse(&pins.render()), Ok(pins));
        }

        #[test]
        fn never_panics(text in "\\PC{0,120}") {
            let _ = Pins::parse(&text);
        }

        #[test]
        fn never_panics_on_damage(cut in 0usize..400, junk in "[:{}\\[\\]\"\\n a-z]{0,6}") {
            let mut pins = Pins::default();
            pins.insert(key("prometheus", SourceKind::Debian, "3.5.3+ds1-6"), sums("p.deb", 'a'));
            let text = pins.render();
            let mut cut = cut.min(text.len());
            while !text.is_char_boundary(cut) { cut -= 1; }
            let _ = Pins::parse(&format!("{}{junk}{}", &text[..cut], &text[cut..]));
            let _ = Pins::parse(&text[..cut]);
        }
    }
}
