//! `node_logind_sessions`: sessions as logind tells them on the system's bus.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use super::{CollectError, Collector};
use crate::dbus::{self, Connection, Property, Refused, Service, wire::Value};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};

const SERVICE: Service<'_> = Service {
    name: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
};

const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

const REMOTE: [&str; 2] = ["true", "false"];
const TYPES: [&str; 7] = [
    "other",
    "unspecified",
    "tty",
    "x11",
    "wayland",
    "mir",
    "web",
];
const CLASSES: [&str; 5] = ["other", "user", "greeter", "lock-screen", "background"];

/// What is asked of each session.
const ASKED: [&str; 3] = ["Remote", "Type", "Class"];

#[derive(Default)]
pub struct Logind;

/// A session while its properties arrive.
#[derive(Default)]
struct Session {
    seat: String,
    path: String,
    remote: Option<bool>,
    kind: Option<&'static str>,
    class: Option<&'static str>,
}

/// Where the system's bus listens.
pub fn bus(node: &dyn Node) -> Result<PathBuf, CollectError> {
    dbus::system_bus(&node.path(Tree::Root, "")).map_err(|message| CollectError::Ask {
        what: "the system bus",
        source: io::Error::other(message),
    })
}

impl Collector for Logind {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let path = bus(node)?;
        let mut logind =
            Connection::bus(&path).map_err(|source| CollectError::Read { path, source })?;
        let mut seats = Vec::new();
        logind
            .call(SERVICE, MANAGER, "ListSeats", |message| {
                message.rows("a(so)", |row| {
                    seats.extend(row[0].text().map(str::to_owned));
                })
            })
            .map_err(|refused| ask("logind for its seats", refused))?;
        // Sessions from elsewhere, as by SSH, have none.
        seats.push(String::new());
        let mut sessions = Vec::new();
        logind
            .call(SERVICE, MANAGER, "ListSessions", |message| {
                message.rows("a(susso)", |row| {
                    sessions.push(Session {
                        seat: row[3].text().unwrap_or_default().to_owned(),
                        path: row[4].text().unwrap_or_default().to_owned(),
                        ..Session::default()
                    });
                })
            })
            .map_err(|refused| ask("logind for its sessions", refused))?;
        properties(&mut logind, &mut sessions).map_err(|source| CollectError::Ask {
            what: "logind",
            source,
        })?;
        let mut counts = HashMap::new();
        for session in &sessions {
            // One that has ended meanwhile tells nothing.
            if let (Some(remote), Some(kind), Some(class)) =
                (session.remote, session.kind, session.class)
            {
                let key = (session.seat.as_str(), remote, kind, class);
                *counts.entry(key).or_insert(0_u32) += 1;
            }
        }
        let mut family = page.family(
            "node_logind_sessions",
            "Number of sessions registered in logind.",
            Kind::Gauge,
        );
        for class in CLASSES {
            for remote in REMOTE {
                for seat in &seats {
                    for kind in TYPES {
                        let key = (seat.as_str(), remote == "true", kind, class);
                        let count = counts.get(&key).copied().unwrap_or(0);
                        family.sample(
                            &[
                                ("class", class.as_bytes()),
                                ("remote", remote.as_bytes()),
                                ("seat", seat.as_bytes()),
                                ("type", kind.as_bytes()),
                            ],
                            f64::from(count),
                        );
                    }
                }
            }
        }
        Ok(())
    }
}

fn properties(logind: &mut Connection, sessions: &mut [Session]) -> io::Result<()> {
    let paths: Vec<String> = sessions
        .iter_mut()
        .map(|session| std::mem::take(&mut session.path))
        .collect();
    let questions: Vec<Property<'_>> = paths
        .iter()
        .flat_map(|path| {
            ASKED.map(|name| Property {
                path,
                interface: SESSION,
                name,
            })
        })
        .collect();
    logind.properties(SERVICE, &questions, |at, value| {
        let session = &mut sessions[at / ASKED.len()];
        match (at % ASKED.len(), value) {
            (0, Some(Value::Bool(remote))) => session.remote = Some(remote),
            (1, Some(Value::Text(text))) => session.kind = Some(known(text, &TYPES)),
            (2, Some(Value::Text(text))) => session.class = Some(known(text, &CLASSES)),
            _ => {}
        }
    })
}

/// What logind came to know after node_exporter did is "other".
fn known(text: &str, names: &[&'static str]) -> &'static str {
    names.iter().find(|name| **name == text).unwrap_or(&"other")
}

fn ask(what: &'static str, refused: Refused) -> CollectError {
    let source = match refused {
        Refused::Bus(error) => error,
        Refused::Answer(name) => io::Error::other(name),
    };
    CollectError::Ask { what, source }
}
