//! A panel as Kibana's Lens has it, by value. Pure.

use serde_json::{Map, Value, json};

use super::source::{How, KibanaKind, KibanaPanel, Measure, Of};
use super::{DataViews, query};

const LAYER: &str = "logs";
const DEPLOYS: &str = "deploys";
/// Of events that tell of a deploy.
pub(super) const DEPLOY: &str = "event.action : *";

/// The attributes, and what they refer to: name and id.
pub(super) fn attributes(panel: &KibanaPanel, views: &DataViews) -> (Value, Vec<(String, String)>) {
    let mut references = vec![(
        format!("indexpattern-datasource-layer-{LAYER}"),
        views.of(panel.of).to_owned(),
    )];
    if panel.deploys {
        references.push((
            format!("xy-visualization-layer-{DEPLOYS}"),
            views.of(Of::Deploys).to_owned(),
        ));
    }
    let columns = Columns::of(panel);
    let (kind, visualization) = match panel.kind {
        KibanaKind::Count => (
            "lnsMetric",
            json!({ "layerId": LAYER, "layerType": "data", "metricAccessor": columns.measures[0] }),
        ),
        KibanaKind::Table => ("lnsDatatable", table(&columns)),
        _ => ("lnsXY", chart(panel, &columns)),
    };
    let list: Vec<Value> = references
        .iter()
        .map(|(name, id)| json!({ "name": name, "type": "index-pattern", "id": id }))
        .collect();
    let attributes = json!({
        "title": panel.title,
        "type": "lens",
        "visualizationType": kind,
        "state": {
            "visualization": visualization,
            "query": query(panel),
            "filters": [],
            "datasourceStates": { "formBased": { "layers": { LAYER: {
                "columns": columns.all,
                "columnOrder": columns.order,
                "incompleteColumns": {},
                "sampling": 1,
            } } } },
            "internalReferences": [],
            "adHocDataViews": {},
        },
        "references": list,
    });
    (attributes, references)
}

/// The columns of a panel's one layer.
struct Columns {
    all: Map<String, Value>,
    order: Vec<String>,
    rows: Vec<String>,
    measures: Vec<String>,
}

impl Columns {
    fn of(panel: &KibanaPanel) -> Self {
        let measures: Vec<(String, Measure)> = panel
            .measures()
            .into_iter()
            .enumerate()
            .map(|(n, measure)| {
                let id = if n == 0 {
                    "count".to_owned()
                } else {
                    format!("value{n}")
                };
                (id, measure)
            })
            .collect();
        let mut out = Self {
            all: Map::new(),
            order: Vec::new(),
            rows: Vec::new(),
            measures: measures.iter().map(|(id, _)| id.clone()).collect(),
        };
        for (n, field) in panel.rows.iter().enumerate() {
            let size = if n == 0 { panel.top } else { 5 };
            out.add(format!("row{n}"), terms(field, size, false));
            out.rows.push(format!("row{n}"));
        }
        if matches!(panel.kind, KibanaKind::Bars | KibanaKind::Lines) {
            if let Some(field) = &panel.split {
                out.add("split".to_owned(), terms(field, panel.top, true));
            }
            out.add("time".to_owned(), over_time());
        }
        for (id, measure) in measures {
            out.add(id, column(&measure));
        }
        out
    }

    fn add(&mut self, id: String, column: Value) {
        self.order.push(id.clone());
        self.all.insert(id, column);
    }
}

fn over_time() -> Value {
    json!({
        "label": "@timestamp",
        "dataType": "date",
        "operationType": "date_histogram",
        "sourceField": "@timestamp",
        "isBucketed": true,
        "scale": "interval",
        "params": { "interval": "auto", "includeEmptyRows": true, "dropPartials": false },
    })
}

fn terms(field: &str, size: u32, rest: bool) -> Value {
    json!({
        "label": field,
        "customLabel": true,
        "dataType": if field == "source.ip" { "ip" } else { "string" },
        "operationType": "terms",
        "sourceField": field,
        "isBucketed": true,
        "scale": "ordinal",
        "params": {
            "size": size,
            "orderBy": { "type": "column", "columnId": "count" },
            "orderDirection": "desc",
            "otherBucket": rest,
            "missingBucket": false,
            "parentFormat": { "id": "terms" },
        },
    })
}

fn column(measure: &Measure) -> Value {
    let (operation, params) = match measure.how {
        How::Count => ("count", json!({ "emptyAsNull": false })),
        How::Unique => ("unique_count", json!({ "emptyAsNull": false })),
        How::Average => ("average", json!({ "emptyAsNull": true })),
        How::Median => ("median", json!({ "emptyAsNull": true })),
        How::Percentile(n) => ("percentile", json!({ "percentile": n })),
        How::Max | How::Last => ("max", json!({ "emptyAsNull": true })),
        How::Min | How::First => ("min", json!({ "emptyAsNull": true })),
        How::Sum => ("sum", json!({ "emptyAsNull": true })),
    };
    let date = matches!(measure.how, How::First | How::Last);
    json!({
        "label": measure.title,
        "customLabel": true,
        "dataType": if date { "date" } else { "number" },
        "operationType": operation,
        "sourceField": if measure.how == How::Count { "___records___" } else { &measure.field },
        "isBucketed": false,
        "scale": if date { "interval" } else { "ratio" },
        "params": params,
    })
}

fn table(columns: &Columns) -> Value {
    let all = columns.rows.iter().chain(&columns.measures);
    json!({
        "layerId": LAYER,
        "layerType": "data",
        "columns": all.map(|id| json!({ "columnId": id, "isTransposed": false })).collect::<Vec<_>>(),
        "rowHeight": "auto",
        "paging": { "size": 10, "enabled": true },
    })
}

fn chart(panel: &KibanaPanel, columns: &Columns) -> Value {
    let series = match panel.kind {
        KibanaKind::Lines => "line",
        _ => "bar_stacked",
    };
    let mut data = json!({
        "layerId": LAYER,
        "layerType": "data",
        "seriesType": series,
        "position": "top",
        "showGridlines": false,
        "xAccessor": "time",
        "accessors": columns.measures,
    });
    if panel.split.is_some() {
        data["splitAccessor"] = json!("split");
    }
    let mut layers = vec![data];
    if panel.deploys {
        layers.push(deploys());
    }
    json!({
        "legend": { "isVisible": true, "position": "right" },
        "valueLabels": "hide",
        "preferredSeriesType": series,
        "layers": layers,
    })
}

/// A line at the moment of each deploy. Kibana's own spelling of `persistanceType`; its data view is
/// a reference.
fn deploys() -> Value {
    json!({
        "layerId": DEPLOYS,
        "layerType": "annotations",
        "persistanceType": "byValue",
        "ignoreGlobalFilters": true,
        "annotations": [{
            "id": "deploy",
            "type": "query",
            "label": "Deploy",
            "key": { "type": "point_in_time" },
            "icon": "tag",
            "color": "#9170b8",
            "lineStyle": "dashed",
            "lineWidth": 1,
            "timeField": "@timestamp",
            "textVisibility": true,
            "textField": "service.version",
            "extraFields": ["service.name", "event.outcome"],
            "filter": { "type": "kibana_filter", "query": DEPLOY, "language": "kuery" },
        }],
    })
}
