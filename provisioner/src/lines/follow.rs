//! Lines as they arrive. Elasticsearch tells nobody of new documents, so it is asked every second for
//! those of the last seconds. Lines arrive late, too: a node was slow, or away. So it is asked less
//! often how many there are of the last minutes, and where that is not as many as are known, which.
//! Known is a line by its id. What arrives later than [`Follow::late`] is not shown.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::newest;
use super::pages::Pages;
use super::query::{Fields, Hit, Query};
use super::show::Screen;
use crate::inbox::time::Instant;
use crate::systems::rest::{Rest, RestError};

const EVERY: Duration = Duration::from_secs(1);
/// Looked back at every question.
const SHORT: Duration = Duration::from_secs(10);
/// Questions from one look at what was late to the next.
const DEEP_EVERY: u32 = 10;
/// Ids that are remembered, sixteen bytes each.
const MOST_IDS: usize = 1_000_000;

#[derive(Debug, Clone, Copy)]
pub struct Follow {
    /// Lines shown first, of those that are there.
    pub first: usize,
    /// How late a line may arrive.
    pub late: Duration,
}

/// Shows lines until `stop`, or until nobody reads.
pub async fn follow(
    rest: &Rest,
    query: &Query,
    options: Follow,
    screen: &mut Screen<impl Write>,
    stop: impl Future<Output = ()>,
) -> Result<(), RestError> {
    let mut following = Following {
        rest,
        query,
        late: options.late.max(SHORT),
        ids: HashMap::new(),
        hasher: RandomState::new(),
    };
    let mut stop = std::pin::pin!(stop);
    tokio::select! {
        begun = following.begin(options.first, screen) => {
            if !begun? {
                return Ok(());
            }
        }
        () = &mut stop => return Ok(()),
    }
    let mut round = 1_u32;
    let mut away = false;
    loop {
        let deep = round.is_multiple_of(DEEP_EVERY);
        tokio::select! {
            looked = following.look(deep, screen) => match looked {
                Ok(true) => {
                    if std::mem::take(&mut away) {
                        screen.note("it answers again");
                    }
                    round = round.wrapping_add(1);
                }
                Ok(false) => return Ok(()),
                // It may come back; what was missed is late then.
                Err(error @ RestError::NoAnswer { .. }) => {
                    if !std::mem::replace(&mut away, true) {
                        screen.note(&format!("{error}; it is asked again"));
                    }
                    round = 0;
                }
                Err(error) => return Err(error),
            },
            () = &mut stop => return Ok(()),
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = &mut stop => return Ok(()),
        }
    }
}

struct Following<'a> {
    rest: &'a Rest,
    query: &'a Query,
    late: Duration,
    /// Digest of an id → its line's time.
    ids: HashMap<u64, i64>,
    hasher: RandomState,
}

impl Following<'_> {
    /// Learns what is there, then shows the newest of it. A line that arrives in between is not
    /// among the first and is shown with the second or after.
    async fn begin(
        &mut self,
        first: usize,
        screen: &mut Screen<impl Write>,
    ) -> Result<bool, RestError> {
        let bare = Query {
            since: Some(back(self.late)),
            fields: Fields::None,
            ..self.query.clone()
        };
        let mut pages = Pages::open(self.rest, &bare, false).await?;
        while self.ids.len() < MOST_IDS
            && let Some(page) = pages.next(usize::MAX).await?
        {
            for hit in &page {
                self.is_new(hit);
            }
        }
        pages.close().await;
        for hit in newest(self.rest, self.query, first).await? {
            self.is_new(&hit);
            if !screen.show(&hit) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_new(&mut self, hit: &Hit) -> bool {
        let key = self.hasher.hash_one(&hit.id);
        self.ids.insert(key, hit.at).is_none()
    }

    /// Whether somebody still reads.
    async fn look(
        &mut self,
        deep: bool,
        screen: &mut Screen<impl Write>,
    ) -> Result<bool, RestError> {
        let (long, short) = (back(self.late), back(SHORT));
        if deep && self.count(long, short).await? != self.known(long, short) {
            let late = Query {
                since: Some(long),
                until: Some(short),
                ..self.query.clone()
            };
            if !self.show_new(&late, screen).await? {
                return Ok(false);
            }
        }
        let recent = Query {
            since: Some(short),
            ..self.query.clone()
        };
        let reads = self.show_new(&recent, screen).await?;
        self.ids.retain(|_, at| *at >= long.0);
        if self.ids.len() > MOST_IDS && self.late > SHORT {
            self.late = (self.late / 2).max(SHORT);
            screen.note(&format!(
                "there are too many lines to know them all; those that arrive more than {} s late are \
                 not shown",
                self.late.as_secs()
            ));
        }
        Ok(reads)
    }

    /// How many lines there are in a range.
    async fn count(&self, since: Instant, until: Instant) -> Result<u64, RestError> {
        let query = Query {
            since: Some(since),
            until: Some(until),
            ..self.query.clone()
        };
        let body = json!({ "size": 0, "track_total_hits": true, "query": query.body() });
        let path = format!(
            "/{}/_search?ignore_unavailable=true&allow_no_indices=true",
            query.index
        );
        let reply = self.rest.json(Method::POST, &path, Some(&body)).await?;
        Ok(reply["hits"]["total"]["value"].as_u64().unwrap_or_default())
    }

    fn known(&self, since: Instant, until: Instant) -> u64 {
        let range = since.0..until.0;
        self.ids.values().filter(|at| range.contains(at)).count() as u64
    }

    async fn show_new(
        &mut self,
        query: &Query,
        screen: &mut Screen<impl Write>,
    ) -> Result<bool, RestError> {
        let mut pages = Pages::open(self.rest, query, false).await?;
        let mut reads = true;
        'pages: while let Some(page) = pages.next(usize::MAX).await? {
            for hit in page {
                if self.is_new(&hit) && query.fits(&hit) && !screen.show(&hit) {
                    reads = false;
                    break 'pages;
                }
            }
        }
        pages.close().await;
        Ok(reads)
    }
}

fn back(time: Duration) -> Instant {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Instant(Instant::now().0.saturating_sub(millis))
}
