//! Bytes to text: UTF-8 and nothing that a reader would not see.

/// A file larger than this is not a spec.
pub const MAX_BYTES: usize = 4 << 20;

/// The text of a file. Errors are (line, column, message, help), lines and columns from 1.
pub fn decode(bytes: &[u8]) -> Result<&str, (u32, u32, String, String)> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let help = "save it as UTF-8".to_owned();
        return Err((1, 1, "the file is UTF-16, not UTF-8".to_owned(), help));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let good = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
        let (line, column) = end_of(&good);
        let byte = bytes.get(e.valid_up_to()).copied().unwrap_or_default();
        let message = format!("the file is not UTF-8: byte 0x{byte:02x}");
        (line, column, message, "save it as UTF-8".to_owned())
    })?;
    // a NUL ends the input for the YAML reader; what follows would be silently ignored
    let bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}');
    if let Some(at) = text.find(bad) {
        let (line, column) = end_of(&text[..at]);
        let code = text[at..].chars().next().map_or(0, u32::from);
        let message = format!("the file holds the control character U+{code:04X}");
        return Err((line, column, message, "remove it".to_owned()));
    }
    Ok(text)
}

fn end_of(text: &str) -> (u32, u32) {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (
        u32::try_from(line).unwrap_or(u32::MAX),
        u32::try_from(column).unwrap_or(u32::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_text() {
        assert_eq!(decode(b"\xef\xbb\xbfa: 1").ok(), Some("a: 1"));
        let (line, column, message, _) = decode(b"a: 1\nb: \xff").expect_err("refused");
        assert_eq!((line, column), (2, 4));
        assert!(message.contains("0xff"), "{message}");
        assert!(
            decode(b"\xff\xfea\0")
                .expect_err("refused")
                .2
                .contains("UTF-16")
        );
        assert!(decode(b"a: \0").expect_err("refused").2.contains("U+0000"));
    }
}
