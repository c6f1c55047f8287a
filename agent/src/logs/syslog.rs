//! Syslog over UDP, TCP and TLS: listeners that make documents of messages and put them into the
//! source's queue. Datagrams that find no room are dropped, counted; connections are not read from
//! until there is room.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kai_contract::agent_config::{LogFormat, LogSource};
use kai_contract::expression::Scalar;
use tokio::sync::watch;

use super::budget::{self, Team};
use super::document::{Form, Line, NO_OFFSET, Shaper};
use super::filter::{Filter, Verdict};
use super::intake::meters::Meters;
use super::ledger::{Ledger, Outcome, ReadCount};
use super::spool::{Part, Queue, Refused, Store, record};
use super::{FieldBudget, json, source};
use crate::privacy::Redactor;

pub mod frame;
pub mod kernel_drops;
pub mod sockets;
mod tcp;
mod tls;
mod udp;

use sockets::Sockets;

/// A listener that cannot be opened is tried again after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// What the listeners of one source share.
pub struct Taker {
    pub name: Arc<str>,
    pub config: kai_contract::agent_config::Syslog,
    shaper: Mutex<(Shaper, Option<Filter>)>,
    names: Arc<FieldBudget>,
    /// Where the filter's fields begin among the watched ones.
    first: usize,
    /// The source's fields have one; else it is the message's.
    own_host: bool,
    pub max_line: usize,
    store: Arc<Store>,
    queue: Arc<Queue>,
    ledger: Arc<Ledger>,
    /// Whose budget its messages spend, and whether they may be left out when it is spent.
    spends: Option<Arc<Team>>,
    expendable: bool,
}

/// Messages on their way into the queue.
#[derive(Default)]
pub struct Arriving {
    records: Vec<u8>,
    count: ReadCount,
    document: Vec<u8>,
}

impl Arriving {
    pub fn bytes(&self) -> usize {
        self.records.len()
    }
}

impl Taker {
    pub fn new(
        name: &str,
        config: &LogSource,
        redactor: Option<Arc<Redactor>>,
        (max_line, max_fields): (usize, usize),
        store: &Arc<Store>,
        ledger: &Arc<Ledger>,
    ) -> Result<Self, String> {
        let form = Form {
            format: LogFormat::Syslog,
            pattern: None,
            zone: config.time_zone.as_deref().map(source::zone).transpose()?,
            redactor,
            auth: None,
        };
        let mut watched = vec!["host.hostname".to_owned()];
        watched.extend(
            budget::telling()
                .into_iter()
                .flat_map(|rule| rule.fields().to_vec()),
        );
        // A spent budget is asked below.
        let filter = Filter::new(config, None);
        let first = watched.len();
        watched.extend(filter.iter().flat_map(|it| it.fields().to_vec()));
        let team = config.fields.get("kai.team").map_or("", String::as_str);
        let queue = store.queue(name, &config.data_stream);
        let names = Arc::new(FieldBudget::new(max_fields));
        let mut shaper = Shaper::new(form, &config.fields, &watched);
        shaper.keep_to(Arc::clone(&names));
        Ok(Self {
            name: name.into(),
            config: config.syslog.clone().unwrap_or_default(),
            shaper: Mutex::new((shaper, filter)),
            names,
            first,
            own_host: config.fields.contains_key("host.name"),
            max_line,
            queue: queue.map_err(|error| format!("cannot use the spool: {error}"))?,
            store: Arc::clone(store),
            spends: ledger.budgets.team(team),
            expendable: !config.never_sample,
            ledger: Arc::clone(ledger),
        })
    }

    /// The meters of this source's listeners.
    pub fn meters(&self) -> &Meters {
        &self.ledger.intake
    }

    /// Makes a document of a message.
    pub fn shape(&self, message: frame::Frame<'_>, origin: &[u8], into: &mut Arriving) {
        let (text, mut cut) = (trimmed(message.text), message.cut);
        let mut text = text;
        if text.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if text.len() > self.max_line {
            (text, cut) = (&text[..self.max_line], true);
        }
        if cut {
            text = whole_characters(text);
        }
        let now = super::reader::now_millis();
        self.names.tick(now);
        let line = Line {
            text,
            // Marked below: a header is read of what was cut, too.
            cut: false,
            split: false,
            read_at: now,
            stream: None,
            offset: NO_OFFSET,
            path: origin,
            about: None,
        };
        into.document.clear();
        let mut host = Vec::new();
        let mut locked = self.shaper.lock().unwrap_or_else(PoisonError::into_inner);
        let (shaper, filter) = &mut *locked;
        let (mut decided, mut verdict) = (None, Verdict::Keep);
        let taken = shaper.shape_and_tell(&mut into.document, &line, |fields| {
            if let Some(Scalar::Text(name)) = fields.get(0) {
                host.extend_from_slice(name);
            }
            if let Some(filter) = filter.as_ref() {
                let get = |index| fields.get(self.first + index);
                verdict = filter.decide(|| fields.level(), &get, rand::random);
            }
            if let Verdict::Drop(_) = verdict {
                return false;
            }
            let spends = self.spends.as_ref().filter(|_| self.expendable);
            decided = spends.and_then(|team| {
                team.decide(fields.level(), || {
                    budget::telling().is_some_and(|rule| rule.holds(&|index| fields.get(index + 1)))
                })
            });
            decided.is_none_or(|(_, keep)| keep)
        });
        if let (Verdict::Drop(reason), Some(filter)) = (verdict, filter) {
            filter.count(reason, text.len());
            self.ledger.filtered(&self.name, filter.drain());
            return;
        }
        drop(locked);
        if decided.is_some_and(|(_, keep)| !keep) {
            self.ledger
                .filtered(&self.name, budget::one_left_out(text.len()));
            return;
        }
        let document = &mut into.document;
        document.pop(); // its brace
        if !host.is_empty() && !self.own_host {
            document.extend_from_slice(b",\"host.name\":\"");
            json::escape_into(document, &host);
            document.push(b'"');
        }
        if cut {
            document.extend_from_slice(b",\"log.flags\":[\"truncated\"]");
        }
        document.push(b'}');
        let ruled = match verdict {
            Verdict::Sampled(share, _) => Some(share),
            _ => None,
        };
        let by_budget = decided.map(|(share, _)| share);
        if let Some(share) = ruled.into_iter().chain(by_budget).min() {
            super::reader::take::mark(document, share);
        }
        record::append(&mut into.records, now, document);
        let count = &mut into.count;
        count.lines += 1;
        count.bytes += message.text.len() as u64;
        count.document_bytes += document.len() as u64;
        count.cut += u64::from(cut);
        count.unparsed += u64::from(taken.unparsed);
        count.beyond(taken.beyond);
        count.repaired += u64::from(taken.repaired);
        count.bad_timestamps += u64::from(taken.bad_timestamp);
        count.redacted.merge(taken.redacted);
    }

    /// Puts what arrived into the queue, or says why not and leaves it.
    pub fn commit(&self, arriving: &mut Arriving) -> Result<(), Refused> {
        if arriving.count.lines == 0 {
            return Ok(());
        }
        let parts = [Part {
            queue: Arc::clone(&self.queue),
            records: std::mem::take(&mut arriving.records),
            count: arriving.count,
        }];
        let result = self.store.commit(&parts);
        let [part] = parts;
        arriving.records = part.records;
        if result.is_ok() {
            if let Some(team) = &self.spends {
                team.add(arriving.count.document_bytes);
            }
            arriving.records.clear();
            arriving.count = ReadCount::default();
        }
        result
    }

    /// Gives up what arrived, counted.
    pub fn give_up(&self, arriving: &mut Arriving, reason: &'static str) {
        let lines = arriving.count.lines;
        self.ledger.read(&self.name, &arriving.count);
        self.ledger.end(&self.name, Outcome::Dropped(reason), lines);
        arriving.records.clear();
        arriving.count = ReadCount::default();
        self.meters().dropped(&self.name, reason, lines);
    }
}

/// Without the line's end and the NUL that some senders add.
fn trimmed(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0))
        .map_or(0, |last| last + 1);
    &text[..end]
}

/// Without the beginning of a character that was cut in half.
fn whole_characters(text: &[u8]) -> &[u8] {
    let tail = text.len().saturating_sub(3);
    for at in (tail..text.len()).rev() {
        let needs = match text[at] {
            0x00..0x80 => return text,
            0x80..0xc0 => continue,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        return if text.len() - at < needs {
            &text[..at]
        } else {
            text
        };
    }
    text
}

/// Members that tell where a message came from, in the place of a file's path.
pub fn origin(peer: SocketAddr) -> Vec<u8> {
    let ip = peer.ip().to_canonical();
    let port = peer.port();
    let address = SocketAddr::new(ip, port);
    format!(",\"log.source.address\":\"{address}\",\"source.ip\":\"{ip}\",\"source.port\":{port}")
        .into_bytes()
}

/// Serves all listeners of all sources until `stop`, then takes what has arrived.
pub async fn serve(takers: Vec<Arc<Taker>>, sockets: Arc<Sockets>, stop: watch::Receiver<bool>) {
    let mut tasks = tokio::task::JoinSet::new();
    for taker in takers {
        let config = &taker.config;
        if let Some(address) = config.udp.clone() {
            let (taker, sockets, stop) = (Arc::clone(&taker), Arc::clone(&sockets), stop.clone());
            tasks.spawn(udp::serve(taker, address, sockets, stop));
        }
        if let Some(address) = config.tcp.clone() {
            let (taker, sockets, stop) = (Arc::clone(&taker), Arc::clone(&sockets), stop.clone());
            tasks.spawn(tcp::serve(taker, address, None, sockets, stop));
        }
        if let Some(config) = config.tls.clone() {
            let (taker, sockets, stop) = (Arc::clone(&taker), Arc::clone(&sockets), stop.clone());
            let address = config.address.clone();
            let tls = Some(tls::Certificates::new(config));
            tasks.spawn(tcp::serve(taker, address, tls, sockets, stop));
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Addresses that sources want, with what is said of each.
pub fn addresses(sources: &BTreeMap<String, LogSource>) -> Vec<(bool, String)> {
    let syslogs = sources.values().filter_map(|source| source.syslog.as_ref());
    syslogs
        .flat_map(|syslog| {
            let tls = syslog.tls.as_ref().map(|tls| &tls.address);
            [
                (true, syslog.udp.as_ref()),
                (false, syslog.tcp.as_ref()),
                (false, tls),
            ]
        })
        .filter_map(|(udp, address)| Some((udp, address?.clone())))
        .collect()
}

#[cfg(test)]
mod tests;
