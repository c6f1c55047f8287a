//! From text to a condition, by recursive descent.

use regex::bytes::RegexBuilder;

use super::token::{Placed, Token, tokens};
use super::{
    DEEPEST, Expression, ExpressionError, Literal, MOST_FIELDS, Node, Order, PATTERN_SIZE,
};
use crate::agent_config::nearest;

/// Signs that may follow a field.
const COMPARISONS: [&str; 8] = ["==", "!=", "<", "<=", ">", ">=", "=~", "!~"];
/// Words of other languages, and what stands for them here.
const FOREIGN: [(&str, &str); 9] = [
    ("and", "&&"),
    ("or", "||"),
    ("not", "!"),
    ("eq", "=="),
    ("ne", "!="),
    ("is", "=="),
    ("matches", "=~"),
    ("like", "=~"),
    ("contains", "=~"),
];

/// Reads a condition.
pub fn parse(text: &str) -> Result<Expression, ExpressionError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        fields: Vec::new(),
    };
    if parser.peek().token == Token::End {
        return Err(parser.wrong(
            "there is no condition".to_owned(),
            Some("write one like event == \"hold.expired\"".to_owned()),
        ));
    }
    let root = parser.any(0)?;
    if parser.peek().token != Token::End {
        return Err(parser.behind());
    }
    Ok(Expression {
        root,
        fields: parser.fields,
    })
}

struct Parser {
    /// The last one is [`Token::End`], and is never passed.
    tokens: Vec<Placed>,
    at: usize,
    fields: Vec<String>,
}

impl Parser {
    fn peek(&self) -> &Placed {
        &self.tokens[self.at]
    }

    fn next(&mut self) -> Placed {
        let placed = self.peek().clone();
        if placed.token != Token::End {
            self.at += 1;
        }
        placed
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek().token, Token::Sign(found) if found == sign);
        if found {
            self.at += 1;
        }
        found
    }

    fn wrong(&self, message: String, help: Option<String>) -> ExpressionError {
        about(self.peek(), message, help)
    }

    /// What stands behind a whole condition and does not belong there.
    fn behind(&self) -> ExpressionError {
        let help = match &self.peek().token {
            Token::Word(word) => FOREIGN
                .iter()
                .find(|(foreign, _)| word.eq_ignore_ascii_case(foreign))
                .map(|(_, meant)| format!("did you mean `{meant}`?")),
            Token::Sign(")") => Some("there is no `(` that it would close".to_owned()),
            _ => None,
        };
        let help = help.or_else(|| Some("join conditions with && or ||".to_owned()));
        self.wrong(
            format!("{} does not go on a condition", shown(&self.peek().token)),
            help,
        )
    }

    fn any(&mut self, depth: u32) -> Result<Node, ExpressionError> {
        let mut node = self.all(depth)?;
        while self.sign("||") {
            node = Node::Or(Box::new(node), Box::new(self.all(depth)?));
        }
        Ok(node)
    }

    fn all(&mut self, depth: u32) -> Result<Node, ExpressionError> {
        let mut node = self.one(depth)?;
        while self.sign("&&") {
            node = Node::And(Box::new(node), Box::new(self.one(depth)?));
        }
        Ok(node)
    }

    fn one(&mut self, depth: u32) -> Result<Node, ExpressionError> {
        if depth >= DEEPEST {
            return Err(self.wrong(
                format!("more than {DEEPEST} brackets and `!` stand around this"),
                None,
            ));
        }
        if self.sign("!") {
            return Ok(Node::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.sign("(") {
            let open = self.at - 1;
            let node = self.any(depth + 1)?;
            if !self.sign(")") {
                if self.peek().token != Token::End {
                    return Err(self.behind());
                }
                return Err(about(
                    &self.tokens[open],
                    "the bracket is not closed".to_owned(),
                    Some("add `)`".to_owned()),
                ));
            }
            return Ok(node);
        }
        let placed = self.next();
        match placed.token.clone() {
            Token::Quoted(name) => self.condition(&placed, name),
            Token::Word(word) if matches!(self.peek().token, Token::Sign("(")) => {
                self.call(&placed, &word)
            }
            Token::Word(word) => self.condition(&placed, word),
            Token::Text(text) => Err(about(
                &placed,
                "a condition begins with a field, this is text".to_owned(),
                Some(format!(
                    "write the field first; if {text:?} is one, put it in backticks"
                )),
            )),
            other => Err(about(
                &placed,
                format!(
                    "a condition begins with a field, not with {}",
                    shown(&other)
                ),
                Some("write one like event == \"hold.expired\"".to_owned()),
            )),
        }
    }

    fn call(&mut self, placed: &Placed, word: &str) -> Result<Node, ExpressionError> {
        if word != "exists" {
            let help = if word.eq_ignore_ascii_case("not") {
                "did you mean `!`?".to_owned()
            } else if nearest(word, &["exists"]).is_some() {
                "did you mean `exists`?".to_owned()
            } else {
                "the only function is exists(field)".to_owned()
            };
            return Err(about(
                placed,
                format!("there is no function `{word}`"),
                Some(help),
            ));
        }
        self.at += 1; // the bracket
        let inner = self.next();
        let (Token::Word(name) | Token::Quoted(name)) = inner.token.clone() else {
            return Err(about(
                &inner,
                "exists() asks for a field".to_owned(),
                Some("write one like exists(booking.id)".to_owned()),
            ));
        };
        let field = self.field(&inner, name)?;
        if !self.sign(")") {
            return Err(self.wrong(
                format!(
                    "{} stands where `)` closes exists(",
                    shown(&self.peek().token)
                ),
                None,
            ));
        }
        Ok(Node::Exists(field))
    }

    /// The number of a field.
    fn field(&mut self, placed: &Placed, name: String) -> Result<usize, ExpressionError> {
        if let Some(index) = self.fields.iter().position(|known| *known == name) {
            return Ok(index);
        }
        if self.fields.len() == MOST_FIELDS {
            return Err(about(
                placed,
                format!("a condition may name {MOST_FIELDS} fields"),
                None,
            ));
        }
        self.fields.push(name);
        Ok(self.fields.len() - 1)
    }

    fn condition(&mut self, placed: &Placed, name: String) -> Result<Node, ExpressionError> {
        let field = self.field(placed, name.clone())?;
        let sign = self.next();
        match sign.token.clone() {
            Token::Sign("==") => Ok(Node::OneOf(field, vec![self.literal(false)?])),
            Token::Sign("!=") => Ok(Node::Differs(field, self.literal(false)?)),
            Token::Sign(sign @ ("<" | "<=" | ">" | ">=")) => {
                let order = match sign {
                    "<" => Order::Less,
                    "<=" => Order::AtMost,
                    ">" => Order::More,
                    _ => Order::AtLeast,
                };
                let value = self.next();
                match value.token {
                    Token::Number(limit) => Ok(Node::Order(field, order, limit)),
                    _ => Err(about(
                        &value,
                        format!("`{sign}` compares numbers, not {}", shown(&value.token)),
                        Some("write a number without quotes".to_owned()),
                    )),
                }
            }
            Token::Sign(sign @ ("=~" | "!~")) => self.pattern(field, sign == "=~"),
            Token::Word(word) if word == "in" => self.list(field),
            other => Err(about(&sign, not_a_comparison(&name, &other), {
                let meant = match &other {
                    Token::Word(word) => FOREIGN
                        .iter()
                        .find(|(foreign, _)| word.eq_ignore_ascii_case(foreign))
                        .map(|(_, meant)| format!("did you mean `{meant}`?")),
                    _ => None,
                };
                Some(meant.unwrap_or_else(|| {
                    format!(
                        "write {name} == true, exists({name}), or one of {} and in",
                        COMPARISONS.join(" ")
                    )
                }))
            })),
        }
    }

    fn pattern(&mut self, field: usize, wanted: bool) -> Result<Node, ExpressionError> {
        let placed = self.next();
        let Token::Text(pattern) = &placed.token else {
            return Err(about(
                &placed,
                format!("a pattern is text, not {}", shown(&placed.token)),
                Some("put it in quotes".to_owned()),
            ));
        };
        let build = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(PATTERN_SIZE)
                .build()
                .map_err(|error| {
                    let said = error.to_string();
                    let last = said.lines().last().unwrap_or_default();
                    let said = last.strip_prefix("error: ").unwrap_or(last);
                    about(&placed, format!("the pattern cannot be used: {said}"), None)
                })
        };
        // Alone first: `a)|(b` must not get around the anchors.
        build(pattern)?;
        let compiled = build(&format!("^(?s:{pattern})$"))?;
        Ok(Node::Fits(field, Box::new(compiled), wanted))
    }

    fn list(&mut self, field: usize) -> Result<Node, ExpressionError> {
        if !self.sign("[") {
            return Err(self.wrong(
                format!("`in` asks for a list, not {}", shown(&self.peek().token)),
                Some("write one like in [\"web\", \"mobile\"]".to_owned()),
            ));
        }
        let open = self.at - 1;
        let mut values = Vec::new();
        loop {
            if self.sign("]") {
                break;
            }
            if self.peek().token == Token::End {
                return Err(about(
                    &self.tokens[open],
                    "the list is not closed".to_owned(),
                    Some("add `]`".to_owned()),
                ));
            }
            values.push(self.literal(true)?);
            if !self.sign(",") && !matches!(self.peek().token, Token::Sign("]") | Token::End) {
                return Err(self.wrong(
                    format!(
                        "{} stands where `,` or `]` is expected",
                        shown(&self.peek().token)
                    ),
                    None,
                ));
            }
        }
        if values.is_empty() {
            return Err(about(
                &self.tokens[open],
                "nothing is in an empty list".to_owned(),
                Some("write the values, as in [\"web\", \"mobile\"]".to_owned()),
            ));
        }
        Ok(Node::OneOf(field, values))
    }

    fn literal(&mut self, in_list: bool) -> Result<Literal, ExpressionError> {
        let placed = self.next();
        match placed.token.clone() {
            Token::Text(text) => Ok(Literal::Text(text.into_bytes().into())),
            Token::Number(number) => Ok(Literal::Number(number)),
            Token::Word(word) if word == "true" => Ok(Literal::Bool(true)),
            Token::Word(word) if word == "false" => Ok(Literal::Bool(false)),
            Token::Word(word) if word == "null" => Err(about(
                &placed,
                "null is the same as not there".to_owned(),
                Some("write exists(field) or !exists(field)".to_owned()),
            )),
            Token::Word(word) | Token::Quoted(word) => Err(about(
                &placed,
                format!("`{word}` is not a value; two fields cannot be compared"),
                Some(format!("write \"{word}\" if it is text")),
            )),
            Token::Sign("[") if !in_list => Err(about(
                &placed,
                "a list is no value".to_owned(),
                Some("did you mean `in [`?".to_owned()),
            )),
            other => Err(about(
                &placed,
                format!("a value is missing; there is {}", shown(&other)),
                Some("write text in quotes, a number, true or false".to_owned()),
            )),
        }
    }
}

fn not_a_comparison(name: &str, found: &Token) -> String {
    match found {
        Token::End => format!("`{name}` alone is no condition"),
        Token::Sign("&&" | "||" | ")") => format!("`{name}` alone is no condition"),
        other => format!("{} does not compare `{name}` with anything", shown(other)),
    }
}

fn about(placed: &Placed, message: String, help: Option<String>) -> ExpressionError {
    ExpressionError {
        offset: placed.offset,
        length: placed.length,
        message,
        help,
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) | Token::Quoted(word) => format!("`{word}`"),
        Token::Text(text) => format!("the text {text:?}"),
        Token::Number(number) => format!("the number {number}"),
        Token::Sign(sign) => format!("`{sign}`"),
        Token::End => "nothing more".to_owned(),
    }
}
