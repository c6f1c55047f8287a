//! The configuration as the collectors want it: patterns compiled, defaults filled in.

use std::sync::Arc;
use std::time::Duration;

use kai_contract::agent_config::{AgentConfig, Collectors, Problem};
use regex::bytes::{Regex, RegexBuilder};

use crate::logs::reader;

/// node_exporter's own defaults; Debian's package has another for the mount points.
const MOUNT_POINTS: &str =
    "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
const FS_TYPES: &str = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|\
    hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|\
    squashfs|erofs|sysfs|tracefs)$";
const DISKS: &str = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";
const VMSTAT: &str = "^(oom_kill|pgpg|pswp|pg.*fault).*";

/// How long one collector may take, if the configuration does not say.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A compiled pattern may take this much memory; one that needs more is refused when it is read,
/// not met as a surprise in the middle of a scrape.
const PATTERN_MEMORY: usize = 1 << 20;

/// What the collectors run with. `None` as an exclusion excludes nothing.
#[derive(Debug)]
pub struct Settings {
    pub disabled: Vec<String>,
    pub timeout: Duration,
    pub filesystem_mount_points_exclude: Option<Arc<Regex>>,
    pub filesystem_fs_types_exclude: Option<Arc<Regex>>,
    pub diskstats_device_exclude: Option<Arc<Regex>>,
    pub netdev_device_exclude: Option<Arc<Regex>>,
    pub netdev_netlink: Option<bool>,
    pub vmstat_fields: Arc<Regex>,
}

impl Settings {
    /// Compiles every pattern; all the bad ones are reported.
    pub fn new(config: &AgentConfig) -> Result<Self, Vec<Problem>> {
        let Collectors {
            disable,
            timeout_ms,
            filesystem_mount_points_exclude,
            filesystem_fs_types_exclude,
            diskstats_device_exclude,
            netdev_device_exclude,
            netdev_netlink,
            vmstat_fields,
        } = &config.collectors;
        let mut problems = Vec::new();
        let mut exclusion = |key: &str, given: &Option<String>, default: &str| {
            let pattern = given.as_deref().unwrap_or(default);
            // node_exporter's way to exclude nothing; as a pattern it would match everything.
            if pattern.is_empty() {
                None
            } else {
                compile(key, pattern, &mut problems)
            }
        };
        let mount_points = exclusion(
            "filesystemMountPointsExclude",
            filesystem_mount_points_exclude,
            MOUNT_POINTS,
        );
        let fs_types = exclusion(
            "filesystemFsTypesExclude",
            filesystem_fs_types_exclude,
            FS_TYPES,
        );
        let disks = exclusion("diskstatsDeviceExclude", diskstats_device_exclude, DISKS);
        let devices = exclusion("netdevDeviceExclude", netdev_device_exclude, "");
        let fields = vmstat_fields.as_deref().unwrap_or(VMSTAT);
        let vmstat_fields = compile("vmstatFields", fields, &mut problems);
        problems.extend(config.logs.iter().flat_map(reader::bad_globs));
        match vmstat_fields {
            Some(vmstat_fields) if problems.is_empty() => Ok(Self {
                disabled: disable.clone(),
                timeout: timeout_ms.map_or(TIMEOUT, Duration::from_millis),
                filesystem_mount_points_exclude: mount_points,
                filesystem_fs_types_exclude: fs_types,
                diskstats_device_exclude: disks,
                netdev_device_exclude: devices,
                netdev_netlink: *netdev_netlink,
                vmstat_fields,
            }),
            _ => Err(problems),
        }
    }

    pub fn runs(&self, collector: &str) -> bool {
        !self.disabled.iter().any(|name| name == collector)
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
        let excludes = |pattern: &Option<Arc<Regex>>, text: &str| {
            pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(text.as_bytes()))
        };
        for (mount_point, excluded) in [
            ("/", false),
            ("/dev", true),
            ("/dev/shm", true),
            ("/development", false),
            ("/run", false),
            ("/run/credentials/x.service", true),
            ("/var/lib/docker/overlay2/x", true),
        ] {
            let found = excludes(&settings.filesystem_mount_points_exclude, mount_point);
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
                excludes(&settings.diskstats_device_exclude, device),
                excluded,
                "{device}"
            );
        }
        assert!(excludes(&settings.filesystem_fs_types_exclude, "cgroup2"));
        assert!(!excludes(&settings.filesystem_fs_types_exclude, "tmpfs"));
        assert!(settings.netdev_device_exclude.is_none());
        assert_eq!(settings.timeout, TIMEOUT);
    }

    #[test]
    fn an_empty_exclusion_excludes_nothing() {
        let settings = settings("{diskstatsDeviceExclude: ''}").unwrap();
        assert!(settings.diskstats_device_exclude.is_none());
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
            ["collectors.netdevDeviceExclude", "collectors.vmstatFields"]
        );
        assert!(
            problems[1].message.contains("unclosed group"),
            "{}",
            problems[1]
        );
    }

    #[test]
    fn a_pattern_that_explodes_is_refused() {
        assert!(settings("{vmstatFields: '(((a{99}){99}){99})'}").is_err());
    }
}
