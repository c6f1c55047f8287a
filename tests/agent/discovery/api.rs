//! A stand-in for the API server that fails when it is told to: the faults cannot be had from the
//! real one. It knows lists and watches of pods, and refuses what the real one refuses.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

pub const TOKEN: &str = "first-token";

#[derive(Default)]
pub struct World {
    pods: Vec<Value>,
    /// Events with their versions; what is older than `forgotten` is no longer told.
    events: Vec<(u64, Value)>,
    version: u64,
    forgotten: u64,
    token: String,
    /// Lists are cut off after so many bytes, once.
    cut_list: Option<usize>,
    /// Watches end at once, without a word.
    refuse_watches: bool,
}

pub struct Api {
    pub url: String,
    world: Arc<(Mutex<World>, Condvar)>,
    /// Set: open watches are broken off.
    break_off: Arc<AtomicU64>,
    pub requests: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Api {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = World {
            token: TOKEN.to_owned(),
            version: 100,
            ..World::default()
        };
        let api = Self {
            url,
            world: Arc::new((Mutex::new(world), Condvar::new())),
            break_off: Arc::default(),
            requests: Arc::default(),
            over: Arc::default(),
        };
        let (world, break_off) = (Arc::clone(&api.world), Arc::clone(&api.break_off));
        let (requests, over) = (Arc::clone(&api.requests), Arc::clone(&api.over));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (world, break_off) = (Arc::clone(&world), Arc::clone(&break_off));
                let requests = Arc::clone(&requests);
                std::thread::spawn(move || serve(stream, &world, &break_off, &requests));
            }
        });
        api
    }

    pub fn change<T>(&self, what: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.0.lock().unwrap();
        let out = what(&mut world);
        self.world.1.notify_all();
        out
    }

    pub fn put(&self, pod: Value) {
        self.change(|world| world.event("MODIFIED", pod));
    }

    pub fn delete(&self, uid: &str) {
        self.change(|world| {
            let at = world.pods.iter().position(|p| p["metadata"]["uid"] == uid);
            let pod = world.pods[at.unwrap()].clone();
            world.event("DELETED", pod);
        });
    }

    /// Open watches end in the middle of a line.
    pub fn break_watches(&self) {
        self.break_off.fetch_add(1, Ordering::SeqCst);
        self.world.1.notify_all();
    }

    pub fn lists(&self) -> usize {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|r| !r.contains("watch=true"))
            .count()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.break_watches();
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

impl World {
    fn event(&mut self, kind: &str, mut pod: Value) {
        self.version += 1;
        pod["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let uid = pod["metadata"]["uid"].clone();
        self.pods.retain(|p| p["metadata"]["uid"] != uid);
        if kind != "DELETED" {
            self.pods.push(pod.clone());
        }
        let event = json!({ "type": kind, "object": pod });
        self.events.push((self.version, event));
    }

    /// As after a compaction: watches cannot begin before now.
    pub fn forget(&mut self) {
        self.events.clear();
        self.forgotten = self.version;
    }

    /// Without an event: what a watch that was away has missed for good.
    pub fn remove_silently(&mut self, uid: &str) {
        self.version += 1;
        self.pods.retain(|p| p["metadata"]["uid"] != uid);
    }

    pub fn set_token(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    pub fn cut_next_list(&mut self, bytes: usize) {
        self.cut_list = Some(bytes);
    }

    pub fn refuse_watches(&mut self, refuse: bool) {
        self.refuse_watches = refuse;
    }

    pub fn bookmark(&mut self) {
        self.version += 1;
        let object = json!({ "kind": "Pod", "apiVersion": "v1",
            "metadata": { "resourceVersion": self.version.to_string(), "creationTimestamp": null } });
        self.events.push((
            self.version,
            json!({ "type": "BOOKMARK", "object": object }),
        ));
    }

    pub fn raw_event(&mut self, event: Value) {
        self.version += 1;
        self.events.push((self.version, event));
    }
}

fn serve(
    mut stream: TcpStream,
    world: &(Mutex<World>, Condvar),
    break_off: &AtomicU64,
    requests: &Mutex<Vec<String>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut token = String::new();
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) <= 2 {
                break;
            }
            if let Some(value) = header.to_lowercase().strip_prefix("authorization: bearer ") {
                value.trim().clone_into(&mut token);
            }
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        requests.lock().unwrap().push(path.clone());
        let known = world.0.lock().unwrap().token == token;
        let fine = if !known {
            status(&mut stream, 401, "Unauthorized")
        } else if !path.starts_with("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1") {
            status(
                &mut stream,
                404,
                "the server could not find the requested resource",
            )
        } else if path.contains("watch=true") {
            watch(&mut stream, &path, world, break_off)
        } else {
            list(&mut stream, world)
        };
        if !fine {
            return;
        }
    }
}

fn status(stream: &mut TcpStream, code: u16, message: &str) -> bool {
    let body = json!({ "kind": "Status", "code": code, "message": message }).to_string();
    write!(
        stream,
        "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .is_ok()
}

fn list(stream: &mut TcpStream, world: &(Mutex<World>, Condvar)) -> bool {
    let (body, cut) = {
        let mut world = world.0.lock().unwrap();
        let body = json!({
            "kind": "PodList", "apiVersion": "v1",
            "metadata": { "resourceVersion": world.version.to_string() },
            "items": world.pods,
        });
        (body.to_string(), world.cut_list.take())
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let upto = cut.map_or(body.len(), |cut| cut.min(body.len()));
    stream.write_all(head.as_bytes()).is_ok()
        && stream.write_all(&body.as_bytes()[..upto]).is_ok()
        && cut.is_none()
}

fn chunk(stream: &mut TcpStream, text: &str) -> bool {
    write!(stream, "{:x}\r\n{text}\r\n", text.len()).is_ok()
}

fn watch(
    stream: &mut TcpStream,
    path: &str,
    world: &(Mutex<World>, Condvar),
    break_off: &AtomicU64,
) -> bool {
    let parameter = |name: &str| {
        path.split(['?', '&'])
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    assert_eq!(parameter("allowWatchBookmarks").as_deref(), Some("true"));
    let mut at: u64 = parameter("resourceVersion").unwrap().parse().unwrap();
    let mut known = world.0.lock().unwrap();
    if known.refuse_watches {
        return false;
    }
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).is_err() {
        return false;
    }
    if at < known.forgotten {
        let gone = json!({ "type": "ERROR", "object": { "kind": "Status", "status": "Failure",
            "message": "too old resource version", "reason": "Expired", "code": 410 } });
        return chunk(stream, &format!("{gone}\n")) && chunk(stream, "");
    }
    let before = break_off.load(Ordering::SeqCst);
    loop {
        let next: Vec<Value> = known
            .events
            .iter()
            .filter(|(version, _)| *version > at)
            .map(|(_, event)| event.clone())
            .collect();
        at = at.max(known.version);
        for event in next {
            // In two parts, as it may well arrive.
            let line = format!("{event}\n");
            let (one, two) = line.split_at(line.len() / 2);
            if !chunk(stream, one) || !chunk(stream, two) {
                return false;
            }
        }
        if break_off.load(Ordering::SeqCst) != before {
            let _ = chunk(stream, "{\"type\":\"MODI");
            return false;
        }
        known = world
            .1
            .wait_timeout(known, Duration::from_millis(50))
            .unwrap()
            .0;
    }
}
