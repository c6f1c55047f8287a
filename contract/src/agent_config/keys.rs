//! The settings' names as data, so that a misspelt one can be told from a known one, with the name
//! that was probably meant.

const AUTH: &[&str] = &["apiKeyFile", "tokenFile", "basic"];
const TLS: &[&str] = &[
    "caFile",
    "certFile",
    "keyFile",
    "serverName",
    "dangerousInsecureSkipVerify",
];
const HEADER: &[&str] = &["header", "regexp", "allowMissing"];
const RECORDS: &[&str] = &[
    "failIfMatchesRegexp",
    "failIfAllMatchRegexp",
    "failIfNotMatchesRegexp",
    "failIfNoneMatchesRegexp",
];
const BASIC: &[&str] = &["username", "passwordFile"];
const RELABEL: &[&str] = &[
    "source_labels",
    "separator",
    "regex",
    "modulus",
    "target_label",
    "replacement",
    "action",
];

/// Allowed keys by path; `*` stands for any one name or list index.
pub const KEYS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "version",
            "listen",
            "admin",
            "roots",
            "collectors",
            "applications",
            "kubernetes",
            "discovery",
            "budgets",
            "rotate",
            "state",
            "logs",
            "traces",
            "business",
            "gate",
            "security",
            "otlpMetrics",
            "roundIntervalMs",
            "remoteWrite",
            "probes",
            "databases",
        ],
    ),
    ("admin", &["socket"]),
    ("roots", &["proc", "sys", "root", "udevData"]),
    (
        "collectors",
        &[
            "disable",
            "enable",
            "timeoutMs",
            "filesystemMountPointsExclude",
            "filesystemFsTypesExclude",
            "diskstatsDeviceExclude",
            "netdevDeviceExclude",
            "netdevNetlink",
            "vmstatFields",
            "filesystemMountPointsInclude",
            "filesystemFsTypesInclude",
            "diskstatsDeviceInclude",
            "netdevDeviceInclude",
            "arpDeviceInclude",
            "arpDeviceExclude",
            "bcachePriorityStats",
            "ethtoolDeviceInclude",
            "ethtoolDeviceExclude",
            "ethtoolMetricsInclude",
            "hwmonChipInclude",
            "hwmonChipExclude",
            "hwmonSensorInclude",
            "hwmonSensorExclude",
            "ipvsBackendLabels",
            "netclassIgnoredDevices",
            "netclassIgnoreInvalidSpeed",
            "netstatFields",
            "powersupplyIgnoredSupplies",
            "raplEnableZoneLabel",
            "statSoftirq",
            "systemdUnitInclude",
            "systemdUnitExclude",
            "systemdEnableTaskMetrics",
            "systemdEnableRestartsMetrics",
            "systemdEnableStartTimeMetrics",
            "tapestatsIgnoredDevices",
            "textfileDirectories",
        ],
    ),
    (
        "applications.*",
        &[
            "url",
            "timeoutMs",
            "team",
            "relabel",
            "seriesLimit",
            "labelLimits",
        ],
    ),
    ("applications.*.relabel.*", RELABEL),
    (
        "kubernetes",
        &[
            "node",
            "api",
            "tokenFile",
            "caFile",
            "namespaces",
            "maxPods",
            "keepDeletedSeconds",
        ],
    ),
    (
        "discovery",
        &[
            "files",
            "pods",
            "maxApplications",
            "timeoutMs",
            "seriesLimit",
            "serviceSeries",
            "labelLimits",
            "relabel",
            "peers",
        ],
    ),
    ("discovery.pods", &["teams"]),
    ("discovery.pods.teams", &[]),
    ("discovery.labelLimits", &[]),
    ("discovery.relabel.*", RELABEL),
    ("budgets", &["perTeam"]),
    ("budgets.perTeam", &["series", "logs"]),
    (
        "budgets.perTeam.logs",
        &["bytesPerDay", "nodes", "over", "keepOneIn"],
    ),
    ("rotate.*", &["path", "maxBytes", "keep"]),
    ("applications", &[]),
    (
        "logs",
        &[
            "sources",
            "elasticsearch",
            "privacy",
            "memoryBytes",
            "deadLetterBytes",
            "maxLineBytes",
            "maxFields",
            "spool",
            "gzip",
            "compress",
        ],
    ),
    ("logs.sources", &[]),
    (
        "logs.sources.*",
        &[
            "paths",
            "syslog",
            "otlp",
            "journald",
            "exclude",
            "format",
            "pattern",
            "container",
            "multiline",
            "timeZone",
            "dataStream",
            "fields",
            "drop",
            "sample",
            "neverSample",
            "start",
            "pods",
        ],
    ),
    ("logs.sources.*.pods", &["waitMs", "labels"]),
    (
        "logs.sources.*.journald",
        &["units", "matches", "directory", "journalctl"],
    ),
    (
        "logs.sources.*.multiline",
        &["begins", "continues", "traces", "maxLines", "pauseMs"],
    ),
    (
        "logs.sources.*.syslog",
        &[
            "udp",
            "tcp",
            "tls",
            "maxConnections",
            "idleSeconds",
            "receiveBufferBytes",
        ],
    ),
    (
        "logs.sources.*.syslog.tls",
        &["address", "certFile", "keyFile", "clientCaFile"],
    ),
    (
        "logs.sources.*.otlp",
        &["maxDataStreams", "services", "otherDataStream"],
    ),
    ("logs.spool", &["maxBytes"]),
    ("logs.privacy", &["redact", "pseudonymise"]),
    ("logs.privacy.pseudonymise", &["fields", "keyFile"]),
    ("logs.elasticsearch", &["endpoints", "auth", "caFile"]),
    ("logs.elasticsearch.auth", AUTH),
    ("logs.elasticsearch.auth.basic", BASIC),
    (
        "traces",
        &[
            "grpc",
            "http",
            "endpoint",
            "memoryBytes",
            "batchSpans",
            "batchDelayMs",
        ],
    ),
    (
        "business",
        &["metrics", "teams", "startAtZeroMs", "maxSeries"],
    ),
    ("business.metrics", &[]),
    ("business.metrics.*", &["help", "unit", "labels", "from"]),
    (
        "business.metrics.*.from.*",
        &["source", "metric", "service", "where", "add", "labels"],
    ),
    ("business.metrics.*.labels", &[]),
    ("business.metrics.*.from.*.labels", &[]),
    ("business.teams", &[]),
    (
        "gate",
        &["prometheus", "alertmanager", "elasticsearch", "services"],
    ),
    ("gate.prometheus", &["url", "auth"]),
    ("gate.prometheus.auth", AUTH),
    ("gate.prometheus.auth.basic", BASIC),
    ("gate.alertmanager", &["url", "auth"]),
    ("gate.alertmanager.auth", AUTH),
    ("gate.alertmanager.auth.basic", BASIC),
    ("gate.elasticsearch", &["endpoints", "auth", "caFile"]),
    ("gate.elasticsearch.auth", AUTH),
    ("gate.elasticsearch.auth.basic", BASIC),
    (
        "otlpMetrics",
        &["seriesPerService", "services", "staleSeconds"],
    ),
    (
        "remoteWrite",
        &["endpoints", "externalLabels", "memoryBytes", "batchSamples"],
    ),
    ("remoteWrite.endpoints", &[]),
    (
        "remoteWrite.endpoints.*",
        &["url", "protocol", "auth", "caFile", "headers", "timeoutMs"],
    ),
    ("remoteWrite.endpoints.*.auth", AUTH),
    ("remoteWrite.endpoints.*.auth.basic", BASIC),
    ("remoteWrite.endpoints.*.headers", &[]),
    ("remoteWrite.externalLabels", &[]),
    ("gate.services", &[]),
    (
        "gate.services.*",
        &[
            "health",
            "healthProbes",
            "windowSeconds",
            "minRequests",
            "errors",
            "total",
            "series",
            "up",
            "scrapeIntervalSeconds",
            "maxErrorRatio",
            "dataStream",
            "maxErrorLogsPerMinute",
            "requireLogs",
            "openCriticalAlerts",
            "watchdog",
        ],
    ),
    (
        "security",
        &[
            "disable",
            "intervalSeconds",
            "auth",
            "integrity",
            "suid",
            "certificates",
            "maxFilesPerSecond",
            "maxBytesPerSecond",
        ],
    ),
    ("security.intervalSeconds", &[]),
    ("security.auth", &["paths", "journal", "top"]),
    (
        "security.integrity",
        &["paths", "exclude", "watch", "maxFiles", "maxFileBytes"],
    ),
    ("security.suid", &["paths", "exclude"]),
    ("security.certificates", &["paths", "exclude", "top"]),
    ("databases", &[]),
    (
        "databases.*",
        &[
            "dsnFile",
            "team",
            "timeoutMs",
            "enable",
            "disable",
            "excludeDatabases",
        ],
    ),
    ("probes", &[]),
    ("probes.*", &["timeoutMs", "http", "tcp", "dns", "icmp"]),
    (
        "probes.*.http",
        &[
            "url",
            "method",
            "headers",
            "body",
            "bodyFile",
            "validStatusCodes",
            "validHttpVersions",
            "preferredIpProtocol",
            "ipProtocolFallback",
            "followRedirects",
            "enableHttp2",
            "failIfSsl",
            "failIfNotSsl",
            "failIfBodyMatchesRegexp",
            "failIfBodyNotMatchesRegexp",
            "failIfHeaderMatches",
            "failIfHeaderNotMatches",
            "compression",
            "bodySizeLimit",
            "auth",
            "tls",
        ],
    ),
    ("probes.*.http.headers", &[]),
    ("probes.*.http.failIfHeaderMatches.*", HEADER),
    ("probes.*.http.failIfHeaderNotMatches.*", HEADER),
    ("probes.*.http.auth", AUTH),
    ("probes.*.http.auth.basic", BASIC),
    ("probes.*.http.tls", TLS),
    (
        "probes.*.tcp",
        &[
            "address",
            "preferredIpProtocol",
            "ipProtocolFallback",
            "sourceIpAddress",
            "tls",
            "tlsConfig",
            "queryResponse",
        ],
    ),
    ("probes.*.tcp.tlsConfig", TLS),
    (
        "probes.*.tcp.queryResponse.*",
        &["expect", "expectBytes", "labels", "send", "starttls"],
    ),
    ("probes.*.tcp.queryResponse.*.labels.*", &["name", "value"]),
    (
        "probes.*.dns",
        &[
            "server",
            "queryName",
            "queryType",
            "queryClass",
            "recursionDesired",
            "transportProtocol",
            "dnsOverTls",
            "tlsConfig",
            "preferredIpProtocol",
            "ipProtocolFallback",
            "sourceIpAddress",
            "validRcodes",
            "validateAnswerRrs",
            "validateAuthorityRrs",
            "validateAdditionalRrs",
        ],
    ),
    ("probes.*.dns.tlsConfig", TLS),
    ("probes.*.dns.validateAnswerRrs", RECORDS),
    ("probes.*.dns.validateAuthorityRrs", RECORDS),
    ("probes.*.dns.validateAdditionalRrs", RECORDS),
    (
        "probes.*.icmp",
        &[
            "host",
            "preferredIpProtocol",
            "ipProtocolFallback",
            "sourceIpAddress",
            "payloadSize",
            "dontFragment",
            "ttl",
        ],
    ),
];

/// The keys that may stand in the map at `path`, `None` if its keys are the user's own names.
pub fn allowed_keys(path: &[&str]) -> Option<&'static [&'static str]> {
    KEYS.iter()
        .find(|(pattern, _)| {
            let parts = pattern.split('.').filter(|part| !part.is_empty());
            parts.clone().count() == path.len()
                && parts
                    .zip(path)
                    .all(|(part, name)| part == "*" || part == *name)
        })
        .map(|(_, keys)| *keys)
        .filter(|keys| !keys.is_empty())
}

/// The known name that `given` most probably meant, if one is near enough.
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase();
    known
        .iter()
        .map(|name| (distance(&given, &name.to_lowercase()), *name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3))
        .map(|(_, name)| name)
}

/// Edit distance in bytes (Levenshtein), one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent_config::{
        AgentConfig, Business, BusinessFigure, BusinessRule, COLLECTORS, Elasticsearch, Gate,
        GateServer, GateService, HttpAuth, Journald, LogContainer, LogFormat, LogSource, LogStart,
        Logs, Multiline, OtlpLogs, OtlpMetrics, Privacy, Probe, Pseudonymise, Redact,
        RemoteEndpoint, RemoteWrite, RuleSource, Security, Spool, Syslog, SyslogTls, TraceLanguage,
        Traces, VERSION,
    };

    #[test]
    fn keys_are_known_by_path() {
        assert!(allowed_keys(&[]).unwrap().contains(&"listen"));
        assert!(
            allowed_keys(&["applications", "booking"])
                .unwrap()
                .contains(&"url")
        );
        assert!(allowed_keys(&["rotate", "0"]).unwrap().contains(&"keep"));
        assert_eq!(allowed_keys(&["applications"]), None);
        assert_eq!(allowed_keys(&["nowhere"]), None);
    }

    /// A probe with every key.
    fn full_probes() -> std::collections::BTreeMap<String, Probe> {
        let tls = "{caFile: /c, certFile: /d, keyFile: /k, serverName: h}";
        let header = "[{header: a, regexp: b}]";
        let rules = "{failIfMatchesRegexp: [a], failIfAllMatchRegexp: [a], \
                     failIfNotMatchesRegexp: [a], failIfNoneMatchesRegexp: [a]}";
        let text = format!(
            "a: {{timeoutMs: 1, http: {{url: u, headers: {{a: b}}, body: x, bodyFile: /b, \
             validStatusCodes: [200], validHttpVersions: [HTTP/1.1], failIfBodyMatchesRegexp: [x], \
             failIfBodyNotMatchesRegexp: [x], failIfHeaderMatches: {header}, \
             failIfHeaderNotMatches: {header}, compression: gzip, auth: {{tokenFile: /t}}, tls: \
             {tls}}}, tcp: {{address: 'h:1', sourceIpAddress: '::', tlsConfig: {tls}, \
             queryResponse: [{{}}]}}, dns: {{server: h, queryName: a, tlsConfig: {tls}, \
             sourceIpAddress: '::', validRcodes: [NOERROR], validateAnswerRrs: {rules}, \
             validateAuthorityRrs: {rules}, validateAdditionalRrs: {rules}}}, icmp: {{host: h, \
             sourceIpAddress: '::'}}}}"
        );
        serde_yaml::from_str(&text).unwrap()
    }

    /// [`KEYS`] and the serde types must not drift apart: every key that a full configuration
    /// writes is listed, and every listed key is written.
    #[test]
    fn the_listed_keys_are_the_ones_that_serde_reads() {
        let elasticsearch = Elasticsearch {
            endpoints: vec!["http://h".into()],
            auth: Some(HttpAuth::TokenFile("/t".into())),
            ca_file: Some("/ca.pem".into()),
        };
        let server = GateServer {
            url: "http://h".into(),
            auth: Some(HttpAuth::TokenFile("/t".into())),
        };
        let full = AgentConfig {
            databases: serde_yaml::from_str(
                "a: {dsnFile: /d, team: t, timeoutMs: 1, enable: [wal], disable: [wal], \
                 excludeDatabases: [d]}",
            )
            .unwrap(),
            version: VERSION,
            listen: "127.0.0.1:1".into(),
            admin: crate::agent_config::Admin {
                socket: Some("/s".into()),
            },
            roots: crate::agent_config::Roots {
                udev_data: Some("/u".into()),
                ..Default::default()
            },
            collectors: crate::agent_config::Collectors {
                disable: vec!["cpu".into()],
                enable: vec!["cgroups".into()],
                timeout_ms: Some(1),
                filesystem_mount_points_exclude: Some(String::new()),
                filesystem_fs_types_exclude: Some(String::new()),
                diskstats_device_exclude: Some(String::new()),
                netdev_device_exclude: Some(String::new()),
                netdev_netlink: Some(true),
                vmstat_fields: Some(String::new()),
                filesystem_mount_points_include: Some(String::new()),
                filesystem_fs_types_include: Some(String::new()),
                diskstats_device_include: Some(String::new()),
                netdev_device_include: Some(String::new()),
                arp_device_include: Some(String::new()),
                arp_device_exclude: Some(String::new()),
                bcache_priority_stats: Some(true),
                ethtool_device_include: Some(String::new()),
                ethtool_device_exclude: Some(String::new()),
                ethtool_metrics_include: Some(String::new()),
                hwmon_chip_include: Some(String::new()),
                hwmon_chip_exclude: Some(String::new()),
                hwmon_sensor_include: Some(String::new()),
                hwmon_sensor_exclude: Some(String::new()),
                ipvs_backend_labels: vec![String::new()],
                netclass_ignored_devices: Some(String::new()),
                netclass_ignore_invalid_speed: Some(true),
                netstat_fields: Some(String::new()),
                powersupply_ignored_supplies: Some(String::new()),
                rapl_enable_zone_label: Some(true),
                stat_softirq: Some(true),
                systemd_unit_include: Some(String::new()),
                systemd_unit_exclude: Some(String::new()),
                systemd_enable_task_metrics: Some(true),
                systemd_enable_restarts_metrics: Some(true),
                systemd_enable_start_time_metrics: Some(true),
                tapestats_ignored_devices: Some(String::new()),
                textfile_directories: vec![String::new()],
            },
            applications: [(
                "a".to_owned(),
                crate::agent_config::Application {
                    team: Some("t".into()),
                    relabel: vec![crate::agent_config::Relabel {
                        source_labels: Some(vec![String::new()]),
                        separator: Some(String::new()),
                        regex: Some(String::new()),
                        modulus: Some(1),
                        target_label: Some(String::new()),
                        replacement: Some(String::new()),
                        action: crate::agent_config::RelabelAction::Keep,
                    }],
                    series_limit: Some(1),
                    label_limits: [("route".to_owned(), 1)].into(),
                    ..crate::agent_config::Application::new("http://h/".into(), 1)
                },
            )]
            .into(),
            kubernetes: serde_yaml::from_str("{node: n, api: 'https://h', namespaces: [a]}")
                .unwrap(),
            discovery: serde_yaml::from_str(
                "{files: [/f.json], pods: {teams: {a: t}}, seriesLimit: 1, serviceSeries: 1, \
                 labelLimits: {a: 1}, relabel: [{source_labels: [a], separator: s, regex: r, \
                 modulus: 1, target_label: t, replacement: r}], peers: 'h:1'}",
            )
            .unwrap(),
            budgets: Some(crate::agent_config::Budgets {
                per_team: crate::agent_config::TeamBudget {
                    series: Some(1),
                    logs: serde_yaml::from_str("bytesPerDay: 1").unwrap(),
                },
            }),
            rotate: vec![crate::agent_config::Rotate {
                path: "/l".into(),
                max_bytes: 1,
                keep: 1,
            }],
            state: Some("/state".into()),
            logs: Some(Logs {
                sources: [(
                    "booking".to_owned(),
                    LogSource {
                        paths: vec!["/l/*.log".into()],
                        syslog: Some(Syslog {
                            udp: Some("127.0.0.1:514".into()),
                            tcp: Some("127.0.0.1:601".into()),
                            tls: Some(SyslogTls {
                                address: "127.0.0.1:6514".into(),
                                cert_file: "/c".into(),
                                key_file: "/k".into(),
                                client_ca_file: Some("/ca".into()),
                            }),
                            ..Syslog::default()
                        }),
                        otlp: Some(OtlpLogs {
                            services: [("a".into(), "t".into())].into(),
                            other_data_stream: Some("o".into()),
                            ..OtlpLogs::default()
                        }),
                        journald: Some(Journald {
                            units: vec!["a.service".into()],
                            matches: vec!["A=1".into()],
                            directory: Some("/j".into()),
                            journalctl: Some("/bin/journalctl".into()),
                        }),
                        exclude: vec!["/l/x.log".into()],
                        format: LogFormat::Pattern,
                        pattern: Some("(?<a>.)".into()),
                        container: Some(LogContainer::Cri),
                        multiline: Some(Multiline {
                            begins: Some("^a".into()),
                            continues: Some("^b".into()),
                            traces: Some(TraceLanguage::Java),
                            max_lines: 1,
                            pause_ms: 1,
                        }),
                        time_zone: Some("UTC".into()),
                        data_stream: "logs-kai.booking-local".into(),
                        fields: [("service.name".to_owned(), "booking".to_owned())].into(),
                        drop: vec!["exists(a)".into()],
                        sample: [("debug".to_owned(), crate::agent_config::Share::ALL)].into(),
                        never_sample: true,
                        start: LogStart::Beginning,
                        pods: Some(crate::agent_config::LogPods::default()),
                    },
                )]
                .into(),
                elasticsearch: Some(elasticsearch.clone()),
                privacy: Some(Privacy {
                    redact: Redact::ALL.to_vec().into(),
                    pseudonymise: Some(Pseudonymise {
                        fields: vec!["a.b".into()],
                        key_file: "/k".into(),
                    }),
                }),
                memory_bytes: 1,
                dead_letter_bytes: 1,
                max_line_bytes: 1,
                max_fields: 1,
                gzip: true,
                spool: Some(Spool::default()),
                compress: Some(crate::agent_config::Compress::Auto),
            }),
            traces: Some(Traces {
                grpc: Some("127.0.0.1:4317".into()),
                http: Some("127.0.0.1:4318".into()),
                endpoint: "http://127.0.0.1:14317".into(),
                memory_bytes: 1,
                batch_spans: 1,
                batch_delay_ms: 1,
            }),
            business: Some(Business {
                metrics: [(
                    "m_total".to_owned(),
                    BusinessFigure {
                        help: "h".into(),
                        unit: "u".into(),
                        labels: [("l".to_owned(), 1)].into(),
                        from: vec![BusinessRule {
                            source: RuleSource::Metric,
                            metric: Some("m".into()),
                            service: Some("s".into()),
                            condition: Some("a == 1".into()),
                            add: Some("a".into()),
                            labels: [("l".to_owned(), "f".to_owned())].into(),
                        }],
                    },
                )]
                .into(),
                teams: [("s".to_owned(), "t".to_owned())].into(),
                start_at_zero_ms: 1,
                max_series: 1,
            }),
            probes: full_probes(),
            gate: Some(Gate {
                prometheus: Some(server.clone()),
                alertmanager: Some(server),
                elasticsearch: Some(elasticsearch),
                services: [(
                    "booking".to_owned(),
                    GateService {
                        health: Some("http://h/".into()),
                        errors: Some("x".into()),
                        total: Some("y".into()),
                        series: Some("s".into()),
                        up: Some("up".into()),
                        data_stream: Some("d".into()),
                        max_error_logs_per_minute: Some(1.0),
                        watchdog: Some("Watchdog".into()),
                        ..GateService::default()
                    },
                )]
                .into(),
            }),
            security: Some(Security {
                disable: vec!["suid".into()],
                interval_seconds: [("auth".to_owned(), 5)].into(),
                ..Security::default()
            }),
            otlp_metrics: Some(OtlpMetrics::default()),
            round_interval_ms: Some(1),
            remote_write: Some(RemoteWrite {
                external_labels: [("cluster".to_owned(), "c".to_owned())].into(),
                ..RemoteWrite::to(
                    [(
                        "central".to_owned(),
                        RemoteEndpoint {
                            auth: Some(HttpAuth::TokenFile("/t".into())),
                            ca_file: Some("/ca.pem".into()),
                            headers: [("X-Scope-OrgID".to_owned(), "kai".to_owned())].into(),
                            ..RemoteEndpoint::at("http://h/api/v1/write".into())
                        },
                    )]
                    .into(),
                )
            }),
        };
        let value = serde_json::to_value(&full).unwrap();
        let keys = |value: &serde_json::Value| {
            let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let listed = |path: &[&str]| {
            let mut keys: Vec<String> = allowed_keys(path)
                .unwrap()
                .iter()
                .map(|key| (*key).to_owned())
                .collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&value), listed(&[]));
        assert_eq!(keys(&value["admin"]), listed(&["admin"]));
        assert_eq!(keys(&value["roots"]), listed(&["roots"]));
        assert_eq!(keys(&value["collectors"]), listed(&["collectors"]));
        assert_eq!(
            keys(&value["applications"]["a"]),
            listed(&["applications", "a"])
        );
        assert_eq!(keys(&value["rotate"][0]), listed(&["rotate", "0"]));
        for path in [
            &["kubernetes"][..],
            &["discovery"],
            &["discovery", "pods"],
            &["logs"],
            &["logs", "sources", "booking"],
            &["logs", "sources", "booking", "pods"],
            &["logs", "sources", "booking", "journald"],
            &["logs", "sources", "booking", "multiline"],
            &["logs", "sources", "booking", "syslog"],
            &["logs", "sources", "booking", "syslog", "tls"],
            &["logs", "sources", "booking", "otlp"],
            &["logs", "spool"],
            &["logs", "privacy"],
            &["logs", "privacy", "pseudonymise"],
            &["logs", "elasticsearch"],
            &["traces"],
            &["business"],
            &["business", "metrics", "m_total"],
            &["gate"],
            &["gate", "prometheus"],
            &["gate", "alertmanager"],
            &["gate", "elasticsearch"],
            &["gate", "services", "booking"],
            &["security"],
            &["security", "auth"],
            &["security", "integrity"],
            &["security", "suid"],
            &["security", "certificates"],
            &["otlpMetrics"],
            &["remoteWrite"],
            &["remoteWrite", "endpoints", "central"],
            &["probes", "a"],
            &["probes", "a", "http"],
            &["probes", "a", "http", "auth"],
            &["probes", "a", "http", "tls"],
            &["probes", "a", "tcp"],
            &["probes", "a", "tcp", "tlsConfig"],
            &["probes", "a", "dns"],
            &["probes", "a", "dns", "tlsConfig"],
            &["probes", "a", "dns", "validateAnswerRrs"],
            &["probes", "a", "icmp"],
        ] {
            let found = path.iter().fold(&value, |value, name| &value[*name]);
            let mut found = keys(found);
            if path == ["probes", "a", "http", "auth"] {
                found = vec!["apiKeyFile".into(), "basic".into(), found.remove(0)];
            }
            assert_eq!(found, listed(path));
        }
        let rule = &value["business"]["metrics"]["m_total"]["from"][0];
        assert_eq!(
            keys(rule),
            listed(&["business", "metrics", "m_total", "from", "0"])
        );
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_near() {
        assert_eq!(nearest("cpuu", &COLLECTORS), Some("cpu"));
        assert_eq!(nearest("diskstat", &COLLECTORS), Some("diskstats"));
        assert_eq!(nearest("zzzzzz", &COLLECTORS), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
