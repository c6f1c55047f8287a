//! `http://` and `https://` addresses. Strict where the WHATWG parser is lenient (it drops tabs,
//! repairs slashes and accepts `1.2`), because what is written here ends in Prometheus' file.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub https: bool,
    /// Without brackets.
    pub host: String,
    pub port: u16,
    /// Path and query, starting with `/` unless empty.
    pub path: String,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("is not an address: it must start with http:// or https://")]
    Scheme,
    #[error("holds credentials")]
    Credentials,
    #[error("has no valid host")]
    Host,
    #[error("has a port that is not between 1 and 65535")]
    Port,
    #[error("holds a space or a control character")]
    Character,
    #[error("has a fragment (`#…`), which is never sent")]
    Fragment,
}

impl Address {
    /// Parses `http(s)://host[:port][/path][?query]`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(AddressError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let https = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(AddressError::Scheme),
        };
        let query = rest.find(['?', '#']).unwrap_or(rest.len());
        // a password may itself hold a slash, so look further than the authority
        if rest[..query].contains('@') {
            return Err(AddressError::Credentials);
        }
        if rest.contains('#') {
            return Err(AddressError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = split_port(authority)?;
        let default = if https { 443 } else { 80 };
        let port = match port {
            None => default,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port
                .parse()
                .ok()
                .filter(|p| *p > 0)
                .ok_or(AddressError::Port)?,
            Some(_) => return Err(AddressError::Port),
        };
        Ok(Self {
            https,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    /// Does the host mean this machine?
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_end_matches('.');
        host.eq_ignore_ascii_case("localhost")
            || host.to_ascii_lowercase().ends_with(".localhost")
            || host
                .parse::<Ipv4Addr>()
                .is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
            || host
                .parse::<Ipv6Addr>()
                .is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), AddressError> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (host, after) = inner.split_once(']').ok_or(AddressError::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| AddressError::Host)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(AddressError::Host),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if is_host(host) {
        Ok((host, port))
    } else {
        Err(AddressError::Host)
    }
}

/// A DNS name or an IPv4 address.
pub fn is_host(host: &str) -> bool {
    if !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |l: &str| {
        let inside = l
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        !l.is_empty() && l.len() <= 63 && inside && !l.starts_with('-') && !l.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses() {
        let address = Address::parse("http://127.0.0.1:8080/metrics?x=1").expect("good");
        assert_eq!(
            (address.port, address.path.as_str()),
            (8080, "/metrics?x=1")
        );
        assert!(address.is_loopback());
        assert!(
            Address::parse("http://[::1]:9/")
                .expect("good")
                .is_loopback()
        );
        let plain = Address::parse("https://es.kai.internal").expect("good");
        assert_eq!(
            (plain.port, plain.https, plain.is_loopback()),
            (443, true, false)
        );
    }

    #[test]
    fn bad_addresses() {
        for (text, why) in [
            ("127.0.0.1:8080", AddressError::Scheme),
            ("ftp://x/", AddressError::Scheme),
            ("http://joe:pw@x/", AddressError::Credentials),
            ("http://joe:p/w@x/", AddressError::Credentials),
            ("http:///x", AddressError::Host),
            ("http://1.2/x", AddressError::Host),
            ("http://[::1/x", AddressError::Host),
            ("http://x:0/", AddressError::Port),
            ("http://x:70000/", AddressError::Port),
            ("http://x:+80/", AddressError::Port),
            ("http://x /", AddressError::Character),
            ("http://x/#a", AddressError::Fragment),
        ] {
            assert_eq!(Address::parse(text), Err(why), "{text}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
        #[test]
        fn any_text_is_survived(text in "\\PC{0,40}", tail in "[a:@/?#\\[\\].0-9]{0,30}") {
            let _ = Address::parse(&text);
            let _ = Address::parse(&format!("http://{tail}"));
        }
    }
}
