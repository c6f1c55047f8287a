//! `systems.elasticsearch` where it has parts of its own, and `privacy.retention`.

use crate::model::{AgentAccess, Lifecycle, Retention, Snapshots, Warm};
use crate::spec::format::cluster;
use crate::spec::view::View;

pub(super) fn lifecycle(view: View<'_>) -> Lifecycle {
    let rollover = view.child("rollover");
    let warm = view.child("warm");
    let number = |key| warm.given(key).map(|_| warm.integer(key));
    Lifecycle {
        rollover_age: rollover.optional_duration("age"),
        rollover_bytes: rollover
            .text("size")
            .and_then(|text| cluster::bytes(&text).ok())
            .unwrap_or_default(),
        warm: view.given("warm").map(|_| Warm {
            after: warm.duration("after"),
            force_merge: warm.boolean("forceMerge"),
            shrink: number("shrink"),
            replicas: number("replicas"),
            allocate: warm.text_map("allocate"),
        }),
    }
}

pub(super) fn retention(view: View<'_>) -> Retention {
    Retention {
        app: view.optional_duration("app"),
        access: view.optional_duration("access"),
        audit: view.optional_duration("audit"),
        traces: view.optional_duration("traces"),
    }
}

pub(super) fn snapshots(view: View<'_>) -> Option<Snapshots> {
    view.given("snapshots")?;
    let view = view.child("snapshots");
    let at = view.text("at").unwrap_or_default();
    let (hour, minute) = at.split_once(':').unwrap_or_default();
    Some(Snapshots {
        repository: view.text("repository").unwrap_or_default(),
        hour: hour.parse().unwrap_or_default(),
        minute: minute.parse().unwrap_or_default(),
        keep: view.integer("keep"),
    })
}

pub(super) fn agent_access(view: View<'_>) -> Option<AgentAccess> {
    view.given("agentAccess")?;
    let view = view.child("agentAccess");
    let grants = view.texts("grant");
    let has = |word: &str| grants.iter().any(|grant| grant == word);
    Some(AgentAccess {
        key: has("apiKey"),
        role: has("role"),
        rotation: view.integer("rotation"),
        may_delete: view.boolean("mayDelete"),
    })
}
