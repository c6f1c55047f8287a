//! `/sys/fs/xfs/<device>/stats/stats` (the kernel's xfs.rst): a label and counters per line.

use std::collections::BTreeMap;

use super::text::{ParseError, fields, lines, number, quote};

/// Counters by label.
pub type Statistics<'a> = BTreeMap<&'a [u8], Vec<u64>>;

/// How many counters a line of a known label has at least and at most.
const WIDTHS: [(&[u8], usize, usize); 21] = [
    (b"extent_alloc", 4, 4),
    (b"abt", 4, 4),
    (b"blk_map", 7, 7),
    (b"bmbt", 4, 4),
    (b"dir", 4, 4),
    (b"trans", 3, 3),
    (b"ig", 7, 7),
    (b"log", 5, 5),
    (b"push_ail", 10, 10),
    (b"xstrat", 2, 2),
    (b"rw", 2, 2),
    (b"attr", 4, 4),
    (b"icluster", 3, 3),
    (b"vnodes", 7, 8),
    (b"buf", 9, 9),
    (b"xpc", 3, 3),
    (b"abtb2", 15, 15),
    (b"abtc2", 15, 15),
    (b"bmbt2", 15, 15),
    (b"ibt2", 15, 15),
    (b"qm", 8, 9),
];

/// The only label whose counters have 64 bits.
const LONG: &[u8] = b"xpc";

pub fn parse(text: &[u8]) -> Result<Statistics<'_>, ParseError> {
    let mut statistics = Statistics::new();
    for (line, content) in lines(text) {
        let mut words = fields(content);
        let Some(label) = words.next() else {
            continue;
        };
        let most = if label == LONG {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        };
        let counters = words
            .map(|word| {
                number(word).filter(|count| *count <= most).ok_or_else(|| {
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
        if counters.is_empty() {
            continue;
        }
        let known = WIDTHS.iter().find(|(known, ..)| *known == label);
        if let Some((_, least, most)) = known
            && !(*least..=*most).contains(&counters.len())
        {
            return Err(ParseError::new(
                line,
                format!(
                    "{} has {} counters, {least} are expected",
                    quote(label),
                    counters.len()
                ),
            ));
        }
        statistics.insert(label, counters);
    }
    if statistics.is_empty() {
        return Err(ParseError::new(0, "no counter is in the file"));
    }
    Ok(statistics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_by_label() {
        let found = parse(b"extent_alloc 1 0 2 3\nxpc 399724544 4294967296 5\ndebug 0\n").unwrap();
        assert_eq!(found[&b"extent_alloc"[..]], [1, 0, 2, 3]);
        assert_eq!(found[&b"xpc"[..]][1], 4_294_967_296);
    }

    #[test]
    fn what_is_wrong_is_placed() {
        assert_eq!(parse(b"abt 0 0 0 0\nrw 1\n").unwrap_err().line, 2);
        assert_eq!(parse(b"rw 1 x\n").unwrap_err().line, 1);
        assert_eq!(parse(b"rw 1 4294967296\n").unwrap_err().line, 1);
        assert_eq!(parse(b"").unwrap_err().line, 0);
    }
}
