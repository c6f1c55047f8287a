//! From a source to Grafana's dashboard model, schema version 42. Pure: ids count up, places follow
//! from the order.

mod panel;

use serde_json::{Value, json};

use super::source::{Dashboard, Panel, Variable};
use crate::systems::grafana::TAG;

/// Of the model that `@grafana/schema` 13.2 describes; a test checks against it.
const SCHEMA_VERSION: u64 = 42;
const COLUMNS: u32 = 24;

/// Where the panels ask. A system that is not there has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    pub prometheus: Option<String>,
    pub elasticsearch: Option<String>,
    pub jaeger: Option<String>,
}

/// What a dashboard is compiled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub uid: String,
    /// Marks all dashboards of one stack, so that they link to each other.
    pub owner: String,
    /// Added to the title.
    pub stack: String,
    pub sources: Sources,
}

/// The dashboard, without id and version. Panels of systems that are not there are left away.
pub fn compile(source: &Dashboard, target: &Target) -> Value {
    json!({
        "uid": target.uid,
        "title": format!("{} · {}", source.title, target.stack),
        "description": source.about,
        "tags": [TAG, target.owner, source.title.to_lowercase()],
        "timezone": "browser",
        "editable": true,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": false,
        "preload": false,
        "schemaVersion": SCHEMA_VERSION,
        "refresh": "30s",
        "time": { "from": format!("now-{}", source.time), "to": "now" },
        "timepicker": {},
        "templating": { "list": variables(source, target) },
        "annotations": { "list": annotations() },
        "links": links(target),
        "panels": panels(source, target),
    })
}

fn variables(source: &Dashboard, target: &Target) -> Vec<Value> {
    let Some(prometheus) = &target.sources.prometheus else {
        return Vec::new();
    };
    source
        .variables
        .iter()
        .map(|variable| variable_json(variable, prometheus))
        .collect()
}

fn variable_json(variable: &Variable, prometheus: &str) -> Value {
    json!({
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": panel::reference("prometheus", prometheus),
        "query": { "qryType": 1, "query": variable.values, "refId": "PrometheusVariableQueryEditor-VariableQuery" },
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        // Everything, also series that appear after the dashboard was opened.
        "allValue": ".*",
        "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
        "options": [],
        "regex": "",
        "hide": 0,
        "skipUrlSync": false,
    })
}

/// Grafana's own, and what `kai-observe event` tells of.
fn annotations() -> Value {
    let own = json!({ "type": "grafana", "uid": "-- Grafana --" });
    json!([
        {
            "builtIn": 1,
            "datasource": own,
            "enable": true,
            "hide": true,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        },
        {
            "datasource": own,
            "enable": true,
            "hide": false,
            "iconColor": "purple",
            "name": "Deploys",
            "target": { "type": "tags", "tags": [TAG, "deploy"], "matchAny": false, "limit": 100 },
        },
    ])
}

fn links(target: &Target) -> Value {
    json!([{
        "type": "dashboards",
        "title": "",
        "tooltip": "",
        "icon": "external link",
        "tags": [TAG, target.owner],
        "asDropdown": false,
        "includeVars": true,
        "keepTime": true,
        "targetBlank": false,
    }])
}

/// Left to right, then down; a row's panels begin below the row.
fn panels(source: &Dashboard, target: &Target) -> Vec<Value> {
    let mut out = Vec::new();
    let mut next_id = 1;
    let mut id = || {
        next_id += 1;
        next_id - 1
    };
    let mut top = 0;
    for row in &source.rows {
        let shown: Vec<&Panel> = row
            .panels
            .iter()
            .filter(|panel| panel::is_fed(panel, &target.sources))
            .collect();
        if shown.is_empty() {
            continue;
        }
        out.push(json!({
            "id": id(),
            "type": "row",
            "title": row.title,
            "collapsed": false,
            "panels": [],
            "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": top },
        }));
        top += 1;
        let mut place = Flow {
            left: 0,
            top,
            deepest: 0,
        };
        for panel in &shown {
            let (width, height) = size(panel, shown.len() as u32);
            let (x, y) = place.put(width, height);
            let grid = json!({ "h": height, "w": width, "x": x, "y": y });
            out.push(panel::compile(panel, id(), &grid, target));
        }
        top = place.top + place.deepest;
    }
    out
}

struct Flow {
    left: u32,
    top: u32,
    /// Height of the highest panel beside.
    deepest: u32,
}

impl Flow {
    fn put(&mut self, width: u32, height: u32) -> (u32, u32) {
        if self.left + width > COLUMNS {
            self.left = 0;
            self.top += self.deepest;
            self.deepest = 0;
        }
        let at = (self.left, self.top);
        self.left += width;
        self.deepest = self.deepest.max(height);
        at
    }
}

/// Numbers share a line; graphs stand in pairs; lines of text want all the width.
fn size(panel: &Panel, beside: u32) -> (u32, u32) {
    use super::source::Kind;
    let (width, height) = match panel.kind {
        Kind::Stat => ((COLUMNS / beside).max(3), 4),
        Kind::Timeseries | Kind::Bars | Kind::Table => (COLUMNS / 2, 8),
        Kind::Logs => (COLUMNS, 12),
    };
    (panel.width.unwrap_or(width), panel.height.unwrap_or(height))
}

#[cfg(test)]
mod tests;
