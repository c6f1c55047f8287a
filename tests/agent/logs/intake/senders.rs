//! Log records of the OpenTelemetry project's own sender, as it sends them: over HTTP, over gRPC, and
//! packed.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::fake::Fake;
use super::super::runner::Runner;
use crate::support::{free_address, wait_for};

fn telemetrygen() -> Option<PathBuf> {
    let cache = std::env::var_os("KAI_CACHE").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache/kai-observe"),
        Into::into,
    );
    let versions = std::fs::read_dir(cache.join("components/telemetrygen")).ok()?;
    versions
        .flatten()
        .map(|version| version.path().join("bin/telemetrygen"))
        .find(|program| program.is_file())
}

/// Hands on what comes, and counts the bytes of the sender.
fn relay(to: &str) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, count) = (
        listener.local_addr().unwrap().to_string(),
        Arc::new(AtomicU64::new(0)),
    );
    let (to, counted) = (to.to_owned(), Arc::clone(&count));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&to) else {
                continue;
            };
            let pairs = [
                (client.try_clone(), server.try_clone(), true),
                (server.try_clone(), client.try_clone(), false),
            ];
            for (from, into, counts) in pairs {
                let (Ok(mut from), Ok(mut into)) = (from, into) else {
                    continue;
                };
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || {
                    let mut buffer = [0; 8192];
                    while let Ok(read @ 1..) = from.read(&mut buffer) {
                        if counts {
                            counted.fetch_add(read as u64, Ordering::Relaxed);
                        }
                        if into.write_all(&buffer[..read]).is_err() {
                            break;
                        }
                    }
                });
            }
        }
    });
    (address, count)
}

#[test]
fn telemetrygens_records_arrive_plain_and_packed() {
    let Some(program) = telemetrygen() else {
        println!("not run: no telemetrygen in the component cache");
        return;
    };
    let fake = Fake::start();
    let (grpc, http) = (free_address(), free_address());
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let sources = format!(
        "    net:\n      dataStream: 'logs-kai.{{service}}-test'\n      otlp: {{}}\ntraces: {{ grpc: \
         '{grpc}', http: '{http}', endpoint: 'http://127.0.0.1:9' }}\n"
    );
    agent.configure(std::slice::from_ref(&fake.url), "", &sources);
    agent.start();
    let (relayed, sent) = relay(&grpc);
    let body = "seat held ".repeat(1000);
    let send = |service: &str, address: &str, packed: bool, more: &[&str]| {
        // It gives up at once where nobody listens yet.
        wait_for("a sender that was served", || {
            let output = Command::new(&program)
                .args(["logs", "--otlp-insecure", "--logs", "20", "--rate", "0"])
                .args(["--severity-text", "Warn", "--severity-number", "13"])
                .args(["--trace-id", "0af7651916cd43dd8448eb211c80319c"])
                .args(["--service", service, "--body", &body])
                .args(["--otlp-endpoint", address])
                .args(more)
                .envs(packed.then_some(("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")))
                .output()
                .unwrap();
            output.status.success().then_some(())
        });
    };
    send("over-http", &http, false, &["--otlp-http"]);
    send("over-grpc", &relayed, false, &[]);
    let plain = sent.swap(0, Ordering::Relaxed);
    send("packed", &relayed, true, &[]);
    let packed = sent.load(Ordering::Relaxed);
    assert!(plain > 20 * 10_000, "{plain}");
    assert!(packed < plain / 10, "gzip was asked for: {packed}");

    wait_for("documents", || (fake.count() == 60).then_some(()));
    for document in fake.documents() {
        assert_eq!(document["message"], body.as_str());
        assert_eq!(document["log.level"], "warn");
        assert_eq!(document["trace.id"], "0af7651916cd43dd8448eb211c80319c");
    }
    let streams: BTreeSet<String> = fake.bulks().into_iter().map(|bulk| bulk.stream).collect();
    for service in ["over-http", "over-grpc", "packed"] {
        let stream = format!("logs-kai.{service}-test");
        assert!(streams.contains(&stream), "{streams:?}");
    }
    agent.assert_balanced();
}
