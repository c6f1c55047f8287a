//! The delivery promise against a real Elasticsearch: lines are written while the agent and the
//! server are killed, rollovers forced, an answer dropped after the commit, the file rotated and
//! truncated. In the end: distinct sequence numbers = documents = lines written.
//!
//! `KAI_LOG_PROMISE=full` makes it the two minutes at 10,000 lines a second, `storm` more rollovers
//! and kills than anybody will ever see, `soak` a thousand of them, `outage` the server away for ten
//! minutes; without, it is short enough for every run of the suite.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::elastic::Elastic;
use super::proxy::Proxy;
use super::runner::Runner;
use super::writer::{Orders, write};

mod outage;
mod soak;

const STREAM: &str = "logs-kai.app-test";

struct Plan {
    seconds: u64,
    lines_per_second: u64,
    agent_kills: u64,
    server_kills: u64,
    rollovers: u64,
}

impl Plan {
    fn chosen() -> Self {
        let wanted = std::env::var("KAI_LOG_PROMISE").unwrap_or_default();
        if wanted == "storm" {
            Self {
                seconds: 30,
                lines_per_second: 3_000,
                agent_kills: 20,
                server_kills: 0,
                rollovers: 40,
            }
        } else if wanted == "full" {
            Self {
                seconds: 120,
                lines_per_second: 10_000,
                agent_kills: 10,
                server_kills: 2,
                rollovers: 3,
            }
        } else {
            Self {
                seconds: 10,
                lines_per_second: 3_000,
                agent_kills: 4,
                server_kills: 0,
                rollovers: 2,
            }
        }
    }
}

#[test]
fn every_line_is_there_exactly_once() {
    match std::env::var("KAI_LOG_PROMISE").as_deref() {
        Ok("soak") => return soak::run(),
        Ok("outage") => return outage::run(),
        _ => {}
    }
    let plan = Plan::chosen();
    let mut elastic = Elastic::start();
    elastic.template();
    let proxy = Proxy::start(elastic.address.clone());
    let mut agent = Runner::new(std::slice::from_ref(&proxy.url), "");
    let orders = Arc::new(Orders::default());
    let (folder, told) = (agent.path("l"), Arc::clone(&orders));
    let rate = plan.lines_per_second;
    agent.start();
    let writer = thread::spawn(move || write(&folder, rate, &told));

    // Every event has its moment; several may fall together, as they do.
    let begun = Instant::now();
    let mut events: Vec<(f64, &str)> = Vec::new();
    let mut spread = |what: &'static str, count: u64, shift: f64| {
        for index in 0..count {
            let part = (index as f64 + shift) / count as f64;
            events.push((part * plan.seconds as f64, what));
        }
    };
    spread("kill agent", plan.agent_kills, 0.4);
    spread("kill server", plan.server_kills, 0.55);
    spread("roll over", plan.rollovers, 0.47);
    spread("drop a reply", 1, 0.2);
    spread("rotate", 2, 0.42);
    spread("truncate", 1, 0.85);
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut duplicates = 0.0;
    let mut cpu = 0.0;
    let (mut roll_pending, mut rolled) = (0, 0);
    let count_up = |agent: &Runner, cpu: &mut f64, duplicates: &mut f64| {
        *cpu += agent.metrics().value("process_cpu_seconds_total");
        *duplicates += agent.value("duplicate_events_total{source=\"app\"}");
    };
    for (at, what) in events {
        thread::sleep(Duration::from_secs_f64(at).saturating_sub(begun.elapsed()));
        println!("{:6.1} s  {what}", begun.elapsed().as_secs_f64());
        match what {
            "kill agent" => {
                count_up(&agent, &mut cpu, &mut duplicates);
                agent.kill();
                // A rollover while nobody ships: what was sent and not acknowledged lies behind it.
                if roll_pending > 0 && elastic.exists(STREAM) {
                    elastic.request("POST", &format!("/{STREAM}/_rollover"), &Value::Null);
                    roll_pending -= 1;
                    rolled += 1;
                }
                agent.start();
            }
            // Its start takes as long as it takes; the other events do not wait for it.
            "kill server" => {
                elastic.kill();
                elastic.launch();
            }
            // Every other one between two lives of the agent, the others under load.
            "roll over" if (rolled + roll_pending) % 2 == 0 && roll_pending == 0 => {
                roll_pending += 1;
            }
            "roll over" => {
                wait_for_documents(&mut elastic, 1);
                elastic.request("POST", &format!("/{STREAM}/_rollover"), &Value::Null);
                rolled += 1;
            }
            "drop a reply" => proxy.drop_next_reply(),
            "rotate" => orders.rotate.store(true, Ordering::SeqCst),
            "truncate" => {
                // What is truncated unread is lost whoever reads, so everything is read before.
                orders.pause.store(true, Ordering::SeqCst);
                wait("the writer's pause", || {
                    orders.paused.load(Ordering::SeqCst)
                });
                let written = orders.written.load(Ordering::SeqCst);
                wait_for_documents(&mut elastic, written);
                orders.truncate.store(true, Ordering::SeqCst);
                wait("the truncation", || !orders.truncate.load(Ordering::SeqCst));
                orders.pause.store(false, Ordering::SeqCst);
            }
            _ => unreachable!(),
        }
    }
    if roll_pending > 0 {
        elastic.request("POST", &format!("/{STREAM}/_rollover"), &Value::Null);
        rolled += 1;
    }
    thread::sleep(Duration::from_secs(plan.seconds).saturating_sub(begun.elapsed()));
    orders.stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    let written = orders.written.load(Ordering::SeqCst);
    let ended = Instant::now();
    wait_for_documents(&mut elastic, written);
    wait("the outcomes", || {
        agent.value("events_in_flight{source=\"app\"}") == 0.0
    });
    let caught_up = ended.elapsed();
    count_up(&agent, &mut cpu, &mut duplicates);
    let tally = Tally::take(&elastic, written);
    let (documents, distinct) = (tally.documents, tally.distinct);
    println!(
        "lines written {written}, documents {documents}, distinct {distinct}; agent killed {}, server killed \
         {}, rollovers {rolled}, answers dropped {}; sent again and found there (since the last \
         look before each kill) {duplicates}; caught up in {:.1} s; agent's CPU {cpu:.2} s; {} files \
         rotated, 1 truncated",
        plan.agent_kills,
        plan.server_kills,
        proxy.dropped.load(Ordering::SeqCst),
        caught_up.as_secs_f64(),
        2,
    );
    assert_eq!(rolled, plan.rollovers);
    assert_eq!(proxy.dropped.load(Ordering::SeqCst), 1);
    tally.assert_exactly_once(&elastic);
    agent.assert_balanced();
    agent.stop();
}

/// What Elasticsearch has in the end.
struct Tally {
    written: u64,
    documents: u64,
    distinct: u64,
    /// Numbers that are there more than once.
    twice: Vec<u64>,
    last: Option<u64>,
}

impl Tally {
    fn take(elastic: &Elastic, written: u64) -> Self {
        let mut sequence = elastic.sequence(STREAM, written);
        let documents = elastic.count(STREAM);
        assert_eq!(
            sequence.len() as u64,
            documents,
            "a document without a number"
        );
        let twice = sequence
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .map(|pair| pair[0])
            .collect();
        sequence.dedup();
        Self {
            written,
            documents,
            distinct: sequence.len() as u64,
            twice,
            last: sequence.last().copied(),
        }
    }

    fn assert_exactly_once(&self, elastic: &Elastic) {
        for seq in self.twice.iter().take(3).chain(self.twice.last()) {
            println!("{seq} is there as {:#?}", elastic.copies(STREAM, *seq));
        }
        assert_eq!(self.distinct, self.written, "distinct against lines");
        assert_eq!(self.documents, self.written, "documents against lines");
        assert_eq!(self.last, self.written.checked_sub(1));
    }
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "waited in vain for {what}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until so many documents are there; in vain only when no more come. A busy machine's
/// Elasticsearch may need long to take what was written while it was away.
fn wait_for_documents(elastic: &mut Elastic, lines: u64) {
    elastic.ready();
    let mut seen = 0;
    let mut grew = Instant::now();
    loop {
        let count = if elastic.exists(STREAM) {
            elastic.count(STREAM)
        } else {
            0
        };
        if count >= lines {
            return;
        }
        if count > seen {
            (seen, grew) = (count, Instant::now());
        }
        assert!(
            grew.elapsed() < Duration::from_mins(1),
            "{count} of {lines} lines are there and no more come"
        );
        thread::sleep(Duration::from_millis(500));
    }
}
