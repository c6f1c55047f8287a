//! Planning for processes: dead or doubled, started from something else, or not yet reading the
//! files that lie on the disk.

use super::{Action, Change, LAUNCH_CHANGED, Options, Plan, Step, changes, retention};
use crate::components::Lookup;
use crate::resource::{Address, Document, Loaded, Process, Reload, Resource, digest};
use crate::systems::proc::Found;
use crate::systems::process::launch;
use crate::world::{Actual, World};

/// A process may take this long to answer after it started; later silence is a fault.
const STARTING: f64 = 60.0;

pub(super) fn step(
    resource: &Resource,
    document: &Process,
    world: &World,
    so_far: &mut Plan,
    options: Options,
) -> Step {
    let address = &resource.address;
    let component = Address::component(&document.component);
    let wanted = match world.components.get(&document.component) {
        Some(Lookup::Installed(installed)) => Some(launch(document, &installed.digest)),
        _ => None,
    };
    let found = chosen(address, world, wanted.as_deref());
    let change = |action: Action, reason: String, before: &Found| {
        Step::Change(Change {
            address: address.clone(),
            action,
            reason,
            diff: None,
            before: before.identity(),
            after: wanted.clone().unwrap_or_else(|| "after fetch".into()),
        })
    };
    let Some(found) = found else {
        if so_far
            .skipped
            .iter()
            .any(|skipped| skipped.address == component)
        {
            return Step::Skip(format!("{component} is not installed"));
        }
        return Step::Change(Change {
            address: address.clone(),
            action: Action::Start,
            reason: "not running".into(),
            diff: None,
            before: "absent".into(),
            after: wanted.clone().unwrap_or_else(|| "after fetch".into()),
        });
    };
    match &wanted {
        None => return change(Action::Check, "its program is fetched again".into(), found),
        Some(wanted) if *wanted != found.launch => {
            let waits = retention::shortened(address, document, found, world);
            if let Some(restart) = waits.filter(|_| !options.prune) {
                // Until then it may still be given new files, but not be started anew.
                let answers = world.health.get(address).is_some_and(|h| h.answers.is_ok());
                let news = document
                    .config
                    .iter()
                    .find(|file| so_far.change(file).is_some());
                let reason = news
                    .map(changes)
                    .or_else(|| stale(document, world, address));
                so_far.held_back.push(restart);
                return match reason {
                    Some(reason) if answers && document.reload != Reload::Restart => {
                        change(Action::Reload, reason, found)
                    }
                    _ => Step::Keep,
                };
            }
            return change(Action::Restart, LAUNCH_CHANGED.into(), found);
        }
        Some(_) => {}
    }
    let health = world.health.get(address);
    if let Some(health) = health
        && let Err(why) = &health.answers
    {
        return if health.age > STARTING {
            change(
                Action::Restart,
                format!("runs but does not work: {why}"),
                found,
            )
        } else {
            change(Action::Await, format!("starting: {why}"), found)
        };
    }
    if let Some(health) = health
        && let Err(why) = &health.reachable
    {
        let reason = format!("cannot be asked to reload: {why}");
        return change(Action::Restart, reason, found);
    }
    let reload = if document.reload == Reload::Restart {
        Action::Restart
    } else {
        Action::Reload
    };
    if let Some(file) = document
        .config
        .iter()
        .find(|file| so_far.change(file).is_some())
    {
        return change(reload, changes(file), found);
    }
    if let Some(why) = stale(document, world, address) {
        return change(reload, why, found);
    }
    Step::Keep
}

/// The files lie there as they should; does the process know them?
fn stale(document: &Process, world: &World, address: &Address) -> Option<String> {
    let health = world.health.get(address)?;
    match (&document.loaded, &health.loaded) {
        (Loaded::AtStart, _) => None,
        (_, None) => Some("it does not say which configuration it has loaded".to_owned()),
        (Loaded::Timestamp { .. }, Some(at)) => {
            let at: f64 = at.parse().ok()?;
            let changed = *world.config_changed.get(address)?;
            (at < changed).then(|| "its files are newer than what it has loaded".to_owned())
        }
        (Loaded::Digest { .. }, Some(loaded)) => {
            let Actual::Present(content) = world.files.get(document.config.first()?)? else {
                return None;
            };
            (digest(content) != *loaded).then(|| "it has loaded another configuration".to_owned())
        }
    }
}

/// Of several with the same address, the one to keep: started as wanted, then the oldest.
fn chosen<'a>(address: &Address, world: &'a World, wanted: Option<&str>) -> Option<&'a Found> {
    let mut all = world
        .processes
        .iter()
        .filter(|found| found.address == address.as_str());
    let first = all.clone().next();
    all.find(|found| wanted == Some(found.launch.as_str()))
        .or(first)
}

/// Processes that run beside the one that is kept.
pub(super) fn doubles(resources: &[Resource], world: &World) -> Vec<Change> {
    let mut out = Vec::new();
    for resource in resources {
        let Document::Process(document) = &resource.document else {
            continue;
        };
        let wanted = match world.components.get(&document.component) {
            Some(Lookup::Installed(installed)) => Some(launch(document, &installed.digest)),
            _ => None,
        };
        let Some(keep) = chosen(&resource.address, world, wanted.as_deref()) else {
            continue;
        };
        out.extend(
            world
                .processes
                .iter()
                .filter(|found| found.address == keep.address && found.pid != keep.pid)
                .map(|found| stop(found, "runs twice")),
        );
    }
    out
}

/// Processes of the stack that no resource describes.
pub(super) fn left_over(resources: &[Resource], world: &World) -> Vec<Change> {
    world
        .processes
        .iter()
        .filter(|found| {
            !resources
                .iter()
                .any(|resource| resource.address.as_str() == found.address)
        })
        .map(|found| stop(found, "nothing asks for it any more"))
        .collect()
}

fn stop(found: &Found, reason: &str) -> Change {
    Change {
        address: Address::from_marker(&found.address),
        action: Action::Stop,
        reason: format!("{reason} (pid {})", found.pid),
        diff: None,
        before: found.identity(),
        after: "absent".into(),
    }
}
