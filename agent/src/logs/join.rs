//! Events of several lines: parts of a line that a container runtime cut, stack traces, whatever a
//! pattern says. Nothing is held back in memory: an event that may go on stays in its file, and the
//! place does not pass it until it is whole, its file has been quiet for a while, or it is as large
//! as an event may be.
//!
//! Lines of a container's two streams stand in one file in any order. Each stream has its events of
//! its own; what is handed on ends where no event is open, so that a place is one number.

use std::ops::Range;

use regex::bytes::Regex;

use super::parse::container::{self, Part};

pub mod traces;

use traces::{Language, Trace};

/// Events of more lines than this are split, unless the source says otherwise.
pub const MOST_LINES: usize = 1000;

/// What wraps each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapper {
    Cri,
    Docker,
    /// Each line tells by itself.
    Either,
}

/// Which lines are one event.
#[derive(Debug)]
pub enum Rule {
    /// Every line is one.
    Lines,
    /// An event begins with a line that matches.
    Begins(Regex),
    /// A line that matches goes on with the event before it.
    Continues(Regex),
    /// A stack trace belongs to the line before it.
    Trace(Language),
}

/// An event and where it stands in the data that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Where its first line begins.
    pub first: usize,
    /// Where its last line begins: two events that begin at the same place, one of which was ended
    /// too early by a pause, are told apart by it.
    pub last: usize,
    pub text: &'a [u8],
    /// The wrapper's time and stream.
    pub time: Option<&'a [u8]>,
    pub stream: Option<&'a [u8]>,
    /// It was ended because it is as large as an event may be; the next one goes on with it.
    pub split: bool,
    /// The wrapper could not be read: the line is as it stands.
    pub unwrapped: bool,
}

#[derive(Debug)]
struct Group {
    stream: usize,
    first: usize,
    last: usize,
    /// After its last line.
    end: usize,
    lines: usize,
    /// In `Joiner::text`; empty for a single line that stands in the data as it is.
    joined: Option<Vec<u8>>,
    /// Where a single line stands.
    single: Range<usize>,
    time: Option<Range<usize>>,
    /// A part of a line is still missing.
    partial: bool,
    open: bool,
    split: bool,
    unwrapped: bool,
}

/// Joins the lines of one source. It keeps nothing from call to call but memory to use again.
#[derive(Debug)]
pub struct Joiner {
    wrapper: Option<Wrapper>,
    rule: Rule,
    most_lines: usize,
    groups: Vec<Group>,
    traces: [Trace; 3],
}

/// Streams by number: none, standard output, standard error.
const NAMES: [Option<&[u8]>; 3] = [None, Some(b"stdout"), Some(b"stderr")];

impl Joiner {
    pub fn new(wrapper: Option<Wrapper>, rule: Rule, most_lines: usize) -> Self {
        let language = match &rule {
            Rule::Trace(language) => *language,
            _ => Language::Java,
        };
        Self {
            wrapper,
            rule,
            most_lines: most_lines.max(1),
            groups: Vec::new(),
            traces: [
                Trace::new(language),
                Trace::new(language),
                Trace::new(language),
            ],
        }
    }

    /// Whether nothing is joined but the parts that a runtime made of a line.
    pub fn joins_parts_alone(&self) -> bool {
        self.wrapper.is_some() && matches!(self.rule, Rule::Lines)
    }

    /// Tells the events in `data`, which begins at the beginning of a line, and returns how many of
    /// its bytes they are. `upto` is where the last whole line ends; with `flush` nothing more is
    /// waited for. An event is at most `largest` bytes.
    pub fn events(
        &mut self,
        data: &[u8],
        upto: usize,
        flush: bool,
        largest: usize,
        mut each: impl FnMut(&Event<'_>),
    ) -> usize {
        self.groups.clear();
        for trace in &mut self.traces {
            trace.reset();
        }
        let mut open: [Option<usize>; 3] = [None; 3];
        let mut at = 0;
        while at < upto {
            let end = memchr::memchr(b'\n', &data[at..upto]).map_or(upto, |length| at + length);
            self.line(data, at..end, &mut open, largest);
            at = end + 1;
        }
        // Nothing follows a line of its own.
        if !flush {
            for group in open.into_iter().flatten() {
                let group = &mut self.groups[group];
                group.open = group.partial || !matches!(self.rule, Rule::Lines);
            }
        }
        let cut = self.cut(upto);
        for group in self.groups.iter().filter(|group| group.end <= cut) {
            let text = group.joined.as_deref();
            let mut text = text.unwrap_or_else(|| &data[group.single.clone()]);
            while let [rest @ .., b'\n'] = text {
                text = rest;
            }
            each(&Event {
                first: group.first,
                last: group.last,
                text,
                time: group.time.clone().map(|at| &data[at]),
                stream: NAMES[group.stream],
                split: group.split,
                unwrapped: group.unwrapped,
            });
        }
        cut
    }

    /// Where what can be handed on ends: before the first open event, and before every event that
    /// this would divide.
    fn cut(&self, upto: usize) -> usize {
        let open = self.groups.iter().filter(|group| group.open);
        let mut cut = open.map(|group| group.first).min().unwrap_or(upto);
        loop {
            let divided = self
                .groups
                .iter()
                .filter(|group| group.first < cut && group.end > cut)
                .map(|group| group.first)
                .min();
            match divided {
                Some(first) => cut = first,
                None => return cut,
            }
        }
    }

    fn line(
        &mut self,
        data: &[u8],
        at: Range<usize>,
        open: &mut [Option<usize>; 3],
        largest: usize,
    ) {
        let raw = trimmed(data, at.clone());
        let line = &data[raw.clone()];
        let end = (at.end + 1).min(data.len());
        let part = self.unwrap(line);
        let within = |inner: &[u8]| {
            let start = inner.as_ptr() as usize - data.as_ptr() as usize;
            start..start + inner.len()
        };
        let (stream, text, borrowed, time, partial) = match &part {
            Some(part) => {
                let stream = if part.stream == b"stderr" { 2 } else { 1 };
                let borrowed = matches!(part.text, std::borrow::Cow::Borrowed(_));
                (
                    stream,
                    part.text.as_ref(),
                    borrowed,
                    Some(within(part.time)),
                    part.partial,
                )
            }
            None => (0, line, true, None, false),
        };
        // A line that nothing wraps, where one should: it is an event of its own.
        let unwrapped = part.is_none() && self.wrapper.is_some();
        if let Some(number) = open[stream] {
            let group = &self.groups[number];
            let rest_of_line = group.partial;
            let size = group.joined.as_ref().map_or(group.single.len(), Vec::len);
            let fits = size + 1 + text.len() <= largest && group.lines < self.most_lines;
            let begins = !rest_of_line && self.begins(stream, text);
            if !begins && (fits || rest_of_line && size + text.len() <= largest) {
                let group = &mut self.groups[number];
                let joined = group
                    .joined
                    .get_or_insert_with(|| data[group.single.clone()].to_vec());
                if !rest_of_line {
                    joined.push(b'\n');
                    group.lines += 1;
                }
                joined.extend_from_slice(text);
                (group.last, group.end, group.partial) = (at.start, end, partial);
                return;
            }
            if !begins {
                self.groups[number].split = true;
            }
        }
        self.begins_anew(stream, text);
        // What is empty is no event, unless one goes on with it.
        if text.iter().all(u8::is_ascii_whitespace) && !partial {
            // Its bytes are passed with what is around it.
            return;
        }
        open[stream] = (!unwrapped).then_some(self.groups.len());
        self.groups.push(Group {
            stream,
            first: at.start,
            last: at.start,
            end,
            lines: 1,
            single: if borrowed { within(text) } else { 0..0 },
            joined: (!borrowed).then(|| text.to_vec()),
            time,
            partial,
            open: false,
            split: false,
            unwrapped,
        });
    }

    fn unwrap<'a>(&self, line: &'a [u8]) -> Option<Part<'a>> {
        match self.wrapper? {
            Wrapper::Cri => container::cri(line),
            Wrapper::Docker => container::docker(line),
            Wrapper::Either if line.first() == Some(&b'{') => container::docker(line),
            Wrapper::Either => container::cri(line),
        }
    }

    /// Whether a line that could go on with the event before it begins one of its own.
    fn begins(&mut self, stream: usize, line: &[u8]) -> bool {
        match &self.rule {
            Rule::Lines => true,
            Rule::Begins(expression) => expression.is_match(line),
            Rule::Continues(expression) => !expression.is_match(line),
            Rule::Trace(_) => !self.traces[stream].continues(line),
        }
    }

    /// Tells a trace that this line is the first of an event.
    fn begins_anew(&mut self, stream: usize, line: &[u8]) {
        if matches!(self.rule, Rule::Trace(_)) {
            self.traces[stream].begin(line);
        }
    }
}

/// Without a carriage return before its end, and without the zeroes that a crash leaves at its
/// beginning.
fn trimmed(data: &[u8], at: Range<usize>) -> Range<usize> {
    let line = &data[at.clone()];
    let zeroes = line.iter().take_while(|byte| **byte == 0).count();
    let end = at.end - usize::from(line.last() == Some(&b'\r') && line.len() > zeroes);
    at.start + zeroes..end
}

#[cfg(test)]
mod tests;
