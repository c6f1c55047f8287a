//! Go's `regexp.Expand`: `$1`, `$name`, `${name}`, `$$`; what is none of them stands for itself.

use std::borrow::Cow;

use regex::Regex;

/// A replacement, its variables resolved to groups.
#[derive(Debug)]
pub(super) struct Template {
    text: String,
    parts: Vec<Part>,
    constant: bool,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Group(usize),
}

impl Template {
    /// `regex` of `None` stands for `(.*)`.
    pub fn new(text: &str, regex: Option<&Regex>) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                literal.push('$');
                rest = after;
            } else if let Some((name, after)) = variable(rest) {
                rest = after;
                // A group that is not there is empty.
                if let Some(group) = group(name, regex) {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Group(group));
                }
            } else {
                literal.push('$');
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Self {
            text: text.to_owned(),
            constant: !text.contains('$'),
            parts,
        }
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_constant(&self) -> bool {
        self.constant
    }

    pub fn expand<'t>(&self, group: &dyn Fn(usize) -> &'t str) -> Cow<'static, str> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(number) => out.push_str(group(*number)),
            }
        }
        out.into()
    }
}

/// The longest name after a `$`, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let (text, brace) = text
        .strip_prefix('{')
        .map_or((text, false), |inner| (inner, true));
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = if brace { rest.strip_prefix('}')? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}

fn group(name: &str, regex: Option<&Regex>) -> Option<usize> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let groups = regex.map_or(2, Regex::captures_len);
    if is_number && (name == "0" || !name.starts_with('0')) {
        return name.parse().ok().filter(|number| *number < groups);
    }
    let position = |regex: &Regex| regex.capture_names().position(|known| known == Some(name));
    regex.and_then(position)
}
