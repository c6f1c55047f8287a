//! The Prometheus text format 0.0.4 as files of it are read, with the strictness of node_exporter's
//! library: a line is right or the file is refused.

use std::collections::BTreeMap;

use super::text::{ParseError, quote};

/// `# TYPE` of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Counter,
    Gauge,
    Untyped,
    Summary,
    Histogram,
}

/// A family in the order of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    pub name: String,
    pub help: Option<String>,
    pub kind: Option<Type>,
    pub metrics: Vec<Metric>,
}

/// Labels by name, without `quantile` and `le` where they tell a metric's parts apart.
pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub labels: Labels,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    /// Quantiles of a summary, or buckets of a histogram, by what stands in `quantile` or `le`.
    Parts {
        count: u64,
        sum: f64,
        parts: Vec<(f64, f64)>,
    },
}

/// Which part of a summary or histogram a line is.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Whole,
    Count,
    Sum,
}

pub fn parse(text: &[u8]) -> Result<Vec<Family>, ParseError> {
    let mut families = Vec::new();
    let mut line = 0;
    let mut rest = text;
    while !rest.is_empty() {
        line += 1;
        let fail = |message: String| ParseError::new(line, message);
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| {
            fail("the file ends within this line; the last one needs a line end, too".to_owned())
        })?;
        let content = std::str::from_utf8(&rest[..end])
            .map_err(|_| fail(format!("{} is not UTF-8", quote(&rest[..end]))))?;
        rest = &rest[end + 1..];
        let content = content.trim_start_matches([' ', '\t']);
        match content.strip_prefix('#') {
            Some(comment) => self::comment(comment, &mut families).map_err(fail)?,
            None if content.is_empty() => {}
            None => sample(content, &mut families).map_err(fail)?,
        }
    }
    Ok(families)
}

fn comment(text: &str, families: &mut Vec<Family>) -> Result<(), String> {
    let text = text.trim_start_matches([' ', '\t']);
    let (keyword, rest) = word(text);
    if keyword != "HELP" && keyword != "TYPE" {
        return Ok(());
    }
    let (name, rest) = word(rest);
    if name.is_empty() {
        return Ok(());
    }
    let (at, _) = family(families, name)?;
    let family = &mut families[at];
    if rest.is_empty() {
        return Ok(());
    }
    if keyword == "HELP" {
        if family.help.is_some() {
            return Err(format!("a second HELP of {name}"));
        }
        family.help = Some(unescaped(rest)?);
        return Ok(());
    }
    if family.kind.is_some() {
        return Err(format!("a second TYPE of {name}, or one after its samples"));
    }
    family.kind = Some(match rest.to_ascii_lowercase().as_str() {
        "counter" => Type::Counter,
        "gauge" => Type::Gauge,
        "untyped" => Type::Untyped,
        "summary" => Type::Summary,
        "histogram" => Type::Histogram,
        _ => return Err(format!("{} is not a type", quote(rest.as_bytes()))),
    });
    Ok(())
}

/// The first word and what follows the blanks after it.
fn word(text: &str) -> (&str, &str) {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start_matches([' ', '\t']))
}

/// The place of the family that a line belongs to, made if there is none, and the line's part in it.
fn family(families: &mut Vec<Family>, name: &str) -> Result<(usize, Part), String> {
    if !is_name(name, true) {
        return Err(format!("{} is not a metric's name", quote(name.as_bytes())));
    }
    let find = |name: &str| families.iter().position(|family| family.name == name);
    if let Some(at) = find(name) {
        return Ok((at, Part::Whole));
    }
    let suffixes = [
        ("_count", Part::Count, true),
        ("_sum", Part::Sum, true),
        ("_bucket", Part::Whole, false),
    ];
    for (suffix, part, of_summary) in suffixes {
        let Some(at) = name.strip_suffix(suffix).and_then(find) else {
            continue;
        };
        match families[at].kind {
            Some(Type::Histogram) => return Ok((at, part)),
            Some(Type::Summary) if of_summary => return Ok((at, part)),
            _ => {}
        }
    }
    families.push(Family {
        name: name.to_owned(),
        help: None,
        kind: None,
        metrics: Vec::new(),
    });
    Ok((families.len() - 1, Part::Whole))
}

fn is_name(name: &str, colons: bool) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (colons && byte == b':');
    match name.as_bytes() {
        [head, tail @ ..] => {
            first(*head)
                && tail
                    .iter()
                    .all(|byte| first(*byte) || byte.is_ascii_digit())
        }
        [] => false,
    }
}

fn sample(line: &str, families: &mut Vec<Family>) -> Result<(), String> {
    let end = line
        .find(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_' || sign == ':'))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let (at, part) = family(families, name)?;
    let kind = *families[at].kind.get_or_insert(Type::Untyped);
    let rest = rest.trim_start_matches([' ', '\t']);
    let (mut labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    let (value, rest) = word(rest.trim_start_matches([' ', '\t']));
    let value = number(value)?;
    if !rest.is_empty() {
        let (time, more) = word(rest);
        if time.parse::<i64>().is_err() || !more.is_empty() {
            return Err(format!("{} follows the value", quote(rest.as_bytes())));
        }
        return Err(format!(
            "the timestamp {time}: figures of a file must have none, because the file is read at \
             another time"
        ));
    }
    let own = match kind {
        Type::Summary => labels.remove("quantile"),
        Type::Histogram => labels.remove("le"),
        _ => None,
    };
    let own = own.map(|text| number(&text)).transpose()?;
    let metrics = &mut families[at].metrics;
    if !matches!(kind, Type::Summary | Type::Histogram) {
        metrics.push(Metric {
            labels,
            value: Value::Number(value),
        });
        return Ok(());
    }
    let known = metrics.iter().position(|metric| metric.labels == labels);
    let known = known.unwrap_or_else(|| {
        metrics.push(Metric {
            labels,
            value: Value::Parts {
                count: 0,
                sum: 0.0,
                parts: Vec::new(),
            },
        });
        metrics.len() - 1
    });
    if kind == Type::Histogram && value < 0.0 && part != Part::Sum {
        return Err("a count is negative".to_owned());
    }
    if let Value::Parts { count, sum, parts } = &mut metrics[known].value {
        match part {
            Part::Count => *count = value as u64,
            Part::Sum => *sum = value,
            Part::Whole => parts.extend(own.map(|own| (own, value))),
        }
    }
    Ok(())
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    let blanks = [' ', '\t'];
    loop {
        rest = rest.trim_start_matches(blanks);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let end = rest
            .find(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_'))
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if !is_name(name, false) || name == "__name__" {
            return Err(format!("{} is not a label", quote(rest.as_bytes())));
        }
        let quoted = after
            .trim_start_matches(blanks)
            .strip_prefix('=')
            .and_then(|after| after.trim_start_matches(blanks).strip_prefix('"'))
            .ok_or_else(|| format!("the label {name} has no =\"…\""))?;
        let (value, after) = value(quoted)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("the label {name} is there twice"));
        }
        rest = after.trim_start_matches(blanks);
        if let Some(after) = rest.strip_prefix(',') {
            rest = after;
        } else if !rest.starts_with('}') {
            return Err(format!("neither \",\" nor \"}}\" follows the label {name}"));
        }
    }
}

/// A label's value up to the closing quote, and what follows it.
fn value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match signs.next() {
                Some((_, 'n')) => '\n',
                Some((_, sign @ ('"' | '\\'))) => sign,
                _ => return Err("an escape that is none of \\\\, \\\" and \\n".to_owned()),
            }),
            sign => value.push(sign),
        }
    }
    Err("a label's value has no closing quote".to_owned())
}

/// A help text with its escapes resolved.
fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        out.push(match sign {
            '\\' => match signs.next() {
                Some('n') => '\n',
                Some(sign @ ('"' | '\\')) => sign,
                _ => return Err("an escape that is none of \\\\, \\\" and \\n".to_owned()),
            },
            sign => sign,
        });
    }
    Ok(out)
}

fn number(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    let named = text.contains(['i', 'I']);
    number
        .filter(|number| number.is_finite() || number.is_nan() || named)
        .ok_or_else(|| format!("{} is not a number", quote(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn families_and_their_parts() {
        let text = b"# HELP a_total Help \\\\ \\n.\n# TYPE a_total counter\na_total{x=\"1\\\"\",} 2\n\
            # a comment\n\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n\
            h_sum 3.5\nh_count 2\n  plain\t-Inf\n# TYPE s summary\ns{quantile=\"0.5\",a=\"b\"} NaN\n\
            s_count{a=\"b\"} 4\n";
        let families = parse(text).unwrap();
        let names: Vec<_> = families.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names, ["a_total", "h", "plain", "s"]);
        assert_eq!(families[0].help.as_deref(), Some("Help \\ \n."));
        assert_eq!(families[0].metrics[0].labels["x"], "1\"");
        let Value::Parts { count, sum, parts } = &families[1].metrics[0].value else {
            panic!("a histogram has parts");
        };
        assert_eq!((*count, *sum, parts.len()), (2, 3.5, 2));
        assert_eq!(
            families[2].metrics[0].value,
            Value::Number(f64::NEG_INFINITY)
        );
        assert_eq!(families[3].metrics.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_placed() {
        for bad in [
            "a 1",
            "a x\n",
            "a\n",
            "1a 2\n",
            "a{b=\"c} 1\n",
            "a{b=c} 1\n",
            "a{b=\"c\" d=\"e\"} 1\n",
            "a{b=\"c\",b=\"d\"} 1\n",
            "a 1 1700000000000\n",
            "a 1 2 3\n",
            "# TYPE a gadget\n",
            "ok 1\n# TYPE ok gauge\n",
            "# HELP ok x\n# HELP ok y\n",
            "a 1e999\n",
            "a{__name__=\"b\"} 1\n",
        ] {
            let text = format!("# fine\n{bad}");
            let line = parse(text.as_bytes()).unwrap_err().line;
            assert_eq!(line, 1 + bad.trim_end().lines().count(), "{bad}");
        }
        assert_eq!(parse(b"a{b=\"\xff\"} 1\n").unwrap_err().line, 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }

        #[test]
        fn samples_read_back(value in any::<f64>(), label in "[ -~]{0,8}") {
            let escaped = label.replace('\\', "\\\\").replace('"', "\\\"");
            let families = parse(format!("m{{l=\"{escaped}\"}} {value}\n").as_bytes()).unwrap();
            prop_assert_eq!(&families[0].metrics[0].labels["l"], &label);
            let Value::Number(found) = families[0].metrics[0].value else { panic!() };
            prop_assert!(found.to_bits() == value.to_bits() || (found.is_nan() && value.is_nan()));
        }
    }
}
