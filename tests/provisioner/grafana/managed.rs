//! A Grafana of the stack itself: archive, checksum, start, health, API, drift, restart, and the
//! password that nobody sees.

use serde_json::{Value, json};

use super::{prefix, spec};
use crate::components::server::Server;
use crate::components::support::{sha256, tar_gz};
use crate::harness::{Stack, request};
use crate::standins::grafana::CONTRACT;
use crate::standins::{judge, program};

const VERSION: &str = "13.2.2";
const NO_VERIFY: [&str; 2] = ["provision", "--no-verify"];

/// A mirror with one release, laid out as the vendor's: a top folder, `bin/` and `conf/`.
fn mirror() -> Server {
    let top = format!("grafana-v{VERSION}");
    let archive = tar_gz(&[
        (
            format!("{top}/bin/grafana"),
            program::script("grafana").into_bytes(),
        ),
        (format!("{top}/conf/defaults.ini"), b"; defaults\n".to_vec()),
    ]);
    let server = Server::start();
    let arch = if cfg!(target_arch = "x86_64") {
        "amd64"
    } else {
        "arm64"
    };
    let file = format!("/grafana/{VERSION}/grafana-{VERSION}.linux-{arch}.tar.gz");
    // One line with nothing but the sum, as the vendor's.
    server.put(&format!("{file}.sha256"), format!("{}\n", sha256(&archive)));
    server.put(&file, archive);
    server
}

#[test]
fn from_archive_to_dashboards_and_back() {
    if judge::contract(CONTRACT).is_none() {
        return judge::not_run("managed Grafana", CONTRACT);
    }
    let mirror = mirror();
    let stack = Stack::new();
    let with = |more: &str| {
        let systems = "  grafana: { mode: managed, required: true }\n  jaeger: { mode: off }\n  elasticsearch: { mode: off }\n";
        let mirrors = format!(
            "components: {{ mirrors: {{ archive: \"{}\" }} }}\n",
            mirror.url()
        );
        format!("{}{mirrors}{more}", spec(&stack, systems))
    };
    stack.write_spec(&with(""));

    // Nothing runs yet: its objects are planned, and become known once it does.
    let plan = stack.run(&["plan"]).expect(2);
    assert!(
        plan.out.contains("grafana/dashboard/system"),
        "{}",
        plan.out
    );
    let drift = stack.run(&["drift"]);
    let said = |kind: &str| drift.out.lines().any(|line| line.starts_with(kind));
    assert!(!said("grafana/") && said("file/grafana/"), "{}", drift.out);
    let report = stack.run(&["provision", "--output", "json"]);
    let report = report.json();
    let failed: Vec<&Value> = report["verify"]["proofs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|proof| proof["status"] == "fail")
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let pids = stack.pids();
    assert!(pids.contains_key("grafana"), "{pids:?}");
    let again = stack.run(&NO_VERIFY).expect(0);
    assert!(again.out.contains("no changes"), "{}", again.out);
    assert_eq!(stack.pids(), pids);

    the_password_is_seen_nowhere(&stack);

    // Without a password nothing is told, with it everything is there.
    let (status, _) = request(
        reqwest::Method::GET,
        &stack.url(16, "/api/datasources"),
        None,
    );
    assert_eq!(status, 401);
    let uid = format!("{}prometheus", prefix(&stack));
    let path = stack.url(16, &format!("/api/datasources/uid/{uid}"));
    let source = ask(&stack, reqwest::Method::GET, &path, None);
    assert_eq!(source["isDefault"], true);

    // Changed by hand, through the API as a person would.
    let mut mine = source.clone();
    mine["jsonData"]["httpMethod"] = json!("GET");
    for key in ["id", "orgId", "readOnly", "typeLogoUrl", "secureJsonFields"] {
        mine.as_object_mut().unwrap().remove(key);
    }
    ask(&stack, reqwest::Method::PUT, &path, Some(mine));
    let drift = stack.run(&["drift"]).expect(2);
    assert!(
        drift
            .out
            .contains("grafana/data-source/prometheus: changed by hand"),
        "{}",
        drift.out
    );
    assert!(
        drift.out.contains("-    \"httpMethod\": \"GET\""),
        "{}",
        drift.out
    );
    stack.run(&NO_VERIFY).expect(0);
    let mended = ask(&stack, reqwest::Method::GET, &path, None);
    assert_eq!(mended["jsonData"], source["jsonData"]);
    stack.run(&["drift"]).expect(0);

    data_and_password_are_kept_together(&stack);
}

fn password(stack: &Stack) -> String {
    let path = stack.place().join("data/grafana/secrets/admin-password");
    std::fs::read_to_string(path).unwrap()
}

fn the_password_is_seen_nowhere(stack: &Stack) {
    use std::os::unix::fs::PermissionsExt as _;
    let password = password(stack);
    let path = stack.place().join("data/grafana/secrets/admin-password");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    for folder in ["config", "log", "run"] {
        for file in kai_observe::systems::file::walk(&stack.place().join(folder)) {
            let text =
                std::fs::read(&file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert!(
                !text.unwrap_or_default().contains(&password),
                "{}",
                file.display()
            );
        }
    }
    let pid = stack.pids()["grafana"];
    for part in ["cmdline", "environ"] {
        let text = std::fs::read(format!("/proc/{pid}/{part}")).unwrap();
        assert!(
            !String::from_utf8_lossy(&text).contains(&password),
            "{part}"
        );
    }
    for args in [["plan", "--diff"].as_slice(), &["show"], &["drift"]] {
        let ran = stack.run(args);
        assert!(
            !format!("{}{}", ran.out, ran.err).contains(&password),
            "{args:?}"
        );
    }
}

/// `destroy` keeps the database, and with it the password that opens it.
fn data_and_password_are_kept_together(stack: &Stack) {
    let before = password(stack);
    stack.run(&["destroy", "--yes"]).expect(0);
    assert_eq!(stack.living(), []);
    assert!(!stack.place().join("config/grafana/grafana.ini").exists());
    stack.run(&NO_VERIFY).expect(0);
    assert_eq!(password(stack), before);
    // The objects are there again already: they lie in the database.
    stack.run(&["drift"]).expect(0);
    stack.run(&["destroy", "--yes", "--purge"]).expect(0);
    assert!(!stack.place().join("data").exists());
}

fn ask(stack: &Stack, method: reqwest::Method, url: &str, body: Option<Value>) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = kai_observe::http::client(std::time::Duration::from_secs(10));
        let mut request = client
            .request(method, url)
            .basic_auth("admin", Some(password(stack)));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert!(status.is_success(), "{url}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    })
}
