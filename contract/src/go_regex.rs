//! Go's regular expressions, as Prometheus reads them, in the syntax of Rust's crate `regex`. Both
//! descend from RE2; what differs is translated: Perl classes are ASCII in Go and Unicode in Rust,
//! classes nest in Rust, `\Q…\E` and lone braces are Go's only.

/// `pattern`, to be compiled with `octal(true)`, matching the same texts.
pub fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\\' => escape(after, &mut out),
            '[' => class(after, &mut out),
            '{' if !is_repetition(after) => {
                out.push_str("\\{");
                after
            }
            _ => {
                out.push(c);
                after
            }
        };
    }
    out
}

/// What stands in the whole pattern that Prometheus compiles for a rule.
pub fn anchored(pattern: &str) -> String {
    format!("^(?s:{})$", translate(pattern))
}

/// An escape outside a class, its backslash read.
fn escape<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let Some(c) = rest.chars().next() else {
        out.push('\\'); // refused by the compiler with a reason
        return rest;
    };
    let after = &rest[c.len_utf8()..];
    match c {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' => out.push_str(r"(?-u:\b)"),
        'B' => out.push_str(r"(?-u:\B)"),
        'Q' => {
            let (literal, after) = after.split_once("\\E").unwrap_or((after, ""));
            for c in literal.chars() {
                push_literal(c, out);
            }
            return after;
        }
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    after
}

fn push_literal(c: char, out: &mut String) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

/// `{2}`, `{2,}` or `{2,5}`; Go takes any other brace as itself.
fn is_repetition(after: &str) -> bool {
    let Some((inner, _)) = after.split_once('}') else {
        return false;
    };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// A class, its opening bracket read.
fn class<'a>(mut rest: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut first = true;
    // Whether a `-` read now would make a range of the item before it.
    let mut may_range = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            ']' if !first => {
                out.push(']');
                return after;
            }
            '[' if after.starts_with(':') && after.contains(":]") => {
                let end = after.find(":]").map_or(after.len(), |at| at + 2);
                out.push('[');
                out.push_str(&after[..end]);
                rest = &after[end..];
                (first, may_range) = (false, false);
                continue;
            }
            '\\' => {
                let mut inner = after.chars();
                let escaped = inner.next();
                match escaped {
                    Some('d') => out.push_str("0-9"),
                    Some('D') => out.push_str("[^0-9]"),
                    Some('w') => out.push_str("0-9A-Za-z_"),
                    Some('W') => out.push_str("[^0-9A-Za-z_]"),
                    Some('s') => out.push_str(r"\t\n\f\r "),
                    Some('S') => out.push_str(r"[^\t\n\f\r ]"),
                    Some(other) => {
                        out.push('\\');
                        out.push(other);
                    }
                    None => out.push('\\'),
                }
                may_range = !matches!(escaped, Some('d' | 'D' | 'w' | 'W' | 's' | 'S'));
                first = false;
                rest = inner.as_str();
                continue;
            }
            '-' if may_range && !after.starts_with(']') => {
                // A range: its end, whatever it is, belongs to it.
                out.push('-');
                match after.chars().next() {
                    Some('\\') | None => {}
                    Some(end) => {
                        push_literal(end, out);
                        rest = &after[end.len_utf8()..];
                        may_range = false;
                        continue;
                    }
                }
                may_range = false;
            }
            _ => {
                push_literal(c, out);
                may_range = true;
            }
        }
        first = false;
        rest = after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_translated() {
        for (go, rust) in [
            (r"\d+\.(.*)", r"[0-9]+\.(.*)"),
            (r"[\d_]", r"[0-9\_]"),
            (r"[[a]", r"[\[a]"),
            (r"[]a]", r"[\]a]"),
            (r"[^]a-z]", r"[^\]a-z]"),
            (r"[+--]", r"[\+-\-]"),
            (r"[a&&b]", r"[a\&\&b]"),
            (r"[a-]", r"[a\-]"),
            (r"[[:alpha:]_]", r"[[:alpha:]\_]"),
            (r"\Qa.b\E.", r"a\.b."),
            (r"a{2,3}b{,4}{x", r"a{2,3}b\{,4}\{x"),
            (r"\bfoo", r"(?-u:\b)foo"),
        ] {
            assert_eq!(translate(go), rust, "{go}");
        }
    }
}
