//! OTLP log records: a request becomes documents, these go into the queues of their services' data
//! streams, and only what is durable there is acknowledged. The receivers are the trace lane's; the
//! memory, the queues and the account are the log lane's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use kai_contract::agent_config::{LogSource, Logs, Share};
use kai_contract::expression::Scalar;
use kai_lines::field_budget::{Asker, FieldBudget};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::budget::{self, Team};
use super::filter::{Filter, Verdict};
use super::ledger::{Ledger, Outcome, ReadCount};
use super::spool::{Part, Queue, Refused, Store, record};
use crate::otlp_metrics::Rejected;
use crate::privacy::Redactor;
use crate::traces::{self, Refusal};

pub mod decode;
pub mod document;
pub mod stream;

/// The one that takes log records now.
pub type Slot = Arc<ArcSwapOption<OtlpLogs>>;

/// What all further services share.
const OTHER: &str = "other";

/// Of whom a service is; where a file's lines have it, too.
const TEAM: &str = "kai.team";

/// A document may be larger than its text by so much.
const BESIDE_TEXT: usize = 64 << 10;

pub struct OtlpLogs {
    name: Arc<str>,
    config: LogSource,
    redactor: Option<Arc<Redactor>>,
    longest: usize,
    store: Arc<Store>,
    ledger: Arc<Ledger>,
    /// The source's own rules of what is left out.
    filter: Option<Mutex<Filter>>,
    /// Whose budget its records spend, and whether they may be left out when it is spent.
    spends: Option<Arc<Team>>,
    expendable: bool,
    max_fields: usize,
    /// Names of fields, of each service's data stream.
    fields: Mutex<BTreeMap<String, Asker>>,
    /// Held while a data stream is added.
    adding: Mutex<()>,
    /// Bytes of requests that are being read.
    pub room: Arc<Semaphore>,
    /// Bytes of one at most.
    pub limit: usize,
}

/// Records of one service and environment.
#[derive(Default)]
struct Group {
    records: Vec<u8>,
    count: ReadCount,
}

impl OtlpLogs {
    pub fn new(
        name: &str,
        config: &LogSource,
        logs: &Logs,
        redactor: Option<Arc<Redactor>>,
        store: &Arc<Store>,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let limit = usize::try_from(logs.memory_bytes / 2).unwrap_or(usize::MAX);
        let limit = limit.min(64 << 20);
        Self {
            name: name.into(),
            config: config.clone(),
            redactor,
            longest: usize::try_from(logs.max_line_bytes).unwrap_or(usize::MAX),
            max_fields: usize::try_from(logs.max_fields).unwrap_or(usize::MAX),
            fields: Mutex::default(),
            store: Arc::clone(store),
            ledger: Arc::clone(ledger),
            filter: Filter::new(config, None).map(Mutex::new),
            spends: ledger
                .budgets
                .team(config.fields.get("kai.team").map_or("", String::as_str)),
            expendable: !config.never_sample,
            adding: Mutex::new(()),
            room: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }

    /// Counts a request by how it ended.
    pub fn ended(&self, result: &'static str) {
        self.ledger.intake.request(&self.name, result);
    }

    /// Takes all records of a request (protobuf) over, but those that nobody could take. It is
    /// slow: the disk is waited for.
    pub fn take(&self, request: &[u8]) -> Result<Rejected, Refusal> {
        traces::check_logs(request)?;
        let now = super::reader::now_millis();
        let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
        let mut rejected = ReadCount::default();
        let mut body = Vec::new();
        let (mut left_out, mut dropped) = (Vec::new(), Vec::new());
        decode::each(request, &mut |scope, record| {
            let mut shaped = document::shape(scope, record, now, self.longest, &self.config.fields);
            if let Some(team) = self.team(&shaped.service)
                && !shaped.members.contains_key(TEAM)
            {
                shaped.members.insert(TEAM.to_owned(), team.into());
            }
            let verdict = self.judge(&shaped.members);
            let decided = self.decide(&shaped.members);
            let ruled = match verdict {
                Verdict::Sampled(share, _) => Some(share),
                _ => None,
            };
            let by_budget = decided.map(|(share, _)| share);
            if let Some(share) = ruled.into_iter().chain(by_budget).min() {
                let value = Value::from(share.value());
                shaped.members.insert("kai.sampled".to_owned(), value);
            }
            body.clear();
            let taken = self.write(&shaped.members, &mut body);
            let mut one = ReadCount {
                lines: 1,
                bytes: body.len() as u64,
                document_bytes: body.len() as u64,
                cut: u64::from(shaped.cut),
                ..ReadCount::default()
            };
            one.redacted = taken;
            one.beyond(self.fit(&shaped.service, &shaped.environment, now, &mut body));
            if body.len() > self.longest * 2 + BESIDE_TEXT {
                rejected.lines += 1;
                rejected.bytes += one.bytes;
                return;
            }
            if let Verdict::Drop(reason) = verdict {
                dropped.push((reason, body.len()));
                return;
            }
            if decided.is_some_and(|(_, keep)| !keep) {
                left_out.push(body.len());
                return;
            }
            let group = groups
                .entry((shaped.service, shaped.environment))
                .or_default();
            record::append(&mut group.records, now, &body);
            let count = &mut group.count;
            count.lines += 1;
            count.bytes += one.bytes;
            count.document_bytes += one.document_bytes;
            count.cut += one.cut;
            count.overflowed += one.overflowed;
            count.beyond += one.beyond;
            count.redacted.merge(one.redacted);
        })?;
        let parts = self.parts(groups).map_err(Refused::from)?;
        let stored = self.store.commit(&parts);
        stored
            .and_then(|()| self.store.sync(&parts))
            .inspect_err(|refused| self.ledger.intake.waits(&self.name, refused))?;
        // Only now: what is not taken is sent again.
        for bytes in left_out {
            self.ledger
                .filtered(&self.name, budget::one_left_out(bytes));
        }
        if let (Some(filter), false) = (&self.filter, dropped.is_empty()) {
            let mut filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
            for (reason, bytes) in dropped {
                filter.count(reason, bytes);
            }
            self.ledger.filtered(&self.name, filter.drain());
        }
        if let Some(team) = &self.spends {
            team.add(parts.iter().map(|part| part.count.document_bytes).sum());
        }
        if rejected.lines == 0 {
            return Ok(Rejected::default());
        }
        let reason = Outcome::Dropped("too_large");
        self.ledger.read(&self.name, &rejected);
        self.ledger.end(&self.name, reason, rejected.lines);
        Ok(Rejected {
            points: rejected.lines,
            message: format!(
                "{} records are larger than the agent takes ({} bytes; logs.maxLineBytes is {})",
                rejected.lines,
                self.longest * 2 + BESIDE_TEXT,
                self.longest
            ),
        })
    }

    /// What the source's own rules make of a record.
    fn judge(&self, members: &Map<String, Value>) -> Verdict {
        let Some(filter) = &self.filter else {
            return Verdict::Keep;
        };
        let filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
        let held: Vec<Option<(&Value, String)>> = filter
            .fields()
            .iter()
            .map(|field| {
                let value = members.get(field)?;
                let text = match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                Some((value, text))
            })
            .collect();
        let get = |index: usize| {
            let (value, text) = held.get(index)?.as_ref()?;
            Some(match value {
                Value::String(_) => Scalar::Text(text.as_bytes()),
                Value::Number(_) => Scalar::Number(text.as_bytes()),
                Value::Bool(value) => Scalar::Bool(*value),
                _ => Scalar::Other,
            })
        };
        let level = || members.get("log.level")?.as_str().map(str::as_bytes);
        filter.decide(level, &get, rand::random)
    }

    /// What a spent budget makes of a record; `None`: nothing.
    fn decide(&self, members: &Map<String, Value>) -> Option<(Share, bool)> {
        let team = self.spends.as_ref().filter(|_| self.expendable)?;
        let text = |field: &str| members.get(field).and_then(Value::as_str);
        team.decide(text("log.level").map(str::as_bytes), || {
            let status = members
                .get("http.response.status_code")
                .map(Value::to_string);
            budget::is_telling(|field| match members.get(field)? {
                Value::String(text) => Some(Scalar::Text(text.as_bytes())),
                Value::Number(_) => status.as_ref().map(|code| Scalar::Number(code.as_bytes())),
                _ => Some(Scalar::Other),
            })
        })
    }

    fn team(&self, service: &str) -> Option<&str> {
        let services = &self.config.otlp.as_ref()?.services;
        services.get(&stream::part(service, "")).map(String::as_str)
    }

    /// Writes a document without what must not be in it.
    fn write(&self, members: &Map<String, Value>, out: &mut Vec<u8>) -> crate::privacy::Counts {
        let mut counts = crate::privacy::Counts::default();
        // A map of plain values is always JSON.
        let _ = serde_json::to_writer(&mut *out, members);
        if let Some(redactor) = &self.redactor
            && redactor.suspects(out)
        {
            let mut clean = Vec::new();
            if redactor.json(out, &mut clean, &mut counts) == Some(true) {
                *out = clean;
            }
        }
        counts
    }

    /// Takes out of a document what is beyond its data stream's budget of names; services that are too
    /// many to have a data stream each share one.
    fn fit(&self, service: &str, environment: &str, now: i64, document: &mut Vec<u8>) -> u32 {
        let mut stream = stream::name(&self.config.data_stream, service, environment);
        let otlp = self.config.otlp.as_ref();
        let most = otlp.map_or(1, |otlp| otlp.max_data_streams) as usize;
        let mut all = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= most && !all.contains_key(&stream) {
            OTHER.clone_into(&mut stream);
        }
        let asker = all
            .entry(stream)
            .or_insert_with(|| Asker::new(Some(Arc::new(FieldBudget::new(self.max_fields)))));
        asker.tick(now);
        asker.fit(document)
    }

    fn parts(&self, groups: BTreeMap<(String, String), Group>) -> std::io::Result<Vec<Part>> {
        let mut by_stream: BTreeMap<Arc<str>, Part> = BTreeMap::new();
        for ((service, environment), group) in groups {
            let queue = self.queue(&service, &environment, group.count.lines)?;
            match by_stream.get_mut(&queue.stream) {
                Some(part) => {
                    part.records.extend_from_slice(&group.records);
                    part.count.lines += group.count.lines;
                    part.count.bytes += group.count.bytes;
                    part.count.document_bytes += group.count.document_bytes;
                    part.count.cut += group.count.cut;
                    part.count.overflowed += group.count.overflowed;
                    part.count.beyond += group.count.beyond;
                    part.count.redacted.merge(group.count.redacted);
                }
                None => {
                    let part = Part {
                        queue: Arc::clone(&queue),
                        records: group.records,
                        count: group.count,
                    };
                    by_stream.insert(Arc::clone(&queue.stream), part);
                }
            }
        }
        Ok(by_stream.into_values().collect())
    }

    /// The queue of a service's data stream, as long as there may be another one.
    fn queue(&self, service: &str, environment: &str, events: u64) -> std::io::Result<Arc<Queue>> {
        let own = stream::name(&self.config.data_stream, service, environment);
        let otlp = self.config.otlp.as_ref();
        let shared = otlp.and_then(|otlp| otlp.other_data_stream.as_deref());
        if let Some(shared) = shared
            && self.team(service).is_none()
        {
            return self.store.queue(&self.name, shared);
        }
        let _one = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let there = self.store.streams_of(&self.name);
        let most = otlp.map_or(1, |otlp| otlp.max_data_streams);
        if there.iter().any(|name| **name == *own) || there.len() < most as usize {
            return self.store.queue(&self.name, &own);
        }
        self.ledger.intake.overflow(&self.name, events);
        if let Some(shared) = shared {
            return self.store.queue(&self.name, shared);
        }
        let environment = self.config.fields.get("service.environment");
        let environment = environment.map_or("", String::as_str);
        let other = stream::name(&self.config.data_stream, OTHER, environment);
        self.store.queue(&self.name, &other)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closed => Self::Ending,
            Refused::TooLarge(limit) => Self::TooLarge(limit as usize),
            other => Self::Held(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
