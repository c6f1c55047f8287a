//! One panel: its queries, its fields, its options.

use serde_json::{Map, Value, json};

use super::{Sources, Target};
use crate::dashboards::source::{Kind, LogQuery, Panel, Query};

pub(super) fn reference(kind: &str, uid: &str) -> Value {
    json!({ "type": kind, "uid": uid })
}

/// Whether what it asks is there.
pub(super) fn is_fed(panel: &Panel, sources: &Sources) -> bool {
    if panel.logs.is_empty() {
        sources.prometheus.is_some()
    } else {
        sources.elasticsearch.is_some()
    }
}

pub(super) fn compile(panel: &Panel, id: u32, grid: &Value, target: &Target) -> Value {
    let (source, targets) = if panel.logs.is_empty() {
        let uid = target.sources.prometheus.as_deref().unwrap_or_default();
        let source = reference("prometheus", uid);
        let targets = panel.queries.iter().enumerate();
        let targets: Vec<Value> = targets
            .map(|(n, query)| metric_target(panel, query, n, &source))
            .collect();
        (source, targets)
    } else {
        let uid = target.sources.elasticsearch.as_deref().unwrap_or_default();
        let source = reference("elasticsearch", uid);
        let targets = panel.logs.iter().enumerate();
        let targets: Vec<Value> = targets
            .map(|(n, query)| log_target(query, n, &source))
            .collect();
        (source, targets)
    };
    let mut out = json!({
        "id": id,
        "type": plugin(panel.kind),
        "title": panel.title,
        "description": panel.about,
        "gridPos": grid,
        "datasource": source,
        "targets": targets,
        "fieldConfig": { "defaults": field_defaults(panel), "overrides": [] },
        "options": options(panel),
        "transparent": false,
    });
    if panel.kind == Kind::Table {
        out["transformations"] = json!([{
            "id": "organize",
            "options": { "excludeByName": { "Time": true }, "indexByName": {}, "renameByName": {} },
        }]);
    }
    out
}

fn plugin(kind: Kind) -> &'static str {
    match kind {
        Kind::Stat => "stat",
        Kind::Timeseries => "timeseries",
        Kind::Bars => "bargauge",
        Kind::Table => "table",
        Kind::Logs => "logs",
    }
}

/// `A`, `B`, …
fn ref_id(n: usize) -> String {
    char::from(b'A' + (n % 26) as u8).to_string()
}

fn metric_target(panel: &Panel, query: &Query, n: usize, source: &Value) -> Value {
    let instant = query.instant || panel.kind == Kind::Table;
    json!({
        "refId": ref_id(n),
        "datasource": source,
        "editorMode": "code",
        "expr": query.query,
        "legendFormat": query.legend.as_deref().unwrap_or("__auto"),
        "format": if panel.kind == Kind::Table { "table" } else { "time_series" },
        "instant": instant,
        "range": !instant,
        "exemplar": query.exemplars,
    })
}

fn log_target(query: &LogQuery, n: usize, source: &Value) -> Value {
    let (metrics, buckets) = match &query.count_by {
        None => (
            json!([{ "id": "1", "type": "logs", "settings": { "limit": "500" } }]),
            json!([]),
        ),
        Some(field) => (
            json!([{ "id": "1", "type": "count" }]),
            json!([
                { "id": "2", "type": "terms", "field": field,
                  "settings": { "size": "10", "order": "desc", "orderBy": "1", "min_doc_count": "1" } },
                { "id": "3", "type": "date_histogram", "field": "@timestamp",
                  "settings": { "interval": "auto", "min_doc_count": "0" } },
            ]),
        ),
    };
    json!({
        "refId": ref_id(n),
        "datasource": source,
        "query": query.search,
        "alias": "",
        "timeField": "@timestamp",
        "metrics": metrics,
        "bucketAggs": buckets,
    })
}

fn field_defaults(panel: &Panel) -> Value {
    let mut out = Map::new();
    if let Some(unit) = &panel.unit {
        out.insert("unit".into(), json!(unit));
    }
    if let Some(decimals) = panel.decimals {
        out.insert("decimals".into(), json!(decimals));
    }
    // Ratios and counts begin at nothing; a graph that does not exaggerates.
    let min = panel.min.or(match panel.kind {
        Kind::Timeseries => Some(0.0),
        _ => None,
    });
    if let Some(min) = min {
        out.insert("min".into(), number(min));
    }
    if let Some(max) = panel.max {
        out.insert("max".into(), number(max));
    }
    if panel.kind == Kind::Logs {
        return Value::Object(out);
    }
    out.insert("mappings".into(), json!([]));
    let color = match panel.kind {
        Kind::Timeseries => "palette-classic-by-name",
        _ => "thresholds",
    };
    out.insert("color".into(), json!({ "mode": color }));
    out.insert(
        "thresholds".into(),
        json!({ "mode": "absolute", "steps": steps(panel) }),
    );
    match panel.kind {
        Kind::Timeseries => {
            out.insert("custom".into(), graph(panel));
        }
        Kind::Table => {
            out.insert(
                "custom".into(),
                json!({ "align": "auto", "cellOptions": { "type": "auto" }, "inspect": false }),
            );
        }
        _ => {}
    }
    Value::Object(out)
}

fn steps(panel: &Panel) -> Vec<Value> {
    let base = if panel.thresholds.is_empty() {
        "text"
    } else {
        "green"
    };
    let mut sorted: Vec<(&String, f64)> = panel
        .thresholds
        .iter()
        .map(|(color, from)| (color, *from))
        .collect();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut out = vec![json!({ "color": base, "value": null })];
    out.extend(
        sorted
            .into_iter()
            .map(|(color, from)| json!({ "color": color, "value": number(from) })),
    );
    out
}

/// Whole numbers as such: Grafana writes back `1`, not `1.0`.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

fn graph(panel: &Panel) -> Value {
    let stacking = if panel.stacked { "normal" } else { "none" };
    let lines = if panel.thresholds.is_empty() {
        "off"
    } else {
        "dashed"
    };
    json!({
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": if panel.stacked { 30 } else { 8 },
        "gradientMode": "none",
        "showPoints": "never",
        "spanNulls": false,
        "insertNulls": false,
        "stacking": { "group": "A", "mode": stacking },
        "thresholdsStyle": { "mode": lines },
        "axisPlacement": "auto",
        "axisLabel": "",
        "scaleDistribution": { "type": "linear" },
        "hideFrom": { "legend": false, "tooltip": false, "viz": false },
    })
}

fn options(panel: &Panel) -> Value {
    let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    match panel.kind {
        Kind::Stat => json!({
            "reduceOptions": last,
            "orientation": "auto",
            "textMode": "auto",
            "colorMode": if panel.thresholds.is_empty() { "none" } else { "value" },
            "graphMode": "area",
            "justifyMode": "auto",
            "percentChangeColorMode": "standard",
            "showPercentChange": false,
            "wideLayout": true,
        }),
        Kind::Timeseries => json!({
            "legend": { "showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": [] },
            "tooltip": { "mode": "multi", "sort": "desc", "hideZeros": false },
        }),
        Kind::Bars => json!({
            "reduceOptions": last,
            "orientation": "horizontal",
            "displayMode": "basic",
            "valueMode": "color",
            "namePlacement": "auto",
            "showUnfilled": true,
            "sizing": "auto",
            "minVizHeight": 16,
            "minVizWidth": 8,
            "maxVizHeight": 300,
            "legend": { "showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": [] },
        }),
        Kind::Table => json!({
            "frameIndex": 0,
            "showHeader": true,
            "cellHeight": "sm",
            "sortBy": [{ "displayName": "Value", "desc": true }],
        }),
        Kind::Logs => json!({
            "showTime": true,
            "showLabels": false,
            "showCommonLabels": false,
            "wrapLogMessage": true,
            "prettifyLogMessage": false,
            "enableLogDetails": true,
            "showLogContextToggle": false,
            "dedupStrategy": "none",
            "sortOrder": "Descending",
        }),
    }
}
