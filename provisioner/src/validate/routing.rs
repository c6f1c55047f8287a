//! Checks on `teams`, `routing` and `smtp`.

use std::collections::BTreeMap;

use super::{Subject, reported, suggestion};
use crate::model::{Channel, Severity};
use crate::spec::{Findings, duration, quoted};

/// Drills have receivers of their own, `drill-<severity>`, as teams have `<team>-<severity>`.
const TAKEN: &str = "drill";

pub(super) fn team_name_is_free(subject: &Subject<'_>, findings: &mut Findings) {
    if subject.stack.teams.contains_key(TAKEN) {
        findings
            .error(
                "name-taken",
                subject.key(&["teams", TAKEN]),
                "`drill` is where drills go",
            )
            .help("give the team another name, for example `drill-team`");
    }
}

pub(super) fn fallback_exists(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    let path = ["routing", "fallback", "team"];
    if stack.systems.alertmanager.is_none()
        || stack.teams.contains_key(&stack.routing.fallback_team)
        || reported(findings, &path)
        || reported(findings, &["teams"])
    {
        return;
    }
    let names = || stack.teams.keys().map(String::as_str);
    if stack.teams.is_empty() {
        findings
            .error(
                "no-team",
                subject.key(&["teams"]),
                "there is no team, so alerts would reach nobody",
            )
            .help("add one: `teams: { platform: { email: ops@example.org } }`");
    } else if stack.routing.fallback_team.is_empty() {
        let known: Vec<&str> = names().collect();
        let message = "no team is said to get the alerts that nobody owns";
        let help = format!(
            "add `routing: {{ fallback: {{ team: … }} }}` with one of {}",
            crate::spec::schema::list(&known)
        );
        findings
            .error("no-fallback", subject.key(&["teams"]), message)
            .help(help);
    } else {
        let name = &stack.routing.fallback_team;
        let message = format!("there is no team {}", quoted(name));
        findings
            .error("unknown-team", subject.at(&path), message)
            .help(suggestion(name, names()));
    }
}

/// Which severities use a channel.
fn users(subject: &Subject<'_>, channel: Channel) -> Vec<Severity> {
    let severity = &subject.stack.routing.severity;
    severity
        .iter()
        .filter(|(_, to)| to.contains(&channel))
        .map(|(s, _)| *s)
        .collect()
}

fn words(severities: &[Severity]) -> String {
    severities
        .iter()
        .map(|s| s.word())
        .collect::<Vec<_>>()
        .join(" and ")
}

pub(super) fn channels_end_somewhere(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    if stack.systems.inbox.is_some() || stack.systems.alertmanager.is_none() {
        return;
    }
    if reported(findings, &["systems", "inbox", "mode"]) {
        return;
    }
    for channel in [Channel::Pagerduty, Channel::Slack] {
        let severities = users(subject, channel);
        for team in stack.teams.values().filter(|_| !severities.is_empty()) {
            let key = match channel {
                Channel::Pagerduty => &team.pagerduty,
                _ => &team.slack,
            };
            let word = channel.word();
            let path = ["teams", team.name.as_str(), word];
            if key.is_some() || reported(findings, &path) {
                continue;
            }
            let message = format!(
                "team `{}` has no `{word}`, but {} alerts go there and the inbox is off",
                team.name,
                words(&severities)
            );
            let help = format!("add `{word}: {{ env: NAME }}`, or switch the inbox on");
            findings
                .error("missing-endpoint", subject.key(&path[..2]), message)
                .help(help);
        }
    }
    let severities = users(subject, Channel::Email);
    if stack.smtp.is_none() && !severities.is_empty() && !reported(findings, &["smtp"]) {
        let place = subject.key(&["routing", "severity", severities[0].word()]);
        let message = format!(
            "{} alerts go to e-mail, but there is no `smtp` and the inbox is off",
            words(&severities)
        );
        let help = "add `smtp: { host: …, from: … }`, or switch the inbox on";
        findings
            .error("missing-endpoint", place, message)
            .help(help);
    }
    for (path, what) in [
        (
            &["routing", "deadMansSwitch", "heartbeat"],
            "hears when this stack dies",
        ),
        (
            &["routing", "drill", "pagerduty"],
            "gets drills of critical alerts",
        ),
    ] {
        let given = match path[1] {
            "drill" => &stack.routing.drill_pagerduty,
            _ => &stack.routing.heartbeat,
        };
        if given.is_none() && !reported(findings, path) {
            let message = format!("the inbox is off and nobody {what}");
            let help = format!("add `{}: {{ env: NAME }}`", path.join("."));
            findings
                .warning("missing-endpoint", subject.key(&["routing"]), message)
                .help(help);
        }
    }
}

pub(super) fn teams_have_addresses(subject: &Subject<'_>, findings: &mut Findings) {
    let severities = users(subject, Channel::Email);
    if severities.is_empty() || subject.stack.systems.alertmanager.is_none() {
        return;
    }
    for team in subject
        .stack
        .teams
        .values()
        .filter(|team| team.email.is_none())
    {
        let path = ["teams", team.name.as_str(), "email"];
        if reported(findings, &path) {
            continue;
        }
        let message = format!(
            "team `{}` has no `email`, but {} alerts go there",
            team.name,
            words(&severities)
        );
        let help = format!(
            "add `email: {}@example.org`, or take `email` out of `routing.severity`",
            team.name
        );
        findings
            .error("missing-email", subject.key(&path[..2]), message)
            .help(help);
    }
}

pub(super) fn severities_are_heard(subject: &Subject<'_>, findings: &mut Findings) {
    for (severity, channels) in &subject.stack.routing.severity {
        let path = ["routing", "severity", severity.word()];
        let list = subject.tree.find(&path).map(|node| node.items().is_empty());
        if channels.is_empty() && list == Some(true) && !reported(findings, &path) {
            let message = format!("{} alerts go nowhere", severity.word());
            let help = "name at least one of `pagerduty`, `slack`, `email`";
            findings
                .warning("silent-severity", subject.at(&path), message)
                .help(help);
        }
    }
}

pub(super) fn repeat_fits_group(subject: &Subject<'_>, findings: &mut Findings) {
    let routing = &subject.stack.routing;
    let (group, repeat) = (routing.group_interval, routing.repeat_interval);
    let paths = [["routing", "repeatInterval"], ["routing", "groupInterval"]];
    if group.is_zero() || paths.iter().any(|p| reported(findings, p)) {
        return;
    }
    let rest = repeat.as_millis() % group.as_millis();
    if rest == 0 && repeat >= group {
        return;
    }
    let given = paths
        .iter()
        .find(|p| subject.tree.find(&p[..]).is_some())
        .unwrap_or(&paths[0]);
    let steps = repeat.as_millis().div_ceil(group.as_millis()).max(1);
    let better = group.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
    let message = format!(
        "`repeatInterval` {} is not a multiple of `groupInterval` {}",
        duration::format(repeat),
        duration::format(group)
    );
    let help = format!(
        "Alertmanager looks only every `groupInterval`, so this acts like {}; write that",
        duration::format(better)
    );
    findings
        .warning("repeat-interval", subject.at(given), message)
        .help(help);
}

pub(super) fn group_by_is_one_way(subject: &Subject<'_>, findings: &mut Findings) {
    let labels = &subject.stack.routing.group_by;
    if labels.len() > 1 && labels.iter().any(|label| label == "...") {
        let place = subject.at(&["routing", "groupBy"]);
        findings
            .error(
                "bad-value",
                place,
                "`...` means all labels and cannot stand beside others",
            )
            .help("write [...] quoted, as in [\"...\"], or name the labels");
    }
}

pub(super) fn smtp_login_is_whole(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(smtp) = &subject.stack.smtp else {
        return;
    };
    let given: BTreeMap<&str, bool> = [
        ("username", smtp.username.is_some()),
        ("password", smtp.password.is_some()),
    ]
    .into();
    let missing = match (given["username"], given["password"]) {
        (true, false) => "password",
        (false, true) => "username",
        _ => return,
    };
    if reported(findings, &["smtp", missing]) {
        return;
    }
    let message = format!("`smtp` has no `{missing}`, so nobody logs in");
    findings
        .error("missing-key", subject.key(&["smtp"]), message)
        .help("give `username` and `password`, or neither");
}
