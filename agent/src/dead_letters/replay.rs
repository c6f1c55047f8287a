//! Sends letters again, each under its own id, so that none arrives twice however often it is tried.

use hyper::body::Bytes;
use kai_contract::agent_config::Elasticsearch;

use super::store::Kept;
use crate::logs::cluster::abilities::Packing;
use crate::logs::cluster::{Bulk, Cluster};
use crate::logs::reply::{self, Outcome, Reply};

/// Documents and bytes of one request.
const MOST: usize = 500;
const LARGEST: usize = 4 << 20;
const PATH: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";

/// What became of one letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Taken,
    /// It was there already.
    There,
    /// Refused again, or not taken this time; the reason.
    Refused(String),
}

/// One letter and what is sent for it.
pub struct Errand<'a> {
    pub kept: &'a Kept,
    pub data_stream: &'a str,
    pub document: &'a str,
}

/// Sends letters in their order and tells `each` about every one as soon as its fate is known; an
/// error when the cluster does not answer, after which the rest is untouched.
pub async fn send<'a>(
    elasticsearch: &Elasticsearch,
    errands: &[Errand<'a>],
    mut each: impl FnMut(&'a Kept, Fate) -> Result<(), String>,
) -> Result<(), String> {
    let cluster = Cluster::new(elasticsearch)?;
    let mut rest = errands;
    while let Some(first) = rest.first() {
        let mut size = 0;
        let count = rest
            .iter()
            .take(MOST)
            .take_while(|errand| {
                let same = errand.data_stream == first.data_stream;
                let fits = size == 0 || size + errand.document.len() <= LARGEST;
                size += errand.document.len();
                same && fits
            })
            .count();
        let (part, later) = rest.split_at(count);
        rest = later;
        for (errand, fate) in part.iter().zip(request(&cluster, part).await?) {
            each(errand.kept, fate)?;
        }
    }
    Ok(())
}

async fn request(cluster: &Cluster, part: &[Errand<'_>]) -> Result<Vec<Fate>, String> {
    let stream = part[0].data_stream;
    let mut body = String::new();
    let mut broken: Vec<Option<String>> = Vec::new();
    for errand in part {
        // A line break would end the document where the bulk's next line begins.
        let one_object =
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(errand.document);
        let why = match one_object {
            Ok(_) if !errand.document.contains('\n') => None,
            Ok(_) => Some("the document is not on one line".to_owned()),
            Err(error) => Some(format!("the document is no JSON object: {error}")),
        };
        if why.is_none() {
            let action = serde_json::json!({ "create": { "_id": errand.kept.letter.id } });
            body.push_str(&format!("{action}\n{}\n", errand.document));
        }
        broken.push(why);
    }
    let count = broken.iter().filter(|why| why.is_none()).count();
    let mut outcomes = if count == 0 {
        Vec::new()
    } else {
        let bulk = Bulk {
            body: Bytes::from(body),
            name: "kai-agent/dead-letters".to_owned(),
            packing: Packing::None,
        };
        let answer = cluster
            .bulk(&format!("/{stream}/_bulk?{PATH}"), bulk)
            .await
            .map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("status {}: {}", answer.status, answer.excerpt()));
        }
        match reply::parse(&answer.body, count)? {
            Reply::Clean => vec![Outcome::Created; count],
            Reply::Items(items) => items,
        }
    }
    .into_iter();
    Ok(broken
        .into_iter()
        .map(|why| match why {
            Some(why) => Fate::Refused(why),
            None => outcomes.next().map_or_else(
                || Fate::Refused("there is no outcome for it".to_owned()),
                fate,
            ),
        })
        .collect())
}

fn fate(outcome: Outcome) -> Fate {
    match outcome {
        Outcome::Created => Fate::Taken,
        Outcome::Exists => Fate::There,
        Outcome::Retry { status, reason } => Fate::Refused(format!("{status}: {reason}")),
        Outcome::Rejected {
            status,
            kind,
            reason,
        } => Fate::Refused(format!("{status} {kind}: {reason}")),
    }
}
