//! Civil dates and RFC 3339 timestamps, without a time library: a travel date is a day number, and
//! a log line needs one timestamp format. Days are proleptic Gregorian (Howard Hinnant, "chrono-
//! compatible low-level date algorithms").

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub type UnixMs = u64;

/// The timetable is in Western Indonesian Time, UTC+7 all year.
const WIB_OFFSET_MS: u64 = 7 * 3_600_000;
const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;

/// The wall clock. A clock before 1970 reads as 0.
pub fn now_ms() -> UnixMs {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

/// A calendar day: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

impl Date {
    /// The day it is in Western Indonesian Time.
    pub fn today_wib(now: UnixMs) -> Self {
        Self(((now + WIB_OFFSET_MS) / DAY_MS) as u32)
    }

    /// The day `days` later.
    #[must_use]
    pub fn plus(self, days: u32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The moment at which it is `minute` minutes past midnight, Western Indonesian Time.
    pub fn at_minute_wib(self, minute: u32) -> UnixMs {
        (u64::from(self.0) * DAY_MS + u64::from(minute) * MINUTE_MS).saturating_sub(WIB_OFFSET_MS)
    }

    /// Reads `YYYY-MM-DD`, years 1970 to 9999, days that exist.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let number = |range: std::ops::Range<usize>| -> Option<u32> {
            bytes[range].iter().try_fold(0u32, |n, b| {
                b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0'))
            })
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let date = Self(days_from_civil(year, month, day));
        // 31 April and 29 February of a common year land on another day.
        (date.civil() == (year, month, day)).then_some(date)
    }

    fn civil(self) -> (u32, u32, u32) {
        let z = self.0 + 719_468;
        let era = z / 146_097;
        let doe = z % 146_097;
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        (yoe + era * 400 + u32::from(month <= 2), month, day)
    }
}

fn days_from_civil(year: u32, month: u32, day: u32) -> u32 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y / 400;
    let yoe = y % 400;
    let mp = if month > 2 { month - 3 } else { month + 9 };
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// RFC 3339, UTC, milliseconds: `2026-11-23T09:14:07.042Z`.
pub fn rfc3339(at: UnixMs) -> String {
    let date = Date((at / DAY_MS) as u32);
    let ms = at % DAY_MS;
    format!(
        "{date}T{:02}:{:02}:{:02}.{:03}Z",
        ms / 3_600_000,
        ms / MINUTE_MS % 60,
        ms / 1_000 % 60,
        ms % 1_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days() {
        assert_eq!(Date::parse("1970-01-01"), Some(Date(0)));
        assert_eq!(Date::parse("2000-02-29"), Some(Date(11_016)));
        assert_eq!(Date::parse("2026-11-23").map(|d| d.0), Some(20_780));
        assert_eq!(rfc3339(1_795_424_400_042), "2026-11-23T09:00:00.042Z");
    }

    #[test]
    fn refuses_days_that_do_not_exist() {
        for text in [
            "2026-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-10",
            "2026-1-1",
            "20261123",
            "2026-11-23 ",
            "1969-12-31",
            "２026-11-23",
            "",
            "2026/11/23",
            "+026-11-23",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_day_turns_at_seventeen_utc() {
        let sixteen = 1_795_424_400_000 + 7 * 3_600_000 + 3_599_999;
        assert_eq!(Date::today_wib(sixteen).to_string(), "2026-11-23");
        assert_eq!(Date::today_wib(sixteen + 1).to_string(), "2026-11-24");
        let midnight = Date::parse("2026-11-24").map(|d| d.at_minute_wib(0));
        assert_eq!(midnight, Some(sixteen + 1));
    }

    proptest! {
        #[test]
        fn text_and_day_agree(day in 0u32..2_900_000) {
            prop_assert_eq!(Date::parse(&Date(day).to_string()), Some(Date(day)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,12}") {
            if let Some(date) = Date::parse(&text) {
                prop_assert_eq!(date.to_string(), text);
            }
        }
    }
}
