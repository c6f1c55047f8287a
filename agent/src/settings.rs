//! The configuration as the collectors want it: patterns compiled, defaults filled in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kai_contract::agent_config::{AgentConfig, IPVS_LABELS, OPT_IN, Problem};
use regex::bytes::{Regex, RegexBuilder};

use crate::discovery::Prototype;
use crate::logs::source;
use crate::postgres::{self, Databases};
use crate::probes::{self, Probes};
use crate::scrape::Prepared;

/// node_exporter's own defaults; Debian's package has another for the mount points.
const MOUNT_POINTS: &str =
    "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
const FS_TYPES: &str = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|\
    hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|\
    squashfs|erofs|sysfs|tracefs)$";
const DISKS: &str = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";
/// Of these the whole name has to match.
const SYSTEMD_INCLUDE: &str = ".+";
const SYSTEMD_EXCLUDE: &str = r".+\.(automount|device|mount|scope|slice)";
const VMSTAT: &str = "^(oom_kill|pgpg|pswp|pg.*fault).*";

/// How long one collector may take, if the configuration does not say.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A compiled pattern may take this much memory; one that needs more is refused when it is read,
/// not met as a surprise in the middle of a scrape.
const PATTERN_MEMORY: usize = 1 << 20;

/// As node_exporter has them; how much of a kernel's statistics anybody asks for.
const NETSTAT: &str = "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|\
    Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|\
    TCPRcvQDrop)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|\
    Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$";

/// What is left out and what is let in, by name. Neither means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub include: Option<Arc<Regex>>,
    pub exclude: Option<Arc<Regex>>,
}

impl Filter {
    pub fn ignores(&self, name: &[u8]) -> bool {
        let matches = |pattern: &Regex| pattern.is_match(name);
        self.exclude.as_deref().is_some_and(matches) || !self.include.as_deref().is_none_or(matches)
    }
}

/// What the collectors run with.
#[derive(Debug)]
pub struct Settings {
    pub disabled: Vec<String>,
    pub enabled: Vec<String>,
    pub timeout: Duration,
    pub filesystem_mount_points: Filter,
    pub filesystem_fs_types: Filter,
    pub diskstats_devices: Filter,
    pub netdev_devices: Filter,
    pub netdev_netlink: Option<bool>,
    pub vmstat_fields: Filter,
    pub arp_devices: Filter,
    pub bcache_priority_stats: bool,
    pub hwmon_chips: Filter,
    pub hwmon_sensors: Filter,
    /// In the order of [`IPVS_LABELS`].
    pub ipvs_backend_labels: Vec<&'static str>,
    pub netclass_devices: Filter,
    pub netclass_ignore_invalid_speed: bool,
    pub netstat_fields: Filter,
    pub powersupply_supplies: Filter,
    pub rapl_zone_label: bool,
    pub stat_softirq: bool,
    pub ethtool_devices: Filter,
    pub ethtool_metrics: Filter,
    pub systemd_units: Filter,
    pub systemd_task_metrics: bool,
    pub systemd_restarts_metrics: bool,
    pub systemd_start_time_metrics: bool,
    pub tapestats_devices: Filter,
    pub textfile_directories: Vec<String>,
    pub probes: Probes,
    pub databases: Databases,
    /// Applications by name, their rules compiled.
    pub applications: BTreeMap<String, Arc<Prepared>>,
    /// What holds for those that are found.
    pub discovered: Option<Arc<Prototype>>,
}

impl Settings {
    /// Compiles every pattern; all the bad ones are reported.
    pub fn new(config: &AgentConfig) -> Result<Self, Vec<Problem>> {
        let given = &config.collectors;
        let mut patterns = Patterns::default();
        let vmstat_fields = patterns.fields("vmstatFields", given.vmstat_fields.as_ref(), VMSTAT);
        let netstat_fields =
            patterns.fields("netstatFields", given.netstat_fields.as_ref(), NETSTAT);
        let whole = |given: &Option<String>, default: &str| {
            format!("^(?:{})$", given.as_deref().unwrap_or(default))
        };
        let systemd_units = Filter {
            include: patterns.optional(
                "systemdUnitInclude",
                &whole(&given.systemd_unit_include, SYSTEMD_INCLUDE),
            ),
            exclude: patterns.optional(
                "systemdUnitExclude",
                &whole(&given.systemd_unit_exclude, SYSTEMD_EXCLUDE),
            ),
        };
        let ethtool_metrics = patterns.fields(
            "ethtoolMetricsInclude",
            given.ethtool_metrics_include.as_ref(),
            "",
        );
        let mut filter = |include: (&str, &Option<String>),
                          exclude: (&str, &Option<String>),
                          default: &str| {
            let include = patterns.optional(include.0, include.1.as_deref().unwrap_or_default());
            // As node_exporter: who says what to let in has said all.
            let default = if include.is_some() { "" } else { default };
            Filter {
                exclude: patterns.optional(exclude.0, exclude.1.as_deref().unwrap_or(default)),
                include,
            }
        };
        let none = None;
        let mut more = Vec::new();
        let probes = probes::prepare(config, &mut more);
        let mut settings = Self {
            databases: postgres::prepare(config),
            probes,
            disabled: given.disable.clone(),
            enabled: given.enable.clone(),
            timeout: given.timeout_ms.map_or(TIMEOUT, Duration::from_millis),
            filesystem_mount_points: filter(
                (
                    "filesystemMountPointsInclude",
                    &given.filesystem_mount_points_include,
                ),
                (
                    "filesystemMountPointsExclude",
                    &given.filesystem_mount_points_exclude,
                ),
                MOUNT_POINTS,
            ),
            filesystem_fs_types: filter(
                (
                    "filesystemFsTypesInclude",
                    &given.filesystem_fs_types_include,
                ),
                (
                    "filesystemFsTypesExclude",
                    &given.filesystem_fs_types_exclude,
                ),
                FS_TYPES,
            ),
            diskstats_devices: filter(
                ("diskstatsDeviceInclude", &given.diskstats_device_include),
                ("diskstatsDeviceExclude", &given.diskstats_device_exclude),
                DISKS,
            ),
            netdev_devices: filter(
                ("netdevDeviceInclude", &given.netdev_device_include),
                ("netdevDeviceExclude", &given.netdev_device_exclude),
                "",
            ),
            netdev_netlink: given.netdev_netlink,
            arp_devices: filter(
                ("arpDeviceInclude", &given.arp_device_include),
                ("arpDeviceExclude", &given.arp_device_exclude),
                "",
            ),
            bcache_priority_stats: given.bcache_priority_stats.unwrap_or(false),
            hwmon_chips: filter(
                ("hwmonChipInclude", &given.hwmon_chip_include),
                ("hwmonChipExclude", &given.hwmon_chip_exclude),
                "",
            ),
            hwmon_sensors: filter(
                ("hwmonSensorInclude", &given.hwmon_sensor_include),
                ("hwmonSensorExclude", &given.hwmon_sensor_exclude),
                "",
            ),
            ipvs_backend_labels: IPVS_LABELS
                .into_iter()
                .filter(|label| {
                    let chosen = &given.ipvs_backend_labels;
                    chosen.is_empty() || chosen.iter().any(|name| name == label)
                })
                .collect(),
            netclass_devices: filter(
                ("", &none),
                ("netclassIgnoredDevices", &given.netclass_ignored_devices),
                "^$",
            ),
            netclass_ignore_invalid_speed: given.netclass_ignore_invalid_speed.unwrap_or(false),
            powersupply_supplies: filter(
                ("", &none),
                (
                    "powersupplyIgnoredSupplies",
                    &given.powersupply_ignored_supplies,
                ),
                "^$",
            ),
            rapl_zone_label: given.rapl_enable_zone_label.unwrap_or(false),
            stat_softirq: given.stat_softirq.unwrap_or(false),
            ethtool_devices: filter(
                ("ethtoolDeviceInclude", &given.ethtool_device_include),
                ("ethtoolDeviceExclude", &given.ethtool_device_exclude),
                "",
            ),
            ethtool_metrics,
            systemd_units,
            systemd_task_metrics: given.systemd_enable_task_metrics.unwrap_or(false),
            systemd_restarts_metrics: given.systemd_enable_restarts_metrics.unwrap_or(false),
            systemd_start_time_metrics: given.systemd_enable_start_time_metrics.unwrap_or(false),
            tapestats_devices: filter(
                ("", &none),
                ("tapestatsIgnoredDevices", &given.tapestats_ignored_devices),
                "^$",
            ),
            textfile_directories: given.textfile_directories.clone(),
            applications: BTreeMap::new(),
            discovered: None,
            vmstat_fields,
            netstat_fields,
        };
        patterns
            .problems
            .extend(config.logs.iter().flat_map(source::problems));
        patterns.problems.append(&mut more);
        for (name, application) in &config.applications {
            match Prepared::new(name, application.clone(), config.team_series()) {
                Ok(prepared) => {
                    let prepared = Arc::new(prepared);
                    settings.applications.insert(name.clone(), prepared);
                }
                Err(wrong) => patterns.problems.extend(wrong),
            }
        }
        match Prototype::new(config) {
            Ok(discovered) => settings.discovered = discovered.map(Arc::new),
            Err(wrong) => patterns.problems.extend(wrong),
        }
        if patterns.problems.is_empty() {
            Ok(settings)
        } else {
            Err(patterns.problems)
        }
    }

    pub fn runs(&self, collector: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|name| name == collector);
        !named(&self.disabled) && (!OPT_IN.contains(&collector) || named(&self.enabled))
    }
}

/// Compiles patterns and remembers the bad ones.
#[derive(Default)]
struct Patterns {
    problems: Vec<Problem>,
}

impl Patterns {
    /// A pattern that excludes or includes; an empty one does neither, as in node_exporter (as a
    /// pattern it would match everything).
    fn optional(&mut self, key: &str, pattern: &str) -> Option<Arc<Regex>> {
        if pattern.is_empty() {
            None
        } else {
            compile(key, pattern, &mut self.problems)
        }
    }

    /// The fields that are shown.
    fn fields(&mut self, key: &str, given: Option<&String>, default: &str) -> Filter {
        Filter {
            include: self.optional(key, given.map_or(default, String::as_str)),
            exclude: None,
        }
    }
}

fn compile(key: &str, pattern: &str, problems: &mut Vec<Problem>) -> Option<Arc<Regex>> {
    match RegexBuilder::new(pattern)
        .size_limit(PATTERN_MEMORY)
        .build()
    {
        Ok(regex) => Some(Arc::new(regex)),
        Err(error) => {
            // The engine draws the pattern over several lines; the last one says what is wrong.
            let text = error.to_string();
            let reason = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            problems.push(Problem::new(
                format!("collectors.{key}"),
                format!(
                    "\"{pattern}\" is not a regular expression: {reason} (RE2 syntax, as in \
                     node_exporter)"
                ),
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(collectors: &str) -> Result<Settings, Vec<Problem>> {
        let text = format!("version: 1\nlisten: 127.0.0.1:1\ncollectors: {collectors}\n");
        Settings::new(&serde_yaml::from_str(&text).unwrap())
    }

    #[test]
    fn the_defaults_leave_out_what_node_exporters_do() {
        let settings = settings("{}").unwrap();
        let excludes = |filter: &Filter, text: &str| filter.ignores(text.as_bytes());
        for (mount_point, excluded) in [
            ("/", false),
            ("/dev", true),
            ("/dev/shm", true),
            ("/development", false),
            ("/run", false),
            ("/run/credentials/x.service", true),
            ("/var/lib/docker/overlay2/x", true),
        ] {
            let found = excludes(&settings.filesystem_mount_points, mount_point);
            assert_eq!(found, excluded, "{mount_point}");
        }
        for (device, excluded) in [
            ("sda", false),
            ("sda1", true),
            ("nvme0n1", false),
            ("nvme0n1p2", true),
            ("zram0", true),
        ] {
            assert_eq!(
                excludes(&settings.diskstats_devices, device),
                excluded,
                "{device}"
            );
        }
        assert!(excludes(&settings.filesystem_fs_types, "cgroup2"));
        assert!(!excludes(&settings.filesystem_fs_types, "tmpfs"));
        assert!(settings.netdev_devices.exclude.is_none());
        assert_eq!(settings.timeout, TIMEOUT);
    }

    #[test]
    fn an_empty_exclusion_excludes_nothing() {
        let settings = settings("{diskstatsDeviceExclude: ''}").unwrap();
        assert!(settings.diskstats_devices.exclude.is_none());
    }

    #[test]
    fn an_inclusion_replaces_the_default_exclusion() {
        let settings = settings("{diskstatsDeviceInclude: '^loop'}").unwrap();
        assert!(!settings.diskstats_devices.ignores(b"loop0"));
        assert!(settings.diskstats_devices.ignores(b"sda"));
    }

    #[test]
    fn an_opt_in_runs_only_if_it_is_named() {
        assert!(!settings("{}").unwrap().runs("processes"));
        assert!(settings("{enable: [processes]}").unwrap().runs("processes"));
        assert!(settings("{}").unwrap().runs("cpu"));
    }

    #[test]
    fn every_bad_pattern_is_reported() {
        let problems = settings("{vmstatFields: '(', netdevDeviceExclude: 'a{2'}").unwrap_err();
        let paths: Vec<_> = problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(
            paths,
            ["collectors.vmstatFields", "collectors.netdevDeviceExclude"]
        );
        assert!(
            problems[0].message.contains("unclosed group"),
            "{}",
            problems[0]
        );
    }

    #[test]
    fn a_pattern_that_explodes_is_refused() {
        assert!(settings("{vmstatFields: '(((a{99}){99}){99})'}").is_err());
    }
}
