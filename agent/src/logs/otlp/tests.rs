//! Requests taken whole, in part or not at all.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use serde_json::Value;

use super::*;
use crate::traces::wire::{put_bytes, put_key, put_varint};

fn text(value: &str) -> AnyValue {
    AnyValue {
        value: Some(any_value::Value::StringValue(value.to_owned())),
    }
}

fn pair(key: &str, value: &str) -> Vec<u8> {
    use prost::Message as _;
    let mut out = Vec::new();
    let pair = KeyValue {
        key: key.to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    };
    pair.encode(&mut out).unwrap();
    out
}

/// Records of a service, with these bodies.
fn of_service(service: &str, bodies: &[&str]) -> Vec<u8> {
    use prost::Message as _;
    let (mut resource, mut scope, mut out) = (Vec::new(), Vec::new(), Vec::new());
    put_bytes(&mut resource, 1, &pair("service.name", service));
    for body in bodies {
        let mut record = Vec::new();
        put_key(&mut record, 2, 0);
        put_varint(&mut record, 9);
        put_bytes(&mut record, 5, &text(body).encode_to_vec());
        put_bytes(&mut record, 6, &pair("card", "4111 1111 1111 1111"));
        put_bytes(&mut scope, 2, &record);
    }
    put_bytes(&mut out, 1, &resource);
    put_bytes(&mut out, 2, &scope);
    out
}

fn request(of_services: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in of_services {
        put_bytes(&mut out, 1, one);
    }
    out
}

fn taker(most: u32, room: u64) -> (OtlpLogs, Arc<Store>) {
    let source = format!(
        "{{dataStream: 'logs-kai.{{service}}-{{environment}}', otlp: {{maxDataStreams: {most}}}, \
         fields: {{service.environment: test}}}}"
    );
    let source: LogSource = serde_yaml::from_str(&source).unwrap();
    let logs: Logs =
        serde_yaml::from_str("{maxLineBytes: 1000, privacy: {redact: [pan]}}").unwrap();
    let redactor = crate::logs::source::redactor(&logs.privacy).unwrap();
    let ledger = Arc::default();
    let store = Arc::new(Store::open(None, room, &["o"], &ledger).unwrap());
    let taker = OtlpLogs::new("o", &source, &logs, redactor, &store, &ledger);
    (taker, store)
}

fn held(store: &Store) -> Vec<(String, Vec<Value>)> {
    let mut all = Vec::new();
    for queue in store.queues() {
        let (mut found, mut buffer) = (Vec::new(), Vec::new());
        queue.attach(0);
        queue.read(&mut buffer, |_, _, document| {
            found.push(serde_json::from_slice(document).unwrap());
            true
        });
        all.push((queue.stream.to_string(), found));
    }
    all
}

#[test]
fn records_go_to_their_services_data_streams_without_what_must_not_be_there() {
    let (taker, store) = taker(2, 1 << 20);
    let all = request(&[
        of_service("a", &["1", "2"]),
        of_service("B", &["3"]),
        of_service("c", &["4"]),
        of_service("d", &["5"]),
    ]);
    assert_eq!(taker.take(&all).unwrap(), Rejected::default());
    let held = held(&store);
    let streams: Vec<(&str, usize)> = held
        .iter()
        .map(|(name, all)| (name.as_str(), all.len()))
        .collect();
    assert_eq!(
        streams,
        [
            ("logs-kai.a-test", 2),
            ("logs-kai.b-test", 1),
            ("logs-kai.other-test", 2)
        ]
    );
    let first = &held[0].1[0];
    assert_eq!(
        (&first["message"], &first["log.level"]),
        (&"1".into(), &"info".into())
    );
    assert_eq!(first["card"], "[redacted:pan]");
}

#[test]
fn what_cannot_be_taken_is_told_in_its_way() {
    let (taker, _store) = taker(5, 200 << 10);
    assert!(matches!(taker.take(b"\xff"), Err(Refusal::Malformed(_))));
    let huge = "x".repeat(3000);
    let mut bodies = of_service("a", &["fits", &huge]);
    // An attribute cannot be cut as a body can.
    let attribute = "y".repeat(80_000);
    let mut record = Vec::new();
    put_bytes(&mut record, 6, &pair("big", &attribute));
    let mut scope = Vec::new();
    put_bytes(&mut scope, 2, &record);
    put_bytes(&mut bodies, 2, &scope);
    let rejected = taker.take(&request(&[bodies])).unwrap();
    assert_eq!(rejected.points, 1);
    assert!(
        rejected.message.contains("maxLineBytes"),
        "{}",
        rejected.message
    );
    // Until there is room no more.
    let many: Vec<&str> = std::iter::repeat_n("a body of some bytes", 200).collect();
    let full = (0..100).find_map(|_| taker.take(&request(&[of_service("a", &many)])).err());
    assert!(matches!(full, Some(Refusal::Held(_))), "{full:?}");
    let larger: Vec<&str> = std::iter::repeat_n("a body of some bytes", 3000).collect();
    let refused = taker.take(&request(&[of_service("a", &larger)]));
    assert!(matches!(refused, Err(Refusal::TooLarge(_))));
}

#[test]
fn records_of_all_kinds_are_read() {
    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1795485989003000000",
        "severityNumber":13,"body":{"kvlistValue":{"values":[{"key":"n","value":{"intValue":"-7"}},
        {"key":"d","value":{"doubleValue":1.5}},{"key":"b","value":{"boolValue":true}},
        {"key":"x","value":{"bytesValue":"AQI="}},
        {"key":"a","value":{"arrayValue":{"values":[{"stringValue":"s"},{}]}}}]}},
        "traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"0000000000000000"}]}]}]}"#;
    let request = traces::unpack_logs(json.as_bytes()).unwrap();
    let mut found = Vec::new();
    decode::each(&request, &mut |_, record| found.push(record)).unwrap();
    assert_eq!(found.len(), 1);
    let record = &found[0];
    assert_eq!(
        (record.time, record.severity),
        (1_795_485_989_003_000_000, 13)
    );
    assert_eq!(record.trace, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(record.span, "", "an id of zeros is none");
    let body = serde_json::json!({"n": -7, "d": 1.5, "b": true, "x": "AQI=", "a": ["s", null]});
    assert_eq!(record.body, body);
}

#[test]
fn only_named_services_have_a_data_stream_of_their_own() {
    let source: LogSource = serde_yaml::from_str(
        "{dataStream: 'logs-kai.{service}-test', otlp: {services: {a: blue, b: green}, \
         otherDataStream: logs-kai.rest-test}}",
    )
    .unwrap();
    let logs: Logs = serde_yaml::from_str("{maxLineBytes: 1000}").unwrap();
    let ledger = Arc::default();
    let store = Arc::new(Store::open(None, 1 << 20, &["o"], &ledger).unwrap());
    let taker = OtlpLogs::new("o", &source, &logs, None, &store, &ledger);
    let all = request(&[
        of_service("A", &["1"]),
        of_service("x", &["2"]),
        of_service("", &["3"]),
    ]);
    taker.take(&all).unwrap();
    let held = held(&store);
    let seen: Vec<(&str, Vec<&Value>)> = held
        .iter()
        .map(|(name, all)| (&**name, all.iter().map(|one| &one["kai.team"]).collect()))
        .collect();
    assert_eq!(
        seen,
        [
            ("logs-kai.a-test", vec![&Value::from("blue")]),
            ("logs-kai.rest-test", vec![&Value::Null, &Value::Null]),
        ]
    );
}

#[test]
fn records_are_dropped_and_sampled_by_rules() {
    let source: LogSource = serde_yaml::from_str(
        "{dataStream: 'logs-kai.{service}-test', otlp: {}, drop: ['message == \"2\"'], sample: \
         {'service.name == \"quiet\"': 0.0, 'service.name == \"half\"': 0.5}}",
    )
    .unwrap();
    let logs: Logs = serde_yaml::from_str("{maxLineBytes: 1000}").unwrap();
    let ledger: Arc<Ledger> = Arc::default();
    ledger.add_source(&"o".into(), &"".into(), &"".into());
    let store = Arc::new(Store::open(None, 8 << 20, &["o"], &ledger).unwrap());
    let taker = OtlpLogs::new("o", &source, &logs, None, &store, &ledger);
    let many = ["x"; 1000];
    let all = request(&[
        of_service("a", &["1", "2"]),
        of_service("quiet", &["3"]),
        of_service("half", &many),
    ]);
    taker.take(&all).unwrap();
    let held = held(&store);
    let of = |name: &str| {
        let found = held.iter().find(|(stream, _)| stream == name);
        found.map_or(&[][..], |(_, all)| all)
    };
    assert_eq!(of("logs-kai.a-test").len(), 1);
    assert_eq!(of("logs-kai.a-test")[0]["kai.sampled"], Value::Null);
    assert_eq!(of("logs-kai.quiet-test").len(), 0);
    let half = of("logs-kai.half-test");
    assert!((300..700).contains(&half.len()), "{}", half.len());
    assert!(half.iter().all(|one| one["kai.sampled"] == 0.5));
}
