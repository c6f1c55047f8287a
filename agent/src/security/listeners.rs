//! Listening sockets: what takes connections from anybody, and which program it is. A port that
//! was not there when the baseline was accepted is a service that nobody decided on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::check::{Check, Context, Coverage, Items, Outcome, Reason, shown};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};

pub mod sockets;

use sockets::{Listening, parse, port_range};

/// Of the file, and whether it is UDP's.
const FILES: [(&str, &str, bool); 4] = [
    ("tcp", "tcp", false),
    ("tcp6", "tcp", false),
    ("udp", "udp", true),
    ("udp6", "udp", true),
];
/// More are no machine's services; what is beyond is counted.
const MOST: usize = 20_000;
/// The kernel's own default.
const EPHEMERAL: (u16, u16) = (32_768, 60_999);

pub struct Listeners;

#[derive(Default)]
struct Service {
    programs: BTreeSet<String>,
    users: BTreeSet<u64>,
}

impl Check for Listeners {
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome {
        match look(context, page) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::failed(error),
        }
    }
}

fn look(context: &Context, page: &mut Page) -> Result<Outcome, String> {
    let node = &*context.node;
    let mut text = Vec::new();
    let range = node
        .read(Tree::Proc, "sys/net/ipv4/ip_local_port_range", &mut text)
        .ok()
        .and_then(|()| port_range(&text))
        .unwrap_or(EPHEMERAL);
    let mut coverage = Coverage::default();
    let mut found: Vec<(&str, Listening)> = Vec::new();
    for (file, protocol, udp) in FILES {
        // The first process is in the machine's own network, where we may not be.
        let first = format!("1/net/{file}");
        let own = format!("net/{file}");
        let name = match node.read(Tree::Proc, &first, &mut text) {
            Ok(()) => first,
            Err(_) => match node.read(Tree::Proc, &own, &mut text) {
                Ok(()) => own,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && file != "tcp" => {
                    continue; // a kernel without IPv6 or UDP
                }
                Err(error) => {
                    return Err(format!(
                        "{}: {error}",
                        node.path(Tree::Proc, &own).display()
                    ));
                }
            },
        };
        let mut beyond = 0;
        parse(&text, udp, |socket| {
            // A client's UDP socket looks like a server's; it has a port that nobody chose.
            if udp && (range.0..=range.1).contains(&socket.port) {
                return;
            }
            if found.len() < MOST {
                found.push((protocol, socket));
            } else {
                beyond += 1;
            }
        })
        .map_err(|error| format!("{}: {error}", node.path(Tree::Proc, &name).display()))?;
        for _ in 0..beyond {
            coverage.skip(&name, Reason::Limit);
        }
        context.progress.step();
    }
    let wanted = found.iter().map(|(_, socket)| socket.inode).collect();
    let owners = owners(node, &wanted, &context.progress);
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let mut counts = BTreeMap::<(&str, &str), u64>::new();
    for (protocol, socket) in &found {
        let name = match socket.address {
            IpAddr::V4(address) => format!("{protocol} {address}:{}", socket.port),
            IpAddr::V6(address) => format!("{protocol} [{address}]:{}", socket.port),
        };
        let reach = if socket.address.is_loopback() {
            "loopback"
        } else {
            "network"
        };
        *counts.entry((protocol, reach)).or_default() += 1;
        let service = services.entry(name.clone()).or_default();
        service.users.insert(socket.uid);
        match owners.get(&socket.inode) {
            Some(program) => {
                service.programs.insert(program.clone());
                coverage.examined += 1;
            }
            None => {
                service.programs.insert("?".to_owned());
                coverage.skip(name, Reason::PermissionDenied);
            }
        }
    }
    let mut family = page.family(
        "kai_security_listening_sockets",
        "Sockets that take what anybody sends, by protocol and whether only this machine reaches \
         them.",
        Kind::Gauge,
    );
    for protocol in ["tcp", "udp"] {
        for reach in ["loopback", "network"] {
            let count = counts.get(&(protocol, reach)).copied().unwrap_or(0);
            let labels = [
                ("protocol", protocol.as_bytes()),
                ("reach", reach.as_bytes()),
            ];
            family.sample(&labels, count as f64);
        }
    }
    drop(family);
    let items: Items = services
        .into_iter()
        .map(|(name, service)| {
            let users: Vec<String> = service.users.iter().map(u64::to_string).collect();
            let programs: Vec<String> = service.programs.into_iter().collect();
            let program = if programs.iter().any(|program| program == "?") {
                "?".to_owned()
            } else {
                programs.join(",")
            };
            (name, format!("uid={} program={program}", users.join(",")))
        })
        .collect();
    Ok(Outcome {
        coverage,
        seen: Some(items),
        ..Outcome::default()
    })
}

/// Programs by the inode of their socket, as far as we may look into processes.
fn owners(
    node: &dyn Node,
    wanted: &BTreeSet<u64>,
    progress: &super::check::Progress,
) -> BTreeMap<u64, String> {
    let mut owners = BTreeMap::new();
    let Ok(processes) = node.list(Tree::Proc, "") else {
        return owners;
    };
    for process in processes {
        if !process.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        progress.alive();
        let folder = node.path(Tree::Proc, &format!("{process}/fd"));
        let Ok(descriptors) = std::fs::read_dir(&folder) else {
            continue; // not ours to look into, or it has ended
        };
        let mut program: Option<String> = None;
        for descriptor in descriptors.flatten() {
            let Ok(target) = std::fs::read_link(descriptor.path()) else {
                continue;
            };
            let Some(inode) = socket_inode(&target.to_string_lossy()) else {
                continue;
            };
            if !wanted.contains(&inode) {
                continue;
            }
            let program = program.get_or_insert_with(|| program_of(node, &process));
            owners.entry(inode).or_insert_with(|| program.clone());
        }
    }
    owners
}

/// Path of a process's program. An update replaces the file of a running one, which is no change
/// of who listens.
fn program_of(node: &dyn Node, process: &str) -> String {
    let path = node.path(Tree::Proc, &format!("{process}/exe"));
    match std::fs::read_link(path) {
        Ok(target) => {
            use std::os::unix::ffi::OsStrExt as _;
            let target = target.as_os_str().as_bytes();
            let target = target.strip_suffix(b" (deleted)").unwrap_or(target);
            shown(target).replace(' ', "\\x20").replace(',', "\\x2c")
        }
        Err(_) => "?".to_owned(),
    }
}

/// `socket:[2740]`
fn socket_inode(target: &str) -> Option<u64> {
    target
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}
