//! A line that a container runtime cut, with a rotation between its parts: the first ones stand at the
//! end of the old file, the rest at the beginning of the new one. The new file is not begun before
//! the old one was read to its end; where that is in the middle of a line, the line's rest is taken from
//! the new file, and both places move only when it is acknowledged.
//!
//! The event is the old file's: its id is the one that its last part would have if the new file's
//! lines stood behind the old one's. So a crash in between makes no second one.

use std::io;
use std::time::{Duration, Instant};

use super::past::Left;
use super::tail::{After, Key, Tail};
use super::take::Taking;
use super::{READ, Reader, now_millis, past};
use crate::logs::batch::Run;
use crate::logs::ledger::ReadCount;

/// Less than the time after which a line without its rest is taken as it is.
const WAIT: Duration = Duration::from_secs(4);

impl Reader {
    /// New files wait for the ones that they follow.
    pub(super) fn order_after_rotation(&mut self) {
        for index in 0..self.files.tails.len() {
            let new = &self.files.tails[index];
            if new.after != After::Unknown {
                continue;
            }
            let joiner = self.sources[new.source].joiner.as_ref();
            let joins = matches!(joiner, Some(joiner) if joiner.joins_parts_alone());
            let before = (joins && new.id.is_none() && new.offset == 0)
                .then(|| self.follows(new))
                .flatten();
            self.files.tails[index].after =
                before.map_or(After::Nothing, |key| After::Waits(key, Instant::now()));
        }
    }

    /// The file whose place a new one took.
    fn follows(&self, new: &Tail) -> Option<Key> {
        let left = Left::of(new);
        let of_it = |old: &&Tail| {
            old.id.is_some()
                && old.source == new.source
                && old.key != new.key
                && (old.path == new.path || past::is_rotation_of(&left, &old.path))
        };
        let all = self.files.tails.iter().filter(of_it);
        all.max_by_key(|old| old.modified).map(|old| old.key)
    }

    /// Lets new files begin, with the rest of a line where one stands there.
    pub(super) fn stitch(&mut self) -> bool {
        let waiting: Vec<(Key, Key, Instant)> = self
            .files
            .tails
            .iter()
            .filter_map(|tail| match tail.after {
                After::Waits(old, since) => Some((tail.key, old, since)),
                _ => None,
            })
            .collect();
        let mut any = false;
        for (new, old, since) in waiting {
            let done = self.stitch_one(new, old, since).unwrap_or(true);
            if let Some(at) = self.index_of(new)
                && done
            {
                self.files.tails[at].after = After::Nothing;
                any = true;
            }
        }
        any
    }

    fn index_of(&self, key: Key) -> Option<usize> {
        self.files.tails.iter().position(|tail| tail.key == key)
    }

    /// Whether the new file need not wait any longer.
    fn stitch_one(&mut self, new: Key, old: Key, since: Instant) -> io::Result<bool> {
        let (Some(at), Some(old_at)) = (self.index_of(new), self.index_of(old)) else {
            return Ok(true);
        };
        let before = &self.files.tails[old_at];
        if let Some(taken) = self.files.tails[at].taken {
            // Its outcome, however long that takes: what the new file has of it is there until then.
            if before.id.is_some_and(|id| !self.places.is_settled(id)) {
                return Ok(false);
            }
            return self.skip_taken(at, taken).map(|()| true);
        }
        let size = before.look()?.size;
        if before.offset >= size {
            return Ok(true);
        }
        if since.elapsed() >= WAIT {
            return Ok(true);
        }
        if before.exhausted == Some(size) {
            self.join_across(old_at, at)?;
        }
        Ok(false)
    }

    /// The new file's first bytes belong to what the old one ended with.
    fn skip_taken(&mut self, at: usize, taken: u64) -> io::Result<()> {
        let mut tail = self.files.tails.swap_remove(at);
        tail.size = tail.look()?.size;
        let begun = self.begin(&mut tail).and_then(|()| tail.seek(taken));
        if begun.is_ok()
            && let Some(id) = tail.id
        {
            let print = tail.content().tail;
            self.places.begin(id, taken, print, 0, None);
        }
        self.files.tails.push(tail);
        begun
    }

    /// Takes the old file's last line with its rest from the new one, if that is there.
    fn join_across(&mut self, old_at: usize, new_at: usize) -> io::Result<()> {
        let old = &self.files.tails[old_at];
        let (Some(id), source) = (old.id, old.source) else {
            return Ok(());
        };
        let rest = (old.size - old.offset) as usize;
        if rest > 2 * self.max_line.max(READ) {
            return Ok(());
        }
        let mut data = old.bytes(old.offset, rest)?;
        if data.len() < rest || data.last() != Some(&b'\n') {
            return Ok(());
        }
        data.extend(self.files.tails[new_at].bytes(0, self.max_line.max(READ))?);
        let max_line = self.max_line;
        let Some(joiner) = &mut self.sources[source].joiner else {
            return Ok(());
        };
        // The least that leaves no line open, so that it is the same whenever it is looked for.
        let ends = memchr::memchr_iter(b'\n', &data[rest..]).map(|at| rest + at + 1);
        let whole = ends
            .take(1000)
            .find(|upto| joiner.events(&data, *upto, false, max_line, |_| {}) == *upto);
        let Some(upto) = whole else {
            return Ok(());
        };
        let Some(epoch) = self
            .places
            .ready(id, old.offset + data.len() as u64 + READ as u64)
        else {
            return Ok(());
        };
        let stream = self.sources[source].stream;
        let batch = self.files.open[stream]
            .take()
            .or_else(|| self.pool.take(stream));
        let Some(mut batch) = batch else {
            return Ok(());
        };
        let old = &mut self.files.tails[old_at];
        let source = &mut self.sources[source];
        let rules = source.rules.clone();
        let counting = rules
            .as_deref()
            .zip(old.counted)
            .map(|(rules, file)| self.figures.counting(rules, &source.name, file));
        let tapped = self.ledger.taps.listeners();
        let mut taking = Taking {
            tapped: tapped.as_ref().map(|tapped| (tapped, &source.name)),
            batch: &mut batch,
            shaper: &mut source.shaper,
            counting,
            filter: source.filter.as_mut().map(|filter| {
                let first = rules.as_deref().map_or(0, |rules| rules.fields.len());
                (filter, first)
            }),
            epoch,
            base: old.offset,
            path: &old.member,
            about: old.owner.about(),
            max_line,
            read_at: now_millis(),
            count: ReadCount::default(),
        };
        if let Some(joiner) = &mut source.joiner {
            taking.events(joiner, &data, (0, upto), false);
        }
        let mut count = taking.finish(old.offset + upto as u64);
        count.bytes = upto as u64;
        let since = (old.offset < old.suspect_below)
            .then(|| old.since.clone())
            .flatten();
        // Ids beyond the old file's end may have been sent, too.
        let suspect_below = if since.is_some() {
            old.offset + data.len() as u64
        } else {
            old.suspect_below
        };
        let print = old.advance(&data, 0, rest);
        old.exhausted = Some(old.size);
        self.ledger.read(&source.name, &count);
        if let Some(filter) = &mut source.filter {
            self.ledger.filtered(&source.name, filter.drain());
        }
        let lines = count.lines as usize;
        let segment = self
            .places
            .begin(id, old.offset, print, lines, since.clone());
        if lines > 0 {
            batch.runs.push(Run {
                file: id,
                segment,
                source: source.name.clone(),
                suspect_below,
                by_content: false,
                since,
                written: old.modified,
            });
        }
        self.files.tails[new_at].taken = Some((upto - rest) as u64);
        self.keep(stream, batch);
        Ok(())
    }
}
