//! Histograms of how long something took to be acknowledged.

use crate::exposition::{Page, escaped, float};

/// Upper bounds in seconds: an agent that keeps up is in the first few, an outage in the last.
const BOUNDS: [f64; 12] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
];

/// How many took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// By bound; the last is without one.
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Histogram {
    /// So many took so long. A clock that was set back makes no negative time.
    pub fn observe(&mut self, seconds: f64, times: u64) {
        let seconds = seconds.max(0.0);
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += times;
        self.sum += seconds * times as f64;
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Writes a family with a histogram per value of one label, or a single one if the label is empty.
pub fn write<'a>(
    page: &mut Page,
    name: &str,
    help: &str,
    label: &str,
    histograms: impl Iterator<Item = (&'a str, &'a Histogram)>,
) {
    let mut block = format!("# HELP {name} {help}\n# TYPE {name} histogram\n").into_bytes();
    let head = block.len();
    let number = |block: &mut Vec<u8>, series: String, value: f64| {
        block.extend_from_slice(series.as_bytes());
        block.push(b' ');
        float::write(block, value);
        block.push(b'\n');
    };
    for (value, histogram) in histograms {
        let (of, and) = if label.is_empty() {
            (String::new(), String::new())
        } else {
            let labels = format!("{label}=\"{}\"", escaped(value, true));
            (format!("{{{labels}}}"), labels + ",")
        };
        let mut below = 0;
        for (index, count) in histogram.counts.iter().enumerate() {
            below += count;
            let mut bound = Vec::new();
            float::write(
                &mut bound,
                BOUNDS.get(index).copied().unwrap_or(f64::INFINITY),
            );
            let bound = String::from_utf8_lossy(&bound);
            let series = format!("{name}_bucket{{{and}le=\"{bound}\"}}");
            number(&mut block, series, below as f64);
        }
        number(&mut block, format!("{name}_sum{of}"), histogram.sum);
        number(&mut block, format!("{name}_count{of}"), below as f64);
    }
    if block.len() > head {
        page.append_encoded(name, &String::from_utf8_lossy(&block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::merge;

    #[test]
    fn buckets_are_cumulative_and_a_bound_is_in_its_bucket() {
        let mut histogram = Histogram::default();
        histogram.observe(0.1, 2);
        histogram.observe(0.11, 1);
        histogram.observe(1e9, 3);
        histogram.observe(-5.0, 1);
        let mut page = Page::default();
        write(
            &mut page,
            "m_seconds",
            "Help.",
            "source",
            [("a\"b", &histogram)].into_iter(),
        );
        write(
            &mut page,
            "none_seconds",
            "Help.",
            "source",
            std::iter::empty(),
        );
        let mut out = Vec::new();
        merge([&page], &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("# HELP m_seconds Help.\n# TYPE m_seconds histogram\n"),
            "{text}"
        );
        for line in [
            "m_seconds_bucket{source=\"a\\\"b\",le=\"0.1\"} 3\n",
            "m_seconds_bucket{source=\"a\\\"b\",le=\"0.25\"} 4\n",
            "m_seconds_bucket{source=\"a\\\"b\",le=\"7200\"} 4\n",
            "m_seconds_bucket{source=\"a\\\"b\",le=\"+Inf\"} 7\n",
            "m_seconds_count{source=\"a\\\"b\"} 7\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("none"));
        let (mut page, mut out) = (Page::default(), Vec::new());
        write(
            &mut page,
            "n_seconds",
            "Help.",
            "",
            [("", &histogram)].into_iter(),
        );
        merge([&page], &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("n_seconds_bucket{le=\"0.1\"} 3\n")
                && text.contains("n_seconds_count 7\n"),
            "{text}"
        );
    }
}
