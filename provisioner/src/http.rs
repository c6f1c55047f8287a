//! The HTTP client that every part shares, with TLS by *ring* alone.

use std::sync::Once;
use std::time::Duration;

/// reqwest is built without a TLS provider of its own; the process must name one before the first
/// client is made, or `Client::new` panics.
pub fn ensure_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error only says that another part of the program was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A client whose requests end within `timeout`. Loopback addresses never go through a proxy.
pub fn client(timeout: Duration) -> reqwest::Client {
    ensure_crypto();
    reqwest::Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(5)))
        .no_proxy()
        .build()
        .unwrap_or_default()
}

/// A client that speaks over a Unix socket; the host in its addresses is ignored.
pub fn unix_client(socket: &std::path::Path, timeout: Duration) -> reqwest::Result<reqwest::Client> {
    ensure_crypto();
    reqwest::Client::builder().timeout(timeout).unix_socket(socket).build()
}
