//! Words and signs of a condition, each with its place.

use super::ExpressionError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A field, or a word of the language.
    Word(String),
    /// A field in backticks.
    Quoted(String),
    Text(String),
    Number(f64),
    /// One of [`SIGNS`].
    Sign(&'static str),
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub token: Token,
    pub offset: usize,
    pub length: usize,
}

/// The longer ones first.
const SIGNS: [&str; 15] = [
    "==", "!=", "<=", ">=", "=~", "!~", "&&", "||", "<", ">", "!", "(", ")", "[", "]",
];

/// Signs of other languages, and what stands for them here.
const FOREIGN: [(&str, &str); 6] = [
    ("===", "=="),
    ("<>", "!="),
    ("~=", "=~"),
    ("=", "=="),
    ("&", "&&"),
    ("|", "||"),
];

fn begins_word(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '@'
}

fn goes_on(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '-' | '.' | '/')
}

pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, ExpressionError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, length) = one(text, at, first)?;
        out.push(Placed {
            token,
            offset: at,
            length,
        });
        at += length;
    }
    out.push(Placed {
        token: Token::End,
        offset: text.len(),
        length: 0,
    });
    Ok(out)
}

fn wrong(offset: usize, length: usize, message: String, help: Option<String>) -> ExpressionError {
    ExpressionError {
        offset,
        length,
        message,
        help,
    }
}

fn one(text: &str, at: usize, first: char) -> Result<(Token, usize), ExpressionError> {
    let rest = &text[at..];
    if first == ',' {
        return Ok((Token::Sign(","), 1));
    }
    if rest.starts_with("===") {
        return Err(foreign(at, "===", "=="));
    }
    if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
        if rest.starts_with("<>") {
            return Err(foreign(at, "<>", "!="));
        }
        return Ok((Token::Sign(sign), sign.len()));
    }
    if let Some((sign, meant)) = FOREIGN.into_iter().find(|(sign, _)| rest.starts_with(sign)) {
        return Err(foreign(at, sign, meant));
    }
    match first {
        '"' | '\'' => string(rest, at, first),
        '`' => {
            let end = rest[1..].find('`').ok_or_else(|| {
                let message = "the backtick is not closed".to_owned();
                wrong(
                    at,
                    rest.len(),
                    message,
                    Some("add ` behind the field".to_owned()),
                )
            })?;
            if end == 0 {
                let message = "a field without a name".to_owned();
                return Err(wrong(at, 2, message, None));
            }
            Ok((Token::Quoted(rest[1..=end].to_owned()), end + 2))
        }
        c if begins_word(c) => {
            let length = rest.find(|c| !goes_on(c)).unwrap_or(rest.len());
            word(&rest[..length], at)
        }
        c if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => {
            let length = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_')))
                .unwrap_or(rest.len());
            let word = &rest[..length];
            let value = super::number(word.as_bytes()).ok_or_else(|| {
                let help = "write one like 12, -0.5 or 1e3, or text in quotes";
                wrong(
                    at,
                    length,
                    format!("`{word}` is not a number"),
                    Some(help.to_owned()),
                )
            })?;
            Ok((Token::Number(value), length))
        }
        c => Err(wrong(
            at,
            c.len_utf8(),
            format!("`{}` has no meaning here", c.escape_debug()),
            Some("text stands in quotes, an unusual field name in backticks".to_owned()),
        )),
    }
}

fn foreign(at: usize, sign: &str, meant: &str) -> ExpressionError {
    let message = format!("`{sign}` is not a sign of this language");
    wrong(
        at,
        sign.len(),
        message,
        Some(format!("did you mean `{meant}`?")),
    )
}

fn word(word: &str, at: usize) -> Result<(Token, usize), ExpressionError> {
    if word.split('.').any(str::is_empty) {
        let message = format!("`{word}` is not a field: a name between dots is empty");
        let help = "write one like event.action".to_owned();
        return Err(wrong(at, word.len(), message, Some(help)));
    }
    Ok((Token::Word(word.to_owned()), word.len()))
}

fn string(rest: &str, at: usize, quote: char) -> Result<(Token, usize), ExpressionError> {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Token::Text(value), index + 1)),
            '\\' => {
                let Some((_, escaped)) = chars.next() else {
                    break;
                };
                value.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '\\' | '"' | '\'' => escaped,
                    other => {
                        let message = format!("`\\{}` is not an escape", other.escape_debug());
                        let help = "the escapes are \\\\ \\\" \\' \\n \\t \\r; a backslash of a \
                                    pattern is written twice";
                        let length = 1 + other.len_utf8();
                        return Err(wrong(at + index, length, message, Some(help.to_owned())));
                    }
                });
            }
            c => value.push(c),
        }
    }
    let message = "the quote is not closed".to_owned();
    Err(wrong(
        at,
        rest.len(),
        message,
        Some(format!("add {quote} behind the text")),
    ))
}
