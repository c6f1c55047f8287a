//! A real API server on loopback: etcd and kube-apiserver, with keys and a token made for one test.
//! Both end with the value, whatever the test does.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use reqwest::{Certificate, Client, Method};
use serde_json::Value;

use super::program;
use crate::harness::{free_ports, wait_for};

pub struct ApiServer {
    pub folder: tempfile::TempDir,
    pub url: String,
    token: String,
    client: Client,
    runtime: tokio::runtime::Runtime,
    running: Vec<(&'static str, Child)>,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// `Warning:` headers, Pod Security's among them.
    pub warnings: Vec<String>,
    pub body: Value,
}

impl Answer {
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

impl ApiServer {
    pub fn start() -> Self {
        let (etcd, api) = (program("etcd"), program("kube-apiserver"));
        let folder = tempfile::Builder::new()
            .prefix("kai-k8s-")
            .tempdir()
            .unwrap();
        let base = free_ports();
        let (store, peer, port) = (base, base + 1, base + 2);
        let dir = |name: &str| folder.path().join(name).display().to_string();
        let local = |port: u16| format!("http://127.0.0.1:{port}");
        let token = hex(&rand::random::<[u8; 16]>());
        std::fs::write(
            dir("tokens.csv"),
            format!("{token},admin,admin,system:masters\n"),
        )
        .unwrap();
        std::fs::write(dir("accounts.key"), private_key()).unwrap();
        let start = |name: &'static str, program: &Path, args: &[String]| {
            let log = File::create(dir(&format!("{name}.log"))).unwrap();
            let child = Command::new(program)
                .args(args)
                .stdin(std::process::Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .expect(name);
            (name, child)
        };
        let flag = |name: &str, value: &str| format!("--{name}={value}");
        let running = vec![start(
            "etcd",
            &etcd,
            &[
                flag("data-dir", &dir("etcd")),
                "--unsafe-no-fsync".into(),
                flag("listen-client-urls", &local(store)),
                flag("advertise-client-urls", &local(store)),
                flag("listen-peer-urls", &local(peer)),
                flag("initial-advertise-peer-urls", &local(peer)),
                flag("initial-cluster", &format!("default={}", local(peer))),
            ],
        )];
        let mut server = Self {
            url: format!("https://127.0.0.1:{port}"),
            token,
            client: kai_observe::http::client(Duration::from_secs(10)),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            running,
            folder,
        };
        let dir = |name: &str| server.folder.path().join(name).display().to_string();
        let log = File::create(dir("api.log")).unwrap();
        let child = Command::new(&api)
            .args([
                flag("etcd-servers", &local(store)),
                flag("bind-address", "127.0.0.1"),
                flag("advertise-address", "127.0.0.1"),
                flag("secure-port", &port.to_string()),
                flag("cert-dir", &dir("pki")),
                flag("service-cluster-ip-range", "10.96.0.0/24"),
                flag("authorization-mode", "RBAC"),
                flag("token-auth-file", &dir("tokens.csv")),
                flag("service-account-issuer", "https://kubernetes.default.svc"),
                flag("service-account-key-file", &dir("accounts.key")),
                flag("service-account-signing-key-file", &dir("accounts.key")),
                // Nobody makes the accounts' tokens here.
                flag("disable-admission-plugins", "ServiceAccount"),
                flag("endpoint-reconciler-type", "none"),
                flag("allow-privileged", "true"),
            ])
            .stdin(std::process::Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("kube-apiserver");
        let certificate = dir("pki/apiserver.crt");
        server.running.push(("kube-apiserver", child));
        let pem = wait_for(
            "the server makes its certificate",
            Duration::from_mins(1),
            || {
                server.alive();
                std::fs::read(&certificate)
                    .ok()
                    .filter(|pem| pem.ends_with(b"-----END CERTIFICATE-----\n"))
            },
        );
        server.client = Client::builder()
            .timeout(Duration::from_secs(20))
            .no_proxy()
            .tls_certs_only(Certificate::from_pem_bundle(&pem).unwrap())
            .build()
            .unwrap();
        wait_for("the API server is ready", Duration::from_mins(2), || {
            server.alive();
            (server.ask(Method::GET, "/readyz", None).status == 200).then_some(())
        });
        server
    }

    /// Says what a program that ended had to say.
    fn alive(&mut self) {
        for (name, child) in &mut self.running {
            if let Some(status) = child.try_wait().unwrap() {
                let log = if *name == "etcd" {
                    "etcd.log"
                } else {
                    "api.log"
                };
                let log = std::fs::read_to_string(self.folder.path().join(log)).unwrap_or_default();
                let tail = log.len().saturating_sub(3_000);
                panic!(
                    "{name} ended ({status}):\n{}",
                    log.get(tail..).unwrap_or(&log)
                );
            }
        }
    }

    pub fn ask(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> Answer {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token);
        if let Some((kind, body)) = body {
            request = request.header("Content-Type", kind).body(body.to_string());
        }
        self.runtime.block_on(async {
            match request.send().await {
                Ok(reply) => {
                    let warnings = reply.headers().get_all("warning").iter();
                    let warnings = warnings
                        .map(|w| String::from_utf8_lossy(w.as_bytes()).into_owned())
                        .collect();
                    let status = reply.status().as_u16();
                    let text = reply.text().await.unwrap_or_default();
                    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
                    Answer {
                        status,
                        warnings,
                        body,
                    }
                }
                Err(error) => Answer {
                    status: 0,
                    warnings: Vec::new(),
                    body: Value::String(format!("{error:?}")),
                },
            }
        })
    }

    /// Server-side apply, as `kubectl apply --server-side` does it; unknown fields are errors.
    pub fn apply(&self, object: &Value, dry_run: bool) -> Answer {
        let dry = if dry_run { "&dryRun=All" } else { "" };
        let query = format!("?fieldManager=kai-observe&fieldValidation=Strict{dry}");
        let path = format!("{}{query}", path_of(object));
        self.ask(
            Method::PATCH,
            &path,
            Some(("application/apply-patch+yaml", object)),
        )
    }

    /// For other clients: as the administrator, or with another's token.
    pub fn kubeconfig(&self, token: Option<&str>) -> std::path::PathBuf {
        let (name, token) = match token {
            Some(token) => ("kubeconfig-account", token),
            None => ("kubeconfig", self.token.as_str()),
        };
        let path = self.folder.path().join(name);
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "t",
            "clusters": [{ "name": "t", "cluster": {
                "server": self.url,
                "certificate-authority": self.folder.path().join("pki/apiserver.crt"),
            } }],
            "users": [{ "name": "t", "user": { "token": token } }],
            "contexts": [{ "name": "t", "context": { "cluster": "t", "user": "t" } }],
        });
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // The server first: without its store it would only complain.
        for (_, child) in self.running.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The object's own address.
pub fn path_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let root = if api.contains('/') { "apis" } else { "api" };
    let plural = match kind.as_str() {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let meta = &object["metadata"];
    let namespace = match meta["namespace"].as_str() {
        Some(namespace) => format!("namespaces/{namespace}/"),
        None => String::new(),
    };
    format!("/{root}/{api}/{namespace}{plural}/{}", text(&meta["name"]))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A random key on the curve P-256 (RFC 5915); the public half follows from it.
fn private_key() -> String {
    let mut secret = rand::random::<[u8; 32]>();
    // Below the order of the curve, and not zero.
    secret[0] = secret[0] & 0x7f | 1;
    let mut der = vec![0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend(secret);
    der.extend([
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ]);
    let text = base64(&der);
    let (one, two) = text.split_at(64);
    format!("-----BEGIN EC PRIVATE KEY-----\n{one}\n{two}\n-----END EC PRIVATE KEY-----\n")
}

/// Of a multiple of three bytes, which needs no padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert_eq!(bytes.len() % 3, 0);
    let group = |three: &[u8]| {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]))
    };
    bytes.chunks(3).flat_map(group).collect()
}
