//! The grammar of PromQL as far as needed to say where an expression goes wrong. Precedence and
//! types do not matter for that, so a chain of operands and operators is read flat.

use super::Issue;
use super::token::{Sort, Token, tokens};
use crate::spec::duration;

pub(super) const AGGREGATIONS: [&str; 14] = [
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];
const OPERATORS: [&str; 16] = [
    "+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "and", "or", "unless", "atan2",
];
/// Nesting that no person writes; the readers are recursive.
const MAX_DEPTH: usize = 60;
pub(super) const TOO_DEEP: &str = "the expression is nested too deep";

pub(super) enum Outcome {
    Fine,
    TooLong,
}

/// Reads the whole expression.
pub(super) fn check(expr: &str, max: usize) -> Result<Outcome, Issue> {
    let tokens = tokens(expr, max)?;
    if tokens.len() > max {
        return Ok(Outcome::TooLong);
    }
    let end = expr.trim_end().chars().count();
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        end,
        depth: 0,
    };
    reader.expression()?;
    match reader.peek() {
        None => Ok(Outcome::Fine),
        Some(token) => Err(reader.stray(token)),
    }
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    /// Characters of the expression.
    end: usize,
    depth: usize,
}

type Read = Result<(), Issue>;

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn is(&self, text: &str) -> bool {
        self.peek()
            .is_some_and(|t| t.sort != Sort::Quoted && t.text.eq_ignore_ascii_case(text))
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.is(text);
        if found {
            self.at += 1;
        }
        found
    }

    fn issue(token: Option<Token<'a>>, end: usize, message: String, help: Option<&str>) -> Issue {
        let (offset, length) = token.map_or((end, 1), |t| (t.offset, t.text.chars().count()));
        Issue {
            offset,
            length,
            message,
            help: help.map(str::to_owned),
            certain: true,
        }
    }

    fn expected(&self, what: &str) -> Issue {
        let token = self.peek();
        let found = match token {
            None => format!("the expression ends where {what} is expected"),
            Some(t) => format!("found `{}` where {what} is expected", short(t.text)),
        };
        Self::issue(token, self.end, found, None)
    }

    fn stray(&self, token: Token<'a>) -> Issue {
        let help = match token.text {
            "=" => Some("comparing is written =="),
            "=~" | "!~" => Some("matching labels is written inside braces: {label=~\"…\"}"),
            ")" | "]" | "}" => Some("it closes nothing that was opened"),
            _ => Some("an operator is missing before it"),
        };
        Self::issue(
            Some(token),
            self.end,
            format!("`{}` is not expected here", short(token.text)),
            help,
        )
    }

    fn expression(&mut self) -> Read {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Self::issue(
                self.peek(),
                self.end,
                TOO_DEEP.to_owned(),
                None,
            ));
        }
        self.operand()?;
        while let Some(token) = self.peek() {
            let is_operator = token.sort != Sort::Quoted
                && OPERATORS.iter().any(|o| token.text.eq_ignore_ascii_case(o));
            if !is_operator {
                break;
            }
            self.at += 1;
            self.matching()?;
            self.operand()?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// `bool`, `on (…)`, `group_left (…)`, `fill (…)` after an operator.
    fn matching(&mut self) -> Read {
        self.eat("bool");
        if self.eat("on") || self.eat("ignoring") {
            self.labels()?;
            if (self.eat("group_left") || self.eat("group_right")) && self.is("(") {
                self.labels()?;
            }
        }
        while self.eat("fill") || self.eat("fill_left") || self.eat("fill_right") {
            self.parenthesised()?;
        }
        Ok(())
    }

    fn labels(&mut self) -> Read {
        let open = self.peek();
        if !self.eat("(") {
            return Err(self.expected("`(` and label names"));
        }
        loop {
            if self.eat(")") {
                return Ok(());
            }
            match self.next() {
                Some(t) if matches!(t.sort, Sort::Word | Sort::Quoted) => {}
                None => return Err(self.unclosed(open)),
                Some(_) => {
                    self.at -= 1;
                    return Err(self.expected("a label name"));
                }
            }
            if !self.eat(",") && !self.is(")") {
                return Err(if self.peek().is_none() {
                    self.unclosed(open)
                } else {
                    self.expected("`,` or `)`")
                });
            }
        }
    }

    fn unclosed(&self, open: Option<Token<'a>>) -> Issue {
        let text = open.map_or("(", |t| t.text);
        Self::issue(open, self.end, format!("`{text}` is not closed"), None)
    }

    fn operand(&mut self) -> Read {
        while self.eat("-") || self.eat("+") {}
        let Some(token) = self.peek() else {
            return Err(self.expected("an operand"));
        };
        match (token.sort, token.text) {
            (Sort::Number, text) => {
                number(token, text, self.end)?;
                self.at += 1;
            }
            (Sort::Quoted, _) => self.at += 1,
            (Sort::Sign, "(") => self.parenthesised()?,
            (Sort::Sign, "{") => self.matchers()?,
            (Sort::Word, text) => self.named(text)?,
            _ => return Err(self.expected("an operand")),
        }
        self.postfix()
    }

    fn parenthesised(&mut self) -> Read {
        let open = self.next();
        if self.is(")") {
            return Err(self.expected("an expression"));
        }
        self.expression()?;
        self.close(open, ")")
    }

    fn close(&mut self, open: Option<Token<'a>>, close: &str) -> Read {
        if self.eat(close) {
            return Ok(());
        }
        match self.peek() {
            None => Err(self.unclosed(open)),
            Some(token) => Err(self.stray(token)),
        }
    }

    /// A metric, a function call or an aggregation.
    fn named(&mut self, name: &str) -> Read {
        self.at += 1;
        let aggregates = AGGREGATIONS.iter().any(|a| name.eq_ignore_ascii_case(a));
        if aggregates && (self.eat("by") || self.eat("without")) {
            self.labels()?;
            if !self.is("(") {
                return Err(self.expected("`(`"));
            }
            return self.arguments();
        }
        if self.is("(") {
            self.arguments()?;
            if aggregates && (self.eat("by") || self.eat("without")) {
                self.labels()?;
            }
            return Ok(());
        }
        if self.is("{") {
            return self.matchers();
        }
        Ok(())
    }

    fn arguments(&mut self) -> Read {
        let open = self.next();
        if self.eat(")") {
            return Ok(());
        }
        loop {
            if self.peek().is_none() {
                return Err(self.unclosed(open));
            }
            self.expression()?;
            if self.eat(",") {
                continue;
            }
            return self.close(open, ")");
        }
    }

    /// `{name="value", …}`
    fn matchers(&mut self) -> Read {
        let open = self.next();
        loop {
            if self.eat("}") {
                return Ok(());
            }
            match self.peek() {
                None => return Err(self.unclosed(open)),
                Some(t) if matches!(t.sort, Sort::Word | Sort::Quoted) => self.at += 1,
                Some(_) => return Err(self.expected("a label name")),
            }
            let named_by_quotes = self.is(",") || self.is("}");
            if !named_by_quotes {
                if !["=", "!=", "=~", "!~"].iter().any(|o| self.eat(o)) {
                    return Err(self.expected("`=`, `!=`, `=~` or `!~`"));
                }
                match self.peek() {
                    Some(t) if t.sort == Sort::Quoted => self.at += 1,
                    None => return Err(self.unclosed(open)),
                    Some(t) => {
                        let message =
                            format!("the value of a label needs quotes: \"{}\"", short(t.text));
                        return Err(Self::issue(Some(t), self.end, message, None));
                    }
                }
            }
            if !self.eat(",") && !self.is("}") {
                return Err(if self.peek().is_none() {
                    self.unclosed(open)
                } else {
                    self.expected("`,` or `}`")
                });
            }
        }
    }

    /// Ranges, subqueries, `offset`, `@`.
    fn postfix(&mut self) -> Read {
        loop {
            if self.is("[") {
                self.range()?;
            } else if self.eat("offset") {
                self.span("a duration")?;
            } else if self.eat("@") {
                self.span("a time, start() or end()")?;
            } else if !(self.eat("anchored") || self.eat("smoothed")) {
                return Ok(());
            }
        }
    }

    fn range(&mut self) -> Read {
        let open = self.next();
        if self.is("]") {
            let help = Some("write how far to look back, for example [5m]");
            return Err(Self::issue(
                open,
                self.end,
                "the range is empty".to_owned(),
                help,
            ));
        }
        self.time_expression()?;
        if self.eat(":") && !self.is("]") {
            self.time_expression()?;
        }
        self.close(open, "]")
    }

    /// Arithmetic on durations, as in `[5m * 2]`.
    fn time_expression(&mut self) -> Read {
        self.span("a duration")?;
        while ["+", "-", "*", "/", "%", "^"].iter().any(|o| self.is(o)) {
            self.at += 1;
            self.span("a duration")?;
        }
        Ok(())
    }

    fn span(&mut self, what: &str) -> Read {
        while self.eat("-") || self.eat("+") {}
        match self.peek() {
            Some(t) if t.sort == Sort::Number => {
                number(t, t.text, self.end)?;
                self.at += 1;
                Ok(())
            }
            Some(t) if t.text == "(" => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(Self::issue(Some(t), self.end, TOO_DEEP.to_owned(), None));
                }
                self.at += 1;
                self.time_expression()?;
                self.depth -= 1;
                self.close(Some(t), ")")
            }
            Some(t) if t.sort == Sort::Word => {
                self.at += 1;
                if self.is("(") {
                    self.arguments()
                } else {
                    Err(Self::issue(
                        Some(t),
                        self.end,
                        format!("`{}` is not {what}", short(t.text)),
                        None,
                    ))
                }
            }
            _ => Err(self.expected(what)),
        }
    }
}

/// A number (`1_000` and hexadecimal included) or a duration.
fn number(token: Token<'_>, text: &str, end: usize) -> Read {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let hex = plain.strip_prefix("0x").or(plain.strip_prefix("0X"));
    let good = hex.is_some_and(|h| !h.is_empty() && h.chars().all(|c| c.is_ascii_hexdigit()))
        || plain.parse::<f64>().is_ok()
        || duration::parse(text).is_some();
    if good {
        return Ok(());
    }
    let help = duration::guess(text).map(|meant| format!("write {meant}"));
    let message = format!("`{}` is neither a number nor a duration", short(text));
    let message = if help.is_some() {
        format!("`{}` is not a duration", short(text))
    } else {
        message
    };
    Err(Issue {
        help,
        ..Reader::issue(Some(token), end, message, None)
    })
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
