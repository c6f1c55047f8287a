//! A plan on paper: what was reviewed, and whether it is still what would be done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Change;
use crate::resource::{Resource, digest};

/// What `plan --out` writes and `provision --plan` wants to find again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanFile {
    pub version: u32,
    pub owner: String,
    /// Digest of everything rendered from the spec.
    pub desired: String,
    pub pruned: bool,
    pub changes: Vec<Change>,
}

/// What differs between what was reviewed and what would be done now; empty when nothing does.
pub fn moved(reviewed: &PlanFile, now: &PlanFile) -> Vec<String> {
    let mut out = Vec::new();
    if reviewed.version != now.version {
        out.push(format!(
            "the plan file has version {}, this program writes {}",
            reviewed.version, now.version
        ));
        return out;
    }
    if reviewed.owner != now.owner {
        out.push(format!(
            "the plan is for {}, the spec is {}",
            reviewed.owner, now.owner
        ));
        return out;
    }
    if reviewed.desired != now.desired {
        out.push("the spec, or a file that it includes, has changed".to_owned());
    }
    let by_address = |file: &PlanFile| -> BTreeMap<String, Change> {
        file.changes
            .iter()
            .map(|c| (format!("{}#{}", c.address, c.action.word()), c.clone()))
            .collect()
    };
    let (before, after) = (by_address(reviewed), by_address(now));
    for (key, change) in &before {
        match after.get(key) {
            None => out.push(format!(
                "{} {} was reviewed and is no longer needed",
                change.action.word(),
                change.address
            )),
            Some(other) if other != change => {
                out.push(format!("{} is not as it was when reviewed", change.address));
            }
            Some(_) => {}
        }
    }
    for (key, change) in &after {
        if !before.contains_key(key) {
            out.push(format!(
                "{} {} was not reviewed",
                change.action.word(),
                change.address
            ));
        }
    }
    out
}

/// Digest of all desired documents; secrets are in it as references only.
pub fn desired_digest(resources: &[Resource]) -> String {
    digest(format!("{resources:?}"))
}
