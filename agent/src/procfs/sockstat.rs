//! `/proc/net/sockstat` and `sockstat6`: a protocol and pairs of a state and a number per line.

use super::text::{ParseError, any_base, lines, quote};

/// Hands over each pair of a line. A state that stands there twice is handed over twice.
pub fn parse(text: &[u8], mut pair: impl FnMut(&[u8], &[u8], i64)) -> Result<(), ParseError> {
    let mut empty = true;
    for (line, content) in lines(text) {
        empty = false;
        let mut words = content.split(|byte| *byte == b' ');
        let protocol = words.next().unwrap_or_default();
        let protocol = protocol.strip_suffix(b":").unwrap_or(protocol);
        let mut pairs = 0;
        while let Some(state) = words.next() {
            let Some(value) = words.next() else {
                return Err(ParseError::new(
                    line,
                    format!("{} of {} has no number", quote(state), quote(protocol)),
                ));
            };
            let value = any_base(value).ok_or_else(|| {
                ParseError::new(
                    line,
                    format!(
                        "{} of {} is {}, not a whole number",
                        quote(state),
                        quote(protocol),
                        quote(value)
                    ),
                )
            })?;
            pairs += 1;
            pair(protocol, state, value);
        }
        if pairs == 0 {
            return Err(ParseError::new(
                line,
                format!("{} has no state and no number", quote(content)),
            ));
        }
    }
    if empty {
        return Err(ParseError::new(0, "the file is empty"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String, i64)>, ParseError> {
        let mut all = Vec::new();
        let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parse(text.as_bytes(), |protocol, state, value| {
            all.push((string(protocol), string(state), value));
        })?;
        Ok(all)
    }

    #[test]
    fn pairs_by_protocol() {
        let found = read("sockets: used 229\nTCP: inuse 4 orphan 0\n").unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(p, s, v)| (p.as_str(), s.as_str(), *v))
            .collect();
        assert_eq!(
            found,
            [
                ("sockets", "used", 229),
                ("TCP", "inuse", 4),
                ("TCP", "orphan", 0)
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_placed() {
        for (text, line) in [
            ("", 0),
            ("TCP:\n", 1),
            ("UDP: inuse 1\nTCP: inuse\n", 2),
            ("TCP: inuse x\n", 1),
        ] {
            assert_eq!(read(text).unwrap_err().line, line, "{text:?}");
        }
    }
}
