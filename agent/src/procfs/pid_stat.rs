//! `/proc/<pid>/stat` (proc_pid_stat(5)), as far as it says what a process or thread does.

use super::text::{ParseError, fields, number, quote};

/// A process or thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D` and so on.
    pub state: u8,
    pub threads: u64,
}

/// Place of the number of threads after the state.
const THREADS: usize = 17;

pub fn parse(text: &[u8]) -> Result<Stat, ParseError> {
    let bad = |what: &str| ParseError::new(1, format!("{what} is missing in {}", quote(text)));
    // The name may have blanks and brackets.
    let end = text.iter().rposition(|byte| *byte == b')');
    let mut rest = fields(&text[end.ok_or_else(|| bad("the name"))? + 1..]);
    let state = match rest.next() {
        Some([state]) => *state,
        _ => return Err(bad("the state")),
    };
    let threads = rest
        .nth(THREADS - 1)
        .and_then(number)
        .ok_or_else(|| bad("the number of threads"))?;
    Ok(Stat { state, threads })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets() {
        let text =
            b"26231 (v) im (x) R 5392 7446 5392 34835 7446 4218880 32533 309516 26 82 1677 44 \
                     158 99 20 0 3 0 82375 56274944 1981\n";
        let stat = parse(text).unwrap();
        assert_eq!((stat.state, stat.threads), (b'R', 3));
        for bad in [&b""[..], b"1 (a) ", b"1 (a) S 1 2 3", b"1 a S"] {
            assert_eq!(parse(bad).unwrap_err().line, 1);
        }
    }
}
