//! What becomes of names beyond a budget.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::{Form, Line, NO_OFFSET, Shaper};

fn budget(most: usize) -> Arc<FieldBudget> {
    Arc::new(FieldBudget::new(most))
}

fn shaper(budget: &Arc<FieldBudget>) -> Shaper {
    let form = Form::new(kai_contract::agent_config::LogFormat::Auto);
    let mut shaper = Shaper::new(form, &std::collections::BTreeMap::new(), &[]);
    shaper.keep_to(Arc::clone(budget));
    shaper
}

fn shape(shaper: &mut Shaper, text: &str) -> (Value, u32) {
    let mut out = Vec::new();
    let line = Line {
        text: text.as_bytes(),
        cut: false,
        split: false,
        read_at: 1_795_485_989_123,
        stream: None,
        offset: NO_OFFSET,
        path: b"",
        about: None,
    };
    let taken = shaper.shape(&mut out, &line);
    let value = serde_json::from_slice(&out)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)));
    (value, taken.beyond)
}

fn overflow(value: &Value) -> Value {
    serde_json::from_str(value[OVERFLOW].as_str().unwrap()).unwrap()
}

/// Names in the way in which an index counts them, without those of the template.
fn names(value: &Value, before: &str, all: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = if before.is_empty() {
                    name.clone()
                } else {
                    format!("{before}.{name}")
                };
                names(value, &name, all);
                all.insert(name);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                names(element, before, all);
            }
        }
        _ => {}
    }
}

#[test]
fn names_beyond_the_budget_are_a_text() {
    let budget = budget(4);
    let mut shaper = shaper(&budget);
    let (value, beyond) = shape(&mut shaper, r#"{"a":1,"b":2,"message":"m","level":"WARN"}"#);
    assert_eq!((value["b"].clone(), beyond), (json!(2), 0));
    assert_eq!(budget.used(), (2, 4));
    let (_, beyond) = shape(&mut shaper, r#"{"c":{"d":1}}"#);
    assert_eq!((beyond, budget.used()), (0, (4, 4)));
    let (value, beyond) = shape(
        &mut shaper,
        r#"{"e":"x\"y","a":3,"c":{"f":[1,{"g":2}],"d":5},"message":"m","level":"WARN","ts":1795485989}"#,
    );
    assert_eq!(beyond, 2);
    assert_eq!(overflow(&value), json!({"e": "x\"y", "c.f": [1, {"g": 2}]}));
    assert_eq!((&value["a"], &value["c"]), (&json!(3), &json!({"d": 5})));
    assert_eq!(
        (&value["message"], &value["log.level"]),
        (&json!("m"), &json!("warn"))
    );
    assert_eq!(value["@timestamp"], "2026-11-24T02:06:29.000Z");
    // What was known before stays known, and what was not is not asked for again and again.
    let (value, beyond) = shape(&mut shaper, r#"{"a":1,"b":2,"c":{"d":3}}"#);
    assert_eq!((value.get(OVERFLOW), beyond), (None, 0));
}

#[test]
fn a_day_makes_all_names_new() {
    let budget = budget(2);
    let (mut one, mut other) = (shaper(&budget), shaper(&budget));
    budget.tick(1_795_485_989_123);
    assert_eq!(
        shape(&mut one, r#"{"a":1,"b":1}"#).1,
        2,
        "more than half of it"
    );
    assert_eq!(shape(&mut one, r#"{"a":1}"#).1, 0);
    assert_eq!(shape(&mut other, r#"{"b":1}"#).1, 0);
    assert_eq!(shape(&mut one, r#"{"c":1}"#).1, 1);
    budget.tick(1_795_485_989_124);
    assert_eq!(shape(&mut one, r#"{"c":1}"#).1, 1);
    budget.tick(1_795_485_989_123 + DAY);
    assert_eq!(shape(&mut one, r#"{"c":1}"#).1, 0);
    assert_eq!(shape(&mut other, r#"{"d":1}"#).1, 0);
    assert_eq!(shape(&mut other, r#"{"b":1,"c":1}"#).1, 1);
    assert_eq!(budget.used(), (2, 2));
}

#[test]
fn one_line_does_not_take_it_all() {
    let budget = budget(500);
    let mut shaper = shaper(&budget);
    let many: serde_json::Map<String, Value> = (0..10_000)
        .map(|at| (format!("key{at}"), json!(at)))
        .collect();
    let (value, beyond) = shape(&mut shaper, &Value::Object(many.clone()).to_string());
    assert_eq!((beyond, budget.used().0), (10_000, 0));
    assert_eq!(overflow(&value), Value::Object(many));
    let (value, beyond) = shape(&mut shaper, r#"{"key1":1}"#);
    assert_eq!((beyond, value["key1"].clone()), (0, json!(1)));
}

#[test]
fn a_line_that_is_none_costs_nothing() {
    let budget = budget(10);
    let mut shaper = shaper(&budget);
    shape(&mut shaper, r#"{"a":1,"b":2"#);
    assert_eq!(budget.used().0, 0);
}

#[test]
fn what_no_index_takes_is_a_text() {
    let budget = budget(1000);
    let mut shaper = shaper(&budget);
    let long = "k".repeat(LONGEST + 1);
    for name in [
        "", " ", ".", "a.", ".a", "a..b", "a. .b", "_id", &long, "\\ud800",
    ] {
        let (value, beyond) = shape(&mut shaper, &format!("{{\"{name}\":1,\"ok\":2}}"));
        assert_eq!((beyond, value["ok"].clone()), (1, json!(2)), "{name:?}");
        if name == "_id" {
            continue;
        }
        let inner = format!("{{\"ok\":{{\"{name}\":1,\"x\":2}}}}");
        let (value, beyond) = shape(&mut shaper, &inner);
        assert_eq!(
            (beyond, value["ok"].clone()),
            (1, json!({"x": 2})),
            "{name:?}"
        );
    }
    // What is ours is not there twice.
    for text in [
        r#"{"kai.overflow":"x","":1}"#,
        r#"{"kai":{"overflow":"x"},"":1}"#,
        r#"{"kai":5,"":1}"#,
    ] {
        assert_eq!(shape(&mut shaper, text).1, 2, "{text}");
    }
    let deep = |depth: usize| format!("{}1{}", "{\"d\":".repeat(depth), "}".repeat(depth));
    assert_eq!(shape(&mut shaper, &deep(MOST_PARTS)).1, 0);
    let (value, beyond) = shape(&mut shaper, &deep(60));
    assert_eq!(beyond, 1);
    let name = vec!["d"; MOST_PARTS + 1].join(".");
    assert!(overflow(&value)[name].is_object());
    // Arrays of objects, too.
    let text = format!("{{\"a\":[{},2,{{\"x\":1}}]}}", deep(40));
    let (value, beyond) = shape(&mut shaper, &text);
    assert_eq!((beyond, &value["a"][2]), (1, &json!({"x": 1})));
}

fn object() -> impl Strategy<Value = Value> {
    let name = r#"[a-d]{1,2}|[a-d]\.[a-d]|kai|kai\.overflow|message|level|host|\.|é|"|"#;
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i32>().prop_map(Value::from),
        "[a\"\\\\]{0,3}".prop_map(Value::from)
    ];
    let any = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    proptest::collection::btree_map(name, any, 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn documents_are_json_and_have_no_more_names(
        lines in proptest::collection::vec(object(), 1..20), most in 1_usize..12
    ) {
        let budget = budget(most);
        let mut shapers = [shaper(&budget), shaper(&budget)];
        let mut all = std::collections::BTreeSet::new();
        for (at, line) in lines.iter().enumerate() {
            let (value, beyond) = shape(&mut shapers[at % 2], &line.to_string());
            if beyond > 0 {
                prop_assert!(overflow(&value).is_object());
            } else {
                // Nothing but what was added.
                for (name, given) in line.as_object().unwrap() {
                    prop_assert!(&value[name] == given || name == "kai", "{name}");
                }
            }
            names(&value, "", &mut all);
            let own = all.iter().filter(|name| {
                !budget.free.contains(&budget.hasher.hash_one(name.as_bytes()))
            });
            prop_assert!(own.count() <= most, "{all:?}");
        }
        prop_assert!(budget.used().0 <= most);
    }

    #[test]
    fn a_document_that_nobody_looked_at_is_treated_alike(lines in proptest::collection::vec(object(), 1..9)) {
        let (one, other) = (budget(5), budget(5));
        let (mut by_line, mut whole) = (shaper(&one), Asker::new(Some(Arc::clone(&other))));
        for line in &lines {
            let mut document = line.to_string().into_bytes();
            let count = whole.fit(&mut document);
            prop_assert_eq!(shape(&mut by_line, &line.to_string()).1, count);
            prop_assert!(serde_json::from_slice::<Value>(&document).is_ok());
            prop_assert_eq!(one.used(), other.used());
        }
    }
}
