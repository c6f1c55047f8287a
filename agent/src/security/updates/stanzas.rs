//! Debian's control files (deb822(5)): stanzas of `Key: value` lines, read as a stream, because a
//! list of packages has fifty megabytes.

use std::io::{self, BufRead};

/// More than any line of a real list.
const LONGEST: u64 = 1 << 20;

/// Hands over each stanza's values of `keys`, in their order; what continues on a second line has
/// only its first. False from `each` ends the reading.
pub fn read<const N: usize>(
    mut from: impl BufRead,
    keys: [&str; N],
    mut each: impl FnMut(&[Vec<u8>; N]) -> bool,
) -> io::Result<()> {
    let mut values: [Vec<u8>; N] = std::array::from_fn(|_| Vec::new());
    let mut line = Vec::new();
    let mut filled = false;
    let mut number = 0_u64;
    loop {
        line.clear();
        let mut limited = io::Read::take(&mut from, LONGEST);
        let count = limited.read_until(b'\n', &mut line)?;
        number += 1;
        if count as u64 == LONGEST && line.last() != Some(&b'\n') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {number} is longer than {LONGEST} bytes"),
            ));
        }
        let text = line.trim_ascii_end();
        if text.is_empty() {
            if filled && !each(&values) {
                return Ok(());
            }
            filled = false;
            values.iter_mut().for_each(Vec::clear);
            if count == 0 {
                return Ok(());
            }
            continue;
        }
        filled = true;
        if matches!(text[0], b' ' | b'\t') {
            continue;
        }
        let Some(colon) = text.iter().position(|byte| *byte == b':') else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {number} has no colon"),
            ));
        };
        for (key, value) in keys.iter().zip(&mut values) {
            if text[..colon].eq_ignore_ascii_case(key.as_bytes()) {
                value.extend_from_slice(text[colon + 1..].trim_ascii());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &[u8]) -> io::Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        read(text, ["Package", "Version"], |[name, version]| {
            let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
            all.push((text(name), text(version)));
            true
        })?;
        Ok(all)
    }

    #[test]
    fn stanzas() {
        let text = b"Package: a\nDescription: x\n Version: 9\n .\nversion: 1\n\n\nPackage: b\n";
        let expected = [("a", "1"), ("b", "")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(all(text).unwrap(), expected);
        assert_eq!(all(b"").unwrap(), []);
        assert!(
            all(b"Package: a\nnothing\n")
                .unwrap_err()
                .to_string()
                .contains("line 2")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = all(&text);
        }
    }
}
