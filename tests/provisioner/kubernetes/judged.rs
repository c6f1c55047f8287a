//! Every object before a real API server: strict schemas, a dry run without a warning, the real
//! thing twice, Pod Security, and proofs that each judge does refuse.

use std::io::Write as _;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use super::api_server::{Answer, ApiServer, path_of};
use super::{discovered, find, kai_observe, objects, program, schemas, spec};
use crate::harness::Ran;

#[track_caller]
fn accepted(answer: &Answer, what: &str) {
    assert!(
        matches!(answer.status, 200 | 201),
        "{what}: {} {}",
        answer.status,
        answer.body
    );
    assert!(answer.warnings.is_empty(), "{what}: {:?}", answer.warnings);
}

fn title(object: &Value) -> String {
    path_of(object)
}

#[test]
fn a_real_api_server_accepts_everything() {
    let server = ApiServer::start();
    // Where the observed services live; not ours, so it is there before.
    let kai = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kai" } });
    accepted(&server.apply(&kai, false), "kai");
    let openapi = server.ask(Method::GET, "/openapi/v2", None);
    let folder = server.folder.path().join("schemas");
    std::fs::create_dir_all(&folder).unwrap();
    schemas::write(&openapi.body, &folder);
    for name in ["cluster", "found", "lanes", "small"] {
        let objects = objects(name);
        strict_schemas(&server, name, &objects);
        // A dry run creates nothing, and everything but a namespace needs one that is there.
        for object in &objects {
            let is_namespace = object["kind"] == "Namespace";
            accepted(&server.apply(object, true), &title(object));
            if is_namespace {
                accepted(&server.apply(object, false), &title(object));
            }
        }
        assert_eq!(
            server
                .ask(Method::GET, &path_of(objects.last().unwrap()), None)
                .status,
            404,
            "a dry run creates nothing"
        );
        let versions = || -> Vec<String> {
            let apply = |object| {
                let answer = server.apply(object, false);
                accepted(&answer, &title(object));
                answer.body["metadata"]["resourceVersion"].to_string()
            };
            objects.iter().map(apply).collect()
        };
        let first = versions();
        assert_eq!(versions(), first, "{name}: applied again, nothing changes");
        pods(&server, &objects);
    }
    discovered::by_prometheus(&server);
    refusals(&server);
    kubectl(&server);
}

/// kubeconform by the schemas of this server: no key that it does not know.
fn strict_schemas(server: &ApiServer, name: &str, objects: &[Value]) {
    let judge = |objects: &[Value]| -> Ran {
        let file = server.folder.path().join(format!("{name}.json"));
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        std::fs::write(&file, list.to_string()).unwrap();
        let pattern = server.folder.path().join("schemas");
        Command::new(program("kubeconform"))
            .args(["-strict", "-summary", "-output", "json", "-schema-location"])
            .arg(format!(
                "{}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json",
                pattern.display()
            ))
            .arg(&file)
            .output()
            .unwrap()
            .into()
    };
    let summary = judge(objects).expect(0).json()["summary"].clone();
    assert_eq!(summary["valid"], objects.len(), "{summary}");
    assert_eq!(summary["skipped"], 0, "{summary}");
    let mut misspelt = find(objects, "DaemonSet", "kai-agent").clone();
    misspelt["spec"]["template"]["spec"]["tolerationz"] = json!([]);
    let ran = judge(&[misspelt]).expect(1);
    assert!(ran.out.contains("tolerationz"), "{ran:?}");
}

/// Pods as the controllers would make them: admitted where they belong, with the rights that they
/// have there, and nowhere else.
fn pods(server: &ApiServer, objects: &[Value]) {
    let quota = find(objects, "ResourceQuota", "kai-agent");
    let status = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": { "name": "kai-agent" },
        "status": { "hard": quota["spec"]["hard"], "used": { "pods": "0" } },
    });
    // The quota's controller, which does not run here, would count.
    let path = format!("{}/status", path_of(quota));
    let kind = "application/merge-patch+json";
    let answer = server.ask(Method::PATCH, &path, Some((kind, &status)));
    assert_eq!(answer.status, 200, "{answer:?}");
    let create = |pod: &Value, namespace: &str| {
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict");
        server.ask(Method::POST, &path, Some(("application/json", pod)))
    };
    let restricted = find(objects, "StatefulSet", "prometheus")["metadata"]["namespace"].clone();
    for object in objects.iter().filter(|o| !o["spec"]["template"].is_null()) {
        let mut spec = object["spec"]["template"]["spec"].clone();
        if object["kind"] == "StatefulSet"
            && let Some(volumes) = spec["volumes"].as_array_mut()
        {
            let claim = json!({ "claimName": "data" });
            volumes.push(json!({ "name": "data", "persistentVolumeClaim": claim }));
        }
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "p", "labels": object["spec"]["template"]["metadata"]["labels"] },
            "spec": spec,
        });
        let namespace = object["metadata"]["namespace"].as_str().unwrap();
        let answer = create(&pod, namespace);
        accepted(&answer, &title(object));
        if object["kind"] == "DaemonSet" {
            let elsewhere = create(&pod, restricted.as_str().unwrap());
            assert_eq!(elsewhere.status, 403, "{elsewhere:?}");
            assert!(elsewhere.message().contains("hostPath"), "{elsewhere:?}");
        }
    }
}

/// What the acceptance is worth: the same server refuses mistakes of each kind.
fn refusals(server: &ApiServer) {
    let objects = objects("cluster");
    let daemon_set = find(&objects, "DaemonSet", "kai-agent");
    let mut misspelt = daemon_set.clone();
    misspelt["spec"]["template"]["spec"]["tolerationz"] = json!([]);
    let answer = server.apply(&misspelt, true);
    assert!(
        answer.status >= 400 && answer.message().contains("tolerationz"),
        "{answer:?}"
    );
    let mut other_selector = daemon_set.clone();
    other_selector["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = json!("other");
    assert_eq!(server.apply(&other_selector, true).status, 422);
    // Somebody else changed what is ours: the next apply says so, and overwrites nothing.
    let map = find(&objects, "ConfigMap", "kai-agent");
    let path = path_of(map);
    let change = json!({ "data": { "agent.yaml": "by hand" } });
    let kind = "application/merge-patch+json";
    let hand = format!("{path}?fieldManager=hand");
    assert_eq!(
        server
            .ask(Method::PATCH, &hand, Some((kind, &change)))
            .status,
        200
    );
    let answer = server.apply(map, false);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.message().contains("agent.yaml"), "{answer:?}");
    assert_eq!(
        server.ask(Method::GET, &path, None).body["data"]["agent.yaml"],
        "by hand"
    );
}

/// The command that `render` names, as it names it.
fn kubectl(server: &ApiServer) {
    let kubectl = program("kubectl");
    let rendered = kai_observe(&["render"], &spec("small")).expect(0).out;
    let mut child = Command::new(kubectl)
        .args(["apply", "--server-side", "--field-manager=kai-observe"])
        .args([
            "--validate=strict",
            "--dry-run=server",
            "-f",
            "-",
            "--kubeconfig",
        ])
        .arg(server.kubeconfig(None))
        .env("HOME", server.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(rendered.as_bytes())
        .unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    let ran = ran.expect(0);
    assert_eq!(
        ran.out.matches("serverside-applied").count(),
        objects("small").len(),
        "{ran:?}"
    );
    assert!(!ran.err.contains("Warning"), "{ran:?}");
}
