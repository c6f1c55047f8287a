//! Probes by the real binary, of targets that are broken in every way that targets are.
//! `bench/probes/compare` puts 264 answers beside blackbox_exporter's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Agent, Metrics, free_address, wait_for};

/// A server that does this with each of its connections; its address. Ends with the test's process.
fn serve(each: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let each = Arc::new(each);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = Arc::clone(&each);
            thread::spawn(move || each(stream));
        }
    });
    address
}

/// Takes a request's head, answers, and waits until the client has gone.
fn answer(mut stream: impl Read + Write, reply: &[u8]) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return;
        }
        head.push(byte[0]);
    }
    if stream.write_all(reply).is_ok() && stream.flush().is_ok() {
        let _ = stream.read(&mut byte);
    }
}

fn replies(reply: &'static [u8]) -> String {
    serve(move |stream| answer(stream, reply))
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn probe(agent: &Agent, name: &str) -> Metrics {
    let reply = agent.get(&format!("/probe/{name}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    Metrics::parse(&reply.text())
}

fn steps(agent: &Agent, name: &str) -> String {
    agent.get(&format!("/probe/{name}?debug=true")).text()
}

/// Each of these fails, says so as blackbox_exporter does, and tells people why.
fn all_fail(agent: &Agent, expected: &[(&str, &str)]) {
    for (name, why) in expected {
        let page = probe(agent, name);
        assert_eq!(page.value("probe_success"), 0.0, "{name}");
        assert!(page.value("probe_duration_seconds") >= 0.0, "{name}");
        let told = steps(agent, name);
        assert!(told.contains(why), "{name}: {told}");
    }
}

#[test]
fn web_servers_that_are_broken() {
    let refused = free_address();
    let silent = serve(|stream| {
        thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    // A byte now and then keeps a connection alive and must not keep a probe alive.
    let slow = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let looping = replies(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n");
    // It would never end.
    let huge = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 8_192]).is_ok() {}
    });
    let short = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    });
    let garbage = replies(b"220 mail.kai.example ESMTP\r\n\r\n");
    let good = replies(OK);
    let http = |name: &str, address: &str, more: &str| {
        // Only those that would never end have to be cut short.
        let never = ["silent", "slow"].contains(&name);
        let millis = if never { 600 } else { 60_000 };
        format!(
            "  {name}: {{timeoutMs: {millis}, http: {{url: 'http://{address}/', preferredIpProtocol: ip4{more}}}}}\n"
        )
    };
    let lines = [
        http("refused", &refused, ""),
        http("silent", &silent, ""),
        http("slow", &slow, ""),
        http("looping", &looping, ""),
        http("huge", &huge, ", bodySizeLimit: 100000"),
        http("short", &short, ""),
        http("garbage", &garbage, ""),
        http("nobody", "nosuch.invalid", ""),
        http("good", &good, ""),
    ]
    .concat();
    let agent = Agent::start(&format!("probes:\n{lines}"));
    assert_eq!(probe(&agent, "good").value("probe_success"), 1.0);
    all_fail(
        &agent,
        &[
            ("refused", "refused"),
            ("silent", "no end within 0.6 s"),
            ("slow", "no end within 0.6 s"),
            ("looping", "more than 10 redirects"),
            ("huge", "longer than 100000 bytes (bodySizeLimit)"),
            ("short", "ended early"),
            ("garbage", "no answer"),
            ("nobody", "nosuch.invalid"),
        ],
    );
    let page = probe(&agent, "looping");
    assert_eq!(page.value("probe_http_redirects"), 11.0);
    assert_eq!(page.value("probe_http_status_code"), 302.0);
    let page = probe(&agent, "huge");
    assert_eq!(page.value("probe_http_uncompressed_body_length"), 100_000.0);
    // What was reached before the end is told all the same.
    let page = probe(&agent, "silent");
    assert_eq!(page.value("probe_ip_protocol"), 4.0);
    assert!(page.value("probe_http_duration_seconds{phase=\"connect\"}") > 0.0);
}

/// A server with this certificate.
fn tls(certificate: &rcgen::Certificate, key: &KeyPair) -> String {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        answer(StreamOwned::new(connection, stream), OK);
    })
}

#[test]
fn certificates_that_are_wrong() {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "Authority of a test");
    authority.not_after = date_time_ymd(2100, 1, 1);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let signed = |name: &str, until: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &authority).unwrap();
        tls(&certificate, &key)
    };
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let url = |address: String| address.replace("127.0.0.1", "https://localhost");
    let http = |name: &str, address: String, more: &str| {
        format!(
            "  {name}: {{timeoutMs: 60000, http: {{url: '{}', preferredIpProtocol: ip4, tls: {{caFile: {}{more}}}}}}}\n",
            url(address),
            ca.display()
        )
    };
    let lines = [
        http("good", signed("localhost", 2090), ""),
        http("expired", signed("localhost", 2002), ""),
        http("other", signed("elsewhere.example", 2090), ""),
        http("stranger", tls(&stranger.cert, &stranger.signing_key), ""),
        http("plain", serve(|mut stream| drop(stream.write_all(OK))), ""),
        http(
            "unverified",
            signed("localhost", 2002),
            ", dangerousInsecureSkipVerify: true",
        ),
    ]
    .concat();
    let agent = Agent::start(&format!("probes:\n{lines}"));
    let page = probe(&agent, "good");
    assert_eq!(
        page.value("probe_success"),
        1.0,
        "{}",
        steps(&agent, "good")
    );
    assert_eq!(page.value("probe_http_ssl"), 1.0);
    // 2090-01-01, and no sooner because of the authority's own end.
    assert_eq!(
        page.value("probe_ssl_earliest_cert_expiry"),
        3_786_912_000.0
    );
    assert_eq!(
        page.value("probe_ssl_last_chain_expiry_timestamp_seconds"),
        3_786_912_000.0
    );
    all_fail(
        &agent,
        &[
            ("expired", "EXPIRED at 2002-01-01"),
            ("other", "it is for elsewhere.example"),
            ("stranger", "unknown authority"),
            ("plain", "TLS handshake failed"),
        ],
    );
    // Who looks away still sees when it ended.
    let page = probe(&agent, "unverified");
    assert_eq!(page.value("probe_success"), 1.0);
    assert_eq!(
        page.value("probe_ssl_earliest_cert_expiry"),
        1_009_843_200.0
    );
}

/// A DNS server that makes this of each question.
fn dns(make: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let reply = make(&buffer[..length]);
            let _ = socket.send_to(&reply, from);
        }
    });
    address
}

/// The question as an answer, with this code and these records.
fn reply(question: &[u8], code: u8, records: &[&[u8]]) -> Vec<u8> {
    let mut out = question[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    out.extend(&question[12..]);
    out.extend(records.concat());
    out
}

#[test]
fn name_servers_that_are_wrong() {
    const TEN: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\x0a\0\0\x01";
    let ask = |name: &str, server: &str, more: &str| {
        let millis = if name == "forged" { 400 } else { 60_000 };
        format!(
            "  {name}: {{timeoutMs: {millis}, dns: {{server: '{server}', queryName: kai.example, queryType: A, preferredIpProtocol: ip4{more}}}}}\n"
        )
    };
    let good = dns(|question| reply(question, 0, &[TEN]));
    let lines = [
        ask(
            "good",
            &good,
            ", validateAnswerRrs: {failIfNotMatchesRegexp: ['10\\.0\\.0\\.1$']}",
        ),
        ask(
            "other",
            &good,
            ", validateAnswerRrs: {failIfNotMatchesRegexp: ['10\\.0\\.0\\.2$']}",
        ),
        ask("none", &dns(|question| reply(question, 3, &[])), ""),
        ask(
            "broken",
            &dns(|question| reply(question, 0, &[&TEN[..13]])),
            "",
        ),
        ask(
            "endless",
            &dns(|question| reply(question, 0, &[b"\xc0\x1d\0\x01"])),
            "",
        ),
        ask(
            "forged",
            &dns(|question| [b"zz", &reply(question, 0, &[TEN])[2..]].concat()),
            "",
        ),
        ask("tiny", &dns(|question| question[..3].to_vec()), ""),
    ]
    .concat();
    let agent = Agent::start(&format!("probes:\n{lines}"));
    let page = probe(&agent, "good");
    assert_eq!(
        page.value("probe_success"),
        1.0,
        "{}",
        steps(&agent, "good")
    );
    assert_eq!(page.value("probe_dns_answer_rrs"), 1.0);
    all_fail(
        &agent,
        &[
            ("other", "does not match"),
            ("none", "NXDOMAIN"),
            ("broken", "the answer is broken"),
            ("endless", "points forwards"),
            ("forged", "another id"),
            ("tiny", "the answer is broken"),
        ],
    );
}

#[test]
fn nobody_waits_for_whom_does_not_answer_and_each_is_asked_once_at_a_time() {
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, top) = (Arc::clone(&open), Arc::clone(&most));
    let silent = serve(move |stream| {
        top.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(100));
        now.fetch_sub(1, Ordering::SeqCst);
        drop(stream);
    });
    let good = replies(OK);
    let agent = Agent::start(&format!(
        "probes:\n  silent: {{timeoutMs: 60000, tcp: {{address: '{silent}', preferredIpProtocol: ip4, queryResponse: [{{expect: never}}]}}}}\n  \
         good: {{http: {{url: 'http://{good}/', preferredIpProtocol: ip4}}}}\n"
    ));
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| assert_eq!(probe(&agent, "silent").value("probe_success"), 0.0));
            scope.spawn(|| assert_eq!(probe(&agent, "good").value("probe_success"), 1.0));
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[test]
fn a_new_configuration_has_new_probes() {
    let good = replies(OK);
    let agent = Agent::start(&format!(
        "probes:\n  page: {{http: {{url: 'http://{good}/', preferredIpProtocol: ip4}}}}\n"
    ));
    assert_eq!(probe(&agent, "page").value("probe_success"), 1.0);
    assert_eq!(agent.get("/probe/other").status, 404);
    let file = agent.path("agent.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    // The listener's port stays what it became.
    let bad = text.replace("http: {url", "http: {failIfBodyMatchesRegexp: ['('], url");
    std::fs::write(&file, bad).unwrap();
    agent.logged_text("configuration refused");
    assert_eq!(probe(&agent, "page").value("probe_success"), 1.0);
    let next = text
        .replace("  page:", "  other:")
        .replace("http: {url", "http: {failIfBodyMatchesRegexp: [ok], url");
    std::fs::write(&file, next).unwrap();
    let page = wait_for("the other probe", || {
        let reply = agent.get("/probe/other");
        (reply.status == 200).then(|| Metrics::parse(&reply.text()))
    });
    assert_eq!(page.value("probe_success"), 0.0);
    assert_eq!(page.value("probe_failed_due_to_regex"), 1.0);
    assert_eq!(agent.get("/probe/page").status, 404);
}
