//! The error ratio. The limit is broken when the excess cannot be chance: the lower bound of the
//! one-sided 95% Wilson score interval lies above it. A ratio above the limit that could be chance
//! is inconclusive. A ratio within the limit passes once the request floor is reached: to demand
//! proof there too would ask for hundreds of requests per thousandth of limit.

use super::{Check, Evidence, Finding, Verdict, body, prometheus, short};
use crate::gate::evidence::{Question, RatioCheck};

/// Missed scrapes after which a series is stale.
const STALE_INTERVALS: f64 = 3.0;

/// Share of the window that must have been watched.
const COVERED: f64 = 0.8;

/// The 95% quantile of the normal distribution.
const Z: f64 = 1.644_853_626_951;

struct Numbers {
    errors: f64,
    total: f64,
    /// Share of the window with fresh samples.
    covered: f64,
}

pub(super) fn judge(check: &RatioCheck, evidence: &Evidence) -> Finding {
    let limit = check.max_error_ratio.get();
    let finding = |verdict, seen: String, reasons| Finding {
        check: Check::ErrorRatio,
        verdict,
        seen,
        limit: format!("{}% of {}+", short(limit * 100.0), check.min_requests),
        reasons,
    };
    let numbers = match numbers(check, evidence) {
        Ok(numbers) => numbers,
        Err(reasons) => return finding(Verdict::NoData, "nothing to judge by".into(), reasons),
    };
    let Numbers {
        errors,
        total,
        covered,
    } = numbers;
    let seen = if total > 0.0 {
        format!(
            "{}% of {} requests",
            short(errors / total * 100.0),
            total.round()
        )
    } else {
        "no requests".to_owned()
    };
    // `increase` extrapolates, so neither number is whole.
    const SLACK: f64 = 1e-6;
    if errors > total * (1.0 + SLACK) + SLACK {
        let reason = format!(
            "{} failed of {} requests contradict each other; do errors and total select the same \
             series?",
            short(errors),
            short(total)
        );
        return finding(Verdict::Inconclusive, seen, vec![reason]);
    }
    if total + SLACK < check.min_requests.max(1) as f64 {
        let reason = format!(
            "{} requests in {} s are fewer than the {} that decide",
            short(total),
            check.window_seconds,
            check.min_requests
        );
        return finding(Verdict::Inconclusive, seen, vec![reason]);
    }
    let ratio = errors / total;
    let lower = lower_bound(errors.min(total), total);
    if lower > limit {
        let reason = format!(
            "{} of {} requests failed; at least {}% is certain, {}% is allowed",
            errors.round(),
            total.round(),
            short(lower * 100.0),
            short(limit * 100.0)
        );
        return finding(Verdict::Fail, seen, vec![reason]);
    }
    let mut reasons = Vec::new();
    if ratio > limit {
        reasons.push(format!(
            "{}% is above the limit, but with {} requests that may be chance",
            short(ratio * 100.0),
            total.round()
        ));
    }
    if covered < COVERED {
        reasons.push(format!(
            "only {}% of the window of {} s has samples",
            (covered * 100.0).round(),
            check.window_seconds
        ));
    }
    let verdict = if reasons.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    };
    finding(verdict, seen, reasons)
}

/// All that is needed, or everything that is wrong with it.
fn numbers(check: &RatioCheck, evidence: &Evidence) -> Result<Numbers, Vec<String>> {
    let mut wrong = Vec::new();
    let mut read = |question: Question| {
        let read = body(evidence, question).and_then(|body| {
            prometheus::number(body, check.evaluated_at)
                .map_err(|reason| format!("{}: {reason}", question.words()))
        });
        let read = read.and_then(|number| {
            if number < 0.0 {
                Err(format!("{}: {number} is below 0", question.words()))
            } else {
                Ok(number)
            }
        });
        match read {
            Ok(number) => number,
            Err(reason) => {
                wrong.push(reason);
                f64::NAN
            }
        }
    };
    read(Question::Clock);
    let errors = read(Question::Errors);
    let total = read(Question::Total);
    let newest = read(Question::Newest);
    let moves = read(Question::Coverage);
    let up = if check.up { read(Question::Up) } else { 1.0 };
    let interval = check.scrape_interval_seconds.max(1) as f64;
    let age = check.evaluated_at as f64 / 1000.0 - newest;
    if age > interval * STALE_INTERVALS {
        wrong.push(format!(
            "the series is stale: its newest sample is {} s old, scraped every {interval} s",
            age.round()
        ));
    }
    if age < -interval {
        wrong.push(format!(
            "the newest sample is {} s in the future",
            -age.round()
        ));
    }
    if up < 1.0 {
        wrong.push("a target of the service is down (up is 0), so its requests are missing".into());
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Numbers {
        errors,
        total,
        covered: (moves + 1.0) * interval / check.window_seconds.max(1) as f64,
    })
}

/// Wilson score interval, lower bound.
fn lower_bound(errors: f64, total: f64) -> f64 {
    let ratio = errors / total;
    let z2 = Z * Z;
    let center = ratio + z2 / (2.0 * total);
    let half = Z * (ratio * (1.0 - ratio) / total + z2 / (4.0 * total * total)).sqrt();
    // Rounding must not make something of nothing.
    if errors <= 0.0 {
        0.0
    } else {
        (center - half) / (1.0 + z2 / total)
    }
}
