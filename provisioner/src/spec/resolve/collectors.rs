//! `agent.collectors`.

use kai_contract::agent_config::Collectors;
use serde_json::json;

use crate::spec::schema::Kind;
use crate::spec::schema::table::collectors::SETTINGS;
use crate::spec::view::View;

pub(super) fn collectors(view: View<'_>) -> Collectors {
    let given = view.child("settings");
    let mut settings = serde_json::Map::new();
    for field in SETTINGS.fields {
        if given.given(field.name).is_none() {
            continue;
        }
        let value = match field.kind {
            Kind::Bool => json!(given.boolean(field.name)),
            Kind::List { .. } => json!(given.texts(field.name)),
            _ => json!(given.text(field.name)),
        };
        settings.insert(field.name.to_owned(), value);
    }
    // They have the agent's own names, which a test holds them to; a value of a wrong type is
    // reported already.
    let settings: Collectors = serde_json::from_value(settings.into()).unwrap_or_default();
    Collectors {
        disable: view.texts("disable"),
        enable: view.texts("enable"),
        timeout_ms: view
            .optional_duration("timeout")
            .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        ..settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_the_agents() {
        for field in SETTINGS.fields {
            let value = match field.kind {
                Kind::Bool => json!(true),
                Kind::List { .. } => json!(["local_address"]),
                _ => json!("^a$"),
            };
            let one = serde_json::json!({ field.name: value });
            let read: Result<Collectors, _> = serde_json::from_value(one.clone());
            let read = read.unwrap_or_else(|error| panic!("{}: {error}", field.name));
            assert_eq!(serde_json::to_value(read).unwrap(), one);
        }
        // And the agent has no more than these.
        let all = SETTINGS.fields.iter().map(|field| field.name);
        let error = serde_json::from_value::<Collectors>(json!({ "none": 1 })).unwrap_err();
        let text = error.to_string();
        let known: Vec<&str> = text.split('`').skip(3).step_by(2).collect();
        let missing: Vec<&&str> = known
            .iter()
            .filter(|name| !["disable", "enable", "timeoutMs"].contains(name))
            .filter(|name| !all.clone().any(|field| field == **name))
            .collect();
        assert!(known.len() > 30 && missing.is_empty(), "{missing:?}");
    }
}
