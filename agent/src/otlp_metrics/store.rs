//! What services told last, per series: bounded per service, forgotten after a silence. A page of
//! it is what the service's own metrics page would have been.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::decode::{Attributes, Found, Kind, Metric, Temporality, Visitor, request};
use super::ledger::{Ledger, Refused};
use super::names::{self, Ending};
use super::point::{Exemplar, Point};
use crate::traces::wire::Malformed;

/// Bytes of a series' labels at most.
const LONGEST_LABELS: usize = 8 << 10;
const LONGEST_HELP: usize = 1 << 10;
/// Exemplars that a native histogram keeps.
const EXEMPLARS: usize = 10;

/// Sorted by name.
pub type Labels = Box<[(Box<str>, Box<str>)]>;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Series of one service.
    pub series: usize,
    pub services: usize,
    /// A series of which nothing was heard for so long has ended.
    pub stale: Duration,
}

/// A family's type, as pages have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

#[derive(Debug)]
pub struct Family {
    pub kind: Type,
    pub help: String,
    pub unit: String,
    pub series: HashMap<Labels, Stored>,
}

#[derive(Debug)]
pub struct Stored {
    pub point: Point,
    /// Nanoseconds since 1970.
    pub start: u64,
    pub time: u64,
    pub exemplars: Vec<Exemplar>,
    heard: Instant,
}

/// One service's series, by the family's name.
#[derive(Debug, Default)]
pub struct Service {
    pub families: BTreeMap<String, Family>,
    series: usize,
}

/// What a request came to, beside what was taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    pub points: u64,
    /// Why, for the sender's developer; of the first that was refused.
    pub message: String,
}

#[derive(Debug)]
pub struct Store {
    limits: Limits,
    pub ledger: Ledger,
    services: Mutex<BTreeMap<String, Service>>,
}

impl Store {
    pub fn new(limits: Limits, ledger: Ledger) -> Self {
        ledger.begin(limits.series);
        Self {
            limits,
            ledger,
            services: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Service>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the points of a request. One that cannot be read is not half taken.
    pub fn take(&self, bytes: &[u8], now: Instant) -> Result<Rejected, Malformed> {
        request(bytes, &mut Check)?;
        let mut services = self.lock();
        forget(&mut services, self.limits.stale, now);
        let mut taking = Taking {
            limits: self.limits,
            ledger: &self.ledger,
            services: &mut services,
            now,
            service: String::new(),
            around: Vec::new(),
            target_info: Vec::new(),
            rejected: Rejected::default(),
        };
        request(bytes, &mut taking)?;
        let rejected = taking.rejected;
        for (name, service) in services.iter() {
            self.ledger.series(name, service.series);
        }
        Ok(rejected)
    }

    /// The services that are heard at present.
    pub fn names(&self, now: Instant) -> Vec<String> {
        let mut services = self.lock();
        for name in forget(&mut services, self.limits.stale, now) {
            self.ledger.forget(&name);
        }
        services.keys().cloned().collect()
    }

    /// Makes something of a service's series; `None` if it is not known.
    pub fn with<T>(&self, name: &str, now: Instant, work: impl FnOnce(&Service) -> T) -> Option<T> {
        let mut services = self.lock();
        for name in forget(&mut services, self.limits.stale, now) {
            self.ledger.forget(&name);
        }
        services.get(name).map(work)
    }
}

/// Takes out what is silent; the services that are gone with it.
fn forget(services: &mut BTreeMap<String, Service>, stale: Duration, now: Instant) -> Vec<String> {
    let mut gone = Vec::new();
    services.retain(|name, service| {
        let mut series = 0;
        service.families.retain(|_, family| {
            family
                .series
                .retain(|_, stored| now.saturating_duration_since(stored.heard) < stale);
            series += family
                .series
                .values()
                .map(|stored| stored.point.series())
                .sum::<usize>();
            !family.series.is_empty()
        });
        service.series = series;
        if service.families.is_empty() {
            gone.push(name.clone());
        }
        !service.families.is_empty()
    });
    gone
}

/// Reads a request to its end and keeps nothing of it.
struct Check;

impl Visitor for Check {
    fn resource(&mut self, _: &Attributes) {}
    fn point(&mut self, _: &Metric<'_>, _: Found) {}
    fn empty(&mut self, _: &str) {}
}

struct Taking<'a> {
    limits: Limits,
    ledger: &'a Ledger,
    services: &'a mut BTreeMap<String, Service>,
    now: Instant,
    /// Of the resource that is being read.
    service: String,
    /// `job` and `instance`.
    around: Vec<(String, String)>,
    /// Labels of `target_info`, empty where there is none; made with the resource's first point.
    target_info: Vec<(String, String)>,
    rejected: Rejected,
}

impl Visitor for Taking<'_> {
    fn resource(&mut self, attributes: &Attributes) {
        let get = |name: &str| {
            let found = attributes.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        self.around.clear();
        self.target_info.clear();
        self.service = "unknown".to_owned();
        if let Some(name) = get("service.name") {
            let job = match get("service.namespace") {
                Some(space) => format!("{space}/{name}"),
                None => name.to_owned(),
            };
            self.service.clone_from(&job);
            self.around.push(("job".to_owned(), job));
        }
        if let Some(instance) = get("service.instance.id") {
            self.around
                .push(("instance".to_owned(), instance.to_owned()));
        }
        let identifying = ["service.namespace", "service.name", "service.instance.id"];
        let others = attributes
            .iter()
            .filter(|(key, _)| !identifying.contains(&key.as_str()));
        let others: Attributes = others.cloned().collect();
        if !others.is_empty() && !self.around.is_empty() {
            self.target_info = sanitised(others);
            join(&mut self.target_info, &self.around);
        }
    }

    fn point(&mut self, metric: &Metric<'_>, found: Found) {
        self.ledger.received();
        match self.store(metric, found) {
            Ok(()) => self.ledger.stored(),
            Err((why, message)) => {
                self.ledger.refused(why);
                self.rejected.points += 1;
                if self.rejected.message.is_empty() {
                    self.rejected.message = message;
                }
            }
        }
        let labels = std::mem::take(&mut self.target_info);
        if !labels.is_empty() {
            let family = ("target_info", Type::Gauge, "Target metadata", "");
            let stored = Stored {
                point: Point::Number(1.0),
                start: 0,
                time: u64::MAX,
                exemplars: Vec::new(),
                heard: self.now,
            };
            if self.put(family, labels, stored, false).is_err() {
                self.ledger.target_info_refused();
            }
        }
    }

    fn empty(&mut self, name: &str) {
        self.ledger.empty();
        if self.rejected.message.is_empty() {
            self.rejected.message = format!(
                "{name} has no data points of a type that is known; nothing was taken of it"
            );
        }
    }
}

impl Taking<'_> {
    fn store(&mut self, metric: &Metric<'_>, found: Found) -> Result<(), (Refused, String)> {
        let refuse = |why: Refused, what: &str| Err((why, format!("{}: {what}", metric.name)));
        let (kind, ending) = match metric.kind {
            Kind::Gauge | Kind::Sum { monotonic: false } => (Type::Gauge, Ending::Gauge),
            Kind::Sum { monotonic: true } => (Type::Counter, Ending::MonotonicCounter),
            Kind::Histogram | Kind::Exponential => (Type::Histogram, Ending::Other),
            Kind::Summary => (Type::Summary, Ending::Other),
        };
        // A sum that goes up and down is no gauge where names are concerned.
        let ending = match metric.kind {
            Kind::Sum { monotonic: false } => Ending::Other,
            _ => ending,
        };
        let delta = match (metric.temporality, metric.kind) {
            (Temporality::None | Temporality::Cumulative, _) => false,
            (Temporality::Delta, Kind::Sum { monotonic: true } | Kind::Histogram) => true,
            (Temporality::Delta, _) => {
                return refuse(
                    Refused::Delta,
                    "delta points of this type cannot be added up; send cumulative ones \
                     (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative)",
                );
            }
            (Temporality::Unspecified, _) => {
                return refuse(Refused::Temporality, "it has no aggregation temporality");
            }
        };
        let Some(name) = names::metric(metric.name, metric.unit, ending) else {
            return refuse(
                Refused::Name,
                "nothing is left of its name in Prometheus' letters",
            );
        };
        let mut labels = sanitised(found.attributes);
        join(&mut labels, &self.around);
        if found.ended {
            self.end(&name, &labels);
            return Ok(());
        }
        let Some(point) = found.point else {
            return refuse(
                Refused::Scale,
                "its buckets are coarser than a native histogram's can be (scale below -4)",
            );
        };
        let unit = names::unit(metric.unit);
        let stored = Stored {
            point,
            start: found.start,
            time: found.time,
            exemplars: found.exemplars,
            heard: self.now,
        };
        self.put(
            (&name, kind, metric.description, &unit),
            labels,
            stored,
            delta,
        )
        .map_err(|(why, what)| (why, format!("{}: {what}", metric.name)))
    }

    fn end(&mut self, family: &str, labels: &[(String, String)]) {
        let labels = boxed(labels);
        if let Some(service) = self.services.get_mut(&self.service)
            && let Some(family) = service.families.get_mut(family)
            && let Some(stored) = family.series.remove(&labels)
        {
            service.series -= stored.point.series();
        }
    }

    fn put(
        &mut self,
        (name, kind, help, unit): (&str, Type, &str, &str),
        labels: Vec<(String, String)>,
        mut stored: Stored,
        delta: bool,
    ) -> Result<(), (Refused, String)> {
        let length: usize = labels.iter().map(|(n, v)| n.len() + v.len()).sum();
        if length > LONGEST_LABELS {
            let what = format!("its labels have {length} bytes; {LONGEST_LABELS} are taken");
            return Err((Refused::TooLong, what));
        }
        if !self.services.contains_key(&self.service) {
            if self.services.len() >= self.limits.services {
                let what = format!(
                    "{} services are known, as many as may be (otlpMetrics.services)",
                    self.services.len()
                );
                return Err((Refused::Services, what));
            }
            self.services
                .insert(self.service.clone(), Service::default());
        }
        let Some(service) = self.services.get_mut(&self.service) else {
            return Ok(());
        };
        let labels = boxed(&labels);
        let family = service.families.get_mut(name);
        if let Some(family) = &family
            && family.kind != kind
        {
            let what = format!("{name} is known with another type already");
            return Err((Refused::Type, what));
        }
        let known = family.and_then(|family| family.series.get_mut(&labels));
        let before = known.as_ref().map_or(0, |known| known.point.series());
        if let Some(known) = known {
            if stored.time < known.time || (delta && stored.time == known.time) {
                let what = "it is older than what was taken already, or came twice".to_owned();
                return Err((Refused::Old, what));
            }
            if delta {
                if known.point.add(&stored.point) {
                    known.time = stored.time;
                    known.heard = stored.heard;
                    if !stored.exemplars.is_empty() {
                        known.exemplars = stored.exemplars;
                    }
                    return Ok(());
                }
                // Other bounds: it begins anew, as after a restart.
            } else if stored.exemplars.is_empty() {
                stored.exemplars = std::mem::take(&mut known.exemplars);
            }
        }
        let after = service.series - before + stored.point.series();
        if after > self.limits.series {
            let what = format!(
                "{} has {} series, as many as may be (otlpMetrics.seriesPerService)",
                self.service, service.series
            );
            if service.families.is_empty() {
                self.services.remove(&self.service);
            }
            return Err((Refused::Budget, what));
        }
        service.series = after;
        stored.exemplars.truncate(EXEMPLARS);
        let family = service
            .families
            .entry(name.to_owned())
            .or_insert_with(|| Family {
                kind,
                help: cut(help, LONGEST_HELP).to_owned(),
                unit: unit.to_owned(),
                series: HashMap::new(),
            });
        family.series.insert(labels, stored);
        Ok(())
    }
}

/// The text's beginning, whole letters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn boxed(labels: &[(String, String)]) -> Labels {
    labels
        .iter()
        .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
        .collect()
}

/// Names that come out the same have their values joined, as Prometheus does.
fn sanitised(mut attributes: Attributes) -> Vec<(String, String)> {
    attributes.sort();
    let mut out: Vec<(String, String)> = Vec::with_capacity(attributes.len() + 2);
    for (name, value) in attributes {
        let Some(name) = names::label(&name) else {
            continue;
        };
        match out.iter_mut().find(|(other, _)| *other == name) {
            Some((_, there)) if !there.is_empty() => *there = format!("{there};{value}"),
            Some((_, there)) => *there = value,
            None => out.push((name, value)),
        }
    }
    // A label without a value is none.
    out.retain(|(_, value)| !value.is_empty());
    out
}

/// Puts the target's labels over the point's and sorts them.
fn join(labels: &mut Vec<(String, String)>, around: &[(String, String)]) {
    labels.retain(|(name, _)| !around.iter().any(|(other, _)| other == name));
    labels.extend(
        around
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .cloned(),
    );
    labels.sort();
}
