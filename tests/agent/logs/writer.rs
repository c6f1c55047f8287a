//! Writes numbered lines into a file that is rotated and truncated when told, as an application's
//! buffered writer does: in pieces, and on in the old file until it notices.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What the writer is asked to do between two lines.
#[derive(Default)]
pub struct Orders {
    pub rotate: AtomicBool,
    pub truncate: AtomicBool,
    pub pause: AtomicBool,
    pub paused: AtomicBool,
    pub stop: AtomicBool,
    pub written: AtomicU64,
}

pub fn write(folder: &Path, rate: u64, orders: &Orders) {
    let path = folder.join("app.log");
    let open = || {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap()
    };
    let mut file = open();
    let mut generation = 0;
    let mut number = 0;
    let mut text = Vec::new();
    let (mut due, mut last) = (0.0, Instant::now());
    while !orders.stop.load(Ordering::SeqCst) {
        let begun = Instant::now();
        if orders.rotate.swap(false, Ordering::SeqCst) {
            generation += 1;
            // Not matched by the glob: whoever has it open reads it to its end.
            fs::rename(&path, folder.join(format!("app.log.{generation}"))).unwrap();
            // A writer goes on in the old file until it is told.
            writeln!(
                file,
                "{{\"seq\":{number},\"message\":\"after the rename\"}}"
            )
            .unwrap();
            number += 1;
            file = open();
        }
        if orders.truncate.swap(false, Ordering::SeqCst) {
            file.set_len(0).unwrap();
        }
        if orders.pause.load(Ordering::SeqCst) {
            orders.written.store(number, Ordering::SeqCst);
            orders.paused.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            last = Instant::now();
            continue;
        }
        orders.paused.store(false, Ordering::SeqCst);
        text.clear();
        // As many as are due, also when the machine did not let us come in time.
        due += (last.elapsed().as_secs_f64() * rate as f64).min(rate as f64);
        last = Instant::now();
        while due >= 1.0 {
            due -= 1.0;
            writeln!(
                text,
                "{{\"@timestamp\":\"2026-11-24T02:06:29.123Z\",\"log.level\":\"info\",\"message\":\"seat \
                 held\",\"seq\":{number},\"http.response.status_code\":200,\"url.path\":\"/bookings\",\
                 \"trace.id\":\"0af7651916cd43dd8448eb211c80319c\",\"span.id\":\"b7ad6b7169203331\"}}"
            )
            .unwrap();
            number += 1;
        }
        // Lines in pieces, as a buffered writer's are.
        let half = (text.len() / 2 + 7).min(text.len());
        file.write_all(&text[..half]).unwrap();
        file.write_all(&text[half..]).unwrap();
        orders.written.store(number, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(10).saturating_sub(begun.elapsed()));
    }
}
