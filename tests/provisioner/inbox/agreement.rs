//! Our PagerDuty judge against the vendor's published schema: nothing that the schema refuses is
//! accepted, and what is refused beyond it is refused for a rule that the schema cannot state.

use std::path::PathBuf;

use jsonschema::Validator;
use kai_observe::inbox::pagerduty::{Endpoint, judge};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{KEY, trigger};

fn contract() -> Option<Value> {
    let folder = std::env::var_os("KAI_CONTRACTS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(folder.join("pagerduty-events-v2.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// The schema of one request body, its references resolved in the whole document.
fn schema(contract: &Value, path: &str) -> Validator {
    let body = &contract["paths"][path]["post"]["requestBody"]["content"];
    let mut schema = body["application/json"]["schema"].clone();
    schema["components"] = contract["components"].clone();
    // The document is OpenAPI 3.0, whose schemas are nearest to draft 4. Formats are not asserted:
    // the document's own example of a date-time is none by RFC 3339.
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft4)
        .should_validate_formats(false)
        .build(&schema)
        .unwrap()
}

/// Rules of the reference page that the schema does not state.
const BEYOND: [&str; 14] = [
    "Length of 'routing_key' is incorrect",
    "'routing_key' cannot contain non-alphanumeric",
    "cannot be blank",
    "is missing or blank",
    "is too long",
    "must be an ISO 8601 date-time",
    "must be a URL",
    "must be an https URL",
    "'payload' is missing",
    "'dedup_key' is missing",
    "'event_action' is missing",
    "'payload.summary' is missing",
    "'payload.source' is missing",
    "'payload.severity' is missing",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([1])),
        Just(json!([{}])),
    ]
}

/// Good values mostly, anything sometimes.
fn or_anything(good: Vec<Value>) -> impl Strategy<Value = Value> {
    prop_oneof![29 => proptest::sample::select(good), 1 => scalar()]
}

/// An object of which each field may be missing.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| {
            let value = prop_oneof![29 => value.prop_map(Some), 1 => Just(None)];
            value.prop_map(move |value| value.map(|value| (name.to_owned(), value)))
        })
        .collect();
    fields
        .prop_map(|fields| Value::Object(fields.into_iter().flatten().collect()))
        .boxed()
}

fn good(values: &[Value]) -> BoxedStrategy<Value> {
    or_anything(values.to_vec()).boxed()
}

fn sometimes(strategy: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![29 => strategy, 1 => scalar()].boxed()
}

fn list(item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    sometimes(
        proptest::collection::vec(item, 0..3)
            .prop_map(Value::from)
            .boxed(),
    )
}

fn event() -> BoxedStrategy<Value> {
    let text = || good(&[json!("text"), json!("")]);
    let payload = object(vec![
        (
            "summary",
            good(&[json!("disk full"), json!("s".repeat(1024))]),
        ),
        ("source", good(&[json!("host"), json!("")])),
        (
            "severity",
            good(&[
                json!("critical"),
                json!("warning"),
                json!("error"),
                json!("info"),
            ]),
        ),
        (
            "timestamp",
            good(&[
                json!("2015-07-17T08:42:58.315+0000"),
                json!("2015-07-17T08:42:58Z"),
            ]),
        ),
        ("component", text()),
        ("group", text()),
        ("class", text()),
        (
            "custom_details",
            good(&[json!({}), json!({"a": 1, "b": [2]})]),
        ),
    ]);
    let links = list(object(vec![
        ("href", good(&[json!("https://a.b")])),
        ("text", text()),
    ]));
    let images = list(object(vec![
        ("src", good(&[json!("https://a.b/c.png")])),
        ("href", good(&[json!("https://a.b"), json!("")])),
        ("alt", text()),
    ]));
    object(vec![
        ("routing_key", good(&[json!(KEY)])),
        (
            "event_action",
            good(&[json!("trigger"), json!("acknowledge"), json!("resolve")]),
        ),
        ("dedup_key", good(&[json!("k"), json!("k".repeat(255))])),
        ("client", text()),
        ("client_url", good(&[json!("https://a.b"), json!("")])),
        ("payload", sometimes(payload)),
        ("links", links),
        ("images", images),
        ("unknown", text()),
    ])
}

#[test]
fn our_judge_is_as_strict_as_the_published_schema() {
    let Some(contract) = contract() else {
        eprintln!(
            "not run: our_judge_is_as_strict_as_the_published_schema: pagerduty-events-v2.json is \
             not in $KAI_CONTRACTS"
        );
        return;
    };
    for (endpoint, path) in [
        (Endpoint::Alert, "/enqueue"),
        (Endpoint::Change, "/change/enqueue"),
    ] {
        let schema = schema(&contract, path);
        let (mut accepted, mut refused, mut beyond) = (0, 0, 0);
        let mut runner = TestRunner::new(Config {
            cases: 256,
            ..Config::default()
        });
        let accepted = &mut accepted;
        let (refused, beyond) = (&mut refused, &mut beyond);
        let counts = std::cell::RefCell::new((accepted, refused, beyond));
        let events = proptest::collection::vec(prop_oneof![6 => event(), 1 => scalar()], 16);
        runner
            .run(&events, |events| {
                for event in events {
                    let ours = judge(endpoint, event.to_string().as_bytes()).refusal;
                    let theirs = schema.is_valid(&event);
                    let mut counts = counts.borrow_mut();
                    match (ours, theirs) {
                        (None, true) => *counts.0 += 1,
                        (Some(_), false) => *counts.1 += 1,
                        (None, false) => {
                            let why: Vec<String> = schema
                                .iter_errors(&event)
                                .map(|error| error.to_string())
                                .collect();
                            prop_assert!(false, "accepted against the schema: {event}: {why:?}");
                        }
                        (Some(refusal), true) => {
                            *counts.2 += 1;
                            let known =
                                |error: &String| BEYOND.iter().any(|rule| error.contains(rule));
                            prop_assert!(
                                refusal.errors.iter().all(known),
                                "refused without a rule: {event}: {:?}",
                                refusal.errors
                            );
                        }
                    }
                }
                Ok(())
            })
            .unwrap();
        let counts = counts.into_inner();
        println!(
            "{path}: {} accepted, {} refused, {} beyond",
            counts.0, counts.1, counts.2
        );
        // Without enough of each the agreement would say nothing.
        assert!(*counts.0 > 200 && *counts.1 > 200 && *counts.2 > 10);
    }
}

#[test]
fn the_examples_of_the_contract_are_accepted() {
    let Some(contract) = contract() else {
        eprintln!(
            "not run: the_examples_of_the_contract_are_accepted: pagerduty-events-v2.json is not \
             in $KAI_CONTRACTS"
        );
        return;
    };
    let mut seen = 0;
    for (endpoint, path) in [
        (Endpoint::Alert, "/enqueue"),
        (Endpoint::Change, "/change/enqueue"),
    ] {
        let content = &contract["paths"][path]["post"]["requestBody"]["content"];
        for (name, example) in content["application/json"]["examples"].as_object().unwrap() {
            let refusal = judge(endpoint, example["value"].to_string().as_bytes()).refusal;
            assert_eq!(refusal, None, "{path} {name}");
            seen += 1;
        }
    }
    assert!(seen >= 3);
    assert_eq!(
        judge(Endpoint::Alert, trigger().to_string().as_bytes()).refusal,
        None
    );
}
