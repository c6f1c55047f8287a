//! Reading values out of a checked tree: what is given, else the table's default. A value that the
//! checker refused reads as its default, so that the rest can be resolved and checked; the spec is
//! refused in any case.

use std::collections::BTreeMap;
use std::time::Duration;

use super::diagnostic::Findings;
use super::duration;
use super::parse;
use super::schema::{Kind, Object};
use super::source::Sources;
use super::tree::{Node, Sort};

/// One map of the tree and its row of the table.
#[derive(Clone, Copy)]
pub struct View<'a> {
    node: Option<&'a Node>,
    object: &'static Object,
}

impl<'a> View<'a> {
    pub fn new(node: Option<&'a Node>, object: &'static Object) -> Self {
        Self { node, object }
    }

    /// The map below a key; empty when absent.
    pub fn child(self, key: &str) -> Self {
        match self.object.field(key).map(|f| &f.kind) {
            Some(Kind::Object(object)) => Self {
                node: self.given(key),
                object,
            },
            _ => Self { node: None, ..self },
        }
    }

    /// The entries of a map with free keys, each as a view where the values are maps.
    pub fn children(self, key: &str) -> Vec<(&'a str, Self)> {
        let Some(Kind::Map {
            value: Kind::Object(object),
            ..
        }) = self.object.field(key).map(|f| &f.kind)
        else {
            return Vec::new();
        };
        let entries = self.given(key).map(Node::entries).unwrap_or_default();
        entries
            .iter()
            .map(|e| {
                (
                    e.key.as_str(),
                    Self {
                        node: Some(&e.value),
                        object,
                    },
                )
            })
            .collect()
    }

    /// The value as written, not null.
    pub fn given(self, key: &str) -> Option<&'a Node> {
        self.node.and_then(|n| n.get(key)).filter(|n| !n.is_null())
    }

    pub fn text(self, key: &str) -> Option<String> {
        self.valued(key, |node| {
            let scalar = node.scalar()?;
            (scalar.sort == Sort::Text).then(|| scalar.text.clone())
        })
    }

    pub fn boolean(self, key: &str) -> bool {
        self.valued(key, |node| {
            let scalar = node.scalar().filter(|s| s.sort == Sort::Bool)?;
            Some(scalar.text.eq_ignore_ascii_case("true"))
        })
        .unwrap_or(false)
    }

    /// Within the bounds that the schema gives; 0 when absent.
    pub fn integer(self, key: &str) -> u32 {
        self.valued(key, |node| node.text()?.parse().ok())
            .unwrap_or(0)
    }

    pub fn number(self, key: &str) -> f64 {
        self.valued(key, |node| node.text()?.parse().ok())
            .unwrap_or(0.0)
    }

    pub fn port(self, key: &str) -> u16 {
        self.valued(key, |node| node.text()?.parse().ok())
            .unwrap_or(0)
    }

    pub fn duration(self, key: &str) -> Duration {
        self.optional_duration(key).unwrap_or_default()
    }

    pub fn optional_duration(self, key: &str) -> Option<Duration> {
        self.valued(key, |node| duration::parse(node.text()?))
    }

    pub fn texts(self, key: &str) -> Vec<String> {
        let read = |node: &Node| {
            matches!(node.value, super::tree::Value::List(_)).then(|| {
                node.items()
                    .iter()
                    .filter_map(|i| i.text().map(str::to_owned))
                    .collect()
            })
        };
        self.valued(key, read).unwrap_or_default()
    }

    pub fn text_map(self, key: &str) -> BTreeMap<String, String> {
        let entries = self.given(key).map(Node::entries).unwrap_or_default();
        entries
            .iter()
            .map(|e| (e.key.clone(), e.value.text().unwrap_or_default().to_owned()))
            .collect()
    }

    /// Reads what is given; when that is absent or does not read, the default.
    fn valued<T>(self, key: &str, read: impl Fn(&Node) -> Option<T>) -> Option<T> {
        self.given(key).and_then(&read).or_else(|| {
            let default = self.object.field(key)?.default?;
            let file = Sources::default().add(std::path::Path::new("default"), default);
            parse::parse(file, "default", default, &mut Findings::default())
                .as_ref()
                .and_then(read)
        })
    }
}
