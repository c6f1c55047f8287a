//! A stack with somebody else's Kibana. Not run against the real Kibana here: `standins/` judges
//! dashboards by its published schema and the rest by Elastic's API pages.

// Always true here; it tells clippy that helpers are test code too.
#![cfg(test)]

use serde_json::json;

use crate::components::server::Server;
use crate::components::support::tar_gz;
use crate::grafana::{prefix, spec};
use crate::harness::Stack;
use crate::standins::kibana::{CONTRACT, Kibana};
use crate::standins::{Running, judge, program};

const VARIABLE: &str = "KAI_TEST_KIBANA_KEY";
const KEY: &str = "bm90OmEtcmVhbC1rZXk=";
const NO_VERIFY: [&str; 2] = ["provision", "--no-verify"];

fn open(test: &str, space: &str) -> Option<(Stack, Running<Kibana>)> {
    let Some(mut state) = Kibana::new(Some(KEY), None) else {
        judge::not_run(test, CONTRACT);
        return None;
    };
    if !space.is_empty() {
        state.space = format!("/s/{space}");
    }
    state.put(
        "index-pattern",
        "theirs",
        json!({ "title": "filebeat-*", "name": "Theirs" }),
    );
    state.put(
        "dashboard",
        "their-board",
        json!({ "title": "Theirs", "description": "" }),
    );
    let server = Running::start(state);
    let mut stack = Stack::new();
    stack.vars.push((VARIABLE.into(), KEY.into()));
    let space = if space.is_empty() {
        String::new()
    } else {
        format!(", space: {space}")
    };
    let systems = format!(
        "  kibana: {{ mode: external, url: \"{}\"{space}, auth: {{ apiKey: {{ env: {VARIABLE} }} }} }}\n  \
         grafana: {{ mode: off }}\n  jaeger: {{ mode: off }}\n  elasticsearch: {{ mode: off }}\n",
        server.url()
    );
    stack.write_spec(&spec(&stack, &systems).replace("  kibana: { mode: off }\n", ""));
    Some((stack, server))
}

#[test]
fn ours_is_made_found_again_and_mended_and_theirs_stays_to_the_byte() {
    for space in ["", "kai"] {
        let Some((stack, server)) = open("external Kibana", space) else {
            return;
        };
        let prefix = prefix(&stack);
        let theirs = server.with(|state| state.foreign(&prefix));
        stack.run(&NO_VERIFY).expect(0);
        let keys = server.with(|state| state.keys());
        let ours =
            ["dashboard", "index-pattern", "search"].map(|kind| format!("{kind}/{prefix}logs"));
        let more = [
            "dashboard/errors",
            "dashboard/security",
            "index-pattern/deploys",
        ];
        let more = more.map(|key| key.replace('/', &format!("/{prefix}")));
        for key in ours.iter().chain(&more) {
            assert!(keys.contains(key), "{key}: {keys:?}");
        }
        let refused = server.with(|state| state.refused.clone());
        assert!(
            refused.iter().all(|text| text.contains("_export: 400")),
            "{refused:?}"
        );
        let changes = server.with(|state| state.changes.len());
        let again = stack.run(&NO_VERIFY).expect(0);
        assert!(again.out.contains("no changes"), "{}", again.out);
        stack.run(&["drift"]).expect(0);
        assert_eq!(server.with(|state| state.changes.len()), changes);

        server.with(|state| {
            let panels = state.object(&ours[0])["attributes"]["panelsJSON"].clone();
            let text = panels
                .as_str()
                .unwrap()
                .replace("Log lines by level", "Mine");
            state.object(&ours[0])["attributes"]["panelsJSON"] = json!(text);
            state.object(&ours[1])["attributes"]["title"] = json!("*");
        });
        let drift = stack.run(&["drift"]).expect(2);
        assert!(
            drift.out.contains("kibana/dashboard/logs: changed by hand"),
            "{}",
            drift.out
        );
        assert!(
            drift
                .out
                .contains("kibana/data-view/logs: differs, author unknown"),
            "{}",
            drift.out
        );
        stack.run(&NO_VERIFY).expect(0);
        stack.run(&["drift"]).expect(0);
        assert_eq!(server.with(|state| state.foreign(&prefix)), theirs);
        stack.run(&["destroy", "--yes", "--purge"]).expect(0);
        assert_eq!(
            server.with(|state| state.foreign("-")),
            theirs,
            "all that is ours is gone"
        );
    }
}

/// Not run against the real OpenSearch Dashboards here; the stand-in has its mappings.
#[test]
fn opensearch_dashboards_gets_objects_of_its_own() {
    let Some((stack, server)) = open("OpenSearch Dashboards", "") else {
        return;
    };
    server.with(|state| {
        state.opensearch = true;
        state.version = "2.19.1".into();
    });
    // As Kibana it is not written to, and the word that is missing is said.
    let refused = stack.run(&["plan"]);
    let said = "answers as OpenSearch Dashboards 2.19.1; write `distribution: opensearch`";
    assert!(refused.out.contains(said), "{refused:?}");
    let spec = std::fs::read_to_string(stack.spec()).unwrap();
    stack.write_spec(&spec.replace(
        "kibana: { mode: external,",
        "kibana: { mode: external, distribution: opensearch,",
    ));
    let prefix = prefix(&stack);
    let theirs = server.with(|state| state.foreign(&prefix));
    stack.run(&NO_VERIFY).expect(0);
    let keys = server.with(|state| state.keys());
    for key in [
        "index-pattern/logs",
        "index-pattern/deploys",
        "dashboard/errors",
        "visualization/errors-chart-1",
        "search/security-2",
    ] {
        let key = key.replace('/', &format!("/{prefix}"));
        assert!(keys.contains(&key), "{key}: {keys:?}");
    }
    let refused = server.with(|state| state.refused.clone());
    assert!(
        refused.iter().all(|text| text.contains("_export: 400")),
        "{refused:?}"
    );
    let again = stack.run(&NO_VERIFY).expect(0);
    assert!(again.out.contains("no changes"), "{}", again.out);
    server.with(|state| {
        let key = format!("visualization/{prefix}errors-chart-1");
        let state = state.object(&key);
        let text = state["attributes"]["visState"].as_str().unwrap().to_owned();
        state["attributes"]["visState"] = json!(text.replace("histogram", "line"));
    });
    let drift = stack.run(&["drift"]).expect(2);
    let said = "kibana/visualization/errors-chart-1: changed by hand";
    assert!(drift.out.contains(said), "{}", drift.out);
    stack.run(&NO_VERIFY).expect(0);
    stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert_eq!(server.with(|state| state.foreign("-")), theirs);
}

#[test]
fn what_is_wrong_is_said_without_the_key() {
    let Some((stack, server)) = open("a Kibana that refuses", "") else {
        return;
    };
    let wrong = "d3Jvbmc6a2V5";
    let refused = stack.run_with(&[(VARIABLE, wrong)], &NO_VERIFY).expect(1);
    let text = format!("{}{}", refused.out, refused.err);
    assert!(
        text.contains("systems.kibana.auth") && !text.contains(wrong),
        "{text}"
    );
    // The pattern is taken by somebody else's.
    server.with(|state| {
        state.put(
            "index-pattern",
            "mine",
            json!({ "title": "logs-kai.*-local", "name": "Mine" }),
        );
    });
    let taken = stack.run(&NO_VERIFY).expect(1);
    assert!(
        taken
            .out
            .contains("another data view with the pattern logs-kai.*-local"),
        "{}",
        taken.out
    );
    server.with(|state| state.version = "8.9.1".into());
    let old = stack.run(&["plan"]);
    assert!(old.out.contains("8.10 or later is needed"), "{old:?}");
}

/// Fetched, verified, started and asked, as the real one would be.
#[test]
fn from_archive_to_dashboard_and_back() {
    if judge::contract(CONTRACT).is_none() {
        return judge::not_run("managed Kibana", CONTRACT);
    }
    let archive = tar_gz(&[(
        "kibana-9.5.3/bin/kibana".to_owned(),
        program::script("kibana").into_bytes(),
    )]);
    let file = format!("kibana-9.5.3-linux-{}.tar.gz", std::env::consts::ARCH);
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join(&file);
    std::fs::write(&at, &archive).unwrap();
    let sum = kai_observe::components::digest::hash_file(
        &at,
        kai_observe::components::catalogue::Algorithm::Sha512,
        &mut |_| {},
    )
    .unwrap();
    let mirror = Server::start();
    // A digest and a name, as the vendor's.
    let sums = format!("/kibana/9.5.3/{file}.sha512");
    mirror.put(&sums, format!("{sum}  {file}\n"));
    mirror.put(&format!("/kibana/9.5.3/{file}"), archive);
    let mut stack = Stack::new();
    // Its own cache: the stand-in must not be found there by a stack that wants the real one.
    let cache = stack.folder.path().join("cache").display().to_string();
    stack.vars.push(("KAI_CACHE".into(), cache));
    let systems = "  kibana: { mode: managed, required: true }\n  grafana: { mode: off }\n  \
                   jaeger: { mode: off }\n  elasticsearch: { mode: off }\n";
    let text = spec(&stack, systems)
        .replace("  kibana: { mode: off }\n", "")
        .replace("prometheus: { mode: managed }", "prometheus: { mode: off }");
    let url = mirror.url();
    stack.write_spec(&format!(
        "{text}components: {{ mirrors: {{ archive: \"{url}\" }} }}\n"
    ));
    stack.run(&NO_VERIFY).expect(0);
    let pids = stack.pids();
    assert!(pids.contains_key("kibana"), "{pids:?}");
    let arguments = std::fs::read(format!("/proc/{}/environ", pids["kibana"])).unwrap();
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    assert!(arguments.contains("--allow-root"), "it would refuse root");
    stack.run(&["drift"]).expect(0);
    let again = stack.run(&NO_VERIFY).expect(0);
    assert!(again.out.contains("no changes"), "{}", again.out);
    stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert_eq!(stack.living(), []);
}
