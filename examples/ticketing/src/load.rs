//! Load mode: customers in this process who use the service through real HTTP. Each customer's
//! choices follow from the seed and the customer's number alone, so two runs with one seed ask for
//! the same things in the same order of customers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use client::Client;
use pace::Pace;

pub mod client;
pub mod customer;
pub mod journey;
pub mod pace;

/// Customers at once: each thinks about a second between two requests, and up to a second of
/// latency does not lower the rate.
const CUSTOMERS_PER_RPS: f64 = 1.0;
const MAX_CUSTOMERS: usize = 256;

/// Plays customers until `stop` turns true.
pub async fn run(listen: SocketAddr, rps: f64, seed: u64, stop: watch::Receiver<bool>) {
    let Ok(client) = Client::new(reachable(listen)) else {
        tracing::error!("cannot make an HTTP client; no load is generated");
        return;
    };
    let shared = Arc::new(Shared {
        client,
        pace: Pace::new(rps),
        seed,
        next: AtomicU64::new(0),
    });
    let customers = ((rps * CUSTOMERS_PER_RPS).ceil() as usize + 2).min(MAX_CUSTOMERS);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..customers {
        tasks.spawn(customers_in_turn(shared.clone(), stop.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

struct Shared {
    client: Client,
    pace: Pace,
    seed: u64,
    next: AtomicU64,
}

async fn customers_in_turn(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let journey = journey::Journey::draw(shared.seed, number);
        let visit = customer::visit(&shared.client, &shared.pace, &journey);
        tokio::select! {
            result = visit => if result.is_err() {
                // Somebody whose connection fails does not hammer the door.
                tokio::time::sleep(Duration::from_secs(1)).await;
            },
            () = stopped(&mut stop) => return,
        }
    }
}

/// Returns once `stop` is true or nobody can set it any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// An address at which a service that listens on `listen` can be reached from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_reached_on_loopback() {
        for (listen, wanted) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), wanted.parse().unwrap());
        }
    }
}
