//! PromQL text as tokens with positions.

use super::Issue;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Metric, label, function or keyword.
    Word,
    /// Starts with a digit: `5`, `1e3`, `0x1f`, `1h30m`, and mistakes such as `5min`.
    Number,
    Quoted,
    Sign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub sort: Sort,
    pub text: &'a str,
    /// In characters.
    pub offset: usize,
}

/// Splits an expression, at most `max` tokens and one.
pub(super) fn tokens(expr: &str, max: usize) -> Result<Vec<Token<'_>>, Issue> {
    let mut found = Vec::new();
    let mut rest = expr;
    let mut offset = 0;
    // inside brackets a colon separates range and step, elsewhere it is part of a name
    let mut brackets = 0_usize;
    while let Some(first) = rest.chars().next() {
        if found.len() > max {
            break;
        }
        let length = match first {
            c if c.is_whitespace() => {
                rest = &rest[c.len_utf8()..];
                offset += 1;
                continue;
            }
            '#' => {
                let end = rest.find('\n').unwrap_or(rest.len());
                offset += rest[..end].chars().count();
                rest = &rest[end..];
                continue;
            }
            '"' | '\'' | '`' => quoted(rest, first, offset)?,
            c if is_word_start(c) || (c == ':' && brackets == 0) => rest
                .find(|c: char| {
                    !(is_word_start(c) || c.is_ascii_digit() || c == ':' && brackets == 0)
                })
                .unwrap_or(rest.len()),
            c if c.is_ascii_digit() || starts_fraction(rest) => number(rest),
            _ => sign(rest, offset)?,
        };
        let (text, after) = rest.split_at(length);
        match text {
            "[" => brackets += 1,
            "]" => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        let sort = match first {
            '"' | '\'' | '`' => Sort::Quoted,
            c if is_word_start(c) || (c == ':' && length > 1) => Sort::Word,
            c if c.is_ascii_digit() || starts_fraction(rest) => Sort::Number,
            _ => Sort::Sign,
        };
        found.push(Token { sort, text, offset });
        offset += text.chars().count();
        rest = after;
    }
    Ok(found)
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn starts_fraction(rest: &str) -> bool {
    let mut chars = rest.chars();
    chars.next() == Some('.') && chars.next().is_some_and(|c| c.is_ascii_digit())
}

/// Digits, letters, dots, and the sign of an exponent.
fn number(rest: &str) -> usize {
    let mut before = ' ';
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    for (at, c) in rest.char_indices() {
        let exponent = !hex && matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent) {
            return at;
        }
        before = c;
    }
    rest.len()
}

fn quoted(rest: &str, quote: char, offset: usize) -> Result<usize, Issue> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            '\n' if quote != '`' => break,
            c if c == quote => return Ok(at + 1),
            _ => {}
        }
    }
    Err(Issue {
        offset,
        length: 1,
        message: format!("the quote {quote} is not closed"),
        help: None,
        certain: true,
    })
}

fn sign(rest: &str, offset: usize) -> Result<usize, Issue> {
    const TWO: [&str; 6] = ["==", "!=", "=~", "!~", "<=", ">="];
    if TWO.iter().any(|two| rest.starts_with(two)) {
        return Ok(2);
    }
    let first = rest.chars().next().unwrap_or(' ');
    if "+-*/%^=<>(){}[],:@".contains(first) {
        return Ok(1);
    }
    let help = match first {
        '&' => Some("write `and`".to_owned()),
        '|' => Some("write `or`".to_owned()),
        '!' => Some("write `!=` or `!~`, or `unless`".to_owned()),
        '$' => {
            Some("variables such as $labels belong to annotations, not to expressions".to_owned())
        }
        _ => None,
    };
    let shown: String = if first.is_control() {
        first.escape_default().collect()
    } else {
        first.to_string()
    };
    let message = format!("`{shown}` has no meaning in PromQL");
    Err(Issue {
        offset,
        length: 1,
        message,
        help,
        certain: true,
    })
}
