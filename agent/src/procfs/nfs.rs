//! `/proc/net/rpc/nfs` and `nfsd`: a label and counters per line.

use std::collections::BTreeMap;

use super::text::{ParseError, fields, lines, number, quote};

/// Counters by label. Of lines `proc*` the first number, which says how many follow, is left out.
pub type Statistics<'a> = BTreeMap<&'a [u8], Vec<u64>>;

/// Which side's file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// What a line looks like.
enum Shape {
    /// So many counters.
    Just(usize),
    /// So many, whatever follows.
    First(usize),
    /// A number that says how many counters follow, at least so many.
    Counted(usize),
}

fn shape(side: Side, label: &[u8]) -> Option<Shape> {
    Some(match (side, label) {
        (_, b"net") => Shape::Just(4),
        (_, b"proc2") => Shape::Counted(18),
        (_, b"proc3") => Shape::Counted(22),
        (Side::Client, b"rpc") => Shape::Just(3),
        (Side::Client, b"proc4") => Shape::Counted(0),
        (Side::Server, b"rc") => Shape::Just(3),
        (Side::Server, b"fh" | b"rpc") => Shape::Just(5),
        (Side::Server, b"io") => Shape::Just(2),
        // The rest are times that no kernel counts since 2.6.30.
        (Side::Server, b"th") => Shape::First(2),
        (Side::Server, b"ra") => Shape::Just(12),
        (Side::Server, b"proc4") => Shape::Counted(2),
        (Side::Server, b"proc4ops") => Shape::Counted(39),
        (Side::Server, b"wdeleg_getattr") => Shape::First(1),
        _ => return None,
    })
}

pub fn parse(side: Side, text: &[u8]) -> Result<Statistics<'_>, ParseError> {
    let mut statistics = Statistics::new();
    for (line, content) in lines(text) {
        let mut words = fields(content);
        let label = words.next().unwrap_or_default();
        let shape = shape(side, label).ok_or_else(|| {
            ParseError::new(line, format!("{} is not a known line", quote(label)))
        })?;
        let most = match shape {
            Shape::First(count) => count,
            _ => usize::MAX,
        };
        let mut counters = words
            .take(most)
            .map(|word| {
                number(word).ok_or_else(|| {
                    ParseError::new(
                        line,
                        format!(
                            "{} in the line {} is not a counter",
                            quote(word),
                            quote(label)
                        ),
                    )
                })
            })
            .collect::<Result<Vec<u64>, _>>()?;
        let right = match shape {
            Shape::Just(count) | Shape::First(count) => counters.len() == count,
            Shape::Counted(least) => {
                let said = counters.first().copied();
                if !counters.is_empty() {
                    counters.remove(0);
                }
                said == Some(counters.len() as u64) && counters.len() >= least
            }
        };
        if !right {
            return Err(ParseError::new(
                line,
                format!("the line {} has {} counters", quote(label), counters.len()),
            ));
        }
        statistics.insert(label, counters);
    }
    if statistics.is_empty() {
        return Err(ParseError::new(0, "the file is empty"));
    }
    Ok(statistics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_by_label() {
        let text = b"net 18628 0 18628 6\nrpc 4329785 0 4338291\nproc4 2 98 3\n";
        let found = parse(Side::Client, text).unwrap();
        assert_eq!(found[&b"net"[..]], [18628, 0, 18628, 6]);
        assert_eq!(found[&b"proc4"[..]], [98, 3]);
        let found = parse(Side::Server, b"th 8 0 0.000 0.000\n").unwrap();
        assert_eq!(found[&b"th"[..]], [8, 0]);
    }

    #[test]
    fn what_is_wrong_is_placed() {
        let line = |side, text: &str| parse(side, text.as_bytes()).unwrap_err().line;
        assert_eq!(line(Side::Client, "net 1 2 3 4\nrpc 1 2\n"), 2);
        assert_eq!(line(Side::Client, "proc4 3 1 2\n"), 1);
        assert_eq!(line(Side::Client, "rc 1 2 3\n"), 1);
        assert_eq!(line(Side::Server, "rc 1 2 x\n"), 1);
        assert_eq!(line(Side::Server, "proc2\n"), 1);
        assert_eq!(line(Side::Server, ""), 0);
    }
}
