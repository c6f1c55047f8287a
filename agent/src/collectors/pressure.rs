//! `node_pressure_*` from `/proc/pressure`. A kernel built or started without it has no data.

use std::io;

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::pressure;

/// A resource: its file, and name and help of what its lines `some` and `full` become.
struct Resource {
    file: &'static str,
    some: Option<(&'static str, &'static str)>,
    full: Option<(&'static str, &'static str)>,
}

const RESOURCES: [Resource; 4] = [
    Resource {
        file: "pressure/cpu",
        some: Some((
            "node_pressure_cpu_waiting_seconds_total",
            "Total time in seconds that processes have waited for CPU time",
        )),
        full: None,
    },
    Resource {
        file: "pressure/io",
        some: Some((
            "node_pressure_io_waiting_seconds_total",
            "Total time in seconds that processes have waited due to IO congestion",
        )),
        full: Some((
            "node_pressure_io_stalled_seconds_total",
            "Total time in seconds no process could make progress due to IO congestion",
        )),
    },
    Resource {
        file: "pressure/memory",
        some: Some((
            "node_pressure_memory_waiting_seconds_total",
            "Total time in seconds that processes have waited for memory",
        )),
        full: Some((
            "node_pressure_memory_stalled_seconds_total",
            "Total time in seconds no process could make progress due to memory congestion",
        )),
    },
    Resource {
        file: "pressure/irq",
        some: None,
        full: Some((
            "node_pressure_irq_stalled_seconds_total",
            "Total time in seconds no process could make progress due to IRQ congestion",
        )),
    },
];

pub struct Pressure {
    sources: Vec<Source>,
}

impl Default for Pressure {
    fn default() -> Self {
        Self {
            sources: RESOURCES
                .iter()
                .map(|resource| Source::proc(resource.file))
                .collect(),
        }
    }
}

impl Collector for Pressure {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut found = 0;
        for (source, resource) in self.sources.iter_mut().zip(&RESOURCES) {
            let text = match source.try_read(node) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let path = node.path(Tree::Proc, resource.file);
                    // Built in, but off unless the kernel is started with psi=1.
                    let off =
                        error.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error());
                    return Err(if off {
                        CollectError::NoData(format!("{} is switched off", path.display()))
                    } else {
                        CollectError::Read {
                            path,
                            source: error,
                        }
                    });
                }
            };
            let stalls = parsed(node, Tree::Proc, resource.file, pressure::parse(text))?;
            let lines = [
                (resource.some, stalls.some, "some"),
                (resource.full, stalls.full, "full"),
            ];
            for (family, micros, line) in lines {
                if family.is_some() && micros.is_none() {
                    return Err(CollectError::NoData(format!(
                        "{} has no line \"{line}\"",
                        node.path(Tree::Proc, resource.file).display()
                    )));
                }
            }
            for (family, micros, _) in lines {
                if let (Some((name, help)), Some(micros)) = (family, micros) {
                    let seconds = micros as f64 / 1000.0 / 1000.0;
                    page.single(name, help, Kind::Counter, seconds);
                }
            }
            found += 1;
        }
        if found == 0 {
            return Err(CollectError::NoData(
                "the kernel tells no pressure (Linux 4.20 or later with CONFIG_PSI does)"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}
