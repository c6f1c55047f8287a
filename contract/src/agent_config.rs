//! The agent's configuration file. `version` grows by one with every change that an older agent
//! could not read; the agent reads the current version and the one before it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod business;
mod databases;
mod discovery;
mod gate;
mod intake;
mod keys;
mod log_budget;
mod logs;
mod otlp_metrics;
mod privacy;
mod probes;
mod problems;
mod remote_write;
mod sampling;
mod scrape;
mod security;
mod traces;

pub use business::{Business, Figure as BusinessFigure, Rule as BusinessRule, RuleSource};
pub use databases::{DATABASE_COLLECTORS, DATABASE_OPT_IN, Database};
pub use discovery::{DiscoverPods, Discovery, Kubernetes, bad_target_files};
pub use gate::{
    Gate, GateServer, GateService, fill_in as fill_in_query,
    unknown_placeholder as unknown_in_query,
};
pub use intake::{OtlpLogs, Spool, Syslog, SyslogTls};
pub use log_budget::{LogBudget, OverBudget};
pub use logs::{
    Compress, Elasticsearch, HttpAuth, JournalProblem, Journald, LogContainer, LogFormat, LogPods,
    LogSource, LogStart, Logs, MAX_FIELDS, Multiline, TraceLanguage,
};
pub use otlp_metrics::OtlpMetrics;
pub use privacy::{Privacy, Pseudonymise, Redact, Redacted};
pub use probes::{
    Compression, DnsProbe, DnsTransport, ExpectLabel, HeaderMatch, HttpProbe, IcmpProbe,
    IpProtocol, Probe, ProbeTls, QueryResponse, RecordRules, TcpProbe,
};
pub use remote_write::{RemoteEndpoint, RemoteWrite};
pub use sampling::{LEVELS, Share};
pub use scrape::{
    Budgets, MOST_SERIES, MOST_TEAM_SERIES, Relabel, RelabelAction, SERIES_LIMIT,
    TEAM_SERIES_LIMIT, TeamBudget, unlimited_label,
};
pub use security::{
    BASELINE_CHECKS, SECURITY_CHECKS, Security, SecurityAuth, SecurityCertificates,
    SecurityIntegrity, SecurityJournal, SecuritySuid,
};
pub use traces::{Traces, judge_otlp_endpoint};

pub use keys::{KEYS, allowed_keys, nearest};
pub use problems::{DNS_CLASSES, DNS_RCODES, DNS_TYPES, Problem, dns_number};

/// The version that this build writes.
pub const VERSION: u32 = 2;

/// The oldest version that this build still reads: the one before [`VERSION`], and never 0.
pub const OLDEST_VERSION: u32 = if VERSION > 1 { VERSION - 1 } else { 1 };

/// Names of the collectors, as `collectors.disable` and the label `collector` spell them.
pub const COLLECTORS: [&str; 55] = [
    "arp",
    "bcache",
    "bcachefs",
    "bonding",
    "btrfs",
    "cgroups",
    "conntrack",
    "containers",
    "cpu",
    "cpufreq",
    "diskstats",
    "dmi",
    "edac",
    "entropy",
    "ethtool",
    "fibrechannel",
    "filefd",
    "filesystem",
    "hwmon",
    "infiniband",
    "ipvs",
    "kernel_hung",
    "loadavg",
    "logind",
    "mdadm",
    "meminfo",
    "netclass",
    "netdev",
    "netstat",
    "nfs",
    "nfsd",
    "nvme",
    "os",
    "powersupplyclass",
    "pressure",
    "processes",
    "rapl",
    "schedstat",
    "selinux",
    "sockstat",
    "softnet",
    "stat",
    "systemd",
    "tapestats",
    "tcpstat",
    "textfile",
    "thermal_zone",
    "time",
    "timex",
    "udp_queues",
    "uname",
    "vmstat",
    "watchdog",
    "xfs",
    "zfs",
];

/// Those that run only if `collectors.enable` names them, as in node_exporter.
pub const OPT_IN: [&str; 7] = [
    "cgroups",
    "containers",
    "ethtool",
    "logind",
    "processes",
    "systemd",
    "tcpstat",
];

/// Labels of IPVS backends, of which `collectors.ipvsBackendLabels` may choose.
pub const IPVS_LABELS: [&str; 6] = [
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "proto",
    "local_mark",
];

/// One agent's configuration, as it stands in `agent.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentConfig {
    pub version: u32,
    /// Address of `/metrics`, `/metrics/app/<name>`, `/live`, `/ready`. A change needs a restart.
    pub listen: String,
    #[serde(default)]
    pub admin: Admin,
    #[serde(default)]
    pub roots: Roots,
    #[serde(default)]
    pub collectors: Collectors,
    /// Applications whose metrics page is passed through at `/metrics/app/<name>`.
    #[serde(default)]
    pub applications: BTreeMap<String, Application>,
    /// The API server that tells of the node's pods; none is asked without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// Applications that the agent finds by itself; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// How much each team's applications may export; generous limits hold without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budgets: Option<Budgets>,
    /// Output files of local processes that the agent keeps small.
    #[serde(default)]
    pub rotate: Vec<Rotate>,
    /// Folder that the agent keeps what must outlive it in: places in files, dead letters.
    /// A change needs a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PathBuf>,
    /// No log lane without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
    /// No trace lane without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
    /// No business figures without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business: Option<Business>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// No metrics are taken by OTLP without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp_metrics: Option<OtlpMetrics>,
    /// Questions to endpoints, asked at `/probe/<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<String, Probe>,
    /// PostgreSQL servers that are looked at, each at `/metrics/database/<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<String, Database>,
    /// Milliseconds between two of the agent's own scrapes of a target, which there are with
    /// `remoteWrite` and with business figures of series; 15000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_interval_ms: Option<u64>,
    /// Nothing is written anywhere without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_write: Option<RemoteWrite>,
    /// No security check runs without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
}

impl AgentConfig {
    pub fn round_interval_ms(&self) -> u64 {
        self.round_interval_ms.unwrap_or(15_000)
    }
}

/// The admin socket: drills and reloads, for the owner of the socket only (mode 0600).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Admin {
    /// Absolute path of the socket; no socket without one. A change needs a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

/// Where the kernel's trees are found; in a container the host's are mounted elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Roots {
    /// `--path.procfs`
    pub proc: PathBuf,
    /// `--path.sysfs`
    pub sys: PathBuf,
    /// `--path.rootfs`
    pub root: PathBuf,
    /// `--path.udev.data`; `run/udev/data` below `root` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udev_data: Option<PathBuf>,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            root: "/".into(),
            udev_data: None,
        }
    }
}

/// Which collectors run and what they leave out; the settings are node_exporter's, as are their
/// defaults when absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Collectors {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disable: Vec<String>,
    /// Collectors of [`OPT_IN`] that run, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enable: Vec<String>,
    /// Milliseconds that one collector may take before it is reported as failed; 2000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// `--collector.filesystem.mount-points-exclude`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem_mount_points_exclude: Option<String>,
    /// `--collector.filesystem.fs-types-exclude`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem_fs_types_exclude: Option<String>,
    /// `--collector.diskstats.device-exclude`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diskstats_device_exclude: Option<String>,
    /// `--collector.netdev.device-exclude`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netdev_device_exclude: Option<String>,
    /// `--collector.netdev.netlink`: ask the kernel by netlink, not `net/dev` below `roots.proc`.
    /// When absent: yes if `roots.proc` is a live procfs, no if it is a copy of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netdev_netlink: Option<bool>,
    /// `--collector.vmstat.fields`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmstat_fields: Option<String>,
    /// `--collector.filesystem.mount-points-include`; without `…Exclude` no default exclusion then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem_mount_points_include: Option<String>,
    /// `--collector.filesystem.fs-types-include`; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem_fs_types_include: Option<String>,
    /// `--collector.diskstats.device-include`; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diskstats_device_include: Option<String>,
    /// `--collector.netdev.device-include`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netdev_device_include: Option<String>,
    /// `--collector.arp.device-include`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arp_device_include: Option<String>,
    /// `--collector.arp.device-exclude`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arp_device_exclude: Option<String>,
    /// `--collector.bcache.priorityStats`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bcache_priority_stats: Option<bool>,
    /// `--collector.ethtool.device-include`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethtool_device_include: Option<String>,
    /// `--collector.ethtool.device-exclude`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethtool_device_exclude: Option<String>,
    /// `--collector.ethtool.metrics-include`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethtool_metrics_include: Option<String>,
    /// `--collector.hwmon.chip-include`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hwmon_chip_include: Option<String>,
    /// `--collector.hwmon.chip-exclude`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hwmon_chip_exclude: Option<String>,
    /// `--collector.hwmon.sensor-include`, matched with `<chip>;<sensor>`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hwmon_sensor_include: Option<String>,
    /// `--collector.hwmon.sensor-exclude`, matched with `<chip>;<sensor>`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hwmon_sensor_exclude: Option<String>,
    /// `--collector.ipvs.backend-labels`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipvs_backend_labels: Vec<String>,
    /// `--collector.netclass.ignored-devices`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netclass_ignored_devices: Option<String>,
    /// `--collector.netclass.ignore-invalid-speed`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netclass_ignore_invalid_speed: Option<bool>,
    /// `--collector.netstat.fields`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netstat_fields: Option<String>,
    /// `--collector.powersupply.ignored-supplies`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub powersupply_ignored_supplies: Option<String>,
    /// `--collector.rapl.enable-zone-label`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rapl_enable_zone_label: Option<bool>,
    /// `--collector.stat.softirq`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stat_softirq: Option<bool>,
    /// `--collector.systemd.unit-include`; unlike the others it has to match the whole name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd_unit_include: Option<String>,
    /// `--collector.systemd.unit-exclude`; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd_unit_exclude: Option<String>,
    /// `--collector.systemd.enable-task-metrics`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd_enable_task_metrics: Option<bool>,
    /// `--collector.systemd.enable-restarts-metrics`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd_enable_restarts_metrics: Option<bool>,
    /// `--collector.systemd.enable-start-time-metrics`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd_enable_start_time_metrics: Option<bool>,
    /// `--collector.tapestats.ignored-devices`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tapestats_ignored_devices: Option<String>,
    /// `--collector.textfile.directory`, patterns like `/srv/*/metrics` allowed
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub textfile_directories: Vec<String>,
}

/// One application's metrics page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// `http://` or `https://` address of its metrics page.
    pub url: String,
    /// Milliseconds to wait for the whole page.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// Whose budget its series count against, besides its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Rules as in Prometheus' `metric_relabel_configs`, applied in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relabel: Vec<Relabel>,
    /// Series that are handed on at most; [`SERIES_LIMIT`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_limit: Option<u64>,
    /// Most values kept of a label, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub label_limits: BTreeMap<String, u64>,
}

fn default_timeout_ms() -> u64 {
    4_000
}

/// One output file to keep below a size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotate {
    pub path: PathBuf,
    pub max_bytes: u64,
    /// How many older generations (`.1`, `.2`, …) are kept.
    pub keep: u32,
}
