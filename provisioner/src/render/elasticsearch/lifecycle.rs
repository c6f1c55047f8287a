//! How long documents of a kind are kept and what becomes of their indices until then, in the
//! neutral form that [`crate::systems::elasticsearch`] turns into ILM or ISM.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::duration;
use crate::model::{Elasticsearch, LogKind, Stack, Warm};

pub(super) struct Kept {
    retention: String,
    rollover: String,
    bytes: u64,
    warm: Option<Warm>,
}

/// Of the lines of a kind.
pub(super) fn of(stack: &Stack, settings: &Elasticsearch, kind: LogKind) -> Kept {
    kept(settings, retention(stack, settings, kind))
}

/// How long lines of a kind are kept.
pub fn retention(stack: &Stack, settings: &Elasticsearch, kind: LogKind) -> Duration {
    let said = stack.privacy.retention.of(kind);
    said.unwrap_or(settings.retention)
}

/// Of Jaeger's indices.
pub(super) fn of_traces(stack: &Stack, settings: &Elasticsearch) -> Kept {
    kept(settings, trace_retention(stack))
}

/// How long spans are kept in Elasticsearch.
pub fn trace_retention(stack: &Stack) -> Duration {
    let usual = Duration::from_hours(7 * 24);
    stack.privacy.retention.traces.unwrap_or(usual)
}

fn kept(settings: &Elasticsearch, retention: Duration) -> Kept {
    let given = &settings.lifecycle;
    let age = given.rollover_age.unwrap_or_else(|| rollover(retention));
    Kept {
        retention: duration(retention),
        rollover: duration(age),
        bytes: given.rollover_bytes,
        warm: given.warm.clone(),
    }
}

impl Kept {
    pub(super) fn policy(&self, patterns: &[String]) -> Value {
        let mut out = json!({
            "retention": self.retention,
            "rollover": self.rollover,
            "size": size(self.bytes),
            "patterns": patterns,
        });
        if let Some(warm) = &self.warm {
            out["warm"] = warm_phase(warm);
        }
        out
    }

    /// A policy that is named, or the lifecycle itself where there are no policies.
    pub(super) fn in_template(&self, policy: &str) -> Value {
        json!({
            "lifecycle": { "enabled": true, "data_retention": self.retention },
            "settings": { "index": { "lifecycle": { "name": policy } } },
        })
    }
}

fn warm_phase(warm: &Warm) -> Value {
    let mut out = Map::new();
    out.insert("after".to_owned(), json!(duration(warm.after)));
    out.insert("forceMerge".to_owned(), json!(warm.force_merge));
    if let Some(shards) = warm.shrink {
        out.insert("shrink".to_owned(), json!(shards));
    }
    if let Some(replicas) = warm.replicas {
        out.insert("replicas".to_owned(), json!(replicas));
    }
    if !warm.allocate.is_empty() {
        out.insert("allocate".to_owned(), json!(warm.allocate));
    }
    Value::Object(out)
}

/// In the largest of the server's units that divides it, as it gives it back.
fn size(bytes: u64) -> String {
    for (unit, shift) in [("tb", 40), ("gb", 30), ("mb", 20), ("kb", 10)] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}b")
}

/// A stream is deleted index by index: how long one is written to.
fn rollover(retention: Duration) -> Duration {
    let day = Duration::from_hours(24);
    if retention >= day * 7 {
        day
    } else {
        Duration::from_hours((retention.as_secs() / 3_600 / 7).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_written_to_for_a_small_part_of_the_retention() {
        let hours = |hours| Duration::from_hours(hours);
        assert_eq!(rollover(hours(30 * 24)), hours(24));
        assert_eq!(rollover(hours(48)), hours(6));
        assert_eq!(rollover(Duration::from_mins(10)), hours(1));
    }

    #[test]
    fn sizes_use_the_largest_unit_that_divides() {
        assert_eq!(size(10 << 30), "10gb");
        assert_eq!(size(1536 << 20), "1536mb");
        assert_eq!(size(10_000_000_000), "9765625kb");
        assert_eq!(size((1 << 20) + 1), "1048577b");
    }
}
