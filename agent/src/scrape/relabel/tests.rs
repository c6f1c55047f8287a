//! Prometheus' published table of cases, in its order, and what holds for any input. A comparison
//! with Prometheus' own package over many more rules is in `bench/scrape/relabel`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn rules(yaml: &str) -> Rules {
    let rules: Vec<Relabel> = serde_yaml::from_str(yaml).unwrap();
    Rules::new(&rules).unwrap()
}

/// The labels afterwards, or `None` if the series was dropped.
fn run(rules: &Rules, labels: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    let mut labels = Labels::new(labels.iter().copied());
    rules.apply(&mut labels).then(|| {
        labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    })
}

fn check(input: &[(&str, &str)], yaml: &str, wanted: Option<&[(&str, &str)]>) {
    let wanted = wanted.map(|labels| {
        labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    });
    assert_eq!(run(&rules(yaml), input), wanted, "{yaml}");
}

#[test]
fn prometheus_own_table() {
    let abc: &[_] = &[("a", "foo"), ("b", "bar"), ("c", "baz")];
    let foo: &[_] = &[("a", "foo")];
    check(
        abc,
        r#"[{source_labels: [a], regex: f(.*), target_label: d, replacement: "ch${1}-ch${1}"}]"#,
        Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "choo-choo")]),
    );
    check(
        abc,
        r#"[{source_labels: [a, b], regex: "f(.*);(.*)r", target_label: a, replacement: "b${1}${2}m"},
            {source_labels: [c, a], regex: "(b).*b(.*)ba(.*)", target_label: d,
             replacement: $1$2$2$3}]"#,
        Some(&[("a", "boobam"), ("b", "bar"), ("c", "baz"), ("d", "boooom")]),
    );
    check(
        foo,
        r"[{source_labels: [a], regex: .*o.*, action: drop},
           {source_labels: [a], regex: f(.*), target_label: d, replacement: ch$1-ch$1}]",
        None,
    );
    check(
        &[("a", "abc")],
        r"[{source_labels: [a], regex: .*(b).*, target_label: d, replacement: $1}]",
        Some(&[("a", "abc"), ("d", "b")]),
    );
    for (action, regex, kept) in [
        ("drop", "no-match", true),
        ("drop", "f|o", true),
        ("keep", "no-match", false),
        ("keep", "f.*", true),
    ] {
        let yaml = format!("[{{source_labels: [a], regex: '{regex}', action: {action}}}]");
        check(foo, &yaml, kept.then_some(foo));
    }
    check(
        &[("a", "boo")],
        "[{source_labels: [a], regex: f, target_label: b, replacement: bar}]",
        Some(&[("a", "boo")]),
    );
    check(
        abc,
        "[{source_labels: [c], target_label: d, action: hashmod, modulus: 1000}]",
        Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "976")]),
    );
    check(
        &[("a", "foo\nbar")],
        "[{source_labels: [a], target_label: b, action: hashmod, modulus: 1000}]",
        Some(&[("a", "foo\nbar"), ("b", "734")]),
    );
    check(
        &[("a", "foo"), ("b1", "bar"), ("b2", "baz")],
        r#"[{regex: (b.*), replacement: "bar_${1}", action: labelmap}]"#,
        Some(&[
            ("a", "foo"),
            ("b1", "bar"),
            ("b2", "baz"),
            ("bar_b1", "bar"),
            ("bar_b2", "baz"),
        ]),
    );
    check(
        &[
            ("a", "foo"),
            ("__meta_my_bar", "aaa"),
            ("__meta_other", "ccc"),
        ],
        r#"[{regex: __meta_(my.*), replacement: "${1}", action: labelmap}]"#,
        Some(&[
            ("a", "foo"),
            ("__meta_my_bar", "aaa"),
            ("__meta_other", "ccc"),
            ("my_bar", "aaa"),
        ]),
    );
    let split = |regex: &str, replacement: &str, target: &str| {
        format!(
            "[{{source_labels: [a], regex: '{regex}', replacement: '{replacement}', \
             target_label: '{target}'}}]"
        )
    };
    let value: &[_] = &[("a", "some-name-value")];
    check(
        value,
        &split("some-([^-]+)-([^,]+)", "${2}", "${1}"),
        Some(&[("a", "some-name-value"), ("name", "value")]),
    );
    check(
        value,
        &split("some-([^-]+)-([^,]+)", "${3}", "${1}"),
        Some(value),
    );
    check(
        value,
        &split("some-([^-]+)(-[^,]+)", "${1}", "${3}"),
        Some(value),
    );
    check(
        &[("foo", "bAr123Foo")],
        "[{source_labels: [foo], action: uppercase, target_label: u},
          {source_labels: [foo], action: lowercase, target_label: l}]",
        Some(&[("foo", "bAr123Foo"), ("l", "bar123foo"), ("u", "BAR123FOO")]),
    );
    let ports: &[_] = &[("t", "1234"), ("p1", "1234"), ("p2", "5678")];
    for (action, target, kept) in [
        ("keepequal", "p1", true),
        ("dropequal", "p1", false),
        ("dropequal", "p2", true),
        ("keepequal", "p2", false),
    ] {
        let yaml = format!("[{{source_labels: [t], action: {action}, target_label: {target}}}]");
        check(ports, &yaml, kept.then_some(ports));
    }
    check(
        &[("a", "foo"), ("b1", "bar"), ("b2", "baz")],
        "[{regex: (b.*), action: labelkeep}]",
        Some(&[("b1", "bar"), ("b2", "baz")]),
    );
    check(
        &[("a", "foo"), ("b1", "bar"), ("b2", "baz")],
        "[{regex: (b.*), action: labeldrop}]",
        Some(foo),
    );
    // Without a source the value is empty, and the whole text of `(.*)`.
    check(
        foo,
        "[{target_label: c, replacement: const}]",
        Some(&[("a", "foo"), ("c", "const")]),
    );
    check(foo, "[{target_label: a, replacement: ''}]", Some(&[]));
}

#[test]
fn go_and_not_rust_decides_what_a_pattern_means() {
    // A digit of another script is no `\d`; `.` takes line ends; `$1x` is the group "1x".
    let thai: &[_] = &[("a", "๓")];
    check(
        thai,
        r"[{source_labels: [a], regex: '\d', action: drop}]",
        Some(thai),
    );
    check(
        &[("a", "x\ny")],
        "[{source_labels: [a], regex: x.y, action: drop}]",
        None,
    );
    check(
        &[("a", "v")],
        "[{source_labels: [a], regex: (.*), target_label: b, replacement: '$1x-${1}x-$$-$'}]",
        Some(&[("a", "v"), ("b", "-vx-$-$")]),
    );
    check(
        &[("a", "v")],
        "[{source_labels: [a], regex: '(?P<it>.)', target_label: b, replacement: '$it/${01}'}]",
        Some(&[("a", "v"), ("b", "v/")]),
    );
}

#[test]
fn of_two_labels_with_the_same_new_name_the_later_stays() {
    check(
        &[("x2", "two"), ("x1", "one")],
        "[{regex: 'x.', replacement: y, action: labelmap}]",
        Some(&[("x1", "one"), ("x2", "two"), ("y", "two")]),
    );
    // What a rule set comes after what the page has.
    check(
        &[("x1", "one"), ("x2", "two")],
        "[{target_label: x1, replacement: new}, {regex: 'x.', replacement: y, action: labelmap}]",
        Some(&[("x1", "new"), ("x2", "two"), ("y", "new")]),
    );
}

#[test]
fn bad_patterns_are_named() {
    let rules: Vec<Relabel> =
        serde_yaml::from_str("[{action: drop, regex: a}, {action: drop, regex: '('}]").unwrap();
    let wrong = Rules::new(&rules).unwrap_err();
    assert_eq!((wrong[0].0, wrong[0].1), (1, "regex"));
    assert!(wrong[0].2.contains("unclosed group"), "{wrong:?}");
}

#[test]
fn a_rule_that_sets_what_is_there_changes_nothing() {
    let rules = rules("[{target_label: a, replacement: foo}]");
    let mut labels = Labels::new([("a", "foo")].into_iter());
    assert!(rules.apply(&mut labels) && !labels.changed());
}

proptest! {
    #[test]
    fn no_rule_panics_or_leaves_an_empty_value(
        labels in proptest::collection::vec(("[a-c_]{1,3}", "\\PC{0,6}"), 0..6),
        sources in proptest::collection::vec("[a-c]{1,2}", 0..3),
        regex in "[a-c.*()|\\[\\]{}\\\\dws^$-]{0,8}",
        replacement in "[a-c$0-9{}_]{0,8}",
        target in "[a-c$1{}]{1,4}",
        action in 0..RelabelAction::ALL.len(),
    ) {
        let rule = Relabel {
            source_labels: Some(sources),
            regex: Some(regex),
            replacement: Some(replacement),
            target_label: Some(target),
            modulus: Some(7),
            action: RelabelAction::ALL[action].1,
            separator: None,
        };
        if let Ok(rules) = Rules::new(&[rule]) {
            let given: BTreeMap<_, _> = labels.into_iter().collect();
            let mut labels = Labels::new(given.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            if rules.apply(&mut labels) {
                let mut names: Vec<_> = labels.iter().map(|(name, _)| name).collect();
                let count = names.len();
                names.sort_unstable();
                names.dedup();
                prop_assert_eq!(names.len(), count, "each name once");
                prop_assert!(labels.iter().all(|(_, value)| !value.is_empty()));
                let now: BTreeMap<String, String> =
                    labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                let before: BTreeMap<String, String> =
                    given.clone().into_iter().filter(|(_, value)| !value.is_empty()).collect();
                prop_assert!(labels.changed() || now == before);
            }
        }
    }
}
