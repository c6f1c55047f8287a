//! Checks on `services.<name>.scrape`.

use super::{Subject, reported};
use crate::spec::Findings;

pub(super) fn pages_can_be_read_so(subject: &Subject<'_>, findings: &mut Findings) {
    for (name, service) in &subject.stack.services {
        let path = ["services", name.as_str(), "scrape"];
        if subject.tree.find(&path).is_none() || reported(findings, &path) {
            continue;
        }
        if service.metrics.is_none() {
            findings
                .error(
                    "scrape",
                    subject.key(&path),
                    format!("`{name}` has no `metrics` that could be read so"),
                )
                .help("add metrics: http://127.0.0.1:8080/metrics, or take `scrape` out");
        }
        if let Some(timeout) = service.scrape.timeout
            && timeout >= service.scrape_interval
        {
            findings
                .error(
                    "scrape",
                    subject.at(&[path[0], path[1], path[2], "timeout"]),
                    "the timeout is not shorter than the interval",
                )
                .help(format!("write less than {:?}", service.scrape_interval));
        }
        for (index, rule) in service.scrape.relabel.iter().enumerate() {
            let index = index.to_string();
            for (key, message) in rule.wrong() {
                let keys = [path[0], path[1], path[2], "relabel", &index, key];
                let at = if key.is_empty() {
                    &keys[..5]
                } else {
                    &keys[..]
                };
                findings.error("scrape", subject.at(at), message);
            }
        }
    }
}
