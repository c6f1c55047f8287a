//! KQL, as much of it as the sources use, as the query that Kibana makes of it. So what a panel asks
//! can be asked of Elasticsearch without a Kibana. Pure.
//!
//! ```text
//! search = any of: a and b, a or b, not a, (a)
//!          field : value      field : "text"      field : *      field : (a or b)
//!          field > 5          (also <, >=, <=)
//! ```
//! `and` binds tighter than `or`, `not` tighter than both, as in Kibana.

use serde_json::{Value, json};

const DEEPEST: u32 = 16;

/// The query; everything for an empty text.
pub fn query(text: &str) -> Result<Value, String> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(json!({ "match_all": {} }));
    }
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
    };
    let query = reader.any(DEEPEST)?;
    match reader.peek() {
        None => Ok(query),
        Some(token) => Err(format!("`{text}`: {token} is not expected there")),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Sign(sign) => write!(f, "`{sign}`"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const SIGNS: [&str; 7] = ["<=", ">=", "<", ">", ":", "(", ")"];
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            out.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first == '"' {
            let (inner, after) = rest[1..]
                .split_once('"')
                .ok_or_else(|| format!("`{text}`: a quote is not closed"))?;
            out.push(Token::Text(inner.to_owned()));
            rest = after;
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "<>:()\"".contains(c))
                .unwrap_or(rest.len());
            out.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(out)
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: u32) -> Result<Value, String> {
        let mut all = vec![self.every(depth)?];
        while self.is_word("or") {
            self.at += 1;
            all.push(self.every(depth)?);
        }
        Ok(should(all))
    }

    fn every(&mut self, depth: u32) -> Result<Value, String> {
        let mut all = vec![self.one(depth)?];
        while self.is_word("and") {
            self.at += 1;
            all.push(self.one(depth)?);
        }
        Ok(match all.len() {
            1 => all.remove(0),
            _ => json!({ "bool": { "filter": all } }),
        })
    }

    fn one(&mut self, depth: u32) -> Result<Value, String> {
        let depth = depth
            .checked_sub(1)
            .ok_or("it is nested too deeply".to_owned())?;
        if self.is_word("not") {
            self.at += 1;
            let inner = self.one(depth)?;
            return Ok(json!({ "bool": { "must_not": inner } }));
        }
        if self.take(&Token::Sign("(")) {
            let inner = self.any(depth)?;
            return self.closed(inner);
        }
        let Some(Token::Word(field)) = self.peek().cloned() else {
            return Err(self.expected("a field"));
        };
        self.at += 1;
        match self.peek() {
            Some(Token::Sign(":")) => {
                self.at += 1;
                self.value(&field, depth)
            }
            Some(Token::Sign(sign @ ("<" | "<=" | ">" | ">="))) => {
                let word = match *sign {
                    "<" => "lt",
                    "<=" => "lte",
                    ">" => "gt",
                    _ => "gte",
                };
                self.at += 1;
                let Some(Token::Word(value) | Token::Text(value)) = self.peek().cloned() else {
                    return Err(self.expected("a number"));
                };
                self.at += 1;
                Ok(json!({ "range": { field: { word: value } } }))
            }
            _ => Err(self.expected("`:` or a comparison")),
        }
    }

    fn value(&mut self, field: &str, depth: u32) -> Result<Value, String> {
        let depth = depth
            .checked_sub(1)
            .ok_or("it is nested too deeply".to_owned())?;
        match self.peek().cloned() {
            Some(Token::Sign("(")) => {
                self.at += 1;
                let mut all = vec![self.value(field, depth)?];
                while self.is_word("or") {
                    self.at += 1;
                    all.push(self.value(field, depth)?);
                }
                self.closed(should(all))
            }
            Some(Token::Word(word)) if word == "*" => {
                self.at += 1;
                Ok(json!({ "exists": { "field": field } }))
            }
            Some(Token::Word(word)) if word.contains('*') => {
                self.at += 1;
                Ok(json!({ "query_string": { "fields": [field], "query": word } }))
            }
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(json!({ "match": { field: word } }))
            }
            Some(Token::Text(text)) => {
                self.at += 1;
                Ok(json!({ "match_phrase": { field: text } }))
            }
            _ => Err(self.expected("a value")),
        }
    }

    fn closed(&mut self, inner: Value) -> Result<Value, String> {
        if self.take(&Token::Sign(")")) {
            Ok(inner)
        } else {
            Err(self.expected("`)`"))
        }
    }

    fn expected(&self, what: &str) -> String {
        match self.peek() {
            Some(token) => format!("{what} is expected where {token} stands"),
            None => format!("{what} is expected at its end"),
        }
    }
}

fn should(mut all: Vec<Value>) -> Value {
    match all.len() {
        1 => all.remove(0),
        _ => json!({ "bool": { "should": all, "minimum_should_match": 1 } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_become_queries() {
        for (text, expected) in [
            ("", json!({ "match_all": {} })),
            ("a.b : *", json!({ "exists": { "field": "a.b" } })),
            (
                "a : x and not b : \"y z\"",
                json!({ "bool": { "filter": [
                    { "match": { "a": "x" } },
                    { "bool": { "must_not": { "match_phrase": { "b": "y z" } } } },
                ] } }),
            ),
            (
                "a:(x or y) or n >= 5",
                json!({ "bool": { "minimum_should_match": 1, "should": [
                    { "bool": { "minimum_should_match": 1, "should": [
                        { "match": { "a": "x" } }, { "match": { "a": "y" } } ] } },
                    { "range": { "n": { "gte": "5" } } },
                ] } }),
            ),
            (
                "(a : x* )",
                json!({ "query_string": { "fields": ["a"], "query": "x*" } }),
            ),
        ] {
            assert_eq!(query(text), Ok(expected), "{text}");
        }
        for wrong in [
            "a",
            "a :",
            "a : (x",
            ": x",
            "a : \"x",
            "a > ",
            "a : x b : y",
            "not",
        ] {
            assert!(query(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}", near in "[ab:()<>=*\" andornt]{0,60}") {
            let _ = (query(&text), query(&near), query(&"(".repeat(10_000)));
        }
    }
}
