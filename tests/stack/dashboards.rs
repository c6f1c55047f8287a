//! The dashboards on the live systems: every query of every panel is answered, and none that the
//! example feeds is empty; where Grafana cannot be had, the files lie ready and `verify` says so.

use serde_json::Value;

use crate::harness::{Stack, kill, with_system};

#[test]
fn every_panel_of_the_example_is_fed() {
    let stack = Stack::new();
    // In the others' words of the harness, without those that take long to start.
    let spec = stack.example();
    stack.write_spec(&with_system(&spec, "grafana", "{ mode: managed }"));
    let report = stack.run(&["provision", "--output", "json"]).json();
    let proofs = of(&report["verify"]);
    for slug in ["system", "application", "business"] {
        let proof = find(&proofs, slug);
        assert_eq!(proof["status"], "pass", "{proof:#}");
        let detail = proof["detail"].as_str().unwrap();
        assert!(detail.contains("queries answered"), "{detail}");
        let file = stack
            .place()
            .join(format!("config/grafana/dashboards/{slug}.json"));
        let text = std::fs::read_to_string(file).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        assert!(
            dashboard["__kai"][0]
                .as_str()
                .unwrap()
                .starts_with("managed by kai-observe")
        );
        assert!(dashboard["panels"].as_array().unwrap().len() > 10);
    }
    let grafana = find(&proofs, "api");
    if grafana["status"] == "not-run" {
        let said = grafana["detail"].as_str().unwrap();
        assert!(said.contains("not installed"), "{said}");
    }
    // Edited by hand, a rendered dashboard is named and mended like any other file.
    let file = stack.place().join("config/grafana/dashboards/system.json");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("Load per processor", "Mine")).unwrap();
    let drift = stack.run(&["drift"]).expect(2);
    assert!(
        drift
            .out
            .contains("file/grafana/dashboards/system.json: changed by hand"),
        "{}",
        drift.out
    );
    stack.run(&["provision", "--no-verify"]).expect(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), good);

    // Nothing is there to ask: a failure or a word that it was not run, never a pass.
    kill(stack.pids()["prometheus"]);
    let dead = stack
        .run(&["verify", "--patience", "2s", "--output", "json"])
        .expect(5)
        .json();
    let proofs = of(&dead);
    for slug in ["system", "application", "business"] {
        assert_ne!(find(&proofs, slug)["status"], "pass", "{proofs:#?}");
    }
}

fn of(verdict: &Value) -> Vec<Value> {
    verdict["proofs"].as_array().cloned().unwrap_or_default()
}

fn find(proofs: &[Value], name: &str) -> Value {
    let found = proofs.iter().find(|proof| {
        proof["name"] == name && matches!(proof["area"].as_str(), Some("dashboards" | "grafana"))
    });
    found
        .cloned()
        .unwrap_or_else(|| panic!("{name}: {proofs:#?}"))
}
