//! `kill -9` at random moments, again and again, while lines are written and files are rotated
//! and truncated. In the end every line with the event is counted once, and at no moment did an
//! exported counter fall.
//!
//! `KAI_BUSINESS_KILLS=200` makes it longer than every run of the suite can be.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{ask, configure, figures};
use crate::logs::fake::Fake;
use crate::logs::runner::Runner;
use crate::support::{Metrics, wait_for};

const METRICS: &str = r#"    kai_seat_holds_expired_total:
      labels: { route: 4 }
      from:
        - { source: log, service: booking, where: 'event == "hold.expired"', labels: { route: kai.route } }
    kai_revenue_idr_total:
      from:
        - { source: log, service: booking, where: 'event == "paid"', add: amount_idr }
"#;

const ROUTES: [&str; 6] = ["GMR-BD", "GMR-YK", "PSE-ML", "BD-SBI", "YK-SBI", "SLO-ML"];

/// What was written, by what should be counted of it.
#[derive(Default)]
struct Written {
    expired: AtomicU64,
    rupiah: AtomicU64,
}

/// A service that writes its log, rotates it now and then, and can be asked to truncate it.
struct Writer {
    stop: Arc<AtomicBool>,
    /// Held for each line, so that nothing is written while it is held by others.
    file: Arc<Mutex<fs::File>>,
    written: Arc<Written>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn start(folder: &std::path::Path) -> Self {
        let open = |path: &std::path::Path| {
            fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .unwrap()
        };
        let path = folder.join("booking.log");
        let file = Arc::new(Mutex::new(open(&path)));
        let (stop, written) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Written::default()),
        );
        let (shared, stopped, counts) =
            (Arc::clone(&file), Arc::clone(&stop), Arc::clone(&written));
        let folder = folder.to_owned();
        let thread = std::thread::spawn(move || {
            let mut number = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                let mut file = shared.lock().unwrap();
                for _ in 0..20 {
                    number += 1;
                    let line = match number % 5 {
                        0 => {
                            counts.rupiah.fetch_add(number, Ordering::Relaxed);
                            format!("{{\"event\":\"paid\",\"amount_idr\":{number}}}\n")
                        }
                        1 | 2 => {
                            counts.expired.fetch_add(1, Ordering::Relaxed);
                            let route = ROUTES[(number as usize / 5) % ROUTES.len()];
                            format!(
                                "{{\"n\":{number},\"event\":\"hold.\\u0065xpired\",\"kai\":{{\"route\":\"{route}\"}}}}\n"
                            )
                        }
                        3 => format!("plain text \"hold.expired\" {number}\n"),
                        _ => format!("{{\"n\":{number},\"event\":\"hold.granted\"}}\n"),
                    };
                    // Sometimes in two parts, so that a line is seen half written.
                    let (first, second) = line.split_at(number as usize % line.len());
                    file.write_all(first.as_bytes()).unwrap();
                    file.write_all(second.as_bytes()).unwrap();
                }
                if number.is_multiple_of(1_400) {
                    let old = folder.join(format!("booking-{number}.log"));
                    fs::rename(folder.join("booking.log"), old).unwrap();
                    *file = open(&folder.join("booking.log"));
                }
                drop(file);
                std::thread::sleep(Duration::from_millis(4));
            }
        });
        Self {
            stop,
            file,
            written,
            thread: Some(thread),
        }
    }

    fn expected(&self) -> (u64, u64) {
        (
            self.written.expired.load(Ordering::Relaxed),
            self.written.rupiah.load(Ordering::Relaxed),
        )
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Asks now and then, and refuses a counter that fell.
#[derive(Default)]
struct Watch {
    highest: BTreeMap<String, f64>,
    asked: u64,
}

impl Watch {
    fn look(&mut self, runner: &Runner) -> (u64, u64) {
        let reply = ask(&runner.address, "text/plain");
        assert_eq!(reply.status, 200, "{}", reply.text());
        self.asked += 1;
        let (mut expired, mut rupiah) = (0.0, 0.0);
        let found = Metrics::parse(&reply.text()).series;
        for (series, value) in &self.highest {
            let now = found.get(series).map(|text| text.parse::<f64>().unwrap());
            assert!(now >= Some(*value), "{series} fell from {value} to {now:?}");
        }
        for (series, text) in found
            .into_iter()
            .filter(|(name, _)| !name.contains("snapshot"))
        {
            let value: f64 = text.parse().unwrap();
            if series.starts_with("kai_seat") {
                expired += value;
            } else {
                rupiah += value;
            }
            self.highest.insert(series, value);
        }
        (expired as u64, rupiah as u64)
    }

    fn until(&mut self, runner: &Runner, wanted: (u64, u64)) {
        wait_for(&format!("{wanted:?} counted"), || {
            let found = self.look(runner);
            assert!(
                found.0 <= wanted.0 && found.1 <= wanted.1,
                "{found:?} of {wanted:?}"
            );
            (found == wanted).then_some(())
        });
    }
}

fn survive(elasticsearch: &str, kills: u64) {
    let folder = Runner::new(&[], "");
    let mut runner = folder;
    configure(&runner, elasticsearch, METRICS);
    let mut writer = Writer::start(&runner.path("l"));
    let mut watch = Watch::default();
    for round in 0..kills {
        runner.start();
        // Random by what the machine is doing; spread over what one life of the agent has in it.
        let looks = 1 + (rand_like(round) % 12);
        for _ in 0..looks {
            watch.look(&runner);
            std::thread::sleep(Duration::from_micros(
                rand_like(round + watch.asked) % 40_000,
            ));
        }
        if round % 6 == 5 {
            // Nothing unread, and then emptied in place, as copytruncate does.
            let file = writer.file.lock().unwrap();
            watch.until(&runner, writer.expected());
            file.set_len(0).unwrap();
        }
        runner.kill();
    }
    writer.end();
    runner.start();
    watch.until(&runner, writer.expected());
    // An end in order, and a start after it, change nothing.
    runner.stop();
    runner.start();
    assert_eq!(watch.look(&runner), writer.expected());
    let found = figures(&runner);
    let others = found
        .keys()
        .filter(|name| name.contains("route=\"other\""))
        .count();
    assert_eq!(others, 1, "four routes are kept of six: {found:?}");
    eprintln!(
        "{kills} kills, {} looks: {:?} counted of as many written",
        watch.asked,
        writer.expected()
    );
}

/// Spread well enough, and the same in every run.
fn rand_like(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn kills() -> u64 {
    std::env::var("KAI_BUSINESS_KILLS").map_or(12, |text| text.parse().unwrap())
}

#[test]
fn lines_are_counted_once_however_often_the_agent_is_killed() {
    survive("", kills());
}

#[test]
fn shipped_lines_are_counted_once_too() {
    let fake = Fake::start();
    survive(&fake.url, kills());
}
