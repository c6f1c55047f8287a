//! What each team's documents were today, against its budget. Counted when they are made, since what
//! was read is what will be sent; the day is UTC's. A budget that is spent leaves out lines of level
//! info and below, of which one in so many is kept, and nothing else: what tells of trouble is worth
//! the most in a flood.
//!
//! The figures outlive the agent in a file of the lane's folder, written about once a second.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use kai_contract::agent_config::{LogBudget, Share};
use kai_contract::expression::{self, Expression, Scalar};

use crate::durable;
use crate::exposition::{Kind, Page};

mod record;

/// Name of the file in the lane's folder.
const FILE: &str = "budget";
const WRITE: Duration = Duration::from_secs(1);
const DAY: u64 = 24 * 60 * 60;

/// Reason of lines that a spent budget leaves out.
pub const REASON_WORD: &str = "budget";

/// Lines that are kept whatever their level is, or without one: an access log has none.
pub const TELLING: &str = "http.response.status_code >= 500 || exists(error.type) || \
    exists(error.message) || exists(error.stack_trace) || event.outcome == \"failure\" || \
    event.kind == \"alert\" || event.category == \"authentication\" || event.category == \"iam\"";

static TELLING_LINES: LazyLock<Option<Expression>> =
    LazyLock::new(|| expression::parse(TELLING).ok());

/// The condition of lines that are always kept.
pub fn telling() -> Option<&'static Expression> {
    TELLING_LINES.as_ref()
}

/// Whether lines of this level may be left out: up to info, and those without one.
pub fn is_expendable(level: Option<&[u8]>) -> bool {
    matches!(level, None | Some(b"trace" | b"debug" | b"info"))
}

/// One team's lines on this node.
#[derive(Debug)]
pub struct Team {
    pub name: Arc<str>,
    spent: Mutex<Spent>,
    /// While the budget is spent and says so: one line of so many is kept. Else 0.
    keep_one_in: AtomicU32,
    /// Lines from the network that were judged; they have no ids yet.
    judged: AtomicU64,
}

#[derive(Debug, Default)]
struct Spent {
    day: u64,
    bytes: u64,
    /// This node's part of the budget, and what is kept beyond it.
    limit: Option<u64>,
    one_in: u32,
    /// Since the agent's start, of lines that might be left out.
    kept: u64,
    dropped: u64,
    said: bool,
}

impl Team {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            spent: Mutex::default(),
            keep_one_in: AtomicU32::new(0),
            judged: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which part of what may be left out is kept now; `None`: everything.
    pub fn share(&self) -> Option<Share> {
        match self.keep_one_in.load(Ordering::Relaxed) {
            0 => None,
            number => Some(Share::one_in(number)),
        }
    }

    /// Documents of so many bytes were made.
    pub fn add(&self, bytes: u64) {
        if bytes > 0 {
            self.add_on(today(), bytes);
        }
    }

    fn add_on(&self, day: u64, bytes: u64) {
        let mut spent = self.lock();
        spent.turn(day);
        spent.bytes = spent.bytes.saturating_add(bytes);
        self.judge(spent);
    }

    /// Of lines that might have been left out, so many were kept and so many not.
    pub fn sampled(&self, kept: u64, dropped: u64) {
        if kept + dropped > 0 {
            let mut spent = self.lock();
            spent.kept += kept;
            spent.dropped += dropped;
        }
    }

    /// What becomes of an event that came over the network; `None`: it is kept as it is. Counted.
    pub fn decide(
        &self,
        level: Option<&[u8]>,
        is_telling: impl FnOnce() -> bool,
    ) -> Option<(Share, bool)> {
        let number = self.keep_one_in.load(Ordering::Relaxed);
        if number == 0 || !is_expendable(level) || is_telling() {
            return None;
        }
        let turn = self.judged.fetch_add(1, Ordering::Relaxed);
        let keep = turn.is_multiple_of(u64::from(number));
        self.sampled(u64::from(keep), u64::from(!keep));
        Some((Share::one_in(number), keep))
    }

    fn judge(&self, mut spent: MutexGuard<'_, Spent>) {
        let over = spent.limit.is_some_and(|limit| spent.bytes > limit);
        let one_in = if over { spent.one_in } else { 0 };
        self.keep_one_in.store(one_in, Ordering::Relaxed);
        let say = over && !std::mem::replace(&mut spent.said, over);
        let (bytes, limit) = (spent.bytes, spent.limit.unwrap_or_default());
        drop(spent);
        if say {
            tracing::warn!(
                team = %self.name,
                bytes,
                limit,
                keep_one_in = one_in,
                "a team has spent this node's part of its day's budget of log lines{}",
                if one_in > 0 {
                    "; until midnight UTC its lines of level info and below are sampled"
                } else {
                    ""
                }
            );
        }
    }
}

impl Spent {
    fn turn(&mut self, day: u64) {
        if self.day != day {
            (self.day, self.bytes, self.said) = (day, 0, false);
        }
    }
}

/// Of all teams.
#[derive(Debug, Default)]
pub struct Budgets {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    budget: Option<LogBudget>,
    teams: BTreeMap<Arc<str>, Arc<Team>>,
    /// Where the figures are kept, once they were read from there.
    folder: Option<PathBuf>,
    /// Teams of an earlier run that have no lines in this one yet.
    idle: BTreeMap<Arc<str>, (u64, u64)>,
    written: Option<(Instant, Vec<u8>)>,
    failing: bool,
}

impl Budgets {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The budget in force from now on.
    pub fn configure(&self, budget: Option<&LogBudget>) {
        let mut inner = self.lock();
        inner.budget = budget.cloned();
        for team in inner.teams.values() {
            inner.bound(team);
        }
    }

    /// Lines without a team have no budget.
    pub fn team(&self, name: &str) -> Option<Arc<Team>> {
        if name.is_empty() {
            return None;
        }
        let mut inner = self.lock();
        if let Some(team) = inner.teams.get(name) {
            return Some(Arc::clone(team));
        }
        let team = Arc::new(Team::new(name.into()));
        if let Some((day, bytes)) = inner.idle.remove(name) {
            let mut spent = team.lock();
            (spent.day, spent.bytes) = (day, bytes);
        }
        inner.bound(&team);
        inner
            .teams
            .insert(Arc::clone(&team.name), Arc::clone(&team));
        Some(team)
    }

    /// Whether lines are left out when a budget is spent.
    pub fn samples(&self) -> bool {
        let inner = self.lock();
        inner.budget.as_ref().is_some_and(|b| b.share().is_some())
    }

    /// Goes on with what an earlier agent counted; the lane's folder is ours.
    pub fn open(&self, folder: &Path) {
        let mut inner = self.lock();
        if inner.folder.as_deref() == Some(folder) {
            return;
        }
        inner.folder = Some(folder.to_owned());
        inner.written = None;
        for (name, day, bytes) in record::load(folder, FILE) {
            match inner.teams.get(&*name) {
                Some(team) => {
                    let mut spent = team.lock();
                    spent.turn(today());
                    if spent.day == day {
                        spent.bytes = spent.bytes.saturating_add(bytes);
                    }
                    team.judge(spent);
                }
                None => {
                    inner.idle.insert(name, (day, bytes));
                }
            }
        }
    }

    /// Lets a day end, and keeps the figures if it is time.
    pub fn keep(&self) {
        let mut inner = self.lock();
        let day = today();
        for team in inner.teams.values() {
            let mut spent = team.lock();
            spent.turn(day);
            team.judge(spent);
        }
        let due = inner
            .written
            .as_ref()
            .is_none_or(|(at, _)| at.elapsed() >= WRITE);
        if due {
            inner.write();
        }
    }

    /// Keeps the figures now.
    pub fn store(&self) {
        self.lock().write();
    }

    pub fn page(&self, page: &mut Page) {
        let inner = self.lock();
        let Some(budget) = &inner.budget else {
            return;
        };
        let words: Vec<&str> = budget.over.iter().map(|over| over.word()).collect();
        let over = words.join(",");
        let mut family = page.family(
            "kai_agent_log_budget_bytes",
            "Bytes of documents that the team may send in a day (UTC), over all nodes.",
            Kind::Gauge,
        );
        for name in inner.teams.keys() {
            let labels = [("over", over.as_bytes()), ("team", name.as_bytes())];
            family.sample(&labels, budget.bytes_per_day as f64);
        }
        drop(family);
        for (name, help, of) in [
            (
                "kai_agent_log_budget_node_bytes",
                "This node's part of it.",
                (|spent: &Spent| spent.limit.unwrap_or_default() as f64) as fn(&Spent) -> f64,
            ),
            (
                "kai_agent_log_budget_used_bytes",
                "Bytes of the team's documents on this node since midnight UTC.",
                |spent: &Spent| spent.bytes as f64,
            ),
            (
                "kai_agent_log_budget_kept_share",
                "Part that is kept now of the team's lines of level info and below.",
                |spent: &Spent| match spent.limit {
                    Some(limit) if spent.bytes > limit && spent.one_in > 0 => {
                        Share::one_in(spent.one_in).value()
                    }
                    _ => 1.0,
                },
            ),
        ] {
            let mut family = page.family(name, help, Kind::Gauge);
            for (name, team) in &inner.teams {
                family.sample(&[("team", name.as_bytes())], of(&team.lock()));
            }
        }
        let mut family = page.family(
            "kai_agent_log_budget_sampled_lines_total",
            "Lines that a spent budget could leave out, by what became of them.",
            Kind::Counter,
        );
        for (name, team) in &inner.teams {
            let spent = team.lock();
            for (outcome, lines) in [("dropped", spent.dropped), ("kept", spent.kept)] {
                let labels = [("outcome", outcome.as_bytes()), ("team", name.as_bytes())];
                family.sample(&labels, lines as f64);
            }
        }
    }
}

impl Inner {
    fn bound(&self, team: &Team) {
        let mut spent = team.lock();
        spent.limit = self.budget.as_ref().map(LogBudget::bytes_here);
        let samples = self.budget.as_ref().filter(|b| b.share().is_some());
        spent.one_in = samples.map_or(0, |budget| budget.keep_one_in);
        spent.turn(today());
        team.judge(spent);
    }

    fn write(&mut self) {
        let (Some(folder), Some(_)) = (&self.folder, &self.budget) else {
            return;
        };
        let day = today();
        let idle = self.idle.iter().filter(|(_, (of, _))| *of == day);
        let idle = idle.map(|(name, (day, bytes))| (&**name, *day, *bytes));
        let active = self.teams.iter().map(|(name, team)| {
            let spent = team.lock();
            (&**name, spent.day, spent.bytes)
        });
        let Some(text) = record::text(active.chain(idle)) else {
            return;
        };
        if let Some((at, last)) = &mut self.written
            && *last == text
        {
            *at = Instant::now();
            return;
        }
        match durable::store(folder, FILE, &text) {
            Ok(()) => self.failing = false,
            Err(error) if !std::mem::replace(&mut self.failing, true) => tracing::error!(
                %error,
                folder = %folder.display(),
                "cannot write what teams' log lines were today; after a restart it counts from \
                 what was written last"
            ),
            Err(_) => {}
        }
        self.written = Some((Instant::now(), text));
    }
}

/// Evaluates the condition of lines that are always kept over a document's members.
pub fn is_telling<'a>(get: impl Fn(&str) -> Option<Scalar<'a>>) -> bool {
    telling().is_some_and(|condition| {
        let fields = condition.fields();
        condition.holds(&|index: usize| fields.get(index).and_then(|field| get(field)))
    })
}

/// One event from the network that a spent budget leaves out, as the ledger wants it told.
pub fn one_left_out(bytes: usize) -> impl Iterator<Item = (&'static Arc<str>, u64, u64)> {
    static REASON: LazyLock<Arc<str>> = LazyLock::new(|| REASON_WORD.into());
    std::iter::once((&*REASON, 1, bytes as u64))
}

/// Days since 1970.
fn today() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / DAY)
}

#[cfg(test)]
mod tests;
