//! The first index behind a pair of aliases. Only it is made here; a rollover makes the next one and
//! moves the alias, and the lifecycle deletes what is old. So what is read is not the index but the
//! alias that is written to.

use serde_json::{Value, json};

use crate::systems::rest::{Rest, RestError};

/// `<name>-000001` is there when something is written to by `<name>-write`.
pub async fn read(rest: &Rest, id: &str) -> Result<Option<Value>, RestError> {
    let name = id.rsplit_once('-').map_or(id, |(name, _)| name);
    let (read, write) = (format!("{name}-read"), format!("{name}-write"));
    let reply = rest.get(&format!("/_alias/{write}")).await?;
    Ok(reply.and_then(|reply| seen(&reply, &read, &write)))
}

/// Nothing where no index has the alias. Pure.
fn seen(reply: &Value, read: &str, write: &str) -> Option<Value> {
    let all = reply.as_object()?;
    let written: Vec<&Value> = all
        .values()
        .filter_map(|index| index["aliases"].get(write))
        .collect();
    // One index alone is written to whether it says so or not.
    let one = match written.as_slice() {
        [] => return None,
        [only] => only["is_write_index"] != false,
        many => {
            many.iter()
                .filter(|alias| alias["is_write_index"] == true)
                .count()
                == 1
        }
    };
    Some(json!({ "aliases": { read: {}, write: { "is_write_index": one } } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollover_is_no_drift() {
        let alias = |write: bool| json!({ "aliases": { "jaeger-span-write": { "is_write_index": write } } });
        let seen = |reply: &Value| seen(reply, "jaeger-span-read", "jaeger-span-write");
        let good = json!({ "aliases": {
            "jaeger-span-read": {}, "jaeger-span-write": { "is_write_index": true },
        } });
        assert_eq!(
            seen(&json!({ "jaeger-span-000001": alias(true) })),
            Some(good.clone())
        );
        let rolled =
            json!({ "jaeger-span-000001": alias(false), "jaeger-span-000002": alias(true) });
        assert_eq!(seen(&rolled), Some(good.clone()));
        let none =
            json!({ "jaeger-span-000001": alias(false), "jaeger-span-000002": alias(false) });
        assert_ne!(seen(&none), Some(good));
        assert_eq!(seen(&json!({})), None);
    }
}
