//! OpenZFS' kstats below `/proc/spl/kstat/zfs`: lines of a name, a type and a value.

use super::text::{ParseError, fields, lines, number, quote, signed};

const INT64: &[u8] = b"3";
const UINT64: &[u8] = b"4";

/// Name of the line that says which data set an `objset-*` file is of.
const DATASET: &[u8] = b"dataset_name";

/// Hands over each number after the line of headings; returns the data set's name, if one is there.
pub fn parse(text: &[u8], mut one: impl FnMut(&[u8], f64)) -> Result<Option<Vec<u8>>, ParseError> {
    let mut begun = false;
    let mut dataset = None;
    for (line, content) in lines(text) {
        let mut words = fields(content);
        let (Some(name), Some(kind), Some(value)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if !begun {
            begun = (name, kind, value) == (b"name", b"type", b"data") && words.next().is_none();
            continue;
        }
        if name == DATASET {
            // The rest of the line, because a name may have blanks.
            let at = content.windows(value.len()).position(|part| part == value);
            dataset = Some(content[at.unwrap_or(0)..].to_vec());
            continue;
        }
        let number = match kind {
            UINT64 => number(value).map(|value| value as f64),
            INT64 => signed(value).map(|value| value as f64),
            _ => continue,
        };
        let number = number.ok_or_else(|| {
            ParseError::new(
                line,
                format!("{} is {}, not a 64-bit number", quote(name), quote(value)),
            )
        })?;
        one(name, number);
    }
    if begun {
        Ok(dataset)
    } else {
        Err(ParseError::new(
            0,
            "the headings \"name type data\" are missing",
        ))
    }
}

/// A pool's `io`: after a line of names a line of numbers.
pub fn pool_io(text: &[u8], mut one: impl FnMut(&[u8], f64)) -> Result<(), ParseError> {
    /// Names of the oldest version; a line of fewer words is not that of names.
    const LEAST: usize = 12;
    let mut names: Vec<&[u8]> = Vec::new();
    for (line, content) in lines(text) {
        let words: Vec<&[u8]> = fields(content).collect();
        if names.is_empty() {
            if words.len() >= LEAST && words[0] == b"nread" {
                names = words;
            }
            continue;
        }
        for (at, name) in names.iter().enumerate() {
            let value = words.get(at).copied().unwrap_or_default();
            let number = number(value).ok_or_else(|| {
                ParseError::new(
                    line,
                    format!("{} is {}, not a 64-bit number", quote(name), quote(value)),
                )
            })?;
            one(name, number as f64);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_the_data_set() {
        let text = b"36 1 0x01 7 2160 5 9\nname type data\ndataset_name 7 pool/a b\nwrites 4 10\n\
                     delta 3 -5\ntext 7 x\n";
        let mut all = Vec::new();
        let dataset = parse(text, |name, value| all.push((name.to_vec(), value))).unwrap();
        assert_eq!(dataset.unwrap(), b"pool/a b");
        assert_eq!(all, [(b"writes".to_vec(), 10.0), (b"delta".to_vec(), -5.0)]);
    }

    #[test]
    fn what_is_wrong_is_placed() {
        assert_eq!(parse(b"", |_, _| {}).unwrap_err().line, 0);
        assert_eq!(
            parse(b"name type data\na 4 -1\n", |_, _| {})
                .unwrap_err()
                .line,
            2
        );
        let io = b"12 3\nnread nwritten reads writes a b c d e f g h\n1 2 3\n";
        assert_eq!(pool_io(io, |_, _| {}).unwrap_err().line, 3);
    }
}
