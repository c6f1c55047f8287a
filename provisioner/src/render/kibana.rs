//! Kibana: the process and its settings, the data view of the logs, one dashboard.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{component, local, yaml};
use crate::dashboards::kibana::{DataViews, classic, compile};
use crate::dashboards::kibana_sources;
use crate::layout::Layout;
use crate::model::{Connection, Kibana, Placement, Ports, Stack};
use crate::object::{Object, System, id};
use crate::resource::{Address, Comment, Document, File, Loaded, Process, Reload, Resource};
use crate::systems::kibana::{DATA_VIEW, INDEX_PATTERN};

const NAME: &str = "kibana";
/// The first start migrates its indices and takes most of a minute on two cores.
const READY_WITHIN: Duration = Duration::from_mins(4);

/// How it is asked, its space included.
pub fn access(kibana: &Kibana, ports: Ports) -> Connection {
    let mut connection = match &kibana.placement {
        Placement::External(connection) => connection.clone(),
        Placement::Managed { .. } => Connection {
            url: local(ports.kibana(), ""),
            auth: None,
        },
    };
    if let Some(space) = &kibana.space {
        connection.url.push_str(&format!("/s/{space}"));
    }
    connection
}

pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let Some(kibana) = &stack.systems.kibana else {
        return Vec::new();
    };
    let mut out = Vec::new();
    if let Placement::Managed { version, required } = &kibana.placement {
        out.push(component(NAME, version.clone(), *required));
        out.extend(process(stack, layout));
    }
    let owner = stack.owner.to_string();
    let views = DataViews {
        logs: id(&owner, "logs"),
        deploys: id(&owner, "deploys"),
    };
    let mut objects: Vec<(&'static str, String, Value)> =
        [("logs", logs_view(stack)), ("deploys", deploys_view(stack))]
            .into_iter()
            .map(|(slug, view)| {
                if kibana.opensearch {
                    (INDEX_PATTERN, slug.to_owned(), index_pattern(&view))
                } else {
                    (DATA_VIEW, slug.to_owned(), view)
                }
            })
            .collect();
    let name = format!("{} {}", stack.name, stack.environment);
    for (slug, source) in kibana_sources() {
        // A source that is not sound is caught by a test and left away here.
        let Ok(source) = source else { continue };
        let id = |slug: &str| id(&owner, slug);
        let compiled = if kibana.opensearch {
            classic::compile(slug, &source, &name, &views, &id)
        } else {
            compile(slug, &source, &name, &views, &id)
        };
        objects.extend(
            compiled
                .into_iter()
                .map(|one| (one.kind, one.slug, one.body)),
        );
    }
    let mut needs = Vec::new();
    if kibana.placement.is_managed() {
        needs.push(System::Kibana.process());
    }
    for (kind, slug, body) in objects {
        let address = Address::object(System::Kibana, kind, &slug);
        let object = Object {
            system: System::Kibana,
            managed: kibana.placement.is_managed(),
            access: access(kibana, stack.ports),
            kind,
            id: id(&owner, &slug),
            body,
            secrets: BTreeMap::new(),
            keeps: None,
        };
        out.push(Resource {
            address: address.clone(),
            document: Document::Object(Box::new(object)),
            needs: needs.clone(),
        });
        // Each refers to those before it.
        needs.push(address);
    }
    out
}

fn logs_view(stack: &Stack) -> Value {
    let mut view = view(stack, "logs");
    // Nanoseconds are nothing that people read.
    view["fieldFormats"] = json!({ "event.duration": {
        "id": "duration",
        "params": { "inputFormat": "nanoseconds", "outputFormat": "asMilliseconds", "outputPrecision": 1 },
    } });
    view
}

fn deploys_view(stack: &Stack) -> Value {
    let mut view = view(stack, "deploys");
    view["title"] = json!(format!("events-kai.*-{}", stack.environment));
    view
}

/// A data view as OpenSearch Dashboards keeps it: a saved object without a name of its own.
fn index_pattern(view: &Value) -> Value {
    let formats = view.get("fieldFormats").cloned();
    json!({
        "attributes": {
            "title": view["title"],
            "timeFieldName": view["timeFieldName"],
            "fieldFormatMap": formats.unwrap_or_else(|| json!({})),
        },
        "references": [],
    })
}

fn view(stack: &Stack, of: &str) -> Value {
    json!({
        "name": format!("KAI Observe {of} · {} {}", stack.name, stack.environment),
        "title": format!("logs-kai.*-{}", stack.environment),
        "timeFieldName": "@timestamp",
        // Before the first line there is no index.
        "allowNoIndex": true,
    })
}

fn process(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let port = stack.ports.kibana();
    let settings = Address::file("kibana/kibana.yml");
    let path = PathBuf::from("config/kibana/kibana.yml");
    let config = layout.root.join(&path).display().to_string();
    let mut needs = vec![Address::component(NAME), settings.clone()];
    let elasticsearch = stack.systems.elasticsearch.as_ref();
    if elasticsearch.is_some_and(|one| one.placement.is_managed()) {
        needs.push(System::Elasticsearch.process());
    }
    vec![
        Resource {
            address: settings.clone(),
            document: Document::File(File {
                path,
                body: yaml::to_text(&kibana_yml(stack, layout)),
                comment: Comment::Hash,
            }),
            needs: Vec::new(),
        },
        Resource {
            address: Address::process(NAME),
            needs,
            document: Document::Process(Box::new(Process {
                name: NAME.into(),
                component: NAME.into(),
                program: NAME.into(),
                // Without the second it refuses root; other users may say it too.
                args: vec![format!("--config={config}"), "--allow-root".into()],
                env: BTreeMap::new(),
                data: vec![PathBuf::from("data/kibana")],
                ready: local(port, "/api/status"),
                ready_within: READY_WITHIN,
                ports: vec![port],
                config: vec![settings],
                loaded: Loaded::AtStart,
                reload: Reload::Restart,
                java: None,
            })),
        },
    ]
}

fn kibana_yml(stack: &Stack, layout: &Layout) -> Value {
    let port = stack.ports.kibana();
    let elasticsearch = match stack.systems.elasticsearch.as_ref().map(|s| &s.placement) {
        Some(Placement::External(connection)) => connection.url.clone(),
        _ => local(stack.ports.elasticsearch(), ""),
    };
    json!({
        "server.host": "127.0.0.1",
        "server.port": port,
        "server.name": format!("{} {}", stack.name, stack.environment),
        "server.publicBaseUrl": local(port, ""),
        "elasticsearch.hosts": [elasticsearch],
        "path.data": layout.root.join("data/kibana").display().to_string(),
        "logging.root.level": "warn",
        // It tells nobody and asks nobody.
        "telemetry.optIn": false,
        "telemetry.allowChangingOptInStatus": false,
        "newsfeed.enabled": false,
        "map.includeElasticMapsService": false,
    })
}
