//! Elasticsearch or OpenSearch: the managed node, and in a managed or external cluster the
//! templates and the lifecycles of this stack's data streams.
//!
//! ```text
//! logs-kai.<service>-<environment>          lines of a service
//! logs-kai.canary.<id>-<environment>        lines that `verify` writes
//! logs-kai.security.<id>-<environment>      authentication logs, with `agent.security.ship`
//! logs-kai.journal.<id>-<environment>       what comes to the agent, with `agent.logs`; so `syslog`,
//!                                           `pods`, and, of services not in the spec, `otlp`
//! events-kai.<service>-<environment>        deployments
//! jaeger-span-*, jaeger-service-*, …        Jaeger's indices, where it keeps spans here
//! ```
//! A template names each of its streams: two stacks on one cluster do not overlap unless they have
//! the same service in the same environment. Each kind of lines has a template and a lifecycle.

mod access;
mod fields;
mod jaeger;
mod lifecycle;
mod node;
mod snapshots;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::component;
pub use access::agents_connection;
pub(super) use jaeger::needed as traces_need;
pub use lifecycle::{retention, trace_retention};

use crate::layout::Layout;
use crate::model::{Connection, Elasticsearch, LogKind, Placement, Stack};
use crate::object::{Object, System, id};
use crate::resource::{Address, Document, Resource};
use crate::systems::elasticsearch::{COMPONENT_TEMPLATE, INDEX_TEMPLATE, LIFECYCLE};

/// Above the built-in template for `logs-*-*`, which has 100. Each kind has its own, since a server
/// refuses two that may match the same name, and a service may change its kind.
const PRIORITY: u32 = 500;
/// Grows when what is rendered here changes, so that whoever looks at a cluster sees which it has.
const TEMPLATE_VERSION: u32 = 2;

/// The data stream of a service's lines.
pub fn log_stream(stack: &Stack, service: &str) -> String {
    format!("logs-kai.{service}-{}", stack.environment)
}

/// The data stream of a service's deployments.
pub fn event_stream(environment: &str, service: &str) -> String {
    format!("events-kai.{service}-{environment}")
}

/// The data stream of what `verify` writes.
pub fn canary_stream(stack: &Stack) -> String {
    format!("logs-kai.canary.{}-{}", stack.owner.id, stack.environment)
}

/// The data stream of the authentication logs and the findings of the security checks.
pub fn security_stream(stack: &Stack) -> String {
    format!("logs-kai.security.{}-{}", stack.owner.id, stack.environment)
}

/// The data stream of what came into the agent in this way and is of no service: `journal`, `syslog`
/// or `otlp`.
pub fn intake_stream(stack: &Stack, way: &str) -> String {
    format!("logs-kai.{way}.{}-{}", stack.owner.id, stack.environment)
}

/// The data streams of what comes to the agent besides services' lines, by the kind of it.
pub fn intake_streams(stack: &Stack) -> Vec<(LogKind, String)> {
    let Some(intake) = stack.log_intake() else {
        return Vec::new();
    };
    [
        ("journal", intake.journald.as_ref().map(|one| one.kind)),
        ("syslog", intake.syslog.as_ref().map(|one| one.kind)),
        ("pods", intake.pods.as_ref().map(|one| one.kind)),
        ("otlp", intake.otlp.then_some(LogKind::App)),
    ]
    .into_iter()
    .filter_map(|(way, kind)| Some((kind?, intake_stream(stack, way))))
    .collect()
}

/// All data streams of logs, then all of events.
pub fn streams(stack: &Stack) -> (Vec<String>, Vec<String>) {
    let logs = by_kind(stack).into_values().flatten().collect();
    let events = stack.services.keys();
    let events = events.map(|name| event_stream(&stack.environment, name));
    (logs, events.collect())
}

/// Every name and pattern of indices that this stack's objects speak of: what has to lie within
/// `owns`.
pub fn patterns(stack: &Stack) -> Vec<String> {
    let (mut all, events) = streams(stack);
    all.extend(events);
    if stack.spans_are_in_elasticsearch() {
        all.extend(jaeger::patterns());
    }
    all
}

/// Data streams of logs by the kind of their lines; what `verify` writes is an application's.
fn by_kind(stack: &Stack) -> BTreeMap<LogKind, Vec<String>> {
    let mut out = BTreeMap::from([(LogKind::App, vec![canary_stream(stack)])]);
    if stack.ships_security() {
        out.insert(LogKind::Audit, vec![security_stream(stack)]);
    }
    for service in stack.services.values() {
        if stack.may_have_lines(&service.name) {
            let kind = service.logs.as_ref().map_or(LogKind::App, |logs| logs.kind);
            let streams = out.entry(kind).or_default();
            streams.push(log_stream(stack, &service.name));
        }
    }
    for (kind, stream) in intake_streams(stack) {
        out.entry(kind).or_default().push(stream);
    }
    out
}

pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let Some(settings) = &stack.systems.elasticsearch else {
        return Vec::new();
    };
    let mut out = Vec::new();
    if let Placement::Managed { version, required } = &settings.placement {
        out.push(component(
            settings.distribution.word(),
            version.clone(),
            *required,
        ));
        out.extend(node::node(stack, settings, layout));
    }
    if let Some(access) = super::elasticsearch_access(stack) {
        let maker = Maker::new(stack, settings, access);
        out.extend(templates(stack, settings, &maker));
        if stack.spans_are_in_elasticsearch() {
            out.extend(jaeger::objects(stack, settings, &maker));
        }
        out.extend(snapshots::objects(stack, settings, &maker));
        out.extend(access::objects(stack, settings, &maker));
    }
    out
}

/// Makes objects of this stack in its cluster.
struct Maker {
    owner: String,
    access: Connection,
    managed: bool,
}

impl Maker {
    fn new(stack: &Stack, settings: &Elasticsearch, access: Connection) -> Self {
        Self {
            owner: stack.owner.to_string(),
            access,
            managed: settings.placement.is_managed(),
        }
    }

    /// The name in the cluster.
    fn named(&self, slug: &str) -> String {
        id(&self.owner, slug)
    }

    fn object(
        &self,
        kind: &'static str,
        slug: &str,
        body: Value,
        mut needs: Vec<Address>,
    ) -> Resource {
        if self.managed {
            needs.push(System::Elasticsearch.process());
        }
        Resource {
            address: at(kind, slug),
            needs,
            document: Document::Object(Box::new(Object {
                system: System::Elasticsearch,
                managed: self.managed,
                access: self.access.clone(),
                kind,
                id: self.named(slug),
                body,
                secrets: BTreeMap::new(),
                keeps: None,
            })),
        }
    }

    /// An object whose name is not ours to choose, and a file for the secret that it comes with.
    fn named_object(
        &self,
        kind: &'static str,
        slug: &str,
        (id, keeps): (String, Option<PathBuf>),
        body: Value,
        needs: Vec<Address>,
    ) -> Resource {
        let mut out = self.object(kind, slug, body, needs);
        if let Document::Object(object) = &mut out.document {
            object.id = id;
            object.keeps = keeps;
        }
        out
    }
}

fn at(kind: &str, slug: &str) -> Address {
    Address::object(System::Elasticsearch, kind, slug)
}

/// The name of a kind's template and lifecycle.
fn slug(kind: LogKind) -> String {
    match kind {
        LogKind::App => "logs".to_owned(),
        other => format!("logs-{}", other.word()),
    }
}

fn templates(stack: &Stack, settings: &Elasticsearch, maker: &Maker) -> Vec<Resource> {
    let (_, events) = streams(stack);
    let fields = |slug: &str, properties: Value| {
        let mappings = fields::mappings(&maker.owner, &properties);
        maker.object(
            COMPONENT_TEMPLATE,
            &format!("{slug}-fields"),
            json!({ "version": TEMPLATE_VERSION, "template": { "mappings": mappings } }),
            Vec::new(),
        )
    };
    let index = |made_of: &str, priority: u32, patterns: &[String]| {
        json!({
            "index_patterns": patterns,
            "data_stream": {},
            "priority": priority,
            "version": TEMPLATE_VERSION,
            "allow_auto_create": true,
            "composed_of": [maker.named("settings"), maker.named(&format!("{made_of}-fields"))],
        })
    };
    let needs = |made_of: &str| {
        vec![
            at(COMPONENT_TEMPLATE, "settings"),
            at(COMPONENT_TEMPLATE, &format!("{made_of}-fields")),
        ]
    };
    let mut out = vec![
        maker.object(
            COMPONENT_TEMPLATE,
            "settings",
            json!({ "version": TEMPLATE_VERSION, "template": { "settings": fields::settings(&settings.lifecycle) } }),
            Vec::new(),
        ),
        fields("logs", fields::logs()),
    ];
    for (kind, patterns) in by_kind(stack) {
        let slug = slug(kind);
        let kept = lifecycle::of(stack, settings, kind);
        out.push(maker.object(LIFECYCLE, &slug, kept.policy(&patterns), Vec::new()));
        let mut body = index("logs", PRIORITY + kind as u32, &patterns);
        body["template"] = kept.in_template(&maker.named(&slug));
        let mut needs = needs("logs");
        needs.push(at(LIFECYCLE, &slug));
        out.push(maker.object(INDEX_TEMPLATE, &slug, body, needs));
    }
    if !events.is_empty() {
        out.push(fields("events", fields::events()));
        // Deployments are few and are asked for years later: no lifecycle.
        let body = index("events", PRIORITY, &events);
        out.push(maker.object(INDEX_TEMPLATE, "events", body, needs("events")));
    }
    out
}
