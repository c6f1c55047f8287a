//! What a rotation calls a file: `app.log.1`, `app.log-20261130`, `app.log.20261130-123000`,
//! `app-2026-11-30.log`, `app.1.log`, each perhaps compressed.

/// What rotation leaves behind when it has compressed a file.
const COMPRESSED: [&str; 12] = [
    "gz", "zst", "zstd", "bz2", "xz", "lz4", "lzma", "lzo", "zip", "z", "br", "7z",
];

/// Whether a name says that the content is compressed.
pub fn is_compressed(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| {
        COMPRESSED
            .iter()
            .any(|known| end.eq_ignore_ascii_case(known))
    })
}

/// Whether bytes at a file's beginning say that it is compressed: a rotation that is at work writes
/// under names that do not tell (kubelet's `….tmp`).
pub fn looks_compressed(first: &[u8]) -> bool {
    const MAGIC: [&[u8]; 6] = [
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
        b"\xfd7zXZ\0",
        b"BZh91AY&SY",
        b"\x04\x22\x4d\x18",
        b"PK\x03\x04",
    ];
    MAGIC.iter().any(|magic| first.starts_with(magic))
}

/// Whether a rotation of the file `base` could make a file `name` of it.
pub fn is_rotation(base: &str, name: &str) -> bool {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let after = |rest: &str| {
        let rest = rest.strip_prefix(['.', '-', '_']);
        rest.is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_digit())
                || matches!(rest, "old" | "prev" | "previous")
        })
    };
    if let Some(rest) = name.strip_prefix(base) {
        return after(rest);
    }
    base.rsplit_once('.').is_some_and(|(stem, end)| {
        name.strip_prefix(stem)
            .and_then(|rest| rest.strip_suffix(end)?.strip_suffix('.'))
            .is_some_and(after)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rotations_are_known_by_their_names() {
        for (base, name) in [
            ("app.log", "app.log.1"),
            ("app.log", "app.log.12.gz"),
            ("app.log", "app.log-20261130"),
            ("app.log", "app-20261130.log"),
            ("app.log", "app-2026-11-30T10-00-00.000.log.gz"),
            ("app.log", "app.1.log"),
            ("app.log", "app.log.old"),
            ("0.log", "0.log.20261130-123000"),
            ("0.log", "0.log.20261130-123000.gz"),
            ("messages", "messages-20261130"),
            ("messages", "messages.1"),
        ] {
            assert!(is_rotation(base, name), "{base} {name}");
        }
        for (base, name) in [
            ("app.log", "app.log"),
            ("app.log", "app.log.gz"),
            ("app.log", "app2.log"),
            ("app.log", "app.log.swp"),
            ("app.log", "app.log.lock"),
            ("app.log", "app.log.pos"),
            ("app-1.log", "app-2.log"),
            ("app.log.1", "app.log.2"),
            ("app.log.1", "app.log"),
            ("messages", "messages2"),
        ] {
            assert!(!is_rotation(base, name), "{base} {name}");
        }
    }

    #[test]
    fn compressed_files_are_known() {
        assert!(is_compressed("app.log.1.gz") && is_compressed("a.XZ") && !is_compressed("a.log"));
        assert!(looks_compressed(b"\x1f\x8b\x08\0") && !looks_compressed(b"{\"a\":1}"));
        assert!(!looks_compressed(b"BZh is a name") && !looks_compressed(b""));
    }

    proptest! {
        #[test]
        fn any_names_are_judged(base in ".{0,9}", name in ".{0,12}", bytes in any::<Vec<u8>>()) {
            let _ = (is_rotation(&base, &name), is_compressed(&name), looks_compressed(&bytes));
            prop_assert!(!is_rotation(&base, &base));
        }
    }
}
