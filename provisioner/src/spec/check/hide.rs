//! Marks values that must not be shown, also where the spec is wrong: a key beside a misspelt
//! name is still a key.

use crate::spec::diagnostic::Findings;
use crate::spec::format::Format;
use crate::spec::mask::names_a_secret;
use crate::spec::schema::Kind;
use crate::spec::tree::{Node, Value};

/// Every scalar below.
pub(super) fn all(node: &Node, findings: &mut Findings) {
    match &node.value {
        Value::Scalar(_) => findings.mask(node.place),
        Value::List(items) => items.iter().for_each(|item| all(item, findings)),
        Value::Map(entries) => {
            for entry in entries {
                // `{ R0ABC }` is a map with a secret as its key
                if entry.value.is_null() {
                    findings.mask(entry.key_place);
                }
                all(&entry.value, findings);
            }
        }
    }
}

/// What the keys below say are secrets.
pub(super) fn by_name(node: &Node, findings: &mut Findings) {
    for item in node.items() {
        by_name(item, findings);
    }
    for entry in node.entries() {
        if names_a_secret(&entry.key) {
            unless_reference(&entry.value, findings);
        } else {
            by_name(&entry.value, findings);
        }
    }
}

/// As the schema says for a value of this kind, however wrong the value is.
pub(super) fn by_kind(node: &Node, kind: &Kind, findings: &mut Findings) {
    match kind {
        Kind::Secret => unless_reference(node, findings),
        Kind::Text(Format::Unseen) => all(node, findings),
        Kind::Object(object) | Kind::Overlay(object) => {
            if !matches!(node.value, Value::Map(_)) {
                if holds_secrets(kind) {
                    all(node, findings);
                }
                return;
            }
            for entry in node.entries() {
                match object.field(&entry.key) {
                    Some(field) => by_kind(&entry.value, &field.kind, findings),
                    None if object.holds_secrets() || names_a_secret(&entry.key) => {
                        unless_reference(&entry.value, findings);
                    }
                    None => by_name(&entry.value, findings),
                }
            }
        }
        Kind::Map { value, .. } => match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    by_kind(&entry.value, value, findings);
                }
            }
            _ if holds_secrets(value) => all(node, findings),
            _ => {}
        },
        Kind::List { item, .. } => match &node.value {
            Value::List(items) => items.iter().for_each(|node| by_kind(node, item, findings)),
            _ => by_name(node, findings),
        },
        _ => by_name(node, findings),
    }
}

/// `{ env: NAME }` and `{ file: PATH }` may be shown, anything else in their place may not.
fn unless_reference(node: &Node, findings: &mut Findings) {
    let is_reference = !node.entries().is_empty()
        && node.entries().iter().all(|e| {
            matches!(e.key.as_str(), "env" | "file" | "vault" | "rotation")
                && e.value
                    .text()
                    .is_some_and(|t| !super::secret::is_literal(&e.key, t))
        });
    if !is_reference {
        all(node, findings);
    }
}

fn holds_secrets(kind: &Kind) -> bool {
    match kind {
        Kind::Secret | Kind::Text(Format::Unseen) | Kind::Overlay(_) => true,
        Kind::Object(object) => object.fields.iter().any(|f| holds_secrets(&f.kind)),
        Kind::Map { value, .. } => holds_secrets(value),
        Kind::List { item, .. } => holds_secrets(item),
        _ => false,
    }
}
