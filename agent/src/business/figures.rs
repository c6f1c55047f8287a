//! What was counted, in memory and on disk. One lock around it all, taken per part of a file, per
//! request of spans or per page, never per event.

mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use kai_contract::agent_config::{AgentConfig, Business};
use kai_contract::business::OTHER;
use kai_contract::expression::Scalar;

use super::disk;
use super::follow::Links;
use super::rules::{CounterId, Rule, RuleSet, Rules};
use super::spans::Recent;
use crate::durable;
use crate::logs::document::Fields;
use crate::logs::id::Epoch;

/// Bytes of a label's value at most; a longer one is `other`.
const LONGEST_VALUE: usize = 128;
/// Stands between the values of a key; no byte of UTF-8.
const BETWEEN: u8 = 0xff;
/// A file that so many checkpoints of the log lane did not know is forgotten: more than the
/// generations that the lane keeps of them.
const FORGOTTEN_AFTER: u8 = 3;

/// Names a file for the log lane, over changes of its epoch.
pub type FileKey = u64;

/// What does not change of a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub name: String,
    pub help: String,
    pub unit: String,
    /// Sorted, with the most values of each.
    pub labels: Vec<(String, u32)>,
}

/// One series as it was made durable.
#[derive(Debug, Clone)]
pub struct Shown {
    /// See [`values`].
    pub key: Arc<[u8]>,
    pub value: f64,
    /// Milliseconds since 1970.
    pub created: i64,
    /// When it was new, if that was in this run.
    pub born: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Sum {
    value: f64,
    created: i64,
    /// A clock that no hand moves, so that a value once shown is never 0 again.
    born: Option<Instant>,
}

impl Sum {
    fn new(value: f64) -> Self {
        Self {
            value,
            created: now_millis(),
            born: Some(Instant::now()),
        }
    }
}

/// What a counter has to say of itself.
pub struct Row<'a> {
    pub series: usize,
    pub events: &'a [u64; 3],
    pub overflow: &'a [u64],
    pub bad: u64,
}

/// What `/metrics/business` shows: the last durable snapshot.
#[derive(Debug, Default)]
pub struct Exported {
    /// Milliseconds since 1970.
    pub written: i64,
    pub counters: Vec<(Arc<Meta>, Vec<Shown>)>,
    pub teams: BTreeMap<String, String>,
    pub start_at_zero_ms: u64,
}

#[derive(Debug)]
struct Counter {
    meta: Arc<Meta>,
    /// By label, in the order of `meta.labels`.
    kept: Vec<HashSet<Box<[u8]>>>,
    /// Events whose value was not kept, by label.
    overflow: Vec<u64>,
    /// Events by source, and those whose number was none.
    events: [u64; 3],
    bad: u64,
    series: HashMap<Arc<[u8]>, Sum>,
}

/// Where an event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Metric,
    Log,
    Span,
}

impl From {
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Metric, "metric"),
        (Self::Log, "log"),
        (Self::Span, "span"),
    ];
}

#[derive(Debug)]
struct FileEntry {
    epochs: Vec<Epoch>,
    counted: u64,
    missing: u8,
}

/// Everything that is behind the lock.
#[derive(Debug, Default)]
pub struct Inner {
    counters: BTreeMap<CounterId, Counter>,
    next: CounterId,
    series: usize,
    max_series: usize,
    /// Events that came when there was no room for another series.
    crowded: u64,
    files: BTreeMap<FileKey, FileEntry>,
    next_file: FileKey,
    pub(super) links: Links,
    pub(super) recent: Recent,
    dirty: bool,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Ours while it is open.
    _lock: File,
}

/// How the writing of snapshots goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Writes {
    pub done: u64,
    pub failed: u64,
}

/// The figures; without a section `business` they hold nothing.
#[derive(Debug, Default)]
pub struct Figures {
    inner: Mutex<Inner>,
    /// Held while a snapshot is made and written, so that they are written in their order.
    folder: Mutex<Option<Folder>>,
    config: Mutex<Option<Business>>,
    rules: ArcSwap<Rules>,
    exported: ArcSwapOption<Exported>,
    writes: Mutex<Writes>,
    dirty: AtomicBool,
    said: Mutex<String>,
}

pub fn now_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Figures {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        locked(&self.inner)
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The last durable snapshot; `None` when nothing is configured or nothing was written yet.
    pub fn exported(&self) -> Option<Arc<Exported>> {
        self.exported.load_full()
    }

    pub fn is_configured(&self) -> bool {
        locked(&self.config).is_some()
    }

    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Relaxed)
    }

    pub fn writes(&self) -> Writes {
        *locked(&self.writes)
    }

    /// Says a reason once, until another comes.
    pub fn trouble(&self, reason: &str) {
        let mut said = locked(&self.said);
        if *said != reason {
            reason.clone_into(&mut said);
            tracing::error!(%reason, "business figures");
        }
    }

    /// Whether this configuration is the one that is counted by.
    pub fn follows(&self, config: &AgentConfig) -> bool {
        *locked(&self.config) == config.business
    }

    /// Counts by this configuration from now on. What a counter has stays while its name and the
    /// names of its labels do.
    pub fn configure(&self, config: &AgentConfig) -> Result<(), String> {
        let mut current = locked(&self.config);
        if *current == config.business {
            return Ok(());
        }
        let (Some(business), Some(state)) = (&config.business, &config.state) else {
            self.rules.store(Arc::default());
            self.exported.store(None);
            *self.lock() = Inner::default();
            *locked(&self.folder) = None;
            *current = None;
            return Ok(());
        };
        let mut folder = locked(&self.folder);
        let mut loaded = None;
        if folder.is_none() {
            let failed = |error: io::Error| {
                format!("cannot use the state folder {}: {error}", state.display())
            };
            let (path, lock) = durable::claim(state, "business").map_err(failed)?;
            loaded = disk::load(&path).map_err(failed)?;
            *folder = Some(Folder { path, _lock: lock });
        }
        let exported = {
            let mut inner = self.lock();
            if let Some(record) = loaded.as_ref() {
                inner.take_over(record);
            }
            inner.follow(business);
            let rules = Rules::new(business, |name| inner.id(name));
            inner.begin(business);
            inner.links.keep(&rules, now_millis());
            self.rules.store(Arc::new(rules));
            inner.dirty = true;
            self.dirty.store(true, Ordering::Relaxed);
            // What was loaded is durable; of what was counted since, the next snapshot tells.
            loaded.map(|record| inner.exported(business, record.written))
        };
        drop(folder);
        if let Some(exported) = exported {
            self.exported.store(Some(Arc::new(exported)));
        }
        *current = Some(business.clone());
        drop(current);
        // The page is there from the first scrape on.
        self.store(None)
            .map_err(|error| format!("cannot write what was counted: {error}"))
    }

    /// Writes a snapshot, if something changed, and shows it once it is durable. `live`: the epochs
    /// that the log lane's next checkpoint knows.
    pub fn store(&self, live: Option<&BTreeSet<String>>) -> io::Result<()> {
        let config = locked(&self.config).clone();
        let folder = locked(&self.folder);
        let (Some(business), Some(folder)) = (config, folder.as_ref()) else {
            return Ok(());
        };
        let (record, exported) = {
            let mut inner = self.lock();
            if let Some(live) = live {
                inner.forget_files(live);
            }
            if !std::mem::take(&mut inner.dirty) {
                return Ok(());
            }
            self.dirty.store(false, Ordering::Relaxed);
            let now = now_millis();
            (inner.record(now), inner.exported(&business, now))
        };
        let stored = record
            .to_bytes()
            .map_err(io::Error::other)
            .and_then(|bytes| disk::store(&folder.path, &bytes));
        let mut writes = locked(&self.writes);
        match stored {
            Ok(()) => {
                writes.done += 1;
                self.exported.store(Some(Arc::new(exported)));
                locked(&self.said).clear();
                Ok(())
            }
            Err(error) => {
                writes.failed += 1;
                self.lock().dirty = true;
                self.dirty.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// The file of an epoch, as the last run or this one knows it.
    pub fn file(&self, epoch: Epoch) -> FileKey {
        let mut inner = self.lock();
        let known = inner
            .files
            .iter()
            .find(|(_, file)| file.epochs.contains(&epoch));
        if let Some((key, _)) = known {
            return *key;
        }
        let key = inner.next_file;
        inner.next_file += 1;
        inner.files.insert(
            key,
            FileEntry {
                epochs: vec![epoch],
                counted: 0,
                missing: 0,
            },
        );
        key
    }

    /// A file goes on under another epoch.
    pub fn renamed(&self, before: Epoch, after: Epoch) {
        let mut inner = self.lock();
        let file = inner
            .files
            .values_mut()
            .find(|file| file.epochs.last() == Some(&before));
        if let Some(file) = file {
            file.epochs.push(after);
            inner.dirty = true;
        }
    }

    /// Begins to count lines of a file. Nothing else is counted until what is returned is dropped.
    pub fn counting<'a>(
        &'a self,
        rules: &'a RuleSet,
        service: &'a str,
        file: FileKey,
    ) -> Counting<'a> {
        let inner = self.lock();
        let below = inner.files.get(&file).map_or(0, |file| file.counted);
        Counting {
            figures: self,
            inner,
            rules,
            service,
            file,
            below,
        }
    }

    /// Counts events of other sources.
    pub(super) fn count(&self, count: impl FnOnce(&mut Inner) -> bool) {
        let mut inner = self.lock();
        if count(&mut inner) {
            inner.dirty = true;
            self.dirty.store(true, Ordering::Relaxed);
        }
    }
}

/// Lines of one file that are being counted.
pub struct Counting<'a> {
    figures: &'a Figures,
    inner: MutexGuard<'a, Inner>,
    rules: &'a RuleSet,
    service: &'a str,
    file: FileKey,
    /// Lines that begin before this were counted already.
    below: u64,
}

impl Counting<'_> {
    pub fn line(&mut self, offset: u64, fields: &Fields<'_>) {
        if offset < self.below {
            return;
        }
        let get = |index| fields.get(index);
        for rule in &self.rules.rules {
            if rule.holds(&get) {
                self.inner.event(From::Log, rule, self.service, &get);
            }
        }
    }

    /// The lines before `offset` are counted.
    pub fn done(mut self, offset: u64) {
        if offset > self.below
            && let Some(file) = self.inner.files.get_mut(&self.file)
        {
            file.counted = offset;
            self.inner.dirty = true;
            self.figures.dirty.store(true, Ordering::Relaxed);
        }
    }
}

impl Inner {
    /// Counts one event.
    pub(super) fn event<'a>(
        &mut self,
        from: From,
        rule: &Rule,
        service: &str,
        get: &impl Fn(usize) -> Option<Scalar<'a>>,
    ) {
        let amount = match rule.add {
            None => Some(1.0),
            Some(field) => get(field)
                .and_then(Scalar::number)
                .filter(|amount| *amount >= 0.0),
        };
        match amount {
            Some(amount) => self.add(from, rule, service, get, amount),
            None => {
                if let Some(counter) = self.counters.get_mut(&rule.counter) {
                    counter.bad += 1;
                }
            }
        }
    }

    /// Adds to the series that the fields tell.
    pub(super) fn add<'a>(
        &mut self,
        from: From,
        rule: &Rule,
        service: &str,
        get: &impl Fn(usize) -> Option<Scalar<'a>>,
        amount: f64,
    ) {
        let Some(counter) = self.counters.get_mut(&rule.counter) else {
            return; // taken out of the configuration
        };
        counter.events[from as usize] += 1;
        let key = &mut self.scratch;
        key.clear();
        key.extend_from_slice(service.as_bytes());
        for (index, field) in rule.labels.iter().enumerate() {
            key.push(BETWEEN);
            let value = get(*field).and_then(Scalar::text).unwrap_or_default();
            let text = if value.is_empty() || std::str::from_utf8(value).is_ok() {
                value
            } else {
                OTHER.as_bytes()
            };
            let most = counter.meta.labels[index].1 as usize;
            let kept = &mut counter.kept[index];
            // No value at all is not one of those that are kept.
            if text.is_empty() || text == OTHER.as_bytes() || kept.contains(text) {
                key.extend_from_slice(text);
            } else if kept.len() < most && text.len() <= LONGEST_VALUE {
                kept.insert(text.into());
                key.extend_from_slice(text);
            } else {
                counter.overflow[index] += 1;
                key.extend_from_slice(OTHER.as_bytes());
            }
        }
        if let Some(sum) = counter.series.get_mut(key.as_slice()) {
            sum.value += amount;
            return;
        }
        if self.series >= self.max_series {
            self.crowded += 1;
            key.truncate(service.len());
            for _ in &rule.labels {
                key.push(BETWEEN);
                key.extend_from_slice(OTHER.as_bytes());
            }
            if let Some(sum) = counter.series.get_mut(key.as_slice()) {
                sum.value += amount;
                return;
            }
        }
        self.series += 1;
        counter
            .series
            .insert(key.as_slice().into(), Sum::new(amount));
    }

    fn id(&self, name: &str) -> CounterId {
        self.counters
            .iter()
            .find(|(_, counter)| counter.meta.name == name)
            .map_or(CounterId::MAX, |(id, _)| *id)
    }

    /// What the agent says of itself: by counter events, overflows, events without a number.
    pub(super) fn each_counter(&self, mut tell: impl FnMut(&Meta, &Row<'_>)) {
        for counter in self.counters.values() {
            let row = Row {
                series: counter.series.len(),
                events: &counter.events,
                overflow: &counter.overflow,
                bad: counter.bad,
            };
            tell(&counter.meta, &row);
        }
    }

    pub(super) fn crowded(&self) -> u64 {
        self.crowded
    }
}

impl Counter {
    fn new(meta: Arc<Meta>) -> Self {
        Self {
            kept: meta.labels.iter().map(|_| HashSet::new()).collect(),
            overflow: vec![0; meta.labels.len()],
            events: [0; 3],
            bad: 0,
            series: HashMap::new(),
            meta,
        }
    }
}

/// The values of a series' key: the service, then those of its labels.
pub fn values(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.split(|byte| *byte == BETWEEN)
}
