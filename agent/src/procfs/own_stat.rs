//! `/proc/self/stat` (proc_pid_stat(5)): the columns that tell what a process uses.

use super::text::{ParseError, expect_number, fields};

/// Some columns, in the kernel's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `utime` and `stime`, in clock ticks.
    pub cpu_ticks: u64,
    /// `starttime`, in clock ticks after boot.
    pub start_ticks: u64,
    /// `rss`, in pages.
    pub resident_pages: u64,
}

/// Reads the one line. The second column is the program's name in parentheses, which may itself
/// have blanks and parentheses in it.
pub fn parse(text: &[u8]) -> Result<Stat, ParseError> {
    let end = text
        .iter()
        .rposition(|byte| *byte == b')')
        .ok_or_else(|| ParseError::new(1, "there is no name in parentheses".to_owned()))?;
    let mut columns = fields(text.get(end + 1..).unwrap_or_default());
    // Columns count from 1; the next one is the third.
    let mut at = 3;
    let mut column = |number: usize, name: &str| {
        let found = columns.nth(number - at);
        at = number + 1;
        expect_number(1, name, found)
    };
    let user = column(14, "utime")?;
    let system = column(15, "stime")?;
    Ok(Stat {
        cpu_ticks: user.saturating_add(system),
        start_ticks: column(22, "starttime")?,
        resident_pages: column(24, "rss")?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REAL: &str = "10898 (kai) (x y) S 1 10887 10887 0 -1 4194560 2874 0 3 0 71 62 0 0 20 0 16 0 \
        628471 1031168000 2873 18446744073709551615 94696970657792 94696974733937 140733 0 0 0 0 \
        4096 17536 0 0 0 17 1 0 0 0 0 0 94696976 94696977 94697 140733 140733 140733 140733 0\n";

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_columns() {
        let expected = Stat {
            cpu_ticks: 133,
            start_ticks: 628_471,
            resident_pages: 2873,
        };
        assert_eq!(parse(REAL.as_bytes()), Ok(expected));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for end in 0..REAL.find(" 2873").unwrap() {
            assert!(parse(&REAL.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&text);
        }

        #[test]
        fn the_columns_are_found(
            name in "[ -~]{0,15}",
            user in 0..u64::from(u32::MAX),
            system in 0..u64::from(u32::MAX),
            start: u64,
            rss: u64,
        ) {
            let text = format!(
                "1 ({name}) R 1 1 1 0 -1 0 0 0 0 0 {user} {system} 0 0 20 0 1 0 {start} 9 {rss} 7\n"
            );
            let stat = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(stat.cpu_ticks, user + system);
            prop_assert_eq!(stat.start_ticks, start);
            prop_assert_eq!(stat.resident_pages, rss);
        }
    }
}
