//! A server that takes `_bulk` requests, counts their documents and says yes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

pub struct Sink {
    pub address: SocketAddr,
    documents: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (documents, requests) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let shared = (Arc::clone(&documents), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (documents, requests) = shared.clone();
                thread::spawn(move || serve(stream, &documents, &requests));
            }
        });
        Self { address, documents, requests }
    }

    pub fn documents(&self) -> u64 {
        self.documents.load(Ordering::Relaxed)
    }

    #[allow(dead_code, reason = "only bench/logs/live asks")]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn serve(stream: TcpStream, documents: &AtomicU64, requests: &AtomicU64) {
    let mut reader = BufReader::with_capacity(1 << 20, stream.try_clone().unwrap());
    let mut writer = stream;
    let mut body = Vec::new();
    loop {
        let (mut length, mut bulk, mut first, mut waits) = (0_usize, false, true, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if std::mem::take(&mut first) {
                bulk = line.contains("/_bulk");
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            waits |= line == "expect: 100-continue";
        }
        // libcurl asks before it sends a large body.
        if waits && writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return;
        }
        body.resize(length, 0);
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let (status, text) = if bulk {
            let ends = body.iter().filter(|byte| **byte == b'\n').count() as u64;
            documents.fetch_add(ends.div_ceil(2), Ordering::Relaxed);
            requests.fetch_add(1, Ordering::Relaxed);
            ("200 OK", "{\"errors\":false,\"items\":[]}")
        } else {
            // rsyslog asks whether the server is well.
            ("200 OK", "{\"status\":\"green\"}")
        };
        let reply = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        if writer.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}
