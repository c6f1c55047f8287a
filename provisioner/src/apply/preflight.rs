//! What must hold before anything is started: free ports, room on the disk, a folder to write to.
//! Everything that is wrong is said at once.

use std::path::Path;

use super::Env;
use crate::plan::{Action, Change, Plan};
use crate::resource::Document;
use crate::systems::ports::{self, Taken};
use crate::systems::proc::{self, Found, stack_of};
use crate::systems::process;

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
        if !matches!(change.action, Action::Start | Action::Restart) {
            continue;
        }
        if let Some(server) = &process.java
            && let Some(error) = memory(server.heap_mib, change)
        {
            out.push(error);
        }
        for port in &process.ports {
            if !ports::is_taken(*port) {
                free_ports.push(*port);
                continue;
            }
            let holder = ports::holder(*port);
            let ours = holder.as_ref().and_then(|(pid, _)| owner_of(*pid, env));
            if holder
                .as_ref()
                .is_some_and(|(pid, _)| is_remnant(*pid, change, env))
            {
                continue;
            }
            if ours.is_some_and(|found| makes_room(plan, found)) {
                continue;
            }
            let taken = Taken {
                port: *port,
                wanted_by: change.address.as_str().to_owned(),
                holder,
            };
            out.push(format!("{taken}; {}", advice(plan, &taken, ours)));
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

/// The process of this stack that a pid is, or that started it.
fn owner_of(pid: u32, env: &Env) -> Option<&Found> {
    let session = proc::stat(pid).map(|stat| stat.session);
    env.processes
        .iter()
        .find(|found| found.pid == pid || Some(found.pid) == session)
}

/// What is left of the very process that is to be started: its start clears it away.
fn is_remnant(pid: u32, change: &Change, env: &Env) -> bool {
    proc::remnants(&env.owner, &env.layout.root, change.address.as_str())
        .iter()
        .any(|remnant| remnant.pid == pid)
}

/// The plan stops this process, so that what it holds is free before anything else starts.
fn makes_room(plan: &Plan, found: &Found) -> bool {
    plan.changes.iter().any(|change| {
        matches!(change.action, Action::Stop | Action::Restart) && names(change, found)
    })
}

fn names(change: &Change, found: &Found) -> bool {
    change.address.as_str() == found.address && change.before == found.identity()
}

fn advice(plan: &Plan, taken: &Taken, ours: Option<&Found>) -> String {
    let Some(found) = ours else {
        let stack = taken.holder.as_ref().and_then(|(pid, _)| stack_of(*pid));
        return match stack {
            Some((owner, folder)) => format!(
                "that belongs to the stack {owner} in {folder}; give one of the two another ports.base (and its services other ports)"
            ),
            None => "stop it, or choose another ports.base (or the service's own port) in the spec"
                .to_owned(),
        };
    };
    let held_back = plan.held_back.iter().any(|change| names(change, found));
    if held_back {
        format!(
            "that is {} of this stack, which nothing asks for; --prune stops it",
            found.address
        )
    } else {
        format!(
            "that is {} of this stack, which stays; give {} another port",
            found.address, taken.wanted_by
        )
    }
}

/// Stops what holds a port that another process of the same plan is about to take: processes start
/// side by side, and two that exchange their ports could wait for each other for ever. Only what
/// the plan stops or restarts anyway is touched.
pub async fn vacate(plan: &Plan, env: &Env) {
    let wanted: Vec<(&str, u16)> = plan
        .changes
        .iter()
        .filter(|change| matches!(change.action, Action::Start | Action::Restart))
        .filter_map(
            |change| match &env.resources.get(&change.address)?.document {
                Document::Process(process) => Some((change.address.as_str(), &process.ports)),
                _ => None,
            },
        )
        .flat_map(|(address, ports)| ports.iter().map(move |port| (address, *port)))
        .collect();
    for (address, port) in wanted {
        let Some((pid, _)) = ports::is_taken(port).then(|| ports::holder(port)).flatten() else {
            continue;
        };
        let holder = owner_of(pid, env);
        if let Some(found) = holder
            && found.address != address
            && makes_room(plan, found)
        {
            // Its own step reports when it would not stop.
            let _ = process::stop(found).await;
        }
    }
}

/// A heap is taken whole at the start, and what is on top of it is as large again on a small one.
fn memory(heap_mib: u32, change: &Change) -> Option<String> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = total_mib(&text)?;
    (u64::from(heap_mib) + 256 > total).then(|| {
        format!(
            "{} is to have a heap of {heap_mib} MiB, and this machine has {total} MiB in all; lower `heapMib`",
            change.address
        )
    })
}

/// `MemTotal` of `/proc/meminfo` in MiB. Pure.
fn total_mib(meminfo: &str) -> Option<u64> {
    let rest = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
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
