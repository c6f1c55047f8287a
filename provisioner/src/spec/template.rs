//! Go templates in annotations and labels of rules, as far as a mistake can be seen without Go:
//! braces, blocks, quotes and variables. A broken template shows up only when the alert fires,
//! which is the worst moment.

use super::suggest::nearest;

/// What is wrong with a template; `offset` in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    pub offset: usize,
    pub message: String,
    pub help: Option<String>,
}

impl TemplateError {
    fn new(offset: usize, message: impl Into<String>, help: Option<&str>) -> Self {
        Self {
            offset,
            message: message.into(),
            help: help.map(str::to_owned),
        }
    }
}

/// Variables that Prometheus defines for the templates of rules.
/// <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>
const VARIABLES: [&str; 4] = ["labels", "value", "externalLabels", "externalURL"];
const BLOCKS: [&str; 5] = ["if", "range", "with", "define", "block"];

/// Is any of the text filled in when the alert fires?
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Checks one text.
pub fn check(text: &str) -> Result<(), TemplateError> {
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    let mut blocks: Vec<usize> = Vec::new();
    let mut declared: Vec<String> = Vec::new();
    while at < chars.len() {
        if chars[at..].starts_with(&['{', '{']) {
            let end = action_end(&chars, at)?;
            let inner = &chars[at + 2..end - 2];
            action(inner, at + 2, at, &mut blocks, &mut declared)?;
            at = end;
        } else if chars[at..].starts_with(&['}', '}']) {
            let help = Some("write `{{` before the action that it closes");
            return Err(TemplateError::new(at, "`}}` closes nothing", help));
        } else {
            at += 1;
        }
    }
    match blocks.last() {
        Some(open) => Err(TemplateError::new(
            *open,
            "this block is not closed",
            Some("add {{ end }}"),
        )),
        None => Ok(()),
    }
}

/// The position after the `}}` that closes the action at `start`.
fn action_end(chars: &[char], start: usize) -> Result<usize, TemplateError> {
    let unclosed = || TemplateError::new(start, "`{{` is not closed", Some("add `}}`"));
    let body = start + 2;
    let trimmed = body + usize::from(chars.get(body) == Some(&'-'));
    let first = chars[trimmed.min(chars.len())..]
        .iter()
        .position(|c| *c != ' ')
        .unwrap_or(0);
    let mut at = trimmed + first;
    if chars.get(at..at + 2) == Some(&['/', '*']) {
        while at < chars.len() && !chars[at..].starts_with(&['*', '/']) {
            at += 1;
        }
    }
    while at < chars.len() {
        match chars[at] {
            quote @ ('"' | '\'' | '`') => {
                let open = at;
                at += 1;
                loop {
                    match chars.get(at) {
                        None => {
                            return Err(TemplateError::new(
                                open,
                                format!("the quote {quote} is not closed"),
                                None,
                            ));
                        }
                        Some('\\') if quote != '`' => at += 2,
                        Some(c) if *c == quote => break,
                        Some(_) => at += 1,
                    }
                }
                at += 1;
            }
            '}' if chars.get(at + 1) == Some(&'}') => return Ok(at + 2),
            '{' if chars.get(at + 1) == Some(&'{') => return Err(unclosed()),
            _ => at += 1,
        }
    }
    Err(unclosed())
}

fn action(
    inner: &[char],
    offset: usize,
    start: usize,
    blocks: &mut Vec<usize>,
    declared: &mut Vec<String>,
) -> Result<(), TemplateError> {
    let text: String = inner.iter().collect();
    let body = text
        .trim()
        .trim_start_matches('-')
        .trim_end_matches('-')
        .trim();
    if body.starts_with("/*") {
        return Ok(());
    }
    let keyword: String = body.chars().take_while(char::is_ascii_alphabetic).collect();
    match keyword.as_str() {
        "" if body.is_empty() => {
            let help = Some("write what to fill in, for example {{ $value }}");
            return Err(TemplateError::new(start, "the action is empty", help));
        }
        "end" if blocks.pop().is_none() => {
            return Err(TemplateError::new(start, "{{ end }} closes no block", None));
        }
        "else" if blocks.is_empty() => {
            return Err(TemplateError::new(
                start,
                "{{ else }} is outside of a block",
                None,
            ));
        }
        word if BLOCKS.contains(&word) => blocks.push(start),
        _ => {}
    }
    variables(inner, offset, declared)
}

/// `$labels`, `$value` and what the template itself declares.
fn variables(
    inner: &[char],
    offset: usize,
    declared: &mut Vec<String>,
) -> Result<(), TemplateError> {
    let mut at = 0;
    let mut quote = None;
    while at < inner.len() {
        let c = inner[at];
        match quote {
            Some(open) if c == open => quote = None,
            Some(open) if c == '\\' && open != '`' => at += 1,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '$' => {
                let name: String = inner[at + 1..]
                    .iter()
                    .take_while(|c| c.is_alphanumeric() || **c == '_')
                    .collect();
                let after: String = inner[at + 1 + name.chars().count()..].iter().collect();
                let after = after.trim_start();
                let declares =
                    after.starts_with(":=") || (after.starts_with(',') && after.contains(":="));
                let known = name.is_empty()
                    || VARIABLES.contains(&name.as_str())
                    || declared.contains(&name);
                if declares {
                    declared.push(name);
                } else if !known {
                    let meant = nearest(&name, VARIABLES);
                    return Err(TemplateError {
                        offset: offset + at,
                        message: format!("the template variable ${name} does not exist"),
                        help: Some(match meant {
                            Some(meant) => format!("did you mean ${meant}?"),
                            None => "known are $labels, $value, $externalLabels, $externalURL"
                                .to_owned(),
                        }),
                    });
                }
            }
            None => {}
        }
        at += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_templates() {
        for text in [
            "plain { } text",
            "{{ $labels.instance }} has {{ $value | humanizePercentage }}",
            "{{- if gt $value 0.5 -}} a {{- else -}} b {{- end }}",
            "{{ with $x := query \"up\" }}{{ range $i, $e := . }}{{ $e }}{{ $i }}{{ end }}{{ end }}",
            "{{ printf \"}}\" }} {{/* }} a comment */}}",
            "{{ (query `up`) | first | value }}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn bad_templates() {
        for (text, offset, word) in [
            ("a {{ $value", 2, "not closed"),
            ("a {{ $value }", 2, "not closed"),
            ("a $value }}", 9, "closes nothing"),
            ("{{ $label.x }}", 3, "$label "),
            ("{{ if true }} x", 0, "block"),
            ("{{ end }}", 0, "no block"),
            ("{{ }}", 0, "empty"),
            ("{{ printf \"x }}", 10, "quote"),
            ("{{ $value {{ $labels.a }}", 0, "not closed"),
        ] {
            let error = check(text).expect_err(text);
            assert_eq!(error.offset, offset, "{text} {error:?}");
            assert!(error.message.contains(word), "{text} {error:?}");
        }
        assert_eq!(
            check("{{ $label }}").expect_err("bad").help.as_deref(),
            Some("did you mean $labels?")
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
        #[test]
        fn any_text_is_survived(text in "[{}\\-$a-c\"'`\\\\/* .|]{0,30}", other in "\\PC{0,30}") {
            let _ = check(&text);
            let _ = check(&other);
        }
    }
}
