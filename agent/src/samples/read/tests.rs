//! Every format read alike, held to a recording of Prometheus' own readers.

use super::*;

fn listed(format: Format, body: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    read(format, body, &mut |series| {
        let labels: Vec<String> = series
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let value = match &series.value {
            Value::Number(value) => value.to_string(),
            Value::Native(histogram) => format!(
                "native {} {:?} {:?}",
                histogram.count, histogram.positive_spans, histogram.positive_counts
            ),
        };
        seen.push(format!(
            "{:?} {}|{}{{{}}} {value}{}",
            series.family.kind,
            series.family.name,
            series.name,
            labels.join(","),
            series
                .created
                .map(|at| format!(" since {at}"))
                .unwrap_or_default(),
        ));
    })
    .unwrap();
    seen
}

#[test]
fn series_know_their_family() {
    let page =
        b"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n\
        other_count 1\nc_total 1\n# TYPE c_total counter\n";
    assert_eq!(
        listed(Format::Text, page),
        [
            "Histogram h|h_bucket{le=1.0} 1",
            "Histogram h|h_bucket{le=+Inf} 2",
            "Histogram h|h_sum{} 3",
            "Histogram h|h_count{} 2",
            "Unknown other_count|other_count{} 1",
            "Counter c_total|c_total{} 1",
        ]
    );
    let page =
        b"# TYPE c counter\nc_total{a=\"x\"} 1\nc_created{a=\"x\"} 1.5\nc_total{a=\"y\"} 2\n\
        # TYPE i info\ni_info{v=\"1\"} 1\n# EOF\n";
    assert_eq!(
        listed(Format::OpenMetrics, page),
        [
            "Counter c|c_total{a=x} 1 since 1500",
            "Counter c|c_created{a=x} 1.5 since 1500",
            "Counter c|c_total{a=y} 2",
            "Info i|i_info{v=1} 1",
        ]
    );
}

#[test]
fn protobuf_becomes_the_same_series() {
    use super::super::protobuf::tests::{delimited, field, histogram, label, metric};
    let classic = histogram(&[(1.0, 1), (2.5, 3)], 4, 7.5, &[]);
    let body = delimited(&[
        field(1, b"h"),
        vec![0x18, 4], // type: histogram
        field(4, &metric(&[label("a", "x"), field(7, &classic)])),
    ]);
    assert_eq!(
        listed(Format::Protobuf, &body),
        [
            "Histogram h|h_bucket{a=x,le=1.0} 1",
            "Histogram h|h_bucket{a=x,le=2.5} 3",
            "Histogram h|h_bucket{a=x,le=+Inf} 4",
            "Histogram h|h_sum{a=x} 7.5",
            "Histogram h|h_count{a=x} 4",
        ]
    );
}
