//! What a sensor's files are called, and what each becomes.

use std::collections::BTreeMap;

/// Kind, number and property out of a file's name: `temp1_crit_alarm` is `temp`, 1 and
/// `crit_alarm`. The number is 0 if there is none.
pub fn explode(name: &str) -> Option<(&str, u32, &str)> {
    let kind = name
        .bytes()
        .take_while(|byte| !byte.is_ascii_digit())
        .count();
    let rest = &name[kind..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let property = &rest[digits..];
    if kind == 0 {
        return None;
    }
    let number = if digits == 0 {
        0
    } else {
        rest[..digits].parse().ok()?
    };
    match property.strip_prefix('_') {
        Some("") => None,
        Some(property) => Some((&name[..kind], number, property)),
        None if property.is_empty() => Some((&name[..kind], number, "")),
        None => None,
    }
}

/// The text with what no metric's name may have replaced by `_`, in lower case, without `_` at its
/// ends.
pub fn clean(text: &str) -> String {
    let replaced: String = text
        .chars()
        .flat_map(char::to_lowercase)
        .map(|sign| match sign {
            'a'..='z' | '0'..='9' | ':' | '_' => sign,
            _ => '_',
        })
        .collect();
    replaced.trim_matches('_').to_owned()
}

/// The family's name up to the unit.
pub fn family(kind: &str, property: &str, properties: &BTreeMap<String, Vec<u8>>) -> String {
    match property {
        "" => format!("node_hwmon_{kind}"),
        "input" if properties.contains_key("") => format!("node_hwmon_{kind}_input"),
        "input" => format!("node_hwmon_{kind}"),
        _ => format!("node_hwmon_{kind}_{}", clean(property)),
    }
}

/// How a value is shown.
pub struct Shown {
    /// What follows the family's name.
    pub suffix: &'static str,
    pub help: String,
    pub value: f64,
    /// Whether it is a counter.
    pub counts: bool,
}

/// Units are the kernel's thousandths and millionths.
pub fn shown(kind: &str, property: &str, value: f64) -> Shown {
    let gauge = |suffix, help: String, value| Shown {
        suffix,
        help,
        value,
        counts: false,
    };
    match (kind, property) {
        (_, "fault" | "alarm") => gauge(
            "",
            format!("Hardware sensor {property} status ({kind})"),
            value,
        ),
        (_, "beep") => gauge(
            "_enabled",
            "Hardware monitor sensor has beeping enabled".to_owned(),
            value,
        ),
        ("in" | "cpu", _) => gauge(
            "_volts",
            format!("Hardware monitor for voltage ({property})"),
            value * 0.001,
        ),
        ("temp", property) if property != "type" => {
            let property = if property.is_empty() {
                "input"
            } else {
                property
            };
            gauge(
                "_celsius",
                format!("Hardware monitor for temperature ({property})"),
                value * 0.001,
            )
        }
        ("curr", _) => gauge(
            "_amps",
            format!("Hardware monitor for current ({property})"),
            value * 0.001,
        ),
        ("energy", _) => Shown {
            suffix: "_joule_total",
            help: format!("Hardware monitor for joules used so far ({property})"),
            value: value / 1_000_000.0,
            counts: true,
        },
        ("power", "accuracy") => gauge(
            "",
            "Hardware monitor power meter accuracy, as a ratio".to_owned(),
            value / 1_000_000.0,
        ),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => gauge(
            "_seconds",
            format!("Hardware monitor power usage update interval ({property})"),
            value * 0.001,
        ),
        ("power", _) => gauge(
            "_watt",
            format!("Hardware monitor for power usage in watts ({property})"),
            value / 1_000_000.0,
        ),
        ("humidity", _) => gauge(
            "",
            format!(
                "Hardware monitor for humidity, as a ratio (multiply with 100.0 to get the humidity \
                 as a percentage) ({property})"
            ),
            value / 1_000_000.0,
        ),
        ("fan", "input" | "min" | "max" | "target") => gauge(
            "_rpm",
            format!("Hardware monitor for fan revolutions per minute ({property})"),
            value,
        ),
        _ => gauge(
            "",
            format!("Hardware monitor {kind} element {property}"),
            value,
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(explode("temp1_crit_alarm"), Some(("temp", 1, "crit_alarm")));
        assert_eq!(explode("pwm10"), Some(("pwm", 10, "")));
        assert_eq!(explode("beep_enable"), Some(("beep_enable", 0, "")));
        assert_eq!(
            explode("temp1_auto_point2_temp"),
            Some(("temp", 1, "auto_point2_temp"))
        );
        for other in ["1temp", "temp1x", "temp1_", "", "temp99999999999_input"] {
            assert_eq!(explode(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_cleaned() {
        assert_eq!(clean("_Nct6775.656\n"), "nct6775_656");
        assert_eq!(clean("0000:01:00.0"), "0000:01:00_0");
    }

    proptest! {
        #[test]
        fn any_name_is_taken_apart_or_refused(name in "\\PC{0,20}") {
            let _ = explode(&name);
            let cleaned = clean(&name);
            prop_assert_eq!(clean(&cleaned), cleaned);
        }

        #[test]
        fn parts_make_the_name_again(kind in "[a-z]{1,5}", number in 1_u32..999, property in "[a-z]{1,9}") {
            let name = format!("{kind}{number}_{property}");
            prop_assert_eq!(explode(&name), Some((kind.as_str(), number, property.as_str())));
        }
    }
}
