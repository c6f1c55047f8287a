//! Grafana: the process and its settings, the data sources, the folder, the dashboards.

mod data_sources;
mod settings;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{component, local};
use crate::dashboards::grafana::{Sources, Target, compile};
use crate::dashboards::source::{Dashboard, SourceError};
use crate::dashboards::sources;
use crate::layout::Layout;
use crate::model::{Auth, Connection, Grafana, Placement, Ports, SecretRef, SecretSource, Stack};
use crate::object::{Object, System, id};
use crate::resource::{
    Address, Comment, Document, File, Loaded, Process, Reload, Resource, Secret,
};
use crate::systems::grafana::{DASHBOARD, DATA_SOURCE, FOLDER, FOLDER_SLUG};

const NAME: &str = "grafana";
const ADMIN: &str = "admin";
/// The first start writes a database, which takes a slow disk a while.
const READY_WITHIN: Duration = Duration::from_mins(3);

/// How it is asked. A managed one by its administrator, whose password lies beside its database and
/// lives as long.
pub fn access(grafana: &Grafana, ports: Ports, layout: &Layout) -> Connection {
    match &grafana.placement {
        Placement::External(connection) => connection.clone(),
        Placement::Managed { .. } => Connection {
            url: local(ports.grafana(), ""),
            auth: Some(Auth::Basic {
                username: ADMIN.to_owned(),
                password: generated(layout, settings::PASSWORD),
            }),
        },
    }
}

fn generated(layout: &Layout, path: &str) -> SecretRef {
    SecretRef {
        source: SecretSource::Generated(layout.root.join(path)),
        rotation: 0,
    }
}

/// Ids of the data sources, for the systems that are there.
pub fn uids(stack: &Stack) -> Sources {
    let owner = stack.owner.to_string();
    let systems = &stack.systems;
    Sources {
        prometheus: systems
            .prometheus
            .as_ref()
            .map(|_| id(&owner, "prometheus")),
        elasticsearch: systems
            .elasticsearch
            .as_ref()
            .map(|_| id(&owner, "elasticsearch")),
        jaeger: systems.jaeger.as_ref().map(|_| id(&owner, "jaeger")),
    }
}

pub fn render(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let Some(grafana) = &stack.systems.grafana else {
        return Vec::new();
    };
    let mut out = Vec::new();
    if let Placement::Managed { version, required } = &grafana.placement {
        out.push(component(NAME, version.clone(), *required));
        out.extend(process(stack, layout));
    }
    let make = Maker {
        managed: grafana.placement.is_managed(),
        access: access(grafana, stack.ports, layout),
        owner: stack.owner.to_string(),
    };
    let folder = json!({ "title": format!("KAI Observe · {}", name_of(stack)) });
    out.push(make.object(FOLDER, FOLDER_SLUG, folder, &[]));
    let folder = Address::object(System::Grafana, FOLDER, FOLDER_SLUG);
    let mut needs = vec![folder];
    for source in data_sources::all(stack) {
        needs.push(Address::object(System::Grafana, DATA_SOURCE, source.slug));
        let mut resource = make.object(DATA_SOURCE, source.slug, source.body, &[]);
        if let Document::Object(object) = &mut resource.document {
            object.secrets = source.secrets;
        }
        out.push(resource);
    }
    for (slug, dashboard) in dashboards(stack) {
        out.push(file(slug, &dashboard));
        let body = json!({ "folderUid": id(&make.owner, FOLDER_SLUG), "dashboard": dashboard });
        out.push(make.object(DASHBOARD, slug, body, &needs));
    }
    out
}

/// Those that something of this stack feeds.
pub fn sources_for(stack: &Stack) -> Vec<(&'static str, Result<Dashboard, SourceError>)> {
    let mut all = sources();
    all.retain(|(slug, _)| *slug != "security" || stack.agent.security.is_some());
    all
}

/// Compiled for this stack. A source that is not sound is caught by a test and left away here.
pub fn dashboards(stack: &Stack) -> Vec<(&'static str, Value)> {
    let owner = stack.owner.to_string();
    let all = sources_for(stack).into_iter();
    all.filter_map(|(slug, source)| {
        let target = Target {
            uid: id(&owner, slug),
            owner: owner.clone(),
            stack: name_of(stack),
            sources: uids(stack),
        };
        Some((slug, compile(&source.ok()?, &target)))
    })
    .collect()
}

/// As it is called where several stacks are shown beside each other.
fn name_of(stack: &Stack) -> String {
    format!("{} {}", stack.name, stack.environment)
}

struct Maker {
    managed: bool,
    access: Connection,
    owner: String,
}

impl Maker {
    fn object(&self, kind: &'static str, slug: &str, body: Value, needs: &[Address]) -> Resource {
        let mut needs = needs.to_vec();
        if self.managed {
            needs.push(System::Grafana.process());
        }
        let object = Object {
            system: System::Grafana,
            managed: self.managed,
            access: self.access.clone(),
            kind,
            id: id(&self.owner, slug),
            body,
            secrets: std::collections::BTreeMap::new(),
            keeps: None,
        };
        Resource {
            address: Address::object(System::Grafana, kind, slug),
            document: Document::Object(Box::new(object)),
            needs,
        }
    }
}

/// The same dashboard as a file, to be imported by hand where no Grafana is run.
fn file(slug: &str, dashboard: &Value) -> Resource {
    let text = serde_json::to_string_pretty(dashboard).unwrap_or_default();
    // The mark is the object's first key.
    let body = text.strip_prefix("{\n").unwrap_or(&text);
    let path = format!("grafana/dashboards/{slug}.json");
    Resource {
        address: Address::file(&path),
        document: Document::File(File {
            path: PathBuf::from("config").join(path),
            body: format!("{body}\n"),
            comment: Comment::Json,
        }),
        needs: Vec::new(),
    }
}

fn process(stack: &Stack, layout: &Layout) -> Vec<Resource> {
    let port = stack.ports.grafana();
    let settings = Address::file("grafana/grafana.ini");
    let path = PathBuf::from("config/grafana/grafana.ini");
    let config = layout.root.join(&path).display().to_string();
    let mut out = Vec::new();
    let mut needs = vec![Address::component(NAME), settings.clone()];
    for (name, path) in [
        ("grafana-password", settings::PASSWORD),
        ("grafana-key", settings::KEY),
    ] {
        needs.push(Address::secret(name));
        out.push(Resource {
            address: Address::secret(name),
            document: Document::Secret(Secret {
                path: path.into(),
                reference: generated(layout, path),
            }),
            needs: Vec::new(),
        });
    }
    out.push(Resource {
        address: settings.clone(),
        document: Document::File(File {
            path,
            body: settings::text(stack, layout),
            comment: Comment::Hash,
        }),
        needs: Vec::new(),
    });
    out.push(Resource {
        address: Address::process(NAME),
        needs,
        document: Document::Process(Box::new(Process {
            name: NAME.into(),
            component: NAME.into(),
            program: NAME.into(),
            args: vec![
                "server".into(),
                format!("--homepath={}", crate::systems::process::HOME),
                format!("--config={config}"),
            ],
            env: std::collections::BTreeMap::new(),
            data: settings::folders(),
            ready: local(port, "/api/health"),
            ready_within: READY_WITHIN,
            ports: vec![port],
            config: vec![settings],
            loaded: Loaded::AtStart,
            reload: Reload::Restart,
            java: None,
        })),
    });
    out
}
