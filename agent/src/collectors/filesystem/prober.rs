//! Asks for the usage of mounts that may never answer, each at most once at a time.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use crate::node::{FsStat, Node};

const TIMED_OUT: &str = "mountpoint timeout";

/// Shares of the collector's time limit: for one mount, and for all that hang in one scrape.
const PATIENCE: u32 = 8;
const PATIENCE_IN_ALL: u32 = 2;

type Answer = io::Result<FsStat>;

/// Asks about mounts that may never answer.
pub struct Prober {
    node: Arc<dyn Node>,
    worker: Option<Worker>,
    /// Mounts that have not answered, each with the thread that still waits for it. At most one
    /// thread per mount, however often it is scraped.
    stuck: BTreeMap<Vec<u8>, Worker>,
    patience: Duration,
    patience_in_all: Duration,
    /// Time lost in this scrape to mounts that did not answer.
    spent: Duration,
}

/// A thread that answers one question at a time, and ends when it is no longer asked.
struct Worker {
    questions: Sender<Vec<u8>>,
    answers: Receiver<Answer>,
}

impl Prober {
    pub fn new(node: &Arc<dyn Node>, timeout: Duration) -> Self {
        Self {
            node: Arc::clone(node),
            worker: None,
            stuck: BTreeMap::new(),
            patience: timeout / PATIENCE,
            patience_in_all: timeout / PATIENCE_IN_ALL,
            spent: Duration::ZERO,
        }
    }

    /// A new scrape: mounts that have answered in the meantime may be asked again.
    pub fn begin(&mut self) {
        self.spent = Duration::ZERO;
        self.stuck
            .retain(|_, worker| matches!(worker.answers.try_recv(), Err(TryRecvError::Empty)));
    }

    pub fn ask(&mut self, mount_point: &[u8]) -> Result<FsStat, String> {
        if self.stuck.contains_key(mount_point) || self.spent >= self.patience_in_all {
            return Err(TIMED_OUT.to_owned());
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start(&self.node).map_err(|error| go_message(&error))?,
        };
        // A worker that is gone shows in the answer.
        let _ = worker.questions.send(mount_point.to_vec());
        match worker.answers.recv_timeout(self.patience) {
            Ok(answer) => {
                self.worker = Some(worker);
                answer.map_err(|error| go_message(&error))
            }
            Err(RecvTimeoutError::Timeout) => {
                self.spent += self.patience;
                self.stuck.insert(mount_point.to_vec(), worker);
                Err(TIMED_OUT.to_owned())
            }
            Err(RecvTimeoutError::Disconnected) => Err("the asking thread ended".to_owned()),
        }
    }
}

impl Worker {
    fn start(node: &Arc<dyn Node>) -> io::Result<Self> {
        let (questions, inbox) = channel::<Vec<u8>>();
        let (outbox, answers) = channel();
        let node = Arc::clone(node);
        // Not joined: it may be in a system call that never returns.
        std::thread::Builder::new()
            .name("statfs".to_owned())
            .stack_size(128 << 10)
            .spawn(move || {
                while let Ok(mount_point) = inbox.recv() {
                    if outbox.send(node.statfs(&mount_point)).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self { questions, answers })
    }
}

/// An error as Go names it: without a number, in lower case.
pub fn go_message(error: &io::Error) -> String {
    if error.raw_os_error() == Some(rustix::io::Errno::STALE.raw_os_error()) {
        return "stale NFS file handle".to_owned(); // the C library's text lost its "NFS"
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_in_go() {
        let text = |errno: rustix::io::Errno| go_message(&errno.into());
        assert_eq!(text(rustix::io::Errno::NOENT), "no such file or directory");
        assert_eq!(text(rustix::io::Errno::ACCESS), "permission denied");
        assert_eq!(text(rustix::io::Errno::STALE), "stale NFS file handle");
        assert_eq!(
            text(rustix::io::Errno::NOTCONN),
            "transport endpoint is not connected"
        );
    }
}
