//! Instants as milliseconds since 1970 and their RFC 3339 text. Small enough to own: the inbox
//! writes one format and reads what vendors and Prometheus write.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub i64);

impl Instant {
    /// The wall clock.
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// From Unix seconds, as Prometheus writes them. `None` for NaN, infinities and years far off.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        (seconds.is_finite() && seconds.abs() < 1e11)
            .then(|| Self((seconds * 1000.0).round() as i64))
    }

    /// `2026-11-23T09:14:45.123Z`
    pub fn rfc3339(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second, ms) = self.clock();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }

    /// `09:14:45`, in UTC.
    pub fn hms(self) -> String {
        let (hour, minute, second, _) = self.clock();
        format!("{hour:02}:{minute:02}:{second:02}")
    }

    /// Reads `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM|±HHMM)`: RFC 3339, and the offset without a
    /// colon that PagerDuty's own examples use. Fractions beyond milliseconds are cut.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |range: std::ops::Range<usize>| -> Option<i64> {
            let digits = bytes.get(range)?;
            digits.iter().all(u8::is_ascii_digit).then_some(())?;
            std::str::from_utf8(digits).ok()?.parse().ok()
        };
        let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
            return None;
        }
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return None;
        }
        // 60 is a leap second; it counts as the second after.
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut at = 19;
        let mut ms = 0;
        if is(at, b".") {
            let start = at + 1;
            at = start;
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            if at == start {
                return None;
            }
            for place in 0..3 {
                let digit = if start + place < at {
                    bytes[start + place] - b'0'
                } else {
                    0
                };
                ms = ms * 10 + i64::from(digit);
            }
        }
        let offset = match bytes.get(at)? {
            b'Z' | b'z' if bytes.len() == at + 1 => 0,
            sign @ (b'+' | b'-') => {
                let hours = number(at + 1..at + 3)?;
                let minutes = match bytes.len() - at {
                    5 => number(at + 3..at + 5)?,
                    6 if is(at + 3, b":") => number(at + 4..at + 6)?,
                    _ => return None,
                };
                if hours > 23 || minutes > 59 {
                    return None;
                }
                (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        let days = days_from_civil(year, month, day);
        Some(Self(
            days * DAY_MS + ((hour * 60 + minute - offset) * 60 + second) * 1000 + ms,
        ))
    }

    fn clock(self) -> (i64, i64, i64, i64) {
        let ms = self.0.rem_euclid(DAY_MS);
        (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
    }

    fn date(self) -> (i64, i64, i64) {
        civil_from_days(self.0.div_euclid(DAY_MS))
    }
}

/// `850ms`, `43s`, `5m10s`, `2h05m`, `3d4h`: the words of Prometheus, two units at most.
pub fn duration_words(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a Gregorian date; years begin in March, so that the leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_vendors_write() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2015-07-17T08:42:58.315+0000", 1_437_122_578_315),
            ("2015-07-17T08:42:58.315Z", 1_437_122_578_315),
            ("2015-07-17T10:42:58.3156789+02:00", 1_437_122_578_315),
            ("2000-02-29T23:59:60Z", 951_868_800_000),
            ("1969-12-31T23:59:59.999Z", -1),
        ] {
            assert_eq!(Instant::parse(text), Some(Instant(ms)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_instant() {
        for text in [
            "",
            "2015",
            "2015-07-17",
            "2015-07-17T08:42:58",
            "2015-02-29T00:00:00Z",
            "2015-13-01T00:00:00Z",
            "2015-07-17T24:00:00Z",
            "2015-07-17T08:42:58.Z",
            "2015-07-17T08:42:58+2",
            "2015-07-17T08:42:58Zx",
            "yesterday",
            "２０１５-07-17T08:42:58Z",
        ] {
            assert_eq!(Instant::parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_read_like_prometheus() {
        let words: Vec<_> = [0, 850, 43_000, 310_000, 7_500_000, 273_600_000, -5]
            .into_iter()
            .map(duration_words)
            .collect();
        assert_eq!(
            words,
            ["0ms", "850ms", "43s", "5m10s", "2h05m", "3d4h", "0ms"]
        );
    }

    proptest! {
        #[test]
        fn text_and_instant_agree(ms in -62_000_000_000_000_i64..253_000_000_000_000) {
            let text = Instant(ms).rfc3339();
            prop_assert_eq!(Instant::parse(&text), Some(Instant(ms)));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = Instant::parse(&text);
        }

        #[test]
        fn later_is_greater_as_text_too(a in 0_i64..4_000_000_000_000, b in 0_i64..4_000_000_000_000) {
            prop_assert_eq!(a.cmp(&b), Instant(a).rfc3339().cmp(&Instant(b).rfc3339()));
        }
    }
}
