//! The series that every check has.

use std::time::Duration;

use super::{Hub, Known, STUCK};
use crate::exposition::{Kind, Page};
use crate::security::baseline::{Change, Standing};
use crate::security::check::Reason;

/// One of the families that has a sample for each check.
type One = (&'static str, &'static str, fn(&Known) -> Option<f64>);

const FAMILIES: [One; 10] = [
    (
        "kai_security_check_success",
        "Whether the last look could look; 0 also while a look makes no progress. Absent before the \
         first has ended.",
        |known| {
            let success = known.last.as_ref().map(|last| last.error.is_none());
            if known.is_stuck() {
                return Some(0.0);
            }
            success.map(|success| f64::from(u8::from(success)))
        },
    ),
    (
        "kai_security_check_last_run_timestamp_seconds",
        "When the last look ended, whether it could look or not.",
        |known| Some(known.last.as_ref()?.at as f64),
    ),
    (
        "kai_security_check_last_success_timestamp_seconds",
        "When the last look ended that could look.",
        |known| Some(known.last_success? as f64),
    ),
    (
        "kai_security_check_duration_seconds",
        "How long the last look took.",
        |known| Some(known.last.as_ref()?.took.as_secs_f64()),
    ),
    (
        "kai_security_check_interval_seconds",
        "Time from one look to the next.",
        |known| Some(known.every.as_secs_f64()),
    ),
    (
        "kai_security_check_running_seconds",
        "How long the look has taken that runs now; 0 between two looks.",
        |known| {
            let running = known.running.as_ref();
            Some(running.map_or(0.0, |(since, _)| since.elapsed().as_secs_f64()))
        },
    ),
    (
        "kai_security_check_progress_items",
        "Things that the look that runs now has looked at so far.",
        |known| Some(known.running.as_ref()?.1.items() as f64),
    ),
    (
        "kai_security_check_items",
        "Things that the last look should have looked at.",
        |known| Some(known.last.as_ref()?.coverage.total() as f64),
    ),
    (
        "kai_security_check_items_examined",
        "Things that the last look could look at.",
        |known| Some(known.last.as_ref()?.coverage.examined as f64),
    ),
    (
        "kai_security_baseline_accepted_timestamp_seconds",
        "When the baseline in force was accepted.",
        |known| match known.standing.as_ref()? {
            Standing::Accepted(baseline) => Some(baseline.at as f64),
            _ => None,
        },
    ),
];

impl Known {
    fn is_stuck(&self) -> bool {
        let still = |(_, progress): &(_, std::sync::Arc<super::Progress>)| progress.still_for();
        self.running.as_ref().map_or(Duration::ZERO, still) > STUCK
    }
}

impl Hub {
    /// Everything that the checks export; empty when none is configured.
    pub fn page(&self) -> Page {
        let all = self.lock();
        let mut page = Page::default();
        if all.is_empty() {
            return page;
        }
        for (name, help, value) in FAMILIES {
            let mut family = page.family(name, help, Kind::Gauge);
            for (check, known) in all.iter() {
                if let Some(value) = value(known) {
                    family.sample(&[("check", check.as_bytes())], value);
                }
            }
        }
        let mut family = page.family(
            "kai_security_check_items_skipped",
            "Things that the last look could not look at, by reason.",
            Kind::Gauge,
        );
        for (check, known) in all.iter() {
            let Some(last) = &known.last else { continue };
            for reason in Reason::ALL {
                let count = last.coverage.skipped.get(&reason).copied().unwrap_or(0);
                family.sample(
                    &[
                        ("check", check.as_bytes()),
                        ("reason", reason.as_str().as_bytes()),
                    ],
                    count as f64,
                );
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_security_baseline_state",
            "1 for the state that the check's baseline is in: none was accepted yet, it is accepted, \
             it is broken.",
            Kind::Gauge,
        );
        for (check, known) in all.iter() {
            let Some(standing) = &known.standing else {
                continue;
            };
            let is = match standing {
                Standing::None => "none",
                Standing::Accepted(_) => "accepted",
                Standing::Broken(_) => "broken",
            };
            for state in ["accepted", "broken", "none"] {
                family.sample(
                    &[("check", check.as_bytes()), ("state", state.as_bytes())],
                    f64::from(u8::from(is == state)),
                );
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_security_baseline_info",
            "Digest of the baseline in force: it changes when another is accepted, and not \
             otherwise.",
            Kind::Gauge,
        );
        for (check, known) in all.iter() {
            if let Some(Standing::Accepted(baseline)) = &known.standing {
                let digest = &baseline.digest;
                family.sample(
                    &[("check", check.as_bytes()), ("digest", digest.as_bytes())],
                    1.0,
                );
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_security_findings",
            "Things that are different from the baseline; absent where there is none to compare \
             with.",
            Kind::Gauge,
        );
        for (check, known) in all.iter() {
            if !matches!(known.standing, Some(Standing::Accepted(_))) {
                continue;
            }
            for kind in Change::KINDS {
                let count = known.findings.iter().filter(|f| f.change.kind() == kind);
                family.sample(
                    &[("check", check.as_bytes()), ("kind", kind.as_bytes())],
                    count.count() as f64,
                );
            }
        }
        drop(family);
        for known in all.values() {
            page.append(&known.page);
        }
        page
    }
}
