//! What the agent tells about its machine in `/status`: facts that a person wants to see beside the
//! figures, asked of sysinfo once at the start. What is measured in every scrape is read by the
//! collectors.

use serde::Serialize;
use sysinfo::{MemoryRefreshKind, System};

/// A machine in a few words; what the system does not tell is left out.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// For example `Linux (Debian GNU/Linux 13)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    pub cpus: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Unix time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_time: Option<u64>,
}

impl Facts {
    /// Of the machine that the agent runs on, whatever the roots.
    pub fn read() -> Self {
        let memory = System::new().ok().map(|mut system| {
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            system.total_memory()
        });
        Self {
            host_name: System::host_name().ok(),
            os: System::long_os_version().ok(),
            kernel: System::kernel_version().ok(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory.filter(|bytes| *bytes > 0),
            boot_time: System::boot_time().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_a_kernel_and_memory() {
        let facts = Facts::read();
        let uname = rustix::system::uname();
        assert_eq!(facts.host_name.as_deref(), uname.nodename().to_str().ok());
        assert_eq!(facts.kernel.as_deref(), uname.release().to_str().ok());
        assert!(facts.memory_bytes.unwrap() > 1 << 20, "{facts:?}");
        assert!(facts.boot_time.unwrap() > 1_500_000_000, "{facts:?}");
    }
}
