//! The manifests of a stack in a cluster: as a person read them, as the programs inside read their
//! configuration, and as a real API server judges them.

mod api_server;
mod contained;
mod discovered;
mod judged;
mod schemas;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kai_observe::components::{Context, Installed, Outcome, describe};
use kai_observe::layout::cache_folder;
use kai_observe::model::ComponentPolicy;
use kai_observe::progress::Progress;
use serde_json::Value;

use crate::harness::{Ran, free_ports, request, root, wait_for};

fn folder() -> PathBuf {
    root().join("tests/provisioner/kubernetes")
}

fn spec(name: &str) -> PathBuf {
    folder().join(format!("{name}.yaml"))
}

fn kai_observe(args: &[&str], spec: &Path) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_kai-observe"))
        .args(args)
        .arg("--spec")
        .arg(spec)
        .env_remove("KAI_ENV")
        .env("NO_COLOR", "1")
        // What no manifest may hold.
        .env("PLATFORM_PAGERDUTY", "R0VALUEOFTHEKEY")
        .env("SMTP_PASSWORD", "VALUEOFTHEKEY")
        .output()
        .expect("kai-observe starts")
        .into()
}

/// Every object of the spec.
fn objects(name: &str) -> Vec<Value> {
    let ran = kai_observe(&["render", "--output", "json"], &spec(name)).expect(0);
    ran.json()["objects"].as_array().expect("objects").clone()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let fits = |o: &&Value| o["kind"] == kind && o["metadata"]["name"] == name;
    objects.iter().find(fits).expect(name)
}

struct Quiet;

impl Progress for Quiet {
    fn state(&self, _: &str, _: &str) {}
    fn bytes(&self, _: &str, _: u64, _: Option<u64>) {}
    fn done(&self, name: &str, line: &str) {
        println!("{name}: {line}");
    }
    fn note(&self, name: &str, line: &str) {
        println!("{name}: note: {line}");
    }
}

/// The component, by the chain that users have. One that cannot be had fails the test by name.
fn component(name: &str) -> Installed {
    let cache = std::env::var_os("KAI_CACHE").map(PathBuf::from);
    let lock = tempfile::tempdir().expect("a folder");
    let context = Context {
        cache: cache_folder(cache.as_deref()).expect("a cache"),
        lock_file: lock.path().join("observe.lock"),
        policy: ComponentPolicy::default(),
        workspace: Some(root()),
        progress: Arc::new(Quiet),
    };
    match context.obtain(name, None).expect(name) {
        Outcome::Installed(installed) => installed,
        Outcome::NotInstalled(attempts) => {
            panic!("{name} cannot be had here:\n{}", describe(&attempts))
        }
    }
}

fn program(name: &str) -> PathBuf {
    component(name).programs[name].clone()
}

#[test]
fn manifests_are_rendered_as_they_were_read() {
    for name in ["cluster", "found", "lanes", "small"] {
        let ran = kai_observe(&["render"], &spec(name)).expect(0);
        let golden = folder().join(format!("{name}.rendered"));
        if std::env::var_os("KAI_BLESS").is_some() {
            std::fs::write(&golden, &ran.out).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(ran.out, wanted, "{name}: KAI_BLESS=1 writes it anew");
        for never in ["127.0.0.1", "localhost", "VALUEOFTHEKEY", "latest"] {
            assert!(!ran.out.contains(never), "{name} holds {never}");
        }
        // Standard output is for a pipe, what people need besides is on the other.
        let documents = ran.out.split("\n---\n").skip(1);
        for document in documents {
            let value: Value = serde_yaml::from_str(document).expect("YAML");
            assert!(value["kind"].is_string(), "{document}");
        }
        assert!(
            ran.err
                .contains("create secret generic alertmanager-receivers"),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains("VALUEOFTHEKEY"), "{}", ran.err);
    }
}

/// The least that each pod may do, said once for all of them.
#[test]
fn no_pod_may_do_more_than_it_needs() {
    let objects = objects("cluster");
    for object in &objects {
        let pod = &object["spec"]["template"]["spec"];
        if pod.is_null() {
            continue;
        }
        let name = object["metadata"]["name"].as_str().unwrap();
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(
            pod["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[key].is_null(), "{name} {key}");
        }
        assert_eq!(
            pod["automountServiceAccountToken"],
            matches!(name, "prometheus" | "kube-state-metrics"),
            "{name}"
        );
        let container = &pod["containers"][0];
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(
            security["capabilities"],
            serde_json::json!({ "drop": ["ALL"] })
        );
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let path = mount["mountPath"].as_str().unwrap();
            let volumes = pod["volumes"].as_array().unwrap();
            let of_node = volumes
                .iter()
                .any(|v| v["name"] == mount["name"] && !v["hostPath"].is_null());
            assert!(!of_node || mount["readOnly"] == true, "{name} {path}");
        }
    }
    for object in objects.iter().filter(|o| o["kind"] == "Role") {
        for rule in object["rules"].as_array().unwrap() {
            assert_eq!(rule["verbs"], serde_json::json!(["get", "list", "watch"]));
            let secrets = rule["resources"]
                .as_array()
                .unwrap()
                .contains(&"secrets".into());
            assert!(!secrets, "{object}");
        }
    }
    // Cluster-wide is only what kube-state-metrics and kubelets need, and none can write.
    let wide: Vec<&Value> = objects
        .iter()
        .filter(|o| o["kind"] == "ClusterRole")
        .collect();
    assert_eq!(wide.len(), 2);
    for rule in wide
        .iter()
        .flat_map(|role| role["rules"].as_array().unwrap())
    {
        let verbs = rule["verbs"].as_array().unwrap();
        assert!(
            verbs
                .iter()
                .all(|verb| ["get", "list", "watch"].contains(&verb.as_str().unwrap()))
        );
        let resources = rule["resources"].to_string();
        assert!(
            !resources.contains("secrets") && !resources.contains('*'),
            "{rule}"
        );
    }
    let without = self::objects("small");
    assert!(
        without.iter().all(|o| o["kind"] != "ClusterRole"),
        "without systems.kubeState nothing is cluster-wide"
    );
    assert!(
        objects.iter().all(|o| o["kind"] != "Secret"),
        "no secret is rendered"
    );
}

/// Discovery adds one right, to read pods, and the account's token where it is used.
#[test]
fn agents_that_look_for_pods_may_read_pods() {
    let objects = objects("found");
    let pod = &find(&objects, "DaemonSet", "kai-agent")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], true);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let role = find(&objects, "ClusterRole", "seek-kai-agent");
    assert_eq!(
        role["rules"],
        serde_json::json!([
            { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"] },
        ])
    );
    // With namespaces nothing is cluster-wide.
    let folder = tempfile::tempdir().unwrap();
    let some = folder.path().join("some.yaml");
    let text = std::fs::read_to_string(spec("found")).unwrap();
    let text = text.replace("pods: {", "pods: { namespaces: [kai, pay],");
    std::fs::write(&some, text).unwrap();
    let ran = kai_observe(&["render", "--output", "json"], &some).expect(0);
    let objects = ran.json()["objects"].as_array().unwrap().clone();
    assert!(objects.iter().all(|o| o["kind"] != "ClusterRole"));
    let roles = objects
        .iter()
        .filter(|o| o["kind"] == "Role" && o["metadata"]["name"] == "seek-kai-agent");
    assert_eq!(roles.count(), 2);
}

/// The lanes that send add one capability, their own folder of the node and ports for spans and records.
#[test]
fn agents_that_send_get_what_their_lanes_need() {
    let objects = objects("lanes");
    let pod = &find(&objects, "DaemonSet", "kai-agent")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], true);
    assert_eq!(pod["securityContext"]["runAsUser"], 0);
    let container = &pod["containers"][0];
    assert_eq!(
        container["securityContext"]["capabilities"],
        serde_json::json!({ "drop": ["ALL"], "add": ["DAC_READ_SEARCH"] })
    );
    let mounts = container["volumeMounts"].as_array().unwrap();
    let writable: Vec<&Value> = mounts
        .iter()
        .filter(|mount| mount["readOnly"].is_null())
        .map(|mount| &mount["mountPath"])
        .collect();
    assert_eq!(writable, ["/run/kai-agent", "/var/lib/kai-agent"]);
    let sources = &pod["volumes"][0]["projected"]["sources"];
    let keys: Vec<&Value> = sources[1]["secret"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["path"])
        .collect();
    assert_eq!(
        keys,
        ["secrets/agent-elasticsearch", "secrets/agent-pseudonyms"]
    );
    let service = &find(&objects, "Service", "kai-otlp")["spec"];
    assert_eq!(service["internalTrafficPolicy"], "Local");
    let ran = kai_observe(&["render"], &spec("lanes")).expect(0);
    for secret in ["alertmanager-receivers", "generic kai-agent"] {
        assert!(ran.err.contains(secret), "{}", ran.err);
    }
    // The agent takes the configuration that it gets.
    let map = find(&objects, "ConfigMap", "kai-agent");
    let text = map["data"]["agent.yaml"].as_str().unwrap();
    let config: kai_contract::agent_config::AgentConfig = serde_yaml::from_str(text).unwrap();
    assert_eq!(config.problems(), Vec::new());
}

#[test]
fn a_folder_holds_what_the_last_render_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let render = |name: &str| {
        let args = ["render", "--output", "json", "--out", out.to_str().unwrap()];
        kai_observe(&args, &spec(name)).expect(0)
    };
    let read = || -> Vec<(PathBuf, String)> {
        let files = kai_observe::systems::file::walk(&out);
        let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        files
            .iter()
            .map(|path| (path.clone(), read(path)))
            .collect()
    };
    render("cluster");
    let first = read();
    assert_eq!(first.len(), objects("cluster").len());
    render("cluster");
    assert_eq!(read(), first, "the same spec gives the same bytes");

    // Another render with fewer objects: what is gone goes, but not what somebody changed, and not
    // what is not ours.
    let foreign = out.join("99-foreign.yaml");
    std::fs::write(&foreign, "kind: ConfigMap\n").unwrap();
    let text = std::fs::read_to_string(spec("cluster")).unwrap();
    let fewer = folder.path().join("fewer.yaml");
    std::fs::write(
        &fewer,
        text.replace("replicas: 3", "replicas: 1")
            .replace("replicas: 2,", ""),
    )
    .unwrap();
    std::fs::copy(spec("rules"), folder.path().join("rules.yaml")).unwrap();
    let budget = |part: &str| out.join(format!("11-poddisruptionbudget-kai-observe.{part}.yaml"));
    let edited = std::fs::read_to_string(budget("prometheus")).unwrap() + "# by hand\n";
    std::fs::write(budget("prometheus"), &edited).unwrap();
    let args = ["render", "--output", "json", "--out", out.to_str().unwrap()];
    let ran = kai_observe(&args, &fewer).expect(0);
    let removed = ran.json()["removed"].clone();
    assert_eq!(
        removed,
        serde_json::json!([budget("alertmanager").display().to_string()])
    );
    assert!(!budget("alertmanager").exists());
    assert_eq!(
        std::fs::read_to_string(budget("prometheus")).unwrap(),
        edited
    );
    assert!(ran.err.contains("was edited since"), "{}", ran.err);
    assert!(foreign.exists());
    // Another stack's files are not touched either.
    render("small");
    assert!(budget("prometheus").exists());
    assert!(
        out.join("14-daemonset-kai-observe-agent.kai-agent.yaml")
            .exists()
    );
}

#[test]
fn commands_that_need_this_machine_say_so() {
    for command in ["plan", "provision", "verify", "status", "drift", "destroy"] {
        let ran = kai_observe(&[command], &spec("small")).expect(65);
        assert!(
            ran.err.contains("kubectl apply --server-side"),
            "{command}: {}",
            ran.err
        );
    }
    let ran = kai_observe(&["validate"], &spec("small")).expect(0);
    for system in ["elasticsearch", "jaeger", "grafana", "kibana"] {
        let line = format!("systems.{system} is left out: it is not rendered for a cluster");
        assert!(ran.out.contains(&line), "{}", ran.out);
    }
    // A spec for this machine, asked for as manifests, is judged as if it ran in a cluster.
    let example = root().join("examples/ticketing/observe.yaml");
    let ran = kai_observe(&["render", "--to", "kubernetes"], &example).expect(65);
    for part in ["missing-image", "not-here", "the inbox does not run"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert_eq!(ran.out, "");
}

/// One spec, on this machine in one environment and in a cluster in the other.
#[test]
fn an_environment_may_run_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("observe.yaml");
    let text = std::fs::read_to_string(self::spec("small")).unwrap();
    let text = text.replace("runsOn: kubernetes\n", "")
        + "systems: { prometheus: { replicas: 2 } }\n\
           environments: { dev: {}, prod: { runsOn: kubernetes, kubernetes: { namespace: prod-watch } } }\n";
    std::fs::write(&spec, text).unwrap();
    let ran = kai_observe(&["render", "--env", "prod"], &spec).expect(0);
    assert!(ran.out.contains("namespace: prod-watch-agent") && ran.out.contains("replicas: 2"));
    assert!(ran.out.contains("observe.kai/environment: prod"));
    let out = folder.path().join("out");
    let home = folder.path().join("home");
    let (out, home) = (out.to_str().unwrap(), home.to_str().unwrap());
    let args = ["render", "--env", "dev", "--home", home, "--out", out];
    let ran = kai_observe(&args, &spec).expect(0);
    assert!(ran.out.contains("prometheus.yml"), "{ran:?}");
    assert!(
        ran.err
            .contains("`systems.prometheus.replicas` is not used"),
        "{ran:?}"
    );
}

/// Where a pod has what tells the API who it is.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the ConfigMaps hold, judged by the programs that will read it.
#[test]
fn programs_accept_their_configuration() {
    let (agent, promtool, alertmanager) = (
        program("kai-agent"),
        component("prometheus").programs["promtool"].clone(),
        program("alertmanager"),
    );
    for name in ["cluster", "found", "small"] {
        let objects = objects(name);
        let dir = tempfile::tempdir().unwrap();
        let put = |map: &str, below: &str| {
            let data = find(&objects, "ConfigMap", map)["data"]
                .as_object()
                .unwrap();
            std::fs::create_dir_all(dir.path().join(below)).unwrap();
            for (key, text) in data {
                // What a pod finds there is not here.
                let text = text
                    .as_str()
                    .unwrap()
                    .replace(ACCOUNT, dir.path().to_str().unwrap());
                std::fs::write(dir.path().join(below).join(key), text).unwrap();
            }
        };
        for file in ["token", "ca.crt"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        put("kai-agent", ".");
        put("prometheus", ".");
        put("prometheus-rules", "rules");
        put("alertmanager", ".");
        let passes = |program: &Path, args: &[&str]| {
            let mut command = Command::new(program);
            let ran: Ran = command
                .args(args)
                .current_dir(dir.path())
                .output()
                .unwrap()
                .into();
            ran.expect(0)
        };
        passes(&agent, &["check", "--config", "agent.yaml"]);
        let ran = passes(&promtool, &["check", "config", "prometheus.yml"]);
        assert!(!ran.out.contains("WARNING"), "{ran:?}");

        // Alertmanager has no check of its own: it is started with the configuration.
        let port = free_ports();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut running = Command::new(&alertmanager)
            .args([
                "--config.file=alertmanager.yml",
                "--cluster.listen-address=",
            ])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!(
                "--storage.path={}",
                dir.path().join("data").display()
            ))
            .current_dir(dir.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}/-/ready");
        let ready = std::panic::catch_unwind(|| {
            wait_for("Alertmanager is ready", Duration::from_secs(30), || {
                (request(reqwest::Method::GET, &url, None).0 == 200).then_some(())
            });
        });
        running.kill().unwrap();
        running.wait().unwrap();
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert!(ready.is_ok(), "{log}");
    }
}
