//! Programs that the machine has already, judged by the version they print. Nothing publishes
//! their checksum, so they are called unverified and never pinned.

use std::collections::BTreeMap;

use super::Installed;
use super::error::{Refusal, pass};
use super::job::Job;
use crate::model::SourceKind;

/// The component from PATH.
pub fn find(job: &Job<'_>) -> Result<Installed, Refusal> {
    let component = job.component;
    let names: BTreeMap<String, Vec<String>> = match &component.path {
        Some(names) => names.clone(),
        // Our own programs are installed under their own names.
        None if component.workspace.is_some() => component
            .programs
            .iter()
            .map(|p| (p.clone(), vec![p.clone()]))
            .collect(),
        None => return pass("", "the catalogue has no way to judge what lies on PATH"),
    };
    let coordinate = component.main();
    if job.context.policy.locked {
        return pass(
            coordinate,
            "what lies on PATH cannot be pinned, and components.locked allows only what is pinned",
        );
    }
    if component.version.arguments.is_empty() {
        return pass(
            coordinate,
            "it cannot be asked for its version, so PATH is not trusted",
        );
    }
    let mut programs = BTreeMap::new();
    for (program, aliases) in &names {
        match aliases.iter().find_map(|alias| job.machine.which(alias)) {
            Some(path) => programs.insert(program.clone(), path),
            None => {
                return pass(
                    coordinate,
                    format!("{} is not on PATH", aliases.join(" or ")),
                );
            }
        };
    }
    let mut version = None;
    for (name, path) in &programs {
        let said = match job.version_of(path) {
            Ok(said) => said,
            Err(reason) => return pass(path.display().to_string(), reason),
        };
        if let Some(reason) = job.unfit(&said) {
            return pass(path.display().to_string(), reason);
        }
        // Our own programs must match this one exactly; minimum and default are the same there.
        if component.workspace.is_some() && said.to_string() != component.version.default {
            let own = &component.version.default;
            return pass(
                path.display().to_string(),
                format!("it is {said}, this kai-observe is {own}"),
            );
        }
        if name == component.main() {
            version = Some(said);
        }
    }
    let version = version.map(|v| v.to_string()).unwrap_or_default();
    job.found(
        SourceKind::Path,
        &version,
        programs,
        "found on PATH, its version was checked",
    )
    .or_else(|reason| pass(coordinate, reason))
}
