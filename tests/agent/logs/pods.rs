//! Lines of containers: whose they are is known before the first of a file is read, and a file whose
//! pod nobody told of yet holds up no other.

use std::fs;

use serde_json::{Value, json};

use super::fake::Fake;
use super::runner::{Runner, append};
use crate::discovery::api::{Api, TOKEN};
use crate::support::wait_for;

fn pod(uid: &str, name: &str, annotations: Value) -> Value {
    json!({
        "metadata": {
            "uid": uid, "name": name, "namespace": "kai", "annotations": annotations,
            "labels": { "app.kubernetes.io/name": "booking", "pod-template-hash": "7f" },
            "ownerReferences": [{ "kind": "ReplicaSet", "name": "booking-7f", "controller": true }],
        },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "app", "image": "booking:1" }] },
        "status": { "phase": "Running", "podIP": "10.1.0.4" },
    })
}

/// An agent that reads `pods/*/*/*.log` of its folder.
fn agent(api: &Api, fake: &Fake, wait_ms: u64) -> Runner {
    let agent = Runner::new(std::slice::from_ref(&fake.url), "");
    fs::write(agent.path("token"), TOKEN).unwrap();
    let cluster = format!(
        "kubernetes: {{node: node-1, api: '{}', tokenFile: {}}}\n",
        api.url,
        agent.path("token").display()
    );
    let sources = format!(
        "    pods:\n      paths: ['{}']\n      container: cri\n      dataStream: logs-kai.pods-test\n      \
         pods: {{waitMs: {wait_ms}}}\n{cluster}",
        agent.path("pods/*/*/*.log").display()
    );
    agent.configure(std::slice::from_ref(&fake.url), "", &sources);
    agent
}

fn write(agent: &Runner, pod: &str, text: &str) {
    let folder = agent.path(&format!("pods/{pod}/app"));
    fs::create_dir_all(&folder).unwrap();
    let line = format!("2026-11-24T02:06:29.5Z stdout F {text}\n");
    append(&folder.join("0.log"), line.as_bytes());
}

fn document(fake: &Fake, message: &str) -> Value {
    wait_for(message, || {
        let mut documents = fake.documents().into_iter();
        documents.find(|document| document["message"] == message)
    })
}

#[test]
fn a_line_waits_for_its_pod_and_no_other_waits_with_it() {
    let (api, fake) = (Api::start(), Fake::start());
    api.put(pod("u1", "booking-7f-a", json!({})));
    let mut agent = agent(&api, &fake, 600_000);
    write(&agent, "kai_booking-7f-b_u2", "late");
    write(&agent, "kai_booking-7f-a_u1", "known");
    write(
        &agent,
        "kai_booking-7f-a_u1",
        r#"{"message":"own","kubernetes":{"pod":"mine"}}"#,
    );
    agent.start();
    let known = document(&fake, "known");
    assert_eq!(known["kubernetes"]["pod"]["name"], "booking-7f-a");
    assert_eq!(known["kubernetes"]["deployment"]["name"], "booking");
    assert_eq!(
        known["kubernetes"]["labels"]["app_kubernetes_io/name"],
        "booking"
    );
    assert_eq!(known["orchestrator"]["resource"]["id"], "u1");
    assert_eq!(known["container"]["image"]["name"], "booking:1");
    assert_eq!(known["service.name"], "booking");
    // What a line says itself stays.
    let own = document(&fake, "own");
    assert_eq!(own["kubernetes"], json!({ "pod": "mine" }));
    assert_eq!(own["service.name"], "booking");
    // The other waits.
    assert_eq!(fake.documents().len(), 2);
    let series = |what: &str| format!("pods_total{{metadata=\"{what}\",source=\"pods\"}}");
    // The known one, too, if it was seen before the pods were listed.
    assert!(agent.value(&series("waiting")) >= 1.0);
    assert_eq!(agent.value(&series("known")), 1.0);
    api.put(pod("u2", "booking-7f-b", json!({})));
    let late = document(&fake, "late");
    assert_eq!(late["kubernetes"]["pod"]["uid"], "u2");
    assert_eq!(late["kai.metadata"], Value::Null);
    // The last lines of a pod that is gone still know it.
    api.delete("u1");
    wait_for("the end of the pod", || {
        (agent.metrics().value("kai_agent_kubernetes_pods_deleted") == 1.0).then_some(())
    });
    let folder = agent.path("pods/kai_booking-7f-a_u1/app");
    append(
        &folder.join("1.log"),
        b"2026-11-24T02:06:30Z stderr F last words\n",
    );
    let last = document(&fake, "last words");
    assert_eq!(last["kubernetes"]["pod"]["name"], "booking-7f-a");
    agent.assert_balanced();
    // One that starts again goes on in the middle of a file, and asks first, too.
    agent.stop();
    write(&agent, "kai_booking-7f-b_u2", "on");
    agent.start();
    let on = document(&fake, "on");
    assert_eq!(on["kubernetes"]["pod"]["uid"], "u2");
}

#[test]
fn a_pod_that_nobody_knows_is_marked_and_one_that_asks_is_left_out() {
    let (api, fake) = (Api::start(), Fake::start());
    api.put(pod(
        "u1",
        "booking-7f-a",
        json!({ "kai.observe/logs": "false" }),
    ));
    let mut agent = agent(&api, &fake, 300);
    agent.start();
    wait_for("the pods", || {
        (agent.metrics().value("kai_agent_kubernetes_synced") == 1.0).then_some(())
    });
    write(&agent, "kai_booking-7f-a_u1", "secret");
    write(&agent, "kai_booking-7f-z_u9", "stray");
    let stray = document(&fake, "stray");
    assert_eq!(stray["kai.metadata"], "missing");
    assert_eq!(stray["kubernetes"]["namespace"], "kai");
    assert_eq!(stray["kubernetes"]["pod"]["name"], "booking-7f-z");
    agent.logged_all(&["the pod of a log file is not known"]);
    assert_eq!(fake.documents().len(), 1);
    for what in ["excluded", "missing"] {
        let series = format!("pods_total{{metadata=\"{what}\",source=\"pods\"}}");
        assert_eq!(agent.value(&series), 1.0, "{what}");
    }
}
