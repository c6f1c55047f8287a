//! From a source to Kibana's saved objects: a dashboard of Lens panels by value, and the saved
//! searches behind its panels that show documents; or to those of OpenSearch Dashboards
//! ([`classic`]). Pure.
//!
//! What Kibana stores as text inside JSON (`panelsJSON`, `searchSourceJSON`) is an object here, so
//! that it can be compared; `systems/kibana.rs` folds it.

use serde_json::{Value, json};

pub mod classic;
pub mod kql;
mod lens;
pub mod request;
pub mod source;

use source::{KibanaDashboard, KibanaKind, KibanaPanel, Of};

const COLUMNS: u32 = 48;

/// Ids of the data views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataViews {
    pub logs: String,
    pub deploys: String,
}

impl DataViews {
    fn of(&self, of: Of) -> &str {
        match of {
            Of::Logs => &self.logs,
            Of::Deploys => &self.deploys,
        }
    }
}

/// One saved object.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// `search`, `visualization` or `dashboard`.
    pub kind: &'static str,
    /// What it is called among those of its kind.
    pub slug: String,
    pub body: Value,
}

pub const SEARCH: &str = "search";
pub const VISUALIZATION: &str = "visualization";
pub const DASHBOARD: &str = "dashboard";

/// Each panel with what is its own object: nothing, or a search; the first has its dashboard's name.
fn searches<'a>(
    slug: &'a str,
    source: &'a KibanaDashboard,
) -> impl Iterator<Item = (&'a KibanaPanel, Option<String>)> {
    let mut number = 0;
    source.panels.iter().map(move |panel| {
        if panel.kind != KibanaKind::Documents {
            return (panel, None);
        }
        number += 1;
        let name = match number {
            1 => slug.to_owned(),
            n => format!("{slug}-{n}"),
        };
        (panel, Some(name))
    })
}

/// Kind and slug of all that a source becomes, by which it is found again.
pub fn names(slug: &str, source: &KibanaDashboard) -> Vec<(&'static str, String)> {
    let searches = searches(slug, source).filter_map(|(_, name)| Some((SEARCH, name?)));
    let charts = classic::names(slug, source).map(|name| (VISUALIZATION, name));
    std::iter::once((DASHBOARD, slug.to_owned()))
        .chain(searches)
        .chain(charts)
        .collect()
}

/// In an order in which each refers to earlier ones only. `id` gives an object's id from its slug.
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
    for (n, (panel, search)) in searches(slug, source).enumerate() {
        let index = format!("p{}", n + 1);
        let grid = place.put(panel, &index);
        if let Some(name) = search {
            let reference = format!("{index}:panel_{index}");
            references.push(json!({ "name": reference, "type": "search", "id": id(&name) }));
            panels.push(json!({
                "type": "search",
                "panelIndex": index,
                "gridData": grid,
                "panelRefName": format!("panel_{index}"),
                "embeddableConfig": { "enhancements": {} },
                "title": panel.title,
            }));
            out.push(Compiled {
                kind: SEARCH,
                slug: name,
                body: saved_search(panel, stack, views.of(panel.of)),
            });
            continue;
        }
        let (attributes, refers) = lens::attributes(panel, views);
        for (name, id) in refers {
            let name = format!("{index}:{name}");
            references.push(json!({ "name": name, "type": "index-pattern", "id": id }));
        }
        panels.push(json!({
            "type": "lens",
            "panelIndex": index,
            "gridData": grid,
            "embeddableConfig": { "enhancements": {}, "attributes": attributes },
            "title": panel.title,
        }));
    }
    let mut dashboard = dashboard(source, stack, panels, references);
    dashboard["attributes"]["options"] = json!({ "useMargins": true, "syncColors": true, "syncCursor": true, "syncTooltips": false, "hidePanelTitles": false });
    out.push(Compiled {
        kind: DASHBOARD,
        slug: slug.to_owned(),
        body: dashboard,
    });
    out
}

fn dashboard(
    source: &KibanaDashboard,
    stack: &str,
    panels: Vec<Value>,
    references: Vec<Value>,
) -> Value {
    json!({
        "attributes": {
            "title": format!("{} · {stack}", source.title),
            "description": source.about,
            "panels": panels,
            "searchSource": { "query": { "query": "", "language": "kuery" }, "filter": [] },
            "timeRestore": true,
            "timeFrom": format!("now-{}", source.time),
            "timeTo": "now",
            "refreshInterval": { "pause": false, "value": 30000 },
        },
        "references": references,
    })
}

/// Left to right, then down.
#[derive(Default)]
struct Flow {
    left: u32,
    top: u32,
    deepest: u32,
}

impl Flow {
    fn put(&mut self, panel: &KibanaPanel, index: &str) -> Value {
        if self.left + panel.width > COLUMNS {
            (self.left, self.top, self.deepest) = (0, self.top + self.deepest, 0);
        }
        let grid = json!({ "x": self.left, "y": self.top, "w": panel.width, "h": panel.height, "i": index });
        self.left += panel.width;
        self.deepest = self.deepest.max(panel.height);
        grid
    }
}

fn query(panel: &KibanaPanel) -> Value {
    json!({ "query": panel.search, "language": "kuery" })
}

const INDEX: &str = "kibanaSavedObjectMeta.searchSourceJSON.index";

fn saved_search(panel: &KibanaPanel, stack: &str, data_view: &str) -> Value {
    json!({
        "attributes": {
            "title": format!("{} · {stack}", panel.title),
            "description": "",
            "columns": panel.columns,
            "sort": [["@timestamp", "desc"]],
            "grid": {},
            "hideChart": false,
            "isTextBasedQuery": false,
            "searchSource": { "query": query(panel), "filter": [], "indexRefName": INDEX },
        },
        "references": [{ "name": INDEX, "type": "index-pattern", "id": data_view }],
    })
}

/// References of `objects` (id, type and body of each) that lead to none of them.
pub fn dangling<'a>(objects: impl Iterator<Item = (&'a str, &'a str, &'a Value)>) -> Vec<String> {
    let all: Vec<(&str, &str, &Value)> = objects.collect();
    let mut out = Vec::new();
    for (kind, id, body) in &all {
        let mut wanted = Vec::new();
        collect(body, &mut wanted);
        for (kind_wanted, id_wanted) in wanted {
            let found = all
                .iter()
                .any(|(kind, id, _)| *kind == kind_wanted && *id == id_wanted);
            if !found {
                out.push(format!("{kind} {id} refers to {kind_wanted} {id_wanted}"));
            }
        }
    }
    out
}

/// Every object with a type and an id inside a list called `references`, wherever it stands.
fn collect(value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                if key == "references" {
                    for one in inner.as_array().into_iter().flatten() {
                        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                        out.push((text("type"), text("id")));
                    }
                }
                collect(inner, out);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::kibana_sources;

    fn views() -> DataViews {
        DataViews {
            logs: "v-logs".into(),
            deploys: "v-deploys".into(),
        }
    }

    /// All objects of a source, with the data views.
    fn all(classic: bool) -> Vec<(String, String, Value)> {
        let mut out: Vec<(String, String, Value)> = ["v-logs", "v-deploys"]
            .map(|id| ("index-pattern".to_owned(), id.to_owned(), json!({})))
            .into();
        for (slug, source) in kibana_sources() {
            let source = source.unwrap();
            let id = |slug: &str| format!("o-{slug}");
            let compiled = if classic {
                classic::compile(slug, &source, "t local", &views(), &id)
            } else {
                compile(slug, &source, "t local", &views(), &id)
            };
            let known = names(slug, &source);
            for object in compiled {
                assert!(
                    known.contains(&(object.kind, object.slug.clone())),
                    "{}",
                    object.slug
                );
                out.push((object.kind.to_owned(), id(&object.slug), object.body));
            }
        }
        out
    }

    fn dangles(objects: &[(String, String, Value)]) -> Vec<String> {
        dangling(
            objects
                .iter()
                .map(|(kind, id, body)| (kind.as_str(), id.as_str(), body)),
        )
    }

    #[test]
    fn no_reference_leads_nowhere_and_one_that_does_is_found() {
        for classic in [false, true] {
            let objects = all(classic);
            assert_eq!(dangles(&objects), Vec::<String>::new());
            // Whatever else is taken away is missed by something; nothing refers to a dashboard.
            for n in 0..objects.len() {
                let (kind, id, _) = &objects[n];
                let mut less = objects.clone();
                less.remove(n);
                let missed = dangles(&less)
                    .iter()
                    .any(|text| text.ends_with(&format!("{kind} {id}")));
                assert_eq!(missed, kind != "dashboard", "{kind} {id}");
            }
        }
    }

    #[test]
    fn every_panel_refers_to_what_is_named_and_nothing_else_is() {
        for (slug, source) in kibana_sources() {
            let id = |slug: &str| format!("o-{slug}");
            let compiled = compile(slug, &source.unwrap(), "t local", &views(), &id);
            let dashboard = &compiled.last().unwrap().body;
            let references = dashboard["references"].as_array().unwrap();
            let panels = dashboard["attributes"]["panels"].as_array().unwrap();
            for panel in panels {
                let index = panel["panelIndex"].as_str().unwrap();
                assert!(references.iter().any(|reference| {
                    let name = reference["name"].as_str().unwrap();
                    name.starts_with(&format!("{index}:"))
                }));
                let grid = |key: &str| panel["gridData"][key].as_u64().unwrap();
                assert!(grid("x") + grid("w") <= u64::from(COLUMNS));
            }
        }
    }
}
