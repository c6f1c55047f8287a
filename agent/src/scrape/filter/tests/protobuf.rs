//! The same in protobuf.

use super::*;
use crate::samples::protobuf::{Value, families};

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    let head = [varint(number << 3 | 2), varint(content.len() as u64)];
    [head.concat(), content.to_vec()].concat()
}

fn double(number: u64, value: f64) -> Vec<u8> {
    [varint(number << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn label(name: &str, value: &str) -> Vec<u8> {
    let both = [bytes(1, name.as_bytes()), bytes(2, value.as_bytes())];
    bytes(1, &both.concat())
}

fn family(name: &str, kind: u64, metrics: &[Vec<u8>]) -> Vec<u8> {
    let mut message = [
        bytes(1, name.as_bytes()),
        bytes(2, b"Help."),
        number(3, kind),
    ]
    .concat();
    for metric in metrics {
        message.extend(bytes(4, metric));
    }
    [varint(message.len() as u64), message].concat()
}

fn counter(labels: &[Vec<u8>], value: f64) -> Vec<u8> {
    [labels.concat(), bytes(3, &double(1, value))].concat()
}

/// Two classic buckets, and native ones if asked for.
fn histogram(labels: &[Vec<u8>], native: bool) -> Vec<u8> {
    let mut inner = [number(1, 5), double(2, 2.5)].concat();
    for (bound, count) in [(0.5, 2), (1.0, 4)] {
        inner.extend(bytes(3, &[number(1, count), double(2, bound)].concat()));
    }
    if native {
        inner.extend([number(5, 6), double(6, 1e-9)].concat());
        inner.extend(bytes(12, &[number(1, 4), number(2, 1)].concat()));
        inner.extend(bytes(13, &varint(10)));
    }
    [labels.concat(), bytes(7, &inner)].concat()
}

/// Every metric as text: family, type, labels, what is in it.
fn shown(page: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    families(page, &mut |family, metrics| {
        for metric in metrics {
            let value = match &metric.value {
                Value::Number { value, .. } => value.to_string(),
                Value::Summary { quantiles, .. } => format!("{} quantiles", quantiles.len()),
                Value::Histogram(h) => {
                    let native = h.native.as_ref().map_or("", |_| ", native");
                    format!("{} buckets{native}", h.buckets.len())
                }
            };
            let (name, kind) = (family.name, family.kind);
            out.push(format!("{name} {kind:?} {:?} {value}", metric.labels));
        }
    })
    .unwrap();
    out
}

fn page() -> Vec<u8> {
    let x = |value| vec![label("x", value)];
    let counters = [counter(&x("1"), 1.0), counter(&x("2"), 2.0)];
    let histograms = [histogram(&x("1"), true), histogram(&x("2"), false)];
    [family("a_total", 0, &counters), family("h", 4, &histograms)].concat()
}

fn changed(case: &Case) -> Vec<String> {
    shown(&case.apply(Format::Protobuf, &page()).unwrap().unwrap())
}

#[test]
fn untouched_pages_are_not_written_again() {
    for rules in ["[]", "[{source_labels: [x], regex: '3', action: drop}]"] {
        let case = Case::new(rules, 13, &[]);
        assert_eq!(case.apply(Format::Protobuf, &page()), Ok(None));
    }
}

#[test]
fn budgets_cut_whole_histograms() {
    // Counters 2, native with classic 6, classic 5.
    let case = Case::new("[]", 8, &[]);
    assert_eq!(
        changed(&case),
        [
            "a_total Counter [(\"x\", \"1\")] 1",
            "a_total Counter [(\"x\", \"2\")] 2",
            "h Histogram [(\"x\", \"1\")] 2 buckets, native",
        ]
    );
    let metrics = case.metrics();
    assert!(metrics.contains("reason=\"app_series\",team=\"\"} 5\n"));
}

#[test]
fn labels_and_names_are_rewritten_and_native_buckets_kept() {
    let rules = "[{source_labels: [x], target_label: y, replacement: 'v$1'},
                  {regex: x, action: labeldrop},
                  {source_labels: [__name__], regex: 'h(.*)', target_label: __name__,
                   replacement: 'new$1'}]";
    assert_eq!(
        changed(&Case::new(rules, 99, &[])),
        [
            "a_total Counter [(\"y\", \"v1\")] 1",
            "a_total Counter [(\"y\", \"v2\")] 2",
            "new Histogram [(\"y\", \"v1\")] 2 buckets, native",
            "new Histogram [(\"y\", \"v2\")] 2 buckets",
        ]
    );
}

#[test]
fn single_buckets_can_be_dropped() {
    let rules = "[{source_labels: [le], regex: '0\\.5', action: drop}]";
    let case = Case::new(rules, 99, &[]);
    assert_eq!(
        changed(&case)[2..],
        [
            "h Histogram [(\"x\", \"1\")] 1 buckets, native",
            "h Histogram [(\"x\", \"2\")] 1 buckets",
        ]
    );
    let metrics = case.metrics();
    assert!(metrics.contains("dropped_total{app=\"booking\",team=\"\"} 2\n"));
}

#[test]
fn native_or_classic_buckets_alone_can_be_dropped() {
    let without_classic = "[{source_labels: [__name__], regex: h_.*, action: drop}]";
    assert_eq!(
        changed(&Case::new(without_classic, 99, &[]))[2..],
        ["h Histogram [(\"x\", \"1\")] 0 buckets, native"]
    );
    let without_native = "[{source_labels: [__name__], regex: h, action: drop}]";
    assert_eq!(
        changed(&Case::new(without_native, 99, &[]))[2..],
        [
            "h Histogram [(\"x\", \"1\")] 2 buckets",
            "h Histogram [(\"x\", \"2\")] 2 buckets",
        ]
    );
}

#[test]
fn what_is_left_of_a_histogram_without_its_sum_is_untyped() {
    let rules = "[{source_labels: [__name__], regex: 'h|h_sum|h_bucket', action: drop}]";
    assert_eq!(
        changed(&Case::new(rules, 99, &[]))[2..],
        [
            "h_count Unknown [(\"x\", \"1\")] 5",
            "h_count Unknown [(\"x\", \"2\")] 5",
        ]
    );
}

#[test]
fn a_truncated_page_is_refused() {
    let page = page();
    let error = Case::new("[]", 99, &[])
        .apply(Format::Protobuf, &page[..page.len() - 1])
        .unwrap_err();
    assert!(error.to_string().starts_with("byte "), "{error}");
}
