//! Merging on the tree: overlays over the spec, and the files of `include` side by side.

use super::diagnostic::{Findings, quoted};
use super::schema::Kind;
use super::source::Sources;
use super::tree::{Entry, Node, Value};

/// An overlay over a base: maps deep, null removes, everything else replaces. A reference to a
/// secret is one value, so that `{ file: … }` over `{ env: … }` is not both.
pub fn overlay(base: &mut Node, over: &Node, kind: &Kind) {
    let deep = match kind {
        Kind::Secret => !over
            .entries()
            .iter()
            .any(|e| e.key == "env" || e.key == "file"),
        _ => true,
    };
    let (Value::Map(into), Value::Map(from), true) = (&mut base.value, &over.value, deep) else {
        *base = without_nulls(over);
        return;
    };
    for entry in from {
        let position = into.iter().position(|e| e.key == entry.key);
        match position {
            Some(index) if entry.value.is_null() => {
                into.remove(index);
            }
            Some(index) => overlay(
                &mut into[index].value,
                &entry.value,
                inner(kind, &entry.key),
            ),
            None if entry.value.is_null() => {}
            None => into.push(Entry {
                value: without_nulls(&entry.value),
                ..entry.clone()
            }),
        }
    }
}

/// Null means "remove", also where there was nothing to remove.
fn without_nulls(node: &Node) -> Node {
    let value = match &node.value {
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .filter(|e| !e.value.is_null())
                .map(|e| Entry {
                    value: without_nulls(&e.value),
                    ..e.clone()
                })
                .collect(),
        ),
        other => other.clone(),
    };
    Node {
        place: node.place,
        value,
    }
}

/// The kind of a key's value; anything where the key is not known.
fn inner(kind: &Kind, key: &str) -> &'static Kind {
    const ANY: &Kind = &Kind::Scalar;
    match kind {
        Kind::Object(object) | Kind::Overlay(object) => object.field(key).map_or(ANY, |f| &f.kind),
        Kind::Map { value, .. } => value,
        _ => ANY,
    }
}

/// Joins an included file into the spec: maps deep, and the same key in both is an error that
/// names both places. `apiVersion` and `kind` may be repeated when they agree; `include` belongs to
/// each file alone.
pub fn include(base: &mut Node, part: Node, sources: &Sources, findings: &mut Findings) {
    let Value::Map(entries) = part.value else {
        return;
    };
    let Value::Map(into) = &mut base.value else {
        return;
    };
    for entry in entries {
        if entry.key == "include" {
            continue;
        }
        let header = matches!(entry.key.as_str(), "apiVersion" | "kind");
        let same = into
            .iter()
            .find(|e| e.key == entry.key)
            .is_some_and(|e| e.value.text() == entry.value.text());
        if header && same {
            continue;
        }
        join(into, entry, "", sources, findings);
    }
}

fn join(
    into: &mut Vec<Entry>,
    entry: Entry,
    path: &str,
    sources: &Sources,
    findings: &mut Findings,
) {
    let path = if path.is_empty() {
        entry.key.clone()
    } else {
        format!("{path}.{}", entry.key)
    };
    let Some(existing) = into.iter_mut().find(|e| e.key == entry.key) else {
        into.push(entry);
        return;
    };
    let is_reference = |node: &Node| node.get("env").is_some() || node.get("file").is_some();
    let leaf = is_reference(&existing.value) || is_reference(&entry.value);
    if !leaf
        && let (Value::Map(ours), Value::Map(_)) = (&mut existing.value.value, &entry.value.value)
    {
        if let Value::Map(theirs) = entry.value.value {
            for inner in theirs {
                join(ours, inner, &path, sources, findings);
            }
        }
        return;
    }
    let message = format!("{} is said in two files", quoted(&path));
    let help = format!(
        "the other is at {}; keep one of them",
        sources.locate(existing.key_place)
    );
    findings
        .error("duplicate-key", entry.key_place, message)
        .help(help);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse::parse;
    use super::super::schema::table::STACK;
    use super::*;

    fn tree(sources: &mut Sources, name: &str, text: &str) -> Node {
        let file = sources.add(Path::new(name), text);
        parse(file, name, text, &mut Findings::default()).expect("valid YAML")
    }

    fn plain(node: &Node) -> String {
        match &node.value {
            Value::Scalar(s) => s.text.clone(),
            Value::List(items) => {
                format!(
                    "[{}]",
                    items.iter().map(plain).collect::<Vec<_>>().join(",")
                )
            }
            Value::Map(entries) => {
                let inner: Vec<_> = entries
                    .iter()
                    .map(|e| format!("{}:{}", e.key, plain(&e.value)))
                    .collect();
                format!("{{{}}}", inner.join(","))
            }
        }
    }

    fn laid_over(base: &str, over: &str) -> String {
        let mut sources = Sources::default();
        let mut base = tree(&mut sources, "a", base);
        let over = tree(&mut sources, "b", over);
        overlay(&mut base, &over, &Kind::Object(&STACK));
        plain(&base)
    }

    #[test]
    fn overlays_merge_maps_replace_lists_and_remove_with_null() {
        assert_eq!(
            laid_over("a: {b: 1, c: 2}", "a: {c: 3, d: 4}"),
            "{a:{b:1,c:3,d:4}}"
        );
        assert_eq!(laid_over("a: [1, 2]", "a: [3]"), "{a:[3]}");
        assert_eq!(laid_over("a: {b: 1}\nc: 2", "a: null\nx: null"), "{c:2}");
        assert_eq!(laid_over("a: 1", "b: {c: null, d: 1}"), "{a:1,b:{d:1}}");
    }

    #[test]
    fn a_secret_reference_is_one_value() {
        let base = "teams: {t: {slack: {env: A, rotation: 2}}}";
        assert_eq!(
            laid_over(base, "teams: {t: {slack: {file: b}}}"),
            "{teams:{t:{slack:{file:b}}}}"
        );
        assert_eq!(
            laid_over(base, "teams: {t: {slack: {rotation: 3}}}"),
            "{teams:{t:{slack:{env:A,rotation:3}}}}"
        );
    }

    #[test]
    fn included_maps_join_and_clashes_name_both_places() {
        let mut sources = Sources::default();
        let mut base = tree(
            &mut sources,
            "a.yaml",
            "kind: Stack\nteams:\n  x: { email: a@b }\n",
        );
        let part = tree(
            &mut sources,
            "b.yaml",
            "kind: Stack\nteams:\n  y: {}\n  x: { email: c@d }\n",
        );
        let mut findings = Findings::default();
        include(&mut base, part, &sources, &mut findings);
        assert_eq!(plain(&base), "{kind:Stack,teams:{x:{email:a@b},y:{}}}");
        let said = findings.into_diagnostics(&mut sources).to_string();
        assert!(said.contains("b.yaml:4:8: error[duplicate-key]"), "{said}");
        assert!(said.contains("a.yaml:3:8"), "{said}");
    }
}
