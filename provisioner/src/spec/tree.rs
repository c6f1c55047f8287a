//! A YAML document as a tree in which every value and every key knows its place. Overlays and
//! includes merge on this tree, so that an error in the result still points at the file it is in.

use super::source::Place;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub key_place: Place,
    pub value: Node,
}

/// A scalar keeps its text, so that `3.10` stays `3.10` and a message can quote what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    pub text: String,
    pub style: Style,
    pub sort: Sort,
}

/// How a scalar is written; needed to find a position inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Quoted,
    Literal,
    Folded,
}

/// What a scalar is by the YAML 1.2 core schema: `yes` and `off` are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Null,
    Bool,
    Int,
    Float,
    Text,
}

impl Sort {
    /// Of a plain scalar.
    pub fn of_plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Self::Bool,
            ".nan" | ".NaN" | ".NAN" => Self::Float,
            _ => Self::of_number(text),
        }
    }

    fn of_number(text: &str) -> Self {
        let digits = |t: &str, radix| !t.is_empty() && t.chars().all(|c| c.is_digit(radix));
        if text.strip_prefix("0o").is_some_and(|t| digits(t, 8))
            || text.strip_prefix("0x").is_some_and(|t| digits(t, 16))
        {
            return Self::Int;
        }
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits(unsigned, 10) {
            return Self::Int;
        }
        if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
            return Self::Float;
        }
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((m, e)) => (m, Some(e.strip_prefix(['+', '-']).unwrap_or(e))),
            None => (unsigned, None),
        };
        if exponent.is_some_and(|e| !digits(e, 10)) {
            return Self::Text;
        }
        let is_float = match mantissa.split_once('.') {
            Some((whole, part)) => {
                (digits(whole, 10) && (part.is_empty() || digits(part, 10)))
                    || (whole.is_empty() && digits(part, 10))
            }
            None => digits(mantissa, 10) && exponent.is_some(),
        };
        if is_float { Self::Float } else { Self::Text }
    }
}

impl Node {
    /// An absent value at a place.
    pub fn null(place: Place) -> Self {
        let value = Value::Scalar(Scalar {
            text: String::new(),
            style: Style::Plain,
            sort: Sort::Null,
        });
        Self { place, value }
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(s) if s.sort == Sort::Null)
    }

    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar, whatever its sort; not of null.
    pub fn text(&self) -> Option<&str> {
        self.scalar()
            .filter(|s| s.sort != Sort::Null)
            .map(|s| s.text.as_str())
    }

    /// As a key of a map: `null` and `1` are keys like any other.
    pub fn text_of_key(&self) -> String {
        self.scalar().map(|s| s.text.clone()).unwrap_or_default()
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|e| e.key == key)
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// Follows keys, and list positions written as numbers.
    pub fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| match &node.value {
            Value::Map(_) => node.get(step),
            Value::List(items) => items.get(step.parse::<usize>().ok()?),
            Value::Scalar(_) => None,
        })
    }

    /// The place of the deepest part of `path` that exists: the value itself, else the key of the
    /// last map on the way.
    pub fn nearest_place(&self, path: &[&str]) -> Place {
        let mut place = self.place;
        let mut node = self;
        for (depth, step) in path.iter().enumerate() {
            let next = match &node.value {
                Value::Map(_) => node.entry(step).map(|e| (e.key_place, &e.value)),
                Value::List(items) => step
                    .parse::<usize>()
                    .ok()
                    .and_then(|i| items.get(i))
                    .map(|item| (item.place, item)),
                Value::Scalar(_) => None,
            };
            let Some((key_place, value)) = next else {
                break;
            };
            let last = depth + 1 == path.len();
            let is_scalar = matches!(value.value, Value::Scalar(_)) && !value.is_null();
            place = if last && is_scalar {
                value.place
            } else {
                key_place
            };
            node = value;
        }
        place
    }

    /// How many values the tree holds; bounds what aliases may copy.
    pub fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|e| e.value.size()).sum(),
        }
    }

    /// What it is, in a word for messages.
    pub fn kind_word(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar(scalar) => match scalar.sort {
                Sort::Null => "nothing",
                Sort::Bool => "true or false",
                Sort::Int => "a whole number",
                Sort::Float => "a number",
                Sort::Text => "a string",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_sorted_by_the_core_schema() {
        for text in ["", "~", "null"] {
            assert_eq!(Sort::of_plain(text), Sort::Null, "{text}");
        }
        for text in ["0", "-12", "012", "0o17", "0xfF"] {
            assert_eq!(Sort::of_plain(text), Sort::Int, "{text}");
        }
        for text in [
            "1.", "1.5", ".5", "-1e3", "6.02E+23", ".inf", "-.INF", ".nan",
        ] {
            assert_eq!(Sort::of_plain(text), Sort::Float, "{text}");
        }
        for text in [
            "yes", "off", "15s", "1.2.3", ".", "e5", "1e", "0x", "--1", "+",
        ] {
            assert_eq!(Sort::of_plain(text), Sort::Text, "{text}");
        }
        assert_eq!(Sort::of_plain("True"), Sort::Bool);
    }
}
