//! All agents' targets by one question. Prometheus' `http_sd_configs` asks one address, and in a
//! cluster there is an agent on every node: so the one that is asked asks the others, whose addresses
//! a headless Service's name has.
//!
//! An agent that does not answer makes the whole answer fail: Prometheus then keeps the targets that
//! it has, and takes none away because somebody could not be asked.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::file_sd::{self, Form, Group};
use crate::scrape::fetch::reason;

const TIMEOUT: Duration = Duration::from_secs(3);
/// Questions at once.
const AT_ONCE: usize = 16;
const LARGEST: usize = 4 << 20;
const MOST_AGENTS: usize = 5_000;
const LARGEST_IN_ALL: usize = 32 << 20;
/// Two replicas of Prometheus ask one after the other.
const FRESH: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Peers {
    client: OnceLock<Result<Client, String>>,
    last: Mutex<Option<(Instant, String, Vec<Group>)>>,
}

impl Peers {
    /// Everybody's groups, in order of their addresses.
    pub async fn ask(&self, name: &str) -> Result<Vec<Group>, String> {
        // Held while asking: who comes meanwhile gets the same answer.
        let mut last = self.last.lock().await;
        if let Some((at, of, groups)) = &*last
            && at.elapsed() < FRESH
            && of == name
        {
            return Ok(groups.clone());
        }
        let groups = self.ask_all(name).await?;
        *last = Some((Instant::now(), name.to_owned(), groups.clone()));
        Ok(groups)
    }

    async fn ask_all(&self, name: &str) -> Result<Vec<Group>, String> {
        let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host(name)).await;
        let addresses: BTreeSet<SocketAddr> = found
            .map_err(|_| format!("looking up {name} took longer than {} s", TIMEOUT.as_secs()))?
            .map_err(|error| format!("cannot look up {name}: {error}"))?
            .take(MOST_AGENTS)
            .collect();
        if addresses.is_empty() {
            return Err(format!("{name} has no address"));
        }
        let client = self.client()?;
        let mut asked: JoinSet<(SocketAddr, Result<Vec<u8>, String>)> = JoinSet::new();
        let mut waiting = addresses.into_iter();
        let mut answers = Vec::new();
        let mut held = 0;
        loop {
            while asked.len() < AT_ONCE
                && let Some(address) = waiting.next()
            {
                let client = client.clone();
                asked.spawn(async move {
                    let answer = tokio::time::timeout(TIMEOUT, one(&client, address)).await;
                    let late = || Err(format!("it did not answer within {} s", TIMEOUT.as_secs()));
                    (address, answer.unwrap_or_else(|_| late()))
                });
            }
            let Some(done) = asked.join_next().await else {
                break;
            };
            let (address, body) = done.map_err(|error| error.to_string())?;
            let groups = body
                .and_then(|body| {
                    held += body.len();
                    file_sd::read(Form::Json, &body)
                })
                .map_err(|reason| format!("the agent at {address}: {reason}"))?;
            if held > LARGEST_IN_ALL {
                let most = LARGEST_IN_ALL >> 20;
                return Err(format!("all agents' targets together exceed {most} MiB"));
            }
            answers.push((address, groups));
        }
        answers.sort_by_key(|(address, _)| *address);
        Ok(answers.into_iter().flat_map(|(_, groups)| groups).collect())
    }

    fn client(&self) -> Result<&Client, String> {
        self.client
            .get_or_init(|| {
                Client::builder()
                    .no_proxy()
                    .redirect(Policy::none())
                    .pool_max_idle_per_host(0)
                    .tls_certs_only([])
                    .user_agent(concat!("kai-agent/", env!("CARGO_PKG_VERSION")))
                    .build()
                    .map_err(|error| reason(&error))
            })
            .as_ref()
            .map_err(Clone::clone)
    }
}

async fn one(client: &Client, address: SocketAddr) -> Result<Vec<u8>, String> {
    let wrong = |error: reqwest::Error| reason(&error.without_url());
    let request = client.get(format!("http://{address}/sd/applications"));
    let mut response = request.send().await.map_err(wrong)?;
    if response.status() != 200 {
        return Err(format!("it answered with status {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(wrong)? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(format!("its answer is larger than {} MiB", LARGEST >> 20));
        }
    }
    Ok(body)
}
