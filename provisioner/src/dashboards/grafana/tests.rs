//! What the compiler of dashboards makes of short sources.

use std::collections::BTreeSet;

use super::*;
use crate::dashboards::sources;

fn target() -> Target {
    Target {
        uid: "kai-abc-local-x".into(),
        owner: "abc-local".into(),
        stack: "ticketing local".into(),
        sources: Sources {
            prometheus: Some("kai-abc-local-prometheus".into()),
            elasticsearch: Some("kai-abc-local-elasticsearch".into()),
            jaeger: Some("kai-abc-local-jaeger".into()),
        },
    }
}

fn all() -> Vec<(&'static str, Value)> {
    sources()
        .into_iter()
        .map(|(name, source)| (name, compile(&source.unwrap(), &target())))
        .collect()
}

#[test]
fn no_two_panels_overlap_and_none_leaves_the_grid() {
    for (name, dashboard) in all() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let grid = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(grid("x") + grid("w") <= 24, "{name}: {panel:#}");
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{name}: {panel:#}"
            );
            for x in grid("x")..grid("x") + grid("w") {
                for y in grid("y")..grid("y") + grid("h") {
                    assert!(taken.insert((x, y)), "{name}: {x},{y} twice: {panel:#}");
                }
            }
        }
    }
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    assert_eq!(
        all().iter().map(|(_, d)| d.to_string()).collect::<Vec<_>>(),
        all().iter().map(|(_, d)| d.to_string()).collect::<Vec<_>>()
    );
}

#[test]
fn panels_of_a_system_that_is_not_there_are_left_away() {
    let (_, application) = sources().swap_remove(1);
    let application = application.unwrap();
    let mut without = target();
    without.sources.elasticsearch = None;
    let text = compile(&application, &without).to_string();
    assert!(
        !text.contains("elasticsearch") && !text.contains("\"Logs\""),
        "{text}"
    );
    assert!(
        compile(&application, &target())
            .to_string()
            .contains("\"logs\"")
    );
}

#[test]
fn nothing_of_a_definition_is_left_in_a_query() {
    for (name, dashboard) in all() {
        assert!(!dashboard.to_string().contains("%traffic%"), "{name}");
    }
}
