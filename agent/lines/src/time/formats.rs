//! The forms of a time that are not RFC 3339. What could be read in two ways (`04/05/2026`) is not
//! read at all.

use super::{Time, days, days_in};

const DAY: i64 = 86_400_000;

/// A reader of one form.
type Form = fn(&mut Cursor<'_>, i64) -> Option<Time>;

/// The forms, each begun in its own way; the first that reads the whole text is the one.
const FORMS: [Form; 7] = [
    day_month_year,
    month_day,
    numbers,
    basic,
    klog,
    weekday_first,
    unix,
];

/// `now` (milliseconds since 1970) decides the year of what has none.
pub fn text(text: &[u8], now: i64) -> Option<Time> {
    if text.len() > 48 {
        return None;
    }
    FORMS.iter().find_map(|form| {
        let mut cursor = Cursor { text, at: 0 };
        let time = form(&mut cursor, now)?;
        (cursor.at == text.len()).then_some(time)
    })
}

/// `24/Nov/2026:09:06:29 +0700` (access logs), `24-Nov-2026 02:06:29.123` (Tomcat), `24 Nov 2026
/// 02:06:29,123`, `Tue, 24 Nov 2026 02:06:29 GMT` (RFC 2822), `24 Nov 26 02:06 WIB` not.
fn day_month_year(cursor: &mut Cursor<'_>, _: i64) -> Option<Time> {
    cursor.weekday();
    let day = cursor.number(1, 2)?;
    let divider = cursor.one_of(b"/- ")?;
    let month = cursor.month()?;
    cursor.eat(divider)?;
    let year = cursor.number(4, 4)?;
    cursor.one_of(b": T")?;
    let clock = cursor.clock()?;
    cursor.finish(year, month, day, clock)
}

/// `Nov 24 02:06:29` (syslog, RFC 3164), with a year after the day (Cisco) or at the end
/// (asctime, Apache's error log).
fn month_day(cursor: &mut Cursor<'_>, now: i64) -> Option<Time> {
    cursor.weekday();
    let month = cursor.month()?;
    cursor.eat(b' ')?;
    cursor.skip(b' ');
    let day = cursor.number(1, 2)?;
    cursor.skip(b',');
    cursor.eat(b' ')?;
    let before = cursor.at;
    let year = cursor.number(4, 4).filter(|_| cursor.eat(b' ').is_some());
    if year.is_none() {
        cursor.at = before;
    }
    let clock = cursor.clock()?;
    if let Some(year) = year {
        return cursor.finish(year, month, day, clock);
    }
    let before = cursor.at;
    if cursor.eat(b' ').is_some()
        && let Some(year) = cursor.number(4, 4)
    {
        return cursor.finish(year, month, day, clock);
    }
    cursor.at = before;
    let zone = cursor.zone()?;
    nearest(month, day, now, |year| {
        moment(year, month, day, clock, zone.minutes())
    })
    .map(|millis| Time {
        millis,
        strict: false,
        zoned: zone != Zone::Absent,
    })
}

/// `Tue Nov 24 …` and `Tue, 24 Nov …`: the weekday is skipped by both; a lone one is nothing.
fn weekday_first(cursor: &mut Cursor<'_>, now: i64) -> Option<Time> {
    cursor.eat(b'[')?;
    let time = month_day(cursor, now).or_else(|| {
        cursor.at = 1;
        day_month_year(cursor, now)
    })?;
    cursor.eat(b']')?;
    Some(time)
}

/// `2026/11/24 02:06:29` (Go, nginx's error log), `2026.11.24 02:06:29`, `2026-1-4 2:06:29`.
fn numbers(cursor: &mut Cursor<'_>, _: i64) -> Option<Time> {
    let year = cursor.number(4, 4)?;
    let divider = cursor.one_of(b"/.-_")?;
    let month = cursor.number(1, 2)?;
    cursor.eat(divider)?;
    let day = cursor.number(1, 2)?;
    cursor.one_of(b" T_-:")?;
    let clock = cursor.clock()?;
    cursor.finish(year, month, day, clock)
}

/// `20261124T020629Z`, `20261124 02:06:29`, `20261124020629`.
fn basic(cursor: &mut Cursor<'_>, _: i64) -> Option<Time> {
    let (year, month, day) = (
        cursor.number(4, 4)?,
        cursor.number(2, 2)?,
        cursor.number(2, 2)?,
    );
    cursor.one_of(b"T -");
    let before = cursor.at;
    let clock = if let Some(clock) = cursor.clock() {
        clock
    } else {
        cursor.at = before;
        let (hour, minute, second) = (
            cursor.number(2, 2)?,
            cursor.number(2, 2)?,
            cursor.number(2, 2)?,
        );
        Clock {
            millis: clock_millis(hour, minute, second)? + cursor.fraction()?,
        }
    };
    cursor.finish(year, month, day, clock)
}

/// `I1124 02:06:29.123456`: Kubernetes' own programs; the letter may be cut off.
fn klog(cursor: &mut Cursor<'_>, now: i64) -> Option<Time> {
    cursor.one_of(b"IWEF");
    let (month, day) = (cursor.number(2, 2)?, cursor.number(2, 2)?);
    cursor.eat(b' ')?;
    let clock = cursor.clock()?;
    let millis = nearest(month, day, now, |year| moment(year, month, day, clock, 0))?;
    Some(Time {
        millis,
        strict: false,
        zoned: false,
    })
}

/// A number in quotes.
fn unix(cursor: &mut Cursor<'_>, _: i64) -> Option<Time> {
    let time = super::number(cursor.text)?;
    cursor.at = cursor.text.len();
    Some(Time {
        // Elasticsearch reads `epoch_millis` from a text as well, but not every reader does.
        strict: false,
        ..time
    })
}

/// The year for which a time without one is nearest to now: in January, December's lines are last
/// year's. A day that the year does not have (February 29) is of another one.
fn nearest(month: i64, day: i64, now: i64, at: impl Fn(i64) -> Option<i64>) -> Option<i64> {
    let year = 1970 + now.div_euclid(DAY * 36_525 / 100);
    if !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    (year - 4..=year + 1)
        .filter_map(at)
        .min_by_key(|millis| (millis - now).abs())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    Absent,
    /// Minutes east of Greenwich.
    East(i64),
}

impl Zone {
    fn minutes(self) -> i64 {
        match self {
            Self::Absent => 0,
            Self::East(minutes) => minutes,
        }
    }
}

#[derive(Clone, Copy)]
struct Clock {
    /// Of the day.
    millis: i64,
}

fn clock_millis(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let fits = hour <= 23 && minute <= 59 && second <= 60;
    fits.then_some(((hour * 60 + minute) * 60 + second) * 1000)
}

fn moment(year: i64, month: i64, day: i64, clock: Clock, zone: i64) -> Option<i64> {
    let fits = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    fits.then(|| days(year, month, day) * DAY + clock.millis - zone * 60_000)
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.rest().first() == Some(&byte)).then(|| self.at += 1)
    }

    fn skip(&mut self, byte: u8) {
        let _ = self.eat(byte);
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = *self.rest().first().filter(|byte| bytes.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    /// A number of so many digits; more than the most are no number.
    fn number(&mut self, fewest: usize, most: usize) -> Option<i64> {
        let digits = self
            .rest()
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits < fewest {
            return None;
        }
        let value = self.rest()[..digits]
            .iter()
            .fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
        self.at += digits;
        Some(value)
    }

    fn letters(&self) -> usize {
        self.rest()
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count()
    }

    /// Three letters or the whole name.
    fn month(&mut self) -> Option<i64> {
        const MONTHS: [&str; 12] = [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ];
        let length = self.letters();
        let word = self.rest()[..length].to_ascii_lowercase();
        let index = MONTHS.iter().position(|month| {
            month.as_bytes() == word || (length == 3 && month.as_bytes().starts_with(&word))
        })?;
        self.at += length;
        i64::try_from(index + 1).ok()
    }

    /// `Tue ` or `Tue, ` or `Tuesday, `, if it is there.
    fn weekday(&mut self) {
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let length = self.letters();
        let word = self.rest()[..length].to_ascii_lowercase();
        let is_day = length >= 3
            && (length == 3 || word.ends_with(b"day"))
            && DAYS.iter().any(|day| word.starts_with(day.as_bytes()));
        if is_day {
            self.at += length;
            self.skip(b',');
            self.skip(b' ');
        }
    }

    /// `02:06:29`, perhaps with a fraction.
    fn clock(&mut self) -> Option<Clock> {
        let hour = self.number(1, 2)?;
        self.eat(b':')?;
        let minute = self.number(2, 2)?;
        self.eat(b':')?;
        let second = self.number(2, 2)?;
        Some(Clock {
            millis: clock_millis(hour, minute, second)? + self.fraction()?,
        })
    }

    /// Milliseconds; nothing is 0, a divider without digits is wrong.
    fn fraction(&mut self) -> Option<i64> {
        if self.one_of(b".,").is_none() {
            return Some(0);
        }
        let digits = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 || digits > 9 {
            return None;
        }
        let millis = (0..3).fold(0, |sum, index| {
            let digit = if index < digits {
                i64::from(self.rest()[index] - b'0')
            } else {
                0
            };
            sum * 10 + digit
        });
        self.at += digits;
        Some(millis)
    }

    /// The zone, if there is more; `None` if that is none. Of the zones' letters only those that mean
    /// one thing: UTC, and Indonesia's three.
    fn zone(&mut self) -> Option<Zone> {
        if self.rest().is_empty() || self.rest() == b"]" {
            return Some(Zone::Absent);
        }
        self.skip(b' ');
        if let Some(sign) = self.one_of(b"+-") {
            let hours = self.number(2, 2)?;
            self.skip(b':');
            let minutes = self.number(2, 2).unwrap_or(0);
            if hours > 18 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            return Some(Zone::East(if sign == b'-' { -minutes } else { minutes }));
        }
        let length = self.letters();
        let zone = match &self.rest()[..length] {
            b"Z" | b"z" | b"UTC" | b"GMT" | b"UT" => 0,
            b"WIB" => 7 * 60,
            b"WITA" => 8 * 60,
            b"WIT" => 9 * 60,
            _ => return None,
        };
        self.at += length;
        Some(Zone::East(zone))
    }

    fn finish(&mut self, year: i64, month: i64, day: i64, clock: Clock) -> Option<Time> {
        let zone = self.zone()?;
        Some(Time {
            millis: moment(year, month, day, clock, zone.minutes())?,
            strict: false,
            zoned: zone != Zone::Absent,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::super::{read as read_time, write};

    /// 2026-11-24T02:06:29.123Z
    const NOW: i64 = 1_795_485_989_123;

    fn read_at(text: &str, zone: Option<&str>, now: i64) -> Option<String> {
        let zone = zone.map(|name| TimeZone::get(name).unwrap());
        let time = read_time(text.as_bytes(), zone.as_ref(), now)?;
        let mut out = Vec::new();
        write(&mut out, time.millis);
        Some(String::from_utf8(out).unwrap())
    }

    fn read(text: &str) -> Option<String> {
        read_at(text, None, NOW)
    }

    #[test]
    fn the_usual_forms_are_read() {
        for text in [
            "24/Nov/2026:09:06:29 +0700",
            "24-Nov-2026 02:06:29",
            "24 Nov 2026 02:06:29",
            "Tue, 24 Nov 2026 02:06:29 GMT",
            "Tue, 24 Nov 2026 09:06:29 +0700",
            "24 November 2026 02:06:29",
            "Nov 24 02:06:29",
            "Nov 24 2026 02:06:29",
            "Nov 24, 2026 02:06:29",
            "Tue Nov 24 02:06:29 2026",
            "[Tue Nov 24 02:06:29.000 2026]",
            "2026/11/24 02:06:29",
            "2026.11.24 02:06:29",
            "2026/11/24 09:06:29 WIB",
            "20261124T020629Z",
            "20261124 02:06:29",
            "20261124020629",
            "I1124 02:06:29.000456",
            "1124 02:06:29",
            "1795485989",
            "2026-11-24 02:06:29",
            "2026-11-24T09:06:29+07:00",
        ] {
            assert_eq!(
                read(text).as_deref(),
                Some("2026-11-24T02:06:29.000Z"),
                "{text}"
            );
        }
        assert_eq!(
            read("24-Nov-2026 02:06:29,5").as_deref(),
            Some("2026-11-24T02:06:29.500Z")
        );
        assert_eq!(
            read("Nov  4 02:06:29").as_deref(),
            Some("2026-11-04T02:06:29.000Z")
        );
    }

    #[test]
    fn what_is_no_time_or_two_is_none() {
        for text in [
            "",
            "now",
            "04/05/2026 02:06:29",
            "24/Foo/2026:02:06:29 +0700",
            "31/Nov/2026:02:06:29 +0000",
            "Nov 24",
            "Nov 31 02:06:29",
            "Nov 24 24:06:29",
            "2026/13/24 02:06:29",
            "Nov 24 02:06:29.",
            "Nov 24 02:06:29 EST",
            "24/Nov/2026:02:06:29 +0700 x",
            "0x",
            "Tue",
            "[Nov 24 02:06:29",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_is_for_what_has_none() {
        let jakarta = Some("Asia/Jakarta");
        for text in [
            "Nov 24 09:06:29",
            "2026-11-24 09:06:29",
            "2026-11-24T09:06:29",
            "2026/11/24 09:06:29",
        ] {
            assert_eq!(
                read_at(text, jakarta, NOW).as_deref(),
                Some("2026-11-24T02:06:29.000Z"),
                "{text}"
            );
        }
        assert_eq!(
            read_at("2026-11-24T09:06:29+09:00", jakarta, NOW).as_deref(),
            Some("2026-11-24T00:06:29.000Z")
        );
        // Clocks put back: the earlier; put forward: after the gap.
        let paris = Some("Europe/Paris");
        assert_eq!(
            read_at("2026-10-25 02:30:00", paris, NOW).as_deref(),
            Some("2026-10-25T00:30:00.000Z")
        );
        assert_eq!(
            read_at("2026-03-29 02:30:00", paris, NOW).as_deref(),
            Some("2026-03-29T01:30:00.000Z")
        );
    }

    #[test]
    fn a_year_is_the_nearest() {
        let first_of_january = 1_798_761_600_000; // 2027-01-01T00:00:00Z
        assert_eq!(
            read_at("Dec 31 23:59:59", None, first_of_january).as_deref(),
            Some("2026-12-31T23:59:59.000Z")
        );
        assert_eq!(
            read_at("Jan  1 00:00:01", None, first_of_january - 1000).as_deref(),
            Some("2027-01-01T00:00:01.000Z")
        );
        assert_eq!(
            read_at("Feb 29 00:00:00", None, NOW).as_deref(),
            Some("2024-02-29T00:00:00.000Z")
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in any::<Vec<u8>>(), near in "[0-9A-Za-z/:., +\\-\\[]{0,32}", now in any::<i64>()) {
            let now = now % 253_402_300_800_000;
            let zone = TimeZone::get("Asia/Jakarta").unwrap();
            let _ = (read_time(&bytes, Some(&zone), now), read_time(near.as_bytes(), None, now));
        }

        #[test]
        fn jiff_agrees(seconds in 0i64..4_102_444_800) {
            let zoned = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(TimeZone::UTC);
            for format in ["%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y", "%Y/%m/%d %H:%M:%S", "%Y%m%dT%H%M%SZ"] {
                let text = zoned.strftime(format).to_string();
                let time = read_time(text.as_bytes(), None, NOW).expect(&text);
                prop_assert_eq!(time.millis, seconds * 1000, "{}", text);
            }
        }
    }
}
