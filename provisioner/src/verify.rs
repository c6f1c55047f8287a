//! Proofs: what the running systems say, not what was written to them. A proof that got an empty
//! answer failed.

mod alerting;
mod dashboards;
mod databases;
mod intake;
mod logs;
mod otlp;
mod panels;
mod processes;
mod request;
mod rules;
mod scraping;
mod selectors;
mod services;
mod traces;

pub use alerting::cause;

use std::future::Future;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::components::describe;
use crate::layout::Layout;
use crate::model::Stack;
use crate::resource::Resource;
use crate::systems::alertmanager::Alertmanager;
use crate::systems::prometheus::Prometheus;
use crate::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Pass,
    Fail,
    /// The component has no source here.
    NotInstalled,
    /// Not proven, for the reason given; never counted as a pass.
    NotRun,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NotInstalled => "NOT INSTALLED",
            Self::NotRun => "NOT RUN",
        }
    }
}

/// One thing that was asked of the running systems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    pub area: &'static str,
    pub name: String,
    pub status: Status,
    /// What was seen, or what is wrong and where to look.
    pub detail: String,
    pub millis: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    pub passed: usize,
    pub failed: usize,
    #[serde(rename = "notRun")]
    pub not_run: usize,
    /// False when something is not installed or was not run.
    pub complete: bool,
    pub proofs: Vec<Proof>,
}

impl Verdict {
    pub fn of(proofs: Vec<Proof>) -> Self {
        let count = |status| proofs.iter().filter(|proof| proof.status == status).count();
        let not_run = count(Status::NotRun) + count(Status::NotInstalled);
        Self {
            passed: count(Status::Pass),
            // Nothing proven is nothing passed.
            failed: count(Status::Fail) + usize::from(proofs.is_empty()),
            not_run,
            complete: not_run == 0,
            proofs,
        }
    }
}

/// What proofs need to know.
pub struct Subject<'a> {
    pub stack: &'a Stack,
    pub layout: &'a Layout,
    pub resources: &'a [Resource],
    pub world: &'a World,
    /// How long a proof may wait for something that takes a scrape or an evaluation to appear.
    pub patience: Duration,
    /// Send a test notice along every route, and a span to Jaeger.
    pub routes: bool,
}

impl Subject<'_> {
    pub fn prometheus(&self) -> Prometheus {
        Prometheus::new(self.stack.ports.prometheus())
    }
    pub fn alertmanager(&self) -> Alertmanager {
        Alertmanager::new(self.stack.ports.alertmanager())
    }
    fn installed(&self, component: &str) -> bool {
        matches!(
            self.world.components.get(component),
            Some(crate::components::Lookup::Installed(_))
        ) || self
            .world
            .processes
            .iter()
            .any(|p| p.address == format!("process/{component}"))
    }
    fn has_prometheus(&self) -> bool {
        self.stack.systems.prometheus.is_some() && self.installed("prometheus")
    }
    fn has_alertmanager(&self) -> bool {
        self.stack.systems.alertmanager.is_some() && self.installed("alertmanager")
    }
}

/// Runs all proofs, those that do not depend on each other at the same time.
pub async fn verify(subject: &Subject<'_>) -> Verdict {
    let (
        processes,
        scraping,
        rules,
        alerting,
        services,
        databases,
        logs,
        dashboards,
        panels,
        traces,
        request,
    ) = tokio::join!(
        Box::pin(processes::prove(subject)),
        Box::pin(scraping::prove(subject)),
        Box::pin(rules::prove(subject)),
        Box::pin(alerting::prove(subject)),
        Box::pin(services::prove(subject)),
        Box::pin(databases::prove(subject)),
        Box::pin(logs::prove(subject)),
        Box::pin(dashboards::prove(subject)),
        Box::pin(panels::prove(subject)),
        Box::pin(traces::prove(subject)),
        Box::pin(request::prove(subject)),
    );
    let mut proofs = processes;
    proofs.extend(scraping);
    proofs.extend(rules);
    proofs.extend(alerting);
    proofs.extend(services);
    proofs.extend(databases);
    proofs.extend(logs);
    proofs.extend(dashboards);
    proofs.extend(panels);
    proofs.extend(traces);
    proofs.extend(request);
    proofs.extend(absent(subject));
    Verdict::of(proofs)
}

/// What is not installed or left out, said and not counted as a pass.
fn absent(subject: &Subject<'_>) -> Vec<Proof> {
    let mut out: Vec<Proof> = subject
        .world
        .not_installed
        .iter()
        .filter(|(name, _)| !subject.installed(name))
        .map(|(name, attempts)| Proof {
            area: "components",
            name: name.clone(),
            status: Status::NotInstalled,
            detail: describe(attempts),
            millis: 0,
        })
        .collect();
    out.extend(subject.stack.left_out.iter().map(|left| Proof {
        area: "left out",
        name: left.key.clone(),
        status: Status::NotRun,
        detail: left.why.clone(),
        millis: 0,
    }));
    out
}

/// Runs one proof and takes its time.
async fn prove(
    area: &'static str,
    name: impl Into<String>,
    work: impl Future<Output = Result<String, String>>,
) -> Proof {
    let started = Instant::now();
    let result = work.await;
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, detail) = match result {
        Ok(detail) => (Status::Pass, detail),
        Err(detail) => (Status::Fail, detail),
    };
    Proof {
        area,
        name: name.into(),
        status,
        detail,
        millis,
    }
}

/// Asks again until it holds or patience ends; the last answer is the result.
async fn eventually<T, F>(patience: Duration, mut ask: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + patience;
    loop {
        match ask().await {
            Ok(value) => return Ok(value),
            Err(reason) if Instant::now() >= deadline => return Err(reason),
            Err(_) => tokio::time::sleep(Duration::from_millis(150)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_proven_is_a_failure() {
        assert_eq!(Verdict::of(Vec::new()).failed, 1);
    }
}
