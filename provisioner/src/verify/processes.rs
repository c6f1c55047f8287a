//! Every process of the stack runs, answers, and has the present configuration in force.

use super::{Proof, Subject};
use crate::plan::{self, Options};
use crate::resource::{Address, Document};

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    let planned = plan::plan(
        subject.resources,
        subject.world,
        &subject.stack.owner.to_string(),
        Options::default(),
    );
    let mut out = Vec::new();
    for resource in subject.resources {
        let Document::Process(process) = &resource.document else {
            continue;
        };
        if !subject.installed(&process.component) {
            continue;
        }
        let component = Address::component(&process.component);
        let work = async {
            let found = subject
                .world
                .processes
                .iter()
                .find(|found| found.address == resource.address.as_str())
                .ok_or("it is not running; `kai-observe provision` starts it")?;
            if let Some(health) = subject.world.health.get(&resource.address) {
                health
                    .answers
                    .clone()
                    .map_err(|why| format!("it runs (pid {}) but {why}", found.pid))?;
            }
            let plan = planned.as_ref().map_err(ToString::to_string)?;
            if let Some(change) = plan.change(&resource.address)
                && plan.change(&component).is_none()
            {
                return Err(format!("{}: {}", change.action.word(), change.reason));
            }
            Ok(format!("pid {}, {}", found.pid, process.ready))
        };
        out.push(super::prove("processes", process.name.clone(), work).await);
    }
    out
}
