//! What discovery found and what it left out, for `/metrics`; what is wrong is said once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::files::Look;
use crate::exposition::{Kind, Page};

#[derive(Debug, Default)]
pub struct Ledger {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    used: bool,
    files: usize,
    bad_files: usize,
    file_failures: u64,
    refused_targets: usize,
    refused_pods: usize,
    cut: u64,
    /// What was said and still holds.
    said: [BTreeSet<String>; 3],
}

impl Ledger {
    pub fn files(&self, look: &Look) {
        let mut counts = self.lock();
        counts.used = true;
        counts.files = look.files;
        counts.bad_files = look.bad.len();
        counts.file_failures += look.failures;
        counts.refused_targets = look.refused.len();
        say(&mut counts.said[0], &look.bad, |file, reason| {
            tracing::warn!(
                file,
                reason,
                "a target file cannot be read; what it said before holds"
            );
        });
        say(&mut counts.said[1], &look.refused, |file, reason| {
            tracing::warn!(file, reason, "a target cannot be scraped and is left out");
        });
    }

    pub fn pods(&self, refused: Vec<(String, String)>) {
        let mut counts = self.lock();
        counts.refused_pods = refused.len();
        let refused: Vec<_> = refused
            .into_iter()
            .map(|(pod, why)| (pod.into(), why))
            .collect();
        say(&mut counts.said[2], &refused, |pod, reason| {
            tracing::warn!(
                pod,
                reason,
                "a pod's annotations cannot be understood; it is left out"
            );
        });
    }

    pub fn cut(&self, cut: u64, most: usize) {
        let mut counts = self.lock();
        if cut > counts.cut {
            tracing::warn!(
                cut,
                most,
                "more applications are there than have a place; raise discovery.maxApplications"
            );
        }
        counts.cut = cut;
    }

    /// Nothing where nothing was looked for.
    pub fn page(&self, applications: usize) -> Page {
        let mut page = Page::default();
        let counts = self.lock();
        if !counts.used {
            return page;
        }
        let mut gauge = |name: &str, help: &str, value: f64| {
            page.single(name, help, Kind::Gauge, value);
        };
        gauge(
            "kai_agent_discovery_applications",
            "Applications that were found and have a place.",
            applications as f64,
        );
        gauge(
            "kai_agent_discovery_applications_cut",
            "Applications that were found and have no place.",
            counts.cut as f64,
        );
        page.single(
            "kai_agent_discovery_file_failures_total",
            "Times that a target file could not be read and what it said before was kept.",
            Kind::Counter,
            counts.file_failures as f64,
        );
        let mut gauge = |name: &str, help: &str, value: usize| {
            page.single(name, help, Kind::Gauge, value as f64);
        };
        gauge(
            "kai_agent_discovery_files",
            "Target files that are there.",
            counts.files,
        );
        gauge(
            "kai_agent_discovery_files_bad",
            "Target files that cannot be read; what they said before holds.",
            counts.bad_files,
        );
        gauge(
            "kai_agent_discovery_pods_refused",
            "Pods whose annotations cannot be understood.",
            counts.refused_pods,
        );
        gauge(
            "kai_agent_discovery_targets_refused",
            "Targets of files that cannot be scraped.",
            counts.refused_targets,
        );
        page
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what is new, and forgets what is over so that it is said again when it comes back.
fn say(
    said: &mut BTreeSet<String>,
    wrong: &[(std::path::PathBuf, String)],
    mut tell: impl FnMut(&str, &str),
) {
    const MOST: usize = 100;
    let mut now = BTreeSet::new();
    for (of, reason) in wrong.iter().take(MOST) {
        let of = of.display().to_string();
        let key = format!("{of}\0{reason}");
        if !said.contains(&key) && now.insert(key.clone()) {
            tell(&of, reason);
        }
        now.insert(key);
    }
    *said = now;
}
