//! What a cluster is and what its build can do. Two products, several forms of lifecycle, builds
//! with few modules: everything that matters is asked, or follows from the version where the
//! vendor ties it to one.

use serde_json::Value;

use crate::components::version::Version;
use crate::object::Server;
use crate::systems::rest::{Rest, RestError};

pub const ELASTICSEARCH: &str = "elasticsearch";
pub const OPENSEARCH: &str = "opensearch";

/// Index lifecycle management of Elasticsearch.
pub const ILM: &str = "ilm";
/// Index state management of OpenSearch.
pub const ISM: &str = "ism";
/// A data stream can be asked for and given a lifecycle of its own; without it a `lifecycle` in a
/// template is taken and nothing carries it out.
pub const DATA_STREAM_API: &str = "data-stream-api";
/// `lifecycle` in a template.
pub const STREAM_LIFECYCLE: &str = "data-stream-lifecycle";
/// `index.mode: logsdb`.
pub const LOGSDB: &str = "logsdb";
/// Fields above the limit are kept and not indexed, in place of refusing the document.
pub const BEYOND_LIMIT: &str = "ignore-dynamic-beyond-limit";
/// `subobjects: false`: `error` may be a text in one document and have fields in the next.
pub const SUBOBJECTS: &str = "subobjects";
/// OpenSearch's word for the same.
pub const DISABLE_OBJECTS: &str = "disable-objects";
/// `allow_auto_create` in a template.
pub const AUTO_CREATE: &str = "allow-auto-create";

/// Users, roles and API keys.
pub const SECURITY: &str = "security";
/// API keys can hold our mark.
pub const KEY_METADATA: &str = "api-key-metadata";
/// The rights of an API key can be changed.
pub const KEY_UPDATE: &str = "api-key-update";
/// Snapshot lifecycle management of Elasticsearch.
pub const SLM: &str = "slm";
/// Snapshot management of OpenSearch.
pub const SM: &str = "sm";

/// A name that nobody gives to anything.
const NOBODYS: &str = "kai-observe-asks";

pub async fn probe(rest: &Rest) -> Result<Server, RestError> {
    let (product, version) = who(rest).await?;
    let parsed = Version::parse(&version).ok_or_else(|| RestError::Unexpected {
        base: rest.base().to_owned(),
        path: "/".to_owned(),
        reason: format!("`{version}` is no version"),
    })?;
    let mut server = Server {
        features: by_version(&product, &parsed)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        product,
        version,
    };
    let asked: &[(&str, &str)] = if server.product == OPENSEARCH {
        &[
            (ISM, "/_plugins/_ism/policies"),
            (DATA_STREAM_API, "/_data_stream"),
        ]
    } else {
        &[(ILM, "/_ilm/policy"), (DATA_STREAM_API, "/_data_stream")]
    };
    for (feature, place) in asked {
        if is_there(rest, place).await? {
            server.features.insert((*feature).to_owned());
        }
    }
    // Only some specs ask for these.
    let keys = format!("{}?name={NOBODYS}", super::access::KEYS);
    let optional = if server.product == OPENSEARCH {
        vec![(SM, format!("/_plugins/_sm/policies/{NOBODYS}"))]
    } else {
        vec![(SLM, format!("/_slm/policy/{NOBODYS}")), (SECURITY, keys)]
    };
    for (feature, path) in optional {
        let request = rest.request(reqwest::Method::GET, &path)?;
        // Who may not look is refused by a server that has it.
        if matches!(rest.send(request).await?.0, 200 | 403 | 404) {
            server.features.insert(feature.to_owned());
        }
    }
    Ok(server)
}

/// Product and version. The build without the module for `/` says them where its nodes are.
async fn who(rest: &Rest) -> Result<(String, String), RestError> {
    let request = rest.request(reqwest::Method::GET, "/")?;
    let (status, body) = rest.send(request).await?;
    if matches!(status, 401 | 403) {
        return Err(rest.refused("/", status, &body));
    }
    if status == 200 {
        let unexpected = |reason: &str| RestError::Unexpected {
            base: rest.base().to_owned(),
            path: "/".to_owned(),
            reason: reason.to_owned(),
        };
        let page: Value = serde_json::from_slice(&body)
            .map_err(|_| unexpected("it is neither Elasticsearch nor OpenSearch"))?;
        return read_page(&page)
            .ok_or_else(|| unexpected("it is neither Elasticsearch nor OpenSearch"));
    }
    let path = "/_nodes/_local?filter_path=nodes.*.version";
    let reply = rest.json(reqwest::Method::GET, path, None).await?;
    let version = reply["nodes"]
        .as_object()
        .and_then(|nodes| nodes.values().next()?["version"].as_str());
    match version {
        Some(version) => Ok((ELASTICSEARCH.to_owned(), version.to_owned())),
        None => Err(rest.refused("/", status, &body)),
    }
}

/// The page at `/`. Pure.
fn read_page(page: &Value) -> Option<(String, String)> {
    let version = page["version"]["number"].as_str()?;
    let product = match page["version"]["distribution"].as_str() {
        Some(OPENSEARCH) => OPENSEARCH,
        Some(_) => return None,
        None => ELASTICSEARCH,
    };
    Some((product.to_owned(), version.to_owned()))
}

/// Where the vendor ties it to a version. Pure.
fn by_version(product: &str, version: &Version) -> Vec<&'static str> {
    let at_least = |major, minor| (version.number(0), version.number(1)) >= (major, minor);
    let all: &[(&str, bool)] = if product == OPENSEARCH {
        &[(DISABLE_OBJECTS, at_least(3, 8))]
    } else {
        &[
            (AUTO_CREATE, at_least(7, 11)),
            (SUBOBJECTS, at_least(8, 17)),
            (BEYOND_LIMIT, at_least(8, 14)),
            (STREAM_LIFECYCLE, at_least(8, 14)),
            (LOGSDB, at_least(8, 17)),
            (KEY_METADATA, at_least(7, 13)),
            (KEY_UPDATE, at_least(8, 4)),
        ]
    };
    all.iter()
        .filter(|(_, has)| *has)
        .map(|(feature, _)| *feature)
        .collect()
}

/// A handler that knows its path says 404 of a name that is not there; a server without the
/// handler says 400 or 405.
async fn is_there(rest: &Rest, place: &str) -> Result<bool, RestError> {
    let request = rest.request(reqwest::Method::GET, &format!("{place}/{NOBODYS}"))?;
    let (status, body) = rest.send(request).await?;
    match status {
        200 | 404 => Ok(true),
        401 | 403 | 500.. => Err(rest.refused(place, status, &body)),
        _ => Ok(false),
    }
}

pub fn has_ilm(server: &Server) -> bool {
    server.has(ILM)
}

pub fn has_policies(server: &Server) -> bool {
    server.has(ILM) || server.has(ISM)
}

/// What this server cannot do of what the stack would use, and what that means. Pure.
pub fn left_out(server: &Server) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    let what = format!("this {} {}", server.product, server.version);
    let by_template = server.has(STREAM_LIFECYCLE) && server.has(DATA_STREAM_API);
    if !has_policies(server) && !by_template {
        out.push((
            "retention",
            format!("{what} carries out no lifecycle (no ILM, ISM or data stream module): nothing deletes old documents"),
        ));
    }
    if server.product != OPENSEARCH && !server.has(LOGSDB) {
        out.push((
            "logsdb",
            format!("{what} has no index mode logsdb: plain indices take more room"),
        ));
    }
    if !server.has(SUBOBJECTS) && !server.has(DISABLE_OBJECTS) {
        out.push((
            "mixed fields",
            format!("{what} refuses a document whose field is a text where another has an object; such lines end as dead letters"),
        ));
    }
    if server.product != OPENSEARCH && !server.has(BEYOND_LIMIT) {
        out.push((
            "field limit",
            format!("{what} refuses a document with a field above the limit; such lines end as dead letters"),
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_products_are_told_apart_by_their_page() {
        let opensearch = json!({ "version": { "distribution": "opensearch", "number": "3.8.0" } });
        assert_eq!(
            read_page(&opensearch),
            Some(("opensearch".into(), "3.8.0".into()))
        );
        let elasticsearch = json!({ "version": { "number": "9.5.3", "build_flavor": "default" } });
        assert_eq!(
            read_page(&elasticsearch),
            Some(("elasticsearch".into(), "9.5.3".into()))
        );
        assert_eq!(read_page(&json!({ "version": "3" })), None);
        assert_eq!(read_page(&json!([])), None);
    }

    #[test]
    fn features_follow_the_version() {
        let of = |product, version| by_version(product, &Version::parse(version).unwrap());
        assert!(of(ELASTICSEARCH, "9.5.3").contains(&LOGSDB));
        assert!(!of(ELASTICSEARCH, "8.16.1").contains(&LOGSDB));
        assert!(!of(ELASTICSEARCH, "8.11.0").contains(&STREAM_LIFECYCLE));
        assert_eq!(of(OPENSEARCH, "2.19.0"), Vec::<&str>::new());
    }
}
