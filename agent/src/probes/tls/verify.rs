//! Judges a server's certificates and remembers which chain was trusted.
//!
//! webpki finds one chain; Go's crypto/x509, and so blackbox_exporter, finds all of them and tells
//! the expiry of the one that lasts longest. So webpki is asked once for each root that could be
//! the end of a chain, which are those whose name a presented certificate gives as its issuer.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::{Roots, certificate};

#[derive(Debug)]
pub(super) struct Verifier {
    roots: Arc<Roots>,
    algorithms: WebPkiSupportedAlgorithms,
    skip: bool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    presented: Vec<CertificateDer<'static>>,
    chain_expiry: Option<i64>,
}

impl Verifier {
    pub(super) fn new(roots: Arc<Roots>, provider: &CryptoProvider, skip: bool) -> Self {
        Self {
            roots,
            algorithms: provider.signature_verification_algorithms,
            skip,
            seen: Mutex::default(),
        }
    }

    /// The certificates that the server sent, its own first.
    pub(super) fn presented(&self) -> Vec<CertificateDer<'static>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.presented.clone()
    }

    pub(super) fn chain_expiry(&self) -> Option<i64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.chain_expiry
    }

    /// When the longest-lasting trusted chain ends, or why none is trusted.
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<i64, String> {
        let told = certificate::parse(leaf)?;
        let seconds = now.as_secs() as i64;
        if seconds > told.not_after {
            return Err(format!(
                "the certificate expired at {}",
                time(told.not_after)
            ));
        }
        if seconds < told.not_before {
            return Err(format!(
                "the certificate is not valid before {}",
                time(told.not_before)
            ));
        }
        let end = EndEntityCert::try_from(leaf)
            .map_err(|error| format!("the certificate cannot be read: {error}"))?;
        end.verify_is_valid_for_subject_name(name).map_err(|_| {
            let names = if told.names.is_empty() {
                "names none (a common name does not count)".to_owned()
            } else {
                format!("is for {}", told.names.join(", "))
            };
            format!("the certificate is not for {}; it {names}", name.to_str())
        })?;
        let roots = &self.roots.certificates;
        // Trusted by itself, whatever it is: Go does not look for a chain then.
        if roots.iter().any(|root| root.der.as_ref() == leaf.as_ref()) {
            return Ok(told.not_after);
        }
        let mut issuers = Vec::new();
        for der in std::iter::once(leaf).chain(others) {
            if let Some((_, issuer)) = certificate::raw_names(der) {
                issuers.push(issuer);
            }
        }
        let mut longest = None;
        let mut why = None;
        for root in roots {
            if !issuers.contains(&root.subject) {
                continue;
            }
            if !(root.not_before..=root.not_after).contains(&seconds) {
                why = Some("the authority's own certificate has expired".to_owned());
                continue;
            }
            let anchor = anchor_from_trusted_cert(&root.der)
                .map_err(|error| format!("an authority's certificate cannot be read: {error}"))?;
            let anchors = [anchor];
            let path = end.verify_for_usage(
                self.algorithms.all,
                &anchors,
                others,
                now,
                KeyUsage::server_auth(),
                None,
                None,
            );
            match path {
                Ok(path) => {
                    let chain = path
                        .intermediate_certificates()
                        .filter_map(|one| certificate::parse(&one.der()).ok())
                        .map(|one| one.not_after)
                        .chain([told.not_after, root.not_after])
                        .min();
                    longest = longest.max(chain);
                }
                Err(error) => why = Some(format!("no trusted chain: {error}")),
            }
        }
        longest.ok_or_else(|| {
            why.unwrap_or_else(|| {
                format!(
                    "the certificate is signed by an unknown authority ({}); name it in caFile",
                    told.issuer
                )
            })
        })
    }
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.presented = std::iter::once(leaf)
            .chain(others)
            .map(|der| der.clone().into_owned())
            .collect();
        if self.skip {
            return Ok(ServerCertVerified::assertion());
        }
        let expiry = self
            .judge(leaf, others, name, now)
            .map_err(Error::General)?;
        seen.chain_expiry = Some(expiry);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
