//! `/proc/schedstat` (the kernel's sched-stats.rst): a line per CPU, of which the last three
//! numbers are the same in every version of the file.

use super::text::{ParseError, fields, lines, number, quote};

/// One CPU's times in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpu<'a> {
    pub number: &'a [u8],
    pub running: u64,
    pub waiting: u64,
    pub timeslices: u64,
}

/// Numbers in a CPU's line.
const COLUMNS: usize = 9;

pub fn parse(text: &[u8]) -> Result<Vec<Cpu<'_>>, ParseError> {
    let mut cpus = Vec::new();
    for (line, content) in lines(text) {
        let Some(rest) = content.strip_prefix(b"cpu") else {
            continue;
        };
        let mut words = fields(rest);
        let name = words.next().unwrap_or_default();
        if number(name).is_none() {
            return Err(ParseError::new(
                line,
                format!("{} is not the number of a CPU", quote(name)),
            ));
        }
        let mut columns = [0; COLUMNS];
        let mut width = 0;
        for (slot, word) in columns.iter_mut().zip(words) {
            *slot = number(word).ok_or_else(|| {
                ParseError::new(line, format!("{} is not a 64-bit number", quote(word)))
            })?;
            width += 1;
        }
        if width < COLUMNS {
            return Err(ParseError::new(
                line,
                format!("{width} numbers, {COLUMNS} are expected"),
            ));
        }
        cpus.push(Cpu {
            number: name,
            running: columns[6],
            waiting: columns[7],
            timeslices: columns[8],
        });
    }
    if cpus.is_empty() {
        return Err(ParseError::new(0, "no CPU is in the file"));
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_three_numbers_count() {
        let text = b"version 15\ntimestamp 15819019232\ncpu1 498494191 0 3533438552 2553969831 \
                     3853684107 2465731542 2045936778163039 343796328169361 4767485306\n\
                     domain0 00000000,00000003 212499247\n";
        let cpus = parse(text).unwrap();
        assert_eq!(cpus.len(), 1);
        assert_eq!(cpus[0].number, b"1");
        assert_eq!(cpus[0].running, 2_045_936_778_163_039);
        assert_eq!(cpus[0].timeslices, 4_767_485_306);
    }

    #[test]
    fn what_is_wrong_is_placed() {
        assert_eq!(parse(b"version 15\ncpu0 1 2 3\n").unwrap_err().line, 2);
        assert_eq!(parse(b"cpux 1 2 3 4 5 6 7 8 9\n").unwrap_err().line, 1);
        assert_eq!(parse(b"cpu0 1 2 3 4 5 6 7 8 -9\n").unwrap_err().line, 1);
        assert_eq!(parse(b"").unwrap_err().line, 0);
    }
}
