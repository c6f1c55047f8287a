//! Does a label of the series survive an expression? The team of an alert usually comes from its
//! series, and an aggregation that forgets it sends the alert to the wrong people.

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality,
};

/// True when every series that the expression gives still has the label of the series that it
/// reads (metrics are taken to have it). Prometheus' `resultMetric` is the reference for operators.
pub(super) fn survives(expr: &Expr, label: &str) -> bool {
    match expr {
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) => true,
        Expr::Paren(paren) => survives(&paren.expr, label),
        Expr::Unary(unary) => survives(&unary.expr, label),
        Expr::Subquery(subquery) => survives(&subquery.expr, label),
        Expr::Aggregate(aggregate) => through_aggregation(aggregate, label),
        Expr::Binary(binary) => through_operator(binary, label),
        Expr::Call(call) => through_function(call, label),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => false,
    }
}

fn lists(modifier: &LabelModifier, label: &str) -> bool {
    modifier
        .labels()
        .labels
        .iter()
        .any(|listed| listed == label)
}

fn through_aggregation(aggregate: &AggregateExpr, label: &str) -> bool {
    // these choose series and leave them as they are
    let chooses =
        ["topk", "bottomk", "limitk", "limit_ratio"].contains(&aggregate.op.to_string().as_str());
    let keeps = match &aggregate.modifier {
        _ if chooses => true,
        None => false,
        Some(modifier) => lists(modifier, label) == modifier.is_include(),
    };
    keeps && survives(&aggregate.expr, label)
}

fn through_operator(binary: &BinaryExpr, label: &str) -> bool {
    let (left, right) = (survives(&binary.lhs, label), survives(&binary.rhs, label));
    let is_vector = |expr: &Expr| expr.value_type() == ValueType::Vector;
    match (is_vector(&binary.lhs), is_vector(&binary.rhs)) {
        (true, false) => return left,
        (false, true) => return right,
        (false, false) => return false,
        (true, true) => {}
    }
    if binary.op.is_set_operator() {
        let either = binary.op.to_string() == "or";
        return if either { left && right } else { left };
    }
    let Some(modifier) = &binary.modifier else {
        return left;
    };
    let brings = |labels: &promql_parser::label::Labels| {
        labels.labels.iter().any(|brought| brought == label)
    };
    match &modifier.card {
        VectorMatchCardinality::ManyToOne(labels) => left || (brings(labels) && right),
        VectorMatchCardinality::OneToMany(labels) => right || (brings(labels) && left),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {
            let kept = match &modifier.matching {
                None => true,
                Some(matching) => lists(matching, label) == matching.is_include(),
            };
            kept && left
        }
    }
}

fn through_function(call: &Call, label: &str) -> bool {
    let args = &call.args.args;
    let named = |arg: usize| matches!(args.get(arg).map(AsRef::as_ref), Some(Expr::StringLiteral(s)) if s.val == label);
    match call.func.name {
        // `absent` keeps what its selector fixes with `=`
        "absent" | "absent_over_time" => args.first().is_some_and(|arg| is_fixed(arg, label)),
        "vector" | "scalar" | "time" | "pi" => false,
        "label_replace" | "label_join" if named(1) => true,
        // the vector is not always the first argument: histogram_quantile(0.9, …)
        _ => {
            let is_series =
                |arg: &Expr| matches!(arg.value_type(), ValueType::Vector | ValueType::Matrix);
            args.iter()
                .find(|arg| is_series(arg))
                .is_some_and(|arg| survives(arg, label))
        }
    }
}

fn is_fixed(expr: &Expr, label: &str) -> bool {
    let matchers = match expr {
        Expr::VectorSelector(selector) => &selector.matchers,
        Expr::MatrixSelector(selector) => &selector.vs.matchers,
        Expr::Paren(paren) => return is_fixed(&paren.expr, label),
        _ => return false,
    };
    matchers
        .matchers
        .iter()
        .any(|m| m.name == label && m.op == promql_parser::label::MatchOp::Equal)
}

#[cfg(test)]
mod tests {
    use super::super::keeps_label;

    #[test]
    fn the_team_of_an_alert() {
        for (expr, kept) in [
            ("up == 0", true),
            ("rate(x[5m]) > 1", true),
            ("sum by (service, team) (rate(x[5m])) > 1", true),
            ("sum by (service) (rate(x[5m])) > 1", false),
            ("sum(x)", false),
            ("sum without (instance) (x)", true),
            ("sum without (team) (x)", false),
            ("topk(3, x)", true),
            ("sum by (team) (x) / sum by (team) (y)", true),
            ("x / on (service) y", false),
            ("x / on (service) group_left y", true),
            ("x / ignoring (code) y", true),
            ("x and on (service) y", true),
            ("x or absent(y)", false),
            ("absent(up{team=\"a\"})", true),
            ("absent(up)", false),
            ("vector(1)", false),
            (
                "histogram_quantile(0.9, sum by (le, team) (rate(b[5m])))",
                true,
            ),
            ("histogram_quantile(0.9, sum by (le) (rate(b[5m])))", false),
            ("label_replace(sum(x), \"team\", \"a\", \"\", \"\")", true),
            ("1 - x", true),
            ("sum(x) * on () group_right (service) y", true),
            ("max_over_time(sum by (team) (x)[5m:1m])", true),
            ("-(x)", true),
        ] {
            assert_eq!(keeps_label(expr, "team"), Some(kept), "{expr}");
        }
        assert_eq!(keeps_label("rate(x[5m * 2])", "team"), None);
        assert_eq!(keeps_label("sum(", "team"), None);
    }
}
