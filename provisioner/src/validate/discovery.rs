//! Checks on `agent.discovery`.

use kai_contract::agent_config::bad_target_files;

use super::{Subject, reported, suggestion};
use crate::model::RunsOn;
use crate::spec::Findings;

pub(super) fn can_be_found(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    let Some(discovery) = &stack.agent.discovery else {
        return;
    };
    let path = ["agent", "discovery"];
    let in_cluster = matches!(stack.runs_on, RunsOn::Kubernetes(_));
    if discovery.files.is_empty() && discovery.pods.is_none() && !reported(findings, &path) {
        findings
            .error(
                "discovery",
                subject.key(&path),
                "nothing is looked through".to_owned(),
            )
            .help(if in_cluster {
                "add pods: {}"
            } else {
                "add files: [/etc/kai/targets/*.yaml]"
            });
    }
    if discovery.pods.is_some() && !in_cluster {
        findings
            .error(
                "not-here",
                subject.key(&[path[0], path[1], "pods"]),
                "pods are found in a cluster, and the stack runs on this machine".to_owned(),
            )
            .help("write runsOn: kubernetes, or take `pods` out");
    }
    if !discovery.files.is_empty() && in_cluster {
        findings
            .error(
                "not-here",
                subject.key(&[path[0], path[1], "files"]),
                "files are found on this machine, and the stack runs in a cluster".to_owned(),
            )
            .help("annotate pods, and write pods: {}");
    }
    for (index, glob) in discovery.files.iter().enumerate() {
        if let Some(message) = bad_target_files(glob) {
            let index = index.to_string();
            let at = [path[0], path[1], "files", &index];
            findings.error("discovery", subject.at(&at), message);
        }
    }
    if let Some(timeout) = discovery.scrape.timeout
        && timeout >= stack.defaults.scrape_interval
    {
        findings
            .error(
                "discovery",
                subject.at(&[path[0], path[1], "timeout"]),
                "the timeout is not shorter than the interval".to_owned(),
            )
            .help(format!(
                "write less than {:?}",
                stack.defaults.scrape_interval
            ));
    }
    for (namespace, team) in discovery.pods.iter().flat_map(|pods| &pods.teams) {
        if stack.teams.contains_key(team) {
            continue;
        }
        let at = [path[0], path[1], "pods", "teams", namespace];
        findings
            .error(
                "discovery",
                subject.at(&at),
                format!("there is no team `{team}`"),
            )
            .help(suggestion(team, stack.teams.keys().map(String::as_str)));
    }
    for (index, rule) in discovery.scrape.relabel.iter().enumerate() {
        let index = index.to_string();
        for (key, message) in rule.wrong() {
            let at = [path[0], path[1], "relabel", &index, key];
            findings.error("discovery", subject.at(&at), message);
        }
    }
}
