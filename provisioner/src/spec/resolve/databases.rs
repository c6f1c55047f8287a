//! `databases`: servers that the agent looks at.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{SPARE, secret};
use crate::model::{Database, Service};
use crate::spec::view::View;

pub(super) fn databases(
    spec: View<'_>,
    services: &BTreeMap<String, Service>,
    usual: Duration,
    fallback_team: &str,
    base_dir: &Path,
) -> BTreeMap<String, Database> {
    let one = |(name, view): (&str, View<'_>)| {
        let service = view.text("service");
        let of_service = service.as_ref().and_then(|service| services.get(service));
        let interval = view.optional_duration("interval").unwrap_or(usual);
        let given = view.optional_duration("timeout");
        // Without a secret the checker has refused the spec.
        let dsn = secret(view.given("dsn"), base_dir)?;
        let database = Database {
            dsn,
            team: view
                .text("team")
                .or_else(|| of_service.map(|service| service.team.clone()))
                .unwrap_or_else(|| fallback_team.to_owned()),
            service: service.unwrap_or_else(|| name.to_owned()),
            interval,
            given_timeout: given,
            timeout: given.unwrap_or(interval.mul_f64(SPARE)),
            enable: view.texts("enable"),
            disable: view.texts("disable"),
            exclude_databases: view.texts("excludeDatabases"),
        };
        Some((name.to_owned(), database))
    };
    let databases = spec.children("databases").into_iter();
    databases.filter_map(one).collect()
}
