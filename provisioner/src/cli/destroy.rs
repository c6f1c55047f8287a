//! `kai-observe destroy`: says first what would go. Data and logs stay unless `--purge` is said;
//! what is not ours stays in any case, behind an API too.

mod objects;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kai_contract::exit;
use serde::Serialize;

use objects::Holdings;

use super::Stop;
use super::args::{Common, DestroyArgs};
use super::context::Context;
use super::ui::Ui;
use crate::clock;
use crate::lease;
use crate::resource::read_mark;
use crate::spec::Secrets;
use crate::systems::proc::{self, Found};
use crate::systems::{file, process, secret};

#[derive(Serialize)]
struct Inventory {
    processes: Vec<String>,
    files: Vec<PathBuf>,
    /// Data and logs.
    data: Vec<Kept>,
    /// Found in the stack's folder and not ours.
    foreign: Vec<PathBuf>,
    /// Behind the systems' APIs.
    systems: Vec<Holdings>,
}

#[derive(Serialize)]
struct Kept {
    path: PathBuf,
    bytes: u64,
    /// Other people's things in it: it stays whatever is asked.
    holds: Vec<String>,
}

pub async fn run(args: &DestroyArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let context = Context::new(common, ui, Secrets::AssumePresent)?;
    let root = &context.layout.root;
    let running = proc::find(&context.owner, root);
    let systems = objects::holdings(&context, &running).await?;
    if !root.exists() && !context.layout.open.exists() && systems.iter().all(Holdings::is_empty) {
        ui.line(&format!(
            "nothing to destroy: {} is not there",
            root.display()
        ));
        ui.json(&serde_json::json!({ "done": true, "inventory": null }));
        return Ok(exit::OK);
    }
    let lease = if args.yes {
        let since = clock::rfc3339(SystemTime::now());
        Some(
            lease::acquire(&context.layout.lease(), "kai-observe destroy", since)
                .map_err(Stop::error)?,
        )
    } else {
        None
    };
    let inventory = inventory(&context, &running, systems);
    say(ui, &inventory, args);
    if !args.yes {
        ui.line("nothing was done; say --yes to do it");
        ui.json(&serde_json::json!({ "done": false, "inventory": inventory }));
        return Ok(exit::CHANGES);
    }
    // What writes to the systems stops first, the systems when their objects are gone.
    let (systems, others): (Vec<Found>, Vec<Found>) =
        running.into_iter().partition(objects::is_system);
    stop_all(&others).await?;
    objects::delete(&inventory.systems, ui).await?;
    objects::note(&context, &inventory.systems);
    stop_all(&systems).await?;
    for path in &inventory.files {
        file::remove(path).map_err(Stop::error)?;
    }
    if args.purge {
        for kept in inventory.data.iter().filter(|kept| kept.holds.is_empty()) {
            std::fs::remove_dir_all(&kept.path)
                .map_err(file::failed("delete", &kept.path))
                .map_err(Stop::error)?;
        }
    }
    if let Some(lease) = lease {
        lease.remove(&context.layout.lease()).map_err(Stop::error)?;
    }
    remove_empty_folders(root);
    if context.layout.open != *root {
        remove_empty_folders(&context.layout.open);
    }
    let left = proc::find(&context.owner, root);
    if !left.is_empty() {
        return Err(Stop::error(format!(
            "{} processes are still there",
            left.len()
        )));
    }
    let what = if inventory.data.iter().any(|kept| !kept.holds.is_empty()) && args.purge {
        "done; the data that holds what is not this stack's is kept: remove that first, or the folder by hand"
    } else if args.purge || inventory.data.is_empty() {
        "done"
    } else {
        "done; the data listed above is kept, --purge removes it"
    };
    ui.line(what);
    ui.json(&serde_json::json!({ "done": true, "inventory": inventory }));
    Ok(exit::OK)
}

fn inventory(context: &Context, running: &[Found], systems: Vec<Holdings>) -> Inventory {
    let root = &context.layout.root;
    let mut files = Vec::new();
    let mut foreign = Vec::new();
    for path in file::walk(&root.join("config")) {
        let ours = file::read(&path)
            .ok()
            .flatten()
            .and_then(|content| read_mark(&content))
            .is_some_and(|mark| {
                let name = crate::resource::Address::from_marker(&mark.address);
                mark.owner == context.owner && path == root.join("config").join(name.name())
            })
            || context
                .resources
                .iter()
                .any(|resource| match &resource.document {
                    crate::resource::Document::File(file) => root.join(&file.path) == path,
                    _ => false,
                });
        if ours {
            files.push(path);
        } else {
            foreign.push(path);
        }
    }
    for path in file::walk(&root.join("secrets")) {
        let list = if secret::ours(&path) {
            &mut files
        } else {
            &mut foreign
        };
        list.push(path);
    }
    for path in file::walk(&root.join("run")) {
        let ours = path == context.layout.agent_socket();
        let list = if ours { &mut files } else { &mut foreign };
        list.push(path);
    }
    let known = [context.layout.not_installed(), context.layout.lease()];
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        if path == context.layout.not_installed() {
            files.push(path);
        } else if entry.file_type().is_ok_and(|kind| !kind.is_dir()) && !known.contains(&path) {
            foreign.push(path);
        }
    }
    let data = data(context, &systems);
    Inventory {
        processes: running
            .iter()
            .map(|found| format!("{} (pid {})", found.address, found.pid))
            .collect(),
        files,
        data,
        foreign,
        systems,
    }
}

/// Folders with data and logs; where a part of one is to stay, its parts.
fn data(context: &Context, systems: &[Holdings]) -> Vec<Kept> {
    let root = &context.layout.root;
    let stays = objects::stays(context, systems);
    let mut paths = vec![root.join("data"), root.join("log")];
    if context.layout.open != *root {
        paths.push(context.layout.open.join("data"));
    }
    let mut out = Vec::new();
    for path in paths.into_iter().filter(|path| path.is_dir()) {
        let parts = if stays.keys().any(|inner| inner.starts_with(&path)) {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            let mut parts: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            parts.sort();
            parts
        } else {
            vec![path]
        };
        out.extend(parts.into_iter().map(|path| Kept {
            bytes: size(&path),
            holds: stays.get(&path).cloned().unwrap_or_default(),
            path,
        }));
    }
    out
}

fn size(folder: &Path) -> u64 {
    file::walk(folder)
        .iter()
        .filter_map(|path| std::fs::metadata(path).ok())
        .map(|meta| meta.len())
        .sum()
}

fn say(ui: &Ui, inventory: &Inventory, args: &DestroyArgs) {
    for process in &inventory.processes {
        ui.line(&format!("  - stop    {process}"));
    }
    for path in &inventory.files {
        ui.line(&format!("  - delete  {}", path.display()));
    }
    for one in &inventory.systems {
        one.say(ui);
    }
    for kept in &inventory.data {
        let size = kept.bytes as f64 / 1e6;
        let path = kept.path.display();
        if kept.holds.is_empty() {
            let word = if args.purge { "- delete " } else { ". keep   " };
            ui.line(&format!("  {word} {path} ({size:.1} MB)"));
        } else {
            ui.line(&format!(
                "  . keep    {path} ({size:.1} MB), which holds what is not this stack's:"
            ));
            for name in &kept.holds {
                ui.line(&format!("              {name}"));
            }
        }
    }
    for path in &inventory.foreign {
        ui.line(&format!("  . keep    {} (not ours)", path.display()));
    }
}

async fn stop_all(running: &[Found]) -> Result<(), Stop> {
    let stops = running.iter().map(process::stop);
    for result in futures_util::future::join_all(stops).await {
        result.map_err(Stop::error)?;
    }
    Ok(())
}

/// Folders that hold nothing any more, the stack's own last. What lies in data and log is listed and
/// kept or deleted as a whole.
fn remove_empty_folders(root: &Path) {
    for name in ["config", "secrets", "run"] {
        remove_hollow(&root.join(name));
    }
    for name in ["data", "log", "."] {
        // An error means that something is in it, which stays.
        let _ = std::fs::remove_dir(root.join(name));
    }
    let _ = std::fs::remove_dir(root);
}

/// A folder in which there are only folders; links are not followed.
fn remove_hollow(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_hollow(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(folder);
}
