//! The labels of a written series: the page's, the target's, the external ones, as a Prometheus
//! that scraped the page itself would have joined them. Pure.

use std::borrow::Cow;

use crate::exposition::float;
use crate::samples::{Kind, Series};

/// What is the same for all series of a target.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Sorted by name.
    pub target: &'a [(String, String)],
    pub external: &'a [(String, String)],
}

/// A series' labels, complete and sorted by name. Labels without a value are none.
pub fn join<'a>(series: &'a Series<'_>, around: Around<'a>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let mut out: Vec<(Cow<'a, str>, Cow<'a, str>)> =
        Vec::with_capacity(series.labels.len() + around.target.len() + around.external.len() + 1);
    out.push(("__name__".into(), series.name.as_ref().into()));
    for (name, value) in around.target {
        if !value.is_empty() {
            out.push((name.as_str().into(), value.as_str().into()));
        }
    }
    for (name, value) in series.labels {
        if value.is_empty() {
            continue;
        }
        let is_targets = |name: &str| around.target.iter().any(|(other, _)| other == name);
        let mut name = Cow::Borrowed(name.as_ref());
        if is_targets(&name) {
            // The target's word counts; the page's is kept beside it.
            while is_targets(&name) || series.labels.iter().any(|(other, _)| *other == name) {
                name = format!("exported_{name}").into();
            }
        }
        let value = normal(series, &name, value);
        out.push((name, value));
    }
    for (name, value) in around.external {
        if !value.is_empty() && !out.iter().any(|(other, _)| other == name) {
            out.push((name.as_str().into(), value.as_str().into()));
        }
    }
    out.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    out.dedup_by(|a, b| a.0 == b.0);
    out
}

/// The labels of a series that the agent adds about a target.
pub fn about<'a>(name: &'a str, around: Around<'a>) -> Vec<(&'a str, &'a str)> {
    let mut out = vec![("__name__", name)];
    for (name, value) in around.target {
        if !value.is_empty() {
            out.push((name, value));
        }
    }
    for (name, value) in around.external {
        if !value.is_empty() && !out.iter().any(|(other, _)| other == name) {
            out.push((name, value));
        }
    }
    out.sort_unstable_by(|a, b| a.0.cmp(b.0));
    out
}

/// Bounds of buckets and quantiles are numbers: `1` and `1.0` are one series, as for Prometheus 3.
fn normal<'a>(series: &Series<'_>, name: &str, value: &'a str) -> Cow<'a, str> {
    let is_number = match series.family.kind {
        Kind::Histogram | Kind::GaugeHistogram => name == "le",
        Kind::Summary => name == "quantile",
        _ => false,
    };
    if !is_number {
        return value.into();
    }
    match value.parse::<f64>() {
        Ok(number) => {
            let mut text = Vec::with_capacity(16);
            float::write(&mut text, number);
            let whole = !text.iter().any(|b| b".eIN".contains(b));
            if whole {
                text.extend_from_slice(b".0");
            }
            match String::from_utf8(text) {
                Ok(text) if text == value => value.into(),
                Ok(text) => text.into(),
                Err(_) => value.into(),
            }
        }
        Err(_) => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Family, Label, Value};

    fn joined(kind: Kind, labels: &[(&str, &str)], target: &[(&str, &str)]) -> String {
        let family = Family {
            name: "f".into(),
            kind,
            help: "".into(),
            unit: "".into(),
        };
        let labels: Vec<Label<'_>> = labels
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let series = Series {
            family: &family,
            name: "f".into(),
            labels: &labels,
            value: Value::Number(1.0),
            timestamp: None,
            created: None,
            exemplars: &[],
        };
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let target: Vec<_> = target.iter().map(own).collect();
        let external = [("cluster".to_owned(), "c".to_owned())];
        let around = Around {
            target: &target,
            external: &external,
        };
        let joined = join(&series, around);
        let mut sorted = joined.clone();
        sorted.sort();
        assert_eq!(sorted, joined);
        let words: Vec<_> = joined.iter().map(|(n, v)| format!("{n}={v}")).collect();
        words.join(" ")
    }

    #[test]
    fn the_targets_word_counts() {
        let target = [("instance", "i"), ("job", "j")];
        assert_eq!(
            joined(Kind::Gauge, &[("job", "x"), ("a", ""), ("Z", "z")], &target),
            "Z=z __name__=f cluster=c exported_job=x instance=i job=j"
        );
        assert_eq!(
            joined(Kind::Gauge, &[("job", "x"), ("exported_job", "y")], &target),
            "__name__=f cluster=c exported_exported_job=x exported_job=y instance=i job=j"
        );
        assert_eq!(
            joined(Kind::Gauge, &[("cluster", "own")], &[]),
            "__name__=f cluster=own"
        );
    }

    #[test]
    fn bounds_are_numbers() {
        for (given, shown) in [
            ("1", "1.0"),
            ("0.50", "0.5"),
            ("+Inf", "+Inf"),
            ("inf", "+Inf"),
            ("1e6", "1e+06"),
            ("10", "10.0"),
            ("x", "x"),
        ] {
            let text = joined(Kind::Histogram, &[("le", given)], &[]);
            assert_eq!(text, format!("__name__=f cluster=c le={shown}"));
            let text = joined(Kind::Gauge, &[("le", given)], &[]);
            assert_eq!(text, format!("__name__=f cluster=c le={given}"));
        }
    }
}
