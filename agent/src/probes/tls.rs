//! TLS of probes. The certificates are judged here and not by rustls's own verifier, because
//! blackbox_exporter tells when the *chain* ends that was trusted, its root included, and rustls
//! does not say which chain that was.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use kai_contract::agent_config::ProbeTls;
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::report::Report;

mod certificate;
mod verify;

pub use certificate::{Certificate, parse as parse_certificate, raw_names};
use verify::Verifier;

/// The machine's authorities are read again after this time; an update of them is then seen.
const SYSTEM_AGE: Duration = Duration::from_mins(10);

/// Go's Unix seconds of its zero time, which blackbox_exporter shows where no chain was verified.
pub const NO_CHAIN: f64 = -62_135_596_800.0;

/// Authorities that a certificate may end at.
#[derive(Debug)]
pub struct Roots {
    certificates: Vec<Root>,
}

#[derive(Debug)]
struct Root {
    der: CertificateDer<'static>,
    subject: Vec<u8>,
    not_before: i64,
    not_after: i64,
}

impl Roots {
    fn new(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let read = |der: CertificateDer<'static>| {
            let (subject, _) = raw_names(&der)?;
            let told = certificate::parse(&der).ok()?;
            Some(Root {
                der,
                subject,
                not_before: told.not_before,
                not_after: told.not_after,
            })
        };
        Self {
            certificates: certificates.into_iter().filter_map(read).collect(),
        }
    }
}

static SYSTEM: Mutex<Option<(Instant, Arc<Roots>)>> = Mutex::new(None);

/// The machine's own authorities, read when first needed.
fn system() -> Result<Arc<Roots>, String> {
    let mut kept = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, roots)) = &*kept
        && at.elapsed() < SYSTEM_AGE
    {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        return Err(
            "this machine has no certificates of authorities; install ca-certificates, or name a \
             file as caFile"
                .to_owned(),
        );
    }
    let roots = Arc::new(Roots::new(found.certs));
    *kept = Some((Instant::now(), Arc::clone(&roots)));
    Ok(roots)
}

fn read(what: &str, file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("cannot read the {what} in {}: {error}", file.display()))
}

fn certificates(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(what, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{} has no certificate in it", file.display())),
        Err(error) => Err(format!("{} is no PEM file: {error}", file.display())),
    }
}

/// Connects with TLS by these settings, once per probe (or twice, when a redirect leaves the host).
pub struct Tls {
    settings: ProbeTls,
    alpn: Vec<Vec<u8>>,
}

/// What a handshake showed.
pub struct Seen {
    pub version: &'static str,
    pub cipher: String,
    pub certificates: Vec<Certificate>,
    /// Unix seconds at which the trusted chain ends that lasts longest.
    pub chain_expiry: Option<i64>,
}

impl Tls {
    pub fn new(settings: Option<&ProbeTls>, alpn: &[&str]) -> Self {
        Self {
            settings: settings.cloned().unwrap_or_default(),
            alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
        }
    }

    /// The name that the certificate must be for, if the settings say one.
    pub fn server_name(&self) -> Option<&str> {
        self.settings.server_name.as_deref()
    }

    /// Shakes hands; the report tells the steps and, if it fails, what the server showed.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        report: &mut Report,
        stream: S,
        name: &str,
    ) -> Result<(TlsStream<S>, Seen), String> {
        let settings = self.settings.clone();
        // Files, and a few hundred certificates to parse.
        let prepared = tokio::task::spawn_blocking(move || prepare(&settings)).await;
        let (verifier, mut config) = prepared.map_err(|error| error.to_string())??;
        config.alpn_protocols.clone_from(&self.alpn);
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("\"{name}\" cannot be the name of a TLS server"))?;
        // As Go: no server name is sent for an address.
        report.note(if self.settings.dangerous_insecure_skip_verify {
            format!("TLS handshake with {name}, its certificate NOT verified (as configured)")
        } else {
            format!("TLS handshake with {name}")
        });
        let shaken = TlsConnector::from(Arc::new(config))
            .connect(server, stream)
            .await;
        let presented = verifier.presented();
        let mut told = Vec::new();
        for (index, der) in presented.iter().enumerate() {
            match certificate::parse(der) {
                Ok(one) => {
                    report.note(format!("certificate {index}: {}", describe(&one)));
                    told.push(one);
                }
                Err(why) => report.note(format!("certificate {index}: {why}")),
            }
        }
        let stream = shaken.map_err(|error| format!("TLS handshake failed: {error}"))?;
        let (_, session) = stream.get_ref();
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "unknown",
        };
        let cipher = session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown")
            // Go's name, and IANA's.
            .replacen("TLS13_", "TLS_", 1);
        report.note(format!("TLS established: {version}, {cipher}"));
        let seen = Seen {
            version,
            cipher,
            certificates: told,
            chain_expiry: verifier.chain_expiry(),
        };
        Ok((stream, seen))
    }
}

/// How a client shakes hands by these settings.
pub fn client_config(settings: &ProbeTls) -> Result<ClientConfig, String> {
    prepare(settings).map(|(_, config)| config)
}

fn prepare(settings: &ProbeTls) -> Result<(Arc<Verifier>, ClientConfig), String> {
    let roots = match &settings.ca_file {
        _ if settings.dangerous_insecure_skip_verify => Arc::new(Roots::new([])),
        Some(file) => Arc::new(Roots::new(certificates("authorities", file)?)),
        None => system()?,
    };
    let provider = Arc::new(provider());
    let verifier = Arc::new(Verifier::new(
        roots,
        &provider,
        settings.dangerous_insecure_skip_verify,
    ));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot prepare TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _);
    let mut config = match (&settings.cert_file, &settings.key_file) {
        (Some(cert), Some(key)) => {
            let chain = certificates("certificate", cert)?;
            let pem = read("key", key)?;
            let key = PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|_| format!("{} has no private key in PEM", key.display()))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("cannot use {}: {error}", cert.display()))?
        }
        _ => config.with_no_client_auth(),
    };
    // Each probe is a first visit: a resumed session would show no certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Ok((verifier, config))
}

/// ring, its cipher suites in Go's order, so that a server that follows the client chooses the same
/// for both.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    let aes_128 = |suite: &rustls::SupportedCipherSuite| {
        let name = suite.suite().as_str().unwrap_or_default();
        u8::from(!name.contains("AES_128"))
    };
    // Stable: TLS 1.3 stays before TLS 1.2.
    provider.cipher_suites.sort_by_key(|suite| {
        (
            suite.version().version != rustls::ProtocolVersion::TLSv1_3,
            aes_128(suite),
        )
    });
    provider
}

fn describe(one: &Certificate) -> String {
    let names = if one.names.is_empty() {
        "no DNS names".to_owned()
    } else {
        format!("for {}", one.names.join(", "))
    };
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs() as i64;
    let left = (one.not_after - now).div_euclid(86_400);
    let end = jiff::Timestamp::from_second(one.not_after)
        .map_or_else(|_| one.not_after.to_string(), |time| time.to_string());
    let when = if one.not_after < now {
        format!("EXPIRED at {end}")
    } else if one.not_before > now {
        format!("NOT YET VALID, until {end}")
    } else {
        format!("until {end}, {left} days left")
    };
    format!(
        "subject {}, issued by {}, {names}, {when}",
        one.subject, one.issuer
    )
}

/// The gauges of a session; blackbox_exporter has the cipher's only for HTTP.
pub fn gauges(report: &mut Report, seen: &Seen, with_cipher: bool) {
    if let Some(earliest) = seen.certificates.iter().map(|one| one.not_after).min() {
        report.set(
            "probe_ssl_earliest_cert_expiry",
            "Returns last SSL chain expiry in unixtime",
            earliest as f64,
        );
    }
    report.set(
        "probe_ssl_last_chain_expiry_timestamp_seconds",
        "Returns last SSL chain expiry in timestamp",
        seen.chain_expiry.map_or(NO_CHAIN, |expiry| expiry as f64),
    );
    if let Some(leaf) = seen.certificates.first() {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        report.labelled(
            "probe_ssl_last_chain_info",
            "Contains SSL leaf certificate information",
            vec![
                label("fingerprint_sha256", &leaf.fingerprint),
                label("subject", &leaf.subject),
                label("issuer", &leaf.issuer),
                label("subjectalternative", &leaf.names.join(",")),
                label("serialnumber", &leaf.serial),
            ],
            1.0,
        );
    }
    report.labelled(
        "probe_tls_version_info",
        "Returns the TLS version used or NaN when unknown",
        vec![("version".to_owned(), seen.version.to_owned())],
        1.0,
    );
    if with_cipher {
        report.labelled(
            "probe_tls_cipher_info",
            "Returns the TLS cipher negotiated during handshake",
            vec![("cipher".to_owned(), seen.cipher.clone())],
            1.0,
        );
    }
}
