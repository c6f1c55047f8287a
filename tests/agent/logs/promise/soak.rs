//! A thousand lives of the agent, each ended by `kill -9` at a random moment, while lines are
//! written, files rotated, rollovers forced, answers dropped after the commit and the server killed
//! fifty times. An hour on a machine with nothing else to do; `KAI_LOG_SOAK_ROUNDS` makes it shorter
//! or longer, `KAI_LOG_SOAK_MINUTES` ends it, `KAI_LOG_SOAK_SEED` repeats one's moments.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::{STREAM, Tally, wait, wait_for_documents};
use crate::logs::elastic::Elastic;
use crate::logs::proxy::Proxy;
use crate::logs::runner::Runner;
use crate::logs::writer::{Orders, write};

const ROUNDS: u64 = 1_000;
/// Few enough that a life gets to the end of what the lives before it left.
const LINES_PER_SECOND: u64 = 150;

/// Each of these in one round of so many.
const SERVER_KILL: u64 = 20;
const ROTATE: u64 = 7;
const ROLL_OVER: u64 = 6;
const DROP: u64 = 2;
/// This life lasts until something was acknowledged, and then a random while: on a busy machine
/// none would get so far otherwise.
const ARRIVES: u64 = 2;
/// Rounds after which a server that was killed is waited for.
const AWAY: u64 = 8;
const TELL: u64 = 20;

/// Longest life. What the life before may have sent is not sent again in a life's first second,
/// so that most end before, while and after that happens.
const LONGEST_MS: u64 = 2_400;
const PATIENCE: Duration = Duration::from_secs(20);

/// Counters that end with each life; as seen just before its end.
#[derive(Default)]
struct Sums {
    found: f64,
    removed: f64,
    left: f64,
    checks: f64,
    cpu: f64,
}

impl Sums {
    fn add(&mut self, agent: &Runner) {
        let metrics = agent.metrics();
        let value = |series: &str| {
            let text = metrics.series.get(series);
            text.map_or(0.0, |text| text.parse::<f64>().unwrap())
        };
        self.found += value("kai_agent_log_duplicate_events_total{source=\"app\"}");
        self.removed += value("kai_agent_log_repeated_events_total{result=\"removed\"}");
        self.left += value("kai_agent_log_repeated_events_total{result=\"left\"}");
        self.checks += value("kai_agent_log_rollover_checks_total{result=\"rolled_over\"}");
        self.cpu += value("process_cpu_seconds_total");
    }
}

pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

pub fn run() {
    let rounds = setting("KAI_LOG_SOAK_ROUNDS", ROUNDS);
    let limit = Duration::from_mins(setting("KAI_LOG_SOAK_MINUTES", 24 * 60));
    let seed = setting("KAI_LOG_SOAK_SEED", rand::random());
    println!("{rounds} rounds, KAI_LOG_SOAK_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut elastic = Elastic::start();
    elastic.template();
    let proxy = Proxy::start(elastic.address.clone());
    let mut agent = Runner::new(std::slice::from_ref(&proxy.url), "");
    let orders = Arc::new(Orders::default());
    let (folder, told) = (agent.path("l"), Arc::clone(&orders));
    let writer = thread::spawn(move || write(&folder, LINES_PER_SECOND, &told));
    let begun = Instant::now();
    let (mut server_kills, mut rollovers, mut rotations) = (0, 0, 0);
    let mut sums = Sums::default();
    let mut roll_over = |elastic: &mut Elastic| {
        if elastic.exists(STREAM) {
            elastic.request("POST", &format!("/{STREAM}/_rollover"), &Value::Null);
            rollovers += 1;
        }
    };
    // Rounds since the server was killed, while it is away.
    let mut away: Option<u64> = None;
    let mut done = 0;
    agent.start();
    while done < rounds && begun.elapsed() < limit {
        done += 1;
        let round = done;
        if round % DROP == 0 {
            proxy.drop_next_reply();
        }
        if round % ROTATE == 0 {
            orders.rotate.store(true, Ordering::SeqCst);
            rotations += 1;
        }
        let life = Duration::from_millis(random.random_range(0..LONGEST_MS));
        let before = life.mul_f64(random.random());
        thread::sleep(before);
        if round % SERVER_KILL == 0 {
            elastic.kill();
            elastic.launch();
            server_kills += 1;
            away = Some(0);
        } else if round % (2 * ROLL_OVER) == 0 && away.is_none() {
            roll_over(&mut elastic);
        }
        thread::sleep(life.saturating_sub(before));
        if round % ARRIVES == 0 && away.is_none() {
            let begun = Instant::now();
            while agent.outcome("acked") == 0.0 && begun.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(20));
            }
            thread::sleep(Duration::from_millis(random.random_range(0..500)));
        }
        sums.add(&agent);
        agent.kill();
        // While nobody ships: what was sent and not acknowledged lies behind the rollover.
        if (round + ROLL_OVER).is_multiple_of(2 * ROLL_OVER) && away.is_none() {
            roll_over(&mut elastic);
        }
        agent.start();
        if let Some(rounds) = &mut away {
            *rounds += 1;
            if *rounds >= AWAY {
                elastic.ready();
            }
            if elastic.answers() {
                away = None;
            }
        }
        if round % TELL == 0 {
            println!(
                "{:5.0} s  round {round}, {} lines written, server killed {server_kills}, files \
                 rotated {rotations}, answers dropped {}, found there when sent again {}, removed \
                 copies {}, agents' CPU {:.0} s",
                begun.elapsed().as_secs_f64(),
                orders.written.load(Ordering::SeqCst),
                proxy.dropped.load(Ordering::SeqCst),
                sums.found,
                sums.removed,
                sums.cpu,
            );
        }
    }
    elastic.ready();
    orders.stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    let written = orders.written.load(Ordering::SeqCst);
    wait_for_documents(&mut elastic, written);
    wait("the outcomes", || {
        agent.value("events_in_flight{source=\"app\"}") == 0.0
    });
    sums.add(&agent);
    let tally = Tally::take(&elastic, written);
    println!(
        "{done} kills of the agent in {:.0} s: lines written {written}, documents {}, distinct \
         {}, there twice {}; server killed {server_kills}, rollovers {rollovers}, files rotated \
         {rotations}, answers dropped {}; rollover checks {}, found there when sent again {}, \
         copies removed {}, left {}; agents' CPU {:.0} s (counters as of the last look before each \
         kill)",
        begun.elapsed().as_secs_f64(),
        tally.documents,
        tally.distinct,
        tally.documents - tally.distinct,
        proxy.dropped.load(Ordering::SeqCst),
        sums.checks,
        sums.found,
        sums.removed,
        sums.left,
        sums.cpu,
    );
    tally.assert_exactly_once(&elastic);
    agent.assert_balanced();
    agent.stop();
}
