//! What the agent's own process uses, read with every scrape: one line of `/proc/self/stat`
//! (proc_pid_stat(5)) and the number of open files. It is always this machine's `/proc`, whatever
//! the roots: the process runs here.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::node::Kept;
use crate::procfs::own_stat;

const STAT: &str = "/proc/self/stat";
const FILES: &str = "/proc/self/fd";

/// The process and what does not change about it.
#[derive(Debug)]
pub struct Process {
    stat: Kept,
    text: Vec<u8>,
    /// Unix time in seconds.
    started: u64,
    ticks: u64,
    page: u64,
}

/// What the process has used and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// In user space and in the kernel.
    pub cpu: Duration,
    pub resident_bytes: u64,
    pub open_files: Option<u64>,
    /// Unix time in seconds.
    pub started: u64,
}

impl Process {
    pub fn new() -> Self {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let mut process = Self {
            stat: Kept::default(),
            text: Vec::new(),
            started: 0,
            ticks,
            page: rustix::param::page_size() as u64,
        };
        let boot = sysinfo::System::boot_time().unwrap_or_default();
        process.started = match process.read() {
            Some(stat) if boot > 0 => boot + stat.start_ticks / ticks,
            // Next to the truth, because nothing happens before.
            _ => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
        };
        process
    }

    /// Nothing without a `/proc`.
    pub fn usage(&mut self) -> Option<Usage> {
        let stat = self.read()?;
        let nanoseconds = u128::from(stat.cpu_ticks) * 1_000_000_000 / u128::from(self.ticks);
        Some(Usage {
            cpu: Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)),
            resident_bytes: stat.resident_pages * self.page,
            open_files: open_files(Path::new(FILES)),
            started: self.started,
        })
    }

    fn read(&mut self) -> Option<own_stat::Stat> {
        self.stat.read(|| STAT, &mut self.text).ok()?;
        own_stat::parse(&self.text).ok()
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

/// Linux says the number as the folder's size since 6.2; before, its names have to be counted.
fn open_files(folder: &Path) -> Option<u64> {
    let size = std::fs::metadata(folder).ok()?.len();
    if size > 0 {
        return Some(size);
    }
    let count = std::fs::read_dir(folder).ok()?.count() as u64;
    Some(count.saturating_sub(1)) // the folder itself is open while it is read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_opened_are_counted() {
        let before = open_files(Path::new(FILES)).unwrap();
        // More than other tests of this process may close meanwhile.
        let files: Vec<_> = (0..400)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        let more = open_files(Path::new(FILES)).unwrap() - before;
        assert!((200..=600).contains(&more), "{more}");
        drop(files);
        let folder = tempfile::tempdir().unwrap();
        assert!(open_files(&folder.path().join("none")).is_none());
    }

    #[test]
    fn the_start_is_not_long_ago_and_the_cpu_time_grows() {
        let mut process = Process::new();
        let first = process.usage().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // The kernel's boot time is rounded.
        assert!(first.started <= now.as_secs() + 2, "{first:?}");
        assert!(first.started + 3600 > now.as_secs(), "{first:?}");
        while process.usage().unwrap().cpu == first.cpu {
            std::hint::black_box(vec![1_u8; 1 << 20]);
        }
        assert!(process.usage().unwrap().cpu > first.cpu);
    }
}
