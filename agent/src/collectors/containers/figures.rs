//! What is told of a container, whatever the version of its cgroups.

use super::super::gather::Rows;
use crate::exposition::Kind;
use crate::procfs::cgroup::Io;

/// Figures that the kernel has; a controller may be off.
#[derive(Debug, Default)]
pub struct Figures {
    /// Seconds.
    pub cpu: Option<f64>,
    pub cpu_user: Option<f64>,
    pub cpu_system: Option<f64>,
    /// Only of a container with a limit.
    pub throttling: Option<Throttling>,
    pub quota: Option<f64>,
    pub period: Option<f64>,
    pub memory: Option<Memory>,
    pub oom_kills: Option<u64>,
    pub processes: Option<u64>,
    pub threads: Option<u64>,
    pub threads_max: Option<u64>,
    /// By device.
    pub io: Vec<(String, Io)>,
    /// Seconds that some or all tasks waited, by resource.
    pub pressure: Vec<(&'static str, Option<f64>, Option<f64>)>,
}

#[derive(Debug, Default)]
pub struct Throttling {
    pub periods: u64,
    pub throttled: u64,
    pub seconds: f64,
}

#[derive(Debug, Default)]
pub struct Memory {
    pub usage: u64,
    pub cache: u64,
    pub rss: u64,
    pub swap: u64,
    pub mapped: u64,
    pub inactive_file: u64,
    pub faults: u64,
    pub major_faults: u64,
    pub peak: Option<u64>,
    /// How often the limit was hit.
    pub failures: Option<u64>,
    /// 0: none.
    pub limit: u64,
}

/// Limits above this are none: cgroup v1 has no other word for it.
pub const NO_LIMIT: u64 = 1 << 62;

type Labels<'a> = &'a [(&'a str, String)];

impl Figures {
    pub fn show(&self, labels: Labels<'_>, rows: &mut Rows) {
        let mut add = |name: &'static str,
                       help: &'static str,
                       kind: Kind,
                       more: &[(&str, &str)],
                       value: Option<f64>| {
            let Some(value) = value else {
                return;
            };
            let own = labels.iter().map(|(name, value)| (*name, value.as_bytes()));
            let all: Vec<(&str, &[u8])> = own
                .chain(more.iter().map(|(name, value)| (*name, value.as_bytes())))
                .collect();
            rows.add(name, help, kind, &all, value);
        };
        let whole = |value: Option<u64>| value.map(|value| value as f64);
        add(
            "container_cpu_usage_seconds_total",
            "Cumulative cpu time consumed in seconds.",
            Kind::Counter,
            &[("cpu", "total")],
            self.cpu,
        );
        add(
            "container_cpu_user_seconds_total",
            "Cumulative user cpu time consumed in seconds.",
            Kind::Counter,
            &[],
            self.cpu_user,
        );
        add(
            "container_cpu_system_seconds_total",
            "Cumulative system cpu time consumed in seconds.",
            Kind::Counter,
            &[],
            self.cpu_system,
        );
        let throttling = self.throttling.as_ref();
        add(
            "container_cpu_cfs_periods_total",
            "Number of elapsed enforcement period intervals.",
            Kind::Counter,
            &[],
            whole(throttling.map(|t| t.periods)),
        );
        add(
            "container_cpu_cfs_throttled_periods_total",
            "Number of throttled period intervals.",
            Kind::Counter,
            &[],
            whole(throttling.map(|t| t.throttled)),
        );
        add(
            "container_cpu_cfs_throttled_seconds_total",
            "Total time duration the container has been throttled.",
            Kind::Counter,
            &[],
            throttling.map(|t| t.seconds),
        );
        add(
            "container_spec_cpu_period",
            "CPU period of the container.",
            Kind::Gauge,
            &[],
            self.period,
        );
        add(
            "container_spec_cpu_quota",
            "CPU quota of the container.",
            Kind::Gauge,
            &[],
            self.quota,
        );
        if let Some(memory) = &self.memory {
            let byte_families: [(&'static str, &'static str, Option<u64>); 8] = [
                (
                    "container_memory_usage_bytes",
                    "Current memory usage in bytes, including all memory regardless of when it was \
                     accessed",
                    Some(memory.usage),
                ),
                (
                    "container_memory_working_set_bytes",
                    "Current working set in bytes.",
                    Some(memory.usage.saturating_sub(memory.inactive_file)),
                ),
                (
                    "container_memory_cache",
                    "Number of bytes of page cache memory.",
                    Some(memory.cache),
                ),
                (
                    "container_memory_rss",
                    "Size of RSS in bytes.",
                    Some(memory.rss),
                ),
                (
                    "container_memory_swap",
                    "Container swap usage in bytes.",
                    Some(memory.swap),
                ),
                (
                    "container_memory_mapped_file",
                    "Size of memory mapped files in bytes.",
                    Some(memory.mapped),
                ),
                (
                    "container_memory_max_usage_bytes",
                    "Maximum memory usage recorded in bytes",
                    memory.peak,
                ),
                (
                    "container_spec_memory_limit_bytes",
                    "Memory limit for the container.",
                    Some(if memory.limit >= NO_LIMIT {
                        0
                    } else {
                        memory.limit
                    }),
                ),
            ];
            for (name, help, value) in byte_families {
                add(name, help, Kind::Gauge, &[], whole(value));
            }
            add(
                "container_memory_failcnt",
                "Number of memory usage hits limits",
                Kind::Counter,
                &[],
                whole(memory.failures),
            );
            for (failure, count) in [
                ("pgfault", memory.faults),
                ("pgmajfault", memory.major_faults),
            ] {
                for scope in ["container", "hierarchy"] {
                    add(
                        "container_memory_failures_total",
                        "Cumulative count of memory allocation failures.",
                        Kind::Counter,
                        &[("failure_type", failure), ("scope", scope)],
                        Some(count as f64),
                    );
                }
            }
        }
        add(
            "container_oom_events_total",
            "Count of out of memory events observed for the container",
            Kind::Counter,
            &[],
            whole(self.oom_kills),
        );
        for (name, help, value) in [
            (
                "container_processes",
                "Number of processes running inside the container.",
                self.processes,
            ),
            (
                "container_threads",
                "Number of threads running inside the container",
                self.threads,
            ),
            (
                "container_threads_max",
                "Maximum number of threads allowed inside the container, infinity if value is zero",
                self.threads_max,
            ),
        ] {
            add(name, help, Kind::Gauge, &[], whole(value));
        }
        for (device, io) in &self.io {
            for (name, help, value) in [
                (
                    "container_fs_reads_bytes_total",
                    "Cumulative count of bytes read",
                    io.read_bytes,
                ),
                (
                    "container_fs_writes_bytes_total",
                    "Cumulative count of bytes written",
                    io.written_bytes,
                ),
                (
                    "container_fs_reads_total",
                    "Cumulative count of reads completed",
                    io.reads,
                ),
                (
                    "container_fs_writes_total",
                    "Cumulative count of writes completed",
                    io.writes,
                ),
            ] {
                let labels = [("device", device.as_str())];
                add(name, help, Kind::Counter, &labels, Some(value as f64));
            }
        }
        for (resource, some, full) in &self.pressure {
            let (waiting, stalled): ((&str, &str), (&str, &str)) = match *resource {
                "cpu" => (
                    (
                        "container_pressure_cpu_waiting_seconds_total",
                        "Total time duration tasks in the container have waited due to CPU \
                         congestion.",
                    ),
                    (
                        "container_pressure_cpu_stalled_seconds_total",
                        "Total time duration no tasks in the container could make progress due to \
                         CPU congestion.",
                    ),
                ),
                "memory" => (
                    (
                        "container_pressure_memory_waiting_seconds_total",
                        "Total time duration tasks in the container have waited due to memory \
                         congestion.",
                    ),
                    (
                        "container_pressure_memory_stalled_seconds_total",
                        "Total time duration no tasks in the container could make progress due to \
                         memory congestion.",
                    ),
                ),
                _ => (
                    (
                        "container_pressure_io_waiting_seconds_total",
                        "Total time duration tasks in the container have waited due to IO \
                         congestion.",
                    ),
                    (
                        "container_pressure_io_stalled_seconds_total",
                        "Total time duration no tasks in the container could make progress due to \
                         IO congestion.",
                    ),
                ),
            };
            add(waiting.0, waiting.1, Kind::Counter, &[], *some);
            add(stalled.0, stalled.1, Kind::Counter, &[], *full);
        }
    }
}
