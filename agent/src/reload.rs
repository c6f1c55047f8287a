//! Takes a new configuration into force: on a change of its folder, on SIGHUP, on request. A file
//! that cannot be used is refused as a whole, and what was in force stays.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Mutex, mpsc, watch};

use crate::config::{self, ConfigError, Loaded, Located};
use crate::shutdown::ended;
use crate::state::{InForce, LastReload, State, unix_now};

/// A folder changes in several steps (a ConfigMap's link swap, an editor's rename); look when they
/// are over.
const SETTLE: Duration = Duration::from_millis(200);

/// Looks without an event this often: network file systems send none, and a queue can overflow.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// What made us look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Watch,
    Hangup,
    Admin,
}

/// Reloads one at a time.
pub struct Reloader {
    state: Arc<State>,
    /// Hash of the bytes last looked at, accepted or not; a read error counts as none.
    seen: Mutex<Option<String>>,
}

impl Reloader {
    pub fn new(state: Arc<State>) -> Self {
        let seen = Some(state.in_force.load().hash.clone());
        Self {
            state,
            seen: Mutex::new(seen),
        }
    }

    /// Looks at the file; true if a different configuration is in force afterwards.
    pub async fn reload(&self, trigger: Trigger) -> Result<bool, ConfigError> {
        let mut seen = self.seen.lock().await;
        let file = self.state.file.clone();
        // On a thread of its own: the disk may be slow, and patterns take time to compile.
        let known = (trigger == Trigger::Watch).then(|| seen.clone());
        let read = tokio::task::spawn_blocking(move || {
            let result = config::read(&file);
            let hash = result.as_ref().ok().map(|bytes| config::hash(bytes));
            if known.is_some_and(|known| known == hash) {
                return None; // something else in the folder changed
            }
            Some((result.and_then(|bytes| config::parse(&file, &bytes)), hash))
        });
        let read = read.await.unwrap_or_else(|error| {
            let (file, source) = (self.state.file.clone(), std::io::Error::other(error));
            Some((Err(ConfigError::Read { file, source }), None))
        });
        let Some((result, hash)) = read else {
            return Ok(false);
        };
        *seen = hash;
        match result.and_then(|loaded| self.needs_no_restart(loaded)) {
            Ok(loaded) => Ok(self.accept(loaded, trigger)),
            Err(error) => {
                self.refuse(&error, trigger);
                Err(error)
            }
        }
    }

    fn accept(&self, loaded: Loaded, trigger: Trigger) -> bool {
        let before = self.state.in_force.load();
        let changed = before.hash != loaded.hash;
        self.state.metrics.config_accepted(&loaded.hash);
        tokio::spawn(crate::settle::settle());
        self.remember(true, Vec::new());
        if changed {
            tracing::info!(hash = %loaded.hash, ?trigger, "configuration reloaded");
            for gone in before.config.applications.keys() {
                if !loaded.config.applications.contains_key(gone) {
                    self.state.scrape.budgets.forget(gone);
                }
            }
            self.state.in_force.store(Arc::new(InForce::new(loaded)));
            self.state.found_again.notify_one();
        } else {
            tracing::info!(?trigger, "configuration is unchanged");
        }
        changed
    }

    fn refuse(&self, error: &ConfigError, trigger: Trigger) {
        self.state.metrics.config_refused();
        self.remember(false, error.problems());
        tracing::error!(
            ?trigger,
            "configuration refused, the one before stays in force: {error}"
        );
    }

    fn remember(&self, ok: bool, problems: Vec<Located>) {
        let last = LastReload {
            ok,
            at: unix_now(),
            problems,
        };
        self.state.last_reload.store(Some(Arc::new(last)));
    }

    /// The listeners are opened once. Taking only the rest of a change would leave the agent with
    /// a configuration that stands in no file.
    fn needs_no_restart(&self, loaded: Loaded) -> Result<Loaded, ConfigError> {
        let before = self.state.in_force.load();
        let mut problems = Vec::new();
        if loaded.config.listen != before.config.listen {
            problems.push(restart(
                "listen",
                &before.config.listen,
                &loaded.config.listen,
            ));
        }
        let shown = |socket: &Option<PathBuf>| {
            socket
                .as_ref()
                .map_or("none".to_owned(), |path| path.display().to_string())
        };
        let (old, new) = (&before.config.admin.socket, &loaded.config.admin.socket);
        if old != new {
            problems.push(restart("admin.socket", &shown(old), &shown(new)));
        }
        crate::traces::needs_no_restart(
            before.config.traces.as_ref(),
            loaded.config.traces.as_ref(),
            &mut |path, old, new| problems.push(restart(path, old, new)),
        );
        // The threads and the stores are made once.
        for (path, changed) in [
            (
                "otlpMetrics",
                before.config.otlp_metrics != loaded.config.otlp_metrics,
            ),
            (
                "kubernetes",
                before.config.kubernetes != loaded.config.kubernetes,
            ),
            (
                "remoteWrite",
                before.config.remote_write != loaded.config.remote_write,
            ),
        ] {
            if changed {
                problems.push(restart(path, "what is in force", "another"));
            }
        }
        let (old, new) = (&before.config.state, &loaded.config.state);
        if old != new {
            problems.push(restart("state", &shown(old), &shown(new)));
        }
        if problems.is_empty() {
            return Ok(loaded);
        }
        Err(ConfigError::Bad {
            file: self.state.file.clone(),
            problems,
        })
    }
}

fn restart(path: &str, old: &str, new: &str) -> Located {
    Located {
        line: 0,
        column: 0,
        path: path.to_owned(),
        message: format!("changing it from {old} to {new} needs a restart of the agent"),
    }
}

/// Reloads when the file's folder changes, until `shutdown` becomes true.
pub async fn watch(reloader: Arc<Reloader>, mut shutdown: watch::Receiver<bool>) {
    let (events, mut changed) = mpsc::channel::<()>(1);
    // Kept alive: dropping it ends the watch.
    let watcher = start(&reloader.state.file, events);
    if let Err(error) = &watcher {
        tracing::warn!(
            %error,
            "cannot watch the configuration's folder; it is looked at every {} s instead",
            LOOK_ANYWAY.as_secs()
        );
    }
    loop {
        // At once the first time: the file may have changed between its reading and the watch.
        let _ = reloader.reload(Trigger::Watch).await; // it has said what is wrong
        tokio::select! {
            Some(()) = changed.recv() => {
                tokio::time::sleep(SETTLE).await;
                let _ = changed.try_recv(); // more of the same change
            }
            () = tokio::time::sleep(LOOK_ANYWAY) => {}
            () = ended(&mut shutdown) => return,
        }
    }
}

fn start(file: &Path, events: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let name = file.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error (a queue that overflowed) may have hidden anything.
        if event
            .as_ref()
            .map_or(true, |event| concerns(event, name.as_deref()))
        {
            let _ = events.try_send(()); // full means that a look is due already
        }
    })?;
    let folder = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    watcher.watch(
        folder.unwrap_or(Path::new(".")),
        RecursiveMode::NonRecursive,
    )?;
    Ok(watcher)
}

/// Whether an event in the folder can mean another configuration. Reading is none (ours would
/// wake us for ever), nor is writing into a neighbour, such as a log; but anything that is made,
/// moved or removed can be a link on the way to the file.
fn concerns(event: &Event, name: Option<&OsStr>) -> bool {
    match event.kind {
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => event
            .paths
            .iter()
            .any(|path| path.file_name() == name || path.is_symlink()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, RenameMode};

    use super::*;

    #[test]
    fn a_busy_neighbour_does_not_concern_us() {
        let about = |kind, path: &str| {
            concerns(
                &Event::new(kind).add_path(path.into()),
                Some(OsStr::new("agent.yaml")),
            )
        };
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(about(data, "/nowhere/agent.yaml"));
        assert!(!about(data, "/nowhere/agent.log"));
        assert!(!about(
            EventKind::Access(AccessKind::Any),
            "/nowhere/agent.yaml"
        ));
        assert!(about(EventKind::Create(CreateKind::Any), "/nowhere/..data"));
        assert!(about(
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            "/nowhere/..data"
        ));
    }
}
