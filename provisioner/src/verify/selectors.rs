//! Which series an expression reads. Pure.

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::{self, Expr, VectorSelector};

/// One selector of an expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    pub metric: String,
    /// Labels that must have some value for the selector to find anything.
    pub labels: Vec<String>,
}

/// Every selector with a metric name. What stands inside `absent()` is left out: it is asked for
/// because it may not exist.
pub fn selectors(expr: &str) -> Result<Vec<Selector>, String> {
    if crate::spec::promql::endless_duration(expr) {
        return Err("a duration is not a number of seconds".to_owned());
    }
    let parsed = parser::parse(expr)?;
    let mut out = Vec::new();
    walk(&parsed, &mut out);
    out.sort();
    out.dedup();
    Ok(out)
}

fn walk(expr: &Expr, out: &mut Vec<Selector>) {
    match expr {
        Expr::VectorSelector(selector) => out.extend(read(selector)),
        Expr::MatrixSelector(selector) => out.extend(read(&selector.vs)),
        Expr::Aggregate(aggregate) => {
            walk(&aggregate.expr, out);
            if let Some(param) = &aggregate.param {
                walk(param, out);
            }
        }
        Expr::Unary(unary) => walk(&unary.expr, out),
        Expr::Binary(binary) => {
            walk(&binary.lhs, out);
            walk(&binary.rhs, out);
        }
        Expr::Paren(paren) => walk(&paren.expr, out),
        Expr::Subquery(subquery) => walk(&subquery.expr, out),
        Expr::Call(call) if !matches!(call.func.name, "absent" | "absent_over_time") => {
            for argument in &call.args.args {
                walk(argument, out);
            }
        }
        _ => {}
    }
}

fn read(selector: &VectorSelector) -> Option<Selector> {
    let metric = selector
        .name
        .clone()
        .or_else(|| name_matcher(&selector.matchers))?;
    // Written by Prometheus itself once an alert is active.
    if matches!(metric.as_str(), "ALERTS" | "ALERTS_FOR_STATE") {
        return None;
    }
    let labels = selector
        .matchers
        .matchers
        .iter()
        .filter(|matcher| {
            matcher.name != "__name__"
                && match &matcher.op {
                    MatchOp::Equal => !matcher.value.is_empty(),
                    MatchOp::Re(regex) => !regex.is_match(""),
                    MatchOp::NotEqual | MatchOp::NotRe(_) => false,
                }
        })
        .map(|matcher| matcher.name.clone())
        .collect();
    Some(Selector { metric, labels })
}

fn name_matcher(matchers: &Matchers) -> Option<String> {
    matchers
        .matchers
        .iter()
        .find(|matcher| matcher.name == "__name__" && matcher.op == MatchOp::Equal)
        .map(|matcher| matcher.value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(expr: &str) -> Vec<String> {
        selectors(expr)
            .unwrap()
            .into_iter()
            .map(|selector| selector.metric)
            .collect()
    }

    #[test]
    fn every_selector_of_an_expression_is_found() {
        assert_eq!(
            names(
                "sum by (a) (rate(x_total{k=\"v\"}[5m])) / on (a) group_left () (y > 3 or max_over_time(z[1h:5m])) unless -w"
            ),
            ["w", "x_total", "y", "z"]
        );
        assert_eq!(names("vector(1)"), Vec::<String>::new());
    }

    #[test]
    fn what_may_be_absent_is_not_asked_for() {
        assert_eq!(
            names("absent(up{job=\"x\"}) or absent_over_time(a[5m]) or ALERTS"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn labels_that_must_have_a_value() {
        let found = selectors("x{a=\"1\",b=\"\",c!=\"2\",d=~\".+\",e=~\".*\"}").unwrap();
        assert_eq!(found[0].labels, ["a", "d"]);
    }

    #[test]
    fn a_wrong_expression_is_an_error() {
        assert!(selectors("sum(").is_err());
    }
}
