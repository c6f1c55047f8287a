//! The hierarchies of version 1: each controller has folders of its own.

use std::collections::BTreeMap;

use super::super::CollectError;
use super::super::gather::{Files, if_there};
use super::figures::{Figures, Memory, Throttling};
use super::v2::{device, limit, parse, processes};
use crate::procfs::cgroup::{self, Io};
use crate::procfs::stat::USER_HZ;
use crate::procfs::text::signed;

const NANO: f64 = 1e9;

pub fn read(files: &mut Files<'_>, root: &str, id: &str) -> Result<Figures, CollectError> {
    let mut figures = Figures::default();
    let folder = |controller: &str| format!("{root}/{controller}{id}");
    cpu(files, &folder("cpuacct"), &folder("cpu"), &mut figures)?;
    let memory = folder("memory");
    figures.memory = self::memory(files, &memory)?;
    parse(files, &format!("{memory}/memory.oom_control"), |text| {
        cgroup::pairs(text, |name, value| {
            if name == b"oom_kill" {
                figures.oom_kills = Some(value);
            }
        })
    })?;
    figures.processes = processes(files, &memory)?;
    let pids = folder("pids");
    figures.threads = if_there(files.number(&format!("{pids}/pids.current")))?;
    figures.threads_max = limit(files, &format!("{pids}/pids.max"))?;
    figures.io = io(files, &folder("blkio"))?;
    Ok(figures)
}

fn cpu(
    files: &mut Files<'_>,
    account: &str,
    cpu: &str,
    figures: &mut Figures,
) -> Result<(), CollectError> {
    let usage = if_there(files.number(&format!("{account}/cpuacct.usage")))?;
    figures.cpu = usage.map(|nanos| nanos as f64 / NANO);
    parse(files, &format!("{account}/cpuacct.stat"), |text| {
        cgroup::pairs(text, |name, ticks| {
            let seconds = Some(ticks as f64 / USER_HZ);
            match name {
                b"user" => figures.cpu_user = seconds,
                b"system" => figures.cpu_system = seconds,
                _ => {}
            }
        })
    })?;
    let mut throttling = Throttling::default();
    parse(files, &format!("{cpu}/cpu.stat"), |text| {
        cgroup::pairs(text, |name, value| match name {
            b"nr_periods" => throttling.periods = value,
            b"nr_throttled" => throttling.throttled = value,
            b"throttled_time" => throttling.seconds = value as f64 / NANO,
            _ => {}
        })
    })?;
    let period = if_there(files.number(&format!("{cpu}/cpu.cfs_period_us")))?;
    figures.period = period.map(|period| period as f64);
    let path = format!("{cpu}/cpu.cfs_quota_us");
    let quota = if_there(files.value(&path, "a whole number", signed))?;
    // -1: none.
    if let Some(quota) = quota.filter(|quota| *quota > 0) {
        figures.quota = Some(quota as f64);
        figures.throttling = Some(throttling);
    }
    Ok(())
}

fn memory(files: &mut Files<'_>, folder: &str) -> Result<Option<Memory>, CollectError> {
    let mut number = |file: &str| if_there(files.number(&format!("{folder}/{file}")));
    let Some(usage) = number("memory.usage_in_bytes")? else {
        return Ok(None);
    };
    let mut memory = Memory {
        usage,
        peak: number("memory.max_usage_in_bytes")?,
        failures: number("memory.failcnt")?,
        limit: number("memory.limit_in_bytes")?.unwrap_or(0),
        ..Memory::default()
    };
    parse(files, &format!("{folder}/memory.stat"), |text| {
        cgroup::pairs(text, |name, value| match name {
            b"total_cache" => memory.cache = value,
            b"total_rss" => memory.rss = value,
            b"total_swap" => memory.swap = value,
            b"total_mapped_file" => memory.mapped = value,
            b"total_inactive_file" => memory.inactive_file = value,
            b"total_pgfault" => memory.faults = value,
            b"total_pgmajfault" => memory.major_faults = value,
            _ => {}
        })
    })?;
    Ok(Some(memory))
}

fn io(files: &mut Files<'_>, folder: &str) -> Result<Vec<(String, Io)>, CollectError> {
    let mut devices = BTreeMap::<String, Io>::new();
    for (file, bytes) in [
        ("blkio.throttle.io_service_bytes", true),
        ("blkio.throttle.io_serviced", false),
    ] {
        parse(files, &format!("{folder}/{file}"), |text| {
            cgroup::blkio(text, |device, operation, value| {
                let io = devices.entry(device.to_owned()).or_default();
                match (operation, bytes) {
                    (b"Read", true) => io.read_bytes = value,
                    (b"Write", true) => io.written_bytes = value,
                    (b"Read", false) => io.reads = value,
                    (b"Write", false) => io.writes = value,
                    _ => {}
                }
            })
        })?;
    }
    Ok(devices
        .into_iter()
        .map(|(number, io)| (device(files, &number), io))
        .collect())
}
