//! What a panel asks of Elasticsearch or OpenSearch, and whether the answer has anything in it. So a
//! dashboard is proven on the data itself where no Kibana can be asked. Pure.

use serde_json::{Map, Value, json};

use super::kql;
use super::source::{How, KibanaKind, KibanaPanel, Measure};

/// Values of the inner fields of a table's rows.
const INNER: u32 = 5;

/// The body of a search.
pub fn body(panel: &KibanaPanel, time: &str) -> Result<Value, String> {
    let query = query(&panel.search, time)?;
    if panel.kind == KibanaKind::Documents {
        return Ok(json!({
            "size": 50,
            "query": query,
            "sort": [{ "@timestamp": { "order": "desc", "unmapped_type": "date" } }],
            "_source": panel.columns,
        }));
    }
    let measures = panel.measures();
    let inner = match panel.kind {
        KibanaKind::Count => aggregations(&measures),
        KibanaKind::Table => buckets(&panel.rows, panel.top, &measures),
        _ => {
            let mut over_time = json!({ "time": {
                "date_histogram": { "field": "@timestamp", "fixed_interval": interval(time), "min_doc_count": 1 },
            } });
            let each = aggregations(&measures);
            if !each.is_empty() {
                over_time["time"]["aggs"] = each.into();
            }
            match &panel.split {
                None => over_time.as_object().cloned().unwrap_or_default(),
                Some(split) => {
                    let mut all = buckets(std::slice::from_ref(split), panel.top, &measures);
                    if let Some(terms) = all.get_mut("rows") {
                        terms["aggs"]["time"] = over_time["time"].take();
                    }
                    all
                }
            }
        }
    };
    Ok(json!({ "size": 0, "track_total_hits": true, "query": query, "aggs": inner }))
}

/// A search within the last `time`.
pub fn query(search: &str, time: &str) -> Result<Value, String> {
    let range = json!({ "range": { "@timestamp": { "gte": format!("now-{time}") } } });
    Ok(json!({ "bool": { "filter": [range, kql::query(search)?] } }))
}

/// Some forty steps.
fn interval(time: &str) -> &'static str {
    match time.trim_start_matches(|c: char| c.is_ascii_digit()) {
        "m" => "10s",
        "h" => "5m",
        "d" if time
            .trim_end_matches('d')
            .parse()
            .is_ok_and(|days: u32| days > 2) =>
        {
            "3h"
        }
        _ => "30m",
    }
}

fn name(index: usize) -> String {
    format!("m{index}")
}

fn aggregations(measures: &[Measure]) -> Map<String, Value> {
    measures
        .iter()
        .enumerate()
        .filter_map(|(index, measure)| Some((name(index), aggregation(measure)?)))
        .collect()
}

/// None for a count, which every bucket has.
fn aggregation(measure: &Measure) -> Option<Value> {
    let field = &measure.field;
    Some(match measure.how {
        How::Count => return None,
        How::Unique => json!({ "cardinality": { "field": field } }),
        How::Average => json!({ "avg": { "field": field } }),
        How::Median => json!({ "percentiles": { "field": field, "percents": [50] } }),
        How::Percentile(n) => json!({ "percentiles": { "field": field, "percents": [n] } }),
        How::Max | How::Last => json!({ "max": { "field": field } }),
        How::Min | How::First => json!({ "min": { "field": field } }),
        How::Sum => json!({ "sum": { "field": field } }),
    })
}

/// Terms within terms, ordered by the first measure.
fn buckets(rows: &[String], top: u32, measures: &[Measure]) -> Map<String, Value> {
    let order = match measures.first().map(|measure| measure.how) {
        None | Some(How::Count) => "_count".to_owned(),
        Some(How::Median) => format!("{}.50", name(0)),
        Some(How::Percentile(n)) => format!("{}.{n}", name(0)),
        Some(_) => name(0),
    };
    let mut inner: Option<Map<String, Value>> = None;
    for (depth, field) in rows.iter().enumerate().rev() {
        let size = if depth == 0 { top } else { INNER };
        let mut aggs = aggregations(measures);
        aggs.extend(inner.take().unwrap_or_default());
        let mut terms = json!({
            "terms": { "field": field, "size": size, "order": { &order: "desc" } },
        });
        if !aggs.is_empty() {
            terms["aggs"] = aggs.into();
        }
        inner = Some(Map::from_iter([("rows".to_owned(), terms)]));
    }
    inner.unwrap_or_default()
}

/// Whether a panel would show nothing.
pub fn is_empty(panel: &KibanaPanel, reply: &Value) -> bool {
    let aggs = &reply["aggregations"];
    let has_rows = |of: &Value| {
        let buckets = of["buckets"].as_array();
        buckets.is_some_and(|buckets| !buckets.is_empty())
    };
    match panel.kind {
        KibanaKind::Documents => reply["hits"]["hits"].as_array().is_none_or(Vec::is_empty),
        KibanaKind::Count => match panel.measures().first().map(|m| m.how) {
            None | Some(How::Count) => reply["hits"]["total"]["value"].as_u64().unwrap_or(0) == 0,
            Some(_) => !has_value(&aggs["m0"]),
        },
        KibanaKind::Table => !has_rows(&aggs["rows"]) || !rows_are_whole(panel, &aggs["rows"]),
        _ if panel.split.is_some() => !has_rows(&aggs["rows"]),
        _ => !has_rows(&aggs["time"]),
    }
}

/// Whether the outermost row has all the fields within it, without which nothing is shown.
fn rows_are_whole(panel: &KibanaPanel, outer: &Value) -> bool {
    let mut level = vec![outer];
    for _ in 1..panel.rows.len() {
        level = level
            .iter()
            .flat_map(|of| of["buckets"].as_array().into_iter().flatten())
            .map(|bucket| &bucket["rows"])
            .collect();
    }
    level
        .iter()
        .any(|of| of["buckets"].as_array().is_some_and(|all| !all.is_empty()))
}

fn has_value(of: &Value) -> bool {
    match of.get("values").and_then(Value::as_object) {
        Some(values) => values.values().any(Value::is_number),
        None => of["value"].as_f64().is_some_and(|value| value != 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::kibana_sources;

    #[test]
    fn every_panel_can_be_asked_and_knows_an_empty_answer() {
        for (name, source) in kibana_sources() {
            let source = source.unwrap();
            for panel in &source.panels {
                let body = body(panel, &source.time).unwrap();
                assert!(body["query"].is_object(), "{name} {}", panel.title);
                let nothing = json!({ "hits": { "total": { "value": 0 }, "hits": [] },
                    "aggregations": { "rows": { "buckets": [] }, "time": { "buckets": [] },
                        "m0": { "value": null } } });
                assert!(is_empty(panel, &nothing), "{name} {}", panel.title);
            }
        }
    }
}
