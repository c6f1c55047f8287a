//! Timestamps of lines: what Elasticsearch takes as it is, what has to be written anew, and what is
//! none. A time without a zone is of the zone that its source is configured with, and of UTC
//! otherwise: a rule that depended on the node's own setting would give one line two times on two
//! nodes.

use jiff::Timestamp;
use jiff::tz::TimeZone;

mod formats;

/// A time that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds since 1970.
    pub millis: i64,
    /// Elasticsearch's `strict_date_optional_time||epoch_millis` takes the text as it stands.
    pub strict: bool,
    /// It says which zone it is in, or is a number. Without, UTC was taken for it.
    pub zoned: bool,
}

/// A day that a time was of. Those of the next lines mostly are, too, and in the form that we write,
/// which is cheaper to see than to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Day([u8; 10]);

impl Day {
    /// Whether `given` is a time of this day that Elasticsearch takes as it stands, of UTC and with
    /// milliseconds. False if it must be read to know that.
    pub fn has(&self, given: &[u8]) -> bool {
        let Ok(given) = <&[u8; 24]>::try_from(given) else {
            return false;
        };
        let is_digit = |at: usize| given[at].is_ascii_digit();
        let hours = given[11] < b'2' || (given[11] == b'2' && given[12] < b'4');
        given[..10] == self.0
            && given[10] == b'T'
            && given[13] == b':'
            && given[16] == b':'
            && given[19] == b'.'
            && given[23] == b'Z'
            && [11, 12, 14, 15, 17, 18, 20, 21, 22]
                .iter()
                .all(|at| is_digit(*at))
            && hours
            && given[14] < b'6'
            && given[17] < b'6'
    }

    /// Of a text that was read, and is taken as it stands.
    pub fn set(&mut self, given: &[u8]) {
        if let Some(day) = given.first_chunk() {
            self.0 = *day;
        }
    }
}

/// The text of a string in any of the usual forms; a time without a zone is of `zone`, and one
/// without a year is the nearest such to `now`.
pub fn read(given: &[u8], zone: Option<&TimeZone>, now: i64) -> Option<Time> {
    let (time, named) = match text(given) {
        Some(time) => (time, true),
        None => (formats::text(given, now)?, false),
    };
    match zone {
        Some(zone) if !time.zoned => Some(Time {
            millis: local(time.millis, zone)?,
            strict: false,
            zoned: false,
        }),
        _ => Some(Time {
            strict: time.strict && named,
            ..time
        }),
    }
}

/// A clock's reading, given as if it were of UTC, as the moment at which clocks of `zone` show it:
/// the earlier one when they are put back, the one after the gap when they are put forward.
fn local(millis: i64, zone: &TimeZone) -> Option<i64> {
    let shown = Timestamp::from_millisecond(millis).ok()?;
    let shown = TimeZone::UTC.to_datetime(shown);
    Some(zone.to_timestamp(shown).ok()?.as_millisecond())
}

/// The text of a string: RFC 3339, or near it (a space for the `T`, a comma before the fraction, no
/// zone).
pub fn text(text: &[u8]) -> Option<Time> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        text.get(range)?.iter().try_fold(0, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + i64::from(byte - b'0'))
        })
    };
    let is = |at: usize, byte: u8| text.get(at) == Some(&byte);
    // The part that all have, without a branch for each digit.
    let head = text.first_chunk::<19>()?;
    let mut digits = true;
    let mut two = |at: usize| {
        let (tens, ones) = (head[at].wrapping_sub(b'0'), head[at + 1].wrapping_sub(b'0'));
        digits &= tens < 10 && ones < 10;
        i64::from(tens) * 10 + i64::from(ones)
    };
    let (year, month, day) = (two(0) * 100 + two(2), two(5), two(8));
    let (hour, minute, second) = (two(11), two(14), two(17));
    let divided = head[4] == b'-' && head[7] == b'-' && head[13] == b':' && head[16] == b':';
    if !digits || !divided || !(1..=12).contains(&month) {
        return None;
    }
    if !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let mut strict = is(10, b'T');
    if !strict && !is(10, b' ') && !is(10, b't') {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    strict &= second < 60; // a leap second is none to Elasticsearch
    let mut at = 19;
    let mut fraction = 0;
    if is(at, b'.') || is(at, b',') {
        strict &= is(at, b'.');
        let digits = text[at + 1..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 {
            return None;
        }
        strict &= digits <= 9;
        for index in 0..3 {
            let digit = if index < digits {
                i64::from(text[at + 1 + index] - b'0')
            } else {
                0
            };
            fraction = fraction * 10 + digit;
        }
        at += 1 + digits;
    }
    if is(at, b' ') && at + 1 < text.len() {
        strict = false;
        at += 1;
    }
    let zone = match text.get(at) {
        None => 0, // Elasticsearch's rule too: UTC
        Some(b'Z') if text.len() == at + 1 => 0,
        Some(b'z') if text.len() == at + 1 => {
            strict = false;
            0
        }
        Some(sign @ (b'+' | b'-')) => {
            let hours = number(at + 1..at + 3)?;
            let minutes = match text.len() - at {
                3 => 0,
                5 => number(at + 3..at + 5)?,
                6 if is(at + 3, b':') => number(at + 4..at + 6)?,
                _ => return None,
            };
            if hours > 18 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            if *sign == b'-' { -minutes } else { minutes }
        }
        Some(_) => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + (minute - zone) * 60 + second;
    Some(Time {
        millis: seconds * 1000 + fraction,
        strict,
        zoned: at < text.len(),
    })
}

/// A number: seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their
/// size (1973 to 5138 in each unit).
pub fn number(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let value: f64 = text.parse().ok()?;
    let millis = match value {
        1e8..1e11 => value * 1e3,
        1e11..1e14 => value,
        1e14..1e17 => value / 1e3,
        1e17..1e20 => value / 1e6,
        _ => return None,
    };
    let strict = (1e11..1e14).contains(&value) && text.bytes().all(|byte| byte.is_ascii_digit());
    Some(Time {
        millis: millis as i64,
        strict,
        zoned: true,
    })
}

/// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Appends `2026-11-24T02:06:29.123Z`.
pub fn write(out: &mut Vec<u8>, millis: i64) {
    let days = millis.div_euclid(86_400_000);
    let rest = millis.rem_euclid(86_400_000);
    // `civil_from_days`, the inverse of the above.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * index + 2) / 5 + 1;
    let month = if index < 10 { index + 3 } else { index - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut two = |at: usize, value: i64| {
        text[at] = b'0' + (value / 10 % 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    };
    let year = year.rem_euclid(10_000);
    two(0, year / 100);
    two(2, year % 100);
    two(5, month);
    two(8, day);
    two(11, rest / 3_600_000);
    two(14, rest / 60_000 % 60);
    two(17, rest / 1000 % 60);
    two(20, rest % 1000 / 10);
    text[22] = b'0' + (rest % 10) as u8;
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(millis: i64) -> String {
        let mut out = Vec::new();
        write(&mut out, millis);
        String::from_utf8(out).unwrap()
    }

    fn read(from: &str) -> Option<(String, bool)> {
        text(from.as_bytes()).map(|time| (written(time.millis), time.strict))
    }

    #[test]
    fn the_usual_forms_are_read() {
        let same = "2026-11-24T02:06:29.123Z";
        for (from, strict) in [
            ("2026-11-24T02:06:29.123Z", true),
            ("2026-11-24T02:06:29.123456789Z", true),
            ("2026-11-24T09:06:29.123+07:00", true),
            ("2026-11-24T09:06:29.123+0700", true),
            ("2026-11-24T09:06:29.123+07", true),
            ("2026-11-23T21:06:29.123-05:00", true),
            ("2026-11-24T02:06:29.123", true),
            ("2026-11-24 02:06:29.123", false),
            ("2026-11-24 02:06:29,123", false),
            ("2026-11-24 09:06:29.123 +0700", false),
            ("2026-11-24t02:06:29.123z", false),
        ] {
            assert_eq!(read(from), Some((same.to_owned(), strict)), "{from}");
        }
        assert_eq!(
            read("2024-02-29T23:59:60Z").unwrap().0,
            "2024-03-01T00:00:00.000Z"
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        for from in [
            "",
            "now",
            "2026-11-24",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T02:06:29.Z",
            "2026-11-24T02:06:29Zx",
            "2026-11-24T02:06:29+7",
            "24/Nov/2026:02:06:29",
            "2026-11-24T02:06:29 ",
        ] {
            assert_eq!(read(from), None, "{from}");
        }
    }

    #[test]
    fn numbers_are_told_apart_by_size() {
        let same = "2026-11-24T02:06:29.123Z";
        for (from, strict) in [
            ("1795485989.123", false),
            ("1795485989123", true),
            ("1795485989123.5", false),
            ("1795485989123456", false),
            ("1795485989123456789", false),
        ] {
            let time = number(from.as_bytes()).unwrap();
            assert_eq!(
                (written(time.millis).as_str(), time.strict),
                (same, strict),
                "{from}"
            );
        }
        assert_eq!(number(b"17"), None);
        assert_eq!(number(b"-1795485989"), None);
        assert_eq!(number(b"1e999"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millis in 0i64..253_402_300_800_000) {
            let time = text(written(millis).as_bytes()).unwrap();
            prop_assert_eq!(time, Time { millis, strict: true, zoned: true });
        }

        #[test]
        fn a_time_of_the_day_is_one_that_is_taken(
            given in "20(26-11-24|00-02-29)T[0-2][0-9]:[0-6][0-9]:[0-6][0-9][.,][0-9]{3}[Zz]", near in any::<[u8; 2]>()
        ) {
            let mut day = Day::default();
            day.set(given.as_bytes());
            let read = text(given.as_bytes());
            prop_assert_eq!(day.has(given.as_bytes()), read.is_some_and(|read| read.strict), "{}", given);
            let mut other = given.into_bytes();
            other[usize::from(near[0]) % 24] = near[1];
            if day.has(&other) {
                prop_assert!(text(&other).is_some_and(|read| read.strict && read.zoned));
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes in any::<Vec<u8>>(), near in "[0-9TZ:., +-]{0,32}") {
            let _ = (text(&bytes), number(&bytes), text(near.as_bytes()), number(near.as_bytes()));
        }

        #[test]
        fn jiff_agrees(seconds in 0i64..253_402_300_800, offset in -1080i64..1080) {
            let local = Timestamp::from_second(seconds).unwrap();
            let zone = jiff::tz::Offset::from_seconds((offset * 60) as i32).unwrap();
            let shown = local.display_with_offset(zone).to_string();
            // jiff writes years outside of 0000 to 9999 with six digits, which is not RFC 3339.
            if shown.len() == 25 && !shown.starts_with('-') {
                let time = text(shown.as_bytes()).unwrap();
                prop_assert_eq!(time.millis, seconds * 1000);
            }
        }
    }
}
