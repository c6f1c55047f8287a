//! Lines on their way: a fixed number of reused buffers, each the body of one `_bulk` request and
//! a table of what is in it. Their number and size are the lane's memory; when all are out, the
//! reader waits and the lines stay in their files.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::id::{EPOCH, Epoch, ID};
use super::places::FileId;
use super::wake::Wake;

/// What stands before an id in a body.
const ACTION: &[u8] = b"{\"create\":{\"_id\":\"";
const ACTION_END: &[u8] = b"\"}}\n";

/// One document in a body.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// Where its action line begins.
    pub start: usize,
    /// Where its line begins in the file.
    pub offset: u64,
    /// Index in [`Batch::runs`].
    pub run: u32,
}

/// Lines of one file that follow each other.
#[derive(Debug, Clone)]
pub struct Run {
    pub file: FileId,
    /// The file's segment that its outcomes count for.
    pub segment: u64,
    pub source: Arc<str>,
    /// Lines below may have been sent before the agent's last start.
    pub suspect_below: u64,
    /// Its ids tell of what its lines are, not of where they stand: one that is there already is the
    /// same line, whoever sent it.
    pub by_content: bool,
    /// The oldest write index that its lines may have reached; with the number of the observation,
    /// 0 for one from before the agent's start.
    pub since: Option<Since>,
    /// When the file was last written to when these were read, seconds and nanoseconds since 1970.
    pub written: (i64, i64),
}

/// A write index as observed; the empty name stands for "before the first".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    pub observation: u64,
    pub index: Arc<str>,
}

/// One `_bulk` request.
#[derive(Debug)]
pub struct Batch {
    pub stream: usize,
    pub body: Vec<u8>,
    pub items: Vec<Item>,
    pub runs: Vec<Run>,
    /// It was sent, and what became of it is not known.
    pub ambiguous: bool,
    /// Names its requests; 0 before the first.
    pub serial: u64,
    /// Times that it was sent without being wholly answered.
    pub attempts: u32,
    /// When its first line was read.
    pub since: Instant,
    /// From the pool, to which it goes back.
    pooled: bool,
}

impl Batch {
    fn new(stream: usize, pooled: bool) -> Self {
        Self {
            stream,
            body: Vec::new(),
            items: Vec::new(),
            runs: Vec::new(),
            ambiguous: false,
            serial: 0,
            attempts: 0,
            since: Instant::now(),
            pooled,
        }
    }

    /// Begins a document; what is then appended to `body` up to [`Self::end`] is its source.
    pub fn begin(&mut self, epoch: Epoch, offset: u64) {
        self.items.push(Item {
            start: self.body.len(),
            offset,
            run: self.runs.len() as u32,
        });
        self.body.extend_from_slice(ACTION);
        self.body.extend_from_slice(&epoch.id(offset));
        self.body.extend_from_slice(ACTION_END);
    }

    pub fn end(&mut self) {
        self.body.push(b'\n');
    }

    /// Takes back what was begun.
    pub fn cancel(&mut self) {
        if let Some(item) = self.items.pop() {
            self.body.truncate(item.start);
        }
    }

    /// The bytes of an item: action, document and their line ends.
    pub fn bytes(&self, index: usize) -> &[u8] {
        let end = self
            .items
            .get(index + 1)
            .map_or(self.body.len(), |next| next.start);
        &self.body[self.items[index].start..end]
    }

    pub fn id(&self, index: usize) -> &str {
        let start = self.items[index].start + ACTION.len();
        std::str::from_utf8(&self.body[start..start + ID]).unwrap_or_default()
    }

    /// The document alone, without its line end.
    pub fn document(&self, index: usize) -> &[u8] {
        let bytes = self.bytes(index);
        &bytes[ACTION.len() + ID + ACTION_END.len()..bytes.len() - 1]
    }

    pub fn run_of(&self, index: usize) -> &Run {
        &self.runs[self.items[index].run as usize]
    }

    /// Whether an item may have reached Elasticsearch already.
    pub fn suspect(&self, index: usize) -> bool {
        self.ambiguous || self.items[index].offset < self.run_of(index).suspect_below
    }

    pub fn any_suspect(&self) -> bool {
        // Asked of every batch; lines from before the start are in the first ones alone.
        (self.ambiguous || self.runs.iter().any(|run| run.suspect_below > 0))
            && (0..self.items.len()).any(|index| self.suspect(index))
    }

    /// Gives an item another epoch.
    pub fn rename(&mut self, index: usize, epoch: Epoch) {
        let start = self.items[index].start + ACTION.len();
        let id = epoch.id(self.items[index].offset);
        self.body[start..start + EPOCH].copy_from_slice(&id[..EPOCH]);
    }

    /// Keeps the items for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut end = 0;
        let mut kept = 0;
        for index in 0..self.items.len() {
            let start = self.items[index].start;
            let stop = self
                .items
                .get(index + 1)
                .map_or(self.body.len(), |next| next.start);
            if !keep(index) {
                continue;
            }
            self.body.copy_within(start..stop, end);
            self.items[kept] = Item {
                start: end,
                ..self.items[index]
            };
            end += stop - start;
            kept += 1;
        }
        self.items.truncate(kept);
        self.body.truncate(end);
    }

    /// Takes the second half of the items into a batch of its own; `None` if there is only one.
    pub fn split(&mut self) -> Option<Self> {
        let half = self.items.len() / 2;
        if half == 0 {
            return None;
        }
        let start = self.items[half].start;
        let mut other = Self {
            body: self.body.split_off(start),
            items: self.items.split_off(half),
            runs: self.runs.clone(),
            ..Self::new(self.stream, false)
        };
        for item in &mut other.items {
            item.start -= start;
        }
        other.since = self.since;
        (other.ambiguous, other.serial, other.attempts) =
            (self.ambiguous, self.serial, self.attempts);
        Some(other)
    }
}

/// The batches. Each data stream may always have [`Pool::reserved`] of them, whatever the others
/// hold, and no one more than half: one whose lines are not taken keeps what it has for hours, and
/// the others go on with the rest.
#[derive(Debug)]
pub struct Pool {
    inner: Mutex<Inner>,
    wake: Arc<Wake>,
    limit: usize,
    per_stream: usize,
    reserved: usize,
    /// Bytes at which a batch is full.
    pub batch_bytes: usize,
}

#[derive(Debug)]
struct Inner {
    free: Vec<Batch>,
    out: usize,
    by_stream: Vec<usize>,
    /// Batches that streams which have fewer than their reserved ones may yet want.
    owed: usize,
}

/// Room for the line with which a batch is full.
const SLACK: usize = 64 << 10;

/// Most that one request has: enough that a request's own cost does not count.
const LARGEST_BATCH: usize = 2 << 20;
const SMALLEST_BATCH: usize = 64 << 10;

/// One is sent while the next is filled.
const RESERVED: usize = 2;

impl Pool {
    pub fn new(memory_bytes: u64, streams: usize, wake: Arc<Wake>) -> Self {
        let memory = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
        // With many data streams there are more batches, and they are smaller.
        let parts = if streams > 1 {
            (RESERVED * streams).max(8)
        } else {
            8
        };
        let batch_bytes = (memory / parts).clamp(SMALLEST_BATCH, LARGEST_BATCH);
        let limit = (memory / batch_bytes).max(2);
        // More data streams than the memory has room for share it as it comes.
        let reserved = (limit / streams.max(1)).min(RESERVED);
        Self {
            inner: Mutex::new(Inner {
                free: Vec::new(),
                out: 0,
                by_stream: vec![0; streams],
                owed: reserved * streams,
            }),
            wake,
            limit,
            per_stream: if streams > 1 {
                (limit / 2).max(1)
            } else {
                limit
            },
            reserved,
            batch_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty batch, if one may be had now.
    pub fn take(&self, stream: usize) -> Option<Batch> {
        let mut inner = self.lock();
        let has = inner.by_stream[stream];
        // One of its own, or one that is owed to nobody.
        let own = has < self.reserved;
        let spare = self.limit.saturating_sub(inner.out + inner.owed);
        if inner.out >= self.limit || has >= self.per_stream || !(own || spare > 0) {
            return None;
        }
        inner.owed -= usize::from(own);
        inner.out += 1;
        inner.by_stream[stream] += 1;
        let mut batch = inner.free.pop().unwrap_or_else(|| {
            let mut batch = Batch::new(stream, true);
            // Once and for all: growing by doubling would leave twice the memory.
            batch.body.reserve_exact(self.batch_bytes + SLACK);
            batch
        });
        batch.stream = stream;
        batch.since = Instant::now();
        Some(batch)
    }

    pub fn give(&self, mut batch: Batch) {
        if !batch.pooled {
            return;
        }
        batch.body.clear();
        batch.items.clear();
        batch.runs.clear();
        (batch.ambiguous, batch.serial, batch.attempts) = (false, 0, 0);
        // A few very long lines must not make it large for ever.
        batch.body.shrink_to(self.batch_bytes + SLACK);
        let mut inner = self.lock();
        inner.out -= 1;
        let stream = batch.stream;
        inner.by_stream[stream] -= 1;
        inner.owed += usize::from(inner.by_stream[stream] < self.reserved);
        inner.free.push(batch);
        drop(inner);
        self.wake.wake();
    }

    /// None is left for anybody.
    pub fn is_empty(&self) -> bool {
        self.lock().out >= self.limit
    }

    /// No batch is out.
    pub fn is_idle(&self) -> bool {
        self.lock().out == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(count: u64) -> Batch {
        let mut batch = Batch::new(0, false);
        batch.runs.push(Run {
            file: 1,
            segment: 0,
            source: "s".into(),
            suspect_below: 2,
            by_content: false,
            since: None,
            written: (0, 0),
        });
        let epoch = Epoch::new();
        for offset in 0..count {
            batch.begin(epoch, offset);
            batch.items.last_mut().unwrap().run = 0;
            batch
                .body
                .extend_from_slice(format!("{{\"n\":{offset}}}").as_bytes());
            batch.end();
        }
        batch
    }

    fn documents(batch: &Batch) -> Vec<String> {
        (0..batch.items.len())
            .map(|index| String::from_utf8(batch.document(index).to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn what_is_kept_stays_whole() {
        let mut batch = batch(5);
        let id = batch.id(3).to_owned();
        batch.retain(|index| index % 2 == 1);
        assert_eq!(documents(&batch), ["{\"n\":1}", "{\"n\":3}"]);
        assert_eq!(batch.id(1), id);
        assert_eq!(batch.items[1].offset, 3);
        assert!(batch.suspect(0) && !batch.suspect(1));
        batch.retain(|_| false);
        assert!(batch.body.is_empty() && batch.items.is_empty());
    }

    #[test]
    fn halves_make_the_whole() {
        let mut first = batch(5);
        let second = first.split().unwrap();
        let all = [documents(&first), documents(&second)].concat();
        assert_eq!(all, documents(&batch(5)));
        assert!(batch(1).split().is_none());
    }

    #[test]
    fn another_epoch_changes_the_id_alone() {
        let mut batch = batch(2);
        let (before, epoch) = (batch.id(1).to_owned(), Epoch::new());
        batch.rename(1, epoch);
        assert_eq!(batch.id(1).as_bytes(), epoch.id(1));
        assert_eq!(batch.id(1)[EPOCH..], before[EPOCH..]);
        assert_eq!(documents(&batch), ["{\"n\":0}", "{\"n\":1}"]);
    }

    #[test]
    fn the_pool_is_bounded_and_fair() {
        let pool = Pool::new(8 << 20, 2, Arc::new(Wake::new().unwrap()));
        let of_first: Vec<_> = std::iter::from_fn(|| pool.take(0)).collect();
        let of_second: Vec<_> = std::iter::from_fn(|| pool.take(1)).collect();
        assert_eq!((of_first.len(), of_second.len()), (4, 4));
        for batch in of_first {
            pool.give(batch);
        }
        assert!(!pool.is_idle() && pool.take(0).is_some());
    }

    #[test]
    fn two_that_stall_leave_the_third_its_own() {
        let pool = Pool::new(8 << 20, 3, Arc::new(Wake::new().unwrap()));
        let all = |stream| std::iter::from_fn(|| pool.take(stream)).collect::<Vec<_>>();
        let stalled = (all(0), all(1));
        assert_eq!((stalled.0.len(), stalled.1.len()), (4, 2));
        for _ in 0..3 {
            let of_third = all(2);
            assert_eq!(of_third.len(), 2);
            for batch in of_third {
                pool.give(batch);
            }
        }
    }

    #[test]
    fn a_hundred_that_stall_leave_the_last_its_own() {
        let pool = Pool::new(16 << 20, 101, Arc::new(Wake::new().unwrap()));
        let mut held = Vec::new();
        for stream in 0..100 {
            held.extend(std::iter::from_fn(|| pool.take(stream)));
        }
        let bytes = |batch: &Batch| batch.body.capacity() - SLACK;
        assert!(held.iter().map(bytes).sum::<usize>() <= 16 << 20);
        assert_eq!(std::iter::from_fn(|| pool.take(100)).count(), 2);
    }

    proptest::proptest! {
        #[test]
        fn nobody_is_starved_and_nothing_is_exceeded(
            streams in 1_usize..9, memory in 1_u64..(32 << 20), steps: Vec<(bool, u8)>
        ) {
            let pool = Pool::new(memory, streams, Arc::new(Wake::new().unwrap()));
            let mut held: Vec<Vec<Batch>> = (0..streams).map(|_| Vec::new()).collect();
            for (take, stream) in steps {
                let stream = usize::from(stream) % streams;
                if take {
                    held[stream].extend(pool.take(stream));
                } else if let Some(batch) = held[stream].pop() {
                    pool.give(batch);
                }
                let out: usize = held.iter().map(Vec::len).sum();
                proptest::prop_assert!(out <= pool.limit);
                let most = held.iter().map(Vec::len).max().unwrap_or_default();
                proptest::prop_assert!(most <= pool.per_stream);
                // Whoever has fewer than his own gets one.
                if pool.per_stream >= pool.reserved {
                    let poor = (0..streams).find(|stream| held[*stream].len() < pool.reserved);
                    if let Some(poor) = poor {
                        let batch = pool.take(poor);
                        proptest::prop_assert!(batch.is_some());
                        if let Some(batch) = batch {
                            pool.give(batch);
                        }
                    }
                }
            }
            held.into_iter().flatten().for_each(|batch| pool.give(batch));
            proptest::prop_assert!(pool.is_idle());
        }
    }
}
