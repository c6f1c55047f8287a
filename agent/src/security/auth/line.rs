//! The head of a syslog line: who wrote it. Two forms of time are in use, that of RFC 3164
//! (`Nov 24 08:16:43`) and that of RFC 3339; the time itself is not needed.

/// Who wrote a line, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    pub program: &'a str,
    pub message: &'a str,
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads a line as rsyslog and syslog-ng write it; `None` if it is none.
pub fn parse(line: &str) -> Option<Line<'_>> {
    // `<86>` of a raw message.
    let line = match line.strip_prefix('<') {
        Some(rest) => {
            let (number, rest) = rest.split_once('>')?;
            number.parse::<u16>().ok()?;
            rest
        }
        None => line,
    };
    let rest = after_rfc3164(line).or_else(|| after_rfc3339(line))?;
    let (_host, rest) = rest.split_once(' ')?;
    tag(rest.trim_start_matches(' '))
}

/// `Nov 24 08:16:43 ` or `Nov  4 2026 08:16:43 `
fn after_rfc3164(line: &str) -> Option<&str> {
    let month = line.get(..3)?;
    if !MONTHS.contains(&month) {
        return None;
    }
    let rest = line[3..].strip_prefix(' ')?.trim_start_matches(' ');
    let (day, rest) = rest.split_once(' ')?;
    day.parse::<u8>().ok()?;
    let (first, after) = rest.split_once(' ')?;
    if is_clock(first) {
        return Some(after);
    }
    first.parse::<u16>().ok()?;
    let (clock, after) = after.split_once(' ')?;
    is_clock(clock).then_some(after)
}

fn is_clock(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    bytes.len() >= 8
        && [0, 1, 3, 4, 6, 7].into_iter().all(digit)
        && bytes[2] == b':'
        && bytes[5] == b':'
        && bytes[8..].iter().all(|b| b.is_ascii_digit() || *b == b'.')
}

/// `2026-11-24T08:16:43.123456+00:00 `
fn after_rfc3339(line: &str) -> Option<&str> {
    let (time, rest) = line.split_once(' ')?;
    let (date, clock) = time.split_once('T')?;
    let date_bytes = date.as_bytes();
    let is_date = date_bytes.len() == 10 && date_bytes[4] == b'-' && date_bytes[7] == b'-';
    let clock = clock.strip_suffix('Z').unwrap_or(clock);
    let clock = clock
        .rsplit_once(['+', '-'])
        .map_or(clock, |(clock, _)| clock);
    (is_date && is_clock(clock)).then_some(rest)
}

/// `sshd-session[123]: message`, `sudo:   message`
fn tag(text: &str) -> Option<Line<'_>> {
    let end = text.find([':', '[', ' '])?;
    let program = &text[..end];
    let rest = &text[end..];
    let rest = match rest.strip_prefix('[') {
        Some(rest) => {
            let (pid, rest) = rest.split_once(']')?;
            pid.parse::<u32>().ok()?;
            rest
        }
        None => rest,
    };
    let message = rest.strip_prefix(':')?.trim_start_matches(' ');
    // A program that was started by its path.
    let program = program.rsplit('/').next().unwrap_or(program);
    (!program.is_empty()).then_some(Line { program, message })
}

/// rsyslog folds lines that repeat: `message repeated 2 times: [ Failed password …]`.
pub fn repeated(message: &str) -> (u64, &str) {
    let unfold = || {
        let rest = message.strip_prefix("message repeated ")?;
        let (count, rest) = rest.split_once(" times: [")?;
        let inner = rest.trim_start_matches(' ').strip_suffix(']')?;
        // More than a log ever folds is no count.
        let count = count
            .parse::<u64>()
            .ok()
            .filter(|c| (1..=1_000_000).contains(c))?;
        Some((count, inner))
    };
    unfold().unwrap_or((1, message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn heads() {
        let read = |line| parse(line).map(|line| (line.program, line.message));
        for line in [
            "Nov 24 08:16:43 web1 sshd[123]: Server listening",
            "Nov  4 08:16:43 web1 sshd[123]: Server listening",
            "Nov  4 2026 08:16:43 web1 sshd[123]: Server listening",
            "2026-11-24T08:16:43.123456+07:00 web1 sshd[123]: Server listening",
            "2026-11-24T08:16:43Z web1 sshd[123]: Server listening",
            "<86>Nov 24 08:16:43 web1 /usr/sbin/sshd[123]: Server listening",
        ] {
            assert_eq!(read(line), Some(("sshd", "Server listening")), "{line}");
        }
        let sudo = "Nov 24 08:16:43 web1 sudo:    bob : TTY=pts/0";
        assert_eq!(read(sudo), Some(("sudo", "bob : TTY=pts/0")));
        for line in [
            "",
            "x",
            "Nov 24",
            "Nov 24 08:16:43 web1 no tag",
            "-- Reboot --",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
        assert_eq!(
            repeated("message repeated 2 times: [ Failed x]"),
            (2, "Failed x")
        );
        assert_eq!(repeated("message repeated 99999999999 times: [ x]").0, 1);
        assert_eq!(repeated("Failed x"), (1, "Failed x"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,120}", tail in ".{0,60}") {
            let _ = parse(&text);
            let _ = parse(&format!("Nov 24 08:16:43 {tail}"));
            let _ = parse(&format!("2026-11-24T08:16:43Z {tail}"));
            let _ = repeated(&text);
        }
    }
}
