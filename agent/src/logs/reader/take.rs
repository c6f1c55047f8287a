//! Makes documents of what was read: line by line, or event by event.

use std::sync::Arc;

use kai_contract::agent_config::Share;
use kai_lines::about::About;

use super::super::batch::Batch;
use super::super::document::{Line, Shaper};
use super::super::filter::{Filter, Verdict};
use super::super::id::Epoch;
use super::super::join::Joiner;
use super::super::ledger::ReadCount;
use super::super::time;
use crate::business::figures::Counting;
use crate::tap::Listeners;

/// What is not waited for any longer.
#[derive(Debug, Clone, Copy)]
pub struct Last {
    /// The end of a line: nothing more will come.
    pub line: bool,
    /// The lines that could go on with the last event.
    pub event: bool,
}

/// One part of a file on its way into a batch.
pub struct Taking<'a> {
    pub batch: &'a mut Batch,
    pub shaper: &'a mut Shaper,
    /// What the lines are counted for.
    pub counting: Option<Counting<'a>>,
    /// Which lines are not sent, and the place of its fields among the watched ones.
    pub filter: Option<(&'a mut Filter, usize)>,
    /// Who looks, and the source's name.
    pub tapped: Option<(&'a Listeners, &'a Arc<str>)>,
    pub epoch: Epoch,
    /// Where the part begins in its file.
    pub base: u64,
    pub path: &'a [u8],
    pub about: Option<&'a About>,
    pub max_line: usize,
    pub read_at: i64,
    pub count: ReadCount,
}

impl Taking<'_> {
    /// Takes the whole lines from `at` on, until the batch has `enough` bytes; how far it came, and
    /// whether the batch is full.
    pub fn lines(&mut self, data: &[u8], mut at: usize, enough: usize) -> (usize, bool) {
        for newline in memchr::memchr_iter(b'\n', &data[at..]).map({
            let from = at;
            move |newline| from + newline
        }) {
            self.line(at, &data[at..newline], false);
            at = newline + 1;
            if self.batch.body.len() >= enough {
                return (at, true);
            }
        }
        (at, false)
    }

    /// Takes one line, which begins at `at`.
    pub fn line(&mut self, at: usize, text: &[u8], cut: bool) {
        let mut text = text;
        // The first byte tells of most lines that they are neither.
        if text.first().is_none_or(|first| *first <= b' ') {
            let nuls = text.iter().take_while(|byte| **byte == 0).count();
            self.count.nul_bytes += nuls as u64;
            text = &text[nuls..];
            if text.iter().all(u8::is_ascii_whitespace) {
                return;
            }
        }
        if let [rest @ .., b'\r'] = text {
            text = rest;
        }
        let cut = cut || text.len() > self.max_line;
        let line = Line {
            text: &text[..text.len().min(self.max_line)],
            cut,
            split: false,
            read_at: self.read_at,
            stream: None,
            offset: self.base + at as u64,
            path: self.path,
            about: self.about,
        };
        self.document(at, &line);
    }

    /// Takes the events from `at` up to `upto`, where a line ends; how far it came.
    pub fn events(
        &mut self,
        joiner: &mut Joiner,
        data: &[u8],
        (at, upto): (usize, usize),
        flush: bool,
    ) -> usize {
        let max_line = self.max_line;
        let taken = joiner.events(&data[at..], upto - at, flush, max_line, |event| {
            let written = event.time.and_then(time::text);
            let line = Line {
                text: &event.text[..event.text.len().min(max_line)],
                cut: event.text.len() > max_line,
                split: event.split,
                read_at: written.map_or(self.read_at, |time| time.millis),
                stream: event.stream,
                offset: self.base + (at + event.first) as u64,
                path: self.path,
                about: self.about,
            };
            self.count.unwrapped += u64::from(event.unwrapped);
            self.document(at + event.last, &line);
        });
        at + taken
    }

    /// What was taken; `upto` is where in the file it ends.
    pub fn finish(self, upto: u64) -> ReadCount {
        // Before the lines can be acknowledged.
        if let Some(counting) = self.counting {
            counting.done(upto);
        }
        self.count
    }

    /// `last` is where the event's last line begins, which its id tells of.
    fn document(&mut self, last: usize, line: &Line<'_>) {
        self.batch.begin(self.epoch, self.base + last as u64);
        let offset = self.base + last as u64;
        let (counting, filter) = (&mut self.counting, self.filter.as_ref());
        let mut verdict = Verdict::Keep;
        let body = &mut self.batch.body;
        let begun = body.len();
        let epoch = self.epoch;
        let taken = self.shaper.shape_and_tell(body, line, |fields| {
            if let Some(counting) = counting {
                counting.line(offset, fields);
            }
            if let Some((filter, first)) = filter {
                verdict = filter.judge(fields, *first, epoch, offset);
            }
            !matches!(verdict, Verdict::Drop(_))
        });
        let count = &mut self.count;
        match verdict {
            Verdict::Drop(reason) => {
                self.batch.cancel();
                if let Some((filter, _)) = &mut self.filter {
                    filter.count(reason, line.text.len());
                }
            }
            _ => {
                if let Verdict::Sampled(share, by_budget) = verdict {
                    mark(body, share);
                    if let Some((filter, _)) = self.filter.as_mut().filter(|_| by_budget) {
                        filter.kept();
                    }
                }
                if let Some((tapped, source)) = self.tapped {
                    tapped.offer(source, &body[begun..]);
                }
                count.lines += 1;
                count.document_bytes += (body.len() - begun) as u64;
                self.batch.end();
            }
        }
        count.cut += u64::from(line.cut);
        count.split += u64::from(line.split);
        count.invalid_json += u64::from(taken.invalid_json);
        count.unparsed += u64::from(taken.unparsed);
        count.beyond(taken.beyond);
        count.repaired += u64::from(taken.repaired);
        count.bad_timestamps += u64::from(taken.bad_timestamp);
        if taken.redacted.any() {
            count.redacted.merge(taken.redacted);
        }
    }
}

/// Says in a document, with which `body` ends, of which share it is.
pub(in super::super) fn mark(body: &mut Vec<u8>, share: Share) {
    if body.pop_if(|byte| *byte == b'}').is_some() {
        body.extend_from_slice(format!(",\"kai.sampled\":{}}}", share.value()).as_bytes());
    }
}
