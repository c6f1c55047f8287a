//! A stack with a Grafana: somebody else's by its address, or its own from an archive. Not run
//! against the real Grafana here: `standins/` judges every request by its published schema.

// Always true here; it tells clippy that helpers are test code too.
#![cfg(test)]

mod external;
mod managed;

use serde_json::{Value, json};

use crate::harness::Stack;
use crate::standins::Running;
use crate::standins::grafana::{Grafana, Key};

pub const TOKEN: &str = "glsa_not-a-real-token";

/// A small spec without a program that would have to be fetched.
pub fn spec(stack: &Stack, systems: &str) -> String {
    format!(
        "apiVersion: observe.kai/v1\nkind: Stack\nmetadata: {{ name: ticketing, id: {} }}\n\
         runsOn: local\nports: {{ base: {} }}\nsystems:\n  prometheus: {{ mode: managed }}\n  alertmanager: {{ mode: off }}\n  \
         inbox: {{ mode: managed }}\n  kibana: {{ mode: off }}\n{systems}teams:\n  platform: {{ email: platform@kai.example }}\n\
         services: {{}}\nrouting:\n  severity: {{ critical: [email] }}\nalerts: {{ rules: [] }}\n",
        stack.id, stack.base
    )
}

/// What people made before us: a folder, a data source that is the default, a dashboard.
pub fn furnish(state: &Running<Grafana>, authorization: &[(&str, &str)]) {
    for (path, body) in [
        (
            "/api/folders",
            json!({ "uid": "theirs", "title": "Theirs" }),
        ),
        (
            "/api/datasources",
            json!({ "uid": "their-prometheus", "name": "Prometheus", "type": "prometheus", "access": "proxy",
                "url": "http://elsewhere:9090", "isDefault": true, "jsonData": {} }),
        ),
        (
            "/api/dashboards/db",
            json!({ "folderUid": "theirs", "overwrite": false, "dashboard": { "id": null, "uid": "their-board",
                "title": "Their board", "tags": ["kai-observe"], "schemaVersion": 42, "panels": [] } }),
        ),
    ] {
        post(&format!("{}{path}", state.url()), authorization, &body);
    }
}

pub fn post(url: &str, headers: &[(&str, &str)], body: &Value) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = kai_observe::http::client(std::time::Duration::from_secs(10));
        let mut request = client.post(url).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert!(status.is_success(), "{url}: {status} {text}");
    });
}

pub fn token() -> Key {
    Key::Token(TOKEN.into())
}

pub fn prefix(stack: &Stack) -> String {
    kai_observe::object::id_prefix(&format!("{}-local", stack.id))
}
