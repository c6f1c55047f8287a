//! Text and OpenMetrics pages, whole and damaged.

use proptest::prelude::*;

use super::*;

type Pairs = Vec<(String, String)>;

#[derive(Debug, PartialEq)]
struct Seen {
    name: String,
    labels: Pairs,
    value: String,
    timestamp: Option<i64>,
    exemplar: Option<(Pairs, f64, Option<i64>)>,
}

fn owned(labels: &[Label<'_>]) -> Pairs {
    labels
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

fn samples(format: Format, text: &str) -> Result<Vec<Seen>, String> {
    let mut seen = Vec::new();
    let mut covered = 0;
    items(format, text.as_bytes(), &mut |item| {
        let (Item::Type { range, .. }
        | Item::Help { range, .. }
        | Item::Unit { range, .. }
        | Item::Other { range }
        | Item::End { range }
        | Item::Sample { range, .. }) = &item;
        assert_eq!(range.start, covered, "every byte belongs to one item");
        covered = range.end;
        if let Item::Sample {
            name,
            labels,
            value,
            timestamp,
            exemplar,
            series,
            ..
        } = item
        {
            assert!(!text[series].ends_with(' '));
            seen.push(Seen {
                name: name.into(),
                labels: owned(labels),
                value: value.to_string(),
                timestamp,
                exemplar: exemplar
                    .map(|exemplar| (owned(&exemplar.labels), exemplar.value, exemplar.timestamp)),
            });
        }
    })
    .map_err(|error| error.to_string())?;
    assert_eq!(covered, text.len());
    Ok(seen)
}

fn one(format: Format, text: &str) -> Seen {
    samples(format, text).unwrap().pop().unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Pairs {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_text_format_is_read() {
    let page = "# HELP a Help \\\\ \\n text\n# TYPE a counter\n# just a comment\n#no\n\n\
        a 1\n a{} +Inf 1395066363000\n\
        a { b = \"x\\\"y\\\\z\\n\" , c=\"d,e}\", } 3e3\t5 \n\
        {\"quoted.name\", \"l.x\"=\"1\"} NaN\nlast:one 0x";
    assert!(
        samples(Format::Text, page)
            .unwrap_err()
            .contains("line 10, column 10")
    );
    let page = page.strip_suffix("\nlast:one 0x").unwrap();
    let seen = samples(Format::Text, page).unwrap();
    assert_eq!(seen[1].timestamp, Some(1_395_066_363_000));
    assert_eq!(
        (seen[2].value.as_str(), seen[2].timestamp),
        ("3000", Some(5))
    );
    assert_eq!(seen[2].labels, labels(&[("b", "x\"y\\z\n"), ("c", "d,e}")]));
    assert_eq!(seen[3].name, "quoted.name");
    assert_eq!(seen[3].labels, labels(&[("l.x", "1")]));
    assert_eq!(seen[3].value, "NaN");
}

#[test]
fn openmetrics_is_read() {
    let page = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds x \\\" y\n\
        a_seconds_total{b=\"c\"} 17 1520879607.789 # {trace_id=\"t\"} 0.5 1520879607.1\n\
        a_seconds_created 1520872607.123\n# TYPE s stateset\n# EOF\n";
    let seen = samples(Format::OpenMetrics, page).unwrap();
    assert_eq!(seen[0].timestamp, Some(1_520_879_607_789));
    let exemplar = Some((labels(&[("trace_id", "t")]), 0.5, Some(1_520_879_607_100)));
    assert_eq!(seen[0].exemplar, exemplar);
    let bare = one(Format::OpenMetrics, "a 1 # {} 1\n# EOF");
    assert_eq!(bare.exemplar, Some((Vec::new(), 1.0, None)));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (format, page, expected) in [
        (
            Format::Text,
            "a\n",
            "line 1, column 2: a value expected, not the end of the line",
        ),
        (
            Format::Text,
            "a 1 2 3\n",
            "line 1, column 7: the line should end here",
        ),
        (
            Format::Text,
            "a 1_0\n",
            "line 1, column 3: \"1_0\" is not a number",
        ),
        (Format::Text, "a 1e999\n", "is not a number"),
        (
            Format::Text,
            "a{b=\"c} 1\n",
            "line 1, column 5: this quote does not close",
        ),
        (
            Format::Text,
            "a{b='c'} 1\n",
            "a value between quotes expected, not '\\''",
        ),
        (
            Format::Text,
            "a{1=\"c\"} 1\n",
            "a label's name expected, not '1'",
        ),
        (
            Format::Text,
            "a{\"b\"} 1\n",
            "the sample has a name already",
        ),
        (Format::Text, "{b=\"c\"} 1\n", "the sample has no name"),
        (
            Format::Text,
            "a 1\n1a 2\n",
            "line 2, column 1: a metric's name expected, not '1'",
        ),
        (Format::Text, "# TYPE a foo\n", "\"foo\" is not a type"),
        (
            Format::Text,
            "a 1 1.5\n",
            "\"1.5\" is not a time in milliseconds",
        ),
        (Format::OpenMetrics, "a 1\n", "does not end with # EOF"),
        (
            Format::OpenMetrics,
            "",
            "line 1, column 1: the page does not end with # EOF",
        ),
        (
            Format::OpenMetrics,
            "a 1\n# EOF\na 2\n",
            "line 3, column 1: there is more after",
        ),
        (
            Format::OpenMetrics,
            "a  1\n# EOF\n",
            "column 3: a value expected, not ' '",
        ),
        (Format::OpenMetrics, "\n# EOF\n", "an empty line"),
        (
            Format::OpenMetrics,
            "# note\n# EOF\n",
            "no HELP, TYPE, UNIT or EOF",
        ),
        (
            Format::OpenMetrics,
            "# UNIT a seconds\n# EOF\n",
            "not the end of the name",
        ),
        (
            Format::OpenMetrics,
            "a 1 NaN\n# EOF\n",
            "a time has to be finite",
        ),
        (
            Format::OpenMetrics,
            "a 1 # \n# EOF\n",
            "line 1, column 5: \"#\" is not a number",
        ),
        (
            Format::OpenMetrics,
            "a 1 2 # \n# EOF\n",
            "line 1, column 9: an exemplar's { expected, not the end of the line",
        ),
        (
            Format::OpenMetrics,
            "# TYPE a untyped\n# EOF\n",
            "is not a type",
        ),
    ] {
        let error = samples(format, page).unwrap_err();
        assert!(error.contains(expected), "{page:?}: {error}");
    }
    let error = items(Format::Text, b"a 1\nb{c=\"\xff\"} 1\n", &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 6: this is not UTF-8");
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}",
        pairs in proptest::collection::vec(("[a-z_][a-z0-9_]{0,5}", any::<String>()), 0..4),
        value in any::<f64>(),
        timestamp in proptest::option::of(0..=i64::MAX),
        open in any::<bool>(),
    ) {
        let inner: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect();
        let (format, time, end) = if open {
            (Format::OpenMetrics, String::new(), "# EOF\n")
        } else {
            let time = timestamp.map(|time| format!(" {time}")).unwrap_or_default();
            (Format::Text, time, "")
        };
        let page = format!("{name}{{{}}} {value}{time}\n{end}", inner.join(","));
        let seen = one(format, &page);
        prop_assert_eq!(seen.name, name);
        prop_assert_eq!(seen.labels, pairs);
        prop_assert_eq!(seen.value, value.to_string());
        prop_assert_eq!(seen.timestamp, timestamp.filter(|_| !open));
    }

    #[test]
    fn any_bytes_are_taken(
        bytes in any::<Vec<u8>>(),
        near in "(# (HELP|TYPE|UNIT|EOF) ?)?[ab\"]?\\{?[a\"=,} ]{0,8}[ 0-9.#eE\n]{0,12}"
    ) {
        for format in [Format::Text, Format::OpenMetrics] {
            let _ = items(format, &bytes, &mut |_| {});
            let _ = items(format, near.as_bytes(), &mut |_| {});
        }
    }
}
