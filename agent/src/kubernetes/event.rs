//! One line of a watch: what happened to a pod, how far the server is, or why it goes no further.
//! Pure.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::pod::{self, Pod};

/// Longest line; an object may be a little smaller.
pub const LONGEST_LINE: usize = super::split::LONGEST_ITEM + (64 << 10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `ADDED` and `MODIFIED`; what they mean depends on what is known.
    Put(Box<Pod>),
    Deleted(Box<Pod>),
    /// Nothing happened up to this version.
    Bookmark(Box<str>),
    /// The watch ends; the code is HTTP's. 410: the version that it was to begin at is forgotten.
    Error {
        code: u16,
        message: String,
    },
}

/// The object is passed over; what it is depends on this.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Box<str>,
}

#[derive(Deserialize)]
struct Of<T> {
    object: T,
}

#[derive(Deserialize)]
struct Marked {
    metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    resource_version: Box<str>,
}

#[derive(Deserialize)]
struct Status {
    code: Option<u16>,
    message: Option<String>,
    reason: Option<String>,
}

impl Event {
    pub fn read(line: &[u8]) -> Result<Self, String> {
        match &*json::<Kind>(line)?.kind {
            "ADDED" | "MODIFIED" => pod(line).map(|pod| Self::Put(pod.into())),
            "DELETED" => pod(line).map(|pod| Self::Deleted(pod.into())),
            "BOOKMARK" => {
                let marked: Of<Marked> = json(line)?;
                Ok(Self::Bookmark(marked.object.metadata.resource_version))
            }
            "ERROR" => {
                let Of { object: status } = json::<Of<Status>>(line)?;
                let message = status.message.or(status.reason).unwrap_or_default();
                Ok(Self::Error {
                    code: status.code.unwrap_or(500),
                    message: message.chars().take(300).collect(),
                })
            }
            other => Err(format!(
                "there is no kind of event \"{}\"",
                other.chars().take(40).collect::<String>()
            )),
        }
    }
}

fn json<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

fn pod(line: &[u8]) -> Result<Pod, String> {
    json::<Of<pod::Raw>>(line)?.object.resolve()
}

/// `kind` and `metadata` of a list without its items.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListEnd {
    pub version: Box<str>,
    /// There are more, to be asked for by this.
    pub more: Option<Box<str>>,
}

impl ListEnd {
    pub fn read(rest: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct List {
            metadata: ListMeta,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct ListMeta {
            resource_version: Box<str>,
            r#continue: Option<Box<str>>,
        }
        let list: List = json(rest)?;
        Ok(Self {
            version: list.metadata.resource_version,
            more: list.metadata.r#continue.filter(|more| !more.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POD: &str =
        r#"{"metadata":{"uid":"u","name":"n","namespace":"s","resourceVersion":"5"}}"#;

    fn read(kind: &str, object: &str) -> Result<Event, String> {
        Event::read(format!("{{\"type\":\"{kind}\",\"object\":{object}}}").as_bytes())
    }

    #[test]
    fn every_kind_of_event() {
        for kind in ["ADDED", "MODIFIED"] {
            assert!(matches!(read(kind, POD), Ok(Event::Put(pod)) if &*pod.version == "5"));
        }
        assert!(matches!(read("DELETED", POD), Ok(Event::Deleted(_))));
        let mark = r#"{"kind":"Pod","metadata":{"resourceVersion":"99","creationTimestamp":null}}"#;
        assert_eq!(read("BOOKMARK", mark), Ok(Event::Bookmark("99".into())));
        let gone = r#"{"kind":"Status","status":"Failure","message":"too old resource version: 1 (9)","reason":"Expired","code":410}"#;
        assert_eq!(
            read("ERROR", gone),
            Ok(Event::Error {
                code: 410,
                message: "too old resource version: 1 (9)".into(),
            })
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        for line in ["", "{}", "nonsense", "{\"type\":\"ADDED\"}"] {
            assert!(Event::read(line.as_bytes()).is_err(), "{line}");
        }
        assert!(read("RENAMED", POD).unwrap_err().contains("RENAMED"));
        assert!(read("ADDED", "{}").is_err());
        assert!(read("BOOKMARK", "{\"metadata\":{}}").is_err());
    }

    #[test]
    fn the_end_of_a_list() {
        let end =
            ListEnd::read(br#"{"metadata":{"resourceVersion":"7","continue":"x"},"items":[]}"#);
        assert_eq!(end.unwrap().more.as_deref(), Some("x"));
        let end =
            ListEnd::read(br#"{"metadata":{"resourceVersion":"7","continue":""},"items":[]}"#);
        assert_eq!(end.unwrap().more, None);
        assert!(ListEnd::read(b"{}").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Event::read(&text), ListEnd::read(&text));
        }
    }
}
