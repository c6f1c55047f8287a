//! Messages as documents, cut where they are too long.

use serde_json::{Value, json};

use super::*;
use crate::logs::spool::record::walk;

fn taker(config: &str, max_line: usize) -> Taker {
    let config: LogSource = serde_yaml::from_str(config).unwrap();
    let ledger = Arc::default();
    let store = Arc::new(Store::open(None, 1 << 20, &["s"], &ledger).unwrap());
    Taker::new("s", &config, None, (max_line, 500), &store, &ledger).unwrap()
}

fn documents(taker: &Taker, messages: &[&[u8]]) -> Vec<Value> {
    let mut arriving = Arriving::default();
    let origin = origin("192.0.2.7:5514".parse().unwrap());
    for text in messages {
        taker.shape(frame::Frame { text, cut: false }, &origin, &mut arriving);
    }
    let mut found = Vec::new();
    let read = |_, _, document: &[u8]| found.push(serde_json::from_slice(document).unwrap());
    walk(&arriving.records, read, |range| {
        panic!("damaged: {range:?}")
    });
    found
}

const SOURCE: &str = "{dataStream: d, syslog: {udp: '127.0.0.1:0'}, timeZone: Asia/Jakarta, fields: \
                      {service.name: routers}}";

#[test]
fn a_message_becomes_a_document_that_says_who_sent_it() {
    let found = documents(
        &taker(SOURCE, 1000),
        &[
            b"<34>1 2026-11-24T02:06:29.003Z core-1 su 12 ID47 - failed\n\0",
            b"<13>Nov 24 09:06:29 edge-2 dhcpd[9]: lease",
            b"\n",
        ],
    );
    assert_eq!(found.len(), 2);
    assert_eq!(
        found[0],
        json!({
            "log.level": "critical", "log.syslog.priority": 34, "log.syslog.facility.code": 4,
            "log.syslog.facility.name": "auth", "log.syslog.severity.code": 2,
            "timestamp": "2026-11-24T02:06:29.003Z", "host.hostname": "core-1",
            "process.name": "su", "log.syslog.procid": "12", "log.syslog.msgid": "ID47",
            "process.pid": 12, "message": "failed", "@timestamp": "2026-11-24T02:06:29.003Z",
            "service.name": "routers", "log.source.address": "192.0.2.7:5514",
            "source.ip": "192.0.2.7", "source.port": 5514, "host.name": "core-1",
            "kai.pattern": "failed", "kai.fingerprint": "5d28a90f4498a814"
        })
    );
    assert_eq!(
        found[1]["@timestamp"].as_str().unwrap()[5..19],
        *"11-24T02:06:29"
    );
    assert_eq!(found[1]["host.name"], "edge-2");
}

#[test]
fn what_is_too_long_is_cut_visibly_and_still_read() {
    let taker = taker(SOURCE, 48);
    let long = format!("<34>1 2026-11-24T02:06:29Z h su - - - {}", "é".repeat(40));
    let found = documents(&taker, &[long.as_bytes(), b"\xff no syslog"]);
    assert_eq!(found[0]["log.flags"], json!(["truncated"]));
    assert_eq!(found[0]["host.name"], "h");
    assert_eq!(found[0]["message"], "ééééé");
    assert_eq!(found[1]["message"], "\u{fffd} no syslog");
    assert_eq!(found[1]["source.ip"], "192.0.2.7");
}

#[test]
fn characters_are_not_cut_in_half() {
    for (text, whole) in [("aé", 3), ("a", 1), ("", 0), ("a€", 4), ("a😀", 5)] {
        let bytes = text.as_bytes();
        assert_eq!(whole_characters(bytes).len(), whole);
        if bytes.len() > 1 {
            assert_eq!(whole_characters(&bytes[..bytes.len() - 1]), b"a");
        }
    }
    assert_eq!(whole_characters(b"\x80\x80\x80\x80"), b"\x80\x80\x80\x80");
}

#[test]
fn messages_are_dropped_and_sampled_by_rules() {
    let source = "{dataStream: d, syslog: {udp: '127.0.0.1:0'}, drop: ['process.name == \"dhcpd\"'], \
                  sample: {debug: 0.0, 'host.hostname == \"h\"': 0.5}}";
    let taker = taker(source, 1000);
    let found = documents(
        &taker,
        &[
            b"<13>Nov 24 09:06:29 edge-2 dhcpd[9]: lease",
            b"<15>Nov 24 09:06:29 edge-2 su: of no interest",
            b"<13>Nov 24 09:06:29 edge-2 su: kept",
        ],
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["message"], "kept");
    assert_eq!(found[0]["kai.sampled"], Value::Null);
    let many = vec![&b"<13>Nov 24 09:06:29 h su: many"[..]; 1000];
    let half = documents(&taker, &many);
    assert!((300..700).contains(&half.len()), "{}", half.len());
    assert!(half.iter().all(|one| one["kai.sampled"] == 0.5));
}
