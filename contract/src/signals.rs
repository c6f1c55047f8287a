//! Names of the series that one program writes and the other reads.

/// 1 while a drill is raised. Labels: `severity`, `drill_id`, `team`.
pub const DRILL_ACTIVE: &str = "kai_drill_active";
/// Always 1. Label `hash`: SHA-256, in hexadecimal, of the bytes of the configuration file in
/// force.
pub const AGENT_CONFIG_INFO: &str = "kai_agent_config_info";
/// 1 when the last reload was accepted, 0 when it was refused and the old kept.
pub const AGENT_CONFIG_LAST_RELOAD_SUCCESSFUL: &str = "kai_agent_config_last_reload_successful";
/// Unix time of the last accepted (re)load, in seconds.
pub const AGENT_CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP: &str =
    "kai_agent_config_last_reload_success_timestamp_seconds";
/// 1 or 0 per collector, node_exporter's own name. Label: `collector`.
pub const COLLECTOR_SUCCESS: &str = "node_scrape_collector_success";
/// 1 per collector that could not look, 0 also if there is nothing of its kind on the machine.
/// Label: `collector`.
pub const COLLECTOR_FAILED: &str = "kai_agent_collector_failed";
/// A service that can break itself on demand says here, per `fault`, the Unix time at which the
/// fault was switched on; 0 when it is off. `kai-observe inbox --follow` starts its timeline there.
pub const FAULT_STARTED: &str = "kai_fault_started_timestamp_seconds";

/// Label that chooses the receiver of an alert.
pub const LABEL_TEAM: &str = "team";
/// Label that chooses the channel of an alert.
pub const LABEL_SEVERITY: &str = "severity";
/// Label that marks a drill's alert and finds it again at the receiver.
pub const LABEL_DRILL: &str = "drill_id";
