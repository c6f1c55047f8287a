//! The page and the API answer only to the names of this machine. A page from elsewhere can make a
//! browser resolve its own name to 127.0.0.1 and read what it is told (DNS rebinding); the Host
//! header then still holds that name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::state::App;

/// Nothing from elsewhere is loaded, nothing is sent elsewhere, nobody frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'self'";

pub async fn readers(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    // HTTP/1.1 in absolute form carries the name in the request line as well.
    let name = request.uri().host().or(host);
    if !name.is_some_and(|name| allowed(name, app.listening, &app.options.allowed_hosts)) {
        let text = "this inbox answers to localhost and its own address only; \
                    name others with --allowed-host\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    let mut response = next.run(request).await;
    protect(response.headers_mut());
    response
}

fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(POLICY));
    headers.insert(
        header::HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
}

/// True for loopback, for the address that is listened on, and for configured names. The port is
/// not compared: behind `ssh -L` it differs.
fn allowed(host: &str, listening: SocketAddr, names: &[String]) -> bool {
    let Some(name) = name_of(host) else {
        return false;
    };
    if let Ok(ip) = name
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
    {
        // An address cannot be rebound; where all are listened on, any may be used.
        let listened = if listening.ip().is_unspecified() {
            true
        } else {
            ip == listening.ip()
        };
        return ip.to_canonical().is_loopback() || listened;
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || names
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(&name))
}

/// Without the port.
fn name_of(host: &str) -> Option<&str> {
    if host.starts_with('[') {
        let end = host.find(']')?;
        let rest = &host[end + 1..];
        return (rest.is_empty() || is_port(rest.strip_prefix(':')?)).then(|| &host[..=end]);
    }
    match host.split_once(':') {
        Some((name, port)) => is_port(port).then_some(name),
        None => Some(host),
    }
    .filter(|name| !name.is_empty())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ok(host: &str, listening: &str) -> bool {
        allowed(host, listening.parse().unwrap(), &["inbox.lab".to_owned()])
    }

    #[test]
    fn names_of_this_machine_pass() {
        for host in [
            "127.0.0.1:7071",
            "127.0.0.1",
            "127.8.9.1:1",
            "localhost:7071",
            "LocalHost",
            "localhost.:7071",
            "kai.localhost:80",
            "[::1]:7071",
            "[::1]",
            "inbox.lab:7071",
        ] {
            assert!(ok(host, "127.0.0.1:7071"), "{host}");
        }
        assert!(ok("192.0.2.7:7071", "192.0.2.7:7071"));
        assert!(ok("192.0.2.7:7071", "0.0.0.0:7071"));
    }

    #[test]
    fn other_names_do_not() {
        for host in [
            "",
            ":7071",
            "evil.example",
            "evil.example:7071",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "192.0.2.7:7071",
            "127.0.0.1:port",
            "127.0.0.1:7071:1",
            "[::1",
            "[::1]x",
            "[2001:db8::1]",
            "localhost@evil.example",
        ] {
            assert!(!ok(host, "127.0.0.1:7071"), "{host}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(host in "\\PC{0,40}") {
            let _ = ok(&host, "127.0.0.1:7071");
        }
    }
}
