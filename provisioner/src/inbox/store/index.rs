//! The records without their content, in memory, in the order of their ids; and what is open.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::inbox::message::Message;

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    pub segment: u64,
    pub offset: u64,
    /// Line end included.
    pub len: u32,
}

#[derive(Debug, Default)]
pub struct Index {
    entries: VecDeque<(Arc<Message>, Location)>,
    open: HashMap<String, u64>,
    newest: u64,
}

impl Index {
    /// Adds the next record; ids grow.
    pub fn push(&mut self, message: Message, location: Location) -> Arc<Message> {
        self.newest = self.newest.max(message.id);
        note(&mut self.open, &message);
        let message = Arc::new(message);
        self.entries.push_back((Arc::clone(&message), location));
        message
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The highest id given, 0 before the first.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    pub fn get(&self, id: u64) -> Option<&(Arc<Message>, Location)> {
        let at = self.entries.partition_point(|(message, _)| message.id < id);
        self.entries.get(at).filter(|(message, _)| message.id == id)
    }

    /// Records with an id above `after`, oldest first.
    pub fn after(&self, after: u64) -> impl DoubleEndedIterator<Item = &(Arc<Message>, Location)> {
        let at = self
            .entries
            .partition_point(|(message, _)| message.id <= after);
        self.entries.range(at..)
    }

    /// Forgets records below an id; how many.
    pub fn forget_before(&mut self, id: u64) -> usize {
        let gone = self.entries.partition_point(|(message, _)| message.id < id);
        self.entries.drain(..gone);
        // What was opened by a record that is gone can no longer be shown with its beginning.
        self.open.retain(|_, opened| *opened >= id);
        gone
    }

    /// A copy of what is open, to number a batch by before it is durable.
    pub fn incidents(&self) -> Incidents<'_> {
        Incidents {
            known: &self.open,
            changed: HashMap::new(),
        }
    }
}

/// What a batch changes, seen before it is written.
#[derive(Debug)]
pub struct Incidents<'a> {
    known: &'a HashMap<String, u64>,
    changed: HashMap<String, Option<u64>>,
}

impl Incidents<'_> {
    /// The record that opened what `message` is about: itself when nothing was open.
    pub fn assign(&mut self, message: &Message) -> Option<u64> {
        if !message.verdict.accepted() {
            return None;
        }
        let key = message.pair_key()?;
        let open = match self.changed.get(&key) {
            Some(changed) => *changed,
            None => self.known.get(&key).copied(),
        };
        if message.closes() {
            self.changed.insert(key, None);
            return open;
        }
        if message.opens() {
            let opened = open.unwrap_or(message.id);
            self.changed.insert(key, Some(opened));
            return Some(opened);
        }
        open
    }
}

fn note(open: &mut HashMap<String, u64>, message: &Message) {
    let Some(key) = message.pair_key() else {
        return;
    };
    if message.closes() {
        open.remove(&key);
    } else if message.opens() {
        open.entry(key)
            .or_insert(message.incident.unwrap_or(message.id));
    }
}
