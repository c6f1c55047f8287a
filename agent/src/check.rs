//! `kai-agent check`: every problem of a configuration, or what the agent would do with it.

use std::fmt::Write as _;
use std::path::Path;

use kai_contract::agent_config::COLLECTORS;
use serde_json::{Value, json};

use crate::config::{self, ConfigError, Loaded};
use crate::settings::Settings;

/// The verdict: text for standard output (or, for problems as text, for standard error) and
/// whether the configuration can be used.
pub struct Verdict {
    pub text: String,
    pub good: bool,
}

/// Reads and judges a file.
pub fn load(file: &Path) -> Result<Loaded, ConfigError> {
    config::read(file).and_then(|bytes| config::parse(file, &bytes))
}

pub fn as_text(file: &Path, result: &Result<Loaded, ConfigError>) -> Verdict {
    match result {
        Ok(loaded) => Verdict {
            text: summary(file, loaded),
            good: true,
        },
        Err(error) => {
            let count = error.problems().len();
            let noun = if count == 1 { "problem" } else { "problems" };
            Verdict {
                text: format!("{error}\n{count} {noun}\n"),
                good: false,
            }
        }
    }
}

pub fn as_json(file: &Path, result: &Result<Loaded, ConfigError>) -> Verdict {
    let value = match result {
        Ok(loaded) => json!({
            "ok": true,
            "file": file,
            "hash": loaded.hash,
            "config": loaded.config,
            "collectors": running(&loaded.settings),
            "patterns": patterns(&loaded.settings),
            "problems": [],
        }),
        Err(error) => json!({ "ok": false, "file": file, "problems": error.problems() }),
    };
    Verdict {
        text: format!("{value:#}\n"),
        good: result.is_ok(),
    }
}

fn running(settings: &Settings) -> Vec<&'static str> {
    COLLECTORS
        .into_iter()
        .filter(|name| settings.runs(name))
        .collect()
}

fn patterns(settings: &Settings) -> Value {
    let shown = |pattern: &Option<std::sync::Arc<regex::bytes::Regex>>| {
        pattern.as_ref().map(|pattern| pattern.as_str().to_owned())
    };
    json!({
        "filesystemMountPointsExclude": shown(&settings.filesystem_mount_points.exclude),
        "filesystemFsTypesExclude": shown(&settings.filesystem_fs_types.exclude),
        "diskstatsDeviceExclude": shown(&settings.diskstats_devices.exclude),
        "netdevDeviceExclude": shown(&settings.netdev_devices.exclude),
        "netstatFields": shown(&settings.netstat_fields.include),
        "vmstatFields": shown(&settings.vmstat_fields.include),
    })
}

fn summary(file: &Path, loaded: &Loaded) -> String {
    let Loaded {
        config,
        settings,
        hash,
    } = loaded;
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<14}{value}"); // writing to a String does not fail
    };
    row("sha256", hash.clone());
    row("listen", config.listen.clone());
    let socket = config.admin.socket.as_ref();
    row(
        "admin socket",
        socket.map_or("none".to_owned(), |path| path.display().to_string()),
    );
    let roots = &config.roots;
    row(
        "roots",
        format!(
            "proc {}, sys {}, root {}",
            roots.proc.display(),
            roots.sys.display(),
            roots.root.display()
        ),
    );
    row("collectors", running(settings).join(" "));
    if !settings.disabled.is_empty() {
        row("disabled", settings.disabled.join(" "));
    }
    row(
        "time limit",
        format!("{} ms per collector", settings.timeout.as_millis()),
    );
    if let Value::Object(patterns) = patterns(settings) {
        for (name, pattern) in patterns {
            row(
                "pattern",
                format!("{name} {}", pattern.as_str().unwrap_or("none")),
            );
        }
    }
    for (name, application) in &config.applications {
        row(
            "application",
            format!(
                "{name} {} within {} ms",
                application.url, application.timeout_ms
            ),
        );
    }
    if let Some(traces) = &config.traces {
        let at = |address: &Option<String>| address.clone().unwrap_or_else(|| "none".to_owned());
        row(
            "traces",
            format!(
                "gRPC {}, HTTP {}, to {} in batches of {} spans or after {} ms, {} bytes at most",
                at(&traces.grpc),
                at(&traces.http),
                traces.endpoint,
                traces.batch_spans,
                traces.batch_delay_ms,
                traces.memory_bytes
            ),
        );
    }
    for entry in &config.rotate {
        row(
            "rotate",
            format!(
                "{} above {} bytes, {} older kept",
                entry.path.display(),
                entry.max_bytes,
                entry.keep
            ),
        );
    }
    format!("{} can be used\n{text}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] = b"version: 1\nlisten: 127.0.0.1:9180\ncollectors: {disable: [cpu]}\n\
        applications: {booking: {url: 'http://127.0.0.1:8080/metrics'}}\n";

    #[test]
    fn a_good_file_is_summed_up() {
        let file = Path::new("agent.yaml");
        let verdict = as_text(file, &config::parse(file, GOOD));
        assert!(verdict.good);
        for part in [
            "127.0.0.1:9180",
            "disabled      cpu",
            "booking http://127.0.0.1:8080/metrics within 4000 ms",
            "oom_kill",
        ] {
            assert!(verdict.text.contains(part), "{part}: {}", verdict.text);
        }
        let verdict = as_json(file, &config::parse(file, GOOD));
        let value: Value = serde_json::from_str(&verdict.text).unwrap();
        assert_eq!(value["ok"], true);
        assert_eq!(value["config"]["listen"], "127.0.0.1:9180");
        assert!(
            !value["collectors"]
                .as_array()
                .unwrap()
                .contains(&json!("cpu"))
        );
    }

    #[test]
    fn a_bad_file_has_all_its_problems_listed() {
        let file = Path::new("agent.yaml");
        let bad = config::parse(file, b"version: 7\nlisten: x\n");
        let verdict = as_json(file, &bad);
        let value: Value = serde_json::from_str(&verdict.text).unwrap();
        assert!(!verdict.good);
        assert_eq!(value["problems"].as_array().unwrap().len(), 2);
        assert_eq!(value["problems"][1]["line"], 2);
        assert!(as_text(file, &bad).text.ends_with("2 problems\n"));
    }
}
