//! The tree of routes. It begins with what needs no team, then one branch a team, then the rest.

use kai_contract::signals::{LABEL_DRILL, LABEL_SEVERITY, LABEL_TEAM};
use serde_json::{Value, json};

use crate::model::{Severity, Stack};
use crate::render::duration;

pub(super) fn route(stack: &Stack, drills_apart: bool) -> Value {
    let routing = &stack.routing;
    let severities = |prefix: &str| -> Vec<Value> {
        Severity::ALL
            .iter()
            .map(|severity| {
                json!({ "receiver": format!("{prefix}-{}", severity.word()),
                        "matchers": [format!("{LABEL_SEVERITY}=\"{}\"", severity.word())] })
            })
            .collect()
    };
    let mut routes = vec![json!({
        "receiver": "heartbeat",
        "matchers": ["alertname=\"Watchdog\""],
        "group_wait": "0s",
        "group_interval": "15s",
        "repeat_interval": "15s",
    })];
    if drills_apart {
        routes.push(json!({
            "receiver": "drill-warning",
            "matchers": [format!("{LABEL_DRILL}!=\"\"")],
            "routes": severities("drill"),
        }));
    }
    for team in stack.teams.keys() {
        routes.push(json!({
            "receiver": format!("{team}-warning"),
            "matchers": [format!("{LABEL_TEAM}=\"{team}\"")],
            "routes": severities(team),
        }));
    }
    // What is left has no team, or one that nobody knows.
    routes.extend(severities(&routing.fallback_team));
    let mut group_by = routing.group_by.clone();
    if !group_by
        .iter()
        .any(|label| label == LABEL_DRILL || label == "...")
    {
        // Two drills, or a drill and an incident, never share a notice.
        group_by.push(LABEL_DRILL.to_owned());
    }
    json!({
        "receiver": format!("{}-warning", routing.fallback_team),
        "group_by": group_by,
        "group_wait": duration(routing.group_wait),
        "group_interval": duration(routing.group_interval),
        "repeat_interval": duration(routing.repeat_interval),
        "routes": routes,
    })
}
