//! What the checks tell as lines of the log, in the words of the Elastic Common Schema, so that a
//! security dashboard finds them: with `--log-format json` each is one JSON object.

use crate::security::baseline::{Change, Finding, Standing};
use crate::security::check::{Entry, Notice, Outcome};

use super::Last;

/// New findings that one look tells one by one; a changed `/usr/bin` is one line, not two thousand.
const MOST: usize = 50;

/// An event that a check met.
pub(super) fn notice(entry: &Entry, notice: &Notice) {
    tracing::info!(
        event.kind = "event",
        event.category = entry.category,
        event.action = notice.action,
        event.outcome = notice.outcome,
        user.name = notice.user.as_deref(),
        source.ip = notice.address.as_deref(),
        file.path = notice.subject.as_deref(),
        check = entry.name,
        "{}",
        notice.detail
    );
}

/// Findings that are there now and were not before.
pub(super) fn findings(entry: &Entry, before: &[Finding], now: &[Finding]) {
    let mut new = now.iter().filter(|f| before.binary_search(f).is_err());
    for finding in new.by_ref().take(MOST) {
        let (was, is) = match &finding.change {
            Change::Added { now } => (None, Some(now.as_str())),
            Change::Removed { before } => (Some(before.as_str()), None),
            Change::Changed { before, now } => (Some(before.as_str()), Some(now.as_str())),
        };
        let path = (entry.category == "file").then_some(finding.name.as_str());
        tracing::warn!(
            event.kind = "alert",
            event.category = entry.category,
            event.action = finding.change.kind(),
            file.path = path,
            check = entry.name,
            subject = %finding.name,
            before = was,
            now = is,
            "different from the baseline"
        );
    }
    let more = new.count();
    if more > 0 {
        tracing::warn!(
            event.kind = "alert",
            event.category = entry.category,
            check = entry.name,
            more,
            "more is different from the baseline; `kai-agent baseline diff` lists all"
        );
    }
    let over = before
        .iter()
        .filter(|f| now.binary_search(f).is_err())
        .count();
    if over > 0 {
        tracing::info!(
            check = entry.name,
            over,
            left = now.len(),
            "findings are over"
        );
    }
}

/// A baseline that came, went or broke.
pub(super) fn standing(check: &str, before: Option<&Standing>, now: &Standing) {
    if before.is_some_and(|before| before.is_like(now)) {
        return;
    }
    match now {
        Standing::None => tracing::warn!(
            check,
            "there is no baseline yet, so nothing is compared; see what there is with `kai-agent \
             baseline diff`, then `kai-agent baseline accept`"
        ),
        Standing::Accepted(baseline) => tracing::info!(
            event.kind = "event",
            event.category = "configuration",
            event.action = "baseline_in_force",
            user.name = %baseline.by,
            check,
            reason = %baseline.reason,
            items = baseline.items.len(),
            digest = %baseline.digest,
            "baseline in force"
        ),
        Standing::Broken(reason) => tracing::error!(
            event.kind = "alert",
            event.category = "configuration",
            event.action = "baseline_broken",
            check,
            %reason,
            "the baseline cannot be trusted"
        ),
    }
}

/// How a look ended, if that is news.
pub(super) fn ended(check: &str, before: Option<&Last>, outcome: &Outcome) {
    let coverage = &outcome.coverage;
    let error_before = before.and_then(|last| last.error.as_ref());
    match &outcome.error {
        Some(error) if error_before != Some(error) => {
            tracing::error!(check, %error, "the security check could not look");
        }
        None if error_before.is_some() => tracing::info!(check, "the security check looks again"),
        _ => {}
    }
    let skipped_before = before.map(|last| &last.coverage.skipped);
    if !coverage.skipped.is_empty() && skipped_before != Some(&coverage.skipped) {
        tracing::warn!(
            check,
            examined = coverage.examined,
            skipped = coverage.total() - coverage.examined,
            such_as = %coverage.named.join("; "),
            "the security check could not look at all"
        );
    }
}
