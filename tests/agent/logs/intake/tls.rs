//! Syslog over TLS (RFC 5425): a sender that knows the authority, one that has to show who it is,
//! and a certificate that is replaced.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::super::fake::Fake;
use super::super::runner::Runner;
use crate::support::{free_address, wait_for};

struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    /// Certificate and key as PEM.
    fn sign(&self, name: &str) -> (String, String) {
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn send(
    address: &str,
    authority: &Authority,
    who: Option<&(String, String)>,
    text: &str,
) -> std::io::Result<()> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match who {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = wait_for("the listener", || TcpStream::connect(address).ok());
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(format!("{} {text}", text.len()).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn write(folder: &Path, (certificate, key): &(String, String)) {
    fs::write(folder.join("key.pem"), key).unwrap();
    fs::write(folder.join("cert.pem"), certificate).unwrap();
}

#[test]
fn messages_come_over_tls_and_certificates_are_asked_for_and_replaced() {
    let fake = Fake::start();
    let (open, closed) = (free_address(), free_address());
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let (server, clients) = (Authority::new(), Authority::new());
    let folder = agent.folder.path().to_owned();
    write(&folder, &server.sign("localhost"));
    fs::write(folder.join("ca.pem"), clients.certificate.pem()).unwrap();
    let files = format!(
        "certFile: {0}/cert.pem, keyFile: {0}/key.pem",
        folder.display()
    );
    let sources = format!(
        "    net: {{ dataStream: logs-kai.net-test, syslog: {{ tls: {{ address: '{open}', {files} }} }} }}\n    \
         known: {{ dataStream: logs-kai.known-test, syslog: {{ tls: {{ address: '{closed}', {files}, \
         clientCaFile: {}/ca.pem }} }} }}\n",
        folder.display()
    );
    agent.configure(std::slice::from_ref(&fake.url), "", &sources);
    agent.start();
    agent.logged_all(&[&open, &closed]);
    send(&open, &server, None, "<13>1 - - - - - - anybody").unwrap();
    let member = clients.sign("client");
    send(&closed, &server, Some(&member), "<13>1 - - - - - - member").unwrap();
    let stranger = server.sign("client");
    let _ = send(
        &closed,
        &server,
        Some(&stranger),
        "<13>1 - - - - - - stranger",
    );
    let _ = send(&closed, &server, None, "<13>1 - - - - - - nobody");
    wait_for("refusals", || {
        let series = "closed_connections_total{reason=\"handshake\",source=\"known\"}";
        (agent.value(series) == 2.0).then_some(())
    });
    wait_for("documents", || (fake.count() == 2).then_some(()));
    assert_eq!(fake.messages(), ["anybody", "member"]);

    let other = Authority::new();
    write(&folder, &other.sign("localhost"));
    send(&open, &other, None, "<13>1 - - - - - - renewed").unwrap();
    wait_for("documents", || (fake.count() == 3).then_some(()));
    agent.logged_all(&["was read again"]);
    agent.assert_balanced();
}
