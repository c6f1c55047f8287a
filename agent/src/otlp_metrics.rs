//! OTLP metrics in: what services push is kept per series and shown as pages, one per service, as
//! if Prometheus scraped them; what Prometheus' own OTLP receiver would have named something is
//! named the same.
//!
//! ```text
//! traces/receive ─▶ decode ─▶ store (budget per service, 5 min) ─▶ /metrics/otlp/<service>, /sd/otlp
//!                                                                └▶ followers (remote write)
//! ```
//! It has no thread of its own: requests are taken on the trace lane's. docs/reference/otlp-metrics.md
//! says what is translated how.

mod decode;
pub(crate) mod fuzz;
mod ledger;
mod names;
pub mod page;
mod point;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kai_contract::agent_config::OtlpMetrics;
use tokio::sync::watch;

pub use ledger::{Ledger, Refused};
pub use store::{Limits, Rejected, Store};

use crate::samples::{Follower, Format, Page, Scraped, Target};
use crate::shutdown::ended;

/// How often followers are told, as if they scraped.
const FOLLOW_EVERY: Duration = Duration::from_secs(15);

pub fn open(config: &OtlpMetrics, ledger: Ledger) -> Store {
    let limits = Limits {
        series: config.series_per_service as usize,
        services: config.services as usize,
        stale: Duration::from_secs(config.stale_seconds),
    };
    Store::new(limits, ledger)
}

/// A service's name as a part of an address.
pub fn encode(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// The name that [`encode`] made this of; `None` if it made it of none.
pub fn decode_name(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            out.push((digit()? << 4 | digit()?) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// The services as targets, for Prometheus' `http_sd_configs`. Their pages carry `job` and
/// `instance` themselves: `honor_labels: true`.
pub fn targets(store: &Store, address: &str) -> serde_json::Value {
    let names = store.names(Instant::now());
    let targets = names.iter().map(|name| {
        serde_json::json!({
            "targets": [address],
            "labels": {
                // As it is meant: Prometheus encodes it.
                "__metrics_path__": format!("/metrics/otlp/{name}"),
                "job": name,
            },
        })
    });
    targets.collect()
}

/// Tells followers of each service's series now and then, until `shutdown` becomes true.
pub async fn follow(
    store: Arc<Store>,
    followers: Vec<Arc<dyn Follower>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(FOLLOW_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => tell(&store, &followers),
            () = ended(&mut shutdown) => return,
        }
    }
}

fn tell(store: &Store, followers: &[Arc<dyn Follower>]) {
    let now = Instant::now();
    for name in store.names(now) {
        let begun = Instant::now();
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = at.map_or(0, |at| at.as_millis() as i64);
        let page = store.with(&name, now, |service| page::write(service, Format::Protobuf));
        let Some(body) = page else { continue };
        let scraped = Scraped {
            target: Arc::new(Target {
                name: format!("otlp/{name}"),
                // Its series say themselves where they are from; what pushes is not up or down.
                labels: Vec::new(),
            }),
            at,
            seconds: begun.elapsed().as_secs_f64(),
            page: Ok(Page {
                format: Format::Protobuf,
                body: body.into(),
            }),
        };
        for follower in followers {
            follower.scraped(&scraped);
        }
    }
}
