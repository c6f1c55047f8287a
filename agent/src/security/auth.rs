//! Logins, sudo, su and changes of accounts, as the authentication log tells them. Places in the
//! files and counts are written together, before either is shown: after a kill at any moment no
//! line is counted twice, and none that can still be read is lost.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use kai_contract::agent_config::SecurityJournal;
use serde_json::{Map, Value, json};

use super::check::{Check, Context, Coverage, Notice, Outcome, Reason, Setup};
use super::seal::{Key, SealError};
use crate::exposition::Page;

mod accounts;
pub mod event;
mod file;
pub mod journal;
pub mod line;
mod sshd;
mod sudo;
mod tally;

use event::{Address, Event, SshKind, Sudo};
use file::{Followed, Piece, Place};
use tally::Tally;

const FORMAT: u64 = 1;
/// Lines after which what was reached is kept, when there are many.
const KEEP_EVERY: u64 = 200_000;
/// Events of one look that have a line of their own in the agent's log.
const TOLD: usize = 100;

/// What is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Reached {
    places: BTreeMap<String, Place>,
    cursor: Option<String>,
    tally: Tally,
}

pub struct Auth {
    path: PathBuf,
    folder: PathBuf,
    reached: Option<Reached>,
    followed: BTreeMap<String, Followed>,
}

impl Auth {
    pub fn new(setup: &Setup) -> Self {
        Self {
            path: setup.folder.join("auth.json"),
            folder: setup.folder.clone(),
            reached: None,
            followed: BTreeMap::new(),
        }
    }

    /// What was reached when the agent ran last. A damaged file is put aside and said; then the
    /// logs are read from their beginning, and the counts begin anew, as after a first start.
    fn load(&self, key: &Key) -> Result<Reached, String> {
        let found = match key.load(&self.path) {
            Ok(found) => found,
            Err(error @ SealError::Io { .. }) => return Err(error.to_string()),
            Err(error @ SealError::Broken { .. }) => {
                let aside = self
                    .path
                    .with_extension(format!("damaged-{}", crate::state::unix_now()));
                let moved = std::fs::rename(&self.path, &aside).is_ok();
                tracing::error!(
                    %error,
                    kept_as = %aside.display(),
                    moved,
                    "the places in the authentication logs are damaged; counting begins anew"
                );
                None
            }
        };
        Ok(found
            .and_then(|document| Reached::parse(&document))
            .unwrap_or_default())
    }
}

impl Reached {
    fn document(&self) -> Map<String, Value> {
        let places: Map<String, Value> = self
            .places
            .iter()
            .map(|(path, place)| (path.clone(), place.to_json()))
            .collect();
        let mut document = Map::new();
        document.insert("format".into(), json!(FORMAT));
        document.insert("places".into(), Value::Object(places));
        document.insert("cursor".into(), json!(self.cursor));
        document.insert("tally".into(), self.tally.to_json());
        document
    }

    fn parse(document: &Map<String, Value>) -> Option<Self> {
        if document.get("format")?.as_u64()? != FORMAT {
            return None;
        }
        let places = document.get("places")?.as_object()?.iter();
        Some(Self {
            places: places
                .map(|(path, place)| Some((path.clone(), Place::from_json(place)?)))
                .collect::<Option<_>>()?,
            cursor: document.get("cursor")?.as_str().map(str::to_owned),
            tally: Tally::from_json(document.get("tally")?)?,
        })
    }

    /// Takes one line.
    fn line(&mut self, bytes: &[u8], most: usize, notices: &mut Vec<Notice>) {
        let text = String::from_utf8_lossy(bytes);
        let Some(line) = line::parse(text.trim_end_matches('\r')) else {
            self.tally.line("unreadable");
            return;
        };
        self.message(line.program, line.message, most, notices);
    }

    fn message(&mut self, program: &str, message: &str, most: usize, notices: &mut Vec<Notice>) {
        let (count, message) = line::repeated(message);
        match event::parse(program, message) {
            None => self.tally.line("other"),
            Some(event) => {
                self.tally.line("event");
                self.tally.event(&event, count, most);
                if notices.len() < TOLD {
                    notices.extend(notice(&event));
                }
            }
        }
    }
}

impl Check for Auth {
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome {
        let key = match Key::of(&self.folder) {
            Ok(key) => key,
            Err(error) => return Outcome::failed(error.to_string()),
        };
        let before = match self.reached.take() {
            Some(reached) => reached,
            None => match self.load(&key) {
                Ok(reached) => reached,
                Err(error) => return Outcome::failed(error),
            },
        };
        let mut reached = before.clone();
        let mut outcome = self.look(context, &key, &mut reached);
        if reached != before
            && let Err(error) = key.store(&self.path, reached.document())
        {
            // What is not kept is not shown: the lines are read again.
            self.followed.clear();
            before.tally.write(page);
            self.reached = Some(before);
            outcome.error = Some(format!("cannot keep the places in the logs: {error}"));
            return outcome;
        }
        reached.tally.write(page);
        self.reached = Some(reached);
        outcome
    }
}

impl Auth {
    fn look(&mut self, context: &Context, key: &Key, reached: &mut Reached) -> Outcome {
        let settings = &context.settings.auth;
        let most = settings.top as usize;
        let mut coverage = Coverage::default();
        let mut notices = Vec::new();
        let mut errors = Vec::new();
        let mut found = 0;
        let paths = match settings.journal {
            SecurityJournal::Always => &[][..],
            _ => &settings.paths[..],
        };
        for path in paths {
            let full = context.at(path);
            let mut place = reached.places.remove(path);
            let mut unkept = 0_u64;
            let followed = self.followed.entry(path.clone()).or_default();
            // The closure must not hold what it gives to be kept.
            let rest = std::mem::take(&mut reached.tally);
            let mut next = Reached {
                tally: rest,
                ..Reached::default()
            };
            let read = followed.read(&full, &mut place, &mut |piece| {
                match piece {
                    Piece::Line(line) => next.line(line, most, &mut notices),
                    Piece::TooLong => next.tally.line("too_long"),
                    Piece::Lost => next.tally.lost(1),
                }
                context.progress.step();
                unkept += 1;
                unkept < KEEP_EVERY && !context.progress.stopped()
            });
            reached.tally = next.tally;
            if let Some(place) = place {
                reached.places.insert(path.clone(), place);
            }
            match read {
                Ok(true) => {
                    coverage.examined += 1;
                    found += 1;
                }
                Ok(false) => {}
                Err(error) => {
                    found += 1;
                    let hint = if error.kind() == io::ErrorKind::PermissionDenied {
                        " (the group adm may read it, or CAP_DAC_READ_SEARCH)"
                    } else {
                        ""
                    };
                    coverage.skip(path, Reason::of(&error));
                    errors.push(format!("{}: {error}{hint}", full.display()));
                }
            }
        }
        let wanted = match settings.journal {
            SecurityJournal::Always => true,
            SecurityJournal::Auto => found == 0,
            SecurityJournal::Never => false,
        };
        if wanted {
            match journalled(context, key, reached, most, &mut notices) {
                Ok(()) => coverage.examined += 1,
                Err(error) => {
                    coverage.skip("journal", Reason::of(&error));
                    let missing = error.kind() == io::ErrorKind::NotFound;
                    let reason = if missing {
                        "there is no journalctl".to_owned()
                    } else {
                        error.to_string()
                    };
                    errors.push(match settings.journal {
                        SecurityJournal::Auto => {
                            format!("none of {} exists, and {reason}", settings.paths.join(", "))
                        }
                        _ => reason,
                    });
                }
            }
        } else if found == 0 {
            errors.push(format!("none of {} exists", settings.paths.join(", ")));
        }
        Outcome {
            // One log that can be read does not make up for one that cannot.
            error: (!errors.is_empty()).then(|| errors.join("; ")),
            coverage,
            notices,
            ..Outcome::default()
        }
    }
}

fn journalled(
    context: &Context,
    _key: &Key,
    reached: &mut Reached,
    most: usize,
    notices: &mut Vec<Notice>,
) -> io::Result<()> {
    let cursor = reached.cursor.clone();
    let mut count = 0_u64;
    journal::read(
        &context.roots.root,
        cursor.as_deref(),
        &context.progress,
        &mut |entry| {
            match entry {
                Ok(entry) => {
                    reached.message(&entry.program, &entry.message, most, notices);
                    reached.cursor = Some(entry.cursor);
                }
                Err(_) => reached.tally.line("unreadable"),
            }
            context.progress.step();
            count += 1;
            count < KEEP_EVERY
        },
    )
}

/// The events of which each is worth a line: who came in, who became somebody else, who changed
/// accounts. Failed logins are counted; there can be thousands.
fn notice(event: &Event<'_>) -> Option<Notice> {
    let text = |text: &str| Some(text.chars().take(200).collect::<String>());
    match event {
        Event::Ssh(ssh) => {
            let SshKind::Accepted(method) = ssh.kind else {
                return None;
            };
            Some(Notice {
                action: "ssh_login",
                outcome: "success",
                user: ssh.user.and_then(text),
                address: match ssh.address {
                    Address::Known(address) => Some(address.to_string()),
                    _ => None,
                },
                subject: None,
                detail: format!("SSH login by {}", method.as_str()),
            })
        }
        Event::Sudo { user, outcome, .. } => {
            let allowed = *outcome == Sudo::Allowed;
            Some(Notice {
                action: "sudo",
                outcome: if allowed { "success" } else { "failure" },
                user: text(user),
                detail: format!("sudo: {}", outcome.as_str()),
                ..Notice::default()
            })
        }
        Event::Su { user, allowed, .. } => Some(Notice {
            action: "su",
            outcome: if *allowed { "success" } else { "failure" },
            user: text(user),
            detail: "su".to_owned(),
            ..Notice::default()
        }),
        Event::Account { change, subject } => Some(Notice {
            action: change.as_str(),
            outcome: "success",
            user: text(subject),
            detail: "account changed".to_owned(),
            ..Notice::default()
        }),
    }
}
