//! What sysfs knows of each CPU: its core and package, how often they were throttled, and whether
//! the CPU is online. The list and the places change only when a CPU is plugged in or out, which
//! the kernel's list of online CPUs shows; so they are kept until it changes, or for a while.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use super::FOLDER;
use crate::collectors::{LISTED, Source};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::text;

pub struct Topology {
    cpus: Vec<Cpu>,
    /// The list of online CPUs, and its text when the CPUs were listed.
    list: Source,
    listed_for: Vec<u8>,
    listed: Option<Instant>,
}

/// A CPU of the folder.
struct Cpu {
    number: String,
    /// Package and core; nothing is told of a CPU without.
    place: Option<(u64, u64)>,
    core_throttles: Attribute,
    package_throttles: Attribute,
    online: Attribute,
}

/// A file of a CPU's that may not be there.
struct Attribute {
    source: Source,
    missing: bool,
}

impl Attribute {
    fn new(cpu: &str, name: &str) -> Self {
        Self {
            source: Source::new(Tree::Sys, format!("{FOLDER}/{cpu}/{name}")),
            missing: false,
        }
    }

    /// The text; a file that was missing is not looked for until the CPUs are listed again.
    fn text(&mut self, node: &dyn Node) -> Option<&[u8]> {
        if self.missing {
            return None;
        }
        match self.source.try_read(node) {
            Ok(text) => Some(text::trim(text)),
            Err(error) => {
                self.missing = error.kind() == io::ErrorKind::NotFound;
                None
            }
        }
    }

    fn number(&mut self, node: &dyn Node) -> Option<u64> {
        text::number(self.text(node)?)
    }
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            cpus: Vec::new(),
            list: Source::new(Tree::Sys, format!("{FOLDER}/online")),
            listed_for: Vec::new(),
            listed: None,
        }
    }
}

impl Topology {
    /// Lists the CPUs anew if they may have changed.
    pub fn refresh(&mut self, node: &dyn Node) {
        let unchanged = self
            .list
            .try_read(node)
            .is_ok_and(|text| text == self.listed_for);
        let fresh = self.listed.is_some_and(|at| at.elapsed() < LISTED);
        // A tree that is not the kernel's may change in any way.
        if unchanged && fresh && self.list.is_kernels() {
            return;
        }
        self.listed = Some(Instant::now());
        self.listed_for.clone_from(&self.list.text);
        // A tree without the folder is a kernel (or a fixture) without any of its families.
        self.cpus = node
            .list(Tree::Sys, FOLDER)
            .unwrap_or_default()
            .iter()
            .filter_map(|name| {
                let number = name.strip_prefix("cpu")?;
                number
                    .starts_with(|first: char| first.is_ascii_digit())
                    .then(|| Cpu::new(node, name, number))
            })
            .collect();
    }

    /// Counted per core and per package, of which each of their CPUs has a copy; the first CPU
    /// that tells is taken. What is not there (most virtual machines) is left out.
    pub fn throttles(&mut self, node: &dyn Node, page: &mut Page) {
        let mut packages = BTreeMap::new();
        let mut cores = BTreeMap::new();
        for cpu in &mut self.cpus {
            let Some((package, core)) = cpu.place else {
                continue;
            };
            if !cores.contains_key(&(package, core))
                && let Some(count) = cpu.core_throttles.number(node)
            {
                cores.insert((package, core), count);
            }
            if !packages.contains_key(&package)
                && let Some(count) = cpu.package_throttles.number(node)
            {
                packages.insert(package, count);
            }
        }
        let mut family = page.family(
            "node_cpu_core_throttles_total",
            "Number of times this CPU core has been throttled.",
            Kind::Counter,
        );
        for ((package, core), count) in cores {
            family.sample(
                &[
                    ("core", core.to_string().as_bytes()),
                    ("package", package.to_string().as_bytes()),
                ],
                count as f64,
            );
        }
        drop(family);
        let mut family = page.family(
            "node_cpu_package_throttles_total",
            "Number of times this CPU package has been throttled.",
            Kind::Counter,
        );
        for (package, count) in packages {
            family.sample(&[("package", package.to_string().as_bytes())], count as f64);
        }
    }

    /// Nothing if the first CPU does not tell, as on kernels that cannot unplug it.
    pub fn online(&mut self, node: &dyn Node, page: &mut Page) {
        let mut family = page.family(
            "node_cpu_online",
            "CPUs that are online and being scheduled.",
            Kind::Gauge,
        );
        for (index, cpu) in self.cpus.iter_mut().enumerate() {
            let online = cpu.online.text(node) == Some(b"1");
            if index == 0 && cpu.online.missing {
                return;
            }
            family.sample(
                &[("cpu", cpu.number.as_bytes())],
                f64::from(u8::from(online)),
            );
        }
    }
}

impl Cpu {
    fn new(node: &dyn Node, name: &str, number: &str) -> Self {
        let attribute = |file| Attribute::new(name, file);
        let package = attribute("topology/physical_package_id").number(node);
        let core = attribute("topology/core_id").number(node);
        Self {
            number: number.to_owned(),
            place: package.zip(core),
            core_throttles: attribute("thermal_throttle/core_throttle_count"),
            package_throttles: attribute("thermal_throttle/package_throttle_count"),
            online: attribute("online"),
        }
    }
}
