//! A measured process: what it costs, and that it ends.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub struct Process(Child);

impl Process {
    /// Starts a command on one core.
    pub fn start(core: &str, command: &[String], library_path: Option<&str>, says: &Path) -> Option<Self> {
        let says = fs::File::create(says).ok()?;
        let mut started = Command::new("taskset");
        started.args(["-c", core]).args(command).stdin(Stdio::null());
        started.stdout(says.try_clone().ok()?).stderr(says);
        if let Some(path) = library_path {
            started.env("LD_LIBRARY_PATH", path);
        }
        started.spawn().ok().map(Self)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// User and system time so far, of all its threads.
    pub fn cpu_seconds(&self) -> f64 {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.0.id())) else {
            return f64::NAN;
        };
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    /// The most memory that it had resident, in megabytes.
    pub fn largest_megabytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("VmHWM: NaN");
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap_or(f64::NAN) * 1024.0 / 1e6
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        for _ in 0..50 {
            if !self.is_running() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
