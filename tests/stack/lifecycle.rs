//! Lifecycles carried out by a real server. The builds of Elasticsearch 8 and 9 that tests can have
//! know no ILM; 6.8.23 does (`KAI_ELASTICSEARCH_6`: its unpacked distribution), under the same
//! address and with the same phases. It takes the policies that are rendered, but for two words that
//! it does not know yet: see [`as_of_6`].

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kai_observe::layout::Layout;
use kai_observe::object::Server;
use kai_observe::render;
use kai_observe::resource::Document;
use kai_observe::spec::{self, Secrets};
use kai_observe::systems::elasticsearch::{LIFECYCLE, fit};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Stack, free_ports, request, wait_for};

struct Six {
    process: Child,
    base: String,
    _folder: tempfile::TempDir,
}

impl Drop for Six {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Nothing where there is none.
fn six() -> Option<Six> {
    use std::os::unix::process::CommandExt as _;
    let Some(home) = std::env::var_os("KAI_ELASTICSEARCH_6").map(PathBuf::from) else {
        println!("not run: KAI_ELASTICSEARCH_6 names no Elasticsearch 6.8.23");
        return None;
    };
    let java = [
        "/usr/lib/jvm/java-17-openjdk-amd64",
        "/usr/lib/jvm/openjdk-17",
    ];
    let java = java
        .iter()
        .map(Path::new)
        .find(|path| path.is_dir())
        .expect("Java 17");
    let folder = tempfile::Builder::new().prefix("kai-6-").tempdir().unwrap();
    let (config, port) = (folder.path().join("config"), free_ports());
    std::fs::create_dir(&config).unwrap();
    std::fs::copy(
        home.join("config/log4j2.properties"),
        config.join("log4j2.properties"),
    )
    .unwrap();
    let place = folder.path().display();
    std::fs::write(
        config.join("elasticsearch.yml"),
        format!(
            "discovery.type: single-node\nnetwork.host: 127.0.0.1\nhttp.port: {port}\ntransport.port: {}\npath.data: {place}/data\npath.logs: {place}/logs\nindices.lifecycle.poll_interval: 1s\nxpack.ml.enabled: false\nxpack.security.enabled: false\nxpack.monitoring.enabled: false\ncluster.routing.allocation.disk.threshold_enabled: false\nnode.attr.box_type: warm\n",
            port + 1
        ),
    )
    .unwrap();
    // Its own options name flags that Java has given up since.
    std::fs::write(
        config.join("jvm.options"),
        "-Xms384m\n-Xmx384m\n-Djava.security.manager=allow\n--add-opens=java.base/java.io=ALL-UNNAMED\n--add-opens=java.base/java.lang=ALL-UNNAMED\n--add-opens=java.base/java.util=ALL-UNNAMED\n-Xlog:disable\n",
    )
    .unwrap();
    let mut command = Command::new(home.join("bin/elasticsearch"));
    command
        .env("JAVA_HOME", java)
        .env("ES_PATH_CONF", &config)
        .env("HOME", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if rustix::process::geteuid().is_root() {
        let owned = Command::new("chown")
            .args(["-R", "nobody"])
            .arg(folder.path())
            .status();
        assert!(owned.unwrap().success());
        command.uid(65_534).gid(65_534);
    }
    let process = command.spawn().unwrap();
    let base = format!("http://127.0.0.1:{port}");
    let six = Six {
        process,
        base,
        _folder: folder,
    };
    wait_for("6.8.23 answers", Duration::from_mins(3), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        let (status, _) = six.ask(Method::GET, "/_cluster/health?wait_for_status=yellow", None);
        (status == 200).then_some(())
    });
    Some(six)
}

impl Six {
    fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, text) = request(method, &format!("{}{path}", self.base), body);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    fn put(&self, path: &str, body: Value) {
        let (status, answer) = self.ask(Method::PUT, path, Some(body));
        assert_eq!(status, 200, "{path}: {answer:#}");
    }

    /// Names of indices with this prefix.
    fn indices(&self, prefix: &str) -> Vec<String> {
        let (_, all) = self.ask(
            Method::GET,
            &format!("/_cat/indices/{prefix}*?format=json"),
            None,
        );
        let mut names: Vec<String> = all
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| one["index"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }
}

/// The policy of `logs` that a spec with this `elasticsearch` renders for a server with ILM.
fn rendered(lifecycle: &str, retention: &str) -> Value {
    let stack = Stack::new();
    stack.write_spec(&format!(
        "apiVersion: observe.kai/v1
kind: Stack
metadata: {{ name: logs, id: {} }}
systems:
  elasticsearch: {{ mode: managed, retention: {retention}, lifecycle: {lifecycle} }}
teams: {{ a: {{ email: a@kai.example }} }}
routing: {{ severity: {{ critical: [email], warning: [email], info: [email] }} }}
services: {{ booking: {{ team: a, metrics: \"http://127.0.0.1:9/metrics\", logs: {{ paths: [\"var/*.log\"] }} }} }}
",
        stack.id
    ));
    let options = spec::Options {
        env: None,
        runs_on: None,
        secrets: Secrets::AssumePresent,
        known_components: &[],
    };
    let loaded = match spec::load(&stack.spec(), &options) {
        Ok(loaded) => loaded.stack,
        Err(error) => panic!("{error}"),
    };
    let layout = Layout::new(Some(&stack.home()), None, &loaded.owner).unwrap();
    let resources = render::render(&loaded, &layout);
    let policy = resources
        .iter()
        .find_map(|resource| match &resource.document {
            Document::Object(object) if object.kind == LIFECYCLE => Some(object),
            _ => None,
        })
        .unwrap();
    let server = Server {
        product: "elasticsearch".into(),
        version: "9.5.3".into(),
        features: ["ilm".to_owned()].into(),
    };
    fit(policy, &server).unwrap()
}

/// 6.8 knows neither the size of one primary shard (there is one, so it is the index's) nor data
/// tiers.
fn as_of_6(mut policy: Value) -> Value {
    let phases = &mut policy["policy"]["phases"];
    let rollover = phases["hot"]["actions"]["rollover"]
        .as_object_mut()
        .unwrap();
    let size = rollover.remove("max_primary_shard_size").unwrap();
    rollover.insert("max_size".to_owned(), size);
    if let Some(warm) = phases.get_mut("warm") {
        warm["actions"].as_object_mut().unwrap().remove("migrate");
    }
    policy
}

/// Rolled over by age and by size, made warm, deleted.
#[test]
fn a_rendered_policy_is_carried_out() {
    let Some(six) = six() else { return };
    let by_age = rendered(
        "{ rollover: { age: 3s }, warm: { after: 2s, replicas: 0, shrink: 1, allocate: { box_type: warm } } }",
        "20s",
    );
    let by_size = rendered("{ rollover: { age: 1h, size: 1Mi } }", "2h");
    six.put("/_ilm/policy/by-age", as_of_6(by_age));
    six.put("/_ilm/policy/by-size", as_of_6(by_size));
    for name in ["by-age", "by-size"] {
        six.put(
            &format!("/_template/{name}"),
            json!({ "index_patterns": [format!("{name}-*")], "settings": { "index": {
                "number_of_shards": 2, "number_of_replicas": 1,
                "lifecycle": { "name": name, "rollover_alias": name },
            } } }),
        );
        six.put(
            &format!("/{name}-000001"),
            json!({ "aliases": { name: { "is_write_index": true } } }),
        );
    }
    let mut text = String::new();
    for number in 0..200_000u64 {
        // Hard to pack.
        text.push_str(&format!("{:x}", number * 2_654_435_761 % 4_294_967_291));
    }
    for index in ["by-age", "by-size"] {
        // A busy machine may take longer than the question waits.
        wait_for("a document", Duration::from_mins(2), || {
            let (status, _) = six.ask(
                Method::PUT,
                &format!("/{index}/_doc/1?refresh=true"),
                Some(json!({ "m": text })),
            );
            matches!(status, 200 | 201).then_some(())
        });
    }
    let within = Duration::from_secs(90);
    for name in ["by-age", "by-size"] {
        wait_for("it rolls over", within, || {
            six.indices(name)
                .iter()
                .any(|index| *index == format!("{name}-000002"))
                .then_some(())
        });
    }
    wait_for(
        "it is warm: shrunk, read only, without copies",
        within,
        || {
            let shrunk = six.indices("shrink-by-age").into_iter().next()?;
            let (_, settings) = six.ask(Method::GET, &format!("/{shrunk}/_settings"), None);
            let index = &settings[&shrunk]["settings"]["index"];
            let warm = index["number_of_shards"] == "1"
                && index["number_of_replicas"] == "0"
                && index["blocks"]["write"] == "true"
                && index["routing"]["allocation"]["require"]["box_type"] == "warm";
            warm.then_some(())
        },
    );
    wait_for("it is deleted", within, || {
        let first = |names: Vec<String>| names.iter().any(|name| name.ends_with("by-age-000001"));
        let there = first(six.indices("by-age")) || first(six.indices("shrink-by-age"));
        (!there).then_some(())
    });
    // What goes by size alone is there yet.
    assert!(
        six.indices("by-size")
            .contains(&"by-size-000001".to_owned())
    );
}
