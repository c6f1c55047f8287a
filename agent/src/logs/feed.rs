//! From the queues of what came over the network into batches: the part that the reader has for
//! files. What a batch holds stays in its queue until it has its outcome.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::batch::{Batch, Pool, Run, Since};
use super::id::Epoch;
use super::places::{FileId, Places, Print};
use super::spool::{Queue, Store};
use super::stream_name::StreamName;

/// An event waits this long for others.
const LINGER: Duration = Duration::from_millis(200);
/// A batch that is free again, and outcomes, are looked for this often while something waits.
const SOON: Duration = Duration::from_millis(20);
const LATER: Duration = Duration::from_secs(1);

/// Data streams by name, and those without one yet.
#[derive(Debug, Default)]
pub struct Streams {
    pub known: HashMap<String, usize>,
    pub free: VecDeque<(usize, StreamName)>,
}

impl Streams {
    fn number(&mut self, name: &str) -> Option<usize> {
        if let Some(number) = self.known.get(name) {
            return Some(*number);
        }
        let (number, reserved) = self.free.pop_front()?;
        reserved.give(name);
        self.known.insert(name.to_owned(), number);
        Some(number)
    }
}

/// A queue whose events this lane sends.
struct Attached {
    queue: Arc<Queue>,
    file: FileId,
    epoch: Epoch,
    stream: usize,
    suspect_below: u64,
    since: Since,
    acked: u64,
    end: u64,
}

pub struct Feeder {
    store: Arc<Store>,
    places: Arc<Places>,
    pool: Arc<Pool>,
    out: mpsc::UnboundedSender<Batch>,
    stop: Arc<AtomicBool>,
    streams: Streams,
    queues: Vec<Attached>,
    open: HashMap<usize, Batch>,
    buffer: Vec<u8>,
    /// The queue that is asked first.
    turn: usize,
    said: bool,
}

impl Feeder {
    pub fn new(
        store: Arc<Store>,
        places: Arc<Places>,
        pool: Arc<Pool>,
        out: mpsc::UnboundedSender<Batch>,
        stop: Arc<AtomicBool>,
        streams: Streams,
    ) -> Self {
        Self {
            store,
            places,
            pool,
            out,
            stop,
            streams,
            queues: Vec::new(),
            open: HashMap::new(),
            buffer: Vec::new(),
            turn: 0,
            said: false,
        }
    }

    /// Hands on events until it is told to stop.
    pub fn run(mut self) {
        let mut seen = 0;
        while !self.stop.load(Ordering::Relaxed) {
            self.attach();
            let waiting = self.round();
            self.seal(waiting);
            let moving = self.acknowledge();
            let limit = if waiting || moving { SOON } else { LATER };
            seen = if waiting {
                // For a batch; that something arrives is nothing new then.
                std::thread::sleep(SOON);
                seen
            } else {
                self.store.wait(seen, limit)
            };
        }
        self.drain();
        for one in &self.queues {
            let acked = self.places.acked(one.file);
            one.queue.detach(acked.unwrap_or(one.acked));
        }
    }

    /// What was handed on gets the time that the lane has for outcomes; so does what waits where
    /// nothing else would keep it.
    fn drain(&mut self) {
        let until = Instant::now() + super::DRAIN;
        while Instant::now() < until {
            let waits = !self.store.is_on_disk() && {
                self.attach();
                self.round() || self.queues.iter().any(|one| one.queue.waiting().1)
            };
            self.seal(true);
            self.acknowledge();
            if !waits && self.pool.is_idle() {
                break;
            }
            std::thread::sleep(SOON);
        }
        self.seal(true);
        self.acknowledge();
    }

    fn attach(&mut self) {
        for queue in self.store.queues() {
            let is_ours = |one: &Attached| Arc::ptr_eq(&one.queue, &queue);
            if self.queues.iter().any(is_ours) {
                continue;
            }
            let Some(stream) = self.streams.number(&queue.stream) else {
                if !std::mem::replace(&mut self.said, true) {
                    tracing::error!(
                        data_stream = %queue.stream,
                        "there are more data streams than were expected; events wait until the \
                         lane starts anew"
                    );
                }
                continue;
            };
            let known = queue
                .folder
                .as_deref()
                .and_then(|folder| self.places.acked_of_queue(folder, queue.epoch()));
            let standing = queue.attach(known.unwrap_or_default());
            let resumed = self.places.adopt(&queue, standing, stream);
            self.queues.push(Attached {
                queue,
                file: resumed.file,
                epoch: resumed.epoch,
                stream,
                suspect_below: resumed.suspect_below,
                since: resumed.since,
                acked: resumed.offset,
                end: standing.end,
            });
        }
    }

    /// Moves what there is; whether something waits for a batch.
    fn round(&mut self) -> bool {
        let mut waits = false;
        let count = self.queues.len();
        // Another one each time, so that a queue which is never empty leaves batches to the others.
        self.turn = self.turn.wrapping_add(1);
        for offset in 0..count {
            waits |= self.serve((self.turn + offset) % count);
        }
        waits
    }

    fn serve(&mut self, index: usize) -> bool {
        let one = &mut self.queues[index];
        loop {
            let (end, waiting) = one.queue.waiting();
            if end != one.end {
                one.end = end;
                self.places.look(one.file, end, 0, None);
            }
            if !waiting {
                one.queue.settle();
                return false;
            }
            let batch = self.open.remove(&one.stream);
            let Some(mut batch) = batch.or_else(|| self.pool.take(one.stream)) else {
                return true;
            };
            if let Some(epoch) = self.places.epoch(one.file) {
                one.epoch = epoch; // after a collision it is another one
            }
            let enough = self.pool.batch_bytes;
            let (epoch, mut lines, mut first, mut written) = (one.epoch, 0, None, 0);
            let upto = one.queue.read(&mut self.buffer, |offset, time, document| {
                batch.begin(epoch, offset);
                batch.body.extend_from_slice(document);
                batch.end();
                lines += 1;
                first.get_or_insert(offset);
                written = time;
                batch.body.len() < enough
            });
            let since = first
                .is_some_and(|first| first < one.suspect_below)
                .then(|| one.since.clone());
            let segment = self
                .places
                .begin(one.file, upto, Print::default(), lines, since.clone());
            if lines > 0 {
                batch.runs.push(Run {
                    file: one.file,
                    segment,
                    source: Arc::clone(&one.queue.source),
                    suspect_below: one.suspect_below,
                    by_content: false,
                    since,
                    written: (
                        written.div_euclid(1000),
                        written.rem_euclid(1000) * 1_000_000,
                    ),
                });
            }
            if batch.body.len() >= enough {
                hand_on(&self.out, &self.pool, batch);
            } else if batch.items.is_empty() {
                self.pool.give(batch);
            } else {
                self.open.insert(one.stream, batch);
            }
        }
    }

    /// Hands on batches whose first event waited long enough; all of them if others wait for one.
    fn seal(&mut self, all: bool) {
        let due: Vec<usize> = self
            .open
            .iter()
            .filter(|(_, batch)| all || batch.since.elapsed() >= LINGER)
            .map(|(stream, _)| *stream)
            .collect();
        for stream in due {
            if let Some(batch) = self.open.remove(&stream) {
                hand_on(&self.out, &self.pool, batch);
            }
        }
    }

    /// Tells the queues what is acknowledged; whether something is still on its way.
    fn acknowledge(&mut self) -> bool {
        let mut moving = !self.open.is_empty();
        for one in &mut self.queues {
            let Some(acked) = self.places.acked(one.file) else {
                continue;
            };
            one.acked = acked;
            one.queue.acked(acked);
            moving |= acked < one.end;
        }
        moving
    }
}

fn hand_on(out: &mpsc::UnboundedSender<Batch>, pool: &Pool, batch: Batch) {
    // The sender is gone only when the lane is; the events stay in their queue then.
    if let Err(unsent) = out.send(batch) {
        pool.give(unsent.0);
    }
}
