//! What is worth a line: compares what was seen with what is seen, and puts the seconds between a
//! fault, its alert and its message. Values in, events out; the clock is the caller's.

use std::collections::BTreeMap;

use kai_contract::signals::LABEL_SEVERITY;

use super::prometheus::{Alert, Fault, Labels, Look};
use super::{Ended, Followed};
use crate::inbox::message::Message;
use crate::inbox::time::Instant;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub at: Instant,
    pub what: Happened,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// The stream began.
    Waiting {
        url: String,
        after: u64,
        prometheus: bool,
    },
    /// The inbox does not answer.
    Lost {
        reason: String,
    },
    Back,
    /// Prometheus does not answer.
    PrometheusLost {
        reason: String,
    },
    PrometheusBack,
    /// A service switched a fault on in itself, at `Event::at`.
    Fault {
        labels: Labels,
    },
    FaultOff {
        labels: Labels,
    },
    /// An alert's condition is met and being held, since `Event::at`.
    Pending {
        labels: Labels,
        value: String,
        hold_seconds: Option<f64>,
    },
    /// Prometheus hands it to Alertmanager. `already`: so it was when the stream began.
    Firing {
        labels: Labels,
        value: String,
        active_at: Instant,
        already: bool,
    },
    /// The condition is no longer met.
    Inactive {
        labels: Labels,
    },
    Received {
        message: Box<Message>,
        since_fault_ms: Option<i64>,
        since_active_ms: Option<i64>,
    },
    /// Alertmanager said again what is open.
    Repeated {
        message: Box<Message>,
        open_ms: Option<i64>,
    },
    Resolved {
        message: Box<Message>,
        open_ms: Option<i64>,
    },
    Refused {
        message: Box<Message>,
    },
}

/// What has been seen.
#[derive(Debug, Default)]
pub struct Timeline {
    alerts: BTreeMap<Labels, Alert>,
    /// Faults that are on, and the latest that were.
    faults: BTreeMap<Labels, Known>,
    prometheus: Prometheus,
    /// When each open incident was received, by the id of the message that opened it.
    open: BTreeMap<u64, Instant>,
    messages: u64,
    received: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    started: Instant,
    on: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Prometheus {
    #[default]
    NotAsked,
    Answers,
    Lost,
}

impl Timeline {
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Something was received, and nothing of it is open.
    pub fn all_resolved(&self) -> bool {
        self.received > 0 && self.open.is_empty()
    }

    pub fn ended(&self, ended: Ended) -> Followed {
        Followed {
            ended,
            messages: self.messages,
            open: self.open.len(),
        }
    }

    /// Takes one look at Prometheus.
    pub fn prometheus(&mut self, look: Result<Look, String>, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        let look = match look {
            Ok(look) => look,
            Err(reason) => {
                if self.prometheus != Prometheus::Lost {
                    events.push(Event {
                        at: now,
                        what: Happened::PrometheusLost { reason },
                    });
                }
                self.prometheus = Prometheus::Lost;
                return events;
            }
        };
        if self.prometheus == Prometheus::Lost {
            events.push(Event {
                at: now,
                what: Happened::PrometheusBack,
            });
        }
        let first = self.prometheus == Prometheus::NotAsked;
        self.prometheus = Prometheus::Answers;
        self.faults(look.faults, now, &mut events);
        let mut seen: BTreeMap<Labels, Alert> = BTreeMap::new();
        for alert in look.alerts {
            seen.insert(alert.labels.clone(), alert);
        }
        for (labels, alert) in &seen {
            let before = self.alerts.get(labels);
            // An alert that ended and began again between two looks is a new one.
            let same = before.filter(|before| before.active_at == alert.active_at);
            if same.is_none() && !(first && alert.firing) {
                let severity = alert
                    .labels
                    .get(LABEL_SEVERITY)
                    .cloned()
                    .unwrap_or_default();
                let hold_seconds = look
                    .holds
                    .get(&(alert.name().to_owned(), severity))
                    .copied();
                let what = Happened::Pending {
                    labels: labels.clone(),
                    value: alert.value.clone(),
                    hold_seconds,
                };
                // Without a hold there is no pending phase to speak of.
                if !alert.firing || hold_seconds.unwrap_or(0.0) > 0.0 {
                    events.push(Event {
                        at: alert.active_at,
                        what,
                    });
                }
            }
            if alert.firing && !same.is_some_and(|before| before.firing) {
                let what = Happened::Firing {
                    labels: labels.clone(),
                    value: alert.value.clone(),
                    active_at: alert.active_at,
                    already: first,
                };
                events.push(Event { at: now, what });
            }
        }
        for labels in self
            .alerts
            .keys()
            .filter(|labels| !seen.contains_key(*labels))
        {
            events.push(Event {
                at: now,
                what: Happened::Inactive {
                    labels: labels.clone(),
                },
            });
        }
        self.alerts = seen;
        events
    }

    fn faults(&mut self, faults: Vec<Fault>, now: Instant, events: &mut Vec<Event>) {
        let on: BTreeMap<Labels, Instant> = faults
            .into_iter()
            .map(|fault| (fault.labels, fault.started))
            .collect();
        for (labels, started) in &on {
            let known = self.faults.get(labels);
            if known.is_none_or(|known| !known.on || known.started != *started) {
                let what = Happened::Fault {
                    labels: labels.clone(),
                };
                events.push(Event { at: *started, what });
            }
            self.faults.insert(
                labels.clone(),
                Known {
                    started: *started,
                    on: true,
                },
            );
        }
        for (labels, known) in &mut self.faults {
            if known.on && !on.contains_key(labels) {
                known.on = false;
                let what = Happened::FaultOff {
                    labels: labels.clone(),
                };
                events.push(Event { at: now, what });
            }
        }
    }

    /// Takes one message.
    pub fn message(&mut self, message: &Message) -> Vec<Event> {
        self.messages += 1;
        let at = Instant::parse(&message.received).unwrap_or(Instant(0));
        let boxed = || Box::new(message.clone());
        let what = if !message.verdict.accepted() {
            Happened::Refused { message: boxed() }
        } else if message.closes() {
            self.received += 1;
            let opened = message.incident.and_then(|id| self.open.remove(&id));
            let open_ms = opened.map(|opened| at.0 - opened.0);
            Happened::Resolved {
                message: boxed(),
                open_ms,
            }
        } else if message.incident.is_some_and(|id| id != message.id) && message.opens() {
            let opened = message.incident.and_then(|id| self.open.get(&id));
            Happened::Repeated {
                message: boxed(),
                open_ms: opened.map(|opened| at.0 - opened.0),
            }
        } else {
            self.received += 1;
            if message.opens() {
                self.open.insert(message.incident.unwrap_or(message.id), at);
            }
            let active = self.alert_of(message).map(|alert| alert.active_at);
            let since_active_ms = active.map(|active| at.0 - active.0).filter(|ms| *ms >= 0);
            let since_fault_ms = self
                .fault_before(message, at)
                .map(|started| at.0 - started.0);
            Happened::Received {
                message: boxed(),
                since_fault_ms,
                since_active_ms,
            }
        };
        vec![Event { at, what }]
    }

    /// The alert that a message is about: the name and all that the message says must agree.
    fn alert_of(&self, message: &Message) -> Option<&Alert> {
        let facts = &message.facts;
        let name = facts.alertname.as_deref()?;
        let agrees = |alert: &&Alert| {
            let same = |label: &str, said: &Option<String>| match (said, alert.labels.get(label)) {
                (Some(said), Some(found)) => said == found,
                _ => true,
            };
            alert.name() == name
                && same("team", &facts.team)
                && same("service", &facts.service)
                && same("severity", &facts.severity)
                && same("drill_id", &facts.drill_id)
        };
        self.alerts
            .values()
            .filter(agrees)
            .min_by_key(|alert| alert.active_at)
    }

    /// The latest fault that can be the cause: begun before the message, of the same service where
    /// both say one. A drill's message has no fault.
    fn fault_before(&self, message: &Message, at: Instant) -> Option<Instant> {
        if message.facts.drill_id.is_some() {
            return None;
        }
        let service = message.facts.service.as_deref();
        let of_service = |labels: &Labels| match (service, labels.get("service")) {
            (Some(service), Some(found)) => service == found,
            _ => true,
        };
        let before = |limit: &dyn Fn(&Labels) -> bool| {
            let known = self.faults.iter().filter(|(labels, _)| limit(labels));
            known
                .map(|(_, known)| known.started)
                .filter(|started| *started <= at)
                .max()
        };
        // One binary can play several services: its label is then none of theirs.
        before(&of_service).or_else(|| before(&|_| true))
    }
}

#[cfg(test)]
mod tests;
