//! Rules on series that nothing of this stack has: they would never fire and never say so, so they
//! are left out, and the plan tells.

use crate::model::{LeftOut, Probe, RuleKind, RunsOn, Stack};

/// Series by how their names begin, who would have them, and whether somebody does.
struct Source {
    prefixes: &'static [&'static str],
    what: &'static str,
    why: &'static str,
    /// Only the agent of a machine has them.
    local: bool,
    there: fn(&Stack) -> bool,
}

const SOURCES: [Source; 5] = [
    Source {
        prefixes: &["kube_", "kubelet_"],
        what: "kube-state-metrics or kubelets",
        why: "`systems.kubeState` is off",
        local: false,
        there: |stack| stack.systems.kube_state.is_some(),
    },
    Source {
        prefixes: &["probe_"],
        what: "probes",
        why: "there are no `probes`",
        local: true,
        there: |stack| !stack.probes.is_empty(),
    },
    Source {
        prefixes: &["probe_ssl_"],
        what: "probes over TLS",
        why: "none of the `probes` is one",
        local: true,
        there: |stack| stack.probes.is_empty() || stack.probes.values().any(over_tls),
    },
    Source {
        prefixes: &["pg_"],
        what: "databases",
        why: "there are no `databases`",
        local: true,
        there: |stack| !stack.databases.is_empty(),
    },
    Source {
        prefixes: &["kai_security_"],
        what: "the security checks",
        why: "`agent.security` is off",
        local: true,
        there: |stack| stack.agent.security.is_some(),
    },
];

fn over_tls(probe: &Probe) -> bool {
    let question = &probe.question;
    let http = question.http.as_ref();
    let tcp = question.tcp.as_ref();
    http.is_some_and(|http| http.url.starts_with("https://"))
        || tcp.is_some_and(|tcp| tcp.tls || tcp.query_response.iter().any(|step| step.starttls))
        || question.dns.as_ref().is_some_and(|dns| dns.dns_over_tls)
}

pub fn without_rules_on_absent_series(stack: &mut Stack) {
    for source in SOURCES {
        let away = source.local && matches!(stack.runs_on, RunsOn::Kubernetes(_));
        if away || !(source.there)(stack) {
            leave_out(stack, &source);
        }
    }
    stack.alerts.files.retain(|file| !file.groups.is_empty());
}

fn leave_out(stack: &mut Stack, source: &Source) {
    for file in &mut stack.alerts.files {
        let mut names = Vec::new();
        for group in &mut file.groups {
            group.rules.retain(|rule| {
                let reads = reads(&rule.expr, source.prefixes);
                if reads {
                    let (RuleKind::Alert(name) | RuleKind::Record(name)) = &rule.kind;
                    names.push(name.clone());
                }
                !reads
            });
        }
        if names.is_empty() {
            continue;
        }
        file.groups.retain(|group| !group.rules.is_empty());
        let list = match stack.runs_on {
            RunsOn::Kubernetes(_) => &mut stack.left_out,
            RunsOn::Local => &mut stack.not_active,
        };
        let in_cluster = matches!(stack.runs_on, RunsOn::Kubernetes(_));
        let why = if in_cluster && source.local {
            "the agent of a cluster does not do it in this build"
        } else {
            source.why
        };
        let plural = if names.len() == 1 { "" } else { "s" };
        list.push(LeftOut {
            key: format!("alerts.rules {}", file.name),
            why: format!(
                "{} alert{plural} that read{} {}, and {}",
                names.len(),
                if names.len() == 1 { "s" } else { "" },
                source.what,
                why
            ),
        });
    }
}

/// Is a metric's name in it that begins so?
fn reads(expr: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| {
        expr.match_indices(prefix).any(|(at, _)| {
            let before = expr[..at].chars().next_back();
            !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        })
    })
}
