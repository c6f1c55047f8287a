//! A real Elasticsearch on a free port: its official archive from Maven, unpacked once into a
//! folder that another user may read, because it refuses to run as root.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::servers::{NOBODY, give, is_root, maven};

const VERSION: &str = "9.5.3";
/// Longest start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

pub struct Elastic {
    folder: tempfile::TempDir,
    home: PathBuf,
    java: PathBuf,
    pub address: String,
    launcher: Option<Child>,
}

impl Elastic {
    pub fn start() -> Self {
        // Compiling well takes longer than most tests do.
        Self::with("-XX:TieredStopAtLevel=1\n")
    }

    /// One whose speed is asked for.
    pub fn start_compiled() -> Self {
        Self::with("")
    }

    fn with(options: &str) -> Self {
        let (home, java) = (home(), java());
        let folder = tempfile::Builder::new()
            .prefix("kai-es-")
            .tempdir()
            .unwrap();
        // Free now; taken by nobody else in the moment until it is bound, most probably.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = folder.path().join("config");
        let copied = Command::new("cp")
            .arg("-r")
            .arg(home.join("config"))
            .arg(&config)
            .status();
        assert!(copied.unwrap().success());
        let path = |name: &str| folder.path().join(name);
        fs::write(
            config.join("elasticsearch.yml"),
            format!(
                "discovery.type: single-node\nxpack.security.enabled: false\nnetwork.host: \
                 127.0.0.1\nhttp.port: {port}\ntransport.port: 0\npath.data: {}\npath.logs: {}\n\
                 cluster.routing.allocation.disk.threshold_enabled: false\n",
                path("data").display(),
                path("logs").display()
            ),
        )
        .unwrap();
        fs::create_dir_all(config.join("jvm.options.d")).unwrap();
        fs::write(
            config.join("jvm.options.d/heap.options"),
            format!("-Xms512m\n-Xmx512m\n{options}"),
        )
        .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        give(folder.path());
        let mut elastic = Self {
            folder,
            home,
            java,
            address: format!("127.0.0.1:{port}"),
            launcher: None,
        };
        elastic.launch();
        elastic.ready();
        elastic
    }

    /// Starts the server over its data, new or old.
    pub fn launch(&mut self) {
        let pid = self.folder.path().join("pid");
        let _ = fs::remove_file(&pid);
        let log = File::create(self.folder.path().join("out")).unwrap();
        let mut command = Command::new(self.home.join("bin/elasticsearch"));
        command
            .arg("-p")
            .arg(&pid)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("ES_PATH_CONF", self.folder.path().join("config"))
            .env("ES_JAVA_HOME", &self.java)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        self.launcher = Some(command.spawn().unwrap());
    }

    /// Waits until it answers.
    pub fn ready(&mut self) {
        let start = Instant::now();
        while !self.answers() {
            let output = || fs::read_to_string(self.folder.path().join("out")).unwrap();
            let ended = self.launcher.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "Elasticsearch ended: {}", output());
            assert!(
                start.elapsed() < PATIENCE,
                "Elasticsearch did not start: {}",
                output()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn answers(&self) -> bool {
        let Ok(stream) = TcpStream::connect(&self.address) else {
            return false;
        };
        let path = "/_cluster/health?wait_for_status=yellow&timeout=60s";
        call(stream, "GET", path, "").0 == 200
    }

    /// `kill -9` of the server itself, not of its launcher.
    pub fn kill(&mut self) {
        self.ready();
        let pid = fs::read_to_string(self.folder.path().join("pid")).unwrap();
        let status = Command::new("kill").args(["-9", pid.trim()]).status();
        assert!(status.unwrap().success());
        if let Some(mut launcher) = self.launcher.take() {
            launcher.wait().unwrap();
        }
    }

    pub fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let stream = TcpStream::connect(&self.address).unwrap();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, reply) = call(stream, method, path, &body);
        let text = String::from_utf8_lossy(&reply);
        assert!(status < 300, "{method} {path}: {status} {text}");
        serde_json::from_slice(&reply).unwrap_or_else(|_| panic!("no JSON: {text}"))
    }

    pub fn template(&self) {
        self.request(
            "PUT",
            "/_index_template/kai-test",
            &json!({ "index_patterns": ["logs-kai.*"], "data_stream": {}, "priority": 500,
                "template": { "settings": { "number_of_replicas": 0 },
                    "mappings": { "properties": { "seq": { "type": "long" } } } } }),
        );
    }

    /// The template that `kai-observe` makes for lines, in what it makes of their fields.
    pub fn template_of_lines(&self) {
        use kai_contract::log_fields::{KEYWORDS, TYPED};
        let keyword = || json!({ "type": "keyword", "ignore_above": 1024 });
        let mut properties = serde_json::Map::new();
        properties.extend(KEYWORDS.map(|name| (name.to_owned(), keyword())));
        properties.extend(TYPED.map(|(name, kind)| (name.to_owned(), json!({ "type": kind }))));
        self.request(
            "PUT",
            "/_index_template/kai-test",
            &json!({ "index_patterns": ["logs-kai.*"], "data_stream": {}, "priority": 500,
                "template": {
                    "settings": { "index": { "mode": "logsdb", "number_of_replicas": 0, "mapping": {
                        "total_fields": { "limit": 1000, "ignore_dynamic_beyond_limit": true },
                        "ignore_malformed": true, "source": { "mode": "stored" } } } },
                    "mappings": { "subobjects": false, "date_detection": false,
                        "dynamic_templates": [{ "texts": {
                            "match_mapping_type": "string", "mapping": keyword() } }],
                        "properties": properties } } }),
        );
    }

    /// Every copy of one line: index, id, file and offset, to see how it came to be there twice.
    pub fn copies(&self, stream: &str, seq: u64) -> Vec<String> {
        let query = json!({ "query": { "term": { "seq": seq } } });
        let reply = self.request("POST", &format!("/{stream}/_search"), &query);
        let hits = reply["hits"]["hits"].as_array().unwrap();
        hits.iter()
            .map(|hit| {
                let of = |name: &str| hit["_source"][name].to_string();
                let (path, offset) = (of("log.file.path"), of("log.offset"));
                format!("{} {} {path} {offset}", hit["_index"], hit["_id"])
            })
            .collect()
    }

    pub fn exists(&mut self, stream: &str) -> bool {
        self.ready();
        let connection = TcpStream::connect(&self.address).unwrap();
        call(connection, "GET", &format!("/_resolve/index/{stream}"), "").0 == 200
    }

    pub fn count(&self, stream: &str) -> u64 {
        self.request("POST", &format!("/{stream}/_refresh"), &Value::Null);
        let reply = self.request("GET", &format!("/{stream}/_count"), &Value::Null);
        reply["count"].as_u64().unwrap()
    }

    /// Every document's `seq`, sorted: range by range, each small enough for one answer.
    pub fn sequence(&self, stream: &str, upto: u64) -> Vec<u64> {
        const PART: u64 = 5_000;
        let mut all = Vec::new();
        for from in (0..upto).step_by(PART as usize) {
            let query = json!({ "size": 10_000, "_source": false, "docvalue_fields": ["seq"],
                "query": { "range": { "seq": { "gte": from, "lt": from + PART } } } });
            let reply = self.request("POST", &format!("/{stream}/_search"), &query);
            let hits = reply["hits"]["hits"].as_array().unwrap();
            assert!(hits.len() < 10_000, "half of them are there twice");
            all.extend(
                hits.iter()
                    .map(|hit| hit["fields"]["seq"][0].as_u64().unwrap()),
            );
        }
        all.sort_unstable();
        all
    }
}

impl Drop for Elastic {
    fn drop(&mut self) {
        let Some(mut launcher) = self.launcher.take() else {
            return;
        };
        // The server ends with its launcher's order; the launcher alone would leave it behind.
        if let Ok(pid) = fs::read_to_string(self.folder.path().join("pid")) {
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        } else {
            let _ = launcher.kill();
        }
        let _ = launcher.wait();
    }
}

/// One request; the body's chunks joined, because long answers come in chunks. Status 0 when the
/// server went away.
fn call(mut stream: TcpStream, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: es\r\nconnection: close\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut all = Vec::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_end(&mut all).is_err() {
        return (0, Vec::new());
    }
    let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") else {
        return (0, Vec::new());
    };
    let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = &all[end + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return (status, rest.to_vec());
    }
    let mut body = Vec::new();
    while let Some(line) = rest.iter().position(|byte| *byte == b'\n') {
        let size = String::from_utf8_lossy(&rest[..line]);
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[line + 1..line + 1 + size]);
        rest = &rest[line + 1 + size + 2..];
    }
    (status, body)
}

/// A Java of at least 21: `JAVA_HOME`, or what lies in the system's folder of JVMs.
fn java() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    let mut homes: Vec<PathBuf> = std::env::var_os("JAVA_HOME")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    homes.extend(installed.map(|entry| entry.path()));
    let version = |home: &PathBuf| -> Option<u32> {
        let release = fs::read_to_string(home.join("release")).ok()?;
        let line = release
            .lines()
            .find_map(|line| line.strip_prefix("JAVA_VERSION=\""))?;
        line.split(['.', '"']).next()?.parse().ok()
    };
    homes
        .into_iter()
        .find(|home| version(home).is_some_and(|version| version >= 21))
        .expect("Elasticsearch needs Java 21 or newer: set JAVA_HOME to one")
}

/// The unpacked distribution.
fn home() -> PathBuf {
    let home = std::env::temp_dir().join(format!("kai-tests-elasticsearch-{VERSION}"));
    let inner = home.join(format!("elasticsearch-{VERSION}"));
    if inner.is_dir() {
        return inner;
    }
    let archive = maven(
        &format!("org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"),
        &format!("elasticsearch-{VERSION}.zip"),
    );
    let partial = tempfile::Builder::new()
        .prefix("kai-unpack-")
        .tempdir_in(std::env::temp_dir())
        .unwrap();
    let mut zip = zip::ZipArchive::new(File::open(&archive).unwrap()).unwrap();
    zip.extract(partial.path()).unwrap();
    fs::set_permissions(partial.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Two test runs at once: the first to rename wins, and both have the same content.
    if fs::rename(partial.path(), &home).is_ok() {
        let _ = partial.keep();
    }
    assert!(
        inner.is_dir(),
        "{} is not an Elasticsearch",
        archive.display()
    );
    inner
}
