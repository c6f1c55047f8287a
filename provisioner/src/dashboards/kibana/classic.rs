//! A source as OpenSearch Dashboards has it: no Lens, but one `visualization` for each chart, in the
//! form that it shares with Kibana 7 (`visState`: a type and its aggregations), and a dashboard that
//! refers to them. Deploys are not marked: its annotations belong to another kind of chart. Pure.

use serde_json::{Value, json};

use super::source::{How, KibanaDashboard, KibanaKind, KibanaPanel, Measure};
use super::{Compiled, DASHBOARD, DataViews, Flow, INDEX, SEARCH, VISUALIZATION};

/// Of the panels that are visualizations.
pub fn names<'a>(slug: &'a str, source: &'a KibanaDashboard) -> impl Iterator<Item = String> + 'a {
    let panels = source.panels.iter().enumerate();
    panels
        .filter(|(_, panel)| panel.kind != KibanaKind::Documents)
        .map(move |(n, _)| chart_name(slug, n))
}

fn chart_name(slug: &str, n: usize) -> String {
    format!("{slug}-chart-{}", n + 1)
}

/// In an order in which each refers to earlier ones only.
pub fn compile(
    slug: &str,
    source: &KibanaDashboard,
    stack: &str,
    views: &DataViews,
    id: &dyn Fn(&str) -> String,
) -> Vec<Compiled> {
    let mut out = Vec::new();
    let mut panels = Vec::new();
    let mut references = Vec::new();
    let mut place = Flow::default();
    for (n, (panel, search)) in super::searches(slug, source).enumerate() {
        let index = (n + 1).to_string();
        let name = format!("panel_{n}");
        panels.push(json!({
            "panelIndex": index,
            "gridData": place.put(panel, &index),
            "panelRefName": name,
            "embeddableConfig": {},
            "title": panel.title,
            "version": "2.0.0",
        }));
        let view = views.of(panel.of);
        let object = match search {
            Some(slug) => Compiled {
                kind: SEARCH,
                slug,
                body: saved_search(panel, stack, view),
            },
            None => Compiled {
                kind: VISUALIZATION,
                slug: chart_name(slug, n),
                body: visualization(panel, stack, view),
            },
        };
        references.push(json!({ "name": name, "type": object.kind, "id": id(&object.slug) }));
        out.push(object);
    }
    let mut dashboard = super::dashboard(source, stack, panels, references);
    dashboard["attributes"]["options"] = json!({ "useMargins": true, "hidePanelTitles": false });
    dashboard["attributes"]["version"] = json!(1);
    out.push(Compiled {
        kind: DASHBOARD,
        slug: slug.to_owned(),
        body: dashboard,
    });
    out
}

fn saved_search(panel: &KibanaPanel, stack: &str, view: &str) -> Value {
    json!({
        "attributes": {
            "title": format!("{} · {stack}", panel.title),
            "description": "",
            "hits": 0,
            "columns": panel.columns,
            "sort": [["@timestamp", "desc"]],
            "version": 1,
            "searchSource": { "query": super::query(panel), "filter": [], "indexRefName": INDEX },
        },
        "references": [{ "name": INDEX, "type": "index-pattern", "id": view }],
    })
}

fn visualization(panel: &KibanaPanel, stack: &str, view: &str) -> Value {
    let title = format!("{} · {stack}", panel.title);
    let measures = panel.measures();
    let mut aggs: Vec<Value> = measures
        .iter()
        .enumerate()
        .map(|(n, measure)| metric(n, measure))
        .collect();
    let order = order_by(&measures);
    let next = measures.len() + 1;
    let (kind, params) = match panel.kind {
        KibanaKind::Count => ("metric", number()),
        KibanaKind::Table => {
            for (n, field) in panel.rows.iter().enumerate() {
                let size = if n == 0 { panel.top } else { 5 };
                aggs.push(terms(next + n, "bucket", field, size, &order));
            }
            ("table", table())
        }
        _ => {
            aggs.push(json!({
                "id": next.to_string(), "enabled": true, "type": "date_histogram", "schema": "segment",
                "params": { "field": "@timestamp", "interval": "auto", "min_doc_count": 1, "extended_bounds": {} },
            }));
            if let Some(field) = &panel.split {
                aggs.push(terms(next + 1, "group", field, panel.top, &order));
            }
            let kind = match panel.kind {
                KibanaKind::Lines => "line",
                _ => "histogram",
            };
            (kind, chart(kind, &measures))
        }
    };
    json!({
        "attributes": {
            "title": title,
            "description": "",
            "visState": { "title": title, "type": kind, "params": params, "aggs": aggs },
            "uiStateJSON": "{}",
            "version": 1,
            "searchSource": { "query": super::query(panel), "filter": [], "indexRefName": INDEX },
        },
        "references": [{ "name": INDEX, "type": "index-pattern", "id": view }],
    })
}

fn metric(n: usize, measure: &Measure) -> Value {
    let kind = match measure.how {
        How::Count => "count",
        How::Unique => "cardinality",
        How::Average => "avg",
        How::Median => "median",
        How::Percentile(_) => "percentiles",
        How::Max | How::Last => "max",
        How::Min | How::First => "min",
        How::Sum => "sum",
    };
    let mut params = json!({ "customLabel": measure.title });
    if measure.how != How::Count {
        params["field"] = json!(measure.field);
    }
    match measure.how {
        How::Percentile(percent) => params["percents"] = json!([percent]),
        How::Median => params["percents"] = json!([50]),
        _ => {}
    }
    json!({ "id": (n + 1).to_string(), "enabled": true, "type": kind, "schema": "metric", "params": params })
}

/// Several values of one measure are told apart behind a dot.
fn order_by(measures: &[Measure]) -> String {
    match measures.first().map(|measure| measure.how) {
        Some(How::Percentile(n)) => format!("1.{n}"),
        Some(How::Median) => "1.50".to_owned(),
        _ => "1".to_owned(),
    }
}

fn terms(id: usize, schema: &str, field: &str, size: u32, order: &str) -> Value {
    json!({
        "id": id.to_string(), "enabled": true, "type": "terms", "schema": schema,
        "params": {
            "field": field, "size": size, "order": "desc", "orderBy": order,
            "otherBucket": false, "otherBucketLabel": "Other",
            "missingBucket": false, "missingBucketLabel": "Missing",
            "customLabel": field,
        },
    })
}

fn number() -> Value {
    json!({
        "addTooltip": true, "addLegend": false, "type": "metric",
        "metric": {
            "percentageMode": false, "useRanges": false, "colorSchema": "Green to Red",
            "metricColorMode": "None", "colorsRange": [{ "from": 0, "to": 10_000 }],
            "labels": { "show": true }, "invertColors": false,
            "style": { "bgFill": "#000", "bgColor": false, "labelColor": false, "subText": "", "fontSize": 60 },
        },
    })
}

fn table() -> Value {
    json!({
        "perPage": 10, "showPartialRows": false, "showMetricsAtAllLevels": false,
        "sort": { "columnIndex": null, "direction": null }, "showTotal": false,
        "totalFunc": "sum", "percentageCol": "",
    })
}

fn chart(kind: &str, measures: &[Measure]) -> Value {
    let mode = if kind == "line" { "normal" } else { "stacked" };
    let series: Vec<Value> = measures
        .iter()
        .enumerate()
        .map(|(n, measure)| {
            json!({
                "show": true, "type": kind, "mode": mode,
                "data": { "label": measure.title, "id": (n + 1).to_string() },
                "valueAxis": "ValueAxis-1", "drawLinesBetweenPoints": true, "showCircles": true,
            })
        })
        .collect();
    json!({
        "type": kind, "grid": { "categoryLines": false },
        "categoryAxes": [{
            "id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": true, "style": {},
            "scale": { "type": "linear" }, "labels": { "show": true, "filter": true, "truncate": 100 }, "title": {},
        }],
        "valueAxes": [{
            "id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left", "show": true,
            "style": {}, "scale": { "type": "linear", "mode": "normal" },
            "labels": { "show": true, "rotate": 0, "filter": false, "truncate": 100 },
            "title": { "text": measures.first().map_or("", |measure| &measure.title) },
        }],
        "seriesParams": series, "addTooltip": true, "addLegend": true, "legendPosition": "right",
        "times": [], "addTimeMarker": false, "labels": { "show": false },
        "thresholdLine": { "show": false, "value": 10, "width": 1, "style": "full", "color": "#E7664C" },
    })
}
