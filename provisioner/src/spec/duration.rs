//! Durations as Prometheus writes them: `15s`, `1h30m`, `15d`.

use std::time::Duration;

/// Units from large to small; a duration names each at most once, in this order.
/// <https://prometheus.io/docs/prometheus/latest/querying/basics/#time-durations>
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Prometheus counts in signed nanoseconds; more does not fit.
const MAX_MILLIS: u64 = i64::MAX as u64 / 1_000_000;

/// Parses Prometheus' syntax, `0` included. `None` when it is not that.
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = rest.get(..letters)?;
        rest = &rest[letters..];
        let index = UNITS.iter().position(|(name, _)| *name == unit)?;
        if index < next_unit {
            return None;
        }
        next_unit = index + 1;
        total = total.checked_add(number.checked_mul(UNITS[index].1)?)?;
    }
    (next_unit > 0 && total <= MAX_MILLIS).then(|| Duration::from_millis(total))
}

/// The shortest text in Prometheus' syntax with days as the largest unit.
pub fn format(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, size) in &UNITS[2..] {
        if millis >= *size {
            text.push_str(&format!("{}{name}", millis / size));
            millis %= size;
        }
    }
    text
}

/// What was probably meant by a text that is not a duration: `15 sec` is `15s`, `1.5h` is `1h30m`,
/// a bare number counts seconds.
pub fn guess(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let mut rest = lower
        .strip_prefix("pt")
        .or(lower.strip_prefix('p'))
        .unwrap_or(&lower);
    let mut total = 0.0_f64;
    let mut parts = 0;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().ok()?;
        rest = rest[end..].trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let millis = match &rest[..end] {
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => 1.0,
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1_000.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
            "d" | "day" | "days" => 86_400_000.0,
            "w" | "week" | "weeks" => 7.0 * 86_400_000.0,
            "y" | "year" | "years" => 365.0 * 86_400_000.0,
            _ => return None,
        };
        rest = rest[end..].trim_start();
        total += number * millis;
        parts += 1;
    }
    let fits = parts > 0 && total >= 1.0 && total <= MAX_MILLIS as f64;
    fits.then(|| format(Duration::from_millis(total.round() as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(parse("15s"), seconds(15));
        assert_eq!(parse("1h30m"), seconds(5_400));
        assert_eq!(parse("15d"), seconds(15 * 86_400));
        assert_eq!(parse("1y2w"), seconds(379 * 86_400));
        assert_eq!(parse("1s500ms"), Some(Duration::from_millis(1_500)));
        assert_eq!(parse("0"), Some(Duration::ZERO));
        for bad in [
            "", "15", "s", "1m1h", "1h1h", "1.5h", "-5s", " 5s", "5S", "5us", "300y", "1ms1s",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse("99999999999999999999999s"), None);
    }

    #[test]
    fn guesses_what_was_meant() {
        for (text, meant) in [
            ("15", "15s"),
            ("15 seconds", "15s"),
            ("1.5h", "1h30m"),
            ("5min", "5m"),
            ("1m1h", "1h1m"),
            ("PT15S", "15s"),
            ("2 weeks", "14d"),
        ] {
            assert_eq!(guess(text).as_deref(), Some(meant), "{text}");
        }
        for text in ["", "soon", "5 parsecs", "-5s", "0", "1e99"] {
            assert_eq!(guess(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
        #[test]
        fn format_and_parse_agree(millis in 1_u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&format(duration)), Some(duration));
        }

        #[test]
        fn a_guess_is_a_duration(text in "\\PC{0,16}") {
            parse(&text);
            if let Some(meant) = guess(&text) {
                assert!(parse(&meant).is_some());
            }
        }
    }
}
