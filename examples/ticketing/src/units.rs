//! Times and sizes as people write them: a whole number and one unit, nothing else.

use std::time::Duration;

/// `300ms`, `10s`, `5m`, `1h`: a whole number and one unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(ms)?))
}

/// The inverse of `parse_duration`, in the largest unit that is exact.
pub fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

const BYTE_UNITS: [(&str, u64); 5] = [
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// `1MiB`, `500kB`, `7B`: a whole number and one unit.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = BYTE_UNITS
        .iter()
        .find(|(unit, _)| *unit == &text[digits..])?
        .1;
    number.checked_mul(unit)
}

/// The inverse of [`parse_bytes`], in the largest unit that is exact.
pub fn show_bytes(bytes: u64) -> String {
    let exact = BYTE_UNITS
        .iter()
        .find(|(_, unit)| bytes.is_multiple_of(*unit));
    exact.map_or_else(String::new, |(name, unit)| {
        format!("{}{name}", bytes / unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_number_and_one_unit() {
        assert_eq!(parse_duration("300ms"), Some(Duration::from_millis(300)));
        assert_eq!(parse_duration("1h"), Some(Duration::from_hours(1)));
        for bad in [
            "",
            "5",
            "m",
            "1.5s",
            "-1s",
            "1h30m",
            " 1s",
            "1 s",
            "99999999999999999h",
            "١s",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert_eq!(parse_bytes("3MiB"), Some(3 << 20));
        for bad in [
            "",
            "5",
            "MiB",
            "1GiB",
            "1mib",
            "1.5MB",
            "99999999999999999999B",
        ] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(n in any::<u32>()) {
            let time = Duration::from_millis(n.into());
            prop_assert_eq!(parse_duration(&show_duration(time)), Some(time));
            prop_assert_eq!(parse_bytes(&show_bytes(n.into())), Some(n.into()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,12}") {
            let _ = (parse_duration(&text), parse_bytes(&text));
        }
    }
}
