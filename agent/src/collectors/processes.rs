//! `node_processes_*`: how many processes and threads there are, and what they do.

use std::collections::BTreeMap;

use super::gather::{Files, if_there};
use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::pid_stat::{self, Stat};

#[derive(Default)]
pub struct Processes;

type States = BTreeMap<u8, u64>;

impl Collector for Processes {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Proc);
        let live = node.is_live();
        let (mut processes, mut threads, mut states, mut thread_states) =
            (0_u64, 0, States::new(), States::new());
        for pid in numbers(&files, "")? {
            let Some(process) = stat(&mut files, &format!("{pid}/stat"))? else {
                continue; // it has ended
            };
            processes += 1;
            threads += process.threads;
            *states.entry(process.state).or_default() += 1;
            if live && process.threads == 1 {
                *thread_states.entry(process.state).or_default() += 1;
                continue;
            }
            let tasks = if_there(numbers(&files, &format!("{pid}/task")))?;
            for task in tasks.unwrap_or_default() {
                let thread = if task == pid {
                    Some(process)
                } else {
                    stat(&mut files, &format!("{pid}/task/{task}/stat"))?
                };
                if let Some(thread) = thread {
                    *thread_states.entry(thread.state).or_default() += 1;
                }
            }
        }
        let limits = (
            files.number("sys/kernel/threads-max")?,
            files.number("sys/kernel/pid_max")?,
        );
        for (name, help, value) in [
            (
                "node_processes_max_processes",
                "Number of max PIDs limit",
                limits.1,
            ),
            (
                "node_processes_max_threads",
                "Limit of threads in the system",
                limits.0,
            ),
            ("node_processes_pids", "Number of PIDs", processes),
            (
                "node_processes_threads",
                "Allocated threads in system",
                threads,
            ),
        ] {
            page.single(name, help, Kind::Gauge, value as f64);
        }
        for (name, help, label, states) in [
            (
                "node_processes_state",
                "Number of processes in each state.",
                "state",
                states,
            ),
            (
                "node_processes_threads_state",
                "Number of threads in each state.",
                "thread_state",
                thread_states,
            ),
        ] {
            let mut family = page.family(name, help, Kind::Gauge);
            for (state, count) in states {
                family.sample(&[(label, &[state])], count as f64);
            }
        }
        Ok(())
    }
}

/// Names in a folder that are numbers.
fn numbers(files: &Files<'_>, folder: &str) -> Result<Vec<String>, CollectError> {
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let names = files
        .node
        .list(Tree::Proc, folder)
        .map_err(|source| CollectError::Read {
            path: files.node.path(Tree::Proc, folder),
            source,
        })?;
    Ok(names.into_iter().filter(|name| is_number(name)).collect())
}

/// Nothing if the process or thread has ended meanwhile.
fn stat(files: &mut Files<'_>, path: &str) -> Result<Option<Stat>, CollectError> {
    match files.whole(path) {
        Ok(text) => {
            let stat = pid_stat::parse(text);
            files.parsed(path, stat).map(Some)
        }
        Err(error) if error.is_missing() || error.is_errno(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error),
    }
}
