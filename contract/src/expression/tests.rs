//! Conditions against lines, and what is said of wrong ones.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn scalar(value: &Value) -> Option<Scalar<'_>> {
    match value {
        Value::Null => None,
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        Value::String(text) => Some(Scalar::Text(text.as_bytes())),
        Value::Number(_) => None, // its text has no place to live; see `holds_for`
        Value::Array(_) | Value::Object(_) => Some(Scalar::Other),
    }
}

fn holds_for(text: &str, line: &Value) -> bool {
    let expression = parse(text).unwrap_or_else(|error| panic!("{}", error.shown(text)));
    let numbers: BTreeMap<&str, String> = line
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| value.is_number())
        .map(|(name, value)| (name.as_str(), value.to_string()))
        .collect();
    expression.holds(&|index| {
        let name = expression.fields()[index].as_str();
        match numbers.get(name) {
            Some(number) => Some(Scalar::Number(number.as_bytes())),
            None => line.get(name).and_then(scalar),
        }
    })
}

#[test]
fn conditions_hold_or_do_not() {
    let line = json!({
        "event": "hold.expired", "channel": "web", "amount": 150_000, "code": "503",
        "paid": true, "nothing": null, "kai": {"x": 1}, "route a": "GMR-BD", "text": "a \"b\"\\",
        "lines": "one\ntwo",
    });
    for (text, wanted) in [
        (r#"event == "hold.expired""#, true),
        ("event == 'hold.expired' && channel != 'web'", false),
        ("event == 'x' || channel == 'web' && paid == true", true),
        ("(event == 'x' || channel == 'web') && paid == false", false),
        ("amount >= 150000 && amount < 150000.5", true),
        ("amount == '150000'", true),
        ("amount == 1.5e5", true),
        ("code >= 500 && code <= 503.0", true),
        ("code > 503", false),
        ("channel < 5", false),
        ("channel in ['mobile', 'web']", true),
        ("amount in [1, 150000,]", true),
        ("channel in ['mobile']", false),
        ("event =~ 'hold\\\\..*'", true),
        ("event =~ 'hold'", false),
        ("event !~ 'booking.*'", true),
        ("event =~ 'a|hold.expired'", true),
        ("lines =~ 'one.two'", true),
        ("exists(event) && !exists(nothing) && !exists(absent)", true),
        ("exists(kai) && !(kai == 'x')", true),
        ("kai != 'x'", true),
        ("absent != 'x'", false),
        ("!(absent == 'x')", true),
        ("absent !~ 'x'", false),
        ("nothing == 'null'", false),
        ("`route a` == 'GMR-BD'", true),
        (r#"text == "a \"b\"\\""#, true),
        ("!!paid == true", true),
        ("paid == 'true'", true),
    ] {
        assert_eq!(holds_for(text, &line), wanted, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_column() {
    for (text, wanted) in [
        (
            "",
            "column 1: there is no condition; write one like event == \"hold.expired\"",
        ),
        (
            "event = 'x'",
            "column 7: `=` is not a sign of this language; did you mean `==`?",
        ),
        (
            "a == 'x' & b == 'y'",
            "column 10: `&` is not a sign of this language; did you mean `&&`?",
        ),
        (
            "a == 'x' and b == 'y'",
            "column 10: `and` does not go on a condition; did you mean `&&`?",
        ),
        (
            "not a == 'x'",
            "column 5: `a` does not compare `not` with anything; write not == true, exists(not), or one of == != < <= > >= =~ !~ and in",
        ),
        (
            "not(a == 'x')",
            "column 1: there is no function `not`; did you mean `!`?",
        ),
        (
            "exist(a)",
            "column 1: there is no function `exist`; did you mean `exists`?",
        ),
        (
            "event == expired",
            "column 10: `expired` is not a value; two fields cannot be compared; write \"expired\" if it is text",
        ),
        (
            "event ==",
            "column 9: a value is missing; there is nothing more; write text in quotes, a number, true or false",
        ),
        (
            "event == 'x",
            "column 10: the quote is not closed; add ' behind the text",
        ),
        (
            "(event == 'x'",
            "column 1: the bracket is not closed; add `)`",
        ),
        (
            "event == 'x')",
            "column 13: `)` does not go on a condition; there is no `(` that it would close",
        ),
        (
            "paid",
            "column 5: `paid` alone is no condition; write paid == true, exists(paid), or one of == != < <= > >= =~ !~ and in",
        ),
        (
            "a < 'x'",
            "column 5: `<` compares numbers, not the text \"x\"; write a number without quotes",
        ),
        (
            "a == [1]",
            "column 6: a list is no value; did you mean `in [`?",
        ),
        (
            "a in []",
            "column 6: nothing is in an empty list; write the values, as in [\"web\", \"mobile\"]",
        ),
        ("a in [1", "column 6: the list is not closed; add `]`"),
        (
            "a == null",
            "column 6: null is the same as not there; write exists(field) or !exists(field)",
        ),
        (
            "a =~ '('",
            "column 6: the pattern cannot be used: unclosed group",
        ),
        (
            "a..b == 1",
            "column 1: `a..b` is not a field: a name between dots is empty; write one like event.action",
        ),
        (
            "é == 'x' # b",
            "column 10: `#` has no meaning here; text stands in quotes, an unusual field name in backticks",
        ),
        (
            "a == 1x",
            "column 6: `1x` is not a number; write one like 12, -0.5 or 1e3, or text in quotes",
        ),
        (
            "a == 'x\\d'",
            "column 8: `\\d` is not an escape; the escapes are \\\\ \\\" \\' \\n \\t \\r; a backslash of a pattern is written twice",
        ),
        (
            "a == 'x' b",
            "column 10: `b` does not go on a condition; join conditions with && or ||",
        ),
        (
            "'a' == 'x'",
            "column 1: a condition begins with a field, this is text; write the field first; if \"a\" is one, put it in backticks",
        ),
        (
            "a matches 'x'",
            "column 3: `matches` does not compare `a` with anything; did you mean `=~`?",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err().shown(text), wanted, "{text}");
    }
    let deep = format!("{}a == 1{}", "(".repeat(70), ")".repeat(70));
    assert!(parse(&deep).is_err());
    let huge = format!("a =~ '{}'", "(a{1000}){1000}");
    assert!(parse(&huge).unwrap_err().message.contains("pattern"));
}

/// A condition in words that a person can judge, and its text.
#[derive(Debug, Clone)]
enum Plain {
    Is(String, Value),
    Differs(String, Value),
    Less(String, i32),
    There(String),
    Both(Box<Plain>, Box<Plain>),
    Either(Box<Plain>, Box<Plain>),
    Not(Box<Plain>),
}

impl Plain {
    fn text(&self) -> String {
        match self {
            Self::Is(field, value) => format!("`{field}` == {value}"),
            Self::Differs(field, value) => format!("`{field}`!={value}"),
            Self::Less(field, limit) => format!("`{field}` < {limit}"),
            Self::There(field) => format!("exists( `{field}` )"),
            Self::Both(a, b) => format!("({}) && ({})", a.text(), b.text()),
            Self::Either(a, b) => format!("({})||({})", a.text(), b.text()),
            Self::Not(a) => format!("! ({})", a.text()),
        }
    }

    fn holds(&self, line: &Map<String, Value>) -> bool {
        let same = |field: &str, value: &Value| {
            line.get(field).map(|found| match (found, value) {
                (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
                (a, b) => a == b,
            })
        };
        match self {
            Self::Is(field, value) => same(field, value) == Some(true),
            Self::Differs(field, value) => same(field, value) == Some(false),
            Self::Less(field, limit) => line
                .get(field)
                .and_then(Value::as_f64)
                .is_some_and(|value| value < f64::from(*limit)),
            Self::There(field) => line.contains_key(field),
            Self::Both(a, b) => a.holds(line) && b.holds(line),
            Self::Either(a, b) => a.holds(line) || b.holds(line),
            Self::Not(a) => !a.holds(line),
        }
    }
}

fn field() -> impl Strategy<Value = String> {
    "[a-c]"
}

fn value() -> impl Strategy<Value = Value> {
    // Texts that are no numbers: where the two meet is tested above.
    prop_oneof![
        (-3i32..3).prop_map(Value::from),
        "[xy\"\\\\\n]{0,2}".prop_map(Value::from),
    ]
}

fn plain() -> impl Strategy<Value = Plain> {
    let leaf = prop_oneof![
        (field(), value()).prop_map(|(f, v)| Plain::Is(f, v)),
        (field(), value()).prop_map(|(f, v)| Plain::Differs(f, v)),
        (field(), -3i32..3).prop_map(|(f, n)| Plain::Less(f, n)),
        field().prop_map(Plain::There),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone()
                .prop_map(|(a, b)| Plain::Both(a.into(), b.into())),
            two.prop_map(|(a, b)| Plain::Either(a.into(), b.into())),
            inner.prop_map(|a| Plain::Not(a.into())),
        ]
    })
}

#[test]
fn what_must_be_so_is_told() {
    let of = |text: &str| {
        let expression = parse(text).unwrap();
        let found = expression.required();
        let shown: Vec<String> = found.iter().map(|one| format!("{one:?}")).collect();
        shown.join(" ")
    };
    assert_eq!(
        of(r#"a == "x" && (b > 3 && c =~ "y") && !exists(d)"#),
        r#"("a", Some("x")) ("b", None) ("c", None)"#
    );
    assert_eq!(of(r#"a == "x" || b == "y""#), "");
    assert_eq!(of(r#"a in ["x", "y"]"#), r#"("a", None)"#);
}

proptest! {
    #[test]
    fn conditions_mean_what_they_say(
        plain in plain(), line in proptest::collection::btree_map(field(), value(), 0..3),
    ) {
        let line: Map<String, Value> = line.into_iter().collect();
        let text = plain.text();
        prop_assert_eq!(
            holds_for(&text, &Value::Object(line.clone())), plain.holds(&line), "{}", text
        );
    }

    #[test]
    fn nothing_makes_it_panic(text in any::<String>()) {
        if let Err(error) = parse(&text) {
            prop_assert!(error.offset <= text.len());
            prop_assert!(text.is_char_boundary(error.offset));
            prop_assert!(text.get(error.offset..error.offset + error.length).is_some());
        }
    }

    #[test]
    fn noise_of_its_own_words_does_not_either(
        words in proptest::collection::vec(
            prop_oneof![
                Just("&&"), Just("||"), Just("!"), Just("("), Just(")"), Just("["), Just("]"),
                Just("in"), Just("a.b"), Just("'t'"), Just("1"), Just("=="), Just("=~"),
                Just("exists("), Just("`q q`"), Just(","), Just("<"), Just("true"), Just("\\"),
            ], 0..24,
        ), space in " ?",
    ) {
        let text = words.join(&space);
        if let Ok(expression) = parse(&text) {
            expression.holds(&|_| Some(Scalar::Text(b"t")));
        }
    }
}
