//! An HTTP/1.1 file server that breaks on demand: cuts a body short, ignores or serves ranges,
//! answers errors for a while, stops sending. It remembers what was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What is wrong with the server.
#[derive(Debug, Clone, Default)]
pub struct Trouble {
    /// Bodies of the next requests are cut after so many bytes of them.
    pub cut: Vec<usize>,
    /// The next requests get these statuses.
    pub statuses: Vec<u16>,
    /// `Range` is not understood.
    pub ignores_ranges: bool,
    /// No ETag and no date: nothing proves that a file is the same.
    pub no_validator: bool,
    /// After so many bytes of a body nothing more is sent, until the server ends.
    pub stall_after: Option<usize>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    trouble: Mutex<Trouble>,
    asked: Mutex<Vec<String>>,
    ended: AtomicBool,
}

/// Ends with the value.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if inner.ended.load(Ordering::SeqCst) {
                    return;
                }
                let inner = Arc::clone(&inner);
                if let Ok(stream) = stream {
                    thread::spawn(move || serve(&inner, stream));
                }
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn put(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.shared
            .files
            .lock()
            .expect("lock")
            .insert(path.into(), body.into());
    }

    pub fn trouble(&self, trouble: Trouble) {
        *self.shared.trouble.lock().expect("lock") = trouble;
    }

    /// Lines like `/path` or `/path bytes=100-`.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().expect("lock").clone()
    }

    /// A mirror with one release of Prometheus whose published checksum is `sum`.
    pub fn release(&self, version: &str, archive: &[u8], sum: &str) {
        let file = format!("prometheus-{version}.linux-amd64.tar.gz");
        self.put(&format!("/prometheus/{version}/{file}"), archive);
        self.put(
            &format!("/prometheus/{version}/sha256sums.txt"),
            format!("{}  other.tar.gz\n{sum}  {file}\n", "0".repeat(64)),
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(shared: &Shared, stream: TcpStream) {
    let _ = respond(shared, stream);
}

fn respond(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let path = first
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_string();
    let (mut range, mut if_range) = (None, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "range" => range = Some(value.trim().to_string()),
            "if-range" => if_range = Some(value.trim().to_string()),
            _ => {}
        }
    }
    let asked = range
        .as_ref()
        .map_or_else(|| path.clone(), |r| format!("{path} {r}"));
    shared.asked.lock().expect("lock").push(asked);
    let body = shared.files.lock().expect("lock").get(&path).cloned();
    let (status, cut, trouble) = {
        let mut trouble = shared.trouble.lock().expect("lock");
        let is_list = path.contains("sums");
        let status = if trouble.statuses.is_empty() {
            None
        } else {
            Some(trouble.statuses.remove(0))
        };
        let cut = if is_list || status.is_some() || trouble.cut.is_empty() {
            None
        } else {
            Some(trouble.cut.remove(0))
        };
        (status, cut, trouble.clone())
    };
    if let Some(status) = status {
        return write!(
            stream,
            "HTTP/1.1 {status} Trouble\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let Some(body) = body else {
        return write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    };
    let tag = format!("\"{}\"", super::support::sha256(&body));
    let start = range
        .filter(|_| !trouble.ignores_ranges && if_range.as_ref() == Some(&tag))
        .and_then(|r| {
            r.strip_prefix("bytes=")?
                .trim_end_matches('-')
                .parse::<usize>()
                .ok()
        });
    let validator = if trouble.no_validator {
        String::new()
    } else {
        format!("ETag: {tag}\r\n")
    };
    let part = match start {
        Some(start) if start >= body.len() => {
            return write!(
                stream,
                "HTTP/1.1 416 Range\r\nContent-Range: bytes */{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                body.len()
            );
        }
        Some(start) => {
            write!(
                stream,
                "HTTP/1.1 206 Partial\r\nContent-Range: bytes {start}-{}/{}\r\n",
                body.len() - 1,
                body.len()
            )?;
            &body[start..]
        }
        None => {
            write!(stream, "HTTP/1.1 200 OK\r\n")?;
            &body[..]
        }
    };
    write!(
        stream,
        "{validator}Content-Length: {}\r\nConnection: close\r\n\r\n",
        part.len()
    )?;
    let end = cut.unwrap_or(part.len()).min(part.len());
    if let Some(stall) = trouble
        .stall_after
        .filter(|s| *s < end && !path.contains("sums"))
    {
        stream.write_all(&part[..stall])?;
        stream.flush()?;
        while !shared.ended.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
        return Ok(());
    }
    stream.write_all(&part[..end])?;
    stream.flush()
}
