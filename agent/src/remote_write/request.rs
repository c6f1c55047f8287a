//! One request of either version, filled series by series. Pure.
//!
//! 1.0: `prometheus.WriteRequest`, labels spelt out in each series, metadata apart.
//! 2.0: `io.prometheus.write.v2.Request`, each text once in a table, metadata with each series.
//! <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use hyper::body::Bytes;

use super::wire::{
    STALE, histogram, plain, put_bytes, put_double, put_int, put_message, put_uint, put_varint,
};
use crate::samples::{Exemplar, Family, Kind, Label, Value};

/// What a series has at one time.
#[derive(Debug, Clone, Copy)]
pub enum Point<'a> {
    Value(&'a Value),
    /// The series has ended.
    Stale,
}

/// One series with its labels complete: sorted by name, the metric's among them.
#[derive(Debug)]
pub struct Row<'a> {
    pub family: Option<&'a Family<'a>>,
    pub labels: &'a [(&'a str, &'a str)],
    pub point: Point<'a>,
    pub timestamp: i64,
    pub created: Option<i64>,
    pub exemplars: &'a [Exemplar<'a>],
}

/// A request that is ready to be sent, in one or both versions.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub samples: u64,
    pub histograms: u64,
    pub exemplars: u64,
    /// Newest sample, milliseconds since 1970.
    pub newest: i64,
    /// Compressed with snappy.
    pub one: Option<Bytes>,
    pub two: Option<Bytes>,
}

impl Batch {
    /// Float samples and histograms.
    pub fn all_samples(&self) -> u64 {
        self.samples + self.histograms
    }
}

/// Which versions are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub one: bool,
    pub two: bool,
}

/// Fills requests; its buffers are kept from one to the next.
#[derive(Debug, Default)]
pub struct Builder {
    one: Option<One>,
    two: Option<Two>,
    batch: Batch,
}

impl Builder {
    /// From the next request on.
    pub fn versions(&mut self, wanted: Versions) {
        if wanted.one != self.one.is_some() {
            self.one = wanted.one.then(One::default);
        }
        if wanted.two != self.two.is_some() {
            self.two = wanted.two.then(Two::default);
        }
    }

    pub fn push(&mut self, row: &Row<'_>) {
        if let Some(one) = &mut self.one {
            one.push(row);
        }
        if let Some(two) = &mut self.two {
            two.push(row);
        }
        match row.point {
            Point::Value(Value::Native(_)) => self.batch.histograms += 1,
            _ => self.batch.samples += 1,
        }
        self.batch.exemplars += row.exemplars.len() as u64;
        self.batch.newest = self.batch.newest.max(row.timestamp);
    }

    /// Metadata of a family; only 1.0 has it apart from the series.
    pub fn metadata(&mut self, family: &Family<'_>) {
        if let Some(one) = &mut self.one {
            one.metadata(family);
        }
    }

    pub fn samples(&self) -> u64 {
        self.batch.all_samples()
    }

    /// The request so far; the next one begins. `None` if there is no sample in it.
    pub fn take(&mut self) -> Option<Batch> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.one = self.one.as_mut().map(One::take);
        batch.two = self.two.as_mut().map(Two::take);
        (batch.all_samples() > 0).then_some(batch)
    }
}

/// Compresses as both versions want it: snappy's block format.
pub fn compress(message: &[u8]) -> Bytes {
    // It fails for inputs of 4 GiB only; a request is far below.
    let mut packed = snap::raw::Encoder::new()
        .compress_vec(message)
        .unwrap_or_default();
    packed.shrink_to_fit();
    packed.into()
}

#[derive(Debug, Default)]
struct One {
    message: Vec<u8>,
}

impl One {
    fn push(&mut self, row: &Row<'_>) {
        put_message(&mut self.message, 1, |out| {
            for (name, value) in row.labels {
                label(out, name, value);
            }
            match row.point {
                Point::Value(Value::Native(native)) => {
                    exemplars(out, row);
                    put_message(out, 4, |out| histogram(out, native, row.timestamp, 0));
                }
                Point::Value(Value::Number(value)) => {
                    sample(out, plain(*value), row.timestamp, 0);
                    exemplars(out, row);
                }
                Point::Stale => sample(out, STALE, row.timestamp, 0),
            }
        });
        fn exemplars(out: &mut Vec<u8>, row: &Row<'_>) {
            for exemplar in row.exemplars {
                put_message(out, 3, |out| {
                    for (name, value) in &exemplar.labels {
                        label(out, name, value);
                    }
                    put_double(out, 2, exemplar.value);
                    put_int(out, 3, exemplar.timestamp.unwrap_or(row.timestamp));
                });
            }
        }
    }

    fn metadata(&mut self, family: &Family<'_>) {
        put_message(&mut self.message, 3, |out| {
            put_uint(out, 1, number(family.kind));
            put_text(out, 2, &family.name);
            put_text(out, 4, &family.help);
            put_text(out, 5, &family.unit);
        });
    }

    fn take(&mut self) -> Bytes {
        let packed = compress(&self.message);
        self.message.clear();
        packed
    }
}

/// `Label` of 1.0.
pub fn label(out: &mut Vec<u8>, name: &str, value: &str) {
    put_message(out, 1, |out| {
        put_text(out, 1, name);
        put_text(out, 2, value);
    });
}

pub fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, number, text.as_bytes());
    }
}

fn sample(out: &mut Vec<u8>, value: f64, timestamp: i64, created: i64) {
    put_message(out, 2, |out| {
        put_double(out, 1, value);
        put_int(out, 2, timestamp);
        put_int(out, 3, created);
    });
}

#[derive(Debug)]
struct Two {
    /// `symbols`, encoded; the first is the empty text.
    symbols: Vec<u8>,
    /// By the text's hash: its number, and where it stands in `symbols`.
    table: HashMap<u64, (u32, u32, u32), Same>,
    hasher: RandomState,
    count: u32,
    series: Vec<u8>,
}

/// The keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub struct Same(u64);

impl std::hash::Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl std::hash::BuildHasher for Same {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

const NO_SYMBOL: [u8; 2] = [4 << 3 | 2, 0];

impl Default for Two {
    fn default() -> Self {
        Self {
            symbols: NO_SYMBOL.to_vec(),
            table: HashMap::default(),
            hasher: RandomState::new(),
            count: 1,
            series: Vec::new(),
        }
    }
}

impl Two {
    fn symbol(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let hash = self.hasher.hash_one(text);
        if let Some((number, start, length)) = self.table.get(&hash)
            && self
                .symbols
                .get(*start as usize..(*start + *length) as usize)
                == Some(text.as_bytes())
        {
            return *number;
        }
        let number = self.count;
        self.count += 1;
        put_bytes(&mut self.symbols, 4, text.as_bytes());
        let start = self.symbols.len() - text.len();
        self.table
            .insert(hash, (number, start as u32, text.len() as u32));
        number
    }

    fn references(
        &mut self,
        labels: impl Iterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    ) -> Vec<u8> {
        let mut packed = Vec::with_capacity(32);
        for (name, value) in labels {
            let name = self.symbol(name.as_ref());
            put_varint(&mut packed, name.into());
            let value = self.symbol(value.as_ref());
            put_varint(&mut packed, value.into());
        }
        packed
    }

    fn push(&mut self, row: &Row<'_>) {
        let labels = self.references(row.labels.iter().copied());
        let exemplars: Vec<(Vec<u8>, &Exemplar<'_>)> = row
            .exemplars
            .iter()
            .map(|exemplar| {
                let labels = exemplar.labels.iter();
                let labels = labels.map(|(name, value): &Label<'_>| (name, value));
                (self.references(labels), exemplar)
            })
            .collect();
        let metadata = row.family.map(|family| {
            (
                number(family.kind),
                self.symbol(&family.help),
                self.symbol(&family.unit),
            )
        });
        put_message(&mut self.series, 5, |out| {
            put_bytes(out, 1, &labels);
            // Where the 2.0 of today's receivers wants it (6 of the series) and where that of
            // later ones does (the sample's own).
            let created = row.created.unwrap_or_default();
            match row.point {
                Point::Value(Value::Native(native)) => {
                    put_message(out, 3, |out| histogram(out, native, row.timestamp, created));
                }
                Point::Value(Value::Number(value)) => {
                    sample(out, plain(*value), row.timestamp, created);
                }
                Point::Stale => sample(out, STALE, row.timestamp, 0),
            }
            for (labels, exemplar) in exemplars {
                put_message(out, 4, |out| {
                    if !labels.is_empty() {
                        put_bytes(out, 1, &labels);
                    }
                    put_double(out, 2, exemplar.value);
                    put_int(out, 3, exemplar.timestamp.unwrap_or(row.timestamp));
                });
            }
            if let Some((kind, help, unit)) = metadata {
                put_message(out, 5, |out| {
                    put_uint(out, 1, kind);
                    put_uint(out, 3, help.into());
                    put_uint(out, 4, unit.into());
                });
            }
            put_int(out, 6, created);
        });
    }

    fn take(&mut self) -> Bytes {
        self.symbols.append(&mut self.series);
        let packed = compress(&self.symbols);
        self.symbols.clear();
        self.symbols.extend_from_slice(&NO_SYMBOL);
        self.table.clear();
        self.count = 1;
        packed
    }
}

/// The number of a type, the same in both versions.
fn number(kind: Kind) -> u64 {
    match kind {
        Kind::Unknown => 0,
        Kind::Counter => 1,
        Kind::Gauge => 2,
        Kind::Histogram => 3,
        Kind::GaugeHistogram => 4,
        Kind::Summary => 5,
        Kind::Info => 6,
        Kind::StateSet => 7,
    }
}
