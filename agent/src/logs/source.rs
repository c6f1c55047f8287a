//! One source of lines, resolved from its configuration: where its files are, how its lines are read
//! and which of them are one event.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use kai_contract::agent_config::{
    Journald, LogContainer, LogFormat, LogSource, LogStart, Logs, Multiline, Privacy, Problem,
    TraceLanguage,
};
use regex::bytes::{Regex, RegexBuilder};

use super::budget::{Budgets, Team};
use super::document::{Form, Shaper};
use super::filter::Filter;
use super::join::traces::Language;
use super::join::{self, Joiner, Rule, Wrapper};
use super::journal::fields::Message;
use super::pods::Pods;
use super::reader::Globs;
use super::{FieldBudget, Node};
use crate::business::rules::RuleSet;
use crate::privacy::{self, Redactor};

/// Memory that a compiled expression may take.
const EXPRESSION_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub struct Source {
    pub name: Arc<str>,
    pub stream: usize,
    pub globs: Globs,
    pub shaper: Shaper,
    /// Of its data stream.
    pub names: Arc<FieldBudget>,
    /// What its lines are counted by.
    pub rules: Option<Arc<RuleSet>>,
    /// In place of files.
    pub journald: Option<Journald>,
    /// How the messages of a journal are read.
    pub message: Message,
    /// Which of them are not sent.
    pub filter: Option<Filter>,
    /// Of `service.name` and `kai.team`, by which lines are reckoned up.
    pub service: Arc<str>,
    pub team: Arc<str>,
    /// Whose budget they spend.
    pub spends: Option<Arc<Team>>,
    /// Only where events can have several lines.
    pub joiner: Option<Joiner>,
    /// How long a file is quiet before its last event is taken as whole.
    pub pause: Option<Duration>,
    pub from_end: bool,
    /// Whose its files are, where they are containers'.
    pub pods: Option<Pods>,
}

/// What a source has in common with others.
#[derive(Debug)]
pub struct Shared<'a> {
    /// Of teams.
    pub budgets: &'a Budgets,
    /// Of field names, of its data stream.
    pub names: Arc<FieldBudget>,
}

impl Source {
    pub fn new(
        name: &str,
        config: &LogSource,
        stream: usize,
        node: Node<'_>,
        redactor: Option<Arc<Redactor>>,
        rules: Option<Arc<RuleSet>>,
        shared: Shared<'_>,
    ) -> Result<Self, String> {
        let mut fields = config.fields.clone();
        if let Some(host) = node.host {
            fields
                .entry("host.name".to_owned())
                .or_insert_with(|| host.to_owned());
        }
        let message = Message {
            format: config.format,
            pattern: config.pattern.as_deref().map(expression).transpose()?,
            zone: config.time_zone.as_deref().map(zone).transpose()?,
        };
        let form = Form {
            // A journal's entries are objects whatever their messages are.
            format: match config.journald {
                Some(_) => LogFormat::Json,
                None => config.format,
            },
            pattern: config.pattern.as_deref().map(expression).transpose()?,
            zone: config.time_zone.as_deref().map(zone).transpose()?,
            redactor,
            auth: Some(super::auth::object),
        };
        let joiner = joiner(config)?;
        let of = |field: &str| config.fields.get(field).map_or("", String::as_str);
        let spends = shared.budgets.team(of("kai.team"));
        let bounded = spends
            .clone()
            .filter(|_| !config.never_sample && shared.budgets.samples());
        let filter = Filter::new(config, bounded);
        let mut watched: Vec<String> = rules
            .as_ref()
            .map_or(Vec::new(), |rules| rules.fields.clone());
        match &filter {
            // A line is shown only where a field is watched.
            Some(filter) if filter.fields().is_empty() => watched.push("log.level".to_owned()),
            Some(filter) => watched.extend_from_slice(filter.fields()),
            None => {}
        }
        let multiline = config.multiline.as_ref();
        let pause = multiline.map_or(PART_PAUSE, |lines| Duration::from_millis(lines.pause_ms));
        let mut shaper = Shaper::new(form, &fields, &watched);
        shaper.keep_to(Arc::clone(&shared.names));
        let pods = match (&config.pods, node.cluster) {
            (Some(pods), Some(cluster)) => {
                shaper.look_for_about();
                let known = fields.contains_key("service.name");
                Some(Pods::new(Arc::clone(cluster), pods, known))
            }
            _ => None,
        };
        Ok(Self {
            name: name.into(),
            stream,
            globs: Globs::new(config)?,
            shaper,
            names: shared.names,
            pods,
            rules,
            filter,
            service: of("service.name").into(),
            team: of("kai.team").into(),
            spends,
            pause: joiner.is_some().then_some(pause),
            journald: config.journald.clone(),
            message,
            joiner,
            from_end: config.start == LogStart::End,
        })
    }
}

impl Source {
    /// Documents of so many bytes were made.
    pub fn spend(&self, bytes: u64) {
        if let Some(team) = &self.spends {
            team.add(bytes);
        }
    }
}

/// The rest of a line that a container runtime cut comes at once, or never.
const PART_PAUSE: Duration = Duration::from_secs(5);

fn joiner(config: &LogSource) -> Result<Option<Joiner>, String> {
    let wrapper = config.container.map(|container| match container {
        LogContainer::Cri => Wrapper::Cri,
        LogContainer::Docker => Wrapper::Docker,
        LogContainer::Auto => Wrapper::Either,
    });
    let rule = config.multiline.as_ref().map(rule).transpose()?;
    let lines = config.multiline.as_ref();
    let most = lines.map_or(join::MOST_LINES, |lines| lines.max_lines);
    Ok((wrapper.is_some() || rule.is_some())
        .then(|| Joiner::new(wrapper, rule.unwrap_or(Rule::Lines), most)))
}

fn rule(config: &Multiline) -> Result<Rule, String> {
    match (&config.begins, &config.continues, config.traces) {
        (Some(begins), None, None) => expression(begins).map(Rule::Begins),
        (None, Some(continues), None) => expression(continues).map(Rule::Continues),
        (None, None, Some(language)) => Ok(Rule::Trace(match language {
            TraceLanguage::Java => Language::Java,
            TraceLanguage::Python => Language::Python,
            TraceLanguage::Go => Language::Go,
            TraceLanguage::Rust => Language::Rust,
            TraceLanguage::Node => Language::Node,
        })),
        _ => Err("give exactly one of begins, continues and traces".to_owned()),
    }
}

fn expression(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .size_limit(EXPRESSION_BYTES)
        .build()
        .map_err(|error| {
            let reason = error.to_string();
            // The library draws the expression and points at it; its last line says why.
            let last = reason.lines().last().unwrap_or_default();
            format!(
                "\"{text}\" is no regular expression: {}",
                last.trim_start_matches("error: ")
            )
        })
}

pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| format!("\"{name}\" is no time zone; write one like Asia/Jakarta or UTC"))
}

/// Takes out what the configuration says, with the key that it names; `None` if it says nothing.
pub fn redactor(config: &Option<Privacy>) -> Result<Option<Arc<Redactor>>, String> {
    let Some(privacy) = config else {
        return Ok(None);
    };
    let read = |file: &Path| privacy::read_key(file).map_err(|error| error.to_string());
    let (fields, key) = match &privacy.pseudonymise {
        Some(pseudonymise) => (
            pseudonymise.fields.as_slice(),
            Some(read(&pseudonymise.key_file)?),
        ),
        None => (&[][..], None),
    };
    Ok(Redactor::new(privacy.redact, fields, key).map(Arc::new))
}

/// What only this crate can judge: globs, expressions, time zones.
pub fn problems(logs: &Logs) -> Vec<Problem> {
    let mut found = Vec::new();
    for (name, source) in &logs.sources {
        let at = |key: &str| format!("logs.sources.{name}.{key}");
        for (key, globs) in [("paths", &source.paths), ("exclude", &source.exclude)] {
            for (index, glob) in globs.iter().enumerate() {
                if let Err(error) = glob::Pattern::new(glob) {
                    found.push(Problem::new(
                        at(&format!("{key}.{index}")),
                        format!(
                            "\"{glob}\" is no glob: {error}; write one like /var/log/booking/*.log"
                        ),
                    ));
                }
            }
        }
        let mut judge = |key: &str, result: Result<(), String>| {
            if let Err(reason) = result {
                found.push(Problem::new(at(key), reason));
            }
        };
        if let Some(pattern) = &source.pattern {
            judge("pattern", named_groups(pattern));
        }
        if let Some(name) = &source.time_zone {
            judge("timeZone", zone(name).map(drop));
        }
        if let Some(lines) = &source.multiline {
            for (key, text) in [("begins", &lines.begins), ("continues", &lines.continues)] {
                if let Some(text) = text {
                    judge(&format!("multiline.{key}"), expression(text).map(drop));
                }
            }
        }
    }
    found
}

fn named_groups(pattern: &str) -> Result<(), String> {
    let expression = expression(pattern)?;
    if expression.capture_names().flatten().next().is_none() {
        return Err(format!(
            "\"{pattern}\" has no named group; name what becomes a field, such as \
             (?<log.level>[A-Z]+)"
        ));
    }
    Ok(())
}
