//! A stand-in for Elasticsearch that does what is asked of it: refuses, drops, stalls, rolls over.
//! What it knows of Elasticsearch was copied from a real one's answers: ids are unique within one
//! backing index, `create` of a known id is a 409 item, `_resolve/index` lists the indices.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// One `_bulk` request as it came.
#[derive(Debug, Clone)]
pub struct Bulk {
    pub stream: String,
    pub documents: Vec<(String, String)>,
    pub bytes: usize,
    /// How it was packed.
    pub encoding: Option<String>,
    pub authorization: Option<String>,
    pub name: String,
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Do {
    Take,
    /// Take it, and close the connection without an answer.
    TakeAndDrop,
    /// The same, and the data stream rolls over before anything else is asked.
    TakeRollOverAndDrop,
    /// Close the connection and roll over; go on executing, with one document, until the tasks
    /// were listed so many times.
    Execute(usize),
    /// Roll over, then take it.
    RollOverAndTake,
    /// Roll over, take it, and close the connection without an answer.
    RollOverTakeAndDrop,
    /// Close the connection and take nothing.
    Drop,
    /// Answer with this status and text and take nothing.
    Answer(u16, &'static str),
    /// Take all but the documents with these texts in them, which get this status.
    Refuse(&'static str, u16),
    /// Take nothing; every document gets this status and this kind of error.
    RefuseAll(u16, &'static str),
    /// Take nothing and say for each document that its id is there.
    Taken,
}

type Script = Box<dyn FnMut(&Bulk, usize) -> Do + Send>;

#[derive(Default)]
struct Inner {
    /// Backing indices by data stream, oldest first; documents by id.
    streams: BTreeMap<String, Vec<HashMap<String, String>>>,
    requests: usize,
    bulks: Vec<Bulk>,
    script: Option<Script>,
    /// Asked of `_mget`, by index.
    asked: Vec<String>,
    held: bool,
    /// Data streams whose requests wait for their answers.
    held_streams: Vec<String>,
    /// What a node says of itself; none: it may not be asked.
    about: Option<Value>,
    /// Packings that are unpacked beside gzip.
    zstd: bool,
    gzip_broken: bool,
    /// Questions that are refused, by their path's beginning.
    forbidden: Vec<(&'static str, u16)>,
    /// Accepts and never answers.
    hangs: bool,
    /// Where what this node takes is kept.
    cluster: Option<Fake>,
    /// All of its requests are answered with this status.
    broken: Option<u16>,
    /// So many questions for ids are answered as by an index that is still recovering.
    recovering: usize,
    /// Name of a request that is executed, and how often it is listed yet.
    executing: Option<(String, usize)>,
    late: Option<(String, String, String)>,
}

#[derive(Clone)]
pub struct Fake {
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Inner {
    /// A `_bulk` of deletes.
    fn delete(&mut self, body: &[u8]) -> String {
        let mut items = Vec::new();
        for line in String::from_utf8_lossy(body).lines() {
            let action: Value = serde_json::from_str(line).unwrap();
            let action = &action["delete"];
            let index = action["_index"].as_str().unwrap();
            assert!(action["if_seq_no"].is_u64() && action["if_primary_term"].is_u64());
            let (name, number) = index.trim_start_matches(".ds-").rsplit_once('-').unwrap();
            let held =
                &mut self.streams.get_mut(name).unwrap()[number.parse::<usize>().unwrap() - 1];
            let gone = held.remove(action["_id"].as_str().unwrap()).is_some();
            items.push(json!({ "delete": { "status": if gone { 200 } else { 404 } } }));
        }
        json!({ "items": items }).to_string()
    }
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            inner: Arc::default(),
        };
        let served = fake.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let fake = served.clone();
                std::thread::spawn(move || fake.serve(&stream));
            }
        });
        fake
    }

    /// Decides what becomes of each `_bulk` request, given its number from 0.
    pub fn script(&self, script: impl FnMut(&Bulk, usize) -> Do + Send + 'static) {
        self.inner.lock().unwrap().script = Some(Box::new(script));
    }

    pub fn unscript(&self) {
        self.inner.lock().unwrap().script = None;
    }

    /// While held, requests wait for their answers.
    pub fn hold(&self, held: bool) {
        self.inner.lock().unwrap().held = held;
    }

    /// While held, requests for one data stream wait for their answers.
    pub fn hold_stream(&self, stream: &str, held: bool) {
        let mut inner = self.inner.lock().unwrap();
        inner.held_streams.retain(|name| name != stream);
        if held {
            inner.held_streams.push(stream.to_owned());
        }
    }

    /// From now on it accepts requests and never answers them, or does again.
    pub fn hang(&self, hangs: bool) {
        self.inner.lock().unwrap().hangs = hangs;
    }

    /// What it says of itself at `/`.
    pub fn about(&self, about: Value) {
        self.inner.lock().unwrap().about = Some(about);
    }

    pub fn unpacks(&self, gzip: bool, zstd: bool) {
        let mut inner = self.inner.lock().unwrap();
        (inner.gzip_broken, inner.zstd) = (!gzip, zstd);
    }

    /// Questions whose path begins so are answered with this status.
    pub fn forbid(&self, path: &'static str, status: u16) {
        self.inner.lock().unwrap().forbidden.push((path, status));
    }

    /// Every request is answered with this status, as by a gateway; or by the node again.
    pub fn broken(&self, status: Option<u16>) {
        self.inner.lock().unwrap().broken = status;
    }

    /// A second address of the same cluster, with a life of its own.
    pub fn other_node(&self) -> Self {
        let other = Self::start();
        other.inner.lock().unwrap().cluster = Some(self.clone());
        other
    }

    /// The next questions for ids find the index recovering.
    pub fn recover(&self, questions: usize) {
        self.inner.lock().unwrap().recovering = questions;
    }

    pub fn roll_over(&self, stream: &str) {
        let mut inner = self.inner.lock().unwrap();
        inner.streams.get_mut(stream).unwrap().push(HashMap::new());
    }

    /// All documents as they came, whichever index they are in.
    pub fn texts(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        let all = inner.streams.values().flatten().flat_map(HashMap::values);
        all.cloned().collect()
    }

    pub fn documents(&self) -> Vec<Value> {
        let all = self.texts();
        all.iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    pub fn count(&self) -> usize {
        let inner = self.inner.lock().unwrap();
        inner.streams.values().flatten().map(HashMap::len).sum()
    }

    /// The `seq` of every document, sorted.
    pub fn sequence(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self
            .documents()
            .iter()
            .filter_map(|document| document["seq"].as_u64())
            .collect();
        all.sort_unstable();
        all
    }

    pub fn messages(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .documents()
            .iter()
            .filter_map(|document| Some(document["message"].as_str()?.to_owned()))
            .collect();
        all.sort();
        all
    }

    pub fn bulks(&self) -> Vec<Bulk> {
        self.inner.lock().unwrap().bulks.clone()
    }

    pub fn asked(&self) -> Vec<String> {
        self.inner.lock().unwrap().asked.clone()
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((head, body)) = request(&mut reader) {
            let waits = || {
                let inner = self.inner.lock().unwrap();
                let mut streams = inner.held_streams.iter();
                inner.held || inner.hangs || streams.any(|name| head.path.contains(&**name))
            };
            while waits() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let broken = self.inner.lock().unwrap().broken;
            let cluster = self.inner.lock().unwrap().cluster.clone();
            let answer = match broken {
                Some(status) => Some((status, "<html>no server</html>".to_owned())),
                None => cluster.as_ref().unwrap_or(self).answer(&head, body),
            };
            let Some((status, text)) = answer else {
                return;
            };
            let reply = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            if (&*stream).write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, head: &Head, body: Vec<u8>) -> Option<(u16, String)> {
        let mut inner = self.inner.lock().unwrap();
        let path = head.path.split('?').next().unwrap();
        let bytes = body.len();
        let forbidden = inner.forbidden.iter();
        if let Some((_, status)) = forbidden.clone().find(|(begin, _)| path.starts_with(begin)) {
            return Some((*status, "{}".to_owned()));
        }
        let Some(body) = unpacked(head, body, &inner) else {
            let text = "{\"error\":{\"type\":\"x_content_parse_exception\"}}";
            return Some((400, text.to_owned()));
        };
        if path == "/" || path.starts_with("/_nodes/") {
            return Some(match &inner.about {
                Some(about) => (200, about.to_string()),
                None => (403, "{}".to_owned()),
            });
        }
        if path.ends_with("/_mget") && !path.starts_with("/.ds-") {
            return Some((200, "{\"docs\":[{\"found\":false}]}".to_owned()));
        }
        if let Some(name) = path.strip_prefix("/_resolve/index/") {
            let Some(indices) = inner.streams.get(name) else {
                return Some((404, "{}".to_owned()));
            };
            let names: Vec<_> = (1..=indices.len())
                .map(|n| format!(".ds-{name}-{n:06}"))
                .collect();
            let reply = json!({ "data_streams": [{ "name": name, "backing_indices": names }] });
            return Some((200, reply.to_string()));
        }
        if let Some(index) = path.strip_suffix("/_mget") {
            inner.asked.push(index.trim_start_matches('/').to_owned());
            let (name, number) = index.trim_start_matches("/.ds-").rsplit_once('-').unwrap();
            let query: Value = serde_json::from_slice(&body).unwrap();
            if inner.recovering > 0 {
                let error = json!({ "error": { "type": "no_shard_available_action_exception" } });
                let docs = vec![error; query["ids"].as_array().unwrap().len()];
                inner.recovering -= 1;
                return Some((200, json!({ "docs": docs }).to_string()));
            }
            let held = &inner.streams[name][number.parse::<usize>().unwrap() - 1];
            let docs: Vec<_> = query["ids"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| json!({ "found": held.contains_key(id.as_str().unwrap()), "_seq_no": 1, "_primary_term": 1 }))
                .collect();
            return Some((200, json!({ "docs": docs }).to_string()));
        }
        if path == "/_tasks" {
            let name = json!({ "X-Opaque-Id": inner.executing.as_ref().map(|(name, _)| name) });
            if let Some((_, left)) = &mut inner.executing {
                *left -= 1;
                let done = *left == 0;
                if done {
                    // Executed at last, in the index that was written to when it came.
                    let (stream, id, document) = inner.late.take().unwrap();
                    inner.executing = None;
                    inner.streams.get_mut(&stream).unwrap()[0].insert(id, document);
                }
                return Some((200, json!({ "tasks": [{ "headers": name }] }).to_string()));
            }
            return Some((200, "{}".to_owned()));
        }
        if path == "/_bulk" {
            return Some((200, inner.delete(&body)));
        }
        let bulk = parse(head, body, bytes);
        let number = inner.requests;
        inner.requests += 1;
        inner.bulks.push(Bulk {
            documents: Vec::new(),
            ..bulk.clone()
        });
        let what = match &mut inner.script {
            Some(script) => script(&bulk, number),
            None => Do::Take,
        };
        if let Do::Execute(questions) = what {
            let (id, document) = bulk.documents[0].clone();
            inner.executing = Some((bulk.name.clone(), questions));
            inner.late = Some((bulk.stream.clone(), id, document));
            inner
                .streams
                .get_mut(&bulk.stream)
                .unwrap()
                .push(HashMap::new());
            return None;
        }
        match what {
            Do::Answer(status, text) => return Some((status, text.to_owned())),
            Do::Drop => return None,
            _ => {}
        }
        let indices = inner
            .streams
            .entry(bulk.stream.clone())
            .or_insert_with(|| vec![HashMap::new()]);
        if matches!(what, Do::RollOverAndTake | Do::RollOverTakeAndDrop) {
            indices.push(HashMap::new());
        }
        let number = indices.len();
        let index = indices.last_mut().unwrap();
        let name = format!(".ds-{}-{number:06}", bulk.stream);
        let mut errors = false;
        let mut items = Vec::new();
        for (id, document) in bulk.documents {
            let (status, kind) = match &what {
                Do::Refuse(text, status) if document.contains(text) => {
                    (*status, "refused_exception")
                }
                Do::RefuseAll(status, kind) => (*status, *kind),
                Do::Taken => (409, "version_conflict_engine_exception"),
                _ if index.contains_key(&id) => (409, "version_conflict_engine_exception"),
                _ => {
                    index.insert(id, document);
                    (201, "")
                }
            };
            let mut item = json!({ "status": status, "_index": name });
            if status == 201 {
                (item["_seq_no"], item["_primary_term"]) = (json!(index.len()), json!(1));
            }
            if status != 201 {
                errors = true;
                item["error"] = json!({ "type": kind, "reason": "as the test wants it" });
            }
            items.push(json!({ "create": item }));
        }
        if matches!(what, Do::TakeRollOverAndDrop) {
            indices.push(HashMap::new());
        }
        if matches!(
            what,
            Do::TakeAndDrop | Do::TakeRollOverAndDrop | Do::RollOverTakeAndDrop
        ) {
            return None;
        }
        Some((200, json!({ "errors": errors, "items": items }).to_string()))
    }
}

struct Head {
    path: String,
    headers: HashMap<String, String>,
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(Head, Vec<u8>)> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((Head { path, headers }, body))
}

/// `None` if it is packed in a way that this node does not know.
fn unpacked(head: &Head, body: Vec<u8>, inner: &Inner) -> Option<Vec<u8>> {
    match head.headers.get("content-encoding").map(String::as_str) {
        None => Some(body),
        Some("gzip") if !inner.gzip_broken => {
            let mut out = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(&body[..]);
            decoder.read_to_end(&mut out).unwrap();
            Some(out)
        }
        Some("zstd") if inner.zstd => Some(zstd::stream::decode_all(&body[..]).unwrap()),
        Some(_) => None,
    }
}

fn parse(head: &Head, body: Vec<u8>, bytes: usize) -> Bulk {
    let text = String::from_utf8(body).unwrap();
    assert!(
        text.ends_with('\n'),
        "Elasticsearch refuses a body without a last line end"
    );
    let lines: Vec<&str> = text.lines().collect();
    let documents = lines
        .chunks(2)
        .map(|pair| {
            let action: Value = serde_json::from_str(pair[0]).unwrap();
            (
                action["create"]["_id"].as_str().unwrap().to_owned(),
                pair[1].to_owned(),
            )
        })
        .collect();
    Bulk {
        stream: head
            .path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap()
            .to_owned(),
        documents,
        bytes,
        encoding: head.headers.get("content-encoding").cloned(),
        name: head.headers["x-opaque-id"].clone(),
        authorization: head.headers.get("authorization").cloned(),
    }
}
