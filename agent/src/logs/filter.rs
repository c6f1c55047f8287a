//! Lines that are not sent: those that a rule of their source drops, those that its sampling leaves
//! out, and those that its team's spent budget does. The first two are decided when a line was read and before its document is written, by the line and by
//! its id alone, so that a line that is read again after a crash is decided alike.
//!
//! A line that several shares fit goes by the smallest. One that is kept of a share says so in
//! `kai.sampled`, so that a reader can reckon with it.

use std::sync::Arc;

use kai_contract::agent_config::{LEVELS, LogSource, Share};
use kai_contract::expression::{self, Expression, Scalar};

use super::budget::{self, Team};
use super::document::Fields;
use super::id::Epoch;

/// Reason of lines that a sample leaves out.
const SAMPLED: &str = "sampled";

#[derive(Debug)]
enum When {
    Level(&'static str),
    Holds(Expression),
}

/// Of one source.
#[derive(Debug)]
pub struct Filter {
    drops: Vec<Expression>,
    samples: Vec<(When, Share)>,
    budget: Option<Budget>,
    /// What the rules look at; [`Filter::judge`] wants them watched in this order.
    fields: Vec<String>,
    /// Lines since the last [`Filter::drain`], by reason: of each rule, of sampling, of the budget.
    counts: Vec<(Arc<str>, u64, u64)>,
}

/// Of the source's team.
#[derive(Debug)]
struct Budget {
    team: Arc<Team>,
    telling: Option<Expression>,
    /// Lines that might have been left out and were kept, since the last [`Filter::drain`].
    kept: u64,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// As one of those that this share keeps; whether the budget had a say.
    Sampled(Share, bool),
    /// By the rule or sampling of this number.
    Drop(usize),
}

impl Filter {
    /// `None` when nothing is asked for. Rules are judged with the configuration; one that cannot be
    /// read never fits.
    pub fn new(config: &LogSource, budget: Option<Arc<Team>>) -> Option<Self> {
        if config.drop.is_empty() && config.sample.is_empty() && budget.is_none() {
            return None;
        }
        let mut fields: Vec<String> = Vec::new();
        let mut read = |text: &str| {
            let condition = expression::parse(text).ok()?;
            let places: Vec<usize> = condition
                .fields()
                .iter()
                .map(|field| {
                    let known = fields.iter().position(|known| known == field);
                    known.unwrap_or_else(|| {
                        fields.push(field.clone());
                        fields.len() - 1
                    })
                })
                .collect();
            Some(condition.renumbered(|index| places[index]))
        };
        let budget = budget.map(|team| Budget {
            team,
            telling: read(budget::TELLING),
            kept: 0,
        });
        let mut counts = Vec::new();
        let mut drops = Vec::new();
        for rule in &config.drop {
            if let Some(condition) = read(rule) {
                counts.push((format!("rule:{rule}").into(), 0, 0));
                drops.push(condition);
            }
        }
        let mut samples = Vec::new();
        for (rule, share) in &config.sample {
            let level = LEVELS.into_iter().find(|level| level == rule);
            let when = level
                .map(When::Level)
                .or_else(|| read(rule).map(When::Holds));
            samples.extend(when.map(|when| (when, *share)));
        }
        counts.push((SAMPLED.into(), 0, 0));
        counts.push((budget::REASON_WORD.into(), 0, 0));
        Some(Self {
            drops,
            samples,
            budget,
            fields,
            counts,
        })
    }

    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// `first` is the place of the first of [`Filter::fields`] among the watched ones.
    pub fn judge(&self, fields: &Fields<'_>, first: usize, epoch: Epoch, offset: u64) -> Verdict {
        let get = |index: usize| -> Option<Scalar<'_>> { fields.get(first + index) };
        self.decide(|| fields.level(), &get, || spread(&epoch.id(offset)))
    }

    /// Of an event that comes once: `number` only has to be spread evenly. `get` tells what the field
    /// of that place among [`Filter::fields`] holds.
    pub fn decide<'a>(
        &self,
        level: impl FnOnce() -> Option<&'a [u8]>,
        get: &impl Fn(usize) -> Option<Scalar<'a>>,
        number: impl FnOnce() -> u64,
    ) -> Verdict {
        if let Some(rule) = self.drops.iter().position(|rule| rule.holds(get)) {
            return Verdict::Drop(rule);
        }
        let spent = self
            .budget
            .as_ref()
            .and_then(|budget| Some((budget, budget.team.share()?)));
        if self.samples.is_empty() && spent.is_none() {
            return Verdict::Keep;
        }
        let level = level();
        let ruled = self
            .samples
            .iter()
            .filter(|(when, _)| match when {
                When::Level(name) => level == Some(name.as_bytes()),
                When::Holds(condition) => condition.holds(get),
            })
            .map(|(_, share)| *share)
            .min()
            .filter(|share| *share != Share::ALL);
        let by_budget = spent
            .filter(|(budget, _)| budget.may_drop(level, get))
            .map(|(_, share)| share);
        if ruled.is_none() && by_budget.is_none() {
            return Verdict::Keep;
        }
        // One number for both, so that the smaller share keeps a part of what the other would.
        let number = number();
        if ruled.is_some_and(|share| !share.takes(number)) {
            return Verdict::Drop(self.drops.len());
        }
        if by_budget.is_some_and(|share| !share.takes(number)) {
            return Verdict::Drop(self.drops.len() + 1);
        }
        let share = ruled.into_iter().chain(by_budget).min();
        Verdict::Sampled(share.unwrap_or(Share::ALL), by_budget.is_some())
    }

    /// Counts a line that is kept although the budget is spent.
    pub fn kept(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.kept += 1;
        }
    }

    /// Counts a line that is dropped, of so many bytes.
    pub fn count(&mut self, reason: usize, bytes: usize) {
        if let Some((_, lines, all)) = self.counts.get_mut(reason) {
            *lines += 1;
            *all += bytes as u64;
        }
    }

    /// What was dropped since the last call: reason, lines, bytes.
    pub fn drain(&mut self) -> impl Iterator<Item = (&Arc<str>, u64, u64)> {
        let dropped = self.counts.last().map_or(0, |(_, lines, _)| *lines);
        if let Some(budget) = &mut self.budget {
            budget
                .team
                .sampled(std::mem::take(&mut budget.kept), dropped);
        }
        self.counts.iter_mut().filter_map(|(reason, lines, bytes)| {
            let (lines, bytes) = (std::mem::take(lines), std::mem::take(bytes));
            (lines > 0).then_some((&*reason, lines, bytes))
        })
    }
}

impl Budget {
    fn may_drop<'a>(
        &self,
        level: Option<&[u8]>,
        get: &impl Fn(usize) -> Option<Scalar<'a>>,
    ) -> bool {
        budget::is_expendable(level) && !self.telling.as_ref().is_some_and(|rule| rule.holds(get))
    }
}

/// An id as a number that is spread evenly: FNV-1a, and splitmix64's last steps, since ids of one
/// file differ in their last characters alone.
fn spread(id: &[u8]) -> u64 {
    let mut hash = id.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kai_contract::agent_config::LogFormat;
    use proptest::prelude::*;

    use super::super::document::{Form, Line, Shaper};
    use super::*;

    fn filter(drop: &[&str], sample: &[(&str, f64)]) -> Filter {
        let rules = serde_json::json!({
            "paths": ["/l"], "dataStream": "logs-kai.a-b", "drop": drop,
            "sample": sample.iter().copied().collect::<BTreeMap<_, _>>(),
        });
        Filter::new(&serde_json::from_value(rules).unwrap(), None).unwrap()
    }

    fn judge(filter: &Filter, text: &str, epoch: Epoch, offset: u64) -> Verdict {
        let mut shaper = Shaper::new(
            Form::new(LogFormat::Auto),
            &BTreeMap::new(),
            filter.fields(),
        );
        let line = Line {
            text: text.as_bytes(),
            cut: false,
            split: false,
            read_at: 0,
            stream: None,
            offset,
            path: b"",
            about: None,
        };
        let mut verdict = None;
        let mut out = Vec::new();
        shaper.shape_and_tell(&mut out, &line, |fields| {
            verdict = Some(filter.judge(fields, 0, epoch, offset));
            true
        });
        verdict.unwrap()
    }

    #[test]
    fn rules_drop_and_shares_keep_their_part() {
        let filter = filter(
            &["url.path == \"/healthz\"", "log.level == \"trace\""],
            &[
                ("debug", 0.1),
                ("http.route == \"/search\"", 0.0),
                ("info", 1.0),
            ],
        );
        let epoch = Epoch::new();
        let one = |text: &str| judge(&filter, text, epoch, 7);
        assert_eq!(one(r#"{"url":{"path":"/healthz"}}"#), Verdict::Drop(0));
        // Levels in the spelling that the document will have.
        assert_eq!(one(r#"{"level":"TRC"}"#), Verdict::Drop(1));
        assert_eq!(one(r#"{"severity":"info"}"#), Verdict::Keep);
        assert_eq!(one(r#"{"http.route":"/search"}"#), Verdict::Drop(2));
        assert_eq!(one("plain text"), Verdict::Keep);
        let kept = (0..20_000)
            .filter(|n| judge(&filter, "DEBUG: round", epoch, n * 57) != Verdict::Drop(2))
            .count();
        assert!((1_800..2_200).contains(&kept), "{kept}");
    }

    proptest! {
        #[test]
        fn a_line_read_again_is_decided_alike(text in ".{0,60}", offset in 0_u64..1 << 40, share in 0.0..1.0) {
            let filter = filter(&["message =~ \".*a.*\""], &[("exists(message)", share)]);
            let epoch = Epoch::new();
            let again = Epoch::parse(&epoch.to_string()).unwrap();
            prop_assert_eq!(judge(&filter, &text, epoch, offset), judge(&filter, &text, again, offset));
        }
    }
}
