//! Lines that are not JSON become JSON objects, one file a form. What a form finds goes by ECS names;
//! what it does not fit is left to be plain text, counted.

use regex::bytes::Regex;

use super::json;

pub mod access;
pub mod container;
pub mod logfmt;
pub mod syslog;

/// Appends members to an object under construction, each name once.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Object<'a> {
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(b'{');
        Self { out, start }
    }

    pub fn end(self) {
        self.out.push(b'}');
    }

    /// Takes back what was written.
    pub fn cancel(self) {
        self.out.truncate(self.start);
    }

    pub fn is_empty(&self) -> bool {
        self.out.len() == self.start + 1
    }

    /// Bytes that are no UTF-8 must not come here: lines are repaired before they are parsed.
    pub fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name.as_bytes());
        self.out.push(b'"');
        json::escape_into(self.out, value);
        self.out.push(b'"');
    }

    /// A value that is written as it is: a number, `true`, or JSON that was checked.
    pub fn raw(&mut self, name: &str, value: &[u8]) {
        self.name(name.as_bytes());
        self.out.extend_from_slice(value);
    }

    /// As a number if it is one that JSON can write, else not at all.
    pub fn number(&mut self, name: &str, value: &[u8]) {
        if json::is_number(value) {
            self.raw(name, value);
        }
    }

    pub fn name(&mut self, name: &[u8]) {
        if !self.is_empty() {
            self.out.push(b',');
        }
        self.out.push(b'"');
        json::escape_into(self.out, name);
        self.out.extend_from_slice(b"\":");
    }

    pub fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }
}

/// The named groups of an expression as an object; false, and nothing appended, if it does not
/// match. Groups take the names of fields, dots and all: `(?<http.request.method>[A-Z]+)`.
pub fn by_expression(expression: &Regex, text: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(captures) = expression.captures(text) else {
        return false;
    };
    let mut object = Object::begin(out);
    object.text("message", text);
    for name in expression.capture_names().flatten() {
        if name == "message" {
            continue;
        }
        if let Some(group) = captures.name(name) {
            object.text(name, group.as_bytes());
        }
    }
    object.end();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_groups_become_fields() {
        let expression =
            Regex::new(r"^(?<level>\w+) (?<http.request.method>[A-Z]+)( (?<x>.*))?").unwrap();
        let mut out = Vec::new();
        assert!(by_expression(&expression, b"WARN GET", &mut out));
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            r#"{"message":"WARN GET","level":"WARN","http.request.method":"GET"}"#
        );
        out.clear();
        assert!(!by_expression(&expression, b"-", &mut out));
        assert!(out.is_empty());
    }
}
