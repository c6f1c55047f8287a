//! Log lines read back from Elasticsearch or OpenSearch, for people at a terminal: searched in a range
//! of time, or followed.
//!
//! [`fresh`] finds kinds of errors that a deploy brought. [`query`] says what is asked, [`pages`] asks it page by page, [`follow`] again and again, [`show`]
//! turns a line into text. Memory is a page, however many lines there are.

mod follow;
pub mod fresh;
mod pages;
pub mod query;
pub mod show;

use std::io::Write;

use crate::systems::rest::{Rest, RestError};
use pages::Pages;
use query::{Hit, Query};
use show::Screen;

pub use follow::{Follow, follow};

/// Shows all lines, oldest first, until the screen's reader has gone; how many that were.
pub async fn all(
    rest: &Rest,
    query: &Query,
    screen: &mut Screen<impl Write>,
) -> Result<u64, RestError> {
    let mut pages = Pages::open(rest, query, false).await?;
    let mut shown = 0;
    'pages: while let Some(page) = pages.next(usize::MAX).await? {
        for hit in page.iter().filter(|hit| query.fits(hit)) {
            if !screen.show(hit) {
                break 'pages;
            }
            shown += 1;
        }
    }
    pages.close().await;
    Ok(shown)
}

/// The newest lines, oldest first.
pub async fn newest(rest: &Rest, query: &Query, most: usize) -> Result<Vec<Hit>, RestError> {
    let mut pages = Pages::open(rest, query, true).await?;
    let mut found = Vec::new();
    while found.len() < most
        && let Some(page) = pages.next(most - found.len()).await?
    {
        let fitting = page.into_iter().filter(|hit| query.fits(hit));
        found.extend(fitting.take(most - found.len()));
    }
    pages.close().await;
    found.reverse();
    Ok(found)
}
