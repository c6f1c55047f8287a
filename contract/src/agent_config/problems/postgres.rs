//! What can be wrong with `postgres:`.

use super::{Problem, name_in_path};
use crate::agent_config::{AgentConfig, POSTGRES_COLLECTORS, nearest};

pub(super) fn check(config: &AgentConfig, found: &mut Vec<Problem>) {
    for (name, database) in &config.postgres {
        let at = |key: &str| format!("postgres.{name}.{key}");
        if let Some(message) = name_in_path(name, "/metrics/postgres/<name>") {
            found.push(Problem::new(format!("postgres.{name}"), message));
        }
        if !database.dsn_file.is_absolute() {
            found.push(Problem::new(
                at("dsnFile"),
                format!(
                    "\"{}\" is not an absolute path; begin it with /",
                    database.dsn_file.display()
                ),
            ));
        }
        if !(10..=600_000).contains(&database.timeout_ms) {
            found.push(Problem::new(
                at("timeoutMs"),
                format!(
                    "{} is out of range; give milliseconds from 10 to 600000",
                    database.timeout_ms
                ),
            ));
        }
        let known = POSTGRES_COLLECTORS.map(|(name, _)| name);
        for (list, names) in [("enable", &database.enable), ("disable", &database.disable)] {
            for (index, collector) in names.iter().enumerate() {
                if known.contains(&collector.as_str()) {
                    continue;
                }
                let hint = nearest(collector, &known).map_or_else(
                    || format!("the collectors are {}", known.join(", ")),
                    |near| format!("did you mean \"{near}\"?"),
                );
                found.push(Problem::new(
                    at(&format!("{list}.{index}")),
                    format!("there is no collector \"{collector}\" for PostgreSQL; {hint}"),
                ));
            }
        }
        for (index, collector) in database.enable.iter().enumerate() {
            if database.disable.contains(collector) {
                found.push(Problem::new(
                    at(&format!("enable.{index}")),
                    format!("\"{collector}\" is disabled as well; keep one"),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let text = "version: 2\nlisten: 127.0.0.1:0\npostgres:\n  ok: {dsnFile: /s}\n  'a b': \
                    {dsnFile: s, timeoutMs: 1, enable: [wall, locks], disable: [locks]}\n";
        let config: AgentConfig = serde_yaml::from_str(text).unwrap();
        let paths: Vec<String> = config.problems().into_iter().map(|p| p.path).collect();
        assert_eq!(
            paths,
            [
                "postgres.a b",
                "postgres.a b.dsnFile",
                "postgres.a b.timeoutMs",
                "postgres.a b.enable.0",
                "postgres.a b.enable.1",
            ]
        );
    }
}
