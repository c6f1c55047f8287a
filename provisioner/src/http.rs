//! The one way to get an HTTP client: ring as the TLS provider, proxies honoured but never for
//! this machine, a bound on every request. reqwest built without a provider panics when none is
//! installed, so nobody else calls `reqwest::Client::new`.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, NoProxy, Proxy};

/// Longest wait for a TCP and TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client whose requests end after `timeout`, body included.
///
/// Proxies come from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` (upper or lower case); what
/// `NO_PROXY` lists goes direct, and so does every loopback address: what a stack runs on this
/// machine is never asked through a proxy. On a machine without CA certificates plain HTTP works
/// and HTTPS ends in an unknown-issuer error.
pub fn client(timeout: Duration) -> Client {
    install_crypto();
    match builder(timeout).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(%error, "no CA certificates could be loaded: https will not be trusted");
            fallback(timeout)
        }
    }
}

/// Makes ring the process's TLS provider. Called more than once it does nothing.
pub fn install_crypto() {
    // An error says that a provider is there already, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}

#[expect(
    clippy::expect_used,
    reason = "no input is left that could make the builder fail"
)]
fn fallback(timeout: Duration) -> Client {
    Client::builder()
        .timeout(timeout)
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .no_proxy()
        .tls_certs_only([])
        .build()
        .expect("a client without proxies and certificates")
}

fn builder(timeout: Duration) -> ClientBuilder {
    let mut builder = Client::builder()
        .timeout(timeout)
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .user_agent(concat!("kai-observe/", env!("CARGO_PKG_VERSION")))
        // Replaced below by the same proxies with loopback left out.
        .no_proxy();
    let direct = no_proxy(&environment("NO_PROXY").unwrap_or_default());
    for (name, make) in PROXIES {
        let Some(address) = environment(name) else {
            continue;
        };
        if let Ok(proxy) = make(&address) {
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string(&direct)));
        } else {
            // The address may hold a password: say the variable, not its value.
            tracing::warn!(variable = name, "not a proxy address; ignored");
        }
    }
    builder
}

type MakeProxy = fn(&str) -> reqwest::Result<Proxy>;

const PROXIES: [(&str, MakeProxy); 3] = [
    ("HTTPS_PROXY", |address| Proxy::https(address)),
    ("HTTP_PROXY", |address| Proxy::http(address)),
    ("ALL_PROXY", |address| Proxy::all(address)),
];

fn no_proxy(listed: &str) -> String {
    let mut direct = String::from("localhost,127.0.0.0/8,::1");
    if !listed.trim().is_empty() {
        direct.push(',');
        direct.push_str(listed);
    }
    direct
}

fn environment(name: &str) -> Option<String> {
    [name.to_lowercase(), name.to_owned()]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|value| !value.trim().is_empty())
}

/// A client that speaks over a Unix socket; the host in its addresses is ignored.
pub fn unix_client(socket: &std::path::Path, timeout: Duration) -> reqwest::Result<Client> {
    install_crypto();
    Client::builder()
        .timeout(timeout)
        .unix_socket(socket)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_goes_direct_whatever_is_listed() {
        assert_eq!(no_proxy(""), "localhost,127.0.0.0/8,::1");
        assert_eq!(
            no_proxy("corp.example"),
            "localhost,127.0.0.0/8,::1,corp.example"
        );
    }

    #[test]
    fn a_client_is_made_twice_without_panicking() {
        let _first = client(Duration::from_secs(1));
        let _second = client(Duration::from_secs(2));
        let _without_certificates = fallback(Duration::from_secs(1));
    }
}
