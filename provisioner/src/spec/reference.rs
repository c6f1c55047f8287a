//! The reference document of the spec, generated from the table. A test compares it with the file
//! in `docs/reference/`, so that it cannot grow old.

use super::schema::{self, Field, Kind, Object, list};
use crate::validate;

/// The text of `docs/reference/spec.md`.
pub fn reference_markdown() -> String {
    let mut text = String::from(HEAD);
    for (path, object) in schema::objects() {
        section(&mut text, &path, object);
    }
    text.push_str("\n## Checks\n\nBesides the shape of each value, `validate` runs these, all of them, every time:\n\n");
    for check in validate::CHECKS {
        text.push_str(&format!("- `{}`: {}\n", check.name, check.what));
    }
    text
}

const HEAD: &str = "\
# The spec

Generated from the table that also checks specs and makes the JSON Schema; do not edit.

- `observe.kai/v1` only grows. Keys are camelCase; an unknown key is an error.
- **Paths** are relative to the folder of the spec; those of `include` to the file that includes.
- **Patterns** know `*`, `?`, `[a-z]` and `**`; hidden files must be named.
- **Durations** are Prometheus': `15s`, `1h30m`, `15d`. Units `ms s m h d w y`, large ones first.
- **Secrets** are never written into a spec, only where they are: `{ env: NAME }` or
  `{ file: PATH }`. `rotation: N` beside it is raised when the value behind it has changed.
- **Environments**: maps merge deep, `null` removes, anything else replaces.
- YAML 1.2, one document, UTF-8. Anchors and aliases work; merge keys (`<<`) and duplicate keys are
  errors. `yes`, `no`, `on` and `off` are texts.
- A key that `observe.kai/v1` has and this build does not implement is refused as such.
";

fn section(text: &mut String, path: &str, object: &Object) {
    let title = if path.is_empty() {
        "Top level".to_owned()
    } else {
        format!("`{path}`")
    };
    text.push_str(&format!("\n## {title}\n\n{}\n\n", object.doc));
    text.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    for field in object.fields {
        let default = match field.default {
            Some(default) => format!("`{default}`"),
            None if field.required => "**required**".to_owned(),
            None => String::new(),
        };
        text.push_str(&format!(
            "| `{}` | {} | {default} | {} |\n",
            field.name,
            value(&field.kind),
            cell(field.doc)
        ));
    }
    text.push_str("\n```yaml\n");
    for field in object.fields {
        text.push_str(&example(field));
    }
    text.push_str("```\n");
    if !object.reserved.is_empty() {
        text.push_str(&format!(
            "\nNot in this build: {}.\n",
            list(object.reserved)
        ));
    }
}

fn example(field: &Field) -> String {
    format!("{}: {}\n", field.name, field.example)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn value(kind: &Kind) -> String {
    match kind {
        Kind::Object(_) => "map, see below".to_owned(),
        Kind::Overlay(_) => "part of a spec".to_owned(),
        Kind::Map { value: inner, .. } => format!("map of names to: {}", value(inner)),
        Kind::List { item, .. } => format!("list of: {}", value(item)),
        Kind::Text(format) => cell(format.words()),
        Kind::Enum { values, .. } => list(values),
        Kind::Duration { .. } => "duration".to_owned(),
        Kind::Integer { min, max } => format!("whole number, {min} to {max}"),
        Kind::Number { min, max } => format!("number, {min} to {max}"),
        other => other.words(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::check::{self, Completeness};
    use super::super::parse;
    use super::super::source::Sources;
    use super::*;
    use crate::spec::Findings;

    /// Defaults and examples are shown to users: they must be right.
    #[test]
    fn every_default_and_example_passes_its_own_check() {
        let mut tried = 0;
        for (path, object) in schema::objects() {
            for field in object.fields {
                for yaml in std::iter::once(field.example).chain(field.default) {
                    let mut sources = Sources::default();
                    let file = sources.add(Path::new("table"), yaml);
                    let mut findings = Findings::default();
                    let node = parse::parse(file, "table", yaml, &mut findings).expect("YAML");
                    check::check(
                        &node,
                        &field.kind,
                        field.name,
                        Completeness::Whole,
                        &mut findings,
                    );
                    let said = findings.into_diagnostics(&mut sources);
                    assert!(said.0.is_empty(), "{path}.{}: {said}", field.name);
                    tried += 1;
                }
            }
        }
        assert!(tried > 70, "{tried}");
    }
}
