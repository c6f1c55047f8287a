//! A Grafana that somebody else runs and uses: ours is made, found again, mended; theirs stays.

use serde_json::json;

use super::{TOKEN, furnish, prefix, spec, token};
use crate::harness::Stack;
use crate::standins::grafana::{CONTRACT, Grafana};
use crate::standins::{Running, judge};

const VARIABLE: &str = "KAI_TEST_GRAFANA_TOKEN";
const NO_VERIFY: [&str; 2] = ["provision", "--no-verify"];

fn open(test: &str) -> Option<(Stack, Running<Grafana>)> {
    let Some(state) = Grafana::new(token(), None) else {
        judge::not_run(test, CONTRACT);
        return None;
    };
    let server = Running::start(state);
    let mut stack = Stack::new();
    stack.vars.push((VARIABLE.into(), TOKEN.into()));
    stack.write_spec(&with(&stack, &server.url()));
    furnish(&server, &[("authorization", &format!("Bearer {TOKEN}"))]);
    Some((stack, server))
}

fn with(stack: &Stack, url: &str) -> String {
    let systems = format!(
        "  grafana: {{ mode: external, url: \"{url}\", auth: {{ token: {{ env: {VARIABLE} }} }} }}\n  \
         jaeger: {{ mode: external, url: \"http://jaeger.example.org:16686\", auth: {{ token: {{ env: {VARIABLE} }} }} }}\n  \
         elasticsearch: {{ mode: \"off\" }}\n"
    );
    spec(stack, &systems)
}

#[test]
fn ours_is_made_found_again_and_mended_and_theirs_stays_to_the_byte() {
    let Some((stack, server)) = open("external Grafana") else {
        return;
    };
    let prefix = prefix(&stack);
    let theirs = server.with(|state| state.foreign(&prefix));
    assert!(theirs.contains("their-board"), "{theirs}");

    stack.run(&NO_VERIFY).expect(0);
    let uids = server.with(|state| state.uids());
    let ours: Vec<&String> = uids.iter().filter(|uid| uid.starts_with(&prefix)).collect();
    assert_eq!(
        ours.len(),
        6,
        "a folder, two data sources, three dashboards: {uids:?}"
    );
    assert_eq!(server.with(|state| state.refused.clone()), [""; 0]);
    assert_eq!(server.with(|state| state.foreign(&prefix)), theirs);

    // Again: nothing is asked for but answers.
    let changes = server.with(|state| state.changes.len());
    let again = stack.run(&NO_VERIFY).expect(0);
    assert!(again.out.contains("no changes"), "{}", again.out);
    stack.run(&["drift"]).expect(0);
    assert_eq!(server.with(|state| state.changes.len()), changes);

    // By hand: another address, a check of certificates switched off.
    let uid = format!("{prefix}prometheus");
    server.with(|state| {
        state.data_source(&uid)["url"] = json!("http://127.0.0.1:9999");
        state.data_source(&uid)["jsonData"]["tlsSkipVerify"] = json!(true);
    });
    let drift = stack.run(&["drift"]).expect(2);
    assert!(
        drift
            .out
            .contains("grafana/data-source/prometheus: changed by hand"),
        "{}",
        drift.out
    );
    for line in [
        "-  \"url\": \"http://127.0.0.1:9999\"",
        "-    \"tlsSkipVerify\": true",
    ] {
        assert!(drift.out.contains(line), "{line}:\n{}", drift.out);
    }
    stack.run(&NO_VERIFY).expect(0);
    let url = stack.url(3, "");
    assert_eq!(
        server.with(|state| state.data_source(&uid)["url"].clone()),
        json!(url)
    );
    stack.run(&["drift"]).expect(0);

    // A panel renamed and the mark thrown away with the variables; a stored secret taken away.
    let board = format!("{prefix}system");
    let jaeger = format!("{prefix}jaeger");
    server.with(|state| {
        let dashboard = &mut state.dashboard(&board)["dashboard"];
        dashboard["panels"][1]["title"] = json!("Mine");
        dashboard["templating"]["list"] = json!([]);
        state.remove_secret(&jaeger);
    });
    let drift = stack.run(&["drift"]).expect(2);
    assert!(
        drift
            .out
            .contains("grafana/dashboard/system: changed, author unknown: its mark is gone"),
        "{}",
        drift.out
    );
    assert!(
        drift
            .out
            .contains("grafana/data-source/jaeger: changed by hand"),
        "{}",
        drift.out
    );
    stack.run(&NO_VERIFY).expect(0);
    stack.run(&["drift"]).expect(0);
    assert_eq!(server.with(|state| state.foreign(&prefix)), theirs);
    let gone = stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert_eq!(server.with(|state| state.foreign(&prefix)), theirs);
    let left = server.with(|state| state.uids());
    assert!(!left.iter().any(|uid| uid.starts_with(&prefix)), "{left:?}");
    for text in [&drift.out, &drift.err, &again.out, &gone.out] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[test]
fn somebody_who_saves_at_the_same_moment_is_not_overwritten() {
    let Some((stack, server)) = open("a race in Grafana") else {
        return;
    };
    stack.run(&NO_VERIFY).expect(0);
    for (slug, key) in [("prometheus", "data-source"), ("business", "dashboard")] {
        let uid = format!("{}{slug}", prefix(&stack));
        server.with(|state| {
            if key == "dashboard" {
                state.dashboard(&uid)["dashboard"]["title"] = json!("Mine");
            } else {
                state.data_source(&uid)["url"] = json!("http://mine");
            }
            state.race = Some(uid.clone());
        });
        let lost = stack.run(&NO_VERIFY).expect(1);
        assert!(lost.out.contains("at this very moment"), "{}", lost.out);
        assert!(
            lost.out.contains("run the same command again"),
            "{}",
            lost.out
        );
        stack.run(&NO_VERIFY).expect(0);
    }
}

#[test]
fn what_is_wrong_with_the_server_is_said_without_the_token() {
    let Some((stack, server)) = open("a Grafana that refuses") else {
        return;
    };
    let wrong = "glsa_another-wrong-token";
    let refused = stack.run_with(&[(VARIABLE, wrong)], &NO_VERIFY).expect(1);
    let text = format!("{}{}", refused.out, refused.err);
    assert!(
        text.contains("systems.grafana.auth") && text.contains("401"),
        "{text}"
    );
    assert!(!text.contains(wrong) && !text.contains(TOKEN), "{text}");
    assert_eq!(text.matches("does not know who asks").count(), 1, "{text}");

    // A name that is taken by somebody else's.
    let name = "Prometheus · ticketing local";
    super::post(
        &format!("{}/api/datasources", server.url()),
        &[("authorization", &format!("Bearer {TOKEN}"))],
        &json!({ "uid": "mine", "name": name, "type": "prometheus", "access": "proxy", "url": "http://x" }),
    );
    let taken = stack.run(&NO_VERIFY).expect(1);
    assert!(
        taken.out.contains("which is not of this stack"),
        "{}",
        taken.out
    );

    // Silent: an error, never "absent".
    drop(server);
    let silent = stack.run(&NO_VERIFY).expect(1);
    assert!(
        silent.err.contains("cannot plan") && silent.err.contains("does not answer"),
        "{silent:?}"
    );
}

#[test]
fn a_read_only_data_source_and_a_folder_with_guests_are_left_alone() {
    let Some((stack, server)) = open("things of Grafana that cannot be changed") else {
        return;
    };
    stack.run(&NO_VERIFY).expect(0);
    let prefix = prefix(&stack);
    let uid = format!("{prefix}jaeger");
    server.with(|state| {
        state.data_source(&uid)["url"] = json!("http://mine");
        state.data_source(&uid)["readOnly"] = json!(true);
    });
    let refused = stack.run(&NO_VERIFY).expect(1);
    assert!(
        refused.out.contains("provisioning file of Grafana itself"),
        "{}",
        refused.out
    );
    server.with(|state| state.data_source(&uid)["readOnly"] = json!(false));

    // Somebody puts a dashboard of theirs into our folder; then the spec no longer wants Grafana's
    // dashboards, because its folder is ours no more: the guests stay, and so does the folder.
    super::post(
        &format!("{}/api/dashboards/db", server.url()),
        &[("authorization", &format!("Bearer {TOKEN}"))],
        &json!({ "folderUid": format!("{prefix}folder"), "overwrite": false, "dashboard":
            { "id": null, "uid": "guest", "title": "Guest", "schemaVersion": 42, "panels": [] } }),
    );
    let access = kai_observe::model::Connection {
        url: server.url(),
        auth: Some(kai_observe::model::Auth::Token(
            kai_observe::model::SecretRef {
                source: kai_observe::model::SecretSource::File(token_file(&stack)),
                rotation: 0,
            },
        )),
    };
    let client =
        kai_observe::systems::objects::Client::new(kai_observe::object::System::Grafana, &access)
            .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let kept = runtime.block_on(async {
        let ours = client.ours(&format!("{}-local", stack.id)).await.unwrap();
        assert_eq!(ours.len(), 6, "{ours:?}");
        let mut kept = Vec::new();
        for listed in ours {
            if let Err(error) = client.delete(listed.kind, &listed.id).await {
                kept.push(error.to_string());
            }
        }
        kept
    });
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(
        kept[0].contains("holds 1 things that are not of this stack"),
        "{kept:?}"
    );
    let mut left = server.with(|state| state.uids());
    left.sort();
    let mut wanted = vec!["guest", "their-board", "their-prometheus", "theirs"];
    let folder = format!("{prefix}folder");
    wanted.insert(1, &folder);
    assert_eq!(left, wanted);
}

fn token_file(stack: &Stack) -> std::path::PathBuf {
    let path = stack.folder.path().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    path
}
