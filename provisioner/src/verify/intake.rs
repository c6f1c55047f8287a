//! What the agent takes over the network arrives: a message sent now to each syslog listener and an
//! OTLP log record are found in their data streams.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};

use super::logs::AREA;
use super::{Proof, Subject, eventually, otlp, prove as timed};
use crate::clock;
use crate::model::intake::{LogIntake, SyslogIntake, SyslogTls};
use crate::render::elasticsearch::intake_stream;
use crate::systems::elasticsearch::Elasticsearch;

/// How long a listener may take for a connection.
const CONNECT: Duration = Duration::from_secs(5);

pub(super) async fn prove(subject: &Subject<'_>, client: &Elasticsearch) -> Vec<Proof> {
    // Whoever only asks sends nothing.
    let Some(intake) = subject.stack.log_intake().filter(|_| subject.routes) else {
        return Vec::new();
    };
    let syslog = intake.syslog.iter().flat_map(SyslogIntake::addresses);
    let syslog = syslog.map(|(key, address, _)| async move {
        let work = message(subject, client, intake, key, reachable(address));
        timed(AREA, format!("syslog {key}"), work).await
    });
    let mut out = futures_util::future::join_all(syslog).await;
    if intake.otlp {
        out.push(timed(AREA, "otlp record", record(subject, client)).await);
    }
    out
}

/// Where this machine reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn message(
    subject: &Subject<'_>,
    client: &Elasticsearch,
    intake: &LogIntake,
    key: &str,
    address: SocketAddr,
) -> Result<String, String> {
    let tls = intake.syslog.as_ref().and_then(|it| it.tls.as_ref());
    // A word that nothing takes for somebody's number.
    let id = format!("kai-verify-{:016x}", rand::random::<u64>());
    let text = format!(
        "<14>1 {} localhost kai-observe - {id} - written by `kai-observe verify`, to be found again",
        clock::rfc3339(SystemTime::now())
    );
    let framed = format!("{} {text}", text.len());
    let sent = eventually(subject.patience, || async {
        let done = match (key, tls) {
            ("udp", _) => datagram(address, &text).await,
            ("tls", Some(tls)) if tls.client_ca.is_some() => {
                shake_hands(address, tls).await.map(drop)
            }
            ("tls", Some(tls)) => match shake_hands(address, tls).await {
                Ok(mut stream) => deliver(&mut stream, &framed).await,
                Err(reason) => Err(reason),
            },
            _ => match connect(address).await {
                Ok(mut stream) => deliver(&mut stream, &framed).await,
                Err(reason) => Err(reason),
            },
        };
        done.map(|()| Instant::now())
            .map_err(|reason| format!("{address}: {reason}"))
    })
    .await?;
    if key == "tls" && tls.is_some_and(|tls| tls.client_ca.is_some()) {
        return Ok(
            "the listener shows the certificate of `cert`; no message was sent, since only senders \
             with a certificate of `clientCa` may"
                .to_owned(),
        );
    }
    let stream = intake_stream(subject.stack, "syslog");
    let query = json!({ "size": 1, "query": { "term": { "log.syslog.msgid": id } } });
    found(subject, client, &stream, &query, sent).await
}

async fn found(
    subject: &Subject<'_>,
    client: &Elasticsearch,
    stream: &str,
    query: &serde_json::Value,
    sent: Instant,
) -> Result<String, String> {
    eventually(subject.patience, || async {
        let reply = client
            .search(stream, query)
            .await
            .map_err(|error| error.to_string())?;
        match reply["hits"]["total"]["value"].as_u64() {
            Some(1) => Ok(()),
            Some(count) if count > 1 => Err(format!("it is in {stream} {count} times")),
            _ => Err(format!(
                "the agent took it, and it is not in {stream}; the agent's log is {}",
                subject.layout.log("agent").display()
            )),
        }
    })
    .await?;
    let delay = sent.elapsed().as_millis();
    Ok(format!("found in {stream} after {delay} ms"))
}

async fn datagram(address: SocketAddr, text: &str) -> Result<(), String> {
    let any: IpAddr = match address.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let work = async {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
        socket.connect(address).await?;
        socket.send(text.as_bytes()).await
    };
    work.await.map(drop).map_err(|error| error.to_string())
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
    connected
        .map_err(|_| "no connection within 5s".to_owned())?
        .map_err(|error| error.to_string())
}

async fn deliver(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    framed: &str,
) -> Result<(), String> {
    let work = async {
        stream.write_all(framed.as_bytes()).await?;
        stream.shutdown().await
    };
    work.await.map_err(|error| error.to_string())
}

/// A TLS connection to a listener that shows the certificate of its file. Whether senders trust it is
/// theirs to judge: its name is not this machine's loopback address.
async fn shake_hands(
    address: SocketAddr,
    tls: &SyslogTls,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let file = &tls.cert;
    let expected = CertificateDer::from_pem_file(file)
        .map_err(|error| format!("cannot read a certificate from {}: {error}", file.display()))?;
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Exactly { expected, provider }))
        .with_no_client_auth();
    let stream = connect(address).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::IpAddress(address.ip().into());
    let shaken = tokio::time::timeout(CONNECT, connector.connect(name, stream)).await;
    shaken
        .map_err(|_| "no TLS within 5s".to_owned())?
        .map_err(|error| error.to_string())
}

/// One certificate, and no other.
#[derive(Debug)]
struct Exactly {
    expected: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(
            "the listener shows another certificate than that of `cert`".to_owned(),
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Sends one record as any sender would.
async fn record(subject: &Subject<'_>, client: &Elasticsearch) -> Result<String, String> {
    let id = format!("kai-verify-{:016x}", rand::random::<u64>());
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let body = json!({ "resourceLogs": [{
        "resource": { "attributes": [text("service.name", "kai-observe")] },
        "scopeLogs": [{
            "scope": { "name": "kai-observe", "version": env!("CARGO_PKG_VERSION") },
            "logRecords": [{
                "severityNumber": 9,
                "body": { "stringValue": "written by `kai-observe verify`, to be found again" },
                "attributes": [text("event.id", &id)],
            }],
        }],
    }] });
    let sent = otlp::post(subject, "/v1/logs", &body).await?;
    let stream = intake_stream(subject.stack, "otlp");
    let query = json!({ "size": 1, "query": { "term": { "event.id": id } } });
    found(subject, client, &stream, &query, sent).await
}
