//! From scraped pages to requests: what each target's page had last is remembered, so that a series
//! that is gone is marked as ended (stale) and nothing is written twice or backwards in time.
//!
//! Remembered are a hash of each series and the page itself, compressed: the labels of a vanished
//! series are read from it, because they are needed seldom and would take ten times the room.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::labels::{Around, about, join};
use super::request::{Batch, Builder, Point, Row, Same, Versions};
use crate::samples::{Exemplar, Family, Format, Kind, Page, Scraped, Series, Target, Value};

/// Calls its second argument for each series of a page.
pub type Read = fn(&Page, &mut dyn FnMut(&Series<'_>)) -> Result<(), String>;

/// How often 1.0 is told the types and help texts again, as Prometheus does.
const METADATA_EVERY_MS: i64 = 60_000;

/// A target of which nothing was heard for so many of its intervals is no more.
const SILENT_INTERVALS: u32 = 3;
const SHORTEST_SILENCE: Duration = Duration::from_mins(1);

/// What a page came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub batches: Vec<Batch>,
    /// Samples that are not written: twice in the page, or already written.
    pub duplicates: u64,
    /// Samples older than what was written.
    pub out_of_order: u64,
    /// The page could not be read.
    pub malformed: Option<String>,
    /// The page is not newer than the last one of its target; nothing was read.
    pub not_newer: bool,
}

pub struct Targets {
    read: Read,
    external: Vec<(String, String)>,
    batch_samples: u64,
    hasher: RandomState,
    builder: Builder,
    known: HashMap<String, Known>,
}

/// What is known of a target.
struct Known {
    target: Arc<Target>,
    at: i64,
    /// When it was told, by a clock that does not jump.
    heard: Instant,
    interval: Duration,
    /// The series that the last page had, without those that carry a time of their own.
    series: HashSet<u64, Same>,
    /// The last page, compressed.
    page: Vec<u8>,
    format: Format,
    /// Last time of each series that carries its own.
    timed: HashMap<u64, i64, Same>,
    metadata_at: i64,
}

impl Targets {
    pub fn new(read: Read, external: Vec<(String, String)>, batch_samples: u64) -> Self {
        Self {
            read,
            external,
            batch_samples,
            hasher: RandomState::new(),
            builder: Builder::default(),
            known: HashMap::new(),
        }
    }

    /// Series that would be marked as ended.
    pub fn series(&self) -> usize {
        self.known.values().map(|known| known.series.len()).sum()
    }

    /// The requests that a scrape comes to, which was told just now.
    pub fn scraped(&mut self, scraped: &Scraped, heard: Instant, versions: Versions) -> Outcome {
        self.builder.versions(versions);
        let name = &scraped.target.name;
        let mut outcome = Outcome::default();
        let mut known = match self.known.remove(name) {
            Some(known) if scraped.at <= known.at => {
                outcome.not_newer = true;
                self.known.insert(name.clone(), known);
                return outcome;
            }
            Some(known) if known.target.labels != scraped.target.labels => {
                // Another target under the same name; the old one's series end.
                self.end(&known, scraped.at - 1, &mut outcome);
                Known::new(scraped, heard)
            }
            Some(known) => known,
            None => Known::new(scraped, heard),
        };
        if known.at > 0 {
            known.interval = heard.saturating_duration_since(known.heard);
        }
        known.heard = heard;
        match &scraped.page {
            Ok(page) => self.page(page, scraped, &mut known, &mut outcome),
            Err(_) => self.failed(scraped, &mut known, &mut outcome),
        }
        outcome.batches.extend(self.builder.take());
        known.at = scraped.at;
        self.known.insert(name.clone(), known);
        outcome
    }

    fn page(&mut self, page: &Page, scraped: &Scraped, known: &mut Known, outcome: &mut Outcome) {
        let around = Around {
            target: &scraped.target.labels,
            external: &self.external,
        };
        let first = known.at;
        let tell_types = scraped.at - known.metadata_at >= METADATA_EVERY_MS;
        let (builder, hasher, most) = (&mut self.builder, &self.hasher, self.batch_samples);
        let mut now: HashSet<u64, Same> = HashSet::with_capacity_and_hasher(
            known.series.len() + known.series.len() / 8,
            Same::default(),
        );
        let mut timed: HashMap<u64, i64, Same> = HashMap::default();
        let mut batches = Vec::new();
        let (mut duplicates, mut out_of_order, mut samples) = (0, 0, 0_u64);
        let mut told = String::new();
        let result = (self.read)(page, &mut |series| {
            samples += 1;
            let owned = join(series, around);
            let hash = hash(hasher, owned.iter().map(|(n, v)| (n.as_ref(), v.as_ref())));
            if let Some(at) = series.timestamp {
                let last = timed.get(&hash).or_else(|| known.timed.get(&hash)).copied();
                match last {
                    Some(last) if at == last => {
                        timed.insert(hash, at);
                        duplicates += 1;
                        return;
                    }
                    Some(last) if at < last => {
                        timed.insert(hash, last);
                        out_of_order += 1;
                        return;
                    }
                    _ => drop(timed.insert(hash, at)),
                }
            } else if !now.insert(hash) {
                duplicates += 1;
                return;
            }
            if tell_types && told != series.family.name {
                builder.metadata(series.family);
                told.clear();
                told.push_str(&series.family.name);
            }
            let labels: Vec<(&str, &str)> = owned
                .iter()
                .map(|(name, value)| (name.as_ref(), value.as_ref()))
                .collect();
            builder.push(&Row {
                family: Some(series.family),
                labels: &labels,
                point: Point::Value(&series.value),
                timestamp: series.timestamp.unwrap_or(scraped.at),
                created: series.created,
                exemplars: fresh(series.exemplars, first),
            });
            if builder.samples() >= most {
                batches.extend(builder.take());
            }
        });
        if let Err(reason) = result {
            // As Prometheus: a page that is half sound is not half written.
            drop(self.builder.take());
            outcome.malformed = Some(reason);
            return self.failed(scraped, known, outcome);
        }
        outcome.batches = batches;
        outcome.duplicates = duplicates;
        outcome.out_of_order = out_of_order;
        let added = now
            .iter()
            .filter(|hash| !known.series.contains(hash))
            .count();
        let gone: HashSet<u64, Same> = known
            .series
            .iter()
            .filter(|hash| !now.contains(hash) && !timed.contains_key(hash))
            .copied()
            .collect();
        if !gone.is_empty() {
            self.mark(known, &gone, scraped.at, outcome);
        }
        self.about(scraped, true, samples, added, known.at == 0, outcome);
        // A series without a time of its own keeps the memory small: most have none.
        known.timed = timed;
        known.series = now;
        known.format = page.format;
        known.page = snap::raw::Encoder::new()
            .compress_vec(&page.body)
            .unwrap_or_default();
        known.page.shrink_to_fit();
        if tell_types {
            known.metadata_at = scraped.at;
        }
    }

    fn failed(&mut self, scraped: &Scraped, known: &mut Known, outcome: &mut Outcome) {
        self.mark(known, &known.series, scraped.at, outcome);
        known.series = HashSet::default();
        known.page = Vec::new();
        self.about(scraped, false, 0, 0, known.at == 0, outcome);
    }

    /// Marks those of the last page's series as ended that are in `gone`.
    fn mark(&mut self, known: &Known, gone: &HashSet<u64, Same>, at: i64, outcome: &mut Outcome) {
        if gone.is_empty() {
            return;
        }
        let page = match snap::raw::Decoder::new().decompress_vec(&known.page) {
            Ok(body) => Page {
                format: known.format,
                body: body.into(),
            },
            Err(_) => return, // our own bytes
        };
        let around = Around {
            target: &known.target.labels,
            external: &self.external,
        };
        let (builder, hasher, most) = (&mut self.builder, &self.hasher, self.batch_samples);
        let batches = &mut outcome.batches;
        let mut left = gone.clone();
        let _ = (self.read)(&page, &mut |series| {
            let owned = join(series, around);
            let labels: Vec<(&str, &str)> = owned
                .iter()
                .map(|(name, value)| (name.as_ref(), value.as_ref()))
                .collect();
            if series.timestamp.is_some() || !left.remove(&hash(hasher, labels.iter().copied())) {
                return;
            }
            builder.push(&Row {
                family: Some(series.family),
                labels: &labels,
                point: Point::Stale,
                timestamp: at,
                created: None,
                exemplars: &[],
            });
            if builder.samples() >= most {
                batches.extend(builder.take());
            }
        });
    }

    /// The series that every target has.
    fn about(
        &mut self,
        scraped: &Scraped,
        up: bool,
        samples: u64,
        added: usize,
        first: bool,
        outcome: &mut Outcome,
    ) {
        // What pushes to us is no target and is not up or down.
        if scraped.target.labels.is_empty() {
            return;
        }
        let around = Around {
            target: &scraped.target.labels,
            external: &self.external,
        };
        let values = [
            f64::from(u8::from(up)),
            scraped.seconds,
            samples as f64,
            samples as f64,
            added as f64,
        ];
        for ((name, help), value) in ABOUT.iter().zip(values) {
            let family = Family {
                name: (*name).into(),
                kind: Kind::Gauge,
                help: (*help).into(),
                unit: "".into(),
            };
            let value = Value::Number(value);
            if first {
                self.builder.metadata(&family);
            }
            self.builder.push(&Row {
                family: Some(&family),
                labels: &about(name, around),
                point: Point::Value(&value),
                timestamp: scraped.at,
                created: None,
                exemplars: &[],
            });
        }
        if self.builder.samples() >= self.batch_samples {
            outcome.batches.extend(self.builder.take());
        }
    }

    /// Marks everything of a target as ended.
    fn end(&mut self, known: &Known, at: i64, outcome: &mut Outcome) {
        let at = at.max(known.at + 1);
        self.mark(known, &known.series, at, outcome);
        if !known.target.labels.is_empty() {
            let around = Around {
                target: &known.target.labels,
                external: &self.external,
            };
            for (name, _) in ABOUT {
                self.builder.push(&Row {
                    family: None,
                    labels: &about(name, around),
                    point: Point::Stale,
                    timestamp: at,
                    created: None,
                    exemplars: &[],
                });
            }
        }
        outcome.batches.extend(self.builder.take());
    }

    /// Ends the targets of which nothing was heard for long: they were taken out of the
    /// configuration, or are not discovered any more.
    pub fn end_silent(&mut self, heard: Instant, now: i64, versions: Versions) -> Vec<Batch> {
        let silent = |known: &Known| {
            let patience = (known.interval * SILENT_INTERVALS).max(SHORTEST_SILENCE);
            heard.saturating_duration_since(known.heard) > patience
        };
        self.end_those(silent, now, versions)
    }

    /// Ends all: the agent ends.
    pub fn end_all(&mut self, now: i64, versions: Versions) -> Vec<Batch> {
        self.end_those(|_| true, now, versions)
    }

    fn end_those(
        &mut self,
        ends: impl Fn(&Known) -> bool,
        now: i64,
        versions: Versions,
    ) -> Vec<Batch> {
        self.builder.versions(versions);
        let mut outcome = Outcome::default();
        let (gone, kept): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut self.known)
            .into_iter()
            .partition(|(_, known)| ends(known));
        self.known = kept;
        for known in gone.values() {
            self.end(known, now, &mut outcome);
        }
        outcome.batches
    }
}

/// The series that Prometheus adds to each target.
const ABOUT: [(&str, &str); 5] = [
    ("up", "Whether the last scrape of the target succeeded"),
    ("scrape_duration_seconds", "How long the last scrape took"),
    (
        "scrape_samples_scraped",
        "How many samples the target exposed",
    ),
    (
        "scrape_samples_post_metric_relabeling",
        "How many samples remained after relabelling",
    ),
    (
        "scrape_series_added",
        "How many of the series the scrape before did not have",
    ),
];

impl Known {
    fn new(scraped: &Scraped, heard: Instant) -> Self {
        Self {
            target: Arc::clone(&scraped.target),
            at: 0,
            heard,
            interval: Duration::ZERO,
            series: HashSet::default(),
            page: Vec::new(),
            format: Format::Text,
            timed: HashMap::default(),
            // The first page tells the types.
            metadata_at: scraped.at - METADATA_EVERY_MS,
        }
    }
}

/// Those that the scrape before did not show: exemplars stay on a page until newer ones replace
/// them, and come with their time.
fn fresh<'a, 'b>(exemplars: &'a [Exemplar<'b>], before: i64) -> &'a [Exemplar<'b>] {
    let old = |exemplar: &Exemplar<'_>| exemplar.timestamp.is_some_and(|at| at < before);
    if exemplars.iter().all(old) {
        &[]
    } else {
        exemplars
    }
}

fn hash<'a>(hasher: &RandomState, labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut state = hasher.build_hasher();
    for (name, value) in labels {
        name.hash(&mut state);
        value.hash(&mut state);
    }
    state.finish()
}
