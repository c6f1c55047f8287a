//! `node_sockstat_*` from `/proc/net/sockstat` and `sockstat6`.

use std::io;

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::sockstat;

const FILES: [&str; 2] = ["net/sockstat", "net/sockstat6"];

/// What a protocol can tell; `inuse` it always does.
const STATES: [&str; 6] = ["inuse", "orphan", "tw", "alloc", "mem", "memory"];
const IN_USE: usize = 0;
const MEM: usize = 4;

pub struct Sockstat {
    sources: [Source; 2],
    page_size: f64,
    name: String,
    help: String,
}

impl Default for Sockstat {
    fn default() -> Self {
        Self {
            sources: [
                Source::net("1/net/sockstat", FILES[0]),
                Source::net("1/net/sockstat6", FILES[1]),
            ],
            page_size: rustix::param::page_size() as f64,
            name: String::new(),
            help: String::new(),
        }
    }
}

/// A line.
struct Protocol {
    name: Vec<u8>,
    states: [Option<i64>; STATES.len()],
}

impl Collector for Sockstat {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        for (at, file) in FILES.into_iter().enumerate() {
            let text = match self.sources[at].try_read(node) {
                Ok(text) => text,
                // A kernel without this protocol.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    return Err(CollectError::Read {
                        path: node.path(Tree::Proc, file),
                        source,
                    });
                }
            };
            let (mut used, mut protocols) = (None, Vec::<Protocol>::new());
            let result = sockstat::parse(text, |protocol, state, value| {
                if protocol == b"sockets" {
                    used = Some(if state == b"used" {
                        value
                    } else {
                        used.unwrap_or(0)
                    });
                    return;
                }
                if protocols.last().is_none_or(|last| last.name != protocol) {
                    let mut states = [None; STATES.len()];
                    states[IN_USE] = Some(0);
                    protocols.push(Protocol {
                        name: protocol.to_vec(),
                        states,
                    });
                }
                let known = STATES.iter().position(|name| name.as_bytes() == state);
                if let (Some(known), Some(last)) = (known, protocols.last_mut()) {
                    last.states[known] = Some(value);
                }
            });
            parsed(node, Tree::Proc, file, result)?;
            if at == 0
                && let Some(used) = used
            {
                page.single(
                    "node_sockstat_sockets_used",
                    "Number of IPv4 sockets in use.",
                    Kind::Gauge,
                    used as f64,
                );
            }
            for Protocol { name, states } in &protocols {
                let name = String::from_utf8_lossy(name);
                for (state, value) in STATES.iter().zip(states) {
                    if let Some(value) = value {
                        self.show(page, &name, state, *value as f64);
                    }
                }
                if let Some(pages) = states[MEM] {
                    let bytes = pages as f64 * self.page_size;
                    self.show(page, &name, "mem_bytes", bytes);
                }
            }
        }
        Ok(())
    }
}

impl Sockstat {
    fn show(&mut self, page: &mut Page, protocol: &str, state: &str, value: f64) {
        self.name.clear();
        self.name.extend(["node_sockstat_", protocol, "_", state]);
        self.help.clear();
        self.help
            .extend(["Number of ", protocol, " sockets in state ", state, "."]);
        page.single(&self.name, &self.help, Kind::Gauge, value);
    }
}
