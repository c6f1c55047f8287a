//! Lines in, documents out.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const READ_AT: i64 = 1_795_485_989_123;
const READ_TEXT: &str = "2026-11-24T02:06:29.123Z";

fn fields() -> BTreeMap<String, String> {
    [
        ("service.name".to_owned(), "booking".to_owned()),
        ("host.name".to_owned(), "node \"1\"".to_owned()),
    ]
    .into()
}

fn shape_as(format: LogFormat, text: &[u8], cut: bool) -> (String, Taken) {
    let mut shaper = Shaper::new(Form::new(format), &fields(), &[]);
    let mut out = Vec::new();
    let line = Line {
        text,
        cut,
        split: false,
        stream: None,
        read_at: READ_AT,
        offset: 1234,
        path: &path_member(std::path::Path::new("/l/a.log")),
        about: None,
    };
    // Twice, because a shaper must forget the line before.
    shaper.shape(&mut out, &line);
    out.clear();
    let taken = shaper.shape(&mut out, &line);
    (String::from_utf8(out).unwrap(), taken)
}

fn shape(text: &str) -> String {
    shape_as(LogFormat::Auto, text.as_bytes(), false).0
}

fn document(text: &str) -> Value {
    let out = shape(text);
    let value: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    // What Elasticsearch refuses: a key twice, in whichever form.
    let mut paths = Vec::new();
    leaves("", &out, &mut paths);
    let count = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), count, "a field twice: {out}");
    value
}

/// Dotted paths of all leaves, keys kept twice where they stand twice.
fn leaves(prefix: &str, text: &str, paths: &mut Vec<String>) {
    json::object(text.as_bytes(), 0, |member| {
        let quoted = &text[member.key.start - 1..=member.key.end];
        let key: String = serde_json::from_str(quoted).unwrap();
        let path = format!("{prefix}{key}");
        if member.kind == Kind::Object {
            leaves(&format!("{path}."), &text[member.value], paths);
        } else {
            paths.push(path);
        }
    });
}

const REST: &str = r#","host.name":"node \"1\"","service.name":"booking","log.file.path":"/l/a.log","log.offset":1234}"#;

#[test]
fn a_plain_line_is_wrapped() {
    assert_eq!(
        shape("say \"hi\"\tnow\u{1}"),
        format!(r#"{{"@timestamp":"{READ_TEXT}","message":"say \"hi\"\tnow\u0001"{REST}"#)
    );
}

#[test]
fn a_json_line_keeps_its_bytes() {
    let line =
        r#"{"@timestamp":"2026-11-24T01:02:03.456Z", "log.level":"info","message":"x" ,"n":1e2 "#;
    assert_eq!(shape(&format!("{line}}}")), format!("{line}{REST}"));
    let (plain, taken) = shape_as(LogFormat::Plain, b"{}", false);
    assert!(plain.contains(r#""message":"{}""#) && !taken.invalid_json);
}

#[test]
fn an_empty_object_gets_no_comma_too_many() {
    assert_eq!(document("{}")["@timestamp"], READ_TEXT);
    assert_eq!(document(" { } ")["service.name"], "booking");
}

#[test]
fn fields_of_the_line_stay_in_either_form() {
    let out = document(
        r#"{"service":{"name":"own","version":"1"},"host.name":"h","log":{"file.path":"p","level":"WARNING"},"trace_id":"t","span":{"id":"s"},"span_id":"other"}"#,
    );
    assert_eq!(out["service"]["name"], "own");
    assert_eq!(out["host.name"], "h");
    assert_eq!(out["log"]["file.path"], "p");
    assert_eq!(out["log"]["level"], "warn");
    assert_eq!(out["log.offset"], 1234);
    assert_eq!(out["trace.id"], "t");
    assert_eq!(out.get("span.id"), None);
    assert_eq!(out.get("service.name"), None);
    // A key in disguise is the same key.
    let out = document(r#"{"service\u002ename":"own"}"#);
    assert_eq!(out["service.name"], "own");
}

#[test]
fn nothing_goes_below_a_plain_value() {
    let out =
        document(r#"{"service":"own","log":"text","host":null,"trace":["x"],"trace_id":"t"}"#);
    assert_eq!(out.get("service.name"), None);
    assert_eq!(out.get("log.offset"), None);
    assert_eq!(out["host.name"], "node \"1\"");
    assert_eq!(out["trace.id"], "t");
}

#[test]
fn levels_get_one_spelling() {
    for (line, level) in [
        (r#"{"level":"ERROR"}"#, "error"),
        (r#"{"level":30}"#, "info"),
        (r#"{"severity":"Warning"}"#, "warn"),
        (r#"{"level":"?","severity":"CRIT"}"#, "critical"),
        (r#"{"log.level":"INFO"}"#, "info"),
        (r#"{"log.level":"Custom"}"#, "custom"),
        (r#"{"log.level":"\u0041"}"#, "A"),
    ] {
        assert_eq!(document(line)["log.level"], level, "{line}");
    }
    assert_eq!(document(r#"{"level":3}"#).get("log.level"), None);
}

#[test]
fn timestamps_are_found_and_made_readable() {
    for (line, expected) in [
        (r#"{"ts":1795485989.123}"#, READ_TEXT),
        (r#"{"time":"2026-11-24 09:06:29,123 +0700"}"#, READ_TEXT),
        (r#"{"@timestamp":"2026-11-24 02:06:29.123"}"#, READ_TEXT),
        (r#"{"@timestamp":1795485989}"#, "2026-11-24T02:06:29.000Z"),
        (
            r#"{"@timestamp":null,"time":1000000000}"#,
            "2001-09-09T01:46:40.000Z",
        ),
        (r#"{"@timestamp":"yesterday"}"#, READ_TEXT),
        (r#"{"timestamp":"soon"}"#, READ_TEXT),
    ] {
        assert_eq!(document(line)["@timestamp"], expected, "{line}");
    }
    let (_, taken) = shape_as(LogFormat::Auto, br#"{"@timestamp":"yesterday"}"#, false);
    assert!(taken.bad_timestamp);
}

#[test]
fn what_is_not_json_becomes_text() {
    let broken = br#"{"a":"#;
    let (out, taken) = shape_as(LogFormat::Auto, broken, false);
    assert!(
        out.contains(r#""message":"{\"a\":""#) && taken.invalid_json,
        "{out}"
    );
    let (_, taken) = shape_as(LogFormat::Json, b"text", false);
    assert!(taken.invalid_json);
    let (_, taken) = shape_as(LogFormat::Auto, b"text", false);
    assert!(!taken.invalid_json);
}

#[test]
fn bad_bytes_are_replaced_visibly() {
    let (out, taken) = shape_as(LogFormat::Auto, b"{\"a\":\"x\xffy\"}", false);
    assert!(
        out.starts_with("{\"a\":\"x\u{fffd}y\",") && taken.repaired,
        "{out}"
    );
    let (out, taken) = shape_as(LogFormat::Auto, "äää".as_bytes().split_at(5).0, true);
    assert!(
        out.contains(r#""message":"ää","log.flags":["truncated"]"#),
        "{out}"
    );
    assert!(!taken.repaired);
}

fn members() -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof![
        proptest::sample::select(vec![
            "@timestamp",
            "log",
            "log.level",
            "level",
            "service",
            "service.name",
            "name",
            "id",
            "trace",
            "trace_id",
            "file",
            "path",
            "offset",
            "time",
            "host",
            "file.path",
            "span",
        ])
        .prop_map(str::to_owned),
        "[a-z.\"\\\\]{1,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, {
        let key = key.clone();
        move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::vec((key.clone(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        }
    });
    proptest::collection::vec((key, value), 0..8).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn any_line_becomes_one_valid_object(text in any::<Vec<u8>>(), cut in any::<bool>()) {
        let (out, _) = shape_as(LogFormat::Auto, &text, cut);
        prop_assert!(serde_json::from_str::<Map<String, Value>>(&out).is_ok(), "{}", out);
        prop_assert!(!out.contains('\n'));
    }

    #[test]
    fn a_json_line_loses_nothing(members in members()) {
        let line = Value::Object(members.clone());
        let out: Value = serde_json::from_str(&shape(&line.to_string())).unwrap();
        for (key, value) in &members {
            // Only these are ever written anew.
            if !matches!(key.as_str(), "@timestamp" | "log.level" | "log") {
                prop_assert_eq!(&out[key], value);
            }
        }
        prop_assert!(out["@timestamp"].is_string() || out["@timestamp"].is_number());
        // No more keys than were there and can be added.
        let own = out.as_object().unwrap().len();
        prop_assert!(own <= members.len() + 8);
    }
}

#[test]
fn a_line_cut_within_its_first_character_is_empty() {
    let (out, taken) = shape_as(LogFormat::Auto, &[0xc2], true);
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["message"], "");
    assert!(!taken.repaired);
}

#[test]
fn the_example_services_lines_pass_as_they_are() {
    let line = r#"{"@timestamp":"2026-11-24T02:06:29.123Z","log.level":"info","message":"booked","service.name":"booking","trace.id":"0af7651916cd43dd8448eb211c80319c","span.id":"b7ad6b7169203331","http.response.status_code":200}"#;
    let out = document(line);
    for (key, value) in serde_json::from_str::<Map<String, Value>>(line).unwrap() {
        assert_eq!(out[key], value);
    }
    assert_eq!(out["log.offset"], json!(1234));
}
