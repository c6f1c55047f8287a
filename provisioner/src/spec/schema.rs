//! The shape of a spec as data: one table says which keys there are, what they hold, what they
//! default to and how they read. The checker, the JSON Schema and the reference document all follow
//! it, so that they cannot disagree.

pub mod rule_file;
pub mod table;

use super::format::Format;

/// What a value must be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Object(&'static Object),
    /// The same keys as the whole spec, to be merged over it: an environment.
    Overlay(&'static Object),
    /// Free keys.
    Map {
        key: Format,
        value: &'static Kind,
    },
    List {
        item: &'static Kind,
        unique: bool,
        min: usize,
    },
    Text(Format),
    /// Any scalar as text, as Prometheus reads its own files.
    Scalar,
    Bool,
    Integer {
        min: i64,
        max: i64,
    },
    /// From `min` to `max`, fractions included.
    Number {
        min: f64,
        max: f64,
    },
    Duration {
        zero: bool,
    },
    Enum {
        values: &'static [&'static str],
        reserved: &'static [&'static str],
    },
    /// `{ env: NAME }` or `{ file: PATH }`.
    Secret,
}

/// A map with known keys.
#[derive(Debug)]
pub struct Object {
    /// Name among the JSON Schema's definitions; unique.
    pub name: &'static str,
    pub doc: &'static str,
    pub fields: &'static [Field],
    /// Keys of `observe.kai/v1` that this build does not implement: refused as such, not as
    /// misspelt.
    pub reserved: &'static [&'static str],
}

/// One key.
#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    /// YAML of the value that stands when the key is absent.
    pub default: Option<&'static str>,
    pub doc: &'static str,
    /// YAML of a value.
    pub example: &'static str,
}

impl Field {
    const fn new(name: &'static str, kind: Kind, example: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            required: false,
            default: None,
            doc,
            example,
        }
    }

    const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    const fn default(self, yaml: &'static str) -> Self {
        Self {
            default: Some(yaml),
            ..self
        }
    }
}

impl Object {
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// Does one of its own keys hold a secret? Then an unknown key beside it may as well.
    pub fn holds_secrets(&self) -> bool {
        self.fields.iter().any(|f| matches!(f.kind, Kind::Secret))
    }
}

impl Kind {
    /// What is expected, in words.
    pub fn words(&self) -> String {
        match self {
            Self::Object(_) | Self::Overlay(_) | Self::Map { .. } => "a map".to_owned(),
            Self::List { .. } => "a list".to_owned(),
            Self::Text(_) | Self::Scalar => "a string".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Integer { min, max } if *min == i64::MIN || *max == i64::MAX => {
                "a whole number".to_owned()
            }
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Duration { .. } => "a duration such as 15s or 1h30m".to_owned(),
            Self::Enum { values, .. } => match values {
                [only] => format!("`{only}`"),
                _ => format!("one of {}", list(values)),
            },
            Self::Secret => "a reference to a secret".to_owned(),
        }
    }
}

/// `a`, `b`, `c`.
pub fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Every object of the spec with the path at which it stands first, the whole spec first.
pub fn objects() -> Vec<(String, &'static Object)> {
    fn visit(path: &str, kind: &Kind, found: &mut Vec<(String, &'static Object)>) {
        match kind {
            Kind::Object(object) => {
                if found.iter().any(|(_, o)| o.name == object.name) {
                    return;
                }
                found.push((path.to_owned(), object));
                for field in object.fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    visit(&format!("{path}{dot}{}", field.name), &field.kind, found);
                }
            }
            Kind::Map { value, .. } => visit(&format!("{path}.<name>"), value, found),
            Kind::List { item, .. } => visit(&format!("{path}[]"), item, found),
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit("", &Kind::Object(&table::STACK), &mut found);
    found
}
