//! Follows the pods of one scope: a list, then what happened since, for as long as the server tells.
//! Where it has forgotten the version that we are at (410), all is listed anew; where it does not
//! answer, what is known stays known, and it is asked again with growing pauses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng as _;
use reqwest::Response;
use tokio::sync::watch;

use super::client::{Api, ApiError};
use super::event::{Event, LONGEST_LINE, ListEnd};
use super::ledger::Ledger;
use super::pod::Pod;
use super::split::Splitter;
use super::store::Store;
use crate::discovery::wanted::encoded;
use crate::shutdown::ended;

/// The server is asked to end a watch after this (and up to half as much again), so that load moves
/// on to servers that were added.
const WATCH_SECONDS: u64 = 300;
/// Without a word for this long a watch is taken for dead; a bookmark comes about every minute.
const SILENCE: Duration = Duration::from_secs(150);
/// Between two parts of a list.
const LIST_SILENCE: Duration = Duration::from_secs(30);
const LEAST_PAUSE: Duration = Duration::from_millis(500);
const MOST_PAUSE: Duration = Duration::from_secs(30);
/// A watch that lived as long as this was not a failure.
const LIVED: Duration = Duration::from_secs(5);
/// Items of one part of a list that is read from etcd.
const LIST_PART: u32 = 100;

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub number: usize,
    /// All namespaces when `None`.
    pub namespace: Option<String>,
    pub node: String,
}

impl Scope {
    fn path(&self) -> String {
        // A node's name is a DNS name, a namespace's a label of one: nothing to escape.
        let pods = match &self.namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/pods"),
            None => "/api/v1/pods".to_owned(),
        };
        format!("{pods}?fieldSelector=spec.nodeName%3D{}", self.node)
    }

    fn has(&self, pod: &Pod) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|namespace| *namespace == *pod.namespace)
    }
}

/// Which version a list has to have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// Any that the server has at hand.
    Any,
    /// One that is not older, so that time does not go backwards with another server.
    AtLeast(Box<str>),
    /// The newest, read from etcd: the servers' memory does not reach far enough.
    Newest,
}

pub struct Watcher {
    pub api: Arc<Api>,
    pub store: Arc<Store>,
    pub ledger: Arc<Ledger>,
    pub scope: Scope,
}

impl Watcher {
    /// Until `shutdown` becomes true.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        tokio::select! {
            () = self.follow() => {}
            () = ended(&mut shutdown) => {}
        }
    }

    async fn follow(&self) {
        let mut pause = Pause::default();
        let mut from = Wanted::Any;
        loop {
            let version = match self.list(&from).await {
                Ok(version) => version,
                Err(error) => {
                    if let ApiError::Status {
                        code: 410 | 504, ..
                    } = error
                    {
                        from = Wanted::Newest;
                    }
                    self.failed(&error);
                    pause.wait().await;
                    continue;
                }
            };
            self.ledger.contact();
            from = self.watch(version, &mut pause).await;
            // Each way out of a watch is a failure or an end that the server chose.
            pause.wait().await;
        }
    }

    fn failed(&self, error: &ApiError) {
        if self.ledger.failed(error.word()) {
            let seen = self.ledger.is_synced();
            tracing::warn!(
                namespace = self.scope.namespace.as_deref().unwrap_or("*"),
                known = seen,
                "{error}; it is asked again{}",
                hint(error)
            );
        }
    }

    async fn list(&self, from: &Wanted) -> Result<Box<str>, ApiError> {
        let path = self.scope.path();
        let first = match from {
            Wanted::Any => format!("{path}&resourceVersion=0"),
            Wanted::AtLeast(version) => format!("{path}&resourceVersion={version}"),
            Wanted::Newest => format!("{path}&limit={LIST_PART}"),
        };
        let mut pods = Vec::new();
        let mut next = first;
        loop {
            let end = self.list_part(&next, &mut pods).await?;
            match end.more {
                Some(more) => {
                    let more = encoded(&more, "");
                    next = format!("{path}&limit={LIST_PART}&continue={more}");
                }
                None => {
                    let scope = &self.scope;
                    self.ledger.listed();
                    self.store
                        .replace(scope.number, pods, |pod| scope.has(pod), Instant::now());
                    return Ok(end.version);
                }
            }
        }
    }

    async fn list_part(&self, path: &str, pods: &mut Vec<Pod>) -> Result<ListEnd, ApiError> {
        let mut response = self.api.get(path).await?;
        let mut splitter = Splitter::default();
        while let Some(part) = chunk(&mut response, LIST_SILENCE).await? {
            splitter
                .push(&part, |item| match Pod::read(item) {
                    Ok(pod) => pods.push(pod),
                    Err(reason) => self.bad(&reason),
                })
                .map_err(|error| ApiError::Form(error.to_string()))?;
        }
        let rest = splitter
            .finish()
            .map_err(|error| ApiError::Broken(error.to_string()))?;
        ListEnd::read(&rest).map_err(ApiError::Form)
    }

    /// Follows from a version on; returns what the next list has to have.
    async fn watch(&self, mut version: Box<str>, pause: &mut Pause) -> Wanted {
        loop {
            let begun = Instant::now();
            let before = version.clone();
            let result = self.watch_once(&mut version).await;
            if begun.elapsed() >= LIVED || version != before {
                pause.reset();
            }
            match result {
                // The server ends a watch when its time is over; we go on where we are.
                Ok(()) if begun.elapsed() >= LIVED => {}
                Ok(()) => pause.wait().await,
                Err(error) => {
                    self.failed(&error);
                    match error {
                        ApiError::Status { code: 410, .. } => return Wanted::Newest,
                        // It cannot be told what was missed.
                        ApiError::Form(_) => return Wanted::AtLeast(version),
                        _ => pause.wait().await,
                    }
                }
            }
        }
    }

    async fn watch_once(&self, version: &mut Box<str>) -> Result<(), ApiError> {
        let seconds = rand::rng().random_range(WATCH_SECONDS..WATCH_SECONDS * 3 / 2);
        let path = format!(
            "{}&watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}",
            self.scope.path()
        );
        let mut response = self.api.get(&path).await?;
        self.ledger.contact();
        let mut line = Vec::new();
        while let Some(part) = chunk(&mut response, SILENCE).await? {
            let mut rest = &part[..];
            while let Some(end) = memchr::memchr(b'\n', rest) {
                line.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                if !line.trim_ascii().is_empty() {
                    self.event(&line, version)?;
                }
                line.clear();
                line.shrink_to(64 << 10);
            }
            if line.len() + rest.len() > LONGEST_LINE {
                let longest = LONGEST_LINE >> 20;
                return Err(ApiError::Form(format!(
                    "an event is larger than {longest} MiB"
                )));
            }
            line.extend_from_slice(rest);
        }
        if line.trim_ascii().is_empty() {
            Ok(())
        } else {
            Err(ApiError::Broken("in the middle of an event".to_owned()))
        }
    }

    fn event(&self, line: &[u8], version: &mut Box<str>) -> Result<(), ApiError> {
        let now = Instant::now();
        self.ledger.contact();
        match Event::read(line).map_err(ApiError::Form)? {
            Event::Put(pod) => {
                self.ledger.event("put");
                advance(version, &pod.version);
                self.store.put(*pod, now);
            }
            Event::Deleted(pod) => {
                self.ledger.event("deleted");
                advance(version, &pod.version);
                self.store.delete(*pod, now);
            }
            Event::Bookmark(at) => {
                self.ledger.event("bookmark");
                advance(version, &at);
            }
            Event::Error { code, message } => return Err(ApiError::Status { code, message }),
        }
        Ok(())
    }

    fn bad(&self, reason: &str) {
        if self.ledger.failed("pod") {
            tracing::warn!(reason, "a pod of the list cannot be read and is left out");
        }
    }
}

fn advance(version: &mut Box<str>, to: &str) {
    if !to.is_empty() {
        *version = to.into();
    }
}

fn hint(error: &ApiError) -> &'static str {
    match error {
        ApiError::Status { code: 401, .. } => "; the token of the account is not accepted",
        ApiError::Status { code: 403, .. } => {
            "; the account needs get, list and watch of pods (kubernetes.namespaces limits where)"
        }
        _ => "",
    }
}

async fn chunk(
    response: &mut Response,
    silence: Duration,
) -> Result<Option<hyper::body::Bytes>, ApiError> {
    match tokio::time::timeout(silence, response.chunk()).await {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(error)) => Err(ApiError::Broken(crate::scrape::fetch::reason(
            &error.without_url(),
        ))),
        Err(_) => Err(ApiError::Broken(format!(
            "nothing came for {} s",
            silence.as_secs()
        ))),
    }
}

/// Grows with every failure in a row; the wait is a random part of it, so that a thousand agents do
/// not come back at once.
#[derive(Debug, Default)]
struct Pause {
    failures: u32,
}

impl Pause {
    fn reset(&mut self) {
        self.failures = 0;
    }

    async fn wait(&mut self) {
        let most = LEAST_PAUSE
            .saturating_mul(1 << self.failures.min(16))
            .min(MOST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        let part = rand::rng().random_range(0.1..=1.0);
        tokio::time::sleep(most.mul_f64(part)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pods_of_the_node_are_asked_for() {
        let scope = |namespace: Option<&str>| Scope {
            number: 0,
            namespace: namespace.map(str::to_owned),
            node: "node-1".into(),
        };
        assert_eq!(
            scope(None).path(),
            "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1"
        );
        assert_eq!(
            scope(Some("kai")).path(),
            "/api/v1/namespaces/kai/pods?fieldSelector=spec.nodeName%3Dnode-1"
        );
    }
}
