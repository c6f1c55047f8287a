//! Checks a tree against the schema table. It never stops at the first error, and marks what must
//! not be shown before anything is.

mod hide;
mod scalar;
mod secret;

use super::diagnostic::{Findings, quoted};
use super::mask::is_no_key;
use super::schema::{self, Field, Kind, Object, list, table};
use super::source::Place;
use super::suggest::nearest;
use super::tree::{Entry, Node, Value};

/// Is the tree all there is, or a part that others complete?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Required keys must be there, values must not be null.
    Whole,
    /// One of several files, or an overlay: keys may be missing, null removes.
    Part,
}

/// Checks `node` against `kind`. `path` is the node's own path (`services.booking`), empty for the
/// whole file.
pub fn check(
    node: &Node,
    kind: &Kind,
    path: &str,
    completeness: Completeness,
    findings: &mut Findings,
) {
    Checker {
        completeness,
        findings,
        overlay: false,
    }
    .value(node, kind, path, node.place);
}

struct Checker<'a> {
    completeness: Completeness,
    findings: &'a mut Findings,
    /// Inside `environments.<name>`.
    overlay: bool,
}

impl Checker<'_> {
    /// `at` is where to point when something inside the node is missing: its key.
    fn value(&mut self, node: &Node, kind: &Kind, path: &str, at: Place) {
        let part = self.overlay || self.completeness == Completeness::Part;
        if node.is_null() && part {
            return;
        }
        match kind {
            Kind::Object(object) => self.object(node, object, path, at),
            Kind::Overlay(object) => self.overlay(node, object, path, at),
            Kind::Map { key, value } => {
                if !self.is_map(node, kind, path) {
                    return;
                }
                for entry in node.entries() {
                    let inner = join(path, &entry.key);
                    if let Err(wrong) = key.check(&entry.key) {
                        let message = format!("{} {}", quoted(&entry.key), wrong.what);
                        self.findings
                            .error("bad-name", entry.key_place, message)
                            .maybe(wrong.help);
                        self.findings.mark_broken(&inner);
                    }
                    self.value(&entry.value, value, &inner, entry.key_place);
                }
            }
            Kind::List { item, unique, min } => self.list(node, kind, item, *unique, *min, path),
            Kind::Secret => self.secret(node, path, at),
            _ => self.scalar(node, kind, path, at),
        }
    }

    fn is_map(&mut self, node: &Node, kind: &Kind, path: &str) -> bool {
        if matches!(node.value, Value::Map(_)) || node.is_null() {
            return true;
        }
        hide::by_kind(node, kind, self.findings);
        self.wrong_type(node, kind, path, None);
        false
    }

    fn object(&mut self, node: &Node, object: &'static Object, path: &str, at: Place) {
        if !self.is_map(node, &Kind::Object(object), path) {
            return;
        }
        for entry in node.entries() {
            match object.field(&entry.key) {
                Some(field) => {
                    let inner = join(path, field.name);
                    if self.overlay && inner.ends_with(".metadata.id") {
                        self.fixed(entry, "metadata.id");
                        continue;
                    }
                    self.value(&entry.value, &field.kind, &inner, entry.key_place);
                }
                None => self.unknown_key(entry, object, path),
            }
        }
        if self.overlay || self.completeness == Completeness::Part {
            return;
        }
        for field in object.fields.iter().filter(|f| f.required) {
            let given = node.get(field.name);
            let inner = join(path, field.name);
            if given.is_none() && !self.findings.is_broken(&inner) {
                self.missing(field, object, path, at);
                self.findings.mark_broken(&inner);
            }
        }
    }

    fn missing(&mut self, field: &Field, object: &Object, path: &str, at: Place) {
        let message = format!(
            "`{}` is missing in {}",
            field.name,
            place_name(path, object)
        );
        let help = format!("add `{}: {}`", field.name, field.example);
        self.findings.error("missing-key", at, message).help(help);
    }

    fn overlay(&mut self, node: &Node, object: &'static Object, path: &str, at: Place) {
        if !self.is_map(node, &Kind::Overlay(object), path) {
            return;
        }
        let outer = std::mem::replace(&mut self.overlay, true);
        for entry in node.entries() {
            if table::FIXED.contains(&entry.key.as_str()) {
                self.fixed(entry, &entry.key);
            } else if table::ENVIRONMENT_RESERVED.contains(&entry.key.as_str()) {
                self.not_implemented(entry);
            } else if let Some(field) = object.field(&entry.key) {
                let inner = join(path, field.name);
                self.value(&entry.value, &field.kind, &inner, entry.key_place);
            } else {
                self.unknown_key(entry, object, path);
            }
        }
        self.overlay = outer;
        let _ = at;
    }

    fn fixed(&mut self, entry: &Entry, name: &str) {
        hide::by_name(&entry.value, self.findings);
        self.findings
            .error(
                "not-here",
                entry.key_place,
                format!("`{name}` cannot differ between environments"),
            )
            .help("say it once, outside `environments`");
    }

    fn not_implemented(&mut self, entry: &Entry) {
        hide::by_name(&entry.value, self.findings);
        let message = format!(
            "`{}` is part of observe.kai/v1 but not implemented in this build",
            entry.key
        );
        self.findings
            .error("not-implemented", entry.key_place, message)
            .help("remove the key; nothing would act on it");
    }

    fn unknown_key(&mut self, entry: &Entry, object: &'static Object, path: &str) {
        let key = entry.key.as_str();
        if object.reserved.contains(&key) {
            self.not_implemented(entry);
            return;
        }
        let names = || object.fields.iter().map(|f| f.name);
        let meant = nearest(key, names().chain(object.reserved.iter().copied()));
        let field = meant.and_then(|name| object.field(name));
        match field {
            Some(field) => hide::by_kind(&entry.value, &field.kind, self.findings),
            None if meant.is_some() || (!object.holds_secrets() && elsewhere(key).is_some()) => {
                hide::by_name(&entry.value, self.findings);
            }
            // nobody knows what it is, so it may be anything
            None => hide::all(&entry.value, self.findings),
        }
        // what was meant is there after all, only misspelt: it is not missing as well
        if let Some(name) = meant {
            self.findings.mark_broken(&join(path, name));
        }
        self.findings.mark_broken(&join(path, key));
        let shown = if meant.is_none() && is_no_key(key) {
            self.findings.mask(entry.key_place);
            "(not shown)".to_owned()
        } else {
            quoted(key)
        };
        let message = format!("unknown key {shown} in {}", place_name(path, object));
        let known: Vec<&str> = names().collect();
        let help = match (meant, elsewhere(key)) {
            (Some(name), _) => format!("did you mean `{name}`?"),
            (None, Some(place)) => format!("`{key}` is a key of {place}"),
            (None, None) => format!("known here: {}", list(&known)),
        };
        self.findings
            .error("unknown-key", entry.key_place, message)
            .help(help);
    }

    fn list(
        &mut self,
        node: &Node,
        kind: &Kind,
        item: &Kind,
        unique: bool,
        min: usize,
        path: &str,
    ) {
        let Value::List(items) = &node.value else {
            if node.is_null() && min == 0 {
                return;
            }
            hide::by_kind(node, kind, self.findings);
            let help = node.text().filter(|_| !node.is_null()).map(|text| {
                let shown = quoted(text);
                if shown.starts_with('"') {
                    format!("write a list, even of one: [{}]", shown.trim_matches('"'))
                } else {
                    "write a list, even of one: [a]".to_owned()
                }
            });
            self.wrong_type(node, kind, path, help);
            return;
        };
        if items.len() < min {
            self.findings
                .error(
                    "bad-value",
                    node.place,
                    format!("`{path}` is an empty list"),
                )
                .help("name at least one, or remove the key");
            self.findings.mark_broken(path);
        }
        for (index, value) in items.iter().enumerate() {
            if value.is_null() {
                self.findings
                    .error(
                        "wrong-type",
                        value.place,
                        format!("an item of `{path}` has no value"),
                    )
                    .help("remove the item or write its value");
                self.findings.mark_broken(path);
                continue;
            }
            self.value(value, item, &join(path, &index.to_string()), value.place);
            let text = value.text();
            if unique && text.is_some() && items[..index].iter().any(|o| o.text() == text) {
                let message = format!(
                    "{} is listed twice in `{path}`",
                    quoted(text.unwrap_or_default())
                );
                self.findings
                    .error("bad-value", value.place, message)
                    .help("keep one of them");
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, kind: &Kind, path: &str, help: Option<String>) {
        let subject = if path.is_empty() {
            "the file".to_owned()
        } else {
            format!("`{path}`")
        };
        let found = node.kind_word();
        let message = format!("{subject} must be {}, found {found}", kind.words());
        let help = help.or_else(|| {
            field_at(path).map(|f| format!("write it as in `{}: {}`", f.name, f.example))
        });
        self.findings
            .error("wrong-type", node.place, message)
            .maybe(help);
        self.findings.mark_broken(path);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn place_name(path: &str, object: &Object) -> String {
    match (path, object.name) {
        ("", "ruleFile") => "the rule file".to_owned(),
        ("", _) => "the spec".to_owned(),
        _ => format!("`{path}`"),
    }
}

/// Where else a key is known, for keys that stand at the wrong level.
fn elsewhere(key: &str) -> Option<String> {
    let places: Vec<String> = schema::objects()
        .into_iter()
        .filter(|(_, object)| object.field(key).is_some())
        .map(|(path, _)| {
            if path.is_empty() {
                "the top level".to_owned()
            } else {
                format!("`{path}`")
            }
        })
        .collect();
    (!places.is_empty()).then(|| places.join(" and "))
}

/// The field of the spec that a path leads to, for its example.
fn field_at(path: &str) -> Option<&'static Field> {
    let mut kind = &Kind::Object(&table::STACK);
    let mut found = None;
    for step in path.split('.') {
        match kind {
            Kind::Object(object) | Kind::Overlay(object) => {
                let field = object.field(step)?;
                found = Some(field);
                kind = &field.kind;
            }
            Kind::Map { value, .. } => {
                found = None;
                kind = value;
            }
            Kind::List { item, .. } => {
                found = None;
                kind = item;
            }
            _ => return None,
        }
    }
    found
}
