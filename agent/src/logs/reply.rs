//! The reply to a `_bulk` request, read apart from how it came. Pure.

use serde::Deserialize;

/// What became of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Created,
    /// The id exists in the index that is written to.
    Exists,
    /// It may be taken another time.
    Retry {
        status: u16,
        reason: String,
    },
    /// It will never be taken.
    Rejected {
        status: u16,
        kind: String,
        reason: String,
    },
}

/// The whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Everything was created.
    Clean,
    /// One outcome per document, in order.
    Items(Vec<Outcome>),
}

/// Where a document is that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub index: String,
    pub seq_no: u64,
    pub primary_term: u64,
}

#[derive(Deserialize)]
struct Body {
    errors: bool,
    #[serde(default)]
    items: Vec<Action>,
}

#[derive(Deserialize)]
struct Action {
    create: Item,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<Cause>,
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_seq_no")]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term")]
    primary_term: Option<u64>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    reason: Option<String>,
}

/// Reads a reply with status 200 to a request for `count` documents, of which at least `errors`,
/// `items.*.status`, `items.*.error.type` and `items.*.error.reason` were asked for.
pub fn parse(body: &[u8], count: usize) -> Result<Reply, String> {
    // Elasticsearch writes it first; the statuses of thousands of created documents need no reading.
    if body.starts_with(b"{\"errors\":false,") || body == b"{\"errors\":false}" {
        return Ok(Reply::Clean);
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if !body.errors {
        return Ok(Reply::Clean);
    }
    if body.items.len() != count {
        return Err(format!(
            "{} outcomes for {count} documents",
            body.items.len()
        ));
    }
    Ok(Reply::Items(
        body.items
            .into_iter()
            .map(|action| outcome(action.create))
            .collect(),
    ))
}

/// Where each document was created, `None` for one that was not; of a request that asked for
/// `items.*._index`, `_seq_no` and `_primary_term` as well.
pub fn placed(body: &[u8], count: usize) -> Result<Vec<Option<Placed>>, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if body.items.len() != count {
        return Err(format!(
            "{} outcomes for {count} documents",
            body.items.len()
        ));
    }
    let placed = |item: Item| {
        let created = (200..300).contains(&item.status);
        let at = item.index.zip(item.seq_no).zip(item.primary_term);
        at.filter(|_| created)
            .map(|((index, seq_no), primary_term)| Placed {
                index,
                seq_no,
                primary_term,
            })
    };
    Ok(body
        .items
        .into_iter()
        .map(|action| placed(action.create))
        .collect())
}

fn outcome(item: Item) -> Outcome {
    let (kind, reason) = item.error.map_or_else(Default::default, |cause| {
        (cause.kind, cause.reason.unwrap_or_default())
    });
    match item.status {
        200..=299 => Outcome::Created,
        409 => Outcome::Exists,
        // Not the document's fault: rights, a missing template, a blocked index, load.
        status @ (401 | 403 | 404 | 408 | 429 | 500..) => Outcome::Retry {
            status,
            reason: if reason.is_empty() { kind } else { reason },
        },
        status if not_its_fault(&kind, &reason) => Outcome::Retry { status, reason },
        status => Outcome::Rejected {
            status,
            kind,
            reason,
        },
    }
}

/// Refusals with status 400 that have nothing to do with the document, and end: an index that is
/// closed, a cluster that has as many shards as it may have.
fn not_its_fault(kind: &str, reason: &str) -> bool {
    match kind {
        "index_closed_exception" | "cluster_block_exception" => true,
        "validation_exception" | "illegal_argument_exception" => {
            reason.contains("this action would add")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_index_and_a_full_cluster_are_no_fault_of_the_documents() {
        for (kind, reason, waits) in [
            ("index_closed_exception", "closed", true),
            (
                "validation_exception",
                "Validation Failed: 1: this action would add [2] shards, but this cluster currently \
                 has [1000]/[1000] maximum normal shards open;",
                true,
            ),
            ("document_parsing_exception", "failed to parse", false),
            (
                "illegal_argument_exception",
                "Limit of total fields [1000] has been exceeded",
                false,
            ),
        ] {
            let body = serde_json::json!({ "errors": true, "items": [
                { "create": { "status": 400, "error": { "type": kind, "reason": reason } } } ] });
            let Ok(Reply::Items(items)) = parse(body.to_string().as_bytes(), 1) else {
                panic!("it has an error");
            };
            assert_eq!(matches!(items[0], Outcome::Retry { .. }), waits, "{kind}");
        }
    }

    /// What Elasticsearch 9.5.3 answered, with our `filter_path`.
    const CAPTURED: &str = r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[a1]: version conflict, document already exists (current version [1])"}}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"[1:42] failed to parse field [x] of type [long] in document with id 'a2'. Preview of field's value: 'b'"}}},{"create":{"status":404,"error":{"type":"index_not_found_exception","reason":"no such index [none-x] and the index creation request requires a data stream"}}},{"create":{"status":429,"error":{"type":"es_rejected_execution_exception"}}}]}"#;

    #[test]
    fn every_document_has_its_outcome() {
        let Reply::Items(items) = parse(CAPTURED.as_bytes(), 5).unwrap() else {
            panic!("it has errors");
        };
        assert_eq!(items[0], Outcome::Created);
        assert_eq!(items[1], Outcome::Exists);
        assert!(
            matches!(&items[2], Outcome::Rejected { status: 400, kind, .. } if kind == "document_parsing_exception")
        );
        assert!(matches!(items[3], Outcome::Retry { status: 404, .. }));
        assert!(
            matches!(&items[4], Outcome::Retry { status: 429, reason } if reason == "es_rejected_execution_exception")
        );
    }

    #[test]
    fn what_was_created_is_told_where() {
        let body = br#"{"errors":true,"items":[{"create":{"_index":".ds-a-000002","_seq_no":7,"_primary_term":1,"status":201}},{"create":{"_index":".ds-a-000002","status":409,"error":{"type":"x"}}}]}"#;
        let first = Placed {
            index: ".ds-a-000002".into(),
            seq_no: 7,
            primary_term: 1,
        };
        assert_eq!(placed(body, 2), Ok(vec![Some(first), None]));
        assert!(placed(body, 1).is_err());
    }

    #[test]
    fn a_clean_reply_in_any_order() {
        for body in [
            r#"{"errors":false}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}}]}"#,
            r#"{"took":3,"errors":false,"items":[]}"#,
        ] {
            assert_eq!(parse(body.as_bytes(), 7), Ok(Reply::Clean));
        }
    }

    #[test]
    fn a_reply_that_does_not_fit_is_no_reply() {
        assert!(parse(CAPTURED.as_bytes(), 4).is_err());
        assert!(parse(b"<html>", 1).is_err());
        assert!(parse(b"{}", 1).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::prelude::any::<Vec<u8>>()) {
            let _ = parse(&bytes, 3);
        }
    }
}
