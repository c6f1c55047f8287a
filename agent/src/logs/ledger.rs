//! The lane's account. A line that was read ends as exactly one of acknowledged, dead-lettered,
//! dropped for a reason, or returned (its file holds it still, and it is read again); until then
//! it is in flight. Kept per batch, not per line, and under one lock, so that in every scrape the
//! sum holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::budget::Budgets;
use super::cluster::abilities::Abilities;
use super::cluster::endpoints::Endpoints;
use super::intake::meters::Meters;
use super::places::Places;
use crate::exposition::{Kind, Page};
use crate::latency::{self, Histogram};
use crate::privacy::Counts;
use crate::tap;

/// What a line ended as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Acked,
    DeadLettered,
    /// With the reason.
    Dropped(&'static str),
    Returned,
    /// Read for business rules alone; there is no Elasticsearch to send it to.
    Counted,
}

impl Outcome {
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Acked => ("acked", ""),
            Self::DeadLettered => ("dead_lettered", ""),
            Self::Dropped(reason) => ("dropped", reason),
            Self::Returned => ("returned", ""),
            Self::Counted => ("counted", ""),
        }
    }
}

#[derive(Debug, Default)]
struct Source {
    /// Whose lines they are.
    service: Arc<str>,
    team: Arc<str>,
    /// Of documents that were handed on.
    document_bytes: u64,
    /// Lines and bytes that the source's own rules left out, by reason.
    filtered: BTreeMap<Arc<str>, (u64, u64)>,
    read: u64,
    bytes: u64,
    in_flight: u64,
    outcomes: BTreeMap<Outcome, u64>,
    duplicates: u64,
    collisions: u64,
    flaws: BTreeMap<&'static str, u64>,
    redacted: BTreeMap<&'static str, u64>,
    lost: BTreeMap<&'static str, u64>,
    unreadable: u64,
    journal: BTreeMap<&'static str, u64>,
    /// What looks for files' pods came to.
    pods: BTreeMap<&'static str, u64>,
    latency: Histogram,
    said_overflow: Option<Instant>,
}

/// What stays as it is, is said again this often.
const SAY_AGAIN: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
struct Inner {
    sources: BTreeMap<Arc<str>, Source>,
    requests: BTreeMap<&'static str, u64>,
    retried: BTreeMap<&'static str, u64>,
    checks: BTreeMap<&'static str, u64>,
    sent_bytes: u64,
    packed_bytes: u64,
    letters_bytes: u64,
    letters_removed: u64,
    letters_failed: u64,
    repeated_removed: u64,
    repeated_left: u64,
    /// Data streams, and whether the last attempt of each failed.
    failing: BTreeMap<String, bool>,
    places: Option<Arc<Places>>,
    endpoints: Option<Arc<Endpoints>>,
    abilities: Option<Abilities>,
}

/// What was read from a file at one time.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadCount {
    pub lines: u64,
    pub bytes: u64,
    /// Of the documents that were made.
    pub document_bytes: u64,
    pub invalid_json: u64,
    pub repaired: u64,
    pub bad_timestamps: u64,
    pub cut: u64,
    /// Events that were too large to be one.
    pub split: u64,
    /// Lines that are not of their source's format.
    pub unparsed: u64,
    /// Lines without the wrapper that their source has.
    pub unwrapped: u64,
    pub nul_bytes: u64,
    /// Lines with members that are no fields, and how many those are.
    pub overflowed: u64,
    pub beyond: u64,
    pub redacted: Counts,
}

#[derive(Debug, Default)]
pub struct Ledger {
    /// Who looks at the lines as they pass.
    pub taps: tap::Hub,
    /// What teams may send in a day.
    pub budgets: Budgets,
    inner: Mutex<Inner>,
    /// Of sources that come over the network.
    pub intake: Meters,
}

impl ReadCount {
    /// A line so many of whose members are no fields.
    pub fn beyond(&mut self, members: u32) {
        self.overflowed += u64::from(members > 0);
        self.beyond += u64::from(members);
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a source, with zeros, before its first line.
    pub fn add_source(&self, source: &Arc<str>, service: &Arc<str>, team: &Arc<str>) {
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        (entry.service, entry.team) = (Arc::clone(service), Arc::clone(team));
        for outcome in [Outcome::Acked, Outcome::DeadLettered, Outcome::Returned] {
            entry.outcomes.entry(outcome).or_default();
        }
    }

    /// Where files' own figures come from; `None` when no lane runs.
    pub fn set_places(&self, places: Option<Arc<Places>>) {
        self.lock().places = places;
    }

    /// The nodes that are asked; `None` when no lane runs.
    pub fn set_endpoints(&self, endpoints: Option<Arc<Endpoints>>) {
        self.lock().endpoints = endpoints;
    }

    /// What the cluster can do.
    pub fn abilities(&self, abilities: Abilities) {
        self.lock().abilities = Some(abilities);
    }

    pub fn read(&self, source: &Arc<str>, count: &ReadCount) {
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        entry.read += count.lines;
        entry.in_flight += count.lines;
        entry.bytes += count.bytes;
        entry.document_bytes += count.document_bytes;
        for (flaw, lines) in [
            ("invalid_json", count.invalid_json),
            ("invalid_utf8", count.repaired),
            ("invalid_timestamp", count.bad_timestamps),
            ("truncated", count.cut),
            ("split", count.split),
            ("unparsed", count.unparsed),
            ("unwrapped", count.unwrapped),
            ("nul_bytes", count.nul_bytes),
            ("overflow", count.overflowed),
            ("overflow_fields", count.beyond),
        ] {
            if lines > 0 {
                *entry.flaws.entry(flaw).or_default() += lines;
            }
        }
        let due = |said: Instant| said.elapsed() >= SAY_AGAIN;
        if count.overflowed > 0 && entry.said_overflow.is_none_or(due) {
            entry.said_overflow = Some(Instant::now());
            tracing::warn!(
                %source,
                "lines have more field names than logs.maxFields, or names that no index takes; \
                 further ones go into the field kai.overflow, as text"
            );
        }
        for (kind, findings) in count.redacted.by_kind() {
            if findings > 0 {
                *entry.redacted.entry(kind).or_default() += u64::from(findings);
            }
        }
    }

    /// Lines that were read and that the source's rules leave out: reason, lines, bytes.
    pub fn filtered<'a>(
        &self,
        source: &Arc<str>,
        what: impl Iterator<Item = (&'a Arc<str>, u64, u64)>,
    ) {
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        for (reason, lines, bytes) in what {
            entry.read += lines;
            let all = entry.filtered.entry(Arc::clone(reason)).or_default();
            *all = (all.0 + lines, all.1 + bytes);
        }
    }

    pub fn end(&self, source: &Arc<str>, outcome: Outcome, lines: u64) {
        if lines == 0 {
            return;
        }
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        entry.in_flight = entry.in_flight.saturating_sub(lines);
        *entry.outcomes.entry(outcome).or_default() += lines;
    }

    /// Whatever is in flight of all sources is returned to its files: the lane has ended.
    pub fn return_all(&self) {
        for entry in self.lock().sources.values_mut() {
            let lines = std::mem::take(&mut entry.in_flight);
            *entry.outcomes.entry(Outcome::Returned).or_default() += lines;
        }
    }

    /// How long ago the file was written to, of lines that are acknowledged now.
    pub fn acked_after(&self, source: &Arc<str>, seconds: f64, lines: u64) {
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        entry.latency.observe(seconds, lines);
    }

    /// Lines that were acknowledged because they were there already.
    pub fn duplicates(&self, source: &Arc<str>, lines: u64) {
        if lines > 0 {
            let mut inner = self.lock();
            let entry = inner.sources.entry(Arc::clone(source)).or_default();
            entry.duplicates += lines;
        }
    }

    pub fn collision(&self, source: &Arc<str>) {
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        entry.collisions += 1;
    }

    pub fn lost(&self, source: &Arc<str>, reason: &'static str, bytes: u64) {
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        *entry.lost.entry(reason).or_default() += bytes;
    }

    /// Something happened to a journal that is followed.
    pub fn journal(&self, source: &Arc<str>, event: &'static str) {
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        *entry.journal.entry(event).or_default() += 1;
    }

    pub fn unreadable(&self, source: &Arc<str>, files: u64) {
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        entry.unreadable = files;
    }

    /// What a look for a file's pod came to.
    pub fn pod(&self, source: &Arc<str>, what: &'static str) {
        let mut inner = self.lock();
        let entry = inner.sources.entry(Arc::clone(source)).or_default();
        *entry.pods.entry(what).or_default() += 1;
    }

    /// One request to `_bulk`; its bytes before it was packed, and as it went out.
    pub fn request(&self, result: &'static str, bytes: u64, packed: u64) {
        let mut inner = self.lock();
        *inner.requests.entry(result).or_default() += 1;
        inner.sent_bytes += bytes;
        inner.packed_bytes += packed;
    }

    pub fn retried(&self, reason: &'static str, lines: u64) {
        *self.lock().retried.entry(reason).or_default() += lines;
    }

    pub fn checked(&self, result: &'static str) {
        *self.lock().checks.entry(result).or_default() += 1;
    }

    /// Lines that a rollover in the wrong moment doubled: undone, or left for want of the right.
    pub fn repeated(&self, removed: u64, left: u64) {
        let mut inner = self.lock();
        inner.repeated_removed += removed;
        inner.repeated_left += left;
    }

    /// The dead letters now on disk, and how many were removed to make room.
    pub fn letters(&self, bytes: u64, removed: u64) {
        let mut inner = self.lock();
        inner.letters_bytes = bytes;
        inner.letters_removed += removed;
    }

    /// Whether the last attempt to send to a data stream failed.
    pub fn failing(&self, stream: &str, failing: bool) {
        self.lock().failing.insert(stream.to_owned(), failing);
    }

    pub fn letters_failed(&self) {
        self.lock().letters_failed += 1;
    }

    /// Fills a page; empty when there never was a lane.
    pub fn page(&self) -> Page {
        let inner = self.lock();
        let mut page = Page::default();
        if inner.sources.is_empty() {
            return page;
        }
        inner.write_sources(&mut page);
        inner.write_sending(&mut page);
        self.budgets.page(&mut page);
        inner.write_cluster(&mut page);
        if let Some(places) = &inner.places {
            write_places(&mut page, places);
        }
        self.intake.write(&mut page);
        page
    }
}

impl Inner {
    fn per_source(
        &self,
        page: &mut Page,
        name: &str,
        help: &str,
        kind: Kind,
        of: fn(&Source) -> u64,
    ) {
        let mut family = page.family(name, help, kind);
        for (name, source) in &self.sources {
            family.sample(&[("source", name.as_bytes())], of(source) as f64);
        }
    }

    fn write_sources(&self, page: &mut Page) {
        use Kind::{Counter, Gauge};
        let mut each = |name: &str, help: &str, kind: Kind, of: fn(&Source) -> u64| {
            self.per_source(page, name, help, kind, of);
        };
        each(
            "kai_agent_log_read_events_total",
            "Lines read.",
            Counter,
            |s| s.read,
        );
        each(
            "kai_agent_log_read_bytes_total",
            "Bytes of files read.",
            Counter,
            |s| s.bytes,
        );
        each(
            "kai_agent_log_events_in_flight",
            "Lines read that have no outcome yet.",
            Gauge,
            |s| s.in_flight,
        );
        each(
            "kai_agent_log_duplicate_events_total",
            "Lines acknowledged because Elasticsearch had them from an earlier attempt.",
            Counter,
            |s| s.duplicates,
        );
        each(
            "kai_agent_log_id_collisions_total",
            "Lines whose id was taken by a document that is not theirs; sent under another id.",
            Counter,
            |s| s.collisions,
        );
        each(
            "kai_agent_log_unreadable_files",
            "Files that match and cannot be opened.",
            Gauge,
            |s| s.unreadable,
        );
        latency::write(
            page,
            "kai_agent_log_latency_seconds",
            "Seconds from the write to a file, as seen when its lines were read, to their acknowledgement.",
            "source",
            self.sources
                .iter()
                .map(|(name, source)| (&**name, &source.latency)),
        );
        let mut family = page.family(
            "kai_agent_log_events_total",
            "Lines by what they ended as; \"returned\" are in their files and are read again.",
            Counter,
        );
        for (name, source) in &self.sources {
            for (outcome, lines) in &source.outcomes {
                let (outcome, reason) = outcome.labels();
                family.sample(
                    &[
                        ("outcome", outcome.as_bytes()),
                        ("reason", reason.as_bytes()),
                        ("source", name.as_bytes()),
                    ],
                    *lines as f64,
                );
            }
            for (reason, (lines, _)) in &source.filtered {
                family.sample(
                    &[
                        ("outcome", b"dropped"),
                        ("reason", reason.as_bytes()),
                        ("source", name.as_bytes()),
                    ],
                    *lines as f64,
                );
            }
        }
        drop(family);
        self.write_bill(page);
        let mut family = page.family(
            "kai_agent_log_pods_total",
            "Files of pods, by what is known of the pod when they begin; \"waiting\" at first.",
            Counter,
        );
        for (name, source) in &self.sources {
            for (metadata, files) in &source.pods {
                let labels = [
                    ("metadata", metadata.as_bytes()),
                    ("source", name.as_bytes()),
                ];
                family.sample(&labels, *files as f64);
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_agent_log_flaws_total",
            "Lines (nul_bytes: bytes) that were not as they should be and were sent all the same.",
            Counter,
        );
        for (name, source) in &self.sources {
            for (flaw, lines) in &source.flaws {
                let labels = [("flaw", flaw.as_bytes()), ("source", name.as_bytes())];
                family.sample(&labels, *lines as f64);
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_agent_log_redactions_total",
            "What was taken out of lines, or replaced by a pseudonym, before they left the node.",
            Counter,
        );
        for (name, source) in &self.sources {
            for (kind, findings) in &source.redacted {
                let labels = [("kind", kind.as_bytes()), ("source", name.as_bytes())];
                family.sample(&labels, *findings as f64);
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_agent_log_journal_events_total",
            "What happened to journals that are followed: restarts of journalctl, cursors lost.",
            Counter,
        );
        for (name, source) in &self.sources {
            for (event, count) in &source.journal {
                let labels = [("event", event.as_bytes()), ("source", name.as_bytes())];
                family.sample(&labels, *count as f64);
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_agent_log_lost_bytes_total",
            "Bytes that went away with their file, or part of it, before they were read.",
            Counter,
        );
        for (name, source) in &self.sources {
            for (reason, bytes) in &source.lost {
                let labels = [("reason", reason.as_bytes()), ("source", name.as_bytes())];
                family.sample(&labels, *bytes as f64);
            }
        }
    }

    /// Lines and bytes by whose they are: what a bill is made of. Sources of one service are one.
    fn write_bill(&self, page: &mut Page) {
        let mut all: BTreeMap<(&str, &str, &str), (u64, u64)> = BTreeMap::new();
        for source in self.sources.values() {
            if source.service.is_empty() && source.team.is_empty() {
                continue;
            }
            let dropped = source.filtered.values();
            let dropped =
                dropped.fold((0, 0), |sum, (lines, bytes)| (sum.0 + lines, sum.1 + bytes));
            let kept = (source.read - dropped.0, source.document_bytes);
            for (outcome, (lines, bytes)) in [("dropped", dropped), ("kept", kept)] {
                let sum = all
                    .entry((outcome, &source.service, &source.team))
                    .or_default();
                *sum = (sum.0 + lines, sum.1 + bytes);
            }
        }
        for (name, help, of) in [
            (
                "kai_agent_log_service_lines_total",
                "Lines by service and team: kept for Elasticsearch, or left out by the source's own rules.",
                (|sum| sum.0) as fn(&(u64, u64)) -> u64,
            ),
            (
                "kai_agent_log_service_bytes_total",
                "Bytes of documents kept, or of lines left out, by service and team.",
                |sum| sum.1,
            ),
        ] {
            let mut family = page.family(name, help, Kind::Counter);
            for ((outcome, service, team), sum) in &all {
                let labels = [
                    ("outcome", outcome.as_bytes()),
                    ("service", service.as_bytes()),
                    ("team", team.as_bytes()),
                ];
                family.sample(&labels, of(sum) as f64);
            }
        }
    }

    fn write_sending(&self, page: &mut Page) {
        use Kind::{Counter, Gauge};
        for (name, help, label, values) in [
            (
                "kai_agent_log_bulk_requests_total",
                "Requests to Elasticsearch's _bulk by how they ended.",
                "result",
                &self.requests,
            ),
            (
                "kai_agent_log_retried_events_total",
                "Lines that had to be sent another time, by the reason.",
                "reason",
                &self.retried,
            ),
            (
                "kai_agent_log_rollover_checks_total",
                "Times that the backing indices were listed before lines were sent again.",
                "result",
                &self.checks,
            ),
        ] {
            let mut family = page.family(name, help, Counter);
            for (value, count) in values {
                family.sample(&[(label, value.as_bytes())], *count as f64);
            }
        }
        page.single(
            "kai_agent_log_sent_bytes_total",
            "Bytes of requests to _bulk before compression.",
            Counter,
            self.sent_bytes as f64,
        );
        page.single(
            "kai_agent_log_packed_bytes_total",
            "Bytes of requests to _bulk as they went out.",
            Counter,
            self.packed_bytes as f64,
        );
        let mut family = page.family(
            "kai_agent_log_repeated_events_total",
            "Lines that a rollover in the wrong moment doubled, and whether the copy was removed.",
            Counter,
        );
        for (result, lines) in [
            ("left", self.repeated_left),
            ("removed", self.repeated_removed),
        ] {
            family.sample(&[("result", result.as_bytes())], lines as f64);
        }
        drop(family);
        let mut family = page.family(
            "kai_agent_log_data_stream_failing",
            "1 while lines of a data stream are not taken and wait to be sent again.",
            Gauge,
        );
        for (stream, failing) in &self.failing {
            let labels = [("data_stream", stream.as_bytes())];
            family.sample(&labels, f64::from(u8::from(*failing)));
        }
        drop(family);
        page.single(
            "kai_agent_log_dead_letter_bytes",
            "Bytes of dead letters on disk.",
            Gauge,
            self.letters_bytes as f64,
        );
        page.single(
            "kai_agent_log_dead_letters_removed_total",
            "Dead letters removed to make room for newer ones.",
            Counter,
            self.letters_removed as f64,
        );
        page.single(
            "kai_agent_log_dead_letter_failures_total",
            "Attempts to write dead letters that failed; the lines are kept and tried again.",
            Counter,
            self.letters_failed as f64,
        );
    }

    /// Who is sent to, and what it can do.
    fn write_cluster(&self, page: &mut Page) {
        use Kind::{Counter, Gauge};
        if let Some(abilities) = &self.abilities {
            let mut family = page.family(
                "kai_agent_log_cluster_info",
                "Always 1; what the cluster that lines go to is and can do.",
                Gauge,
            );
            let yes = |able: bool| if able { &b"yes"[..] } else { b"no" };
            family.sample(
                &[
                    ("packing", abilities.packing.name().as_bytes()),
                    ("product", abilities.product.name().as_bytes()),
                    ("require_data_stream", yes(abilities.require_data_stream)),
                    ("tasks", yes(abilities.tasks)),
                    ("version", abilities.version.as_bytes()),
                ],
                1.0,
            );
        }
        let seen = self.endpoints.as_ref().map(|all| all.seen());
        let seen = seen.unwrap_or_default();
        let mut family = page.family(
            "kai_agent_log_endpoint_in_use",
            "0 while an endpoint is set aside because it failed.",
            Gauge,
        );
        for endpoint in &seen {
            let labels = [("endpoint", endpoint.url.as_bytes())];
            family.sample(&labels, f64::from(u8::from(endpoint.in_use)));
        }
        drop(family);
        let mut family = page.family(
            "kai_agent_log_endpoint_failures_total",
            "Requests for which an endpoint was set aside.",
            Counter,
        );
        for endpoint in &seen {
            let labels = [("endpoint", endpoint.url.as_bytes())];
            family.sample(&labels, endpoint.failures as f64);
        }
    }
}

fn write_places(page: &mut Page, places: &Places) {
    use Kind::{Counter, Gauge};
    let live = places.live();
    let mut each = |name: &str, help: &str, of: fn(&super::places::Live) -> f64| {
        let mut family = page.family(name, help, Gauge);
        for (source, figures) in &live {
            family.sample(&[("source", source.as_bytes())], of(figures));
        }
    };
    each("kai_agent_log_files", "Files that are read.", |live| {
        live.files as f64
    });
    each(
        "kai_agent_log_lag_bytes",
        "Bytes in files that have no outcome yet.",
        |live| live.lag_bytes as f64,
    );
    each(
        "kai_agent_log_oldest_in_flight_seconds",
        "Seconds since the oldest line in flight was read.",
        |live| live.oldest,
    );
    let writes = places.writes();
    page.single(
        "kai_agent_log_checkpoint_writes_total",
        "Checkpoints written.",
        Counter,
        writes.done as f64,
    );
    page.single(
        "kai_agent_log_checkpoint_failures_total",
        "Checkpoints that could not be written.",
        Counter,
        writes.failed as f64,
    );
    page.single(
        "kai_agent_log_checkpoint_timestamp_seconds",
        "Unix time of the newest checkpoint; written only when something changed.",
        Gauge,
        writes.last as f64,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::merge;

    fn text(ledger: &Ledger) -> String {
        let mut out = Vec::new();
        merge([&ledger.page()], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_is_in_exactly_one_place() {
        let ledger = Ledger::default();
        let source: Arc<str> = "a".into();
        assert_eq!(text(&ledger), "");
        ledger.read(
            &source,
            &ReadCount {
                lines: 10,
                bytes: 100,
                repaired: 1,
                ..ReadCount::default()
            },
        );
        ledger.end(&source, Outcome::Acked, 4);
        ledger.end(&source, Outcome::DeadLettered, 2);
        ledger.end(&source, Outcome::Dropped("rejected"), 1);
        assert!(text(&ledger).contains("kai_agent_log_events_in_flight{source=\"a\"} 3\n"));
        ledger.return_all();
        let text = text(&ledger);
        for line in [
            "kai_agent_log_read_events_total{source=\"a\"} 10\n",
            "kai_agent_log_events_in_flight{source=\"a\"} 0\n",
            "kai_agent_log_events_total{outcome=\"acked\",reason=\"\",source=\"a\"} 4\n",
            "kai_agent_log_events_total{outcome=\"dropped\",reason=\"rejected\",source=\"a\"} 1\n",
            "kai_agent_log_events_total{outcome=\"returned\",reason=\"\",source=\"a\"} 3\n",
            "kai_agent_log_flaws_total{flaw=\"invalid_utf8\",source=\"a\"} 1\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
