//! What the agent says of itself, kept by prometheus-client and shown in the text format 0.0.4.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kai_contract::signals;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::drills::Active;
use crate::exposition::{Page, float};
use crate::process::{Process as Own, Usage};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Config {
    hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "the fields are the labels")]
struct Drill {
    severity: &'static str,
    drill_id: String,
    team: String,
}

/// Labels of `kai_agent_app_scrapes_total`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppScrape {
    pub app: String,
    /// The status that was answered with.
    pub code: u16,
}

/// Counters and gauges about the agent. All are cheap to clone and to change from anywhere.
#[derive(Debug)]
pub struct SelfMetrics {
    /// Requests to `/metrics/app/<name>`.
    pub app_scrapes: Family<AppScrape, Counter>,
    /// Output files made small.
    pub rotations: Counter,
    /// Output files that could not be made small.
    pub rotate_failures: Counter,
    /// The trace lane's; nothing is shown without one.
    pub traces: crate::traces::Ledger,
    /// Of OTLP metrics; nothing is shown where none are taken.
    pub otlp_metrics: crate::otlp_metrics::Ledger,
    /// Of remote write; nothing is shown without a receiver.
    pub remote_write: crate::remote_write::Ledger,
    config: Family<Config, Gauge>,
    reload_successful: Gauge,
    reload_timestamp: Gauge<f64, AtomicU64>,
    drills: Family<Drill, Gauge>,
    process: Process,
    /// Locked while it is written, because some families are set just before.
    encoder: Mutex<Encoder>,
}

#[derive(Debug, Default)]
struct Process {
    cpu: Counter<f64, AtomicU64>,
    memory: Gauge,
    open_fds: Gauge,
    start_time: Gauge,
}

#[derive(Debug)]
struct Encoder {
    registry: Registry,
    own: Own,
    text: String,
}

impl SelfMetrics {
    /// Shows nothing more of an application that is gone.
    pub fn forget_application(&self, app: &str) {
        for code in [200, 404, 500, 502, 503, 504] {
            let app = app.to_owned();
            self.app_scrapes.remove(&AppScrape { app, code });
        }
    }

    pub fn new() -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            app_scrapes: Family::default(),
            rotations: Counter::default(),
            rotate_failures: Counter::default(),
            traces: crate::traces::Ledger::default(),
            otlp_metrics: crate::otlp_metrics::Ledger::default(),
            remote_write: crate::remote_write::Ledger::default(),
            config: Family::default(),
            reload_successful: Gauge::default(),
            reload_timestamp: Gauge::default(),
            drills: Family::default(),
            process: Process::default(),
            encoder: Mutex::new(Encoder {
                registry: Registry::default(),
                own: Own::new(),
                text: String::new(),
            }),
        };
        let build = Family::<Build, Gauge>::default();
        build
            .get_or_create(&Build {
                version: env!("CARGO_PKG_VERSION"),
            })
            .set(1);
        // The library adds the full stop to each help text, and "_total" to each counter.
        registry.register(
            "kai_agent_build_info",
            "Version of the agent, always 1",
            build,
        );
        registry.register(
            signals::AGENT_CONFIG_INFO,
            "SHA-256 of the configuration file in force, always 1",
            metrics.config.clone(),
        );
        registry.register(
            signals::AGENT_CONFIG_LAST_RELOAD_SUCCESSFUL,
            "Whether the last reload was accepted (1) or refused and the old configuration kept (0)",
            metrics.reload_successful.clone(),
        );
        registry.register(
            signals::AGENT_CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP,
            "Unix time of the last accepted load of the configuration",
            metrics.reload_timestamp.clone(),
        );
        registry.register(
            signals::DRILL_ACTIVE,
            "1 while a drill is raised; the series with severity \"none\" is always there and 0",
            metrics.drills.clone(),
        );
        registry.register(
            "kai_agent_app_scrapes",
            "Requests for an application's page by the status that was answered with",
            metrics.app_scrapes.clone(),
        );
        registry.register(
            "kai_agent_rotations",
            "Output files copied aside and emptied",
            metrics.rotations.clone(),
        );
        registry.register(
            "kai_agent_rotate_failures",
            "Attempts to keep an output file small that failed",
            metrics.rotate_failures.clone(),
        );
        metrics.traces.register(&mut registry);
        metrics.otlp_metrics.register(&mut registry);
        metrics.remote_write.register(&mut registry);
        registry.register(
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds",
            metrics.process.cpu.clone(),
        );
        registry.register(
            "process_resident_memory_bytes",
            "Resident memory size in bytes",
            metrics.process.memory.clone(),
        );
        registry.register(
            "process_open_fds",
            "Number of open file descriptors",
            metrics.process.open_fds.clone(),
        );
        registry.register(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds",
            metrics.process.start_time.clone(),
        );
        metrics.lock().registry = registry;
        metrics
    }

    /// A configuration is in force from now on.
    pub fn config_accepted(&self, hash: &str) {
        self.config.clear();
        self.config
            .get_or_create(&Config {
                hash: hash.to_owned(),
            })
            .set(1);
        self.reload_successful.set(1);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.reload_timestamp.set((now.as_millis() as f64) / 1e3);
    }

    /// A configuration was refused; the one before stays in force.
    pub fn config_refused(&self) {
        self.reload_successful.set(0);
    }

    /// Fills a page with all families as they are now.
    pub fn page(&self, drills: &[Active]) -> Page {
        let mut encoder = self.lock();
        self.drills.clear();
        let none = Drill {
            severity: "none",
            drill_id: String::new(),
            team: String::new(),
        };
        self.drills.get_or_create(&none).set(0);
        for drill in drills {
            let labels = Drill {
                severity: drill.severity.as_str(),
                drill_id: drill.id.clone(),
                team: drill.team.clone().unwrap_or_default(),
            };
            self.drills.get_or_create(&labels).set(1);
        }
        self.traces.refresh();
        if let Some(usage) = encoder.own.usage() {
            self.process.set(&usage);
        }
        let Encoder { registry, text, .. } = &mut *encoder;
        text.clear();
        let mut page = Page::default();
        if encode_registry(text, registry).is_err() {
            tracing::error!(
                "the agent's own metrics could not be written; they are missing in this scrape"
            );
            return page;
        }
        to_text_format(text, &mut page);
        self.traces.write_latency(&mut page);
        page
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Encoder> {
        self.encoder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SelfMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Process {
    fn set(&self, usage: &Usage) {
        let cpu = usage.cpu.as_secs_f64();
        self.cpu.inner().store(cpu.to_bits(), Ordering::Relaxed);
        self.memory.set(usage.resident_bytes as i64);
        if let Some(files) = usage.open_files {
            self.open_fds.set(files as i64);
        }
        self.start_time.set(usage.started as i64);
    }
}

/// prometheus-client writes OpenMetrics, in which a counter's family lacks the `_total` of its
/// samples. Moves its families to `page` in the text format 0.0.4, numbers as everywhere else.
fn to_text_format(open_metrics: &str, page: &mut Page) {
    let mut rest = open_metrics;
    while let Some(block) = rest.strip_prefix("# HELP ") {
        let end = block
            .find("\n# HELP ")
            .map_or(rest.len(), |at| at + "# HELP ".len() + 1);
        let (family, after) = rest.split_at(end);
        rest = after;
        let name = block.split(' ').next().unwrap_or_default();
        let counter = family.contains(&format!("# TYPE {name} counter\n"));
        let name = if counter {
            format!("{name}_total")
        } else {
            name.to_owned()
        };
        let mut out = Vec::with_capacity(family.len() + 32);
        let mut samples = 0;
        for line in family.lines() {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", keyword @ ("HELP" | "TYPE"), _, text] => {
                    out.extend_from_slice(format!("# {keyword} {name} {text}\n").as_bytes());
                }
                ["#", ..] => {}
                _ => {
                    let Some((series, value)) = line.rsplit_once(' ') else {
                        continue;
                    };
                    let series = series.strip_suffix("{}").unwrap_or(series);
                    samples += 1;
                    out.extend_from_slice(series.as_bytes());
                    out.push(b' ');
                    match value.parse() {
                        Ok(value) => float::write(&mut out, value),
                        Err(_) => out.extend_from_slice(value.as_bytes()),
                    }
                    out.push(b'\n');
                }
            }
        }
        if samples > 0 {
            page.append_encoded(&name, &String::from_utf8_lossy(&out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drills::Severity;
    use crate::exposition::merge;

    fn text(metrics: &SelfMetrics, drills: &[Active]) -> String {
        let mut out = Vec::new();
        merge([&metrics.page(drills)], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn counters_are_named_as_their_samples() {
        let metrics = SelfMetrics::new();
        metrics.rotations.inc();
        let text = text(&metrics, &[]);
        assert!(
            text.contains(
                "# HELP kai_agent_rotations_total Output files copied aside and emptied.\n\
                 # TYPE kai_agent_rotations_total counter\nkai_agent_rotations_total 1\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("# TYPE process_cpu_seconds_total counter\n"),
            "{text}"
        );
        assert!(
            !text.contains("kai_agent_app_scrapes"),
            "no sample yet: {text}"
        );
    }

    #[test]
    fn the_process_describes_itself() {
        let text = text(&SelfMetrics::new(), &[]);
        let value = |name: &str| -> f64 {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e5, "{text}");
        assert!(value("process_open_fds") >= 3.0, "{text}");
        assert!(value("process_start_time_seconds") > 1.7e9, "{text}");
    }

    #[test]
    fn a_raised_drill_is_a_series_and_a_cleared_one_is_not() {
        let metrics = SelfMetrics::new();
        let drill = Active {
            id: "d-1".to_owned(),
            severity: Severity::Critical,
            team: Some("booking".to_owned()),
            remaining_seconds: 5,
        };
        let raised = text(&metrics, &[drill]);
        let series =
            "kai_drill_active{severity=\"critical\",drill_id=\"d-1\",team=\"booking\"} 1\n";
        let none = "kai_drill_active{severity=\"none\",drill_id=\"\",team=\"\"} 0\n";
        assert!(raised.contains(series) && raised.contains(none), "{raised}");
        let cleared = text(&metrics, &[]);
        assert!(
            !cleared.contains("critical") && cleared.contains(none),
            "{cleared}"
        );
    }

    #[test]
    fn only_the_configuration_in_force_is_shown() {
        let metrics = SelfMetrics::new();
        metrics.config_accepted("aa");
        metrics.config_accepted("bb");
        metrics.config_refused();
        let text = text(&metrics, &[]);
        assert!(
            text.contains("kai_agent_config_info{hash=\"bb\"} 1\n"),
            "{text}"
        );
        assert!(!text.contains("\"aa\""), "{text}");
        assert!(
            text.contains("kai_agent_config_last_reload_successful 0\n"),
            "{text}"
        );
    }
}
