//! Elasticsearch is away for ten minutes while lines are written at 5,000 a second: the agent's memory
//! stays flat, nothing is lost, and afterwards it catches up as fast as the server takes lines at all.
//! `KAI_LOG_OUTAGE_MINUTES` and `KAI_LOG_OUTAGE_RATE` make it shorter or longer; `KAI_TEST_AGENT` names
//! another build of the agent, whose figures they are then.

use std::fs;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::soak::setting;
use super::{Tally, wait, wait_for_documents};
use crate::logs::elastic::Elastic;
use crate::logs::runner::Runner;
use crate::logs::writer::{Orders, write};
use crate::support::resident;

/// Time with the server there, before.
const BEFORE: Duration = Duration::from_secs(20);
/// A busy machine's server hardly takes more than is written. After this time the writer is silent.
const CATCHING_UP: Duration = Duration::from_mins(4);
/// Lines at once, for the rate at which the server takes them at most.
const AT_ONCE: u64 = 1_000_000;
const MIB: u64 = 1 << 20;
/// Bounds for memory that is configured to 8 MiB: any that grew with the time away would break them,
/// which holds a hundred times as much.
const MOST_RESIDENT: u64 = 64 * MIB;
const MOST_GROWTH: u64 = 8 * MIB;

pub fn run() {
    let away = Duration::from_mins(setting("KAI_LOG_OUTAGE_MINUTES", 10));
    let rate = setting("KAI_LOG_OUTAGE_RATE", 5_000);
    let mut elastic = Elastic::start_compiled();
    elastic.template();
    let mut agent = Runner::new(&[format!("http://{}", elastic.address)], "");
    let orders = Arc::new(Orders::default());
    let (folder, told) = (agent.path("l"), Arc::clone(&orders));
    agent.start();
    let writer = thread::spawn(move || write(&folder, rate, &told));
    let written = || orders.written.load(Ordering::SeqCst);
    thread::sleep(BEFORE);
    wait_for_documents(&mut elastic, 1);

    let sampling = Arc::new(AtomicBool::new(true));
    let (pid, more) = (agent.pid(), Arc::clone(&sampling));
    let sampler = thread::spawn(move || {
        let mut samples = Vec::new();
        while more.load(Ordering::SeqCst) {
            samples.push(resident(pid));
            thread::sleep(Duration::from_secs(1));
        }
        samples
    });
    elastic.kill();
    let lag = "lag_bytes{source=\"app\"}";
    let acked_before = agent.outcome("acked") as u64;
    let begun = Instant::now();
    while begun.elapsed() < away {
        thread::sleep(Duration::from_secs(30).min(away.saturating_sub(begun.elapsed())));
        println!(
            "{:4.0} s away: {} lines written, {:.0} MB in the file, {:.1} MB resident",
            begun.elapsed().as_secs_f64(),
            written(),
            agent.value(lag) / 1e6,
            resident(pid) as f64 / 1e6
        );
    }
    assert_eq!(
        agent.outcome("acked") as u64,
        acked_before,
        "nobody was there"
    );
    let backlog = written() - acked_before;
    elastic.launch();
    elastic.ready();

    // From the first line that is taken to the moment from which the agent only follows the writer.
    wait("the first line after it", || {
        agent.outcome("acked") as u64 > acked_before
    });
    let (first, returned) = (agent.outcome("acked") as u64, Instant::now());
    let mut grew = (first, Instant::now());
    let mut silent = None;
    let caught_up = loop {
        thread::sleep(Duration::from_millis(100));
        let acked = agent.outcome("acked") as u64;
        if acked + rate >= written() {
            break acked;
        }
        if acked > grew.0 {
            grew = (acked, Instant::now());
        }
        assert!(
            grew.1.elapsed() < Duration::from_mins(2),
            "{acked} of {} lines are acknowledged and no more are",
            written()
        );
        if silent.is_none() && returned.elapsed() >= CATCHING_UP {
            silent = Some(written() - acked);
            orders.stop.store(true, Ordering::SeqCst);
        }
    };
    let took = returned.elapsed();
    let taken = caught_up - first;
    let catching_up = taken as f64 / took.as_secs_f64();
    sampling.store(false, Ordering::SeqCst);
    let samples = sampler.join().unwrap();
    orders.stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    let number = written();
    wait_for_documents(&mut elastic, number);

    // The same lines at once, and nothing else to do.
    let ready = agent.path("l/more.part");
    let mut file = BufWriter::new(fs::File::create(&ready).unwrap());
    for seq in number..number + AT_ONCE {
        writeln!(
            file,
            "{{\"@timestamp\":\"2026-11-24T02:06:29.123Z\",\"log.level\":\"info\",\"message\":\"seat \
             held\",\"seq\":{seq},\"http.response.status_code\":200,\"url.path\":\"/bookings\",\
             \"trace.id\":\"0af7651916cd43dd8448eb211c80319c\",\"span.id\":\"b7ad6b7169203331\"}}"
        )
        .unwrap();
    }
    drop(file.into_inner().unwrap());
    let acked = || agent.outcome("acked") as u64;
    wait("the outcomes", || {
        agent.value("events_in_flight{source=\"app\"}") == 0.0
    });
    let before = acked();
    fs::rename(&ready, agent.path("l/more.log")).unwrap();
    wait("the first of them", || acked() > before);
    let (first, at_once) = (acked(), Instant::now());
    wait_for_documents(&mut elastic, number + AT_ONCE / 2);
    let saturation = (acked() - first) as f64 / at_once.elapsed().as_secs_f64();
    wait_for_documents(&mut elastic, number + AT_ONCE);
    wait("the outcomes", || {
        agent.value("events_in_flight{source=\"app\"}") == 0.0
    });

    let quarter = samples.len() / 4;
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or_default();
    let (early, all) = (most(&samples[..quarter]), most(&samples));
    let tally = Tally::take(&elastic, number + AT_ONCE);
    println!(
        "away {:.0} s at {rate} lines/s: {backlog} lines waited; resident {:.1} MB at most in the \
         first quarter, {:.1} MB over all of it with the catching up ({} samples); caught up {taken} lines \
         in {:.1} s: {catching_up:.0} lines/s while {rate}/s went on being written{}; saturation, the \
         writer silent: {saturation:.0} lines/s; lines {}, documents {}, distinct {}",
        away.as_secs_f64(),
        early as f64 / 1e6,
        all as f64 / 1e6,
        samples.len(),
        took.as_secs_f64(),
        silent.map_or_else(String::new, |left| format!(
            " for {} s, with {left} to go then",
            CATCHING_UP.as_secs()
        )),
        tally.written,
        tally.documents,
        tally.distinct,
    );
    tally.assert_exactly_once(&elastic);
    assert!(all <= MOST_RESIDENT, "{all} bytes resident");
    assert!(all <= early + MOST_GROWTH, "{early} bytes, then {all}");
    agent.assert_balanced();
    agent.stop();
}
