//! What `destroy` does behind an API: this stack's objects go, everything else stays. Data stays
//! with its server; the data folder of a server that holds other people's things stays whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::super::Stop;
use super::super::context::Context;
use super::super::ui::Ui;
use crate::object::System;
use crate::render;
use crate::systems::elasticsearch::is_in_use;
use crate::systems::objects::{Client, Listed};
use crate::systems::proc::Found;
use crate::systems::rest::RestError;

/// What one server holds.
#[derive(Serialize)]
pub struct Holdings {
    pub system: String,
    /// Ours, to be deleted: address and name in the server.
    pub objects: Vec<String>,
    /// Data of this stack; it stays.
    pub data: Vec<String>,
    /// Other people's; it stays.
    pub foreign: Vec<String>,
    /// Why nothing more can be said.
    pub unknown: Option<String>,
    #[serde(skip)]
    listed: Vec<Listed>,
    #[serde(skip)]
    client: Option<Client>,
}

/// Asks every system with objects that is external, or ours and running.
pub async fn holdings(context: &Context, running: &[Found]) -> Result<Vec<Holdings>, Stop> {
    let stack = &context.stack;
    let mut out = Vec::new();
    for (system, access) in render::accesses(stack, &context.layout) {
        let managed = stack
            .systems
            .placements()
            .iter()
            .any(|(name, placement)| *name == system.word() && placement.is_managed());
        let nothing = |unknown: Option<String>| Holdings {
            system: system.to_string(),
            objects: Vec::new(),
            data: Vec::new(),
            foreign: Vec::new(),
            unknown,
            listed: Vec::new(),
            client: None,
        };
        let runs = running
            .iter()
            .any(|found| found.address == system.process().as_str());
        if managed && !runs {
            let place = data_folder(context, system);
            let unknown = place.is_dir().then(|| {
                format!(
                    "{system} does not run, so what others put into {} cannot be said",
                    place.display()
                )
            });
            out.push(nothing(unknown));
            continue;
        }
        match ask(context, system, &access).await {
            Ok(holdings) => out.push(holdings),
            Err(error) if managed => out.push(nothing(Some(error))),
            Err(error) => {
                return Err(Stop::error(format!(
                    "{error}\nnothing was done: whether {system} holds objects of this stack cannot be said; `mode: off` leaves it alone"
                )));
            }
        }
    }
    Ok(out)
}

async fn ask(
    context: &Context,
    system: System,
    access: &crate::model::Connection,
) -> Result<Holdings, String> {
    let text = |error: RestError| error.to_string();
    let client = Client::new(system, access).map_err(text)?;
    let listed = client.ours(&context.owner).await.map_err(text)?;
    let streams = render::elasticsearch::patterns(&context.stack);
    let rest = client.rest(&context.owner, &streams).await.map_err(text)?;
    Ok(Holdings {
        system: system.to_string(),
        objects: listed
            .iter()
            .map(|listed| format!("{} ({})", listed.address, listed.id))
            .collect(),
        data: rest.data,
        foreign: rest.foreign,
        unknown: None,
        listed,
        client: Some(client),
    })
}

/// Deletes this stack's objects, in the order given by the server's own rules. A template of data
/// streams, which stay, stays with them: the server does not let it go.
pub async fn delete(holdings: &[Holdings], ui: &Ui) -> Result<(), Stop> {
    for one in holdings {
        let Some(client) = &one.client else { continue };
        for listed in &one.listed {
            match client.delete(listed.kind, &listed.id).await {
                Ok(()) => {}
                // It holds things of others, and stays with them.
                Err(RestError::Kept(why)) => ui.line(&format!("  . keep    {why}")),
                Err(error) if is_in_use(&error) => ui.line(&format!(
                    "  . kept    {} ({}): data streams that stay are made by it",
                    listed.address, listed.id
                )),
                Err(error) => return Err(Stop::error(error)),
            }
        }
    }
    Ok(())
}

/// Whether a process is a server whose objects are asked for: it goes last.
pub fn is_system(found: &Found) -> bool {
    System::ALL
        .iter()
        .any(|system| system.process().as_str() == found.address)
}

/// Where a managed server keeps what it holds.
fn data_folder(context: &Context, system: System) -> PathBuf {
    context.layout.open.join("data").join(system.word())
}

/// Lies in the folder of data that holds other people's things, so that a later `--purge`, which
/// finds the server stopped, knows.
const NOTE: &str = "holds-what-is-not-ours.txt";

/// Writes the notes anew for the servers that could be asked.
pub fn note(context: &Context, holdings: &[Holdings]) {
    for (system, one) in managed(context, holdings) {
        let folder = data_folder(context, system);
        if one.client.is_none() || !folder.is_dir() {
            continue;
        }
        let path = folder.join(NOTE);
        // Without the note a later purge deletes what it was asked to delete.
        let _ = if one.foreign.is_empty() {
            std::fs::remove_file(path)
        } else {
            std::fs::write(path, one.foreign.join("\n") + "\n")
        };
    }
}

/// Folders of data that stay even when purged, and what of others they hold.
pub fn stays(context: &Context, holdings: &[Holdings]) -> BTreeMap<PathBuf, Vec<String>> {
    let mut out = BTreeMap::new();
    for (system, one) in managed(context, holdings) {
        let folder = data_folder(context, system);
        let holds = match &one.client {
            Some(_) => one.foreign.clone(),
            None => std::fs::read_to_string(folder.join(NOTE))
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect(),
        };
        if !holds.is_empty() && folder.is_dir() {
            out.insert(folder, holds);
        }
    }
    out
}

fn managed<'a>(
    context: &Context,
    holdings: &'a [Holdings],
) -> impl Iterator<Item = (System, &'a Holdings)> {
    let placements = context.stack.systems.placements();
    let ours: Vec<&str> = placements
        .iter()
        .filter(|(_, placement)| placement.is_managed())
        .map(|(name, _)| *name)
        .collect();
    holdings.iter().filter_map(move |one| {
        let system = System::ALL
            .into_iter()
            .find(|system| system.word() == one.system)?;
        ours.contains(&one.system.as_str()).then_some((system, one))
    })
}

impl Holdings {
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub fn say(&self, ui: &Ui) {
        for object in &self.objects {
            ui.line(&format!("  - delete  {object}"));
        }
        for name in &self.data {
            ui.line(&format!("  . keep    {} {name}", self.system));
        }
        // Of a large cluster only how many: they are not touched.
        match self.foreign.len() {
            0 => {}
            1..=10 => {
                for name in &self.foreign {
                    ui.line(&format!("  . keep    {} {name} (not ours)", self.system));
                }
            }
            many => ui.line(&format!(
                "  . keep    {many} templates, data streams and indices of {} (not ours)",
                self.system
            )),
        }
        if let Some(unknown) = &self.unknown {
            ui.line(&format!("  . note    {unknown}"));
        }
    }
}
