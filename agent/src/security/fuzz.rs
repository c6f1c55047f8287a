//! What the security checks read, as entries for the fuzzer.

use super::auth::{event, journal, line};
use super::certificates::parse as certificates;
use super::listeners::sockets;
use super::modules::list;
use super::updates::{stanzas, version};
use super::users::files;
use crate::fuzz::Entry;

/// Programs whose messages are understood.
const PROGRAMS: [&str; 8] = [
    "sshd-session",
    "sudo",
    "su",
    "useradd",
    "usermod",
    "groupdel",
    "gpasswd",
    "passwd",
];

pub(crate) const ENTRIES: &[Entry] = &[
    ("auth log", |bytes| {
        for line in bytes.split(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            if let Some(line) = line::parse(&text) {
                messages(line.program, line.message);
            }
        }
    }),
    ("auth messages", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for program in PROGRAMS {
            messages(program, &text);
        }
    }),
    ("auth journal", |bytes| {
        drop(journal::parse(bytes));
    }),
    ("passwd", |bytes| {
        drop(files::users(bytes));
    }),
    ("group", |bytes| {
        drop(files::groups(bytes));
    }),
    ("shadow", |bytes| {
        drop(files::passwords(bytes, |_, _| ()));
    }),
    ("sockets tcp", |bytes| {
        drop(sockets::parse(bytes, false, |_| ()));
    }),
    ("sockets udp", |bytes| {
        drop(sockets::parse(bytes, true, |_| ()));
    }),
    ("port range", |bytes| {
        let _ = sockets::port_range(bytes);
    }),
    ("modules", |bytes| {
        drop(list::modules(bytes));
    }),
    ("tainted", |bytes| {
        drop(list::tainted(bytes));
    }),
    ("certificate file", |bytes| {
        drop(certificates::parse(bytes));
    }),
    ("dpkg status and apt lists", |bytes| {
        let keys = ["Package", "Architecture", "Version", "Status"];
        drop(stanzas::read(bytes, keys, |_| true));
    }),
    ("package versions", |bytes| {
        let mut words = bytes.splitn(2, |byte| *byte == b' ');
        let (a, b) = (words.next(), words.next());
        let _ = version::compare(a.unwrap_or_default(), b.unwrap_or_default());
    }),
];

fn messages(program: &str, message: &str) {
    let (_, message) = line::repeated(message);
    let _ = event::parse(program, message); // that it answers is all
}
