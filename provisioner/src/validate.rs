//! What the schema cannot see: a flat list of named checks over the resolved stack. All of them
//! run, every time; a check that finds the consequence of a mistake that was already reported keeps
//! quiet. Pure: whether secrets are present is an input.

mod budgets;
mod databases;
mod discovery;
mod elasticsearch;
mod gate;
mod intake;
mod kubernetes;
mod logs;
mod metrics;
mod probes;
mod routing;
mod rules;
mod scrape;
mod secrets;
mod services;
mod systems;

use std::collections::BTreeMap;

use crate::model::{SecretSource, Stack};
use crate::spec::Findings;
use crate::spec::rules::ReadRules;
use crate::spec::secrets::Presence;
use crate::spec::source::{Place, Sources};
use crate::spec::tree::Node;

/// What is validated, and what is needed to point at it.
pub struct Subject<'a> {
    pub stack: &'a Stack,
    /// The merged spec, for places.
    pub tree: &'a Node,
    pub rules: &'a ReadRules,
    pub presence: &'a BTreeMap<SecretSource, Presence>,
    pub known_components: &'a [&'a str],
    pub sources: &'a Sources,
}

/// One named check.
pub struct Check {
    pub name: &'static str,
    /// One line for the reference document.
    pub what: &'static str,
    run: fn(&Subject<'_>, &mut Findings),
}

/// All checks, in the order in which they run.
pub const CHECKS: &[Check] = &[
    Check {
        name: "labels",
        what: "`metadata.labels` stay apart, and apart from the stack's own, as label names",
        run: systems::labels_stay_apart,
    },
    Check {
        name: "service-team",
        what: "the team of a service is one of `teams`",
        run: services::team_exists,
    },
    Check {
        name: "service-name",
        what: "a service does not have the name of a part of the stack",
        run: services::name_is_free,
    },
    Check {
        name: "service-component",
        what: "`run.component` is in the component catalogue",
        run: services::component_exists,
    },
    Check {
        name: "service-pages",
        what: "no two services have the same metrics page, and none that runs has no page",
        run: services::pages_differ,
    },
    Check {
        name: "service-env",
        what: "no variable of `run.env` looks like a secret",
        run: services::env_is_public,
    },
    Check {
        name: "log-pattern",
        what: "`logs.pattern` is there with `format: pattern` and only then, and names a group",
        run: logs::patterns_fit,
    },
    Check {
        name: "multiline-rule",
        what: "`logs.multiline` has one rule and no endless pause",
        run: logs::one_rule_joins,
    },
    Check {
        name: "log-filter",
        what: "`logs.drop` and `logs.sample` have conditions that can be read",
        run: logs::filters_are_conditions,
    },
    Check {
        name: "budget",
        what: "`budgets` says what happens to lines that have a budget, and each agent has a part",
        run: budgets::lines_have_one,
    },
    Check {
        name: "metric-name",
        what: "`metrics` have names and labels of counters that do not clash",
        run: metrics::names_are_counters,
    },
    Check {
        name: "metric-source",
        what: "each of `metrics` has one source, which exists, and a condition that can be read",
        run: metrics::sources_are_one,
    },
    Check {
        name: "scrape",
        what: "`services.*.scrape` is of a page, in time, with rules that Prometheus would take",
        run: scrape::pages_can_be_read_so,
    },
    Check {
        name: "discovery",
        what: "`agent.discovery` has something to look through that is there, for teams that exist",
        run: discovery::can_be_found,
    },
    Check {
        name: "probe",
        what: "each of `probes` is one question that can be asked, of a service and team that exist",
        run: probes::can_be_asked,
    },
    Check {
        name: "database",
        what: "each of `databases` is looked at in time, of a service and team that exist",
        run: databases::can_be_looked_at,
    },
    Check {
        name: "privacy-field",
        what: "`privacy.pseudonymise.fields` are names of fields",
        run: logs::pseudonyms_name_fields,
    },
    Check {
        name: "team-name",
        what: "a team does not have the name of a receiver of the stack",
        run: routing::team_name_is_free,
    },
    Check {
        name: "fallback-team",
        what: "there is a team for alerts that nobody owns",
        run: routing::fallback_exists,
    },
    Check {
        name: "channel-endpoints",
        what: "every channel that is routed to ends at a real endpoint or at the inbox",
        run: routing::channels_end_somewhere,
    },
    Check {
        name: "team-email",
        what: "every team has an address when a severity goes to e-mail",
        run: routing::teams_have_addresses,
    },
    Check {
        name: "severity-heard",
        what: "no severity goes nowhere",
        run: routing::severities_are_heard,
    },
    Check {
        name: "repeat-interval",
        what: "`repeatInterval` is a multiple of `groupInterval`",
        run: routing::repeat_fits_group,
    },
    Check {
        name: "group-by",
        what: "`...` in `groupBy` stands alone",
        run: routing::group_by_is_one_way,
    },
    Check {
        name: "smtp-login",
        what: "`smtp` has both a user name and a password, or neither",
        run: routing::smtp_login_is_whole,
    },
    Check {
        name: "secrets-present",
        what: "every secret that is referred to is there, not empty, and not for all to read",
        run: secrets::are_present,
    },
    Check {
        name: "ports",
        what: "no service listens where the stack does, and no two services that run share a port",
        run: systems::ports_do_not_overlap,
    },
    Check {
        name: "log-intake",
        what: "what `agent.logs` takes has somewhere to go, at addresses that nobody else has",
        run: intake::can_be_taken,
    },
    Check {
        name: "kubernetes-needs",
        what: "a stack in a cluster names the agent's image and versions that have one, and a namespace that leaves room for a second",
        run: kubernetes::has_what_it_needs,
    },
    Check {
        name: "kubernetes-cannot",
        what: "a stack in a cluster asks for no part that is not rendered for one, and for no loopback address",
        run: kubernetes::asks_for_nothing_else,
    },
    Check {
        name: "kubernetes-rules",
        what: "rule files fit into a ConfigMap, in name and size",
        run: kubernetes::rules_fit,
    },
    Check {
        name: "placement-unused",
        what: "what holds only elsewhere is said to be unused",
        run: kubernetes::unused_is_said,
    },
    Check {
        name: "systems-fit",
        what: "what is switched off is not needed by what is on",
        run: systems::fit_together,
    },
    Check {
        name: "placements",
        what: "an external system has an address and one way to say who asks",
        run: systems::placements_are_whole,
    },
    Check {
        name: "dashboards",
        what: "OpenSearch Dashboards is external and has no space",
        run: systems::dashboards_can_be_had,
    },
    Check {
        name: "spans",
        what: "spans go to an address that the agent can send to",
        run: systems::spans_have_a_way,
    },
    Check {
        name: "gate",
        what: "the deploy gate's window and queries can be asked",
        run: gate::gates_can_be_asked,
    },
    Check {
        name: "scrape-interval",
        what: "series do not go stale between two scrapes",
        run: systems::series_stay_fresh,
    },
    Check {
        name: "rule-file-names",
        what: "no two rule files have the same name",
        run: rules::file_names_differ,
    },
    Check {
        name: "owns",
        what: "all that is touched in Elasticsearch lies within `systems.elasticsearch.owns`",
        run: elasticsearch::all_is_owned,
    },
    Check {
        name: "agent-access",
        what: "rights for the agent are granted by somebody who may grant them",
        run: elasticsearch::access_can_be_granted,
    },
    Check {
        name: "span-storage",
        what: "spans in Elasticsearch have one, and their retention is that of spans there",
        run: elasticsearch::spans_have_a_place,
    },
    Check {
        name: "lifecycle",
        what: "the phases of an index follow each other, and one place says how long lines are kept",
        run: elasticsearch::lifecycle_is_in_order,
    },
    Check {
        name: "rule-severity",
        what: "every alert has `severity` critical, warning, info or none",
        run: rules::severities_are_known,
    },
    Check {
        name: "rule-team",
        what: "the `team` of an alert is one of `teams`, and its expression does not lose it",
        run: rules::teams_exist,
    },
    Check {
        name: "rule-expr",
        what: "every `expr` is PromQL",
        run: rules::expressions_parse,
    },
    Check {
        name: "rule-templates",
        what: "templates in labels and annotations are whole and use variables that exist",
        run: rules::templates_are_whole,
    },
    Check {
        name: "rule-duplicates",
        what: "no rule is written twice",
        run: rules::none_is_written_twice,
    },
    Check {
        name: "overrides",
        what: "`alerts.overrides` names alerts that exist and sets labels that fit",
        run: rules::overrides_fit,
    },
];

/// Runs all checks.
pub fn validate(subject: &Subject<'_>, findings: &mut Findings) {
    for check in CHECKS {
        (check.run)(subject, findings);
    }
}

impl Subject<'_> {
    /// The place of a value of the spec, or of what is nearest to it.
    fn at(&self, path: &[&str]) -> Place {
        self.tree.nearest_place(path)
    }

    /// The place of a key of the spec.
    fn key(&self, path: &[&str]) -> Place {
        path.split_last()
            .and_then(|(key, above)| self.tree.find(above)?.entry(key))
            .map_or_else(|| self.at(path), |entry| entry.key_place)
    }
}

/// Was the value at this path, or one above it, reported as wrong already?
fn reported(findings: &Findings, path: &[&str]) -> bool {
    (1..=path.len()).any(|depth| findings.is_broken(&path[..depth].join(".")))
}

/// ``did you mean `x`?`` or the known names.
fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(meant) = crate::spec::nearest(name, known.clone()) {
        return format!("did you mean `{meant}`?");
    }
    let names: Vec<&str> = known.into_iter().take(20).collect();
    if names.is_empty() {
        return "there are none".to_owned();
    }
    format!("known: {}", crate::spec::schema::list(&names))
}
