//! The kernel's word that a file changed (inotify), by the `notify` crate. Events are a hint, never
//! the proof: a queue that overflows (`Rescan`), a folder that is replaced, a file system that sends
//! none are all met by looking at everything again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{ModifyKind, RemoveKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::exposition::{Kind, Page};
use crate::security::check::{Context, Coverage, Reason, Setup, below};

/// Changed paths that are kept apart; with more, everything is looked at.
const MOST: usize = 4_096;
/// A file changes in several steps; look when they are over, and not again and again.
const SETTLE: Duration = Duration::from_millis(300);

const KINDS: [&str; 4] = ["attributes", "content", "created", "removed"];

/// What changed since it was asked last.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub paths: BTreeSet<PathBuf>,
    /// Everything has to be looked at.
    pub rescan: bool,
}

#[derive(Default)]
struct Told {
    changes: Changes,
    first: Option<Instant>,
    counts: BTreeMap<&'static str, u64>,
    rescans: u64,
}

type Shared = Arc<Mutex<Told>>;

pub(super) struct Watching {
    told: Shared,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Dropping it ends the watch.
    watcher: Option<RecommendedWatcher>,
    watched: u64,
}

impl Watching {
    pub fn new(setup: &Setup) -> Self {
        Self {
            told: Shared::default(),
            wake: Arc::clone(&setup.wake),
            watcher: None,
            watched: 0,
        }
    }

    /// Watches the paths anew: what was replaced since is another file under the same name.
    pub fn begin(&mut self, context: &Context, coverage: &mut Coverage) {
        self.watcher = None;
        self.watched = 0;
        let (told, wake) = (Arc::clone(&self.told), Arc::clone(&self.wake));
        let heard = move |event: notify::Result<Event>| {
            if hear(&told, event) {
                wake();
            }
        };
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = match RecommendedWatcher::new(heard, config) {
            Ok(watcher) => watcher,
            Err(error) => {
                coverage.skip(format!("inotify: {error}"), Reason::Unwatched);
                return;
            }
        };
        let fences =
            crate::security::walk::Fences::new(&*context.node, &context.settings.integrity.exclude);
        let mut seen = BTreeSet::new();
        for path in &context.settings.integrity.paths {
            context.progress.alive();
            if fences.covers(path.as_bytes()) {
                continue;
            }
            let full = below(&context.roots.root, path);
            let is_folder = full.symlink_metadata().is_ok_and(|file| file.is_dir());
            // The folder above tells of a file that is renamed over, and of a folder that is
            // replaced. One that does not exist has one that does, somewhere above.
            let mut above = full.parent();
            while let Some(folder) = above.filter(|folder| !folder.is_dir()) {
                above = folder.parent();
            }
            let wanted = [
                is_folder.then_some((full.as_path(), RecursiveMode::Recursive)),
                above.map(|folder| (folder, RecursiveMode::NonRecursive)),
            ];
            for (folder, mode) in wanted.into_iter().flatten() {
                if !seen.insert((folder.to_owned(), mode == RecursiveMode::Recursive)) {
                    continue;
                }
                match watcher.watch(folder, mode) {
                    Ok(()) => self.watched += 1,
                    Err(error) => {
                        coverage.skip(format!("{}: {error}", folder.display()), Reason::Unwatched);
                    }
                }
            }
        }
        self.watcher = Some(watcher);
    }

    pub fn pending(&self) -> bool {
        let told = lock(&self.told);
        told.first.is_some_and(|first| first.elapsed() >= SETTLE)
    }

    pub fn take(&mut self) -> Changes {
        let mut told = lock(&self.told);
        told.first = None;
        std::mem::take(&mut told.changes)
    }

    pub fn write(&self, page: &mut Page) {
        let told = lock(&self.told);
        let mut family = page.family(
            "kai_security_integrity_events_total",
            "Changes of which the kernel told, by kind. One change may be several events.",
            Kind::Counter,
        );
        for kind in KINDS {
            let count = told.counts.get(kind).copied().unwrap_or(0);
            family.sample(&[("kind", kind.as_bytes())], count as f64);
        }
        drop(family);
        page.single(
            "kai_security_integrity_rescans_total",
            "Times that everything was looked at because events were lost or a folder was replaced.",
            Kind::Counter,
            told.rescans as f64,
        );
        page.single(
            "kai_security_integrity_watches",
            "Files and folders that the kernel was asked to watch; folders below them come on top.",
            Kind::Gauge,
            self.watched as f64,
        );
    }
}

fn lock(told: &Shared) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes an event; true if there is something to look at.
fn hear(told: &Shared, event: notify::Result<Event>) -> bool {
    let mut told = lock(told);
    let rescan = match &event {
        Ok(event) => event.need_rescan(),
        Err(_) => true, // what was lost is not known
    };
    let event = event.unwrap_or_else(|_| Event::new(EventKind::Other));
    let kind = match event.kind {
        // Reading is no change; the crate asks the kernel for it all the same.
        EventKind::Access(_) if !rescan => return false,
        EventKind::Create(_) => "created",
        EventKind::Remove(_) => "removed",
        EventKind::Modify(ModifyKind::Metadata(_)) => "attributes",
        EventKind::Modify(ModifyKind::Name(notify::event::RenameMode::From)) => "removed",
        EventKind::Modify(ModifyKind::Name(_)) => "created",
        _ => "content",
    };
    // A folder that comes or goes takes its watches along.
    let folder = matches!(event.kind, EventKind::Remove(RemoveKind::Folder))
        || (matches!(
            event.kind,
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_))
        ) && event.paths.iter().any(|path| is_folder(path)));
    if rescan || folder {
        told.changes.rescan = true;
        told.rescans += 1;
    }
    if !event.paths.is_empty() {
        *told.counts.entry(kind).or_default() += 1;
    }
    for path in event.paths {
        if told.changes.paths.len() >= MOST {
            told.changes.rescan = true;
            break;
        }
        told.changes.paths.insert(path);
    }
    told.first.get_or_insert_with(Instant::now);
    true
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|file| file.is_dir())
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, Flag};

    use super::*;

    #[test]
    fn a_lost_event_asks_for_a_look_at_everything() {
        let told = Shared::default();
        assert!(!hear(
            &told,
            Ok(Event::new(EventKind::Access(AccessKind::Any)).add_path("/a".into()))
        ));
        assert!(hear(
            &told,
            Ok(
                Event::new(EventKind::Modify(ModifyKind::Data(DataChange::Any)))
                    .add_path("/a".into())
            )
        ));
        assert!(!lock(&told).changes.rescan);
        assert!(hear(
            &told,
            Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))
        ));
        assert!(lock(&told).changes.rescan);
        let told = Shared::default();
        assert!(hear(&told, Err(notify::Error::generic("lost"))));
        assert!(lock(&told).changes.rescan);
    }

    #[test]
    fn very_many_changes_are_one_look_at_everything() {
        let told = Shared::default();
        for number in 0..=MOST {
            let event = Event::new(EventKind::Create(CreateKind::File));
            hear(&told, Ok(event.add_path(format!("/x/{number}").into())));
        }
        let changes = &lock(&told).changes;
        assert!(changes.rescan);
        assert_eq!(changes.paths.len(), MOST);
    }
}
