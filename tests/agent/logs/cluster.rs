//! Several endpoints, of which some refuse, hang, are gateways to nowhere, or cannot prove who they
//! are; and what a cluster can do and cannot.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::fake::{Do, Fake};
use super::runner::{Runner, numbered};
use crate::support::{free_address, wait_for};

fn whole(fake: &Fake, count: u64) {
    wait_for("all lines", || (fake.count() as u64 >= count).then_some(()));
    assert_eq!(fake.sequence(), (0..count).collect::<Vec<_>>());
}

fn in_use(agent: &Runner, url: &str) -> bool {
    agent.value(&format!("endpoint_in_use{{endpoint=\"{url}\"}}")) == 1.0
}

#[test]
fn endpoints_that_refuse_are_set_aside() {
    let fake = Fake::start();
    let urls = [
        format!("http://{}", free_address()),
        fake.url.clone(),
        format!("http://{}", free_address()),
    ];
    // Whichever it begins with.
    for part in 0..3_u64 {
        let mut agent = Runner::new(&urls, "");
        agent.start();
        agent.append("l/app.log", numbered(part * 10..part * 10 + 10));
        whole(&fake, part * 10 + 10);
        assert!(in_use(&agent, &fake.url));
    }
}

#[test]
fn an_endpoint_that_hangs_is_left_and_used_again_when_it_answers() {
    let fake = Fake::start();
    let node = fake.other_node();
    let mut agent = Runner::new(&[fake.url.clone(), node.url.clone()], "");
    agent.start();
    agent.append("l/app.log", numbered(0..100));
    whole(&fake, 100);
    // Whichever is asked now: both hang one after the other, so that a change is seen.
    for (hung, from) in [(&fake, 100), (&node, 200)] {
        hung.hang(true);
        let begun = Instant::now();
        agent.append("l/app.log", numbered(from..from + 100));
        whole(&fake, from + 100);
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "a bulk waits 90 s"
        );
        hung.hang(false);
        wait_for("both in use", || {
            (in_use(&agent, &fake.url) && in_use(&agent, &node.url)).then_some(())
        });
    }
    // What hung may have been executed when it went on, and is there once all the same.
    whole(&fake, 300);
    agent.assert_balanced();
}

#[test]
fn gateways_without_a_server_and_nodes_that_do_not_know_us_are_left() {
    for status in [502, 503, 401] {
        let fake = Fake::start();
        let node = fake.other_node();
        node.broken(Some(status));
        let mut agent = Runner::new(&[fake.url.clone(), node.url.clone()], "");
        agent.start();
        agent.append("l/app.log", numbered(0..50));
        whole(&fake, 50);
        // Either it was asked and is set aside now, or the other one was the first: then it is now.
        fake.broken(Some(status));
        node.broken(None);
        agent.append("l/app.log", numbered(50..100));
        whole(&fake, 100);
        assert!(!in_use(&agent, &fake.url) || in_use(&agent, &node.url));
        fake.broken(None);
        wait_for("both in use", || {
            (in_use(&agent, &fake.url) && in_use(&agent, &node.url)).then_some(())
        });
    }
}

#[test]
fn an_endpoint_that_cannot_prove_who_it_is_gets_no_line() {
    let fake = Fake::start();
    let stranger = Stranger::start();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, certificate().cert.pem()).unwrap();
    let ca = format!("    caFile: {}", authority.display());
    let mut agent = Runner::new(&[stranger.url.clone(), fake.url.clone()], &ca);
    agent.start();
    agent.append("l/app.log", numbered(0..10));
    whole(&fake, 10);
    // Were it the first to be asked, it would be aside already.
    fake.broken(Some(503));
    agent.append("l/app.log", numbered(10..20));
    wait_for("the stranger to be asked", || {
        (!in_use(&agent, &stranger.url)).then_some(())
    });
    fake.broken(None);
    whole(&fake, 20);
    assert!(agent.logged().contains("certificate"), "{}", agent.logged());
    assert_eq!(
        stranger.heard.load(Ordering::SeqCst),
        0,
        "bytes came through"
    );
}

fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap()
}

/// A server whose certificate nobody signed whom the agent trusts.
struct Stranger {
    url: String,
    /// Bytes of requests that it could read.
    heard: Arc<AtomicUsize>,
}

impl Stranger {
    fn start() -> Self {
        let own = certificate();
        let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key.unwrap())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let heard: Arc<AtomicUsize> = Arc::default();
        let told = Arc::clone(&heard);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut bytes = Vec::new();
                let _ = rustls::StreamOwned::new(tls, stream).read_to_end(&mut bytes);
                told.fetch_add(bytes.len(), Ordering::SeqCst);
            }
        });
        Self { url, heard }
    }
}

#[test]
fn the_cluster_is_asked_and_what_is_left_out_is_named() {
    let fake = Fake::start();
    fake.about(json!({ "version": { "number": "3.8.0", "distribution": "opensearch" } }));
    fake.forbid("/_tasks", 403);
    fake.unpacks(true, false);
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "  compress: auto");
    agent.start();
    agent.logged_all(&["the cluster was asked what it can do"]);
    let log = agent.logged();
    for part in [
        "opensearch",
        "3.8.0",
        "require_data_stream: ",
        "right monitor",
        "zstd: it does not",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let info = "cluster_info{packing=\"gzip\",product=\"opensearch\",require_data_stream=\"no\",\
                tasks=\"no\",version=\"3.8.0\"}";
    assert_eq!(agent.value(info), 1.0);
    agent.append("l/app.log", numbered(0..1000));
    whole(&fake, 1000);
    let bulks = fake.bulks();
    let gzip = Some("gzip".to_owned());
    assert!(
        bulks
            .iter()
            .all(|bulk| bulk.encoding == gzip && bulk.bytes < 40_000)
    );
    let (sent, packed) = (
        agent.value("sent_bytes_total"),
        agent.value("packed_bytes_total"),
    );
    assert!(packed > 0.0 && packed * 3.0 < sent, "{packed} of {sent}");
}

#[test]
fn zstd_is_used_where_it_is_unpacked() {
    let fake = Fake::start();
    fake.unpacks(true, true);
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "  compress: zstd");
    agent.start();
    agent.logged_all(&["the cluster was asked what it can do"]);
    agent.append("l/app.log", numbered(0..1000));
    whole(&fake, 1000);
    let last = fake.bulks().pop().unwrap();
    assert_eq!(last.encoding.as_deref(), Some("zstd"));
}

#[test]
fn a_server_that_unpacks_nothing_gets_plain_requests() {
    let fake = Fake::start();
    fake.unpacks(false, false);
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "  gzip: true");
    agent.start();
    agent.append("l/app.log", numbered(0..1000));
    whole(&fake, 1000);
    assert!(fake.bulks().iter().all(|bulk| bulk.encoding.is_none()));
    agent.logged_all(&["gzip: it does not unpack such requests"]);
    // Nothing became a dead letter for it.
    assert_eq!(agent.outcome("acked"), 1000.0);
}

#[test]
fn a_server_of_another_kind_is_no_place_for_lines() {
    let fake = Fake::start();
    let node = fake.other_node();
    let mut agent = Runner::new(&[fake.url.clone(), node.url.clone()], "");
    // A login page for every bulk of the first requests.
    fake.script(|_, number| match number {
        0 | 1 => Do::Answer(200, "<html>log in</html>"),
        _ => Do::Take,
    });
    agent.start();
    agent.append("l/app.log", numbered(0..100));
    whole(&fake, 100);
    agent.assert_balanced();
}
