//! A search page by page. Where a server keeps a view of its data open (a point in time), all pages
//! are of that view. Elasticsearch tells lines of one moment apart by `_shard_doc`, so that each page
//! begins behind the last line of the one before. Elsewhere a page begins *at* the last line's moment,
//! and lines that were had already are left out by their ids.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::query::{Hit, Query};
use crate::systems::rest::{Rest, RestError};

const PAGE: usize = 500;
/// Most that a server gives in one page.
const LARGEST: usize = 10_000;
/// The view is kept for so long between two pages.
const KEEP: &str = "2m";

pub struct Pages<'a> {
    rest: &'a Rest,
    query: &'a Query,
    newest_first: bool,
    view: Option<View>,
    /// Sort values of the last line.
    after: Option<Value>,
    size: usize,
    /// Of lines at the last line's moment.
    seen: HashSet<(String, String)>,
    over: bool,
}

#[derive(Debug, Clone)]
struct View {
    id: String,
    /// Elasticsearch's, which sorts by `_shard_doc` too.
    exact: bool,
}

impl<'a> Pages<'a> {
    pub async fn open(
        rest: &'a Rest,
        query: &'a Query,
        newest_first: bool,
    ) -> Result<Self, RestError> {
        Ok(Self {
            rest,
            query,
            newest_first,
            view: view(rest, &query.index).await?,
            after: None,
            size: PAGE,
            seen: HashSet::new(),
            over: false,
        })
    }

    /// The next lines, of which so many are wanted; `None` after the last.
    pub async fn next(&mut self, most: usize) -> Result<Option<Vec<Hit>>, RestError> {
        loop {
            if self.over {
                return Ok(None);
            }
            // What only we can judge is not worth many small questions.
            let exact = self.view.as_ref().is_some_and(|view| view.exact);
            let wanted = if exact && self.query.condition.is_none() {
                most.min(self.size)
            } else {
                self.size
            };
            let reply = self.ask(wanted).await?;
            let hits = reply["hits"]["hits"].as_array().cloned();
            let hits = hits.unwrap_or_default();
            self.over = hits.len() < wanted;
            if let Some(view) = &mut self.view
                && let Some(id) = reply["pit_id"].as_str()
            {
                id.clone_into(&mut view.id);
            }
            let page: Vec<Hit> = hits.iter().filter_map(Hit::parse).collect();
            let before = self.after.clone();
            self.after = hits.last().map(|hit| hit["sort"].clone());
            if exact {
                return Ok((!page.is_empty()).then_some(page));
            }
            let fresh = self.without_seen(page);
            if !fresh.is_empty() {
                self.size = PAGE;
                return Ok(Some(fresh));
            }
            // More lines of one moment than a page has.
            if !self.over && before == self.after {
                if self.size == LARGEST {
                    return Err(RestError::Other(format!(
                        "more than {LARGEST} lines have one timestamp, which {} cannot page through; \
                         narrow the search by a service or --where",
                        self.rest.base()
                    )));
                }
                self.size = (self.size * 4).min(LARGEST);
            }
        }
    }

    fn without_seen(&mut self, page: Vec<Hit>) -> Vec<Hit> {
        let Some(last) = page.last().map(|hit| hit.at) else {
            return page;
        };
        let key = |hit: &Hit| (hit.index.clone(), hit.id.clone());
        let fresh: Vec<Hit> = page
            .iter()
            .filter(|hit| !self.seen.contains(&key(hit)))
            .cloned()
            .collect();
        let same = page.iter().all(|hit| hit.at == last);
        if !same {
            self.seen.clear();
        }
        self.seen
            .extend(page.iter().filter(|hit| hit.at == last).map(key));
        fresh
    }

    async fn ask(&self, size: usize) -> Result<Value, RestError> {
        let order = if self.newest_first { "desc" } else { "asc" };
        let mut sort = json!([{ "@timestamp": { "order": order, "unmapped_type": "date" } }]);
        let mut body = json!({
            "size": size,
            "query": self.query.body(),
            "track_total_hits": false,
            "_source": self.query.source(),
        });
        let mut path = format!(
            "/{}/_search?ignore_unavailable=true&allow_no_indices=true",
            self.query.index
        );
        if let Some(view) = &self.view {
            "/_search".clone_into(&mut path);
            body["pit"] = json!({ "id": view.id, "keep_alive": KEEP });
            if view.exact {
                sort = json!([sort[0], { "_shard_doc": order }]);
            }
        }
        body["sort"] = sort;
        match (&self.after, &self.view) {
            (Some(after), Some(view)) if view.exact => body["search_after"] = after.clone(),
            (Some(after), _) => {
                let edge = if self.newest_first { "lte" } else { "gte" };
                let narrower = json!({ "range": { "@timestamp": {
                    edge: after[0], "format": "epoch_millis",
                } } });
                body["query"] = json!({ "bool": { "filter": [body["query"], narrower] } });
            }
            (None, _) => {}
        }
        self.rest.json(Method::POST, &path, Some(&body)).await
    }

    /// Lets the server forget the view; it would by itself.
    pub async fn close(self) {
        let Some(view) = self.view else { return };
        let (path, body) = if view.exact {
            ("/_pit", json!({ "id": view.id }))
        } else {
            ("/_search/point_in_time", json!({ "pit_id": [view.id] }))
        };
        let _ = self.rest.json(Method::DELETE, path, Some(&body)).await;
    }
}

/// A point in time of Elasticsearch or of OpenSearch; `None` where it has none, or who asks may not.
async fn view(rest: &Rest, index: &str) -> Result<Option<View>, RestError> {
    for (path, key, exact) in [
        (format!("/{index}/_pit"), "id", true),
        (format!("/{index}/_search/point_in_time"), "pit_id", false),
    ] {
        let path = format!("{path}?keep_alive={KEEP}&ignore_unavailable=true");
        match rest.json(Method::POST, &path, None).await {
            Ok(reply) => {
                if let Some(id) = reply[key].as_str() {
                    let id = id.to_owned();
                    return Ok(Some(View { id, exact }));
                }
            }
            Err(RestError::Refused { status, .. })
                if (400..500).contains(&status) && status != 401 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
