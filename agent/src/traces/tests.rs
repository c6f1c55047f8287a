//! The lane's own protobuf against prost's, for any request and for any bytes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::{json, split, walk};

fn value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        ".{0,8}".prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>().prop_map(Value::DoubleValue),
        vec(any::<u8>(), 0..8).prop_map(Value::BytesValue),
    ]
    .prop_map(|value| AnyValue { value: Some(value) });
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec((".{0,4}", inner), 0..3).prop_map(|pairs| {
                let values = pairs.into_iter().map(|(key, value)| KeyValue {
                    key,
                    value: Some(value),
                    ..Default::default()
                });
                Value::KvlistValue(KeyValueList {
                    values: values.collect(),
                })
            }),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let attribute = (".{0,6}", proptest::option::of(value())).prop_map(|(key, value)| KeyValue {
        key,
        value,
        ..Default::default()
    });
    vec(attribute, 0..3)
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), vec(any::<u8>(), length)]
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), id(8), any::<u32>());
    let times = (any::<u64>(), any::<u64>(), 0..6i32, ".{0,8}");
    let event = (any::<u64>(), ".{0,4}", attributes()).prop_map(|(time, name, attributes)| Event {
        time_unix_nano: time,
        name,
        attributes,
        dropped_attributes_count: 1,
    });
    let link = (id(16), id(8), attributes()).prop_map(|(trace_id, span_id, attributes)| Link {
        trace_id,
        span_id,
        attributes,
        ..Default::default()
    });
    let status = (".{0,4}", 0..3i32).prop_map(|(message, code)| Status { message, code });
    let inside = (
        attributes(),
        vec(event, 0..2),
        vec(link, 0..2),
        proptest::option::of(status),
    );
    (ids, times, inside).prop_map(
        |((trace_id, span_id, parent_span_id, flags), (start, end, kind, name), inside)| {
            let (attributes, events, links, status) = inside;
            Span {
                trace_id,
                span_id,
                parent_span_id,
                flags,
                name,
                kind,
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                attributes,
                events,
                links,
                status,
                ..Default::default()
            }
        },
    )
}

fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope = (".{0,4}", attributes()).prop_map(|(name, attributes)| InstrumentationScope {
        name,
        attributes,
        ..Default::default()
    });
    let scope_spans = (proptest::option::of(scope), vec(span(), 0..4), ".{0,4}").prop_map(
        |(scope, spans, schema_url)| ScopeSpans {
            scope,
            spans,
            schema_url,
        },
    );
    let resource = attributes().prop_map(|attributes| Resource {
        attributes,
        ..Default::default()
    });
    let resource_spans = (
        proptest::option::of(resource),
        vec(scope_spans, 0..3),
        ".{0,4}",
    )
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans {
            resource,
            scope_spans,
            schema_url,
        });
    vec(resource_spans, 0..3)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// Every span with whose it is.
fn flat(request: &ExportTraceServiceRequest) -> Vec<String> {
    let mut out = Vec::new();
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                out.push(format!(
                    "{:?} {} {:?} {} {span:?}",
                    resource.resource, resource.schema_url, scope.scope, scope.schema_url
                ));
            }
        }
    }
    out
}

fn decode(bytes: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(bytes).unwrap()
}

proptest! {
    #[test]
    fn spans_are_counted_as_prost_counts_them(request in request()) {
        prop_assert_eq!(walk::spans(&request.encode_to_vec()), Ok(flat(&request).len() as u64));
    }

    #[test]
    fn joined_requests_are_one_request(first in request(), second in request()) {
        let mut joined = first.encode_to_vec();
        joined.extend(second.encode_to_vec());
        let mut both = flat(&first);
        both.extend(flat(&second));
        prop_assert_eq!(flat(&decode(&joined)), both);
    }

    /// Cut off or changed anywhere: no panic, and what passes here passes prost, but for UTF-8.
    #[test]
    fn what_prost_refuses_is_refused(
        request in request(), cut in any::<prop::sample::Index>(), flip in any::<u8>(),
    ) {
        let mut bytes = request.encode_to_vec();
        if bytes.is_empty() {
            return Ok(());
        }
        let at = cut.index(bytes.len());
        let (shorter, _) = bytes.split_at(at);
        if walk::spans(shorter).is_ok() {
            decode(shorter);
        }
        bytes[at] ^= flip;
        agree(&bytes)?;
    }

    #[test]
    fn any_bytes_are_judged_as_prost_judges_them(bytes in vec(any::<u8>(), 0..64)) {
        agree(&bytes)?;
    }

    #[test]
    fn pieces_have_all_spans_with_their_resource_and_scope(request in request(), most in 1..5u64) {
        let bytes = request.encode_to_vec();
        let all = flat(&request);
        let pieces = split::split(bytes, all.len() as u64, most);
        let mut found = Vec::new();
        for (piece, spans) in &pieces {
            let here = flat(&decode(piece));
            prop_assert_eq!(here.len() as u64, *spans);
            prop_assert_eq!(walk::spans(piece), Ok(*spans));
            prop_assert!(*spans <= most || pieces.len() == 1);
            found.extend(here);
        }
        prop_assert_eq!(found, all);
    }

    #[test]
    fn any_json_is_judged_without_a_panic(text in ".{0,64}") {
        let _ = json::to_protobuf(text.as_bytes(), &super::schema::REQUEST);
    }

    #[test]
    fn json_says_what_the_protobuf_says(request in request()) {
        let json = as_json(&request);
        let bytes = json::to_protobuf(json.to_string().as_bytes(), &super::schema::REQUEST).unwrap();
        prop_assert_eq!(format!("{:?}", decode(&bytes)), format!("{request:?}"));
    }
}

/// prost looks at UTF-8 and not at the lengths of ids; otherwise the two agree.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let ours = walk::spans(bytes);
    match (ExportTraceServiceRequest::decode(bytes), ours) {
        (Ok(theirs), Ok(spans)) => prop_assert_eq!(flat(&theirs).len() as u64, spans),
        (Ok(_), Err(error)) => {
            let error = error.to_string();
            prop_assert!(error.contains("an id of this kind"), "{}", error);
        }
        (Err(error), Ok(_)) => {
            let error = error.to_string();
            prop_assert!(error.contains("UTF-8"), "{}", error);
        }
        (Err(_), Err(_)) => {}
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

/// OTLP's JSON by the book, every number of 64 bits as text.
fn as_json(request: &ExportTraceServiceRequest) -> serde_json::Value {
    let scope = |scope: &InstrumentationScope| json!({ "name": scope.name, "attributes": pairs(&scope.attributes), "later": [1, {}] });
    json!({ "resourceSpans": request.resource_spans.iter().map(|r| json!({
        "resource": r.resource.as_ref().map(|r| json!({ "attributes": pairs(&r.attributes) })),
        "schemaUrl": r.schema_url,
        "scopeSpans": r.scope_spans.iter().map(|s| json!({
            "scope": s.scope.as_ref().map(scope),
            "spans": s.spans.iter().map(span_json).collect::<Vec<_>>(),
            "schemaUrl": s.schema_url,
        })).collect::<Vec<_>>(),
    })).collect::<Vec<_>>(), "unknown": null })
}

fn span_json(span: &Span) -> serde_json::Value {
    json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id).to_lowercase(),
        "parentSpanId": hex(&span.parent_span_id),
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano,
        "attributes": pairs(&span.attributes),
        "events": span.events.iter().map(|e| json!({
            "timeUnixNano": e.time_unix_nano.to_string(), "name": e.name,
            "attributes": pairs(&e.attributes), "droppedAttributesCount": e.dropped_attributes_count,
        })).collect::<Vec<_>>(),
        "links": span.links.iter().map(|l| json!({
            "traceId": hex(&l.trace_id), "spanId": hex(&l.span_id),
            "attributes": pairs(&l.attributes),
        })).collect::<Vec<_>>(),
        "status": span.status.as_ref().map(|s| json!({ "message": s.message, "code": s.code })),
    })
}

fn pairs(attributes: &[KeyValue]) -> Vec<serde_json::Value> {
    attributes
        .iter()
        .map(|a| json!({ "key": a.key, "value": a.value.as_ref().map(any_json) }))
        .collect()
}

fn any_json(any: &AnyValue) -> serde_json::Value {
    match &any.value {
        None => json!({}),
        Some(Value::StringValue(text)) => json!({ "stringValue": text }),
        Some(Value::BoolValue(value)) => json!({ "boolValue": value }),
        Some(Value::IntValue(value)) => json!({ "intValue": value.to_string() }),
        Some(Value::DoubleValue(value)) if value.is_nan() => json!({ "doubleValue": "NaN" }),
        Some(Value::DoubleValue(value)) if value.is_infinite() => {
            let text = if *value > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            json!({ "doubleValue": text })
        }
        Some(Value::DoubleValue(value)) => json!({ "doubleValue": value }),
        Some(Value::BytesValue(bytes)) => json!({ "bytesValue": super::base64::encode(bytes) }),
        Some(Value::ArrayValue(list)) => json!({ "arrayValue": {
            "values": list.values.iter().map(any_json).collect::<Vec<_>>() } }),
        Some(Value::KvlistValue(list)) => {
            json!({ "kvlistValue": { "values": pairs(&list.values) } })
        }
        Some(other) => json!({ "later": format!("{other:?}") }),
    }
}

#[test]
fn the_specifications_own_example() {
    // opentelemetry-proto, examples/trace.json
    let text = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":
        {"stringValue":"my.service"}}]},"scopeSpans":[{"scope":{"name":"my.library","version":
        "1.0.0"},"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":
        "EEE19B7EC3C1B174","parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span",
        "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661e9,"kind":2}]}]}]}"#;
    let request = decode(&json::to_protobuf(text.as_bytes(), &super::schema::REQUEST).unwrap());
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(hex(&span.trace_id), "5B8EFFF798038103D269B633813FC60C");
    assert_eq!(span.start_time_unix_nano, 1_544_712_660_000_000_000);
    assert_eq!(span.kind, 2);
}

#[test]
fn json_that_is_wrong_says_where_and_what_would_be_right() {
    let span = |inside: &str| {
        format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{{inside}}}]}}]}}]}}")
    };
    for (text, parts) in [
        ("[]".to_owned(), &["ExportTraceServiceRequest"][..]),
        (String::new(), &["EOF"]),
        (span("\"traceId\":\"abc\""), &["traceId", "32 hexadecimal"]),
        (span("\"traceId\":\"abcd\""), &["traceId", "32 hexadecimal"]),
        (span("\"traceId\":5"), &["traceId", "32 hexadecimal"]),
        (
            span("\"kind\":\"SPAN_KIND_SERVER\""),
            &["kind", "no enum names"],
        ),
        (
            span("\"startTimeUnixNano\":-1"),
            &["startTimeUnixNano", "not negative"],
        ),
        (span("\"startTimeUnixNano\":1.5"), &["startTimeUnixNano"]),
        (span("\"attributes\":{}"), &["attributes", "a list"]),
        (span("\"name\":[]"), &["name", "a list is not text"]),
        (span("\"flags\":4294967296"), &["flags", "fits"]),
        (span("\"name\":\"x\"") + "x", &["trailing"]),
    ] {
        let error = json::to_protobuf(text.as_bytes(), &super::schema::REQUEST)
            .unwrap_err()
            .to_string();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    let mut value = AnyValue { value: None };
    for _ in 0..200 {
        value = AnyValue {
            value: Some(Value::ArrayValue(ArrayValue {
                values: vec![value],
            })),
        };
    }
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![KeyValue {
                    key: "deep".into(),
                    value: Some(value),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            ..Default::default()
        }],
    };
    let error = walk::spans(&request.encode_to_vec()).unwrap_err();
    assert!(error.to_string().contains("nested"), "{error}");
    let deep = format!("{{\"resourceSpans\":[{}", "{\"resource\":".repeat(10_000));
    json::to_protobuf(deep.as_bytes(), &super::schema::REQUEST).unwrap_err();
}

#[test]
fn a_great_resource_with_many_tiny_spans_stays_whole() {
    let span = Span::default();
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            schema_url: "x".repeat(100_000),
            scope_spans: vec![ScopeSpans {
                spans: vec![span; 10_000],
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    let bytes = request.encode_to_vec();
    let pieces = split::split(bytes.clone(), 10_000, 100);
    assert_eq!(pieces, [(bytes, 10_000)]);
}
