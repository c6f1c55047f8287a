//! The lines that are measured.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// Appends one line, with its end: `json` (about 234 bytes), `plain` (206) or `cri` (274).
pub fn line(out: &mut String, kind: &str, number: u64) {
    let (second, milli) = (number / 1000 % 60, number % 1000);
    let id = u128::from(number) * 0x9e37_79b9_7f4a_7c15;
    let span = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if kind == "cri" {
        write!(out, "2026-11-24T02:06:{second:02}.{milli:03}000000Z stdout F ").unwrap();
    }
    if kind == "plain" {
        writeln!(
            out,
            "2026-11-24T02:06:{second:02}.{milli:03}Z INFO booking::http request finished \
             method=POST path=/bookings/{number} status=200 duration_ms=12.5 trace={id:032x} \
             span={span:016x} user_agent=\"curl/8.5\"",
        )
    } else {
        writeln!(
            out,
            "{{\"@timestamp\":\"2026-11-24T02:06:{second:02}.{milli:03}Z\",\"log.level\":\"info\",\
             \"message\":\"seat held\",\"trace.id\":\"{id:032x}\",\"span.id\":\"{span:016x}\",\
             \"http.response.status_code\":200,\"url.path\":\"/bookings/{number}\",\"seq\":{number}}}",
        )
    }
    .unwrap();
}

#[allow(dead_code, reason = "bench/logs/live writes as it goes")]
pub fn file(path: &Path, kind: &str, lines: u64) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut text = String::new();
    for number in 0..lines {
        text.clear();
        line(&mut text, kind, number);
        out.write_all(text.as_bytes()).unwrap();
    }
    out.flush().unwrap();
}
