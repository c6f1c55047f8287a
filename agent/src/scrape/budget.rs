//! Cardinality budgets: how many series each application and each team may have, and how many
//! values a label. What was admitted stays admitted, so that a full budget cuts the newcomers and
//! not, each time, somebody else; what has not been seen for [`FORGET_AFTER`] pages makes room.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kai_contract::agent_config::Application;

use crate::exposition::{Kind, Page};

/// An admitted series keeps its place for this many pages without it.
pub const FORGET_AFTER: u32 = 10;

/// Why a series was cut, as the label `reason` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its label would have had more values than allowed.
    LabelValues,
    /// The application's budget is spent.
    AppSeries,
    /// What the applications of one service may have together is spent.
    ServiceSeries,
    /// The team's budget is spent.
    TeamSeries,
}

impl Cut {
    const ALL: [(Self, &'static str); 4] = [
        (Self::AppSeries, "app_series"),
        (Self::LabelValues, "label_values"),
        (Self::ServiceSeries, "service_series"),
        (Self::TeamSeries, "team_series"),
    ];
}

/// What holds for one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub team: Option<String>,
    pub series: u64,
    pub team_series: u64,
    /// Of what service it is one of several applications.
    pub service: Option<String>,
    pub service_series: u64,
    /// Most values, by label.
    pub labels: Vec<(String, u64)>,
}

impl Limits {
    /// What an application says itself; `team_series` is what its team may have.
    pub fn of(application: &Application, team_series: u64) -> Self {
        let labels = application.label_limits.iter();
        Self {
            team: application.team.clone(),
            series: application.series_limit(),
            team_series,
            service: None,
            service_series: u64::MAX,
            labels: labels
                .map(|(label, limit)| (label.clone(), *limit))
                .collect(),
        }
    }
}

/// What others leave to an application of budgets that it shares.
#[derive(Debug, Clone, Copy)]
struct Room {
    team: u64,
    service: u64,
}

/// What is admitted or cut as a whole: a series, or all of a histogram or summary.
#[derive(Debug, Clone)]
pub struct Group {
    /// Hash of family and labels.
    pub key: u64,
    pub series: u32,
    /// Where its values of limited labels are.
    pub values: std::ops::Range<u32>,
    pub cut: Option<Cut>,
}

/// Everything of one page that asks to be admitted.
#[derive(Debug, Default)]
pub struct Groups {
    pub groups: Vec<Group>,
    /// Place of the label in [`Limits::labels`] and hash of the value.
    pub values: Vec<(u16, u64)>,
}

/// Keys that are hashes already.
#[derive(Debug, Default)]
pub struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// A map by hash.
pub type ByHash<T> = HashMap<u64, T, BuildHasherDefault<Hashed>>;

#[derive(Debug, Clone, Copy)]
struct Admitted {
    /// The page it was last on.
    seen: u32,
    series: u32,
}

#[derive(Debug, Default)]
struct App {
    limits: Option<Limits>,
    page: u32,
    admitted: ByHash<Admitted>,
    /// Sum of the series admitted.
    used: u64,
    /// Values in use, by place of the label in the limits.
    values: Vec<ByHash<u32>>,
    handed_on: u64,
    dropped: u64,
    cut: [u64; 4],
}

/// Everybody's budgets.
#[derive(Debug, Default)]
pub struct Budgets {
    apps: Mutex<BTreeMap<String, App>>,
}

impl Budgets {
    /// Decides about a page's groups, and remembers. `dropped` series were dropped by rules.
    pub fn admit(&self, app: &str, limits: &Limits, groups: &mut Groups, dropped: u64) {
        let mut apps = self.lock();
        // Where the team and the service stand without this application.
        let others = |of: fn(&Limits) -> Option<&String>| -> u64 {
            let Some(whose) = of(limits) else { return 0 };
            let others = apps.iter().filter(|(name, other)| {
                name.as_str() != app && other.limits.as_ref().and_then(of) == Some(whose)
            });
            others.map(|(_, other)| other.used).sum()
        };
        let left = |shared: bool, all: u64, used: u64| {
            if shared {
                all.saturating_sub(used)
            } else {
                u64::MAX
            }
        };
        let of_team = others(|limits| limits.team.as_ref());
        let of_service = others(|limits| limits.service.as_ref());
        let room = Room {
            team: left(limits.team.is_some(), limits.team_series, of_team),
            service: left(limits.service.is_some(), limits.service_series, of_service),
        };
        if !apps.contains_key(app) {
            apps.insert(app.to_owned(), App::default());
        }
        if let Some(entry) = apps.get_mut(app) {
            entry.admit(limits, room, groups);
            entry.dropped += dropped;
        }
    }

    /// Gives back what an application holds, and shows it no more. For one that is gone.
    pub fn forget(&self, app: &str) {
        self.lock().remove(app);
    }

    /// Keeps only the applications that `known` knows.
    pub fn retain(&self, known: impl Fn(&str) -> bool) {
        self.lock().retain(|name, _| known(name));
    }

    /// What is to be seen at `/metrics`.
    pub fn page(&self) -> Page {
        let apps = self.lock();
        let mut page = Page::default();
        let shown = || {
            apps.iter().filter_map(|(name, app)| {
                let limits = app.limits.as_ref()?;
                let team = limits.team.as_deref().unwrap_or_default();
                Some((name.as_bytes(), team.as_bytes(), app, limits))
            })
        };
        let mut each = |name: &str, help: &str, kind: Kind, of: fn(&App, &Limits) -> u64| {
            let mut family = page.family(name, help, kind);
            for (name, team, app, limits) in shown() {
                let labels: &[(&str, &[u8])] = &[("app", name), ("team", team)];
                family.sample(labels, of(app, limits) as f64);
            }
        };
        each(
            "kai_agent_scrape_series",
            "Series of the application's last page that were handed on.",
            Kind::Gauge,
            |app, _| app.handed_on,
        );
        each(
            "kai_agent_scrape_series_admitted",
            "Series that hold a place in the application's budget.",
            Kind::Gauge,
            |app, _| app.used,
        );
        each(
            "kai_agent_scrape_series_limit",
            "Series that the application may have.",
            Kind::Gauge,
            |_, limits| limits.series,
        );
        each(
            "kai_agent_scrape_series_dropped_total",
            "Series dropped by relabelling, counted on every page.",
            Kind::Counter,
            |app, _| app.dropped,
        );
        let mut family = page.family(
            "kai_agent_scrape_series_cut_total",
            "Series cut because a budget is spent, counted on every page.",
            Kind::Counter,
        );
        for (name, team, app, _) in shown() {
            for (reason, word) in Cut::ALL {
                let labels: &[(&str, &[u8])] =
                    &[("app", name), ("reason", word.as_bytes()), ("team", team)];
                family.sample(labels, app.cut[reason as usize] as f64);
            }
        }
        drop(family);
        let mut teams: BTreeMap<&[u8], (u64, u64)> = BTreeMap::new();
        for (_, team, app, limits) in shown().filter(|(_, team, ..)| !team.is_empty()) {
            let entry = teams.entry(team).or_default();
            *entry = (entry.0 + app.used, limits.team_series);
        }
        let mut each = |name: &str, help: &str, of: fn(&(u64, u64)) -> u64| {
            let mut family = page.family(name, help, Kind::Gauge);
            for (team, both) in &teams {
                family.sample(&[("team", team)], of(both) as f64);
            }
        };
        each(
            "kai_agent_scrape_team_series",
            "Series that hold a place in the team's budget, its applications together.",
            |both| both.0,
        );
        each(
            "kai_agent_scrape_team_series_limit",
            "Series that the team's applications may have together.",
            |both| both.1,
        );
        page
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, App>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    fn admit(&mut self, limits: &Limits, room: Room, groups: &mut Groups) {
        self.take_limits(limits);
        // A limit that was lowered holds at once: who comes first on the page gets a place.
        if self.used > limits.series.min(room.team).min(room.service) {
            self.admitted.clear();
            self.used = 0;
        }
        for (values, (_, limit)) in self.values.iter_mut().zip(&limits.labels) {
            if values.len() as u64 > *limit {
                values.clear();
            }
        }
        self.page = self.page.wrapping_add(1);
        let page = self.page;
        self.make_room();
        self.handed_on = 0;
        let values = &groups.values;
        for group in &mut groups.groups {
            let of_group = &values[group.values.start as usize..group.values.end as usize];
            group.cut = self.judge(group, of_group, limits, room);
            if let Some(reason) = group.cut {
                self.cut[reason as usize] += u64::from(group.series);
                continue;
            }
            let now = Admitted {
                seen: page,
                series: group.series,
            };
            let before = self.admitted.insert(group.key, now);
            self.used += u64::from(group.series);
            self.used -= before.map_or(0, |before| u64::from(before.series));
            self.handed_on += u64::from(group.series);
            for (label, value) in of_group {
                if let Some(seen) = self.values.get_mut(usize::from(*label)) {
                    seen.insert(*value, page);
                }
            }
        }
    }

    /// Why a group cannot be admitted, if it cannot. One that was admitted and has grown beyond the
    /// budget, as a histogram that shows new buckets, gives its place back and is cut whole.
    fn judge(
        &mut self,
        group: &Group,
        values: &[(u16, u64)],
        limits: &Limits,
        room: Room,
    ) -> Option<Cut> {
        let before = self.admitted.get(&group.key).map(|before| before.series);
        let others = self.used - u64::from(before.unwrap_or(0));
        let wanted = others + u64::from(group.series);
        let is_full = |(label, value): &(u16, u64)| {
            let label = usize::from(*label);
            let (Some(seen), Some((_, limit))) = (self.values.get(label), limits.labels.get(label))
            else {
                return false;
            };
            seen.len() as u64 >= *limit && !seen.contains_key(value)
        };
        let cut = if values.iter().any(is_full) {
            Cut::LabelValues
        } else if wanted > limits.series {
            Cut::AppSeries
        } else if wanted > room.service {
            Cut::ServiceSeries
        } else if wanted > room.team {
            Cut::TeamSeries
        } else {
            return None;
        };
        if before.is_some() {
            self.admitted.remove(&group.key);
            self.used = others;
        }
        Some(cut)
    }

    fn take_limits(&mut self, limits: &Limits) {
        if self.limits.as_ref() == Some(limits) {
            return;
        }
        let before = self.limits.as_ref().map(|before| &before.labels);
        let same = before.is_some_and(|before| {
            let names = |labels: &[(String, u64)]| -> Vec<String> {
                labels.iter().map(|(name, _)| name.clone()).collect()
            };
            names(before) == names(&limits.labels)
        });
        if !same {
            // Values of series that are admitted already count as soon as they are seen again.
            self.values = limits.labels.iter().map(|_| ByHash::default()).collect();
        }
        self.limits = Some(limits.clone());
    }

    fn make_room(&mut self) {
        let page = self.page;
        let forgotten = |seen: u32| page.wrapping_sub(seen) > FORGET_AFTER;
        let used = &mut self.used;
        self.admitted.retain(|_, entry| {
            let keep = !forgotten(entry.seen);
            if !keep {
                *used -= u64::from(entry.series);
            }
            keep
        });
        // An application that has become small again gives its memory back.
        if self.admitted.capacity() > 4 * self.admitted.len().max(1024) {
            self.admitted.shrink_to_fit();
        }
        for values in &mut self.values {
            values.retain(|_, seen| !forgotten(*seen));
        }
    }
}

#[cfg(test)]
mod tests;
