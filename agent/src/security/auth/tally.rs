//! The counts that follow from the log. They are kept together with the places reached in it, so
//! that a restart neither loses nor repeats a line.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::event::{Address, Change, Event, Method, SshKind, Sudo};
use crate::exposition::{Kind, Page};

/// Names that wait for a place among the top.
const WAITING: usize = 128;
/// Bytes of a name that are kept; a user name of a real system has 32.
const LONGEST: usize = 64;

/// Counts by name, of which only the most frequent have a series of their own. Each event is in
/// exactly one series; a name that comes to the top begins at the events from then on, and one that
/// loses its place ends, so that no series ever goes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    /// By name: what is shown, and what it is ranked by.
    shown: BTreeMap<String, (u64, u64)>,
    other: u64,
    waiting: BTreeMap<String, u64>,
}

impl Top {
    pub fn add(&mut self, name: &str, count: u64, most: usize) {
        let name = cut(name);
        if let Some((shown, rank)) = self.shown.get_mut(&name) {
            *shown += count;
            *rank += count;
            return;
        }
        let rank = self.waiting.get(&name).copied().unwrap_or(0) + count;
        // `other` is the rest, whatever somebody is called.
        let least = self.shown.iter().min_by_key(|(_, (_, rank))| *rank);
        let least = least.map(|(name, (_, rank))| (name.clone(), *rank));
        let full = self.shown.len() >= most;
        let beats = least.as_ref().is_some_and(|(_, least)| rank > *least);
        if name != "other" && (!full || beats) {
            if let Some((out, least)) = least.filter(|_| full) {
                self.shown.remove(&out);
                self.wait(out, least);
            }
            self.waiting.remove(&name);
            self.shown.insert(name, (count, rank));
            return;
        }
        self.other += count;
        if name != "other" {
            self.wait(name, rank);
        }
    }

    fn wait(&mut self, name: String, rank: u64) {
        if self.waiting.len() >= WAITING && !self.waiting.contains_key(&name) {
            // The least makes room, and its rank is inherited: who comes often is found (the
            // "space saving" algorithm of Metwally and others).
            let least = self.waiting.iter().min_by_key(|(_, rank)| **rank);
            if let Some((least, before)) = least.map(|(name, rank)| (name.clone(), *rank)) {
                self.waiting.remove(&least);
                self.waiting.insert(name, before.max(rank));
            }
            return;
        }
        self.waiting.insert(name, rank);
    }

    fn write(&self, page: &mut Page, name: &str, label: &str, help: &str) {
        let mut family = page.family(name, help, Kind::Counter);
        for (value, (shown, _)) in &self.shown {
            family.sample(&[(label, value.as_bytes())], *shown as f64);
        }
        family.sample(&[(label, b"other")], self.other as f64);
    }

    fn to_json(&self) -> Value {
        json!({ "shown": self.shown, "other": self.other, "waiting": self.waiting })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let pair = |value: &Value| Some((value.get(0)?.as_u64()?, value.get(1)?.as_u64()?));
        let shown = value.get("shown")?.as_object()?.iter();
        let waiting = value.get("waiting")?.as_object()?.iter();
        Some(Self {
            shown: shown
                .map(|(name, value)| Some((name.clone(), pair(value)?)))
                .collect::<Option<_>>()?,
            other: value.get("other")?.as_u64()?,
            waiting: waiting
                .map(|(name, value)| Some((name.clone(), value.as_u64()?)))
                .collect::<Option<_>>()?,
        })
    }
}

/// A name as a label has it: printable, and not endless.
fn cut(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        let next: String = if c.is_control() {
            c.escape_default().collect()
        } else {
            c.into()
        };
        if text.len() + next.len() > LONGEST {
            text.push('…');
            break;
        }
        text.push_str(&next);
    }
    text
}

/// Everything that is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// By `family/label/label`.
    counts: BTreeMap<String, u64>,
    tops: BTreeMap<String, Top>,
}

const REJECTIONS: [&str; 5] = [
    "dropped",
    "invalid_user",
    "not_allowed",
    "preauth",
    "too_many_attempts",
];
const LINES: [&str; 4] = ["event", "other", "too_long", "unreadable"];
const TARGETS: [&str; 3] = ["ambiguous", "other", "root"];

type Listed = (&'static str, &'static str, &'static str, &'static str);
const TOPS: [Listed; 4] = [
    (
        "failures_by_address",
        "kai_security_ssh_failures_by_address_total",
        "address",
        "Lines that tell of a failed or refused SSH login, by address; only the most frequent have a \
         series, the rest is other.",
    ),
    (
        "failures_by_user",
        "kai_security_ssh_failures_by_user_total",
        "user",
        "The same by user.",
    ),
    (
        "logins_by_user",
        "kai_security_ssh_logins_by_user_total",
        "user",
        "Successful SSH logins by user.",
    ),
    (
        "sudo_by_user",
        "kai_security_sudo_by_user_total",
        "user",
        "Uses of sudo by user, refused ones as well.",
    ),
];

impl Tally {
    fn count(&mut self, key: String, count: u64) {
        *self.counts.entry(key).or_default() += count;
    }

    /// What became of a line.
    pub fn line(&mut self, outcome: &str) {
        self.count(format!("lines/{outcome}"), 1);
    }

    pub fn lost(&mut self, files: u64) {
        self.count("lost".into(), files);
    }

    fn top(&mut self, name: &str, value: &str, count: u64, most: usize) {
        self.tops
            .entry(name.into())
            .or_default()
            .add(value, count, most);
    }

    pub fn event(&mut self, event: &Event<'_>, count: u64, most: usize) {
        match event {
            Event::Ssh(ssh) => {
                let failed = match ssh.kind {
                    SshKind::Accepted(method) => {
                        self.count(format!("ssh/accepted/{}", method.as_str()), count);
                        self.top("logins_by_user", ssh.user.unwrap_or("?"), count, most);
                        false
                    }
                    SshKind::Failed(method) => {
                        self.count(format!("ssh/failed/{}", method.as_str()), count);
                        true
                    }
                    SshKind::InvalidUser => {
                        self.count("rejected/invalid_user".into(), count);
                        true
                    }
                    SshKind::NotAllowed => {
                        self.count("rejected/not_allowed".into(), count);
                        true
                    }
                    SshKind::TooManyAttempts => {
                        self.count("rejected/too_many_attempts".into(), count);
                        false // each attempt had a line of its own
                    }
                    SshKind::Dropped => {
                        self.count("rejected/dropped".into(), count);
                        false
                    }
                    SshKind::Preauth => {
                        self.count("rejected/preauth".into(), count);
                        false
                    }
                };
                if failed {
                    let address = match ssh.address {
                        Address::Known(address) => address.to_string(),
                        Address::None => "none".to_owned(),
                        Address::Ambiguous => "ambiguous".to_owned(),
                    };
                    self.top("failures_by_address", &address, count, most);
                    self.top("failures_by_user", ssh.user.unwrap_or("?"), count, most);
                }
            }
            Event::Sudo {
                user,
                outcome,
                target_is_root,
            } => {
                let target = match target_is_root {
                    Some(true) => "root",
                    Some(false) => "other",
                    None => "ambiguous",
                };
                self.count(format!("sudo/{}/{target}", outcome.as_str()), count);
                self.top("sudo_by_user", user, count, most);
            }
            Event::Su {
                allowed,
                target_is_root,
                ..
            } => {
                let outcome = if *allowed { "allowed" } else { "refused" };
                let target = if *target_is_root { "root" } else { "other" };
                self.count(format!("su/{outcome}/{target}"), count);
            }
            Event::Account { change, .. } => {
                self.count(format!("account/{}", change.as_str()), count);
            }
        }
    }

    /// Every family, with a 0 for what never happened: an alert can compare with it.
    pub fn write(&self, page: &mut Page) {
        let of = |key: String| self.counts.get(&key).copied().unwrap_or(0) as f64;
        let mut family = page.family(
            "kai_security_ssh_logins_total",
            "Attempts to log in by SSH, by result and method.",
            Kind::Counter,
        );
        for method in Method::ALL.map(Method::as_str) {
            for result in ["accepted", "failed"] {
                let labels = [("method", method.as_bytes()), ("result", result.as_bytes())];
                family.sample(&labels, of(format!("ssh/{result}/{method}")));
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_security_ssh_rejections_total",
            "What else the SSH server says of those that it does not let in.",
            Kind::Counter,
        );
        for reason in REJECTIONS {
            family.sample(
                &[("reason", reason.as_bytes())],
                of(format!("rejected/{reason}")),
            );
        }
        drop(family);
        let mut family = page.family(
            "kai_security_sudo_total",
            "Uses of sudo, by outcome and by who the command was to run as.",
            Kind::Counter,
        );
        for outcome in Sudo::ALL.map(Sudo::as_str) {
            for target in TARGETS {
                let labels = [
                    ("outcome", outcome.as_bytes()),
                    ("target", target.as_bytes()),
                ];
                family.sample(&labels, of(format!("sudo/{outcome}/{target}")));
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_security_su_total",
            "Uses of su, by outcome and by who somebody became.",
            Kind::Counter,
        );
        for outcome in ["allowed", "refused"] {
            for target in ["other", "root"] {
                let labels = [
                    ("outcome", outcome.as_bytes()),
                    ("target", target.as_bytes()),
                ];
                family.sample(&labels, of(format!("su/{outcome}/{target}")));
            }
        }
        drop(family);
        let mut family = page.family(
            "kai_security_account_changes_total",
            "Changes of users, groups and passwords, as the programs that make them log them.",
            Kind::Counter,
        );
        for change in Change::ALL.map(Change::as_str) {
            family.sample(
                &[("change", change.as_bytes())],
                of(format!("account/{change}")),
            );
        }
        drop(family);
        let mut family = page.family(
            "kai_security_auth_lines_total",
            "Lines of the authentication log that were read, by what became of them.",
            Kind::Counter,
        );
        for outcome in LINES {
            family.sample(
                &[("outcome", outcome.as_bytes())],
                of(format!("lines/{outcome}")),
            );
        }
        drop(family);
        page.single(
            "kai_security_auth_lost_files_total",
            "Times that a log was rotated away or truncated before the rest of it was read.",
            Kind::Counter,
            of("lost".into()),
        );
        let none = Top::default();
        for (key, name, label, help) in TOPS {
            self.tops
                .get(key)
                .unwrap_or(&none)
                .write(page, name, label, help);
        }
    }

    pub fn to_json(&self) -> Value {
        let tops: Map<String, Value> = self
            .tops
            .iter()
            .map(|(name, top)| (name.clone(), top.to_json()))
            .collect();
        json!({ "counts": self.counts, "tops": tops })
    }

    pub fn from_json(value: &Value) -> Option<Self> {
        let counts = value.get("counts")?.as_object()?.iter();
        let tops = value.get("tops")?.as_object()?.iter();
        Some(Self {
            counts: counts
                .map(|(name, count)| Some((name.clone(), count.as_u64()?)))
                .collect::<Option<_>>()?,
            tops: tops
                .map(|(name, top)| Some((name.clone(), Top::from_json(top)?)))
                .collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn total(top: &Top) -> u64 {
        top.other + top.shown.values().map(|(shown, _)| shown).sum::<u64>()
    }

    #[test]
    fn the_most_frequent_have_a_series() {
        let mut top = Top::default();
        for round in 0..50_u32 {
            for number in 0..40_u32 {
                top.add(&format!("10.0.{round}.{number}"), 1, 3);
            }
            top.add("192.0.2.1", 20, 3);
        }
        assert_eq!(top.shown.len(), 3);
        assert!(top.shown.contains_key("192.0.2.1"), "{:?}", top.shown);
        assert!(top.waiting.len() <= WAITING);
        top.add("other", 5, 3);
        assert!(!top.shown.contains_key("other"));
        assert_eq!(cut("a\nb\u{1b}"), "a\\nb\\u{1b}");
        assert!(cut(&"x".repeat(300)).len() < 80);
    }

    proptest! {
        #[test]
        fn no_event_is_lost_while_all_have_room(names in proptest::collection::vec("[a-e]", 0..60)) {
            let mut top = Top::default();
            for name in &names {
                top.add(name, 1, 5);
            }
            prop_assert_eq!(total(&top), names.len() as u64);
        }

        #[test]
        fn memory_is_bounded_and_all_of_it_comes_back(names in proptest::collection::vec(".{0,4}", 0..400), most in 1_usize..6) {
            let mut tally = Tally::default();
            for name in &names {
                let event = Event::Sudo { user: name, outcome: Sudo::Allowed, target_is_root: None };
                tally.event(&event, 1, most);
            }
            let text = tally.to_json().to_string();
            let back = Tally::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(&back, &tally);
            for top in tally.tops.values() {
                prop_assert!(top.shown.len() <= most && top.waiting.len() <= WAITING);
                prop_assert!(total(top) <= names.len() as u64);
            }
        }
    }
}
