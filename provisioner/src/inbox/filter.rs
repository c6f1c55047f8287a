//! Which records are wanted: the same words in the query string, in the client and in `--filter`.

use super::message::{Channel, Kind, Message, Status};

/// All that is set must match, exactly. The default matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub channel: Option<Channel>,
    pub kind: Option<Kind>,
    pub status: Option<Status>,
    /// `accepted` or `refused`.
    pub accepted: Option<bool>,
    pub alertname: Option<String>,
    pub severity: Option<String>,
    pub team: Option<String>,
    pub service: Option<String>,
    pub environment: Option<String>,
    pub drill_id: Option<String>,
    pub dedup_key: Option<String>,
    /// The record that opened it, see [`Message::incident`].
    pub incident: Option<u64>,
}

impl Filter {
    /// The names that [`Filter::set`] knows.
    pub const NAMES: [&'static str; 12] = [
        "channel",
        "kind",
        "status",
        "verdict",
        "alertname",
        "severity",
        "team",
        "service",
        "environment",
        "drill_id",
        "dedup_key",
        "incident",
    ];

    /// Sets one condition from text. `Ok(false)` for a name that is no condition; an empty value
    /// is no condition either.
    ///
    /// # Errors
    /// What the value must be.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        if value.is_empty() {
            return Ok(Self::NAMES.contains(&name));
        }
        let text = Some(value.to_owned());
        match name {
            "channel" => self.channel = Some(word(name, value, &Channel::ALL, Channel::word)?),
            "kind" => self.kind = Some(word(name, value, &KINDS, Kind::word)?),
            "status" => self.status = Some(word(name, value, &STATUSES, Status::word)?),
            "verdict" => {
                let of = |accepted: bool| if accepted { "accepted" } else { "refused" };
                self.accepted = Some(word(name, value, &[true, false], of)?);
            }
            "alertname" => self.alertname = text,
            "severity" => self.severity = text,
            "team" => self.team = text,
            "service" => self.service = text,
            "environment" => self.environment = text,
            "drill_id" => self.drill_id = text,
            "dedup_key" => self.dedup_key = text,
            "incident" => {
                let id = value
                    .parse()
                    .map_err(|_| "incident must be the id of a message")?;
                self.incident = Some(id);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The conditions as they stand in a query string.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        let mut add = |name, value: Option<String>| pairs.extend(value.map(|value| (name, value)));
        add(
            "channel",
            self.channel.map(|channel| channel.word().to_owned()),
        );
        add("kind", self.kind.map(|kind| kind.word().to_owned()));
        add("status", self.status.map(|status| status.word().to_owned()));
        let verdict = self
            .accepted
            .map(|yes| if yes { "accepted" } else { "refused" });
        add("verdict", verdict.map(str::to_owned));
        add("alertname", self.alertname.clone());
        add("severity", self.severity.clone());
        add("team", self.team.clone());
        add("service", self.service.clone());
        add("environment", self.environment.clone());
        add("drill_id", self.drill_id.clone());
        add("dedup_key", self.dedup_key.clone());
        add("incident", self.incident.map(|id| id.to_string()));
        pairs
    }

    pub fn matches(&self, message: &Message) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let facts = &message.facts;
        same(self.channel.as_ref(), Some(&message.channel))
            && same(self.kind.as_ref(), Some(&message.kind))
            && same(self.status.as_ref(), facts.status.as_ref())
            && same(self.accepted.as_ref(), Some(&message.verdict.accepted()))
            && same(self.alertname.as_ref(), facts.alertname.as_ref())
            && same(self.severity.as_ref(), facts.severity.as_ref())
            && same(self.team.as_ref(), facts.team.as_ref())
            && same(self.service.as_ref(), facts.service.as_ref())
            && same(self.environment.as_ref(), facts.environment.as_ref())
            && same(self.drill_id.as_ref(), facts.drill_id.as_ref())
            && same(self.dedup_key.as_ref(), facts.dedup_key.as_ref())
            && same(self.incident.as_ref(), message.incident.as_ref())
    }
}

const KINDS: [Kind; 5] = [
    Kind::Trigger,
    Kind::Acknowledge,
    Kind::Resolve,
    Kind::Message,
    Kind::Change,
];
const STATUSES: [Status; 2] = [Status::Firing, Status::Resolved];

fn word<T: Copy>(
    name: &str,
    value: &str,
    all: &[T],
    of: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    all.iter()
        .copied()
        .find(|one| of(*one) == value)
        .ok_or_else(|| {
            let words: Vec<_> = all.iter().map(|one| of(*one)).collect();
            format!("{name} must be one of: {}", words.join(", "))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_comes_back_as_pairs() {
        let mut filter = Filter::default();
        let values = [
            "slack", "resolve", "firing", "refused", "A", "critical", "t", "s", "e", "d", "k", "7",
        ];
        for (name, value) in Filter::NAMES.into_iter().zip(values) {
            assert_eq!(filter.set(name, value), Ok(true), "{name}");
        }
        let pairs = filter.pairs();
        let names: Vec<_> = pairs.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, Filter::NAMES);
        let found: Vec<_> = pairs.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(found, values);
    }

    #[test]
    fn unknown_names_and_words_are_told_apart() {
        let mut filter = Filter::default();
        assert_eq!(filter.set("colour", "red"), Ok(false));
        assert_eq!(filter.set("team", ""), Ok(true));
        let error = filter.set("channel", "sms").unwrap_err();
        assert_eq!(
            error,
            "channel must be one of: pagerduty, slack, email, heartbeat"
        );
        assert!(filter.set("incident", "x").is_err());
        assert_eq!(filter, Filter::default());
    }
}
