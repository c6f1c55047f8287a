//! `kai-observe destroy`: says first what would go. Data and logs stay unless `--purge` is said;
//! what is not ours stays in any case.

use std::path::PathBuf;
use std::time::SystemTime;

use kai_contract::exit;
use serde::Serialize;

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
}

#[derive(Serialize)]
struct Kept {
    path: PathBuf,
    bytes: u64,
}

pub async fn run(args: &DestroyArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let context = Context::new(common, ui, Secrets::AssumePresent)?;
    let root = &context.layout.root;
    if !root.exists() {
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
    let running = proc::find(&context.owner, root);
    let inventory = inventory(&context, &running);
    say(ui, &inventory, args);
    if !args.yes {
        ui.line("nothing was done; say --yes to do it");
        ui.json(&serde_json::json!({ "done": false, "inventory": inventory }));
        return Ok(exit::CHANGES);
    }
    stop_all(&running).await?;
    for path in &inventory.files {
        file::remove(path).map_err(Stop::error)?;
    }
    if args.purge {
        for kept in &inventory.data {
            std::fs::remove_dir_all(&kept.path)
                .map_err(file::failed("delete", &kept.path))
                .map_err(Stop::error)?;
        }
    }
    if let Some(lease) = lease {
        lease.remove(&context.layout.lease()).map_err(Stop::error)?;
    }
    remove_empty_folders(root);
    let left = proc::find(&context.owner, root);
    if !left.is_empty() {
        return Err(Stop::error(format!(
            "{} processes are still there",
            left.len()
        )));
    }
    let what = if args.purge || inventory.data.is_empty() {
        "done"
    } else {
        "done; the data listed above is kept, --purge removes it"
    };
    ui.line(what);
    ui.json(&serde_json::json!({ "done": true, "inventory": inventory }));
    Ok(exit::OK)
}

fn inventory(context: &Context, running: &[Found]) -> Inventory {
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
    let data = ["data", "log"]
        .iter()
        .map(|name| root.join(name))
        .filter(|path| path.is_dir())
        .map(|path| Kept {
            bytes: size(&path),
            path,
        })
        .collect();
    Inventory {
        processes: running
            .iter()
            .map(|found| format!("{} (pid {})", found.address, found.pid))
            .collect(),
        files,
        data,
        foreign,
    }
}

fn size(folder: &std::path::Path) -> u64 {
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
    for kept in &inventory.data {
        let word = if args.purge { "- delete " } else { ". keep   " };
        let size = kept.bytes as f64 / 1e6;
        ui.line(&format!("  {word} {} ({size:.1} MB)", kept.path.display()));
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

/// Folders that hold nothing any more, the stack's own last.
fn remove_empty_folders(root: &std::path::Path) {
    for name in [
        "config/prometheus/rules",
        "config/prometheus",
        "config/alertmanager",
        "config/agent",
        "config",
        "secrets",
        "run",
        "data",
        "log",
        ".",
    ] {
        // An error means that something is in it, which stays.
        let _ = std::fs::remove_dir(root.join(name));
    }
    let _ = std::fs::remove_dir(root);
}
