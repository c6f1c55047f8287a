//! The conditions of business rules, such as `event == "hold.expired" && amount >= 100000`: read
//! once, then asked of every log line, span or series without building anything.
//!
//! ```text
//! condition  = any of: `a && b`, `a || b`, `!a`, `(a)`
//!              field == value, field != value       text, number, true, false
//!              field < number (also <=, >, >=)
//!              field in [value, …]
//!              field =~ "pattern", field !~ "…"     the whole text must fit, as in Prometheus
//!              exists(field)
//! field      = event.action, log.level, `any name` in backticks
//! value      = "text" or 'text' (escapes \\ \" \' \n \t \r), 12, -0.5, 1e3, true, false
//! ```
//! `&&` binds tighter than `||`. A field that is not there fits no comparison, not even `!=`; a
//! `!` before a comparison turns that around. A number without quotes is compared as a number,
//! also with a text that is one (`"200"`); a value in quotes is compared as text, also with a
//! number. `null` counts as not there, an object or a list only exists.

use std::fmt;

use regex::bytes::Regex;

mod parse;
mod token;

pub use parse::parse;

/// Levels of brackets and `!`; more is only a way to exhaust a stack.
const DEEPEST: u32 = 64;
/// Fields of one condition.
const MOST_FIELDS: usize = 64;
/// Bytes of a compiled pattern.
const PATTERN_SIZE: usize = 1 << 18;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// Without quotes and escapes.
    Text(&'a [u8]),
    /// As it is written.
    Number(&'a [u8]),
    Bool(bool),
    /// An object or a list.
    Other,
}

impl<'a> Scalar<'a> {
    /// As text; an object has none.
    pub fn text(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(bytes) | Self::Number(bytes) => Some(bytes),
            Self::Bool(true) => Some(b"true"),
            Self::Bool(false) => Some(b"false"),
            Self::Other => None,
        }
    }

    /// As a number, if it is one.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Text(bytes) | Self::Number(bytes) => number(bytes),
            Self::Bool(_) | Self::Other => None,
        }
    }
}

/// A finite decimal number and nothing else; never `inf` or `nan`, which Rust would read too.
pub fn number(bytes: &[u8]) -> Option<f64> {
    if !bytes
        .iter()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
    {
        return None;
    }
    let value: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// A condition that was read.
#[derive(Debug, Clone)]
pub struct Expression {
    root: Node,
    fields: Vec<String>,
}

#[derive(Debug, Clone)]
enum Node {
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Exists(usize),
    /// The value is one of these; more than one only with `in`.
    OneOf(usize, Vec<Literal>),
    Differs(usize, Literal),
    Order(usize, Order, f64),
    /// Whether it shall fit.
    Fits(usize, Box<Regex>, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(Box<[u8]>),
    Number(f64),
    Bool(bool),
}

impl Literal {
    fn equals(&self, value: Scalar<'_>) -> bool {
        match self {
            Self::Text(text) => value.text() == Some(text),
            Self::Number(wanted) => value.number() == Some(*wanted),
            Self::Bool(wanted) => match value {
                Scalar::Bool(given) => given == *wanted,
                Scalar::Text(text) => text == if *wanted { &b"true"[..] } else { b"false" },
                Scalar::Number(_) | Scalar::Other => false,
            },
        }
    }
}

impl Expression {
    /// Names of its fields; [`Self::holds`] asks for them by their places in this list.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Whether the condition holds, given what each field holds; `None` for one that is not there.
    pub fn holds<'a>(&self, get: &impl Fn(usize) -> Option<Scalar<'a>>) -> bool {
        holds(&self.root, get)
    }

    /// What must be so for it to hold, as far as that can be said of single fields: the field is
    /// there, and with a text, is that. For whoever looks for documents before it is asked of each.
    pub fn required(&self) -> Vec<(&str, Option<&str>)> {
        let mut found = Vec::new();
        required(&self.root, &mut found);
        found
            .into_iter()
            .filter_map(|(field, text)| Some((self.fields.get(field)?.as_str(), text)))
            .collect()
    }

    /// Gives its fields other numbers: `to` says which for each place in [`Self::fields`].
    #[must_use]
    pub fn renumbered(mut self, to: impl Fn(usize) -> usize) -> Self {
        renumber(&mut self.root, &to);
        self
    }
}

fn holds<'a>(node: &Node, get: &impl Fn(usize) -> Option<Scalar<'a>>) -> bool {
    match node {
        Node::And(a, b) => holds(a, get) && holds(b, get),
        Node::Or(a, b) => holds(a, get) || holds(b, get),
        Node::Not(inner) => !holds(inner, get),
        Node::Exists(field) => get(*field).is_some(),
        Node::OneOf(field, wanted) => {
            get(*field).is_some_and(|value| wanted.iter().any(|literal| literal.equals(value)))
        }
        Node::Differs(field, unwanted) => get(*field).is_some_and(|value| !unwanted.equals(value)),
        Node::Order(field, order, limit) => {
            get(*field)
                .and_then(Scalar::number)
                .is_some_and(|value| match order {
                    Order::Less => value < *limit,
                    Order::AtMost => value <= *limit,
                    Order::More => value > *limit,
                    Order::AtLeast => value >= *limit,
                })
        }
        Node::Fits(field, pattern, wanted) => get(*field)
            .and_then(Scalar::text)
            .is_some_and(|text| pattern.is_match(text) == *wanted),
    }
}

fn required<'a>(node: &'a Node, found: &mut Vec<(usize, Option<&'a str>)>) {
    match node {
        Node::And(a, b) => {
            required(a, found);
            required(b, found);
        }
        // One of two, or its contrary: nothing can be said.
        Node::Or(..) | Node::Not(_) => {}
        Node::OneOf(field, wanted) => {
            let text = match wanted.as_slice() {
                [Literal::Text(text)] => std::str::from_utf8(text).ok(),
                _ => None,
            };
            // An analysed text has no words in an empty one.
            found.push((*field, text.filter(|text| !text.trim().is_empty())));
        }
        Node::Exists(field)
        | Node::Differs(field, _)
        | Node::Order(field, _, _)
        | Node::Fits(field, _, _) => found.push((*field, None)),
    }
}

fn renumber(node: &mut Node, to: &impl Fn(usize) -> usize) {
    match node {
        Node::And(a, b) | Node::Or(a, b) => {
            renumber(a, to);
            renumber(b, to);
        }
        Node::Not(inner) => renumber(inner, to),
        Node::Exists(field)
        | Node::OneOf(field, _)
        | Node::Differs(field, _)
        | Node::Order(field, _, _)
        | Node::Fits(field, _, _) => *field = to(*field),
    }
}

/// What is wrong with a condition, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// Byte at which it begins.
    pub offset: usize,
    /// Bytes that it is about; 0 at the end.
    pub length: usize,
    pub message: String,
    /// What would be right, where that can be said.
    pub help: Option<String>,
}

impl ExpressionError {
    /// Its column in the text, counted in characters from 1.
    pub fn column(&self, text: &str) -> usize {
        text.get(..self.offset)
            .map_or(self.offset, |before| before.chars().count())
            + 1
    }

    /// In one line: `column 7: …; …`.
    pub fn shown(&self, text: &str) -> String {
        let help = self
            .help
            .as_ref()
            .map_or_else(String::new, |help| format!("; {help}"));
        format!("column {}: {}{help}", self.column(text), self.message)
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for ExpressionError {}

#[cfg(test)]
mod tests;
