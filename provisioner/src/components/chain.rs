//! The chain itself: the order of the sources, what the policy allows, one run at a time.

use std::collections::BTreeSet;

use super::error::{ComponentError, Refusal, pass};
use super::guard::Guard;
use super::job::Job;
use super::place::Entry;
use super::version::Version;
use super::{
    Attempt, Installed, Lookup, Outcome, archive, debian, go, lock, maven, on_path, workspace,
};
use crate::model::SourceKind;

/// Sources that fetch or build into the cache, in the order of the chain.
const FETCHING: [SourceKind; 4] = [
    SourceKind::Archive,
    SourceKind::Debian,
    SourceKind::Go,
    SourceKind::Maven,
];

/// What is here, without network, build or pin.
pub fn lookup(job: &Job<'_>) -> Result<Lookup, ComponentError> {
    let mut attempts = Vec::new();
    let found = match local(job, false, &mut attempts)? {
        Local::Found(installed) => Some(installed),
        Local::ToBeBuilt => None,
        Local::Nothing => from_cache(job, Care::Look, &mut attempts)?,
    };
    Ok(found.map_or(Lookup::Missing, |i| {
        Lookup::Installed(Installed {
            passed_over: attempts,
            ..i
        })
    }))
}

/// Asks every allowed source until one delivers.
pub fn obtain(job: &Job<'_>) -> Result<Outcome, ComponentError> {
    let mut attempts = Vec::new();
    if let Local::Found(installed) = local(job, true, &mut attempts)? {
        return Ok(Outcome::Installed(Installed {
            passed_over: attempts,
            ..installed
        }));
    }
    let before_cache = attempts.len();
    if let Some(installed) = from_cache(job, Care::Settle, &mut attempts)? {
        return Ok(Outcome::Installed(Installed {
            passed_over: attempts,
            ..installed
        }));
    }
    if !FETCHING.into_iter().any(|s| usable(job, s)) {
        for source in FETCHING {
            note(job, &mut attempts, source, gate(job, source).err());
        }
        return Ok(Outcome::NotInstalled(attempts));
    }
    let _guard = Guard::acquire(&job.context.cache, job.name, &mut |holder| {
        job.state(&format!(
            "waiting for {holder}, which is obtaining {}",
            job.name
        ));
    })?;
    // Whoever held the guard before may have placed it meanwhile.
    attempts.truncate(before_cache);
    if let Some(installed) = from_cache(job, Care::SettleGuarded, &mut attempts)? {
        return Ok(Outcome::Installed(Installed {
            passed_over: attempts,
            ..installed
        }));
    }
    for source in FETCHING {
        match gate(job, source).and_then(|()| fetch(job, source)) {
            Ok(entry) => {
                let installed = job.installed(&entry, false, true)?;
                return Ok(Outcome::Installed(Installed {
                    passed_over: attempts,
                    ..installed
                }));
            }
            Err(Refusal::Stop(error)) => return Err(error),
            Err(refusal) => note(job, &mut attempts, source, Some(refusal)),
        }
    }
    Ok(Outcome::NotInstalled(attempts))
}

fn fetch(job: &Job<'_>, source: SourceKind) -> Result<Entry, Refusal> {
    match source {
        SourceKind::Archive => archive::obtain(job),
        SourceKind::Debian => debian::obtain(job),
        SourceKind::Go => go::obtain(job),
        SourceKind::Maven => maven::obtain(job),
        SourceKind::Workspace | SourceKind::Path | SourceKind::Cache => {
            pass("", "it does not fetch")
        }
    }
}

/// Whether policy and catalogue let this source be asked.
fn gate(job: &Job<'_>, source: SourceKind) -> Result<(), Refusal> {
    let ours_on_path = source == SourceKind::Path && job.component.workspace.is_some();
    if !job.component.has(source) && !ours_on_path {
        let what = match source {
            SourceKind::Workspace => "it is not built from this workspace",
            SourceKind::Path => "the catalogue has no way to judge what lies on PATH",
            SourceKind::Cache => "it is never cached",
            SourceKind::Archive => "the catalogue has no official archive of it",
            SourceKind::Debian => "the catalogue has no Debian package of it",
            SourceKind::Go => "the catalogue has no Go module of it",
            SourceKind::Maven => "the catalogue has no Maven artifact of it",
        };
        return pass("", what);
    }
    // What the cache holds is judged by the source it came from.
    if source != SourceKind::Cache && !job.context.policy.allow.contains(&source) {
        return pass("", "components.allow does not have it");
    }
    Ok(())
}

fn usable(job: &Job<'_>, source: SourceKind) -> bool {
    gate(job, source).is_ok()
}

fn note(job: &Job<'_>, attempts: &mut Vec<Attempt>, source: SourceKind, refusal: Option<Refusal>) {
    let Some(Refusal::PassedOver { coordinate, reason }) = refusal else {
        return;
    };
    let attempt = Attempt {
        source,
        coordinate: super::error::redact(&coordinate),
        reason,
    };
    tracing::debug!(component = job.name, source = source.word(), reason = %attempt.reason, "passed over");
    attempts.push(attempt);
}

/// What workspace and PATH have.
enum Local {
    Found(Installed),
    /// A build is about to be made: neither PATH nor cache may take its place meanwhile.
    ToBeBuilt,
    Nothing,
}

/// How closely a cache entry is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Sizes and times; nothing is changed.
    Look,
    /// Digests; the entry is pinned.
    Settle,
    /// The same as the only run at work on this component: a changed entry is moved away.
    SettleGuarded,
}

/// Workspace and PATH. With `build`, a stale or missing build is made.
fn local(job: &Job<'_>, build: bool, attempts: &mut Vec<Attempt>) -> Result<Local, ComponentError> {
    for source in [SourceKind::Workspace, SourceKind::Path] {
        let found = gate(job, source).and_then(|()| match source {
            SourceKind::Workspace => workspace::find(job, build),
            _ => on_path::find(job),
        });
        match found {
            Ok(installed) => return Ok(Local::Found(installed)),
            Err(Refusal::Stop(error)) => return Err(error),
            Err(_) if !build && source == SourceKind::Workspace && workspace::can_build(job) => {
                return Ok(Local::ToBeBuilt);
            }
            Err(refusal) => note(job, attempts, source, Some(refusal)),
        }
    }
    Ok(Local::Nothing)
}

/// The cache. An entry counts when the source it came from is allowed; `allow: [cache]` without
/// any fetching source means a prepared cache, where every origin counts.
fn from_cache(
    job: &Job<'_>,
    care: Care,
    attempts: &mut Vec<Attempt>,
) -> Result<Option<Installed>, ComponentError> {
    if let Err(refusal) = gate(job, SourceKind::Cache) {
        note(job, attempts, SourceKind::Cache, Some(refusal));
        return Ok(None);
    }
    let allow: BTreeSet<SourceKind> = job.context.policy.allow.iter().copied().collect();
    let prepared =
        allow.contains(&SourceKind::Cache) && !FETCHING.iter().any(|s| allow.contains(s));
    let mut reasons = Vec::new();
    let mut fitting = Vec::new();
    for entry in job.shelf.entries(&job.machine.platform) {
        let what = format!("{} from {}", entry.manifest.release, entry.source.word());
        let Some(version) = Version::parse(&entry.manifest.version) else {
            continue;
        };
        if let Some(reason) = job.unfit(&version) {
            reasons.push(format!("{what}: {reason}"));
        } else if !prepared && !allow.contains(&entry.source) {
            reasons.push(format!(
                "{what}: components.allow does not have {}",
                entry.source.word()
            ));
        } else if let Err(Refusal::PassedOver { reason, .. }) =
            job.permit(entry.source, &entry.manifest.release, "")
        {
            reasons.push(format!("{what}: {reason}"));
        } else if let Some(missing) = (entry.source == SourceKind::Maven)
            .then(|| maven::java_missing(job, &entry.manifest.version))
            .flatten()
        {
            reasons.push(format!("{what}: {missing}"));
        } else if !job
            .component
            .programs
            .iter()
            .all(|p| entry.manifest.programs.contains_key(p))
        {
            reasons.push(format!("{what}: it lacks a program"));
        } else {
            fitting.push((rank(job, &entry, &version), entry));
        }
    }
    fitting.sort_by(|a, b| b.0.cmp(&a.0));
    for (_, entry) in fitting {
        let manifest = &entry.manifest;
        lock::compare(
            &job.pins,
            &job.key(entry.source, &manifest.release),
            &manifest.published,
            &format!("the copy in {} has", entry.folder.display()),
        )?;
        if entry.looks_intact() && (care == Care::Look || entry.is_intact(&job.memo)) {
            return job.installed(&entry, true, care != Care::Look).map(Some);
        }
        let what = format!("{} from {}", manifest.release, entry.source.word());
        if care == Care::SettleGuarded {
            let moved = set_aside(job, &entry)?;
            reasons.push(format!(
                "{what}: its programs were changed after they were placed{moved}"
            ));
        } else {
            reasons.push(format!(
                "{what}: its programs were changed after they were placed"
            ));
        }
    }
    let reason = if reasons.is_empty() {
        "nothing cached yet".to_string()
    } else {
        reasons.join("; ")
    };
    note(
        job,
        attempts,
        SourceKind::Cache,
        pass::<()>("", reason).err(),
    );
    Ok(None)
}

/// What is pinned for this stack first, then the catalogue's default, then the newest, then the
/// source that the chain would ask first.
fn rank(
    job: &Job<'_>,
    entry: &Entry,
    version: &Version,
) -> (bool, bool, Version, std::cmp::Reverse<SourceKind>) {
    let pinned = job
        .pins
        .get(&job.key(entry.source, &entry.manifest.release))
        .is_some();
    let default = Version::parse(&job.component.version.default).as_ref() == Some(version);
    (
        pinned,
        default,
        version.clone(),
        std::cmp::Reverse(entry.source),
    )
}

/// Moves a changed entry to the quarantine unless another run does so just now.
fn set_aside(job: &Job<'_>, entry: &Entry) -> Result<String, ComponentError> {
    if !entry.folder.exists() {
        return Ok(String::new());
    }
    let moved = job.shelf.quarantine(&entry.folder)?;
    let text = format!("; it was moved to {}", moved.display());
    let name = job.name;
    job.context.progress.note(
        name,
        &format!(
            "the cached {name} {} is not what was placed there{text}",
            entry.manifest.release
        ),
    );
    Ok(text)
}
