//! What the agent may do in the cluster, and no more: a role, and an API key that it uses in place of
//! the credentials that make templates.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::secrets::versioned;
use super::{Maker, at, by_kind};
use crate::model::{AgentAccess, Auth, Connection, Elasticsearch, SecretRef, SecretSource, Stack};
use crate::object::id;
use crate::resource::Resource;
use crate::systems::elasticsearch::{API_KEY, ROLE};

/// What the agent's files call it.
const FILE: &str = "agent-elasticsearch";

/// How the agent reaches the cluster: with a key of its own where it gets one.
pub fn agents_connection(stack: &Stack) -> Option<Connection> {
    let mut connection = super::super::elasticsearch_access(stack)?;
    if let Some(access) = granted(stack).filter(|access| access.key) {
        connection.auth = Some(Auth::ApiKey(reference(access)));
    }
    Some(connection)
}

fn granted(stack: &Stack) -> Option<&AgentAccess> {
    let settings = stack.systems.elasticsearch.as_ref()?;
    settings.agent_access.as_ref()
}

/// The rotation is in the name: the old key works on until the agent has the new one.
fn slug(access: &AgentAccess) -> String {
    format!("agent-{}", access.rotation)
}

fn reference(access: &AgentAccess) -> SecretRef {
    SecretRef {
        source: SecretSource::Issued(at(API_KEY, &slug(access)).to_string()),
        rotation: access.rotation,
    }
}

pub(super) fn objects(stack: &Stack, settings: &Elasticsearch, maker: &Maker) -> Vec<Resource> {
    let Some(access) = &settings.agent_access else {
        return Vec::new();
    };
    let rights = rights(stack, access);
    let mut out = Vec::new();
    if access.role {
        let body = json!({ "rights": rights });
        out.push(maker.object(ROLE, "agent", body, Vec::new()));
    }
    if access.key {
        let slug = slug(access);
        let name = id(&maker.owner, &format!("key-{}", access.rotation));
        let file = PathBuf::from("secrets").join(versioned(FILE, &reference(access)));
        let body = json!({ "rights": rights });
        out.push(maker.named_object(API_KEY, &slug, (name, Some(file)), body, Vec::new()));
    }
    out
}

/// See docs/reference/logs.md for what the agent does with each.
fn rights(stack: &Stack, access: &AgentAccess) -> Value {
    let streams: Vec<String> = by_kind(stack).into_values().flatten().collect();
    let mut privileges = vec![
        "auto_configure",
        "create_doc",
        "read",
        "view_index_metadata",
    ];
    if access.may_delete {
        privileges.insert(2, "delete");
    }
    json!({
        "cluster": ["monitor"],
        "indices": [{ "names": streams, "privileges": privileges }],
    })
}
