//! The hops of a drill: what has to be seen at each, and what to say when it is not.

use std::time::{Duration, Instant};

use kai_contract::signals::{DRILL_ACTIVE, LABEL_DRILL};

use super::{Hop, clear, raise};
use crate::model::{Channel, Severity};
use crate::receipts::{Receipts, arrived_by, is_resolved};
use crate::render::receivers;
use crate::systems::alertmanager::Alertmanager;
use crate::verify::Subject;

pub struct Way<'a> {
    pub subject: &'a Subject<'a>,
    pub severity: Severity,
    pub team: &'a str,
    pub drill_id: &'a str,
}

/// Waits for one hop; the error says what is missing and why that may be.
pub async fn pass(
    way: &Way<'_>,
    hop: Hop,
    within: Duration,
    before: Option<(f64, f64)>,
) -> Result<String, String> {
    match hop {
        Hop::Raise => {
            raise(way.subject, way.severity, way.team, way.drill_id).await?;
            return Ok(format!("{} raised at kai-agent", way.drill_id));
        }
        Hop::Clear => {
            clear(way.subject, way.drill_id).await?;
            return Ok("cleared at kai-agent".to_owned());
        }
        _ => {}
    }
    let deadline = Instant::now() + within;
    loop {
        let seen = match hop {
            Hop::Metric => way.metric().await,
            Hop::Rule => way.rule().await,
            Hop::Alertmanager => way.alertmanager().await,
            Hop::Receiver => way.receiver(before).await,
            _ => way.resolved().await,
        };
        match seen {
            Ok(detail) => return Ok(detail),
            Err(cause) if Instant::now() >= deadline => return Err(cause),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Way<'_> {
    fn alert_name(&self) -> String {
        let word = self.severity.word();
        let (first, rest) = word.split_at(1);
        format!("KaiDrill{}{rest}", first.to_uppercase())
    }

    async fn metric(&self) -> Result<String, String> {
        let prometheus = self.subject.prometheus();
        let expr = format!("{DRILL_ACTIVE}{{{LABEL_DRILL}=\"{}\"}} == 1", self.drill_id);
        let found = prometheus
            .query(&expr)
            .await
            .map_err(|error| error.to_string())?;
        if !found.is_empty() {
            return Ok(format!("{DRILL_ACTIVE} is 1 in Prometheus"));
        }
        let targets = prometheus
            .targets()
            .await
            .map_err(|error| error.to_string())?;
        match targets
            .iter()
            .find(|t| t.labels.get("job").is_some_and(|job| job == "kai-agent"))
        {
            None => Err("Prometheus does not scrape kai-agent; see `kai-observe drift`".to_owned()),
            Some(target) if target.health != "up" => Err(format!(
                "Prometheus cannot scrape kai-agent: {}",
                target.last_error
            )),
            Some(_) => Err(format!("{DRILL_ACTIVE} has not arrived in Prometheus")),
        }
    }

    async fn rule(&self) -> Result<String, String> {
        let prometheus = self.subject.prometheus();
        let name = self.alert_name();
        let alerts = prometheus
            .alerts()
            .await
            .map_err(|error| error.to_string())?;
        let ours = alerts.iter().find(|alert| {
            alert
                .labels
                .get(LABEL_DRILL)
                .is_some_and(|id| id == self.drill_id)
        });
        match ours {
            Some(alert) if alert.state == "firing" => Ok(format!("{name} fires")),
            Some(alert) => Err(format!("{name} is {}", alert.state)),
            None => {
                let groups = prometheus
                    .rules()
                    .await
                    .map_err(|error| error.to_string())?;
                let loaded = groups
                    .iter()
                    .flat_map(|group| &group.rules)
                    .find(|rule| rule.name == name);
                Err(match loaded {
                    None => format!(
                        "Prometheus has no rule {name}; is alert-rules/drill.yaml among alerts.rules?"
                    ),
                    Some(rule) if rule.health != "ok" => format!(
                        "{name} is {}: {}",
                        rule.health,
                        rule.last_error.clone().unwrap_or_default()
                    ),
                    Some(_) => format!("{name} is loaded and does not fire"),
                })
            }
        }
    }

    async fn alertmanager(&self) -> Result<String, String> {
        let alertmanager = self.subject.alertmanager();
        let found = alertmanager
            .alerts(LABEL_DRILL, self.drill_id)
            .await
            .map_err(|error| {
                format!("{error}; is Alertmanager running? see `kai-observe status`")
            })?;
        match found.first() {
            Some(alert) => {
                let to: Vec<&str> = alert
                    .receivers
                    .iter()
                    .map(|receiver| receiver.name.as_str())
                    .collect();
                Ok(format!("taken by Alertmanager, for {}", to.join(", ")))
            }
            None => {
                let known = self
                    .subject
                    .prometheus()
                    .alertmanagers()
                    .await
                    .map_err(|error| error.to_string())?;
                Err(if known.is_empty() {
                    "Prometheus sends to no Alertmanager; see `kai-observe drift`".to_owned()
                } else {
                    format!(
                        "Prometheus sends to {}, where it has not arrived",
                        known.join(", ")
                    )
                })
            }
        }
    }

    fn channels(&self) -> (Vec<Channel>, bool) {
        let all = receivers(self.subject.stack);
        let every_stand_in = all.iter().all(|receiver| receiver.stand_in);
        let channels = all
            .iter()
            .find(|receiver| receiver.team == self.team && receiver.severity == self.severity)
            .map(|receiver| receiver.channels.clone())
            .unwrap_or_default();
        // With a real receiver anywhere, drills have a route of their own; only PagerDuty's drill
        // service lies outside.
        let outside = !every_stand_in
            && channels.contains(&Channel::Pagerduty)
            && self.subject.stack.routing.drill_pagerduty.is_some();
        (
            channels,
            !outside && self.subject.stack.systems.inbox.is_some(),
        )
    }

    /// Notices that Alertmanager has handed over and that failed, for a receiver outside.
    pub async fn handed_over(&self) -> Option<(f64, f64)> {
        let (channels, inbox) = self.channels();
        if inbox {
            return None;
        }
        self.count(&channels).await.ok()
    }

    async fn count(&self, channels: &[Channel]) -> Result<(f64, f64), String> {
        let integration = channels
            .first()
            .map_or("pagerduty", |channel| channel.word());
        let alertmanager: Alertmanager = self.subject.alertmanager();
        alertmanager
            .notifications(integration)
            .await
            .map_err(|error| error.to_string())
    }

    async fn receiver(&self, before: Option<(f64, f64)>) -> Result<String, String> {
        let (channels, inbox) = self.channels();
        if channels.is_empty() {
            return Err(format!("the spec routes {} nowhere", self.severity.word()));
        }
        if !inbox {
            let (sent, failed) = self.count(&channels).await?;
            let (sent_before, failed_before) = before.unwrap_or_default();
            if failed > failed_before {
                return Err(format!(
                    "the receiver refused it; {} says why",
                    self.subject.layout.log("alertmanager").display()
                ));
            }
            return if sent > sent_before {
                Ok("handed over to the real receiver, which took it".to_owned())
            } else {
                Err("Alertmanager has not handed it over".to_owned())
            };
        }
        let inbox = Receipts::new(self.subject.stack.ports.inbox_http())?;
        let notices = inbox.of_drill(self.drill_id).await?;
        for channel in &channels {
            if !notices.iter().any(|notice| arrived_by(notice, *channel)) {
                return Err(format!(
                    "no notice by {}; {}",
                    channel.word(),
                    crate::verify::cause(self.subject, self.drill_id).await
                ));
            }
        }
        let words: Vec<&str> = channels.iter().map(|channel| channel.word()).collect();
        Ok(format!("received by {} (local inbox)", words.join("+")))
    }

    async fn resolved(&self) -> Result<String, String> {
        let (channels, inbox) = self.channels();
        if !inbox {
            let found = self
                .subject
                .alertmanager()
                .alerts(LABEL_DRILL, self.drill_id)
                .await
                .map_err(|error| error.to_string())?;
            return if found.is_empty() {
                Ok("ended in Alertmanager; the receiver is outside this stack".to_owned())
            } else {
                Err("Alertmanager still has it as active".to_owned())
            };
        }
        let inbox = Receipts::new(self.subject.stack.ports.inbox_http())?;
        let notices = inbox.of_drill(self.drill_id).await?;
        let all = channels.iter().all(|channel| {
            notices
                .iter()
                .any(|notice| is_resolved(notice) && arrived_by(notice, *channel))
        });
        if all {
            Ok("resolved notice received".to_owned())
        } else {
            Err(format!(
                "no resolved notice; {}",
                crate::verify::cause(self.subject, self.drill_id).await
            ))
        }
    }
}
