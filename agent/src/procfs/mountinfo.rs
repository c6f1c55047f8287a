//! `/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)).

use super::text::{ParseError, lines, number, quote};

/// One mount; byte strings as they stand in the file, with blanks escaped in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount<'a> {
    pub major: u32,
    pub minor: u32,
    pub mount_point: &'a [u8],
    pub fs_type: &'a [u8],
    pub source: &'a [u8],
    pub read_only: bool,
}

/// The mounts in the file's order, in which a later mount covers an earlier one at the same point.
pub fn parse(text: &[u8]) -> Result<Vec<Mount<'_>>, ParseError> {
    lines(text)
        .map(|(line, content)| mount(line, content))
        .collect()
}

fn mount(line: usize, content: &[u8]) -> Result<Mount<'_>, ParseError> {
    // id, parent, major:minor, root, mount point, options, optional fields…, "-", type, source,
    // options of the superblock
    let mut fields = content.split(|byte| *byte == b' ');
    let mut next = |name: &str| {
        fields
            .next()
            .ok_or_else(|| ParseError::new(line, format!("the {name} is missing")))
    };
    for name in ["mount's number", "parent's number"] {
        let field = next(name)?;
        number(field)
            .ok_or_else(|| ParseError::new(line, format!("the {name} is {}", quote(field))))?;
    }
    let device = next("device's number")?;
    let (major, minor) = device_number(device).ok_or_else(|| {
        ParseError::new(line, format!("the device's number is {}", quote(device)))
    })?;
    next("root")?;
    let mount_point = next("mount point")?;
    let options = next("options of the mount")?;
    while next("separator \"-\"")? != b"-" {}
    let fs_type = next("type of the file system")?;
    let source = next("source")?;
    let super_options = next("options of the file system")?;
    Ok(Mount {
        major,
        minor,
        mount_point,
        fs_type,
        source,
        read_only: has(options, b"ro")
            || has(super_options, b"ro")
            || has(super_options, b"emergency_ro"),
    })
}

fn device_number(text: &[u8]) -> Option<(u32, u32)> {
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let mut part = || {
        parts
            .next()
            .and_then(number)
            .and_then(|number| u32::try_from(number).ok())
    };
    Some((part()?, part()?))
}

fn has(options: &[u8], wanted: &[u8]) -> bool {
    options
        .split(|byte| *byte == b',')
        .any(|option| option == wanted)
}

/// The path with its octal escapes (`\040`) resolved: what to hand to the kernel.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    replace_escapes(text, |_| true)
}

/// The path as node_exporter's label shows it: blanks and tabs resolved, other escapes kept.
pub fn label(text: &[u8]) -> Vec<u8> {
    replace_escapes(text, |byte| matches!(byte, b' ' | b'\t'))
}

fn replace_escapes(text: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] = rest {
            let value = (a - b'0') * 64 + (b - b'0') * 8 + (c - b'0');
            if wanted(value) {
                out.push(value);
                rest = &rest[4..];
                continue;
            }
        }
        out.push(byte);
        rest = tail;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_with_and_without_optional_fields() {
        let text = b"31 23 0:24 / /sys rw,nosuid shared:7 master:2 - sysfs sysfs rw\n\
            28 1 259:2 / / rw,relatime - ext4 /dev/x rw,errors=remount-ro\n\
            29 1 8:17 /a /mnt/b\\040c ro - vfat /dev/y\\040z rw\n\
            30 1 8:18 / /e rw - ext4 /dev/e rw,emergency_ro\n";
        let found = parse(text).unwrap();
        assert_eq!(found[0].fs_type, b"sysfs");
        assert_eq!(
            (found[1].major, found[1].minor, found[1].read_only),
            (259, 2, false)
        );
        assert_eq!(
            (found[2].source, found[2].read_only),
            (&b"/dev/y\\040z"[..], true)
        );
        assert!(found[3].read_only);
    }

    #[test]
    fn escapes() {
        let raw = b"/a\\040b\\011c\\134d\\012e\\999\\04";
        assert_eq!(unescape(raw), b"/a b\tc\\d\ne\\999\\04");
        assert_eq!(label(raw), b"/a b\tc\\134d\\012e\\999\\04");
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let bad = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        let good = "28 1 259:2 / / rw - ext4 /dev/x rw\n";
        assert_eq!(
            bad(&format!("{good}1 2 nope / / rw - a b c\n")),
            "line 2: the device's number is \"nope\""
        );
        assert_eq!(
            bad("1 2 0:1 / / rw ext4 x rw\n"),
            "line 1: the separator \"-\" is missing"
        );
        assert_eq!(
            bad("1 2 0:1 / / rw - ext4 x\n"),
            "line 1: the options of the file system is missing"
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
            let _ = label(&text);
        }

        #[test]
        fn unescape_undoes_the_kernels_escaping(path in proptest::collection::vec(any::<u8>(), 0..30)) {
            // seq_path escapes " \t\n\\"
            let mut escaped = Vec::new();
            for byte in &path {
                if b" \t\n\\".contains(byte) {
                    escaped.extend_from_slice(format!("\\{byte:03o}").as_bytes());
                } else {
                    escaped.push(*byte);
                }
            }
            prop_assert_eq!(unescape(&escaped), path);
        }
    }
}
