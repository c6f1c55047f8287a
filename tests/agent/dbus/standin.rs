//! A real dbus-daemon in a temporary folder, and on it a stand-in for systemd and logind that answers
//! from a table.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kai_agent::dbus::wire::{self, Header, Writer};

use crate::support::wait_for;

/// The daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    pub socket: PathBuf,
}

impl Daemon {
    /// Listens where the system's bus does, below this root. `None` if there is no dbus-daemon.
    pub fn start(root: &Path) -> Option<Self> {
        let socket = root.join("run/dbus/system_bus_socket");
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let config = root.join("dbus.conf");
        fs::write(
            &config,
            format!(
                "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
                 \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\"><busconfig>\
                 <listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
                 <allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>\
                 <allow user=\"*\"/></policy></busconfig>",
                socket.display()
            ),
        )
        .unwrap();
        let child = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--nosyslog"])
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let daemon = Self { child, socket };
        wait_for("dbus-daemon", || UnixStream::connect(&daemon.socket).ok());
        Some(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A property's value.
#[derive(Debug, Clone)]
pub enum Value {
    Text(&'static str),
    Bool(bool),
    U32(u32),
    U64(u64),
}

/// What a service answers: the body of its lists with their signature, and properties by path,
/// interface and name. What is not there is answered with an error.
#[derive(Default)]
pub struct Answers {
    pub lists: BTreeMap<&'static str, (&'static str, Vec<Vec<Value>>)>,
    pub properties: BTreeMap<(String, &'static str, &'static str), Value>,
}

/// Takes a name on the bus and answers until the daemon ends.
pub fn serve(socket: &Path, name: &'static str, answers: Answers) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let uid = rustix::process::getuid().as_raw().to_string();
    // Digits only, each of which is 3 and itself.
    let hex: String = uid.chars().flat_map(|digit| ['3', digit]).collect();
    stream
        .write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())
        .unwrap();
    let mut greeting = [0; 128];
    let length = stream.read(&mut greeting).unwrap();
    assert!(greeting[..length].starts_with(b"OK "));
    stream.write_all(b"BEGIN\r\n").unwrap();
    let to_bus = |member, serial| Header {
        kind: wire::CALL,
        serial,
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member,
        ..Header::default()
    };
    stream
        .write_all(&wire::message(&to_bus("Hello", 1), "", Writer::default()))
        .unwrap();
    let mut body = Writer::default();
    body.text(name);
    body.u32(0);
    stream
        .write_all(&wire::message(&to_bus("RequestName", 2), "su", body))
        .unwrap();
    let (owned, is_owned) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut serial = 2;
        while let Some(bytes) = receive(&mut stream) {
            let message = wire::parse(&bytes).unwrap();
            if message.reply_to == Some(2) {
                assert_eq!(message.kind, wire::RETURN, "{}", message.error);
                owned.send(()).unwrap();
            }
            if message.kind != wire::CALL {
                continue;
            }
            serial += 1;
            let reply = answer(&answers, &bytes, serial);
            if stream.write_all(&reply).is_err() {
                return;
            }
        }
    });
    is_owned.recv().unwrap();
}

fn receive(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; wire::FIXED];
    stream.read_exact(&mut bytes).ok()?;
    bytes.resize(wire::length(&bytes).unwrap(), 0);
    stream.read_exact(&mut bytes[wire::FIXED..]).ok()?;
    Some(bytes)
}

fn answer(answers: &Answers, call: &[u8], serial: u32) -> Vec<u8> {
    let call = wire::parse(call).unwrap();
    let header = Header {
        kind: wire::RETURN,
        serial,
        reply_to: call.serial,
        destination: call.sender,
        ..Header::default()
    };
    let mut body = Writer::default();
    if let Some((signature, rows)) = answers.lists.get(call.member) {
        body.array(|out| {
            for row in rows {
                out.align(8);
                for value in row {
                    write(out, value);
                }
            }
        });
        return wire::message(&header, signature, body);
    }
    if let Ok([interface, name]) = call.texts()
        && let Some(value) = answers
            .properties
            .iter()
            .find_map(|((path, of, named), value)| {
                (path == call.path && *of == interface && *named == name).then_some(value)
            })
    {
        body.signature(match value {
            Value::Text(_) => "s",
            Value::Bool(_) => "b",
            Value::U32(_) => "u",
            Value::U64(_) => "t",
        });
        write(&mut body, value);
        return wire::message(&header, "v", body);
    }
    let header = Header {
        kind: wire::ERROR,
        error: "org.freedesktop.DBus.Error.UnknownProperty",
        ..header
    };
    body.text("no such thing");
    wire::message(&header, "s", body)
}

fn write(out: &mut Writer, value: &Value) {
    match value {
        Value::Text(text) => out.text(text),
        Value::Bool(value) => out.u32(u32::from(*value)),
        Value::U32(value) => out.u32(*value),
        Value::U64(value) => out.u64(*value),
    }
}
