//! os-release(5): assignments as in a shell, one per line, without expansion.

use std::collections::BTreeMap;

use super::text::{ParseError, lines, quote};

/// The variables; of one that stands there twice the last line counts.
pub fn parse(text: &[u8]) -> Result<BTreeMap<String, String>, ParseError> {
    let mut variables = BTreeMap::new();
    for (line, content) in lines(text) {
        let content = content.trim_ascii();
        if content.is_empty() || content.starts_with(b"#") {
            continue;
        }
        let (name, value) =
            assignment(content).map_err(|message| ParseError::new(line, message))?;
        variables.insert(name, value);
    }
    Ok(variables)
}

fn assignment(line: &[u8]) -> Result<(String, String), String> {
    let equals = line
        .iter()
        .position(|byte| *byte == b'=')
        .ok_or_else(|| format!("{} has no \"=\"", quote(line)))?;
    let name = line[..equals].trim_ascii();
    let name = match name.strip_prefix(b"export ") {
        Some(rest) if !rest.is_empty() => rest,
        _ => name,
    };
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_other = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./".contains(byte);
    match name {
        [first, rest @ ..] if is_first(*first) && rest.iter().all(is_other) => {}
        _ => return Err(format!("{} is not the name of a variable", quote(name))),
    }
    let value = unquote(line[equals + 1..].trim_ascii())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(name), text(&value)))
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Plain,
    Double,
    Single,
}

/// The value without its quotes, and with the escapes of double quotes resolved.
fn unquote(value: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(value.len());
    let mut mode = Mode::Plain;
    // Blanks before a comment do not count.
    let mut significant = 0;
    let mut rest = value.iter().copied();
    while let Some(byte) = rest.next() {
        if byte < 32 {
            return Err(format!("the value has the control character 0x{byte:02x}"));
        }
        match (mode, byte) {
            (Mode::Plain, b'"') => mode = Mode::Double,
            (Mode::Plain, b'\'') => mode = Mode::Single,
            (Mode::Double, b'"') | (Mode::Single, b'\'') => mode = Mode::Plain,
            (Mode::Plain, b'#') => {
                out.truncate(significant);
                return Ok(out);
            }
            (Mode::Plain, b' ') => out.push(byte),
            (Mode::Double, b'\\') => {
                escape(&mut rest, &mut out)?;
                significant = out.len();
            }
            _ => {
                out.push(byte);
                significant = out.len();
            }
        }
    }
    if mode != Mode::Plain {
        return Err(format!("{} has a quote that is not closed", quote(value)));
    }
    Ok(out)
}

fn escape(rest: &mut impl Iterator<Item = u8>, out: &mut Vec<u8>) -> Result<(), String> {
    match rest.next() {
        Some(byte @ (b'"' | b'\\' | b'/')) => out.push(byte),
        Some(b'b') => out.push(8),
        Some(b'f') => out.push(12),
        Some(b'r') => out.push(b'\r'),
        Some(b'n') => out.push(b'\n'),
        Some(b't') => out.push(b'\t'),
        Some(b'u') => {
            let first = unit(rest)?;
            let code = if (0xd800..0xdc00).contains(&first) {
                if rest.next() != Some(b'\\') || rest.next() != Some(b'u') {
                    return Err("half of a surrogate pair".to_owned());
                }
                let second = unit(rest)?.wrapping_sub(0xdc00);
                0x10000 + ((first - 0xd800) << 10) + (second & 0x3ff)
            } else {
                first
            };
            let sign = char::from_u32(code).unwrap_or('\u{fffd}');
            out.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Some(other) => {
            return Err(format!("{} is not an escape", quote(&[b'\\', other])));
        }
        None => return Err("a backslash is the last character".to_owned()),
    }
    Ok(())
}

/// Four hexadecimal digits.
fn unit(rest: &mut impl Iterator<Item = u8>) -> Result<u32, String> {
    (0..4).try_fold(0, |code, _| {
        let digit = rest.next().and_then(|byte| char::from(byte).to_digit(16));
        digit
            .map(|digit| code * 16 + digit)
            .ok_or_else(|| "four hexadecimal digits must follow \\u".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_comments_and_escapes() {
        let text = b"# a comment\nNAME=\"Debian GNU/Linux\"\nexport ID=debian # short\n\
                     A='single $x'\nB=\"q\\\"\\u00e4\\n\"\nEMPTY=\n\nB=twice\n";
        let found = parse(text).unwrap();
        assert_eq!(found["NAME"], "Debian GNU/Linux");
        assert_eq!(found["ID"], "debian");
        assert_eq!(found["A"], "single $x");
        assert_eq!(found["B"], "twice");
        assert_eq!(found["EMPTY"], "");
        assert_eq!(parse(b"B=\"q\\\"\\u00e4\\n\"").unwrap()["B"], "q\"\u{e4}\n");
    }

    #[test]
    fn what_is_wrong_is_placed() {
        for bad in [
            "novalue",
            "1A=x",
            "A=\"x",
            "A='x",
            "A=\"\\q\"",
            "A=\"\\u12\"",
            "=x",
            "A=\x01",
        ] {
            assert_eq!(
                parse(format!("OK=1\n{bad}\n").as_bytes()).unwrap_err().line,
                2,
                "{bad}"
            );
        }
    }
}
