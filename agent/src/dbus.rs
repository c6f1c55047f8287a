//! A client of the system bus that asks services for their properties: systemd and logind. Our own,
//! because it takes a few calls of one kind, and a general client brings more code into memory than
//! all collectors together ([decision 21](../../docs/decisions/0021-infrastructure.md)).
//!
//! Questions are sent many at a time and answered in any order, so that a hundred units cost a few
//! turns of the bus and not a hundred.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub mod wire;

use wire::{Header, Message, Writer};

/// How long one answer may take. The scrape does not wait that long; it is for the thread, so that a
/// bus that never answers does not keep it for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Questions that are sent before their answers are read; the bus queues as many for each client.
const AT_ONCE: usize = 64;

/// Most that a line of the greeting has.
const GREETING: usize = 512;

/// Where a service is found.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Its name on the bus.
    pub name: &'a str,
    /// Its main object.
    pub path: &'a str,
}

/// A question: a property of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property<'a> {
    pub path: &'a str,
    pub interface: &'static str,
    pub name: &'static str,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The bus cannot be reached or breaks the protocol: no question will be answered.
    #[error(transparent)]
    Bus(#[from] io::Error),
    /// This question was answered with an error.
    #[error("{0}")]
    Answer(String),
}

/// A connection to a bus, or to one service directly.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    serial: u32,
    /// False on a private connection, which has no names.
    bus: bool,
    buffer: Vec<u8>,
}

/// Where the system's bus listens: what the environment says, as every client has it, or the
/// usual place below the root.
pub fn system_bus(root: &Path) -> Result<PathBuf, String> {
    match std::env::var("DBUS_SYSTEM_BUS_ADDRESS") {
        Ok(address) => socket(&address).ok_or_else(|| {
            format!("DBUS_SYSTEM_BUS_ADDRESS is \"{address}\"; unix:path=/… is expected")
        }),
        Err(_) => Ok(root.join("run/dbus/system_bus_socket")),
    }
}

/// The socket of the first address of a list that is one.
fn socket(addresses: &str) -> Option<PathBuf> {
    addresses.split(';').find_map(|address| {
        let path = address
            .strip_prefix("unix:")?
            .split(',')
            .find_map(|pair| pair.strip_prefix("path="))?;
        unescape(path).map(PathBuf::from)
    })
}

/// `%41` for what an address cannot hold as it is.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (rest.next()?, rest.next()?);
            let digit = |byte| char::from(byte).to_digit(16);
            bytes.push((digit(high)? * 16 + digit(low)?) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

impl Connection {
    /// Connects to a bus and says hello.
    pub fn bus(socket: &Path) -> io::Result<Self> {
        let mut connection = Self::open(socket, true)?;
        let header = Header {
            kind: wire::CALL,
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            ..Header::default()
        };
        let serial = connection.send(&header, "", Writer::default())?;
        connection.answer(serial, |_| ())?;
        Ok(connection)
    }

    /// Connects to a service that listens itself.
    pub fn private(socket: &Path) -> io::Result<Self> {
        Self::open(socket, false)
    }

    fn open(socket: &Path, bus: bool) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Self {
            stream,
            serial: 0,
            bus,
            buffer: Vec::new(),
        };
        connection.authenticate()?;
        Ok(connection)
    }

    /// Who we are the other side sees by the socket; we only have to say so.
    fn authenticate(&mut self) -> io::Result<()> {
        use std::fmt::Write as _;
        let uid = rustix::process::getuid().as_raw().to_string();
        let hex = uid.bytes().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        self.stream
            .write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut line = Vec::new();
        // Byte by byte, so that nothing of what follows is taken; it is one short line.
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
            if line.len() > GREETING {
                return Err(broken("its greeting does not end"));
            }
        }
        if !line.starts_with(b"OK ") {
            let line = String::from_utf8_lossy(&line);
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the bus does not let us in: {}", line.trim_end()),
            ));
        }
        self.stream.write_all(b"BEGIN\r\n")
    }

    /// Calls a method without arguments.
    pub fn call<T>(
        &mut self,
        service: Service<'_>,
        interface: &str,
        member: &str,
        read: impl FnOnce(&Message<'_>) -> Result<T, wire::Malformed>,
    ) -> Result<T, Refused> {
        let header = Header {
            kind: wire::CALL,
            destination: self.destination(service),
            path: service.path,
            interface,
            member,
            ..Header::default()
        };
        let serial = self.send(&header, "", Writer::default())?;
        self.answer(serial, |message| match message.kind {
            wire::ERROR => Err(Refused::Answer(message.error.to_owned())),
            _ => read(message).map_err(|error| Refused::Bus(broken(&error.to_string()))),
        })?
    }

    /// Asks for properties. `read` is handed the place of each question with its answer, `None` if
    /// that was an error.
    pub fn properties(
        &mut self,
        service: Service<'_>,
        questions: &[Property<'_>],
        mut read: impl FnMut(usize, Option<wire::Value<'_>>),
    ) -> io::Result<()> {
        for (round, questions) in questions.chunks(AT_ONCE).enumerate() {
            let mut asked = HashMap::with_capacity(questions.len());
            for (place, question) in questions.iter().enumerate() {
                let mut body = Writer::default();
                body.text(question.interface);
                body.text(question.name);
                let header = Header {
                    kind: wire::CALL,
                    destination: self.destination(service),
                    path: question.path,
                    interface: "org.freedesktop.DBus.Properties",
                    member: "Get",
                    ..Header::default()
                };
                asked.insert(self.send(&header, "ss", body)?, round * AT_ONCE + place);
            }
            while !asked.is_empty() {
                self.receive()?;
                let message =
                    wire::parse(&self.buffer).map_err(|error| broken(&error.to_string()))?;
                let Some(place) = message.reply_to.and_then(|serial| asked.remove(&serial)) else {
                    continue;
                };
                let value = (message.kind == wire::RETURN).then(|| message.variant());
                let value = value.transpose();
                read(place, value.map_err(|error| broken(&error.to_string()))?);
            }
        }
        Ok(())
    }

    /// One property; `None` if the service answers with an error.
    pub fn property<T>(
        &mut self,
        service: Service<'_>,
        question: Property<'_>,
        read: impl Fn(wire::Value<'_>) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let mut found = None;
        self.properties(service, &[question], |_, value| {
            found = value.and_then(&read);
        })?;
        Ok(found)
    }

    fn destination<'a>(&self, service: Service<'a>) -> &'a str {
        if self.bus { service.name } else { "" }
    }

    fn send(&mut self, header: &Header<'_>, signature: &str, body: Writer) -> io::Result<u32> {
        self.serial += 1;
        let header = Header {
            serial: self.serial,
            ..*header
        };
        self.stream
            .write_all(&wire::message(&header, signature, body))?;
        Ok(self.serial)
    }

    /// Waits for the answer to one message; what else arrives is not for us.
    fn answer<T>(&mut self, serial: u32, read: impl FnOnce(&Message<'_>) -> T) -> io::Result<T> {
        loop {
            self.receive()?;
            let message = wire::parse(&self.buffer).map_err(|error| broken(&error.to_string()))?;
            if message.reply_to == Some(serial) {
                return Ok(read(&message));
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.resize(wire::FIXED, 0);
        self.stream.read_exact(&mut self.buffer)?;
        let length = wire::length(&self.buffer).map_err(|error| broken(&error.to_string()))?;
        // What is announced is not believed before it arrives.
        let rest = length.saturating_sub(wire::FIXED) as u64;
        let read = (&self.stream).take(rest).read_to_end(&mut self.buffer)?;
        if (read as u64) < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_sockets() {
        let path = |text| socket(text).map(|path| path.display().to_string());
        assert_eq!(
            path("unix:path=/run/a%20b,guid=12").as_deref(),
            Some("/run/a b")
        );
        assert_eq!(path("tcp:host=x;unix:path=/b").as_deref(), Some("/b"));
        assert_eq!(path("unix:abstract=x"), None);
        assert_eq!(path("unix:path=/a%4"), None);
    }
}
