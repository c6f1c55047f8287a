//! `agent:`, the agent on the node.

use super::super::{Field, Kind, Object};
use super::kubernetes::RESOURCES;
use crate::spec::format::Format;

pub(super) static AGENT: Object = Object {
    name: "agent",
    doc: "The agent on the node.",
    fields: &[
        Field::new(
            "collectors",
            Kind::Object(&COLLECTORS),
            "{ disable: [netdev] }",
            "Which collectors run.",
        ),
        Field::new(
            "remoteWrite",
            Kind::Map {
                key: Format::Name,
                value: &Kind::Object(&super::remote_write::REMOTE_WRITE),
            },
            "{ central: { url: \"https://mimir.example.org/api/v1/push\" } }",
            "Receivers of what the agent scrapes and is told, by name.",
        ),
        Field::new(
            "otlpMetrics",
            Kind::Object(&super::remote_write::OTLP_METRICS),
            "{ accept: true }",
            "Metrics that services push by OTLP, at the addresses that take spans.",
        ),
        Field::new(
            "security",
            Kind::Object(&super::security::SECURITY),
            "{}",
            "Security checks: logins, files, sockets, accounts, modules, certificates, updates.",
        ),
        Field::new(
            "resources",
            Kind::Object(&RESOURCES),
            "{ cpu: 250m, memory: 160Mi }",
            "In a cluster: what each node's agent asks for; 50m and 128Mi where nothing is said.",
        ),
    ],
    reserved: &["lanes", "inventory", "runsOn"],
};

static COLLECTORS: Object = Object {
    name: "collectors",
    doc: "Collectors of the agent.",
    fields: &[Field::new(
        "disable",
        Kind::List {
            item: &Kind::Enum {
                values: &[
                    "arp",
                    "bcache",
                    "bcachefs",
                    "bonding",
                    "btrfs",
                    "conntrack",
                    "cpu",
                    "cpufreq",
                    "diskstats",
                    "dmi",
                    "edac",
                    "entropy",
                    "fibrechannel",
                    "filefd",
                    "filesystem",
                    "hwmon",
                    "infiniband",
                    "ipvs",
                    "kernel_hung",
                    "loadavg",
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
                    "rapl",
                    "schedstat",
                    "selinux",
                    "sockstat",
                    "softnet",
                    "stat",
                    "tapestats",
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
                ],
                reserved: &[],
            },
            unique: true,
            min: 0,
        },
        "[netdev, vmstat]",
        "Collectors that do not run; all others do.",
    )
    .default("[]")],
    reserved: &["enable", "settings"],
};
