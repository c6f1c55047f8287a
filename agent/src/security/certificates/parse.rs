//! Certificates in a file's bytes: PEM (any number, among other things) or one in DER.

use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What is told of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// The common name, or the whole subject where it has none.
    pub subject: String,
    pub issuer: String,
    pub serial: String,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In the file's order, with what could not be read.
    Certificates(Vec<Result<Certificate, String>>),
    /// A key store, in words: it opens only with a password.
    Store(&'static str),
    /// Something else: a key, a setting.
    Other,
}

/// A common name is an X.520 `ub-common-name` of 64 characters; longer ones are cut.
const LONGEST: usize = 128;

/// Reads a file's bytes.
pub fn parse(bytes: &[u8]) -> Content {
    if bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) || bytes.starts_with(&[0xce, 0xce, 0xce, 0xce])
    {
        return Content::Store("a Java key store");
    }
    if contains(bytes, b"-----BEGIN ") {
        return pem(bytes);
    }
    if bytes.first() != Some(&0x30) {
        return Content::Other;
    }
    match X509Certificate::from_der(bytes) {
        Ok((_, certificate)) => Content::Certificates(vec![Ok(told(&certificate))]),
        Err(_) if is_pkcs12(bytes) => Content::Store("PKCS#12"),
        Err(_) => Content::Other,
    }
}

fn pem(bytes: &[u8]) -> Content {
    let mut found = Vec::new();
    let begins = [
        &b"-----BEGIN CERTIFICATE-----"[..],
        b"-----BEGIN TRUSTED CERTIFICATE-----",
        b"-----BEGIN X509 CERTIFICATE-----",
    ];
    let expected = begins
        .iter()
        .map(|begin| count(bytes, begin))
        .sum::<usize>();
    if expected == 0 {
        return Content::Other;
    }
    for block in Pem::iter_from_buffer(bytes) {
        let block = match block {
            Ok(block) => block,
            Err(error) => {
                found.push(Err(format!("a PEM block that cannot be read: {error}")));
                break;
            }
        };
        if !block.label.ends_with("CERTIFICATE") {
            continue;
        }
        // `TRUSTED CERTIFICATE` has OpenSSL's own words after the certificate.
        let read = X509Certificate::from_der(&block.contents);
        found.push(match read {
            Ok((_, certificate)) => Ok(told(&certificate)),
            Err(error) => Err(format!("a certificate that cannot be read: {error}")),
        });
    }
    if found.len() < expected {
        found.push(Err(format!(
            "{} certificates begin and {} end",
            expected,
            found.len()
        )));
    }
    Content::Certificates(found)
}

fn told(certificate: &X509Certificate<'_>) -> Certificate {
    let name = |name: &x509_parser::x509::X509Name<'_>| {
        let common = name.iter_common_name().next();
        let text = common
            .and_then(|name| name.as_str().ok())
            .map_or_else(|| name.to_string(), str::to_owned);
        text.chars().take(LONGEST).collect::<String>()
    };
    Certificate {
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        subject: name(certificate.subject()),
        issuer: name(certificate.issuer()),
        serial: crate::security::seal::hex(certificate.raw_serial()),
    }
}

/// RFC 7292: a sequence whose first member is the number 3.
fn is_pkcs12(bytes: &[u8]) -> bool {
    let header = match bytes.get(1) {
        Some(length) if *length <= 0x80 => 2,
        Some(length) => 2 + usize::from(length & 0x7f),
        None => return false,
    };
    bytes.get(header..header + 3) == Some(&[0x02, 0x01, 0x03])
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(bytes, wanted).is_some()
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    memchr::memmem::find_iter(bytes, wanted).count()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    /// Made by `openssl req -x509 -newkey ed25519 -days 3650 -subj /CN=booking.example`.
    pub(crate) const PEM: &str = include_str!("test.pem");

    fn der() -> Vec<u8> {
        let body: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(body).unwrap()
    }

    fn all(bytes: &[u8]) -> Vec<Result<Certificate, String>> {
        match parse(bytes) {
            Content::Certificates(found) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pem_der_and_chains() {
        let one = all(PEM.as_bytes());
        let certificate = one[0].as_ref().unwrap();
        assert_eq!(certificate.subject, "booking.example");
        assert_eq!(
            certificate.not_after - certificate.not_before,
            3650 * 86_400
        );
        assert_eq!(all(&der()), one);
        let chain = format!(
            "subject=x\n{PEM}\n-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----\n{PEM}"
        );
        assert_eq!(all(chain.as_bytes()).len(), 2);
    }

    #[test]
    fn what_is_no_certificate_and_what_is_half_of_one() {
        assert_eq!(parse(b"server { listen 443; }"), Content::Other);
        assert_eq!(parse(b""), Content::Other);
        assert_eq!(
            parse(b"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n"),
            Content::Other
        );
        assert_eq!(
            parse(b"\x30\x82\x01\x00\x02\x01\x03\x30"),
            Content::Store("PKCS#12")
        );
        assert_eq!(
            parse(b"\xfe\xed\xfe\xed\0\0\0\x02"),
            Content::Store("a Java key store")
        );
        let cut = &PEM[..PEM.len() / 2];
        assert!(all(cut.as_bytes()).iter().all(Result::is_err));
        let spoiled = PEM.replacen("MI", "MA", 1);
        assert!(all(spoiled.as_bytes())[0].is_err());
        // A whole one and a cut one: both are told.
        let both = all(format!("{PEM}{cut}").as_bytes());
        assert!(both[0].is_ok() && both[1].is_err(), "{both:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"-----BEGIN CERTIFICATE-----\n", &bytes[..]].concat());
            let _ = parse(&[b"\x30", &bytes[..]].concat());
        }

        #[test]
        fn a_spoiled_certificate_is_read_or_refused(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = der();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = parse(&bytes);
            let _ = parse(&bytes[..cut.index(bytes.len())]);
            let text = format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                STANDARD.encode(&bytes)
            );
            prop_assert_eq!(all(text.as_bytes()).len(), 1);
        }
    }
}
