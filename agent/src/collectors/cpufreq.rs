//! `node_cpu_frequency_*` and `node_cpu_scaling_*` from `/sys/devices/system/cpu/*/cpufreq`, of the
//! CPUs that are online.

use super::gather::{Files, if_there};
use super::{CollectError, Collector, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::text::trim;
use crate::procfs::{cpufreq, cpulist};

const FOLDER: &str = "devices/system/cpu";

/// A file in kilohertz, and the family that it becomes.
const FREQUENCIES: [(&str, &str, &str); 6] = [
    (
        "cpuinfo_cur_freq",
        "node_cpu_frequency_hertz",
        "Current CPU thread frequency in hertz.",
    ),
    (
        "cpuinfo_max_freq",
        "node_cpu_frequency_max_hertz",
        "Maximum CPU thread frequency in hertz.",
    ),
    (
        "cpuinfo_min_freq",
        "node_cpu_frequency_min_hertz",
        "Minimum CPU thread frequency in hertz.",
    ),
    (
        "scaling_cur_freq",
        "node_cpu_scaling_frequency_hertz",
        "Current scaled CPU thread frequency in hertz.",
    ),
    (
        "scaling_max_freq",
        "node_cpu_scaling_frequency_max_hertz",
        "Maximum scaled CPU thread frequency in hertz.",
    ),
    (
        "scaling_min_freq",
        "node_cpu_scaling_frequency_min_hertz",
        "Minimum scaled CPU thread frequency in hertz.",
    ),
];

/// sysfs (`include/uapi/linux/magic.h`).
const SYSFS_MAGIC: u64 = 0x6265_6572;

#[derive(Default)]
pub struct Cpufreq;

struct Cpu {
    number: String,
    kilohertz: [Option<u64>; FREQUENCIES.len()],
    governor: String,
    governors: String,
}

impl Collector for Cpufreq {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let offline_file = format!("{FOLDER}/offline");
        let offline = cpulist::parse(trim(files.whole(&offline_file)?));
        let offline = parsed(node, Tree::Sys, &offline_file, offline)?;
        let names = files.numbered(FOLDER, "cpu");
        if names.is_empty() {
            return Err(files.misread(FOLDER, 0, "there is no CPU in it"));
        }
        // A running kernel writes what it always writes: only of a copy is it looked at.
        let checked = node
            .mounted(Tree::Sys, FOLDER)
            .is_ok_and(|mounted| mounted.kind != SYSFS_MAGIC);
        let mut cpus = Vec::new();
        for name in names {
            let number = name.trim_start_matches("cpu");
            let is_offline = number
                .parse()
                .is_ok_and(|number: u32| offline.contains(&number));
            let folder = format!("{FOLDER}/{name}/cpufreq");
            if !is_offline && files.exists(&folder) {
                cpus.push(cpu(&mut files, number, &folder, checked)?);
            }
        }
        for (at, (_, name, help)) in FREQUENCIES.iter().enumerate() {
            let mut family = page.family(name, help, Kind::Gauge);
            for cpu in &cpus {
                if let Some(kilohertz) = cpu.kilohertz[at] {
                    let hertz = kilohertz as f64 * 1000.0;
                    family.sample(&[("cpu", cpu.number.as_bytes())], hertz);
                }
            }
        }
        let mut family = page.family(
            "node_cpu_scaling_governor",
            "Current enabled CPU frequency governor.",
            Kind::Gauge,
        );
        for cpu in cpus.iter().filter(|cpu| !cpu.governor.is_empty()) {
            for governor in cpu.governors.split(' ') {
                family.sample(
                    &[
                        ("cpu", cpu.number.as_bytes()),
                        ("governor", governor.as_bytes()),
                    ],
                    f64::from(u8::from(governor == cpu.governor)),
                );
            }
        }
        Ok(())
    }
}

/// What may not be there, or not for us.
fn if_told<T>(result: Result<T, CollectError>) -> Result<Option<T>, CollectError> {
    match if_there(result) {
        Err(error) if error.is_denied() => Ok(None),
        told => told,
    }
}

/// What node_exporter reads besides, and shows nothing if it is not what the kernel writes.
fn unshown(files: &mut Files<'_>, folder: &str) -> Result<(), CollectError> {
    for file in ["cpuinfo_transition_latency", "stats/total_trans"] {
        if_told(files.number(&format!("{folder}/{file}")))?;
    }
    for (file, parse) in [
        ("time_in_state", cpufreq::durations as fn(&[u8]) -> _),
        ("trans_table", cpufreq::transitions),
    ] {
        let path = format!("{folder}/stats/{file}");
        let found = if_told(files.whole(&path).map(parse))?;
        files.parsed(&path, found.unwrap_or(Ok(())))?;
    }
    Ok(())
}

fn cpu(
    files: &mut Files<'_>,
    number: &str,
    folder: &str,
    checked: bool,
) -> Result<Cpu, CollectError> {
    let mut kilohertz = [None; FREQUENCIES.len()];
    for (slot, (file, ..)) in kilohertz.iter_mut().zip(FREQUENCIES) {
        *slot = if_told(files.number(&format!("{folder}/{file}")))?;
    }
    // node_exporter shows nothing if one of these is missing.
    for file in ["scaling_driver", "related_cpus", "scaling_setspeed"] {
        files.attribute(&format!("{folder}/{file}"))?;
    }
    if checked {
        unshown(files, folder)?;
    }
    Ok(Cpu {
        number: number.to_owned(),
        kilohertz,
        governors: files.label(&format!("{folder}/scaling_available_governors"))?,
        governor: files.label(&format!("{folder}/scaling_governor"))?,
    })
}
