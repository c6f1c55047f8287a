//! `/proc/net/stat/nf_conntrack`: a line of names, then hexadecimal counters, a line per CPU.

use super::text::{ParseError, fields, hex, lines, quote};

/// The counters, summed over the CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    pub found: u64,
    pub invalid: u64,
    pub ignore: u64,
    pub insert: u64,
    pub insert_failed: u64,
    pub drop: u64,
    pub early_drop: u64,
    pub search_restart: u64,
}

const LEAST: usize = 16;
const MOST: usize = 17;

pub fn parse(text: &[u8]) -> Result<Statistics, ParseError> {
    let mut sum = Statistics::default();
    for (line, content) in lines(text).skip(1) {
        let mut columns = [0; MOST];
        let mut width = 0;
        for (at, field) in fields(content).enumerate() {
            width = at + 1;
            if let Some(column) = columns.get_mut(at) {
                *column = hex(field).ok_or_else(|| {
                    ParseError::new(
                        line,
                        format!(
                            "column {width} is {}, not a hexadecimal number",
                            quote(field)
                        ),
                    )
                })?;
            }
        }
        if !(LEAST..=MOST).contains(&width) {
            return Err(ParseError::new(
                line,
                format!("{width} columns, {LEAST} or {MOST} are expected"),
            ));
        }
        let add = |sum: &mut u64, column: usize| *sum = sum.wrapping_add(columns[column]);
        add(&mut sum.found, 2);
        add(&mut sum.invalid, 4);
        add(&mut sum.ignore, 5);
        add(&mut sum.insert, 8);
        add(&mut sum.insert_failed, 9);
        add(&mut sum.drop, 10);
        add(&mut sum.early_drop, 11);
        add(&mut sum.search_restart, 16);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "entries  searched found new invalid ignore delete\n";

    #[test]
    fn counters_are_summed() {
        let line = "21 0 1 0 a 588a 0 0 3 0 0 0 0 0 0 0 ff\n";
        let sum = parse(format!("{NAMES}{line}{line}").as_bytes()).unwrap();
        assert_eq!((sum.found, sum.invalid, sum.insert), (2, 20, 6));
        assert_eq!(sum.search_restart, 510);
    }

    #[test]
    fn what_is_wrong_is_placed() {
        let bad = |line: &str| parse(format!("{NAMES}{line}").as_bytes()).unwrap_err().line;
        assert_eq!(bad("1 2 3\n"), 2);
        assert_eq!(bad("0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 x\n"), 2);
        assert_eq!(parse(b"").unwrap(), Statistics::default());
    }
}
