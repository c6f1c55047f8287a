//! The unified hierarchy: all of a container's files are in one folder.

use super::super::gather::{Files, if_there};
use super::super::{CollectError, parsed};
use super::figures::{Figures, Memory, Throttling};
use crate::node::Tree;
use crate::procfs::text::{fields, lines, number, trim};
use crate::procfs::{ParseError, cgroup, pressure};

const MICRO: f64 = 1e6;

pub fn read(files: &mut Files<'_>, folder: &str) -> Result<Figures, CollectError> {
    let mut figures = Figures::default();
    cpu(files, folder, &mut figures)?;
    figures.memory = memory(files, folder)?;
    parse(files, &format!("{folder}/memory.events"), |text| {
        cgroup::pairs(text, |name, value| {
            if name == b"oom_kill" {
                figures.oom_kills = Some(value);
            }
        })
    })?;
    figures.processes = processes(files, folder)?;
    figures.threads = if_there(files.number(&format!("{folder}/pids.current")))?;
    figures.threads_max = limit(files, &format!("{folder}/pids.max"))?;
    let io = parse(files, &format!("{folder}/io.stat"), cgroup::io_stat)?;
    figures.io = io
        .unwrap_or_default()
        .into_iter()
        .map(|(number, io)| (device(files, &number), io))
        .collect();
    for resource in ["cpu", "memory", "io"] {
        let path = format!("{folder}/{resource}.pressure");
        let stalls = match parse(files, &path, pressure::parse) {
            // Built in, but switched off.
            Err(error) if error.is_errno(rustix::io::Errno::OPNOTSUPP) => None,
            stalls => stalls?,
        };
        if let Some(stalls) = stalls {
            let seconds = |micros: Option<u64>| micros.map(|micros| micros as f64 / MICRO);
            figures
                .pressure
                .push((resource, seconds(stalls.some), seconds(stalls.full)));
        }
    }
    Ok(figures)
}

/// A file understood by a parser; nothing if the controller is off.
pub fn parse<T>(
    files: &mut Files<'_>,
    path: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, ParseError>,
) -> Result<Option<T>, CollectError> {
    let node = files.node;
    match if_there(files.whole(path))? {
        Some(text) => parsed(node, Tree::Sys, path, parse(text)).map(Some),
        None => Ok(None),
    }
}

/// How many processes are in it, by its list of them.
pub fn processes(files: &mut Files<'_>, folder: &str) -> Result<Option<u64>, CollectError> {
    let list = files.whole(&format!("{folder}/cgroup.procs"));
    match list.map(|text| lines(text).count() as u64) {
        // A threaded cgroup has no list of processes.
        Err(error) if error.is_missing() || error.is_errno(rustix::io::Errno::OPNOTSUPP) => {
            Ok(None)
        }
        count => count.map(Some),
    }
}

/// A limit; 0 if it is `max`.
pub fn limit(files: &mut Files<'_>, path: &str) -> Result<Option<u64>, CollectError> {
    if_there(files.value(path, "a number or \"max\"", |text| {
        if text == b"max" {
            Some(0)
        } else {
            number(text)
        }
    }))
}

/// A block device's name for its number.
pub fn device(files: &mut Files<'_>, number: &str) -> String {
    let uevent = files.whole(&format!("dev/block/{number}/uevent"));
    let name = uevent.ok().and_then(|text| {
        let name = lines(text).find_map(|(_, line)| line.strip_prefix(b"DEVNAME="))?;
        Some(String::from_utf8_lossy(name).into_owned())
    });
    name.map_or_else(|| number.to_owned(), |name| format!("/dev/{name}"))
}

fn cpu(files: &mut Files<'_>, folder: &str, figures: &mut Figures) -> Result<(), CollectError> {
    let mut throttling = Throttling::default();
    parse(files, &format!("{folder}/cpu.stat"), |text| {
        cgroup::pairs(text, |name, value| {
            let seconds = value as f64 / MICRO;
            match name {
                b"usage_usec" => figures.cpu = Some(seconds),
                b"user_usec" => figures.cpu_user = Some(seconds),
                b"system_usec" => figures.cpu_system = Some(seconds),
                b"nr_periods" => throttling.periods = value,
                b"nr_throttled" => throttling.throttled = value,
                b"throttled_usec" => throttling.seconds = seconds,
                _ => {}
            }
        })
    })?;
    // "max 100000", or microseconds of CPU time in each period.
    let path = format!("{folder}/cpu.max");
    let limit = if_there(files.value(&path, "a quota and a period", |text| {
        let mut words = fields(trim(text));
        let quota = words.next()?;
        let period = words.next().and_then(number)?;
        Some((
            if quota == b"max" {
                None
            } else {
                Some(number(quota)?)
            },
            period,
        ))
    }))?;
    if let Some((quota, period)) = limit {
        figures.period = Some(period as f64);
        figures.quota = quota.map(|quota| quota as f64);
        figures.throttling = quota.map(|_| throttling);
    }
    Ok(())
}

fn memory(files: &mut Files<'_>, folder: &str) -> Result<Option<Memory>, CollectError> {
    let Some(usage) = if_there(files.number(&format!("{folder}/memory.current")))? else {
        return Ok(None);
    };
    let mut memory = Memory {
        usage,
        peak: if_there(files.number(&format!("{folder}/memory.peak")))?,
        swap: if_there(files.number(&format!("{folder}/memory.swap.current")))?.unwrap_or(0),
        limit: limit(files, &format!("{folder}/memory.max"))?.unwrap_or(0),
        ..Memory::default()
    };
    parse(files, &format!("{folder}/memory.stat"), |text| {
        cgroup::pairs(text, |name, value| match name {
            b"file" => memory.cache = value,
            b"anon" => memory.rss = value,
            b"file_mapped" => memory.mapped = value,
            b"inactive_file" => memory.inactive_file = value,
            b"pgfault" => memory.faults = value,
            b"pgmajfault" => memory.major_faults = value,
            _ => {}
        })
    })?;
    Ok(Some(memory))
}
