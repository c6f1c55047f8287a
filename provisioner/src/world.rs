//! What is there now: files with their marks, processes, what they say of themselves, components
//! in the cache. Reading changes nothing and asks no network beyond this machine.

mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::components::{Attempt, Context, Lookup};
use crate::http;
use crate::layout::Layout;
use crate::object::{Server, System};
use crate::resource::{Address, Document, Process, Resource, read_mark};
use crate::systems::objects::Listed;
use crate::systems::proc::{self, Found};
use crate::systems::{file, process, secret};

/// Everything that planning looks at.
#[derive(Debug, Default)]
pub struct World {
    pub files: BTreeMap<Address, Actual<String>>,
    pub secrets: BTreeMap<Address, Actual<()>>,
    /// Every living process of the stack, also those that nobody asked for.
    pub processes: Vec<Found>,
    /// By process id.
    pub arguments: BTreeMap<u32, Vec<String>>,
    pub health: BTreeMap<Address, Health>,
    pub components: BTreeMap<String, Lookup>,
    /// Components that an earlier run could not get, with what it tried.
    pub not_installed: BTreeMap<String, Vec<Attempt>>,
    /// Newest change among the files that a process reads, Unix seconds.
    pub config_changed: BTreeMap<Address, f64>,
    /// Files that carry our mark, or are our secrets, and that nothing asks for any more.
    pub left_over: Vec<LeftOver>,
    /// The systems that objects are asked of.
    pub servers: BTreeMap<System, Reached>,
    pub objects: BTreeMap<Address, Actual<serde_json::Value>>,
    /// Objects that are ours and that nothing asks for any more.
    pub objects_left_over: Vec<Listed>,
}

/// Whether a system can be asked what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    Up(Server),
    /// Ours, and not running yet: asked once it is.
    Deferred(String),
    /// Not ours to start, and silent: an error, never "absent".
    Unreadable(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actual<T> {
    Present(T),
    Absent,
    Unreadable(String),
}

/// What a living process says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    pub answers: Result<(), String>,
    /// Whether it can be asked to reload.
    pub reachable: Result<(), String>,
    /// Its own word on the configuration in force.
    pub loaded: Option<String>,
    /// Seconds since it started.
    pub age: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOver {
    pub address: Address,
    pub path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct WorldError(#[from] crate::components::ComponentError);

/// Reads all that the resources are about.
pub async fn read(
    resources: &[Resource],
    layout: &Layout,
    owner: &str,
    components: &Context,
) -> Result<World, WorldError> {
    let mut world = World {
        processes: proc::find(owner, &layout.root),
        not_installed: not_installed(layout),
        ..World::default()
    };
    for resource in resources {
        let address = resource.address.clone();
        match &resource.document {
            Document::Component(component) => {
                let found = components.lookup(&component.name, component.version.as_deref())?;
                world.components.insert(component.name.clone(), found);
            }
            Document::File(document) => {
                let actual = match file::read(&layout.root.join(&document.path)) {
                    Ok(Some(content)) => Actual::Present(content),
                    Ok(None) => Actual::Absent,
                    Err(error) => Actual::Unreadable(error.to_string()),
                };
                world.files.insert(address, actual);
            }
            Document::Secret(document) => {
                let path = layout.root.join(&document.path);
                let actual = match secret::in_step(&path) {
                    Ok(true) if secret::is_current(&path, &document.reference) => {
                        Actual::Present(())
                    }
                    Ok(_) => Actual::Absent,
                    Err(error) => Actual::Unreadable(error.to_string()),
                };
                world.secrets.insert(address, actual);
            }
            Document::Object(_) => {}
            Document::Process(document) => {
                let newest = document
                    .config
                    .iter()
                    .filter_map(|config| path_of(resources, config))
                    .filter_map(|path| file::modified(&layout.root.join(path)))
                    .fold(0.0, f64::max);
                world.config_changed.insert(address, newest);
            }
        }
    }
    world.arguments = world
        .processes
        .iter()
        .map(|found| (found.pid, proc::arguments(found.pid)))
        .collect();
    world.health = health(resources, &world.processes).await;
    world.left_over = left_over(resources, layout, owner);
    objects::read(resources, &layout.root, owner, &mut world).await;
    Ok(world)
}

fn path_of<'a>(resources: &'a [Resource], address: &Address) -> Option<&'a PathBuf> {
    resources
        .iter()
        .find(|resource| resource.address == *address)
        .and_then(|resource| match &resource.document {
            Document::File(file) => Some(&file.path),
            Document::Secret(secret) => Some(&secret.path),
            Document::Object(object) => object.keeps.as_ref(),
            _ => None,
        })
}

/// Asks every living process at once.
async fn health(resources: &[Resource], processes: &[Found]) -> BTreeMap<Address, Health> {
    let client = http::client(Duration::from_secs(2));
    let mut asked = tokio::task::JoinSet::new();
    for resource in resources {
        let Document::Process(document) = &resource.document else {
            continue;
        };
        let Some(found) = processes
            .iter()
            .find(|p| p.address == resource.address.as_str())
        else {
            continue;
        };
        let (client, document, address) =
            (client.clone(), document.clone(), resource.address.clone());
        let age = proc::age(found).unwrap_or_default();
        asked.spawn(async move { (address, ask(&client, &document, age).await) });
    }
    asked.join_all().await.into_iter().collect()
}

async fn ask(client: &reqwest::Client, document: &Process, age: f64) -> Health {
    let (answers, loaded, reachable) = tokio::join!(
        process::answers(client, &document.ready),
        process::loaded(client, document),
        process::reachable(&document.reload)
    );
    Health {
        answers,
        reachable,
        loaded,
        age,
    }
}

/// Files below `config/` with our mark, and secrets, that no resource describes.
pub fn left_over(resources: &[Resource], layout: &Layout, owner: &str) -> Vec<LeftOver> {
    let wanted: BTreeSet<PathBuf> = resources
        .iter()
        .filter_map(|resource| match &resource.document {
            Document::File(file) => Some(layout.root.join(&file.path)),
            Document::Secret(secret) => Some(layout.root.join(&secret.path)),
            Document::Object(object) => Some(layout.root.join(object.keeps.as_ref()?)),
            _ => None,
        })
        .collect();
    let mut out = Vec::new();
    for path in file::walk(&layout.root.join("config")) {
        if wanted.contains(&path) {
            continue;
        }
        let Ok(Some(content)) = file::read(&path) else {
            continue;
        };
        let Some(mark) = read_mark(&content) else {
            continue;
        };
        // A mark alone does not make a file ours: a copy of a rendered file carries it too.
        let address = Address::from_marker(&mark.address);
        if mark.owner == owner && path == layout.root.join("config").join(address.name()) {
            out.push(LeftOver { address, path });
        }
    }
    for path in file::walk(&layout.root.join("secrets")) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !wanted.contains(&path) && secret::ours(&path) {
            out.push(LeftOver {
                address: Address::secret(&name),
                path,
            });
        }
    }
    out
}

/// What the last `provision` could not get. A missing or damaged note only means trying again.
pub fn not_installed(layout: &Layout) -> BTreeMap<String, Vec<Attempt>> {
    std::fs::read(layout.not_installed())
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}
