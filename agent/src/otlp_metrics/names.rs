//! Names as Prometheus' own OTLP receiver gives them (`prometheus/otlptranslator`, strategy
//! `UnderscoreEscapingWithSuffixes`): units and types become endings, what is no letter or digit an
//! underscore. Pure.

/// What decides a metric's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    MonotonicCounter,
    Gauge,
    Other,
}

const UNITS: [(&str, &str); 27] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
    ("", ""),
];

const PER: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The name of a metric; `None` where nothing is left of it.
pub fn metric(name: &str, unit: &str, ending: Ending) -> Option<String> {
    let mut tokens: Vec<&str> = name
        .split(|letter: char| !is_valid(letter))
        .filter(|token| !token.is_empty())
        .collect();
    let (main, per) = suffixes(unit);
    let (mut main, mut per) = (clean(main), clean(&per));
    if tokens.contains(&main.as_str()) {
        main.clear();
    }
    if per == "per_" {
        per.clear();
    } else {
        per = per.strip_suffix('_').unwrap_or(&per).to_owned();
        if tokens.contains(&per.as_str()) {
            per.clear();
        }
    }
    if !per.is_empty() {
        main = main.strip_suffix('_').unwrap_or(&main).to_owned();
    }
    tokens.extend(
        [main.as_str(), per.as_str()]
            .into_iter()
            .filter(|t| !t.is_empty()),
    );
    if ending == Ending::MonotonicCounter {
        tokens.retain(|token| *token != "total");
        tokens.push("total");
    }
    if unit == "1" && ending == Ending::Gauge {
        tokens.retain(|token| *token != "ratio");
        tokens.push("ratio");
    }
    let mut out = tokens.join("_");
    if out.starts_with(|letter: char| letter.is_ascii_digit()) {
        out.insert(0, '_');
    }
    let says_something = out.chars().any(|letter| letter != '_');
    says_something.then_some(out)
}

/// A metric's unit, in Prometheus' words.
pub fn unit(unit: &str) -> String {
    let (main, per) = suffixes(unit);
    let (main, per) = (clean(main), clean(&per));
    let both = match (main.as_str(), per.as_str()) {
        (main, "") => main.to_owned(),
        ("", per) => per.to_owned(),
        (main, per) => format!("{main}_{per}"),
    };
    let out = both.strip_prefix('_').unwrap_or(&both);
    out.strip_suffix('_').unwrap_or(out).to_owned()
}

/// The name of a label; `None` where nothing is left of it.
pub fn label(name: &str) -> Option<String> {
    let mut out: String = name
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect();
    if out.starts_with(|letter: char| letter.is_ascii_digit()) {
        out.insert_str(0, "key_");
    } else if out.starts_with('_') && !out.starts_with("__") {
        out.insert_str(0, "key");
    }
    out.chars().any(|letter| letter != '_').then_some(out)
}

fn is_valid(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == ':'
}

/// The unit's own ending and that of what it is measured by; braces hold remarks.
fn suffixes(unit: &str) -> (&str, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let known = |unit: &'_ str, table: &[(&str, &'static str)]| {
        table
            .iter()
            .find(|(short, _)| *short == unit)
            .map(|(_, word)| *word)
    };
    let main = main.trim();
    let main = match main.contains(['{', '}']) {
        true => "",
        false => known(main, &UNITS).unwrap_or(main),
    };
    let per = per.trim();
    let per = match per.is_empty() || per.contains(['{', '}']) {
        true => String::new(),
        false => format!("per_{}", known(per, &PER).unwrap_or(per)),
    };
    (main, per)
}

fn clean(unit: &str) -> String {
    let mut out = String::with_capacity(unit.len());
    for letter in unit.chars() {
        let letter = if is_valid(letter) { letter } else { '_' };
        if letter != '_' || !out.ends_with('_') {
            out.push(letter);
        }
    }
    out.strip_prefix('_').unwrap_or(&out).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of `prometheus/otlptranslator` 1.0.
    #[test]
    fn names_are_prometheus_own() {
        use Ending::{Gauge, MonotonicCounter, Other};
        for (name, unit, ending, expected) in [
            ("system.io", "By", MonotonicCounter, "system_io_bytes_total"),
            (
                "unsupported.metric.temperature",
                "°F",
                Gauge,
                "unsupported_metric_temperature_F",
            ),
            (
                "unsupported.metric.redundant",
                "__test $/°C",
                Gauge,
                "unsupported_metric_redundant_test_per_C",
            ),
            (
                "unsupported.metric.redundant",
                "°F/ms",
                Gauge,
                "unsupported_metric_redundant_F_per_ms",
            ),
            (
                "broken.metric.speed.km",
                "km/h",
                Gauge,
                "broken_metric_speed_km_per_hour",
            ),
            (
                "sensor.temperature",
                "Cel",
                Gauge,
                "sensor_temperature_celsius",
            ),
            (
                "hw.gpu.memory.utilization",
                "1",
                Gauge,
                "hw_gpu_memory_utilization_ratio",
            ),
            ("hw.fan.speed_ratio", "1", Gauge, "hw_fan_speed_ratio"),
            ("objects", "1", MonotonicCounter, "objects_total"),
            (
                "active_tasks",
                "{tasks}/s",
                Gauge,
                "active_tasks_per_second",
            ),
            (
                "http.server.request.duration",
                "s",
                Other,
                "http_server_request_duration_seconds",
            ),
            (
                "requests_total",
                "{request}",
                MonotonicCounter,
                "requests_total",
            ),
            ("total.errors", "", MonotonicCounter, "errors_total"),
            ("2xx", "", Gauge, "_2xx"),
            ("m1", "m/s", Gauge, "m1_meters_per_second"),
            ("fa:bar", "", Gauge, "fa:bar"),
        ] {
            assert_eq!(
                metric(name, unit, ending).as_deref(),
                Some(expected),
                "{name} {unit}"
            );
        }
        for nothing in ["", "_", "日本"] {
            assert_eq!(metric(nothing, "", Other), None, "{nothing}");
        }
        assert_eq!(unit("By/s"), "bytes_per_second");
        assert_eq!(unit("1"), "");
        for (name, expected) in [
            ("http.method", Some("http_method")),
            ("123x", Some("key_123x")),
            ("_a", Some("key_a")),
            ("__a__", Some("__a__")),
            ("a..b", Some("a__b")),
            ("...", None),
        ] {
            assert_eq!(label(name).as_deref(), expected, "{name}");
        }
    }
}
