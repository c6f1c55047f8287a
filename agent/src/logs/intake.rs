//! What comes over the network: the listeners, and the store that holds events until they have an
//! outcome. It outlives the lanes that send them, so that a reload of something else neither closes
//! a connection nor loses a datagram.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use kai_contract::agent_config::{LogSource, Logs};
use tokio::sync::watch;

use super::ledger::{Ledger, Outcome};
use super::otlp::{self, OtlpLogs};
use super::source;
use super::spool::Store;
use super::syslog::sockets::Sockets;
use super::syslog::{self, Taker};

pub mod meters;

/// What came in is made durable this often where nobody waits for it.
const SYNC: Duration = Duration::from_secs(1);

/// Time for tasks at the end, beyond what they take to drain.
const END: Duration = Duration::from_millis(200);

/// A running intake.
pub struct Intake {
    /// What it was made from.
    wanted: Logs,
    pub store: Arc<Store>,
    ledger: Arc<Ledger>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    /// The spool is ours while it is open.
    _lock: Option<File>,
}

impl Intake {
    /// The part of a configuration that it depends on; `None` if nothing comes over the network and
    /// nothing was left in the spool.
    pub fn wanted(logs: &Logs, state: &Path) -> Option<Logs> {
        let mut wanted = logs.clone();
        wanted.sources.retain(|_, source| source.is_network());
        wanted.elasticsearch = None;
        (wanted.dead_letter_bytes, wanted.gzip) = (0, false);
        let left = logs.spool.is_some() && spool(state).join("queues").exists();
        (!wanted.sources.is_empty() || left).then_some(wanted)
    }

    pub fn is_for(&self, wanted: &Logs) -> bool {
        self.wanted == *wanted
    }

    pub fn start(
        wanted: Logs,
        state: &Path,
        ledger: &Arc<Ledger>,
        sockets: &Arc<Sockets>,
        slot: &otlp::Slot,
    ) -> Result<Self, String> {
        let redactor = source::redactor(&wanted.privacy)?;
        let names: Vec<&str> = wanted.sources.keys().map(String::as_str).collect();
        let in_spool = |error: std::io::Error| {
            format!("cannot use the spool {}: {error}", spool(state).display())
        };
        let (folder, lock, limit) = match &wanted.spool {
            Some(config) => {
                let (folder, lock) = crate::durable::claim(state, "spool").map_err(in_spool)?;
                (Some(folder), Some(lock), config.max_bytes)
            }
            None => (None, None, wanted.memory_bytes),
        };
        if folder.is_none() && spool(state).join("queues").exists() {
            tracing::warn!(
                spool = %spool(state).display(),
                "there is a spool on disk, and logs.spool is not configured: events in it wait \
                 until it is"
            );
        }
        let store = Store::open(folder, limit, &names, ledger).map_err(in_spool)?;
        let store = Arc::new(store);
        let limits = (
            usize::try_from(wanted.max_line_bytes).unwrap_or(usize::MAX),
            usize::try_from(wanted.max_fields).unwrap_or(usize::MAX),
        );
        let mut takers = Vec::new();
        let mut records = None;
        for (name, config) in &wanted.sources {
            let shown: Arc<str> = name.as_str().into();
            let of = |field: &str| -> Arc<str> {
                config.fields.get(field).map_or("", String::as_str).into()
            };
            ledger.add_source(&shown, &of("service.name"), &of("kai.team"));
            ledger.intake.add_source(&shown);
            if config.otlp.is_some() {
                let redactor = redactor.clone();
                let taker = OtlpLogs::new(name, config, &wanted, redactor, &store, ledger);
                records = Some(Arc::new(taker));
            }
            if config.syslog.is_some() {
                let redactor = redactor.clone();
                let taker = Taker::new(name, config, redactor, limits, &store, ledger)
                    .map_err(|reason| format!("logs.sources.{name}: {reason}"))?;
                takers.push(Arc::new(taker));
            }
        }
        // Before, the one that is replaced told its senders to come again.
        slot.store(records);
        sockets.keep(&syslog::addresses(&wanted.sources));
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .map_err(|error| format!("cannot start threads: {error}"))?;
        let (keeper, listeners) = (Arc::clone(&store), Arc::clone(sockets));
        let thread = std::thread::Builder::new()
            .name("logs-intake".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let keeping = tokio::spawn(keep(keeper, stopped.clone()));
                    syslog::serve(takers, listeners, stopped).await;
                    let _ = keeping.await; // it ends with the listeners
                });
                runtime.shutdown_timeout(END);
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        ledger.intake.set_store(Some(Arc::clone(&store)));
        Ok(Self {
            wanted,
            store,
            ledger: Arc::clone(ledger),
            stop,
            thread,
            _lock: lock,
        })
    }

    /// Takes no more. What has come is in the store, durable if that is on disk.
    pub fn close(&mut self) {
        let _ = self.stop.send(true); // nobody listens if the thread is gone
        while !self.thread.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.store.close();
        if let Err(error) = self.store.sync_all() {
            tracing::error!(%error, "what came in last could not be made durable");
        }
    }

    /// Ends it. What is in memory and has no outcome is lost, and counted.
    pub fn end(mut self) {
        self.close();
        if !self.store.is_on_disk() {
            for queue in self.store.queues() {
                let lost = queue.forget();
                if lost > 0 {
                    let outcome = Outcome::Dropped("shutdown");
                    self.ledger.end(&queue.source, outcome, lost);
                    tracing::warn!(
                        source = %queue.source,
                        data_stream = %queue.stream,
                        events = lost,
                        "events in memory could not be delivered in time and are dropped; \
                         logs.spool would keep them"
                    );
                }
            }
        }
        self.ledger.intake.set_store(None);
    }
}

fn spool(state: &Path) -> PathBuf {
    state.join("spool")
}

/// Makes durable what nobody waits for.
async fn keep(store: Arc<Store>, mut stop: watch::Receiver<bool>) {
    let mut failing = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(SYNC) => {}
            () = crate::shutdown::ended(&mut stop) => return,
        }
        let synced = Arc::clone(&store);
        let result = tokio::task::spawn_blocking(move || synced.sync_all()).await;
        match result {
            Ok(Err(error)) if !std::mem::replace(&mut failing, true) => {
                tracing::error!(%error, "cannot make the spool durable");
            }
            Ok(Ok(())) => failing = false,
            _ => {}
        }
    }
}

/// Data streams that network sources may need at once.
pub fn streams_of(source: &LogSource) -> usize {
    match &source.otlp {
        // And that of all further services.
        Some(otlp) => otlp.max_data_streams as usize + 1,
        None => 1,
    }
}
