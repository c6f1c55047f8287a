//! From a source to Kibana's saved objects: a dashboard of Lens panels by value, and the saved
//! search behind a panel that shows documents. Pure.
//!
//! What Kibana stores as text inside JSON (`panelsJSON`, `searchSourceJSON`) is an object here, so
//! that it can be compared; `systems/kibana.rs` folds it.

use serde_json::{Value, json};

use super::source::{KibanaDashboard, KibanaKind, KibanaPanel};

const COLUMNS: u32 = 48;
const LAYER: &str = "logs";

pub struct Compiled {
    pub dashboard: Value,
    /// The one that all panels of documents share; the first panel says what it searches.
    pub search: Option<Value>,
}

/// `data_view` and `search` are the ids that the objects refer to.
pub fn compile(source: &KibanaDashboard, stack: &str, data_view: &str, search: &str) -> Compiled {
    let mut panels = Vec::new();
    let mut references = Vec::new();
    let (mut left, mut top, mut deepest) = (0, 0, 0);
    for (n, panel) in source.panels.iter().enumerate() {
        if left + panel.width > COLUMNS {
            (left, top, deepest) = (0, top + deepest, 0);
        }
        let index = format!("p{}", n + 1);
        let grid = json!({ "x": left, "y": top, "w": panel.width, "h": panel.height, "i": index });
        left += panel.width;
        deepest = deepest.max(panel.height);
        if panel.kind == KibanaKind::Documents {
            let name = format!("{index}:panel_{index}");
            references.push(json!({ "name": name, "type": "search", "id": search }));
            panels.push(json!({
                "type": "search",
                "panelIndex": index,
                "gridData": grid,
                "panelRefName": format!("panel_{index}"),
                "embeddableConfig": { "enhancements": {} },
                "title": panel.title,
            }));
            continue;
        }
        let name = format!("{index}:indexpattern-datasource-layer-{LAYER}");
        references.push(json!({ "name": name, "type": "index-pattern", "id": data_view }));
        panels.push(json!({
            "type": "lens",
            "panelIndex": index,
            "gridData": grid,
            "embeddableConfig": { "enhancements": {}, "attributes": lens(panel, data_view) },
            "title": panel.title,
        }));
    }
    let documents = source
        .panels
        .iter()
        .find(|panel| panel.kind == KibanaKind::Documents);
    Compiled {
        dashboard: json!({
            "attributes": {
                "title": format!("{} · {stack}", source.title),
                "description": source.about,
                "panels": panels,
                "options": { "useMargins": true, "syncColors": true, "syncCursor": true, "syncTooltips": false, "hidePanelTitles": false },
                "searchSource": { "query": { "query": "", "language": "kuery" }, "filter": [] },
                "timeRestore": true,
                "timeFrom": "now-1h",
                "timeTo": "now",
                "refreshInterval": { "pause": false, "value": 30000 },
            },
            "references": references,
        }),
        search: documents.map(|panel| saved_search(panel, stack, data_view)),
    }
}

fn query(panel: &KibanaPanel) -> Value {
    json!({ "query": panel.search, "language": "kuery" })
}

fn saved_search(panel: &KibanaPanel, stack: &str, data_view: &str) -> Value {
    let index = "kibanaSavedObjectMeta.searchSourceJSON.index";
    json!({
        "attributes": {
            "title": format!("{} · {stack}", panel.title),
            "description": "",
            "columns": panel.columns,
            "sort": [["@timestamp", "desc"]],
            "grid": {},
            "hideChart": false,
            "isTextBasedQuery": false,
            "searchSource": { "query": query(panel), "filter": [], "indexRefName": index },
        },
        "references": [{ "name": index, "type": "index-pattern", "id": data_view }],
    })
}

fn lens(panel: &KibanaPanel, data_view: &str) -> Value {
    let (kind, visualization) = match panel.kind {
        KibanaKind::Count => (
            "lnsMetric",
            json!({ "layerId": LAYER, "layerType": "data", "metricAccessor": "count" }),
        ),
        _ => ("lnsXY", bars()),
    };
    json!({
        "title": panel.title,
        "type": "lens",
        "visualizationType": kind,
        "state": {
            "visualization": visualization,
            "query": query(panel),
            "filters": [],
            "datasourceStates": { "formBased": { "layers": { LAYER: layer(panel) } } },
            "internalReferences": [],
            "adHocDataViews": {},
        },
        "references": [{
            "name": format!("indexpattern-datasource-layer-{LAYER}"),
            "type": "index-pattern",
            "id": data_view,
        }],
    })
}

fn bars() -> Value {
    json!({
        "legend": { "isVisible": true, "position": "right" },
        "valueLabels": "hide",
        "preferredSeriesType": "bar_stacked",
        "layers": [{
            "layerId": LAYER,
            "layerType": "data",
            "seriesType": "bar_stacked",
            "position": "top",
            "showGridlines": false,
            "xAccessor": "time",
            "splitAccessor": "split",
            "accessors": ["count"],
        }],
    })
}

fn layer(panel: &KibanaPanel) -> Value {
    let count = json!({
        "label": panel.title,
        "customLabel": true,
        "dataType": "number",
        "operationType": "count",
        "sourceField": "___records___",
        "isBucketed": false,
        "scale": "ratio",
        "params": { "emptyAsNull": false },
    });
    let Some(field) = panel
        .split
        .as_ref()
        .filter(|_| panel.kind == KibanaKind::Bars)
    else {
        return json!({
            "columns": { "count": count },
            "columnOrder": ["count"],
            "incompleteColumns": {},
            "sampling": 1,
        });
    };
    json!({
        "columns": {
            "split": {
                "label": field,
                "customLabel": true,
                "dataType": "string",
                "operationType": "terms",
                "sourceField": field,
                "isBucketed": true,
                "scale": "ordinal",
                "params": {
                    "size": 10,
                    "orderBy": { "type": "column", "columnId": "count" },
                    "orderDirection": "desc",
                    "otherBucket": true,
                    "missingBucket": false,
                    "parentFormat": { "id": "terms" },
                },
            },
            "time": {
                "label": "@timestamp",
                "dataType": "date",
                "operationType": "date_histogram",
                "sourceField": "@timestamp",
                "isBucketed": true,
                "scale": "interval",
                "params": { "interval": "auto", "includeEmptyRows": true, "dropPartials": false },
            },
            "count": count,
        },
        "columnOrder": ["split", "time", "count"],
        "incompleteColumns": {},
        "sampling": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::kibana_sources;

    #[test]
    fn every_panel_refers_to_what_is_named_and_nothing_else_is() {
        for (_, source) in kibana_sources() {
            let compiled = compile(&source.unwrap(), "t local", "view", "search");
            let references = compiled.dashboard["references"].as_array().unwrap().clone();
            let panels = compiled.dashboard["attributes"]["panels"]
                .as_array()
                .unwrap();
            assert_eq!(references.len(), panels.len());
            for panel in panels {
                let index = panel["panelIndex"].as_str().unwrap();
                assert!(references.iter().any(|reference| {
                    reference["name"]
                        .as_str()
                        .unwrap()
                        .starts_with(&format!("{index}:"))
                }));
                let grid = |key: &str| panel["gridData"][key].as_u64().unwrap();
                assert!(grid("x") + grid("w") <= u64::from(COLUMNS));
            }
            assert!(compiled.search.is_some());
        }
    }
}
