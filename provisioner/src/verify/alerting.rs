//! Alertmanager answers, Prometheus sends to it, the Watchdog is heard at its far end, and a notice
//! of every team and severity arrives at its receiver, and only there.

use std::collections::BTreeMap;
use std::time::Duration;

use kai_contract::signals::{LABEL_DRILL, LABEL_SEVERITY, LABEL_TEAM};

use super::{Proof, Status, Subject, eventually, prove as timed};
use crate::clock;
use crate::receipts::{Receipts, arrived_by};
use crate::render::{Receiver, local, receivers};

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    if !subject.has_alertmanager() {
        return Vec::new();
    }
    let alertmanager = subject.alertmanager();
    let mut out = vec![
        timed("alerting", "alertmanager", async {
            let version = alertmanager
                .version()
                .await
                .map_err(|error| error.to_string())?;
            Ok(format!("version {version} answers"))
        })
        .await,
    ];
    let (connected, watchdog, routes) =
        tokio::join!(connected(subject), watchdog(subject), routes(subject));
    out.extend(connected);
    out.extend(watchdog);
    out.extend(routes);
    out
}

async fn connected(subject: &Subject<'_>) -> Option<Proof> {
    if !subject.has_prometheus() {
        return None;
    }
    let prometheus = subject.prometheus();
    let wanted = local(subject.stack.ports.alertmanager(), "/api/v2/alerts");
    let work = eventually(subject.patience, || async {
        let found = prometheus
            .alertmanagers()
            .await
            .map_err(|error| error.to_string())?;
        if found.contains(&wanted) {
            Ok(format!("Prometheus sends to {wanted}"))
        } else {
            Err(format!(
                "Prometheus does not send to {wanted}; it knows {found:?}"
            ))
        }
    });
    Some(timed("alerting", "connected", work).await)
}

/// The Watchdog fires always; that it arrives proves the whole way.
async fn watchdog(subject: &Subject<'_>) -> Option<Proof> {
    let has_rule = subject.stack.alerts.files.iter().any(|file| {
        file.groups
            .iter()
            .flat_map(|group| &group.rules)
            .any(|rule| rule.kind == crate::model::RuleKind::Alert("Watchdog".to_owned()))
    });
    if !has_rule || !subject.has_prometheus() {
        return None;
    }
    if subject.stack.systems.inbox.is_none() || subject.stack.routing.heartbeat.is_some() {
        return Some(Proof {
            area: "alerting",
            name: "heartbeat".into(),
            status: Status::NotRun,
            detail: "its receiver is outside this stack; look there".into(),
            millis: 0,
        });
    }
    let name = subject.stack.owner.to_string();
    // From the first evaluation to Alertmanager's first notice takes a few intervals.
    let work = eventually(subject.patience, || async {
        let inbox = Receipts::new(subject.stack.ports.inbox_http())?;
        match inbox
            .heartbeat(&name)
            .await?
            .map(|beat| (beat.last_seen, beat.count))
        {
            Some((Some(seen), count)) => {
                Ok(format!("the Watchdog was heard {count} times, last {seen}"))
            }
            _ => Err("the Watchdog has not arrived at the inbox".to_owned()),
        }
    });
    Some(timed("alerting", "heartbeat", work).await)
}

async fn routes(subject: &Subject<'_>) -> Vec<Proof> {
    if !subject.routes {
        return Vec::new();
    }
    let all = receivers(subject.stack);
    futures_util::future::join_all(all.iter().map(|receiver| route(subject, receiver))).await
}

async fn route(subject: &Subject<'_>, receiver: &Receiver) -> Proof {
    let name = format!("{} {}", receiver.team, receiver.severity.word());
    let not_run = |detail: String| Proof {
        area: "routes",
        name: name.clone(),
        status: Status::NotRun,
        detail,
        millis: 0,
    };
    if receiver.channels.is_empty() {
        return not_run("the spec routes this severity nowhere".into());
    }
    let way: Vec<&str> = receiver
        .channels
        .iter()
        .map(|channel| channel.word())
        .collect();
    if !receiver.stand_in {
        return not_run(format!(
            "{} is a real receiver; no proof or drill notifies a team",
            way.join("+")
        ));
    }
    timed(
        "routes",
        name.clone(),
        notice_arrives(subject, receiver, &way),
    )
    .await
}

async fn notice_arrives(
    subject: &Subject<'_>,
    receiver: &Receiver,
    way: &[&str],
) -> Result<String, String> {
    let alertmanager = subject.alertmanager();
    let inbox = Receipts::new(subject.stack.ports.inbox_http())?;
    let id = format!("probe-{:08x}", rand::random::<u32>());
    let labels: BTreeMap<&str, String> = BTreeMap::from([
        // A name for each severity: under one name the critical probe would inhibit the others.
        (
            "alertname",
            format!("KaiRouteProbe-{}", receiver.severity.word()),
        ),
        (LABEL_DRILL, id.clone()),
        (LABEL_TEAM, receiver.team.clone()),
        (LABEL_SEVERITY, receiver.severity.word().to_owned()),
        ("environment", subject.stack.environment.clone()),
    ]);
    let annotations = BTreeMap::from([(
        "summary",
        format!(
            "route probe for {} {}",
            receiver.team,
            receiver.severity.word()
        ),
    )]);
    let starts = clock::after(Duration::ZERO);
    let ends = clock::after(Duration::from_mins(5));
    alertmanager
        .post(&labels, &annotations, &starts, &ends)
        .await
        .map_err(|error| error.to_string())?;
    let arrived = eventually(subject.patience, || async {
        let notices = inbox.of_drill(&id).await?;
        let stray = notices.iter().find(|notice| {
            !receiver
                .channels
                .iter()
                .any(|channel| arrived_by(notice, *channel))
        });
        if let Some(stray) = stray {
            return Ok(Err(format!("it also arrived by {}", stray.channel.word())));
        }
        let team = Some(receiver.team.as_str());
        if let Some(other) = notices
            .iter()
            .find(|notice| notice.facts.team.as_deref() != team)
        {
            return Ok(Err(format!(
                "it arrived at the team {:?}",
                other.facts.team
            )));
        }
        let missing: Vec<&str> = receiver
            .channels
            .iter()
            .filter(|channel| !notices.iter().any(|notice| arrived_by(notice, **channel)))
            .map(|channel| channel.word())
            .collect();
        if missing.is_empty() {
            return Ok(Ok(()));
        }
        Err(format!(
            "no notice arrived by {}; {}",
            missing.join(", "),
            cause(subject, &id).await
        ))
    })
    .await;
    // It ends now, so that nobody finds it open later.
    let now = clock::after(Duration::ZERO);
    let _ = alertmanager
        .post(&labels, &annotations, &starts, &now)
        .await;
    arrived.and_then(|inner| inner).map(|()| {
        format!(
            "{} → {} (local inbox)",
            receiver.severity.word(),
            way.join("+")
        )
    })
}

/// Why Alertmanager may have kept a notice back.
pub async fn cause(subject: &Subject<'_>, drill_id: &str) -> String {
    if let Ok(receipts) = Receipts::new(subject.stack.ports.inbox_http())
        && let Ok(Some(reasons)) = receipts.refused(drill_id).await
    {
        return format!("the receiver refused it: {reasons}");
    }
    let log = subject.layout.log("alertmanager");
    match subject.alertmanager().alerts(LABEL_DRILL, drill_id).await {
        Err(error) => error.to_string(),
        Ok(alerts) => match alerts.first() {
            None => "Alertmanager does not know the alert".to_owned(),
            Some(alert) if !alert.status.silenced_by.is_empty() => {
                format!(
                    "a silence ({}) holds it back",
                    alert.status.silenced_by.join(", ")
                )
            }
            Some(alert) if !alert.status.inhibited_by.is_empty() => {
                "another alert inhibits it".to_owned()
            }
            Some(_) => format!(
                "Alertmanager has it; {} says why it was not sent",
                log.display()
            ),
        },
    }
}
