//! The pods of the agent's own node, as the API server tells of them. Read for discovery; nothing
//! is ever written.
//!
//! The client is ours: one kind of object, a list and a watch, on the HTTP client that the agent has
//! anyway (docs/decisions/0023-discovery.md says why).

use std::sync::Arc;
use std::time::Duration;

use kai_contract::agent_config::Kubernetes;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub mod client;
pub mod event;
pub mod ledger;
pub mod pod;
pub mod split;
pub mod store;
mod watch_pods;

use crate::exposition::Page;
use client::Api;
use ledger::Ledger;
use store::Store;
use watch_pods::{Scope, Watcher};

/// What is known, and how it is being learnt.
#[derive(Debug)]
pub struct Cluster {
    pub store: Arc<Store>,
    ledger: Arc<Ledger>,
    api: Arc<Api>,
    scopes: Vec<Scope>,
}

impl Cluster {
    /// `environment` is that of the process: what the configuration leaves open is looked for there.
    pub fn new(
        config: &Kubernetes,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let given = |name: &str| environment(name).filter(|value| !value.is_empty());
        let node = config.node.clone().or_else(|| given("NODE_NAME"));
        let node = node.ok_or(
            "the node's name is not known: set kubernetes.node, or NODE_NAME by the downward API \
             (fieldRef: spec.nodeName)",
        )?;
        if !node
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        {
            return Err(format!("NODE_NAME \"{node}\" cannot be a node's name"));
        }
        let api = config.api.clone().or_else(|| {
            let host = given("KUBERNETES_SERVICE_HOST")?;
            let port = given("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
            Some(if host.contains(':') {
                format!("https://[{host}]:{port}")
            } else {
                format!("https://{host}:{port}")
            })
        });
        let api = api.ok_or(
            "the API server's address is not known: set kubernetes.api, or run the agent in a pod, \
             where KUBERNETES_SERVICE_HOST has it",
        )?;
        let namespaces: Vec<Option<String>> = if config.namespaces.is_empty() {
            vec![None]
        } else {
            config.namespaces.iter().cloned().map(Some).collect()
        };
        let scopes = namespaces.into_iter().enumerate();
        Ok(Self {
            store: Arc::new(Store::new(
                config.max_pods as usize,
                Duration::from_secs(config.keep_deleted_seconds),
            )),
            ledger: Arc::default(),
            api: Arc::new(Api::new(&api, &config.token_file, &config.ca_file)),
            scopes: scopes
                .map(|(number, namespace)| Scope {
                    number,
                    namespace,
                    node: node.clone(),
                })
                .collect(),
        })
    }

    /// Whether every pod of the node was told of.
    pub fn is_synced(&self) -> bool {
        self.store.count().listed == self.scopes.len()
    }

    /// The node whose pods they are.
    pub fn node(&self) -> &str {
        self.scopes.first().map_or("", |scope| &scope.node)
    }

    pub fn page(&self) -> Page {
        self.ledger.page(self.store.count(), self.scopes.len())
    }

    /// Follows all scopes until `shutdown` becomes true.
    pub async fn run(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        tracing::info!(
            api = self.api.url(),
            node = self.node(),
            "pods are followed"
        );
        let mut watchers = JoinSet::new();
        for scope in &self.scopes {
            let watcher = Watcher {
                api: Arc::clone(&self.api),
                store: Arc::clone(&self.store),
                ledger: Arc::clone(&self.ledger),
                scope: scope.clone(),
            };
            watchers.spawn(watcher.run(shutdown.clone()));
        }
        while watchers.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_is_found_in_the_environment() {
        let environment = |name: &str| {
            let value = match name {
                "NODE_NAME" => "node-1",
                "KUBERNETES_SERVICE_HOST" => "fd00::1",
                "KUBERNETES_SERVICE_PORT" => "6443",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let cluster = Cluster::new(&Kubernetes::default(), environment).unwrap();
        assert_eq!(cluster.node(), "node-1");
        assert_eq!(cluster.api.url(), "https://[fd00::1]:6443");
        let error = Cluster::new(&Kubernetes::default(), |_| None).unwrap_err();
        assert!(error.contains("kubernetes.node"), "{error}");
    }
}
