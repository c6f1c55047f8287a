//! Filebeat's registry as 7.9 to 9 keep it: a snapshot `<n>.json` (an array of states with their `_key`)
//! and `log.json`, in which each operation is two lines: `{"op":"set","id":7}` and `{"k":…,"v":…}`. An
//! operation counts when its id follows the one before; the first that does not ends the log, as it
//! does for Filebeat. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How Filebeat knows a file again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Native {
        inode: u64,
        device: u64,
    },
    Path,
    /// SHA-256 of the first bytes, so many of them.
    Fingerprint {
        hash: String,
        length: u64,
    },
    /// One that is not known here.
    Other(String),
}

/// How far Filebeat is in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub key: String,
    pub source: String,
    pub identity: Identity,
    /// `None` if nothing was read yet.
    pub offset: Option<u64>,
}

/// What a registry tells.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Registry {
    pub files: Vec<State>,
    /// States that are no file's, by what their keys begin with.
    pub other: BTreeMap<String, u64>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Filebeat's default `prospector.scanner.fingerprint.length`.
pub const FINGERPRINT: u64 = 1024;

/// Judges `meta.json`.
pub fn version(meta: &[u8]) -> Result<(), String> {
    let meta: Value =
        serde_json::from_slice(meta).map_err(|error| format!("meta.json is no JSON: {error}"))?;
    match meta.get("version").and_then(Value::as_str) {
        Some("1") => Ok(()),
        Some(other) => Err(format!(
            "meta.json says version \"{other}\"; Filebeat 7.9 to 9 write \"1\": start a newer one once"
        )),
        None => Err("meta.json has no version".to_owned()),
    }
}

/// Reads a snapshot, with the number in its name, and the log.
pub fn read(snapshot: Option<(u64, &[u8])>, log: &[u8]) -> Result<Registry, String> {
    let mut states: BTreeMap<String, Value> = BTreeMap::new();
    let mut last = 0;
    if let Some((number, bytes)) = snapshot {
        let all: Vec<Map<String, Value>> = serde_json::from_slice(bytes)
            .map_err(|error| format!("{number}.json is no snapshot: {error}"))?;
        for mut state in all {
            if let Some(Value::String(key)) = state.remove("_key") {
                states.insert(key, Value::Object(state));
            }
        }
        last = number;
    }
    let mut registry = Registry::default();
    if let Some(reason) = replay(log, last, &mut states) {
        registry.notes.push(reason);
    }
    for (key, value) in states {
        match file(&key, &value) {
            Some(Ok(state)) => registry.files.push(state),
            Some(Err(reason)) => registry.notes.push(format!("{key}: {reason}")),
            None => {
                let kind = key.split("::").next().unwrap_or_default().to_owned();
                *registry.other.entry(kind).or_default() += 1;
            }
        }
    }
    Ok(registry)
}

/// Carries the log's operations out; why it ended early, if it did.
fn replay(log: &[u8], mut last: u64, states: &mut BTreeMap<String, Value>) -> Option<String> {
    let mut lines = log
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    let mut count = 0_u64;
    let early = |count: u64, why: &str| {
        Some(format!(
            "log.json is read up to its operation {count}: {why}; Filebeat would do the same"
        ))
    };
    loop {
        let action = lines.next()?;
        let Ok(action) = serde_json::from_slice::<Value>(action) else {
            return early(count, "what follows is no JSON");
        };
        let (Some(op), Some(id)) = (
            action.get("op").and_then(Value::as_str),
            action.get("id").and_then(Value::as_u64),
        ) else {
            return early(count, "what follows is no operation");
        };
        let data = lines
            .next()
            .and_then(|line| serde_json::from_slice::<Value>(line).ok());
        let Some(Value::Object(mut data)) = data else {
            return early(count, "what follows has no data");
        };
        count += 1;
        // From before the snapshot: the log was not emptied after it.
        if last.wrapping_sub(id) < u64::MAX / 2 && count > 0 && id <= last {
            continue;
        }
        if last != 0 && id != last.wrapping_add(1) {
            return early(count - 1, "an operation is missing");
        }
        last = id;
        let key = ["k", "K"].iter().find_map(|name| match data.remove(*name) {
            Some(Value::String(key)) => Some(key),
            _ => None,
        });
        let Some(key) = key else {
            return early(count - 1, "what follows names nothing");
        };
        match op {
            "set" => {
                let value = ["v", "V"].iter().find_map(|name| data.remove(*name));
                states.insert(key, value.unwrap_or_default());
            }
            "remove" => {
                states.remove(&key);
            }
            _ => return early(count - 1, "what follows is an operation that is not known"),
        }
    }
}

/// A file's state; `None` if it is of an input that reads no files.
fn file(key: &str, value: &Value) -> Option<Result<State, String>> {
    if key.starts_with("filebeat::logs::") {
        return Some(log_input(key, value));
    }
    key.starts_with("filestream::")
        .then(|| filestream(key, value))
}

/// The `log` and `container` inputs:
/// `{"source":…,"offset":…,"FileStateOS":{"inode":…,"device":…},"identifier_name":"native",…}`.
fn log_input(key: &str, value: &Value) -> Result<State, String> {
    let source = text(value, "source").ok_or("it has no source")?;
    let number = |name: &str| value.get("FileStateOS")?.get(name).and_then(whole);
    let identity = match text(value, "identifier_name").as_deref() {
        Some("native") | None => match (number("inode"), number("device")) {
            (Some(inode), Some(device)) => Identity::Native { inode, device },
            _ => return Err("it has no FileStateOS".to_owned()),
        },
        Some("path") => Identity::Path,
        Some(other) => Identity::Other(other.to_owned()),
    };
    let offset = value
        .get("offset")
        .and_then(whole)
        .ok_or("it has no offset")?;
    Ok(State {
        key: key.to_owned(),
        source,
        identity,
        offset: (offset > 0).then_some(offset),
    })
}

/// The `filestream` input: `{"cursor":{"offset":…},"meta":{"source":…,"identifier_name":"native"},…}`
/// under `filestream::<id>::<identifier>::<identity>`.
fn filestream(key: &str, value: &Value) -> Result<State, String> {
    let meta = value.get("meta").ok_or("it has no meta")?;
    let source = text(meta, "source").ok_or("it has no source")?;
    let named = text(meta, "identifier_name");
    let known = ["native", "path", "fingerprint", "inode_marker"];
    let name = match &named {
        Some(name) => name.as_str(),
        None => known
            .into_iter()
            .find(|name| key.contains(&format!("::{name}::")))
            .ok_or("nothing tells how Filebeat knew the file")?,
    };
    let at = key
        .rfind(&format!("::{name}::"))
        .ok_or("its key does not name its identity")?;
    let rest = &key[at + name.len() + 4..];
    let identity = match name {
        "native" => {
            // Perhaps with `-stdout` after it.
            let mut parts = rest.split('-').map(str::parse);
            match (parts.next(), parts.next()) {
                (Some(Ok(inode)), Some(Ok(device))) => Identity::Native { inode, device },
                _ => return Err("its key has no inode and device".to_owned()),
            }
        }
        "path" => Identity::Path,
        "fingerprint" => {
            let hash = rest.split('-').next().unwrap_or_default();
            if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err("its fingerprint is no SHA-256".to_owned());
            }
            Identity::Fingerprint {
                hash: hash.to_ascii_lowercase(),
                length: meta
                    .get("fingerprint_len")
                    .and_then(whole)
                    .unwrap_or(FINGERPRINT),
            }
        }
        other => Identity::Other(other.to_owned()),
    };
    let offset = value
        .get("cursor")
        .and_then(|cursor| cursor.get("offset"))
        .and_then(whole)
        .unwrap_or_default();
    Ok(State {
        key: key.to_owned(),
        source,
        identity,
        offset: (offset > 0).then_some(offset),
    })
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

/// A whole number, which Go may have written as a fraction.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: &str = concat!(
        r#"{"op":"set","id":1}"#,
        "\n",
        r#"{"k":"filebeat::logs::native::361-2055","v":{"timestamp":[698286230,1641268968],"ttl":-1,"type":"log","FileStateOS":{"inode":361,"device":2055},"source":"/l/a.log","offset":15304,"identifier_name":"native","id":"native::361-2055","prev_id":""}}"#,
        "\n",
        r#"{"op":"set","id":2}"#,
        "\n",
        r#"{"k":"filestream::my-log-file::native::1040242-66305","v":{"ttl":1800000000000,"updated":[507500968,1701686520],"cursor":{"offset":914},"meta":{"source":"/l/b.log","identifier_name":"native"}}}"#,
        "\n",
        r#"{"op":"set","id":3}"#,
        "\n",
        r#"{"k":"filestream::ai::fingerprint::688797f8b82fa9513d36f6ad50aaa486f3cf46c1bc67952f7b1e094b7823a99f","v":{"ttl":-1,"updated":[281470681743360,18446744011573954816],"cursor":null,"meta":{"source":"/l/c.log","identifier_name":"fingerprint"}}}"#,
        "\n",
        r#"{"op":"set","id":4}"#,
        "\n",
        r#"{"k":"httpjson::x","v":{}}"#,
        "\n",
    );

    #[test]
    fn both_inputs_are_read() {
        let registry = read(None, LOG.as_bytes()).unwrap();
        let told: Vec<_> = registry
            .files
            .iter()
            .map(|state| (state.source.as_str(), state.offset))
            .collect();
        assert_eq!(
            told,
            [
                ("/l/a.log", Some(15304)),
                ("/l/c.log", None),
                ("/l/b.log", Some(914))
            ]
        );
        assert_eq!(
            registry.files[0].identity,
            Identity::Native {
                inode: 361,
                device: 2055
            }
        );
        assert!(matches!(
            &registry.files[1].identity,
            Identity::Fingerprint { length: 1024, .. }
        ));
        assert_eq!(registry.other["httpjson"], 1);
        assert!(registry.notes.is_empty(), "{:?}", registry.notes);
    }

    #[test]
    fn the_log_goes_on_after_the_snapshot() {
        let snapshot = br#"[{"_key":"filestream::x::y::native::7-8-stdout","cursor":{"offset":1},"meta":{"source":"/l/d","identifier_name":"native"}},
{"_key":"filestream::x::path::/l/e","cursor":{"offset":2},"meta":{"source":"/l/e","identifier_name":"path"}}]"#;
        let log = concat!(
            "{\"op\":\"remove\",\"id\":4}\n{\"k\":\"filestream::x::path::/l/e\"}\n",
            "{\"op\":\"set\",\"id\":6}\n{\"K\":\"filestream::x::path::/l/e\",\"V\":{\"cursor\":{\"offset\":5},\"meta\":{\"source\":\"/l/e\"}}}\n",
            "{\"op\":\"set\",\"id\":8}\n{\"k\":\"filestream::x::path::/l/e\",\"v\":{}}\n",
        );
        let registry = read(Some((5, snapshot)), log.as_bytes()).unwrap();
        let told: Vec<_> = registry
            .files
            .iter()
            .map(|state| (state.source.as_str(), state.offset, &state.identity))
            .collect();
        let native = Identity::Native {
            inode: 7,
            device: 8,
        };
        assert_eq!(
            told,
            [
                ("/l/e", Some(5), &Identity::Path),
                ("/l/d", Some(1), &native)
            ]
        );
        assert!(
            registry.notes[0].contains("an operation is missing"),
            "{:?}",
            registry.notes
        );
        // A log that ends in the middle of a write.
        let cut = &LOG.as_bytes()[..LOG.len() - 10];
        let registry = read(None, cut).unwrap();
        assert_eq!((registry.files.len(), registry.notes.len()), (3, 1));
    }

    #[test]
    fn other_versions_are_named() {
        assert_eq!(version(br#"{"version":"1"}"#), Ok(()));
        assert!(
            version(br#"{"version":"0"}"#)
                .unwrap_err()
                .contains("start a newer one")
        );
        assert!(version(b"x").is_err() && version(b"{}").is_err());
        assert!(read(Some((1, b"{}")), b"").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(snapshot in any::<Vec<u8>>(), log in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = (read(Some((1, &snapshot)), &log), version(&snapshot));
            let mut damaged = LOG.as_bytes().to_vec();
            let at = at.index(damaged.len());
            damaged[at] = byte;
            let _ = read(None, &damaged);
        }
    }
}
