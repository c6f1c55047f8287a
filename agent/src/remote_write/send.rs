//! Out: one request after another to a receiver, each until it is taken or refused for good. The
//! next waits meanwhile, because a series' samples must arrive in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use kai_contract::agent_config::RemoteEndpoint;
use reqwest::Client;
use reqwest::redirect::Policy;

use super::answer::{Verdict, judge};
use super::ledger::Loss;
use super::queue::Queue;
use super::request::Batch;
use super::transcode;
use crate::logs::cluster::{authorities, authorization, why};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Bytes of an answer that are read, to say what is wrong.
const ANSWER_BYTES: usize = 4 << 10;

/// The longest pause before the first and before any later attempt; the pause itself is random
/// below it, so that a thousand agents do not come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often the same trouble is spoken of.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

const TYPE_ONE: &str = "application/x-protobuf";
const TYPE_TWO: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// One receiver.
#[derive(Debug)]
pub struct Endpoint {
    pub name: String,
    config: RemoteEndpoint,
    client: Client,
    pub queue: Queue,
    /// 2, until the receiver turns out to know 1 only.
    protocol: AtomicU8,
}

impl Endpoint {
    pub fn new(name: &str, config: &RemoteEndpoint, queue: Queue) -> Result<Self, String> {
        let mut builder = Client::builder()
            .no_proxy()
            // A request with samples and a secret goes where the configuration says.
            .redirect(Policy::none())
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("kai-agent/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &config.ca_file {
            builder = builder.tls_certs_only(authorities(file)?);
        } else if !config.url.starts_with("https://") {
            // The machine's certificates cost memory.
            builder = builder.tls_certs_only([]);
        }
        let client = builder
            .build()
            .map_err(|error| format!("cannot prepare requests to {name}: {}", why(error)))?;
        queue.account().protocol(config.protocol);
        Ok(Self {
            name: name.to_owned(),
            protocol: AtomicU8::new(config.protocol),
            config: config.clone(),
            client,
            queue,
        })
    }

    pub fn protocol(&self) -> u8 {
        self.protocol.load(Ordering::Relaxed)
    }

    fn only_one(&self) {
        tracing::warn!(
            receiver = self.name,
            "the receiver does not know remote write 2.0; it gets 1.0 from now on, without types"
        );
        self.protocol.store(1, Ordering::Relaxed);
        self.queue.account().protocol(1);
    }

    async fn post(&self, version: u8, body: Bytes) -> Result<Answer, String> {
        let (kind, number) = match version {
            1 => (TYPE_ONE, "0.1.0"),
            _ => (TYPE_TWO, "2.0.0"),
        };
        let mut request = self
            .client
            .post(&self.config.url)
            .timeout(Duration::from_millis(self.config.timeout_ms))
            .header(CONTENT_TYPE, kind)
            .header(CONTENT_ENCODING, "snappy")
            .header("X-Prometheus-Remote-Write-Version", number)
            .body(body);
        for (name, value) in &self.config.headers {
            request = request.header(name, value);
        }
        if let Some(secret) = authorization(self.config.auth.as_ref())? {
            request = request.header(AUTHORIZATION, secret);
        }
        let mut response = request.send().await.map_err(why)?;
        let mut text = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ANSWER_BYTES - text.len();
            text.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if text.len() == ANSWER_BYTES {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
        Ok(Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
        })
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

/// What was said of the receiver last.
#[derive(Default)]
struct Said {
    away_since: Option<Instant>,
    away: Option<Instant>,
    loss: Option<Instant>,
}

/// Sends until the queue is closed and empty.
pub async fn run(endpoint: Arc<Endpoint>) {
    let mut said = Said::default();
    while let Some(batch) = endpoint.queue.next().await {
        deliver(&endpoint, &batch, &mut said).await;
        endpoint.queue.settled(&batch);
    }
}

async fn deliver(endpoint: &Endpoint, batch: &Batch, said: &mut Said) {
    let account = endpoint.queue.account();
    let samples = batch.all_samples();
    let mut longest = FIRST_PAUSE;
    loop {
        let version = endpoint.protocol();
        let Some(body) = body_of(batch, version) else {
            account.dropped(Loss::Encoding, samples);
            return said.loss(
                endpoint,
                samples,
                "it cannot be written as remote write 1.0",
            );
        };
        let length = body.len() as u64;
        account.attempt(batch);
        let (verdict, trouble) = match endpoint.post(version, body).await {
            Ok(answer) => {
                let verdict = judge(
                    version,
                    answer.status,
                    &answer.headers,
                    samples,
                    batch.exemplars,
                );
                (verdict, format!("status {} {}", answer.status, answer.text))
            }
            // No answer: whether the samples arrived is not known. The same ones again are no
            // trouble to a receiver, which knows a sample by its series and time.
            Err(trouble) => (Verdict::Later { after: None }, trouble),
        };
        match verdict {
            Verdict::Taken { samples: written } => {
                said.back(endpoint);
                account.acked(written, length, batch.newest);
                account.dropped(Loss::NotWritten, samples - written);
                if written < samples {
                    said.loss(
                        endpoint,
                        samples - written,
                        "it says that it did not write them",
                    );
                }
                return;
            }
            Verdict::Refused { written } => {
                said.back(endpoint);
                if written > 0 {
                    account.acked(written, length, batch.newest);
                }
                let status = trouble
                    .split(' ')
                    .nth(1)
                    .and_then(|status| status.parse().ok());
                account.dropped(Loss::Refused(status.unwrap_or(0)), samples - written);
                return said.loss(endpoint, samples - written, &trouble);
            }
            Verdict::OnlyOne if version == 2 => {
                endpoint.only_one();
                continue;
            }
            Verdict::OnlyOne => return account.dropped(Loss::Refused(415), samples),
            Verdict::Later { after } => {
                account.retried(samples);
                said.away(endpoint, &trouble);
                let pause = longest.mul_f64(rand::random::<f64>());
                tokio::time::sleep(pause.max(after.unwrap_or_default())).await;
                longest = (longest * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn body_of(batch: &Batch, version: u8) -> Option<Bytes> {
    match (version, &batch.one, &batch.two) {
        (1, Some(one), _) => Some(one.clone()),
        // It was queued before the receiver's version was known.
        (1, None, Some(two)) => transcode::to_one(two).ok(),
        (_, _, two) => two.clone(),
    }
}

impl Said {
    fn away(&mut self, endpoint: &Endpoint, trouble: &str) {
        self.away_since.get_or_insert_with(Instant::now);
        if self.away.is_none_or(|said| said.elapsed() > COMPLAIN_EVERY) {
            self.away = Some(Instant::now());
            tracing::warn!(
                receiver = endpoint.name,
                trouble,
                "samples cannot be written at present; they wait and are tried again"
            );
        }
    }

    fn back(&mut self, endpoint: &Endpoint) {
        self.away = None;
        if let Some(since) = self.away_since.take() {
            tracing::info!(
                receiver = endpoint.name,
                after_seconds = since.elapsed().as_secs(),
                "samples are taken again"
            );
        }
    }

    fn loss(&mut self, endpoint: &Endpoint, samples: u64, reason: &str) {
        if self.loss.is_none_or(|said| said.elapsed() > COMPLAIN_EVERY) {
            self.loss = Some(Instant::now());
            tracing::warn!(
                receiver = endpoint.name,
                samples,
                reason,
                "the receiver refuses samples; they are dropped and counted"
            );
        }
    }
}
