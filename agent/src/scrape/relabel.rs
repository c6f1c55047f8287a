//! Prometheus' `metric_relabel_configs`, rule by rule. Pure. The reference is Prometheus' package
//! `model/relabel`, its `labels.Builder` included: in which order labels are seen decides what
//! `labelmap` leaves when two labels get the same name.

use std::borrow::Cow;

use kai_contract::agent_config::{Relabel, RelabelAction};
use kai_contract::go_regex;
use md5::{Digest, Md5};
use regex::{Captures, Regex, RegexBuilder};

mod template;

use template::Template;

/// The label that holds a series' name.
pub const NAME: &str = "__name__";

/// A compiled pattern may take this much memory.
const PATTERN_MEMORY: usize = 1 << 20;

/// Rules, compiled.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Whether the order of labels matters.
    sorted: bool,
}

#[derive(Debug)]
struct Rule {
    action: RelabelAction,
    sources: Vec<String>,
    separator: String,
    /// `None` stands for `(.*)`, which matches everything.
    regex: Option<Regex>,
    modulus: u64,
    target: Template,
    replacement: Template,
}

impl Rules {
    /// Compiles rules; of the bad ones it tells place in the list, key and reason.
    pub fn new(rules: &[Relabel]) -> Result<Self, Vec<(usize, &'static str, String)>> {
        let mut compiled = Vec::with_capacity(rules.len());
        let mut wrong = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            match Rule::new(rule) {
                Ok(rule) => compiled.push(rule),
                Err(reason) => wrong.push((index, "regex", reason)),
            }
        }
        if wrong.is_empty() {
            let sorted = rules
                .iter()
                .any(|rule| rule.action == RelabelAction::LabelMap);
            Ok(Self {
                rules: compiled,
                sorted,
            })
        } else {
            Err(wrong)
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Applies all rules; false if one of them dropped the series.
    pub fn apply<'a>(&'a self, labels: &mut Labels<'a>) -> bool {
        if self.sorted {
            labels.sort();
        }
        let mut joined = String::new();
        self.rules
            .iter()
            .all(|rule| rule.apply(labels, &mut joined))
    }
}

/// The labels of one series while rules are applied, `__name__` among them. A label without a value
/// is no label.
#[derive(Debug, Default)]
pub struct Labels<'a> {
    /// First those that the page has, then those set by rules.
    entries: Vec<Entry<'a>>,
    changed: bool,
}

#[derive(Debug, Clone)]
struct Entry<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
    set: bool,
}

impl<'a> Labels<'a> {
    pub fn new(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let entries = labels
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| Entry {
                name: Cow::Borrowed(name),
                value: Cow::Borrowed(value),
                set: false,
            })
            .collect();
        Self {
            entries,
            changed: false,
        }
    }

    /// Whether any rule changed anything.
    pub fn changed(&self) -> bool {
        self.changed
    }

    pub fn get(&self, name: &str) -> &str {
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .map_or("", |entry| &entry.value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.entries
            .iter()
            .map(|entry| (&*entry.name, &*entry.value))
    }

    fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.name.cmp(&b.name));
    }

    fn delete(&mut self, name: &str) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.name != name);
        self.changed |= self.entries.len() != before;
    }

    fn set(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        if value.is_empty() {
            self.delete(&name);
            return;
        }
        let at = self.entries.iter().position(|entry| entry.name == name);
        if let Some(at) = at {
            let entry = &mut self.entries[at];
            if entry.value != value {
                self.changed = true;
                entry.value = value;
            }
            if !entry.set {
                let mut entry = self.entries.remove(at);
                entry.set = true;
                self.entries.push(entry);
            }
            return;
        }
        self.changed = true;
        self.entries.push(Entry {
            name,
            value,
            set: true,
        });
    }
}

impl Rule {
    fn new(rule: &Relabel) -> Result<Self, String> {
        let regex = if rule.regex() == Relabel::REGEX {
            None
        } else {
            Some(compile(rule.regex())?)
        };
        let target = Template::new(rule.target(), regex.as_ref());
        let replacement = Template::new(rule.replacement(), regex.as_ref());
        Ok(Self {
            action: rule.action,
            sources: rule.sources().to_vec(),
            separator: rule.separator().to_owned(),
            modulus: rule.modulus.unwrap_or(0).max(1),
            regex,
            target,
            replacement,
        })
    }

    fn apply<'a>(&'a self, labels: &mut Labels<'a>, joined: &mut String) -> bool {
        let value = match &self.sources[..] {
            [] => "",
            // The usual case needs no joining, but its borrow must not last.
            [only] if matches!(self.action, RelabelAction::Keep | RelabelAction::Drop) => {
                let matched = self.matches(labels.get(only));
                return matched == (self.action == RelabelAction::Keep);
            }
            sources => {
                joined.clear();
                for (index, source) in sources.iter().enumerate() {
                    if index > 0 {
                        joined.push_str(&self.separator);
                    }
                    joined.push_str(labels.get(source));
                }
                joined
            }
        };
        let target = || Cow::Borrowed(self.target.text());
        match self.action {
            RelabelAction::Drop => return !self.matches(value),
            RelabelAction::Keep => return self.matches(value),
            RelabelAction::DropEqual => return labels.get(self.target.text()) != value,
            RelabelAction::KeepEqual => return labels.get(self.target.text()) == value,
            RelabelAction::Replace => self.replace(labels, value),
            RelabelAction::Lowercase => labels.set(target(), go_case(value, char::to_lowercase)),
            RelabelAction::Uppercase => labels.set(target(), go_case(value, char::to_uppercase)),
            RelabelAction::HashMod => {
                let rest = hash(value) % self.modulus;
                labels.set(target(), rest.to_string().into());
            }
            RelabelAction::LabelMap => self.map(labels),
            RelabelAction::LabelDrop => self.retain(labels, false),
            RelabelAction::LabelKeep => self.retain(labels, true),
        }
        true
    }

    fn matches(&self, value: &str) -> bool {
        self.regex
            .as_ref()
            .is_none_or(|regex| regex.is_match(value))
    }

    fn replace<'a>(&'a self, labels: &mut Labels<'a>, value: &str) {
        let plain = |template: &'a Template| Cow::Borrowed(template.text());
        let constant = self.target.is_constant() && self.replacement.is_constant();
        let (target, replacement) = match &self.regex {
            None if constant => (plain(&self.target), plain(&self.replacement)),
            None => (
                self.target.expand(&|group| whole(group, value)),
                self.replacement.expand(&|group| whole(group, value)),
            ),
            Some(regex) if constant => {
                if !regex.is_match(value) {
                    return;
                }
                (plain(&self.target), plain(&self.replacement))
            }
            Some(regex) => {
                let Some(captures) = regex.captures(value) else {
                    return;
                };
                let group = |group| matched(&captures, group);
                (self.target.expand(&group), self.replacement.expand(&group))
            }
        };
        if !target.is_empty() {
            labels.set(target, replacement);
        }
    }

    /// Copies the labels whose names match to the names that the replacement makes.
    fn map(&self, labels: &mut Labels<'_>) {
        let mut copies = Vec::new();
        for entry in &labels.entries {
            let name = match &self.regex {
                // `(.*)` matches the name, and then once more the nothing after it only where the
                // name is empty, which none is.
                None => self.replacement.expand(&|group| whole(group, &entry.name)),
                Some(regex) => match regex.captures(&entry.name) {
                    Some(captures) => self.replacement.expand(&|group| matched(&captures, group)),
                    None => continue,
                },
            };
            if !name.is_empty() {
                copies.push((name.into_owned(), entry.value.to_string()));
            }
        }
        for (name, value) in copies {
            labels.set(name.into(), value.into());
        }
    }

    fn retain(&self, labels: &mut Labels<'_>, matching: bool) {
        let before = labels.entries.len();
        labels
            .entries
            .retain(|entry| self.matches(&entry.name) == matching);
        labels.changed |= labels.entries.len() != before;
    }
}

/// What `(.*)` captured.
fn whole(group: usize, value: &str) -> &str {
    if group <= 1 { value } else { "" }
}

fn matched<'t>(captures: &Captures<'t>, group: usize) -> &'t str {
    captures.get(group).map_or("", |found| found.as_str())
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&go_regex::anchored(pattern))
        .octal(true)
        .size_limit(PATTERN_MEMORY)
        .build()
        .map_err(|error| {
            // The engine draws the pattern over several lines; the last one says what is wrong.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            format!("\"{pattern}\" is not a regular expression: {reason} (RE2 syntax)")
        })
}

/// The last eight bytes of the MD5 sum, as Prometheus has them.
fn hash(value: &str) -> u64 {
    let sum = Md5::digest(value.as_bytes());
    sum[8..]
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Go changes the case rune by rune: one that would become several (ß) stays.
fn go_case<I: Iterator<Item = char>>(value: &str, change: impl Fn(char) -> I) -> Cow<'static, str> {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        let mut changed = change(c);
        match (changed.next(), changed.next()) {
            (Some(one), None) => out.push(one),
            // Go's simple mapping of İ.
            (Some('i'), Some('\u{307}')) => out.push('i'),
            _ => out.push(c),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests;
