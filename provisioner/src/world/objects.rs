//! Asking the systems for the objects that the stack is about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Actual, Reached, World};
use crate::object::{Object, System};
use crate::resource::{Address, Document, Resource};
use crate::systems::objects::Client;
use crate::systems::secret;

/// Reads all objects, the systems at the same time.
pub(super) async fn read(resources: &[Resource], root: &Path, owner: &str, world: &mut World) {
    let mut by_system: BTreeMap<System, Vec<(&Address, &Object)>> = BTreeMap::new();
    for resource in resources {
        if let Document::Object(object) = &resource.document {
            let all = by_system.entry(object.system).or_default();
            all.push((&resource.address, object));
        }
    }
    let asked = by_system.into_iter().map(|(system, objects)| {
        let running = answers(world, system);
        async move { (system, ask(system, objects, root, owner, running).await) }
    });
    for (system, found) in futures_util::future::join_all(asked).await {
        world.objects.extend(found.objects);
        world.objects_left_over.extend(found.left_over);
        world.servers.insert(system, found.reached);
    }
}

/// Whether the process of a managed system runs and answers; why not otherwise.
fn answers(world: &World, system: System) -> Result<(), String> {
    let address = system.process();
    match world.health.get(&address) {
        Some(health) => health.answers.clone(),
        None => Err("it does not run".to_owned()),
    }
}

/// A secret that the server said once is still here.
fn is_whole(object: &Object, root: &Path) -> bool {
    object
        .keeps
        .as_ref()
        .is_none_or(|path| secret::in_step(&root.join(path)).unwrap_or(false))
}

struct Found {
    reached: Reached,
    objects: Vec<(Address, Actual<serde_json::Value>)>,
    left_over: Vec<crate::systems::objects::Listed>,
}

impl Found {
    fn nothing(reached: Reached) -> Self {
        Self {
            reached,
            objects: Vec::new(),
            left_over: Vec::new(),
        }
    }
}

async fn ask(
    system: System,
    objects: Vec<(&Address, &Object)>,
    root: &Path,
    owner: &str,
    running: Result<(), String>,
) -> Found {
    let Some((_, first)) = objects.first() else {
        return Found::nothing(Reached::Deferred("nothing is asked of it".to_owned()));
    };
    if let (true, Err(why)) = (first.managed, running) {
        return Found::nothing(Reached::Deferred(why));
    }
    let silent = |error: &dyn std::fmt::Display| {
        if first.managed {
            Reached::Deferred(error.to_string())
        } else {
            Reached::Unreadable(error.to_string())
        }
    };
    let client = match Client::new(system, &first.access) {
        Ok(client) => client,
        Err(error) => return Found::nothing(silent(&error)),
    };
    let server = match client.probe().await {
        Ok(server) => server,
        Err(error) => return Found::nothing(silent(&error)),
    };
    let reads = objects.iter().map(|(address, object)| {
        let client = &client;
        async move {
            let actual = match client.read(object.kind, &object.id).await {
                Ok(Some(value)) if is_whole(object, root) => Actual::Present(value),
                Ok(Some(_)) => Actual::Absent,
                Ok(None) => Actual::Absent,
                Err(error) => Actual::Unreadable(format!("{address}: {error}")),
            };
            ((*address).clone(), actual)
        }
    });
    let read = futures_util::future::join_all(reads).await;
    let wanted: BTreeSet<(&str, &str)> = objects
        .iter()
        .map(|(_, object)| (object.kind, object.id.as_str()))
        .collect();
    let left_over = match client.ours(owner).await {
        Ok(listed) => listed
            .into_iter()
            .filter(|listed| !wanted.contains(&(listed.kind, listed.id.as_str())))
            .collect(),
        Err(error) => return Found::nothing(silent(&error)),
    };
    Found {
        reached: Reached::Up(server),
        objects: read,
        left_over,
    }
}
