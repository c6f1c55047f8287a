//! File integrity: content, owner, mode and kind of the files that decide who may do what, against
//! the baseline. inotify tells of a change at once; the periodic look proves it, because events
//! can be lost, and a file can change while nobody watches.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::FileType;

use super::check::{Check, Context, Coverage, Items, Notice, Outcome, Reason, Setup, shown};
use super::pace::Pace;
use super::walk::{Fences, Met, Unknown, walk};
use crate::exposition::{Kind, Page};

pub mod hash;
mod watching;

use watching::{Changes, Watching};

/// Changes that one look tells one by one.
const TOLD: usize = 50;

pub struct Integrity {
    watching: Watching,
    /// What was seen last; `None` before the first whole look.
    items: Option<Items>,
    coverage: Coverage,
    unknown: Unknown,
    /// When the next whole look is due.
    whole: std::time::Instant,
}

impl Integrity {
    pub fn new(setup: &Setup) -> Self {
        Self {
            watching: Watching::new(setup),
            items: None,
            coverage: Coverage::default(),
            unknown: Unknown::default(),
            whole: std::time::Instant::now(),
        }
    }

    fn whole_look(&mut self, context: &Context) -> Result<(), String> {
        let settings = &context.settings.integrity;
        // Watched first, so that what changes during the look is looked at again.
        let mut unwatched = Coverage::default();
        if settings.watch {
            self.watching.begin(context, &mut unwatched);
        }
        let mut look = Look::new(context);
        let mut found = 0;
        for path in &settings.paths {
            found += usize::from(look.at(context, path));
        }
        if context.progress.stopped() {
            return Err("stopped before the look was done".to_owned());
        }
        if found == 0 {
            return Err(format!(
                "none of the {} files and folders is there",
                settings.paths.len()
            ));
        }
        look.coverage.examined += unwatched.examined;
        for (reason, count) in unwatched.skipped {
            *look.coverage.skipped.entry(reason).or_default() += count;
        }
        look.coverage.named.extend(unwatched.named);
        look.coverage.named.truncate(5);
        self.items = Some(look.items);
        self.coverage = look.coverage;
        self.unknown = look.unknown;
        Ok(())
    }

    /// Looks again at what changed.
    fn look_again(&mut self, context: &Context, changes: &BTreeSet<std::path::PathBuf>) {
        let Some(items) = &mut self.items else {
            return;
        };
        let mut look = Look::new(context);
        for path in changes {
            let Ok(below) = path.strip_prefix(&context.roots.root) else {
                continue;
            };
            let below = [b"/", below.as_os_str().as_bytes()].concat();
            let within = |whole: &String| {
                let whole = whole.trim_end_matches('/').as_bytes();
                below
                    .strip_prefix(whole)
                    .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            };
            let Ok(text) = std::str::from_utf8(&below) else {
                // Its parent is looked at whole.
                self.whole = std::time::Instant::now();
                continue;
            };
            if !context.settings.integrity.paths.iter().any(within) || look.fences.covers(&below) {
                continue;
            }
            let name = shown(&below);
            let inside = format!("{name}/");
            items.retain(|known, _| *known != name && !known.starts_with(&inside));
            look.at(context, text);
        }
        items.append(&mut look.items);
        self.unknown.0.append(&mut look.unknown.0);
    }
}

/// One look at some paths.
struct Look {
    fences: Fences,
    files: Pace,
    bytes: Pace,
    coverage: Coverage,
    unknown: Unknown,
    items: Items,
}

impl Look {
    fn new(context: &Context) -> Self {
        let settings = &context.settings;
        Self {
            fences: Fences::new(&*context.node, &settings.integrity.exclude),
            files: Pace::new(settings.max_files_per_second),
            bytes: Pace::new(settings.max_bytes_per_second),
            coverage: Coverage::default(),
            unknown: Unknown::default(),
            items: Items::new(),
        }
    }

    fn at(&mut self, context: &Context, path: &str) -> bool {
        let settings = &context.settings.integrity;
        let (items, bytes) = (&mut self.items, &mut self.bytes);
        let mut visit = |met: &Met<'_>, coverage: &mut Coverage| {
            let name = shown(met.path);
            if items.len() >= settings.max_files as usize && !items.contains_key(&name) {
                coverage.examined = coverage.examined.saturating_sub(1);
                coverage.skip(&name, Reason::Limit);
                return;
            }
            let value = describe(met, settings.max_file_bytes, bytes, context, coverage);
            items.insert(name, value);
        };
        walk(
            context,
            path,
            &self.fences,
            &mut self.files,
            &mut self.coverage,
            &mut self.unknown,
            &mut visit,
        )
    }
}

/// What matters of a file, as text.
fn describe(
    met: &Met<'_>,
    largest: u64,
    bytes: &mut Pace,
    context: &Context,
    coverage: &mut Coverage,
) -> String {
    let mode = met.stat.st_mode & 0o7777;
    let owner = format!(
        "mode={mode:04o} uid={} gid={}",
        met.stat.st_uid, met.stat.st_gid
    );
    match FileType::from_raw_mode(met.stat.st_mode) {
        FileType::RegularFile => {
            let content = hash::content(met, largest, bytes, &context.progress, coverage);
            format!("file {owner} {content}")
        }
        FileType::Directory => format!("folder {owner}"),
        FileType::Symlink => match met.link_target() {
            Ok(target) => format!("link to {}", shown(&target)),
            Err(_) => "link to ?".to_owned(), // gone since
        },
        FileType::Fifo => format!("fifo {owner}"),
        FileType::Socket => format!("socket {owner}"),
        FileType::CharacterDevice | FileType::BlockDevice => {
            format!("device {owner} number={}", met.stat.st_rdev)
        }
        FileType::Unknown => format!("unknown {owner}"),
    }
}

impl Check for Integrity {
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome {
        let Changes { paths, rescan } = self.watching.take();
        let now = std::time::Instant::now();
        let whole = rescan || self.items.is_none() || now >= self.whole;
        let mut notices = Vec::new();
        for path in paths.iter().take(TOLD) {
            notices.push(Notice {
                action: "changed",
                outcome: "unknown",
                subject: Some(shown(path.as_os_str().as_bytes())),
                detail: "the kernel told of a change".to_owned(),
                ..Notice::default()
            });
        }
        let looked = if whole {
            let every = context.settings.interval_seconds.get("integrity");
            let every = std::time::Duration::from_secs(every.copied().unwrap_or(3_600));
            self.whole = now + every;
            self.whole_look(context)
        } else {
            self.look_again(context, &paths);
            Ok(())
        };
        self.watching.write(page);
        if let Some(items) = &self.items {
            page.single(
                "kai_security_integrity_files",
                "Files, folders and links that are compared with the baseline.",
                Kind::Gauge,
                items.len() as f64,
            );
        }
        if let Err(reason) = looked {
            self.whole = now; // a look that failed has proven nothing
            return Outcome {
                notices,
                ..Outcome::failed(reason)
            };
        }
        Outcome {
            coverage: self.coverage.clone(),
            seen: self.items.clone(),
            unknown: self.unknown.clone(),
            notices,
            error: None,
        }
    }

    fn wants_run(&mut self) -> bool {
        self.watching.pending()
    }
}
