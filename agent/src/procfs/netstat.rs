//! `/proc/net/netstat` and `/proc/net/snmp` (pairs of lines, names and values) and
//! `/proc/net/snmp6` (a name and a value per line).

use super::text::{ParseError, expect_float, fields, lines, quote};

/// The words of a line, separated by single blanks.
pub fn columns(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ')
}

/// Hands over each pair of lines: the protocol, the line of names and the values.
pub fn table(text: &[u8], mut pair: impl FnMut(&[u8], &[u8], &[f64])) -> Result<(), ParseError> {
    let mut lines = lines(text);
    let mut values = Vec::new();
    let mut empty = true;
    while let Some((line, names)) = lines.next() {
        empty = false;
        let protocol = columns(names)
            .next()
            .and_then(|first| first.strip_suffix(b":"))
            .filter(|protocol| !protocol.is_empty())
            .ok_or_else(|| {
                ParseError::new(
                    line,
                    format!(
                        "{} does not begin with a protocol and a colon",
                        quote(names)
                    ),
                )
            })?;
        let Some((line, numbers)) = lines.next() else {
            return Err(ParseError::new(
                line,
                format!("the values of {} are missing", quote(protocol)),
            ));
        };
        let (expected, found) = (columns(names).count(), columns(numbers).count());
        if expected != found {
            return Err(ParseError::new(
                line,
                format!(
                    "{} has {expected} names and {found} values",
                    quote(protocol)
                ),
            ));
        }
        values.clear();
        for (name, value) in columns(names).zip(columns(numbers)).skip(1) {
            let value = expect_float(line, "", Some(value)).map_err(|_| {
                ParseError::new(
                    line,
                    format!(
                        "the value of {} is {}, not a number",
                        quote(name),
                        quote(value)
                    ),
                )
            })?;
            values.push(value);
        }
        pair(protocol, names, &values);
    }
    if empty {
        return Err(ParseError::new(0, "the file is empty"));
    }
    Ok(())
}

/// Hands over each line: the protocol (up to the 6), the field, the whole name and the value.
pub fn list(text: &[u8], mut one: impl FnMut(&[u8], &[u8], &[u8], f64)) -> Result<(), ParseError> {
    for (line, content) in lines(text) {
        let mut fields = fields(content);
        let (Some(name), Some(value)) = (fields.next(), fields.next()) else {
            continue;
        };
        let Some(six) = name.iter().position(|byte| *byte == b'6') else {
            continue;
        };
        let value = expect_float(line, "", Some(value)).map_err(|_| {
            ParseError::new(
                line,
                format!(
                    "the value of {} is {}, not a number",
                    quote(name),
                    quote(value)
                ),
            )
        })?;
        let (protocol, field) = name.split_at(six + 1);
        one(protocol, field, name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String, Vec<f64>)>, ParseError> {
        let mut all = Vec::new();
        let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        table(text.as_bytes(), |protocol, names, values| {
            all.push((string(protocol), string(names), values.to_vec()));
        })?;
        Ok(all)
    }

    #[test]
    fn pairs_of_lines() {
        let found = read("Tcp: MaxConn InSegs\nTcp: -1 57252008\nIpExt: A\nIpExt: 1\n").unwrap();
        assert_eq!(found[0].0, "Tcp");
        assert_eq!(found[0].2, [-1.0, 57_252_008.0]);
        assert_eq!(found[1].0, "IpExt");
    }

    #[test]
    fn what_is_wrong_is_placed() {
        let error = |text| read(text).unwrap_err();
        assert_eq!(error("").line, 0);
        assert_eq!(error("Tcp: A B\nTcp: 1\n").line, 2);
        assert_eq!(error("Tcp: A\n").line, 1);
        assert_eq!(error("nonsense\nnonsense\n").line, 1);
        let error = error("Ip: A\nIp: 1\nTcp: A B\nTcp: 1 x\n");
        assert_eq!(
            error.to_string(),
            "line 4: the value of \"B\" is \"x\", not a number"
        );
    }

    #[test]
    fn a_list_of_ipv6() {
        let mut all = Vec::new();
        list(
            b"Ip6InOctets   \t460\nIcmp6OutMsgs 8\nother 1\n",
            |p, f, _, v| {
                all.push((p.to_vec(), f.to_vec(), v));
            },
        )
        .unwrap();
        assert_eq!(
            all,
            [
                (b"Ip6".to_vec(), b"InOctets".to_vec(), 460.0),
                (b"Icmp6".to_vec(), b"OutMsgs".to_vec(), 8.0)
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = table(&text, |_, _, _| {});
            let _ = list(&text, |_, _, _, _| {});
        }

        #[test]
        fn values_read_back(values in proptest::collection::vec(any::<u32>(), 1..9)) {
            let names = " N".repeat(values.len());
            let numbers: Vec<String> = values.iter().map(u32::to_string).collect();
            let numbers = format!(" {}", numbers.join(" "));
            let found = read(&format!("P:{names}\nP:{numbers}\n")).unwrap();
            let expected: Vec<f64> = values.iter().map(|n| f64::from(*n)).collect();
            prop_assert_eq!(&found[0].2, &expected);
        }
    }
}
