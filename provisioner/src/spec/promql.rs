//! Is this PromQL? Two readers judge: ours knows the grammar with positions, newer syntax included;
//! promql-parser knows functions and types but neither positions nor the newest syntax. Only what
//! both refuse, or what is plainly of a wrong type, is an error; `promtool` has the last word when
//! the rules are applied.

mod labels;
mod syntax;
mod token;

use promql_parser::parser;

use super::suggest::nearest;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// In characters from the start of the expression.
    pub offset: usize,
    pub length: usize,
    pub message: String,
    pub help: Option<String>,
    /// False: it could not be judged here.
    pub certain: bool,
}

/// An expression with more tokens than this is not checked: the other reader's tree is recursive.
const MAX_TOKENS: usize = 2_000;

/// Functions, for suggestions. <https://prometheus.io/docs/prometheus/latest/querying/functions/>
const FUNCTIONS: &[&str] = &[
    "abs",
    "absent",
    "absent_over_time",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "avg_over_time",
    "ceil",
    "changes",
    "clamp",
    "clamp_max",
    "clamp_min",
    "cos",
    "cosh",
    "count_over_time",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "delta",
    "deriv",
    "exp",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "hour",
    "idelta",
    "increase",
    "irate",
    "label_join",
    "label_replace",
    "last_over_time",
    "ln",
    "log10",
    "log2",
    "max_over_time",
    "min_over_time",
    "minute",
    "month",
    "pi",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rad",
    "rate",
    "resets",
    "round",
    "scalar",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_desc",
    "sqrt",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "tan",
    "tanh",
    "time",
    "timestamp",
    "vector",
    "year",
];
/// Functions behind feature flags or newer than promql-parser; no mistake, but not judged here.
const NEWER: &[&str] = &[
    "double_exponential_smoothing",
    "holt_winters",
    "mad_over_time",
    "sort_by_label",
    "sort_by_label_desc",
    "info",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "first_over_time",
    "histogram_quantiles",
    "step",
    "range",
    "start",
    "end",
    "min_of",
    "max_of",
];

/// Judges one expression. `None`: good.
pub fn check(expr: &str) -> Option<Issue> {
    if expr.trim().is_empty() {
        return Some(Issue {
            offset: 0,
            length: 1,
            message: "the expression is empty".to_owned(),
            help: Some("write PromQL, for example up == 0".to_owned()),
            certain: true,
        });
    }
    let ours = syntax::check(expr, MAX_TOKENS);
    let whole = |message: String| Issue {
        offset: 0,
        length: 1,
        message,
        help: None,
        certain: false,
    };
    let ours = match ours {
        Ok(syntax::Outcome::TooLong) => {
            return Some(whole(format!(
                "the expression has more than {MAX_TOKENS} tokens and is not checked here"
            )));
        }
        Ok(syntax::Outcome::Fine) => None,
        Err(issue) if issue.message == syntax::TOO_DEEP => {
            return Some(Issue {
                certain: false,
                ..issue
            });
        }
        Err(issue) => Some(issue),
    };
    if endless_duration(expr) {
        return Some(ours.unwrap_or_else(|| Issue {
            certain: true,
            help: Some("write it as a duration, for example 5m".to_owned()),
            ..whole("a duration of this expression is not a number of seconds".to_owned())
        }));
    }
    let Err(theirs) = parser::parse(expr) else {
        return None;
    };
    if let Some(issue) = ours {
        return Some(issue);
    }
    if let Some(name) = unknown_function(&theirs) {
        return Some(unknown(expr, name));
    }
    // it cannot read what our reader can: newer syntax, such as arithmetic on durations
    if parser::lexer(expr).is_err() || theirs.starts_with("invalid promql query") {
        return Some(whole(
            "this build cannot judge the newer PromQL syntax used here; promtool will".to_owned(),
        ));
    }
    let (offset, length) = blamed(expr, &theirs);
    let (message, help) = in_prometheus_words(&theirs);
    Some(Issue {
        offset,
        length,
        message,
        help,
        certain: true,
    })
}

/// Whether a number that no duration can have stands where one does, as in `x offset NaN`.
/// promql-parser panics on those, so it must not see them.
pub fn endless_duration(expr: &str) -> bool {
    let Ok(tokens) = token::tokens(expr, MAX_TOKENS) else {
        return false;
    };
    let mut expected = false;
    for token in tokens {
        let word = token.text.to_ascii_lowercase();
        match word.as_str() {
            "offset" | "[" | ":" => expected = true,
            "+" | "-" | "(" if expected => {}
            "nan" | "inf" if expected => return true,
            _ => {
                if expected && word.parse::<f64>().is_ok_and(|seconds| seconds >= 1e15) {
                    return true;
                }
                expected = false;
            }
        }
    }
    false
}

/// Do all series of the result still have `label`, if the series that are read have it? `None`
/// when the expression could not be read.
pub fn keeps_label(expr: &str, label: &str) -> Option<bool> {
    match syntax::check(expr, MAX_TOKENS) {
        Ok(syntax::Outcome::Fine) => {}
        _ => return None,
    }
    if endless_duration(expr) {
        return None;
    }
    parser::parse(expr)
        .ok()
        .map(|read| labels::survives(&read, label))
}

/// promql-parser names types as its code does; people know them by Prometheus' names.
fn in_prometheus_words(message: &str) -> (String, Option<String>) {
    let words = [
        ("type matrix", "a range vector"),
        ("type vector", "an instant vector"),
        ("type scalar", "a scalar"),
        ("type string", "a string"),
        ("got matrix", "got a range vector"),
        ("got vector", "got an instant vector"),
        ("got scalar", "got a scalar"),
    ];
    let plain = words.iter().fold(message.to_owned(), |text, (from, to)| {
        text.replace(from, to)
    });
    let help = if message.contains("expected type matrix") {
        Some("write how far to look back, for example x[5m]")
    } else if message.contains("expected type vector") && message.contains("got matrix") {
        Some("turn the range into one value first, for example rate(x[5m])")
    } else {
        None
    };
    (plain, help.map(str::to_owned))
}

fn unknown_function(message: &str) -> Option<&str> {
    message
        .strip_prefix("unknown function with name '")?
        .strip_suffix('\'')
}

fn unknown(expr: &str, name: &str) -> Issue {
    let (offset, length) = call_of(expr, name).unwrap_or((0, 1));
    if NEWER.contains(&name) {
        let message = format!("this build cannot judge the newer function `{name}`; promtool will");
        return Issue {
            offset,
            length,
            message,
            help: None,
            certain: false,
        };
    }
    let meant = nearest(
        name,
        FUNCTIONS
            .iter()
            .chain(NEWER)
            .copied()
            .chain(syntax::AGGREGATIONS),
    );
    Issue {
        offset,
        length,
        message: format!("PromQL has no function `{name}`"),
        help: meant.map(|meant| format!("did you mean `{meant}`?")),
        certain: true,
    }
}

/// A type error names the function it is about: point there.
fn blamed(expr: &str, message: &str) -> (usize, usize) {
    message
        .split(['\'', '"', '`'])
        .skip(1)
        .step_by(2)
        .find_map(|name| call_of(expr, name))
        .unwrap_or((0, 1))
}

fn call_of(expr: &str, name: &str) -> Option<(usize, usize)> {
    let tokens = token::tokens(expr, MAX_TOKENS).ok()?;
    let found = tokens.iter().find(|t| t.text == name)?;
    Some((found.offset, name.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_duration_is_endless() {
        for expr in [
            "5m offset NaN",
            "x offset - inf",
            "rate(x[1e300])",
            "x[5m:NaN]",
        ] {
            assert!(check(expr).is_some_and(|issue| issue.certain), "{expr}");
            assert_eq!(keeps_label(expr, "a"), None);
        }
        assert_eq!(check("x offset 300 == NaN"), None);
    }

    #[test]
    fn good_expressions() {
        for expr in [
            "up == 0",
            "sum by (service) (rate(http_requests_total{code=~\"5..\"}[5m])) / ignoring(code) group_left sum(x) > 0.01",
            "histogram_quantile(0.99, sum(rate(a_bucket[5m])) by (le))",
            "absent(kai:up:sum{job=\"x\"} offset 5m) # why\n or vector(1)",
            "max_over_time(rate(x[1m])[1h30m:1m] @ end())",
            "-x ^ 2 unless on() y",
            "node_filesystem_avail_bytes{fstype!=\"\",} < 10 and predict_linear(x[6h], 4*3600) < 0",
            "count_values(\"v\", build) > bool 1",
            "{__name__=~\"a.*\"}",
            "topk(3, x)",
        ] {
            assert_eq!(check(expr), None, "{expr}");
        }
    }

    #[test]
    fn bad_expressions_are_pointed_at() {
        for (expr, offset, word) in [
            ("sum(rate(x[5m])", 3, "not closed"),
            ("up ==", 5, "ends"),
            ("up == 0)", 7, "`)`"),
            ("ratee(x[5m])", 0, "ratee"),
            ("rate(x[5min])", 7, "not a duration"),
            ("rate(x[])", 6, "range"),
            ("x{code=5}", 7, "quotes"),
            ("x{code=~\"5..}", 8, "not closed"),
            ("rate(x)", 0, "range vector"),
            ("a b", 2, "`b`"),
            ("x{code=\"1\" job=\"2\"}", 11, "`,`"),
            ("sum by service (x)", 7, "`(`"),
            ("x = 1", 2, "=="),
            ("", 0, "empty"),
            ("x & y", 2, "&"),
        ] {
            let issue = check(expr).unwrap_or_else(|| panic!("{expr} passed"));
            assert!(issue.certain, "{expr}: {issue:?}");
            assert_eq!(issue.offset, offset, "{expr}: {issue:?}");
            assert!(
                format!("{} {:?}", issue.message, issue.help).contains(word),
                "{expr}: {issue:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_judged_is_no_error() {
        for expr in ["rate(x[5m * 2])", "rate(x[step()])", "mad_over_time(x[5m])"] {
            if let Some(issue) = check(expr) {
                assert!(!issue.certain, "{expr}: {issue:?}");
            }
        }
    }

    #[test]
    fn suggestions() {
        let help = |expr: &str| check(expr).and_then(|i| i.help).unwrap_or_default();
        assert_eq!(help("ratee(x[5m])"), "did you mean `rate`?");
        assert!(help("rate(x[5min])").contains("5m"));
    }

    #[test]
    fn absurd_expressions_are_bounded() {
        for expr in [
            "(".repeat(50_000),
            "-".repeat(50_000),
            "1+".repeat(900) + "1",
            "x[".repeat(9_000),
        ] {
            let _ = check(&expr);
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
        #[test]
        fn any_text_is_survived(expr in "\\PC{0,60}") {
            let _ = check(&expr);
        }

        #[test]
        fn any_promqlish_text_is_survived(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "sum", "by", "(", ")", "{", "}", "[", "]", "5m", "x", "\"a\"", "=~", "==", "=", "and",
                "offset", "@", "-", "1", ":", ",", "rate", "bool", "on", "group_left", "1e9999y", "'",
                "\\", "0x", ".", "9999999999999999999s", "end()", "NaN",
            ]), 0..14)
        ) {
            let expr = parts.join(" ");
            if let Some(issue) = check(&expr) {
                assert!(issue.offset <= expr.chars().count());
            }
            let _ = check(&parts.concat());
        }
    }
}
