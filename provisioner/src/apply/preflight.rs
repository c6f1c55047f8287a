//! What must hold before anything is started: free ports, room on the disk, a folder to write to.
//! Everything that is wrong is said at once.

use std::path::Path;

use super::Env;
use crate::plan::{Action, Plan};
use crate::resource::Document;
use crate::systems::ports::{self, Taken};

/// Less than this and components or data will fail half-way.
const ROOM: u64 = 64 * 1024 * 1024;

/// Nothing is started. What was found good in one line, or everything that is wrong.
pub fn preflight(plan: &Plan, env: &Env) -> Result<String, Vec<String>> {
    let mut out = Vec::new();
    let mut free_ports = Vec::new();
    for change in &plan.changes {
        let Some(Document::Process(process)) = env
            .resources
            .get(&change.address)
            .map(|resource| &resource.document)
        else {
            continue;
        };
        if change.action != Action::Start {
            continue;
        }
        for port in &process.ports {
            if !ports::is_taken(*port) {
                free_ports.push(*port);
                continue;
            }
            let holder = ports::holder(*port);
            let ours = holder
                .as_ref()
                .and_then(|(pid, _)| env.processes.iter().find(|found| found.pid == *pid));
            let stopping = ours.is_some_and(|found| {
                plan.changes
                    .iter()
                    .any(|c| c.action == Action::Stop && c.address.as_str() == found.address)
            });
            if stopping {
                continue;
            }
            let taken = Taken {
                port: *port,
                wanted_by: change.address.as_str().to_owned(),
                holder,
            };
            let advice = match ours {
                Some(found) => {
                    format!(
                        "that is {} of this stack, which nothing asks for; --prune stops it",
                        found.address
                    )
                }
                None => {
                    "stop it, or choose another ports.base (or the service's own port) in the spec"
                        .to_owned()
                }
            };
            out.push(format!("{taken}; {advice}"));
        }
    }
    let free = match writable(&env.layout.root) {
        Ok(free) => free,
        Err(error) => {
            out.push(error);
            0
        }
    };
    if !out.is_empty() {
        return Err(out);
    }
    free_ports.sort_unstable();
    let ports = match free_ports.as_slice() {
        [] => "no port needed".to_owned(),
        some => {
            let words: Vec<String> = some.iter().map(ToString::to_string).collect();
            format!("ports {} free", words.join(" "))
        }
    };
    Ok(format!(
        "{ports}, {:.1} GiB of disk",
        free as f64 / f64::from(1 << 30)
    ))
}

/// The folder can be made, written to, and has room; how much, in bytes.
fn writable(folder: &Path) -> Result<u64, String> {
    let say = |error: std::io::Error| {
        format!(
            "cannot write to {}: {error}; make it writable for this user or choose another --home",
            folder.display()
        )
    };
    std::fs::create_dir_all(folder).map_err(say)?;
    tempfile::Builder::new()
        .prefix(".kai-")
        .tempfile_in(folder)
        .map_err(say)?;
    let room = rustix::fs::statvfs(folder).map_err(|error| say(error.into()))?;
    let free = room.f_bavail * room.f_frsize;
    if free < ROOM {
        return Err(format!(
            "only {} MiB are free on the disk of {}, at least {} are needed; free some space or choose another --home",
            free / 1024 / 1024,
            folder.display(),
            ROOM / 1024 / 1024
        ));
    }
    Ok(free)
}
