//! Certificates as blackbox_exporter's labels have them, which is as Go's crypto/x509/pkix writes
//! names.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use x509_parser::asn1_rs::Tag;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// What is told of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Unix seconds.
    pub not_before: i64,
    pub not_after: i64,
    pub subject: String,
    pub issuer: String,
    /// DNS names, in their order.
    pub names: Vec<String>,
    /// Big-endian hexadecimal without leading zero bytes.
    pub serial: String,
    pub fingerprint: String,
}

/// Reads one certificate in DER.
pub fn parse(der: &[u8]) -> Result<Certificate, String> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|error| format!("not a certificate: {error}"))?;
    let mut names = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(list) = extension.parsed_extension() {
            names.extend(list.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            }));
        }
    }
    Ok(Certificate {
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        subject: name(certificate.subject()),
        issuer: name(certificate.issuer()),
        names,
        serial: serial(certificate.raw_serial()),
        fingerprint: hex(&Sha256::digest(der)),
    })
}

/// DER of a certificate's subject and issuer, to find who signed what.
pub fn raw_names(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some((
        certificate.subject().as_raw().to_vec(),
        certificate.issuer().as_raw().to_vec(),
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String does not fail
        text
    })
}

fn serial(raw: &[u8]) -> String {
    // A negative number (two's complement), which RFC 5280 forbids: Go shows its absolute value.
    let mut bytes = raw.to_vec();
    if raw.first().is_some_and(|first| first & 0x80 != 0) {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            *byte = !*byte;
            if carry {
                (*byte, carry) = byte.overflowing_add(1);
            }
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    hex(&bytes[zeros..])
}

/// The attributes that Go knows by name (below 2.5.4), in the order of `Name.ToRDNSequence`, and
/// whether several values of them are kept.
const KNOWN: [(u64, &str, bool); 9] = [
    (6, "C", true),
    (8, "ST", true),
    (7, "L", true),
    (9, "STREET", true),
    (17, "POSTALCODE", true),
    (10, "O", true),
    (11, "OU", true),
    (3, "CN", false),
    (5, "SERIALNUMBER", false),
];

/// `Name.String()` of Go: unknown attributes first, then the known ones in a fixed order, all of it
/// written backwards.
fn name(name: &X509Name<'_>) -> String {
    let mut groups: Vec<String> = Vec::new();
    let mut known: Vec<Vec<String>> = vec![Vec::new(); KNOWN.len()];
    for attribute in name.iter_attributes() {
        let oid = attribute.attr_type();
        let value = text(attribute.attr_value().tag(), attribute.attr_value().data);
        let parts: Vec<u64> = oid.iter().map(Iterator::collect).unwrap_or_default();
        let place = match parts.as_slice() {
            [2, 5, 4, number] => KNOWN.iter().position(|(known, ..)| known == number),
            _ => None,
        };
        match place {
            Some(place) if KNOWN[place].2 => known[place].push(value),
            // Of a single one the last counts, and an empty one counts for none.
            Some(place) => known[place] = vec![value],
            None => groups.push(format!("{oid}=#{}", hex(&marshal(&value)))),
        }
    }
    for ((_, short, many), values) in KNOWN.iter().zip(known) {
        if values.is_empty() || (!many && values[0].is_empty()) {
            continue;
        }
        let parts: Vec<String> = values
            .iter()
            .map(|value| format!("{short}={}", escape(value)))
            .collect();
        groups.push(parts.join("+"));
    }
    groups.reverse();
    groups.join(",")
}

/// A string's text, whatever of ASN.1's encodings it has.
fn text(tag: Tag, data: &[u8]) -> String {
    match tag {
        Tag::BmpString => {
            let units: Vec<u16> = data
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            String::from_utf16_lossy(&units)
        }
        // Go reads it as Latin 1, as everybody does.
        Tag::T61String => data.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(data).into_owned(),
    }
}

/// A string as Go marshals it: a PrintableString if it can be one, else UTF-8.
fn marshal(value: &str) -> Vec<u8> {
    let printable = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b));
    let mut out = vec![if printable { 0x13 } else { 0x0c }];
    match value.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            out.push(0x80 | (bytes.len() - zeros) as u8);
            out.extend_from_slice(&bytes[zeros..]);
        }
    }
    out.extend_from_slice(value.as_bytes());
    out
}

fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (at, c) in value.char_indices() {
        let special = match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => at == 0 || at == value.len() - 1,
            '#' => at == 0,
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serial_numbers_keep_their_leading_nought() {
        assert_eq!(serial(&[0x00, 0x0a, 0xff]), "0aff");
        assert_eq!(serial(&[0x01]), "01");
        assert_eq!(serial(&[0xff]), "01");
        assert_eq!(serial(&[0x80, 0x00]), "8000");
        assert_eq!(serial(&[0]), "");
    }

    #[test]
    fn special_characters_are_escaped_as_go_does() {
        assert_eq!(escape("#a, b+c "), "\\#a\\, b\\+c\\ ");
        assert_eq!(escape("a#b c"), "a#b c");
    }

    #[test]
    fn strings_are_marshalled_as_go_does() {
        assert_eq!(marshal("ab"), [0x13, 2, b'a', b'b']);
        assert_eq!(marshal("a@b")[0], 0x0c);
        assert_eq!(&marshal(&"a".repeat(300))[..4], [0x13, 0x82, 1, 44]);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
            let _ = raw_names(&bytes);
        }
    }
}
