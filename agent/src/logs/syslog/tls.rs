//! The certificates of a TLS listener. The files are read again when one of them changes; what
//! cannot be used is said, and the ones before stay.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use kai_contract::agent_config::SyslogTls;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

type Times = Vec<Option<SystemTime>>;

pub struct Certificates {
    config: SyslogTls,
    held: Mutex<Option<(Times, Arc<ServerConfig>)>>,
}

impl Certificates {
    pub fn new(config: SyslogTls) -> Self {
        Self {
            config,
            held: Mutex::new(None),
        }
    }

    fn times(&self) -> Times {
        let modified = |file: &Path| fs::metadata(file).and_then(|data| data.modified()).ok();
        let config = &self.config;
        [
            Some(&config.cert_file),
            Some(&config.key_file),
            config.client_ca_file.as_ref(),
        ]
        .into_iter()
        .flatten()
        .map(|file| modified(file))
        .collect()
    }

    /// Reads the files for the first time.
    pub fn read(&self) -> io::Result<()> {
        let times = self.times();
        let config = build(&self.config).map_err(io::Error::other)?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some((times, Arc::new(config)));
        Ok(())
    }

    /// `None` before they were read.
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        let times = self.times();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, config)) = held.as_mut()
            && *known != times
        {
            match build(&self.config) {
                Ok(fresh) => {
                    tracing::info!(address = %self.config.address, "the certificate of a syslog listener was read again");
                    *config = Arc::new(fresh);
                }
                Err(reason) => tracing::error!(
                    address = %self.config.address,
                    %reason,
                    "the changed certificate of a syslog listener cannot be used; the one before stays"
                ),
            }
            *known = times;
        }
        let config = held.as_ref().map(|(_, config)| Arc::clone(config));
        config.map(TlsAcceptor::from)
    }
}

fn build(config: &SyslogTls) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &config.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("{}: {error}", file.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| format!("{}: {error}", file.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&config.cert_file)?;
    let file = &config.key_file;
    let key = PrivateKeyDer::from_pem_file(file)
        .map_err(|error| format!("cannot read a private key from {}: {error}", file.display()))?;
    builder.with_single_cert(chain, key).map_err(|error| {
        format!(
            "{} and {}: {error}",
            config.cert_file.display(),
            file.display()
        )
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let cannot = |error: &dyn std::fmt::Display| {
        format!("cannot read certificates from {}: {error}", file.display())
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|error| cannot(&error))?
        .collect();
    match found {
        Ok(found) if found.is_empty() => Err(cannot(&"there is none in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(cannot(&error)),
    }
}
