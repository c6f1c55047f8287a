//! Who may do what in a cluster with security: roles, and API keys. A key's secret is said once, when
//! the key is made; from then on only its name, its rights and its metadata can be read.

use reqwest::Method;
use serde_json::{Value, json};

use super::dialect;
use crate::object::Server;
use crate::systems::rest::{Rest, RestError};
use crate::systems::secret;

pub const KEYS: &str = "/_security/api_key";
pub const ROLES: &str = "/_security/role";
/// The one role descriptor of a key.
const RIGHTS: &str = "kai-agent";

/// As the server wants it; otherwise why it cannot be had. Pure.
pub fn fit_key(body: &Value, server: &Server) -> Result<Value, String> {
    can(server)?;
    Ok(json!({ "role_descriptors": { RIGHTS: body["rights"] }, "metadata": {} }))
}

/// Pure.
pub fn fit_role(body: &Value, server: &Server) -> Result<Value, String> {
    can(server)?;
    let mut out = body["rights"].clone();
    out["metadata"] = json!({});
    Ok(out)
}

fn can(server: &Server) -> Result<(), String> {
    let what = format!("{} {}", server.product, server.version);
    let instead = "take `systems.elasticsearch.agentAccess` out, and the agent uses `auth`";
    if server.product == dialect::OPENSEARCH {
        return Err(format!(
            "{what} has roles of another form and no API keys; {instead}"
        ));
    }
    if !server.has(dialect::SECURITY) {
        return Err(format!(
            "{what} has no security here, so it knows neither roles nor API keys; {instead}"
        ));
    }
    if !server.has(dialect::KEY_METADATA) {
        return Err(format!(
            "{what} is too old: the mark of an API key needs 7.13; {instead}"
        ));
    }
    Ok(())
}

/// What a server adds to rights where nothing was said. Pure.
pub fn project(desired: &Value, out: &mut Value) {
    if let Value::Object(map) = out {
        for key in [
            "id",
            "name",
            "type",
            "creation",
            "expiration",
            "invalidated",
            "invalidation",
            "username",
            "realm",
            "realm_type",
            "profile_uid",
            "limited_by",
            "certificate_identity",
            "access",
        ] {
            map.remove(key);
        }
        // Before 8.5 a server does not say them; the mark tells then.
        if desired.get("role_descriptors").is_some() && !map.contains_key("role_descriptors") {
            map.insert(
                "role_descriptors".to_owned(),
                desired["role_descriptors"].clone(),
            );
        }
    }
    if desired.get("role_descriptors").is_some() {
        if let Some(Value::Object(all)) = out.get_mut("role_descriptors") {
            for rights in all.values_mut() {
                without_defaults(rights, true);
            }
        }
    } else {
        without_defaults(out, false);
    }
}

fn without_defaults(rights: &mut Value, of_a_key: bool) {
    let Value::Object(map) = rights else { return };
    let empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    map.retain(|key, value| match key.as_str() {
        "applications" | "run_as" | "global" | "remote_indices" | "remote_cluster" => !empty(value),
        "transient_metadata" => *value != json!({ "enabled": true }) && !empty(value),
        "description" => value.as_str() != Some(""),
        // A key's own metadata lies beside its rights.
        "metadata" => !of_a_key || !empty(value),
        _ => true,
    });
    if let Some(Value::Array(indices)) = map.get_mut("indices") {
        for one in indices.iter_mut().filter_map(Value::as_object_mut) {
            if one.get("allow_restricted_indices") == Some(&Value::Bool(false)) {
                one.remove("allow_restricted_indices");
            }
        }
    }
}

/// The valid keys whose names match; `name` may end in `*`. Who may not see those of others sees
/// their own.
pub async fn keys(rest: &Rest, name: &str) -> Result<Vec<Value>, RestError> {
    let all = format!("{KEYS}?name={name}");
    let reply = match rest.json(Method::GET, &all, None).await {
        Err(error) if error.status() == Some(403) => {
            let own = format!("{all}&owner=true");
            rest.json(Method::GET, &own, None).await?
        }
        other => other?,
    };
    let keys = reply["api_keys"].as_array().cloned().unwrap_or_default();
    Ok(keys
        .into_iter()
        .filter(|key| key["invalidated"] != true)
        .collect())
}

/// Every role, by name.
pub async fn roles(rest: &Rest) -> Result<Vec<(String, Value)>, RestError> {
    let reply = rest.get(ROLES).await?.unwrap_or_default();
    let all = reply.as_object().cloned().unwrap_or_default();
    Ok(all.into_iter().collect())
}

/// Changes the rights of the key that is there, or makes one. The secret comes back with a new one
/// only, encoded as a request's header wants it.
pub async fn write_key(
    rest: &Rest,
    server: &Server,
    name: &str,
    body: &Value,
    actual: Option<&Value>,
) -> Result<Option<secret::Value>, RestError> {
    if let Some(id) = actual.and_then(|actual| actual["id"].as_str())
        && server.has(dialect::KEY_UPDATE)
    {
        let path = format!("{KEYS}/{id}");
        rest.json(Method::PUT, &path, Some(body)).await?;
        return Ok(None);
    }
    // Of one whose secret is not here nobody has any use.
    invalidate(rest, name).await?;
    let mut wanted = body.clone();
    wanted["name"] = json!(name);
    let reply = rest.json(Method::POST, KEYS, Some(&wanted)).await?;
    let encoded = match (
        reply["encoded"].as_str(),
        reply["id"].as_str(),
        reply["api_key"].as_str(),
    ) {
        (Some(encoded), ..) => encoded.to_owned(),
        // Before 7.16.
        (None, Some(id), Some(key)) => base64(format!("{id}:{key}").as_bytes()),
        _ => {
            return Err(RestError::Unexpected {
                base: rest.base().to_owned(),
                path: KEYS.to_owned(),
                reason: "it says no key".to_owned(),
            });
        }
    };
    Ok(Some(secret::Value::new(encoded)))
}

/// Every valid key of this name.
pub async fn invalidate(rest: &Rest, name: &str) -> Result<(), RestError> {
    let ids: Vec<Value> = keys(rest, name)
        .await?
        .iter()
        .map(|key| key["id"].clone())
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let body = json!({ "ids": ids });
    let reply = match rest.json(Method::DELETE, KEYS, Some(&body)).await {
        // Everybody may end their own.
        Err(error) if error.status() == Some(403) => {
            let own = json!({ "ids": ids, "owner": true });
            rest.json(Method::DELETE, KEYS, Some(&own)).await?
        }
        other => other?,
    };
    match reply["error_count"].as_u64() {
        None | Some(0) => Ok(()),
        Some(_) => Err(RestError::Other(format!(
            "{}{KEYS} did not invalidate the key {name}: {}",
            rest.base(),
            reply["error_details"]
        ))),
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let part = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = part(0) << 16 | part(1) << 8 | part(2);
        for digit in 0..4 {
            let shown = digit <= chunk.len();
            let index = (bits >> (18 - 6 * digit)) & 63;
            out.push(if shown {
                char::from(DIGITS[index as usize])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
