//! Stands between the agent and Elasticsearch and, when told, lets a `_bulk` request through and
//! keeps its answer: the server has committed and the agent cannot know.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub struct Proxy {
    pub url: String,
    armed: Arc<AtomicBool>,
    pub dropped: Arc<AtomicUsize>,
}

impl Proxy {
    pub fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            armed: Arc::default(),
            dropped: Arc::default(),
        };
        let (armed, dropped) = (Arc::clone(&proxy.armed), Arc::clone(&proxy.dropped));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Refused upstream: refused here, as far as that can be.
                if let Ok(server) = TcpStream::connect(&upstream) {
                    pass(client, server, &armed, &dropped);
                }
            }
        });
        proxy
    }

    /// The next answer to a `_bulk` request is dropped, with its connection.
    pub fn drop_next_reply(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }
}

fn pass(client: TcpStream, server: TcpStream, armed: &Arc<AtomicBool>, dropped: &Arc<AtomicUsize>) {
    let bulk = Arc::new(AtomicBool::new(false));
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let seen = Arc::clone(&bulk);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            // A request begins a read, because the one before it was answered.
            if buffer[..count].starts_with(b"POST ") {
                let line = buffer[..count].split(|byte| *byte == b'\n').next().unwrap();
                seen.store(
                    line.windows(5).any(|part| part == b"_bulk"),
                    Ordering::SeqCst,
                );
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (armed, dropped) = (Arc::clone(armed), Arc::clone(dropped));
    let (mut from, mut to) = (server, client);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if bulk.load(Ordering::SeqCst) && armed.swap(false, Ordering::SeqCst) {
                dropped.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
