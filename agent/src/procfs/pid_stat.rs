//! `/proc/<pid>/stat` (proc_pid_stat(5)), as far as it says what a process or thread does.

use super::text::{ParseError, fields, number, quote, signed};

/// A process or thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D` and so on.
    pub state: u8,
    pub threads: u64,
}

/// The numbers after the state, `i` those that may be negative; kernels since 2.6.24 have them all,
/// newer ones more.
const NUMBERS: &[u8] = b"iiiiiuuuuuuuiiiiiiuuiuuuuuuuuuuuuuiuuuuii";
/// Place of the number of threads among them.
const THREADS: usize = 16;

pub fn parse(text: &[u8]) -> Result<Stat, ParseError> {
    let bad = |what: &str| ParseError::new(1, format!("{what} is missing in {}", quote(text)));
    // The name may have blanks and brackets.
    let end = text.iter().rposition(|byte| *byte == b')');
    let mut rest = fields(&text[end.ok_or_else(|| bad("the name"))? + 1..]);
    let state = match rest.next() {
        Some([state]) => *state,
        _ => return Err(bad("the state")),
    };
    let mut threads = 0;
    for (at, kind) in NUMBERS.iter().enumerate() {
        let field = rest.next().unwrap_or_default();
        let value = match kind {
            b'i' => signed(field).map(|value| u64::try_from(value).unwrap_or_default()),
            _ => number(field),
        };
        let value = value.ok_or_else(|| {
            ParseError::new(
                1,
                format!("column {} is {}, not a 64-bit number", at + 4, quote(field)),
            )
        })?;
        if at == THREADS {
            threads = value;
        }
    }
    Ok(Stat { state, threads })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets() {
        let text =
            b"26231 (v) im (x) R 5392 7446 5392 34835 7446 4218880 32533 309516 26 82 1677 44 \
                     158 99 20 0 3 0 82375 56274944 1981 18446744073709551615 4194304 6294284 \
                     140736914091744 140736914087944 139965136429984 0 0 12288 1870679807 0 0 0 17 0 0 0 31 0 0 \
                     8391624 8481048 16420864\n";
        let stat = parse(text).unwrap();
        assert_eq!((stat.state, stat.threads), (b'R', 3));
        for bad in [
            &b""[..],
            b"1 (a) ",
            b"1 (a) S 1 2 3",
            b"1 a S",
            &text[..100],
        ] {
            assert_eq!(parse(bad).unwrap_err().line, 1);
        }
    }
}
