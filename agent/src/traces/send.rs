//! Out: batches to the endpoint over OTLP/gRPC, until it takes them or says that it never will.
//!
//! What may be tried again is tried for as long as the agent runs: how much waits is bounded by
//! memory, and what no longer fits is refused while its sender can still keep it. A batch whose
//! answer got lost is sent again, so a span can arrive twice; OTLP chose so too.

mod connection;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use connection::{Answer, Client};

use super::Lane;
use super::ledger::Loss;
use super::queue::{Batch, Part};
use super::status::Code;

/// Batches under way at once.
pub const SENDERS: usize = 4;

/// The longest pause before the first and before any later attempt; the pause itself is random
/// below it, so that agents do not come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A server that asks for more than this is not waited for so long.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// How often the same trouble is spoken of.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

/// Shared by the senders.
#[derive(Default)]
pub struct Sender {
    client: Client,
    /// The endpoint asked for quiet until then.
    quiet_until: Mutex<Option<Instant>>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    away_since: Option<Instant>,
    loss_said: Option<Instant>,
}

/// What became of the requests of a batch.
enum Decided {
    Taken { rejected: u64, message: String },
    Refused { code: Code, message: String },
}

/// Sends batches until the queue is closed and empty.
pub async fn run(lane: Arc<Lane>) {
    while let Some(batch) = lane.queue.next(|| lane.limits()).await {
        deliver(&lane, batch).await;
    }
}

/// Settles every part of a batch. Where the endpoint refuses several requests as one, they are
/// halved until only those are dropped that it refuses alone.
async fn deliver(lane: &Lane, batch: Batch) {
    let mut pieces = vec![&batch.parts[..]];
    while let Some(parts) = pieces.pop() {
        let spans = parts.iter().map(|part| part.spans).sum::<u64>();
        match decide(lane, parts).await {
            Decided::Taken { rejected, message } => {
                let rejected = rejected.min(spans);
                let bytes = parts.iter().map(|part| part.bytes.len() as u64).sum();
                lane.ledger.acked(spans - rejected, bytes);
                for part in parts {
                    let seconds = part.received.elapsed().as_secs_f64();
                    lane.ledger.acked_after(seconds, part.spans);
                }
                if rejected > 0 {
                    lane.ledger.dropped(Loss::Rejected, rejected);
                    lane.sender.say_loss(rejected, "partial success", &message);
                } else if !message.is_empty() {
                    tracing::debug!(message, "the endpoint warns about spans that it took");
                }
            }
            Decided::Refused { code, .. } if parts.len() > 1 && code.about_the_data() => {
                let (first, second) = parts.split_at(parts.len() / 2);
                pieces.push(second);
                pieces.push(first);
            }
            Decided::Refused { code, message } => {
                lane.ledger.dropped(Loss::Permanent, spans);
                lane.sender.say_loss(spans, code.name(), &message);
            }
        }
    }
    lane.queue.settled(batch);
}

async fn decide(lane: &Lane, parts: &[Part]) -> Decided {
    let mut longest = FIRST_PAUSE;
    loop {
        lane.sender.quiet().await;
        let endpoint = lane.settings().endpoint;
        let answer = lane.sender.client.export(&endpoint, parts).await;
        let (code, message, asked) = match answer {
            Answer::Taken { rejected, message } => {
                lane.sender.say_back(&endpoint);
                return Decided::Taken { rejected, message };
            }
            Answer::Failed {
                code,
                message,
                retry_after,
            } => (code, message, retry_after),
        };
        if !code.retryable(asked.is_some()) {
            return Decided::Refused { code, message };
        }
        lane.ledger.retried(code.name());
        lane.sender.say_away(&endpoint, code, &message);
        if let Some(asked) = asked {
            lane.sender.keep_quiet(asked.min(LONGEST_ASKED));
        }
        tokio::time::sleep(random_below(longest)).await;
        longest = (longest * 2).min(LONGEST_PAUSE);
    }
}

impl Sender {
    async fn quiet(&self) {
        loop {
            let until = *self
                .quiet_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => return,
            }
        }
    }

    fn keep_quiet(&self, asked: Duration) {
        let until = Instant::now() + asked;
        let mut quiet = self
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *quiet = Some(quiet.map_or(until, |before| before.max(until)));
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say_away(&self, endpoint: &str, code: Code, message: &str) {
        let mut trouble = self.trouble();
        if trouble.away_since.is_none() {
            trouble.away_since = Some(Instant::now());
            tracing::warn!(
                endpoint,
                code = code.name(),
                "spans cannot be delivered: {message}; they wait and are sent again until they \
                 fill traces.memoryBytes, then senders are refused"
            );
        }
    }

    fn say_back(&self, endpoint: &str) {
        if let Some(since) = self.trouble().away_since.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(endpoint, seconds, "spans are delivered again");
        }
    }

    fn say_loss(&self, spans: u64, why: &str, message: &str) {
        let mut trouble = self.trouble();
        if trouble
            .loss_said
            .is_none_or(|said| said.elapsed() >= COMPLAIN_EVERY)
        {
            trouble.loss_said = Some(Instant::now());
            tracing::warn!(
                spans,
                why,
                "spans are dropped, the endpoint does not take them: {message}; \
                 kai_agent_spans_total counts on"
            );
        }
    }
}

/// "Full jitter": any pause up to the longest is as likely.
fn random_below(longest: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    longest.mul_f64(random as f64 / u64::MAX as f64)
}
