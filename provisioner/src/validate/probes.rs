//! Checks on `probes`.

use kai_contract::agent_config::{AgentConfig, VERSION};
use serde_json::json;

use super::{Subject, reported, suggestion};
use crate::spec::Findings;

pub(super) fn can_be_asked(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    for (name, probe) in &stack.probes {
        let path = ["probes", name.as_str()];
        let given = ["http", "tcp", "dns", "icmp"].map(|kind| [path[0], path[1], kind]);
        let kinds = given
            .iter()
            .filter(|path| subject.tree.find(*path).is_some());
        if kinds.count() != 1 {
            findings
                .error(
                    "probe",
                    subject.key(&path),
                    format!("`{name}` needs exactly one of `http`, `tcp`, `dns` and `icmp`"),
                )
                .help("for example http: { url: https://booking.kai.example/healthz }");
            continue;
        }
        if let Some(timeout) = probe.timeout
            && timeout >= probe.interval
        {
            findings
                .error(
                    "probe",
                    subject.at(&[path[0], path[1], "timeout"]),
                    "the timeout is not shorter than the interval".to_owned(),
                )
                .help(format!("write less than {:?}", probe.interval));
        }
        known(
            subject,
            ("probe", &[path[0], path[1], "service"]),
            &probe.service,
            stack.services.keys(),
            findings,
        );
        known(
            subject,
            ("probe", &[path[0], path[1], "team"]),
            &probe.team,
            stack.teams.keys(),
            findings,
        );
        judged_as_the_agent_does(subject, name, findings);
    }
}

/// A service or team that the spec says and does not have.
pub(super) fn known<'a>(
    subject: &Subject<'_>,
    (check, path): (&'static str, &[&str; 3]),
    given: &str,
    all: impl Iterator<Item = &'a String> + Clone,
    findings: &mut Findings,
) {
    let key = path[2];
    if subject.tree.find(path).is_none() || all.clone().any(|known| known == given) {
        return;
    }
    let help = suggestion(given, all.map(String::as_str));
    findings
        .error(
            check,
            subject.at(path),
            format!("there is no {key} `{given}`"),
        )
        .help(help);
}

/// The agent would refuse its whole configuration for it, so it is asked first.
fn judged_as_the_agent_does(subject: &Subject<'_>, name: &str, findings: &mut Findings) {
    let probe = &subject.stack.probes[name];
    let smallest = json!({ "version": VERSION, "listen": "127.0.0.1:1" });
    let Ok(mut config) = serde_json::from_value::<AgentConfig>(smallest) else {
        return;
    };
    config
        .probes
        .insert(name.to_owned(), probe.question.clone());
    let prefix = format!("probes.{name}");
    for problem in config.problems() {
        let Some(rest) = problem.path.strip_prefix(&prefix) else {
            continue;
        };
        let keys: Vec<&str> = ["probes", name]
            .into_iter()
            .chain(rest.split('.').filter(|key| !key.is_empty()))
            .map(|key| key.split('[').next().unwrap_or(key))
            .collect();
        if keys.last() == Some(&"timeoutMs") || reported(findings, &keys) {
            continue;
        }
        findings.error("probe", subject.at(&keys), problem.message);
    }
}
