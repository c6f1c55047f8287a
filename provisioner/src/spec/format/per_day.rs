//! Bytes in a day, as a budget is written: `40GB/d`.

use super::Wrong;

/// Less than this is spent by the start of a service.
const LEAST: u64 = 1_000_000;

/// What the agent takes at most.
const MOST: u64 = 1_000_000_000_000_000;

const UNITS: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

const USUAL: &str = "write for example 40GB/d or 500MiB/d";

/// The number of bytes that `40GB/d`, `40G/d` or `40GiB/d` means.
pub fn parse(text: &str) -> Result<u64, Wrong> {
    let wrong = |help: &str| Wrong::new("is not a number of bytes in a day", help);
    let Some((amount, time)) = text.split_once('/') else {
        return Err(Wrong::new("does not say in what time", USUAL));
    };
    if time != "d" {
        return Err(Wrong::new(
            "is not by day, by which budgets are counted",
            USUAL,
        ));
    }
    if amount.ends_with('b') {
        return Err(wrong("`b` means bits; write for example 40GB/d"));
    }
    let short = amount.strip_suffix('B').unwrap_or(amount);
    let of_units = |text: &str| {
        let found = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
        found.map(|(unit, size)| (text.len() - unit.len(), *size))
    };
    let Some((end, unit)) = of_units(short) else {
        // `KB` is what many write; `K` alone may mean either.
        let kilo = short.strip_suffix('K').filter(|_| short != amount);
        return match kilo {
            Some(number) => in_range(number, 1_000, wrong),
            None => Err(wrong(USUAL)),
        };
    };
    in_range(&short[..end], unit, wrong)
}

fn in_range(number: &str, unit: u64, wrong: impl Fn(&str) -> Wrong) -> Result<u64, Wrong> {
    let (whole, part) = super::cluster::decimal(number).ok_or_else(|| wrong(USUAL))?;
    let total = (u128::from(whole) * 1_000 + u128::from(part)) * u128::from(unit) / 1_000;
    match u64::try_from(total) {
        Ok(total) if total < LEAST => Err(Wrong::new("is less than a megabyte in a day", USUAL)),
        Ok(total) if total <= MOST => Ok(total),
        _ => Err(Wrong::new("is more than a petabyte in a day", USUAL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_all_their_spellings() {
        for (text, bytes) in [
            ("40GB/d", 40_000_000_000),
            ("40G/d", 40_000_000_000),
            ("1.5GiB/d", 3 << 29),
            ("500Mi/d", 500 << 20),
            ("2000kB/d", 2_000_000),
            ("2000KB/d", 2_000_000),
            ("1TB/d", 1_000_000_000_000),
        ] {
            assert_eq!(parse(text).ok(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let what = |text: &str| parse(text).unwrap_err();
        assert_eq!(what("40GB").what, "does not say in what time");
        assert!(what("40GB/h").what.contains("by day"));
        assert!(what("40Gb/d").help.unwrap().contains("bits"));
        assert!(what("40kB/d").what.contains("megabyte"));
        assert!(what("2000TB/d").what.contains("petabyte"));
        for text in [
            "40/d", "40B/d", "GB/d", "-1GB/d", "1e3GB/d", "40K/d", "/d", "", "40 GB/d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[0-9.kKMGTiBb/dhé ]{0,20}") {
            let _ = parse(&text);
        }

        #[test]
        fn whole_megabytes_are_read_back(n in 1_u64..1_000_000) {
            proptest::prop_assert_eq!(parse(&format!("{n}MB/d")).ok(), Some(n * 1_000_000));
        }
    }
}
