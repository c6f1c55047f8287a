//! Where log lines go: one thread writes them, fed by a bounded queue, so that a slow disk or a
//! blocked pipe costs log lines (which are counted) and never the service.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

pub mod layer;

/// Lines that wait to be written at most; some 4 MB.
const QUEUE: usize = 8192;
/// How often the writer looks whether its file was moved away by log rotation.
const ROTATION_CHECK: Duration = Duration::from_secs(1);
const BATCH_BYTES: usize = 64 * 1024;

/// Hands lines to the writer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    queue: SyncSender<Message>,
    dropped: Counter,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl Log {
    /// Starts the writer on a file (made with its folders, appended to) or on stdout. `dropped`
    /// counts lines that could not be queued or written.
    pub fn start(path: Option<&Path>, dropped: Counter) -> io::Result<Self> {
        let target = match path {
            Some(path) => Target::File(LogFile::open(path)?),
            None => Target::Stdout(io::stdout()),
        };
        let (queue, receiver) = sync_channel(QUEUE);
        let counter = dropped.clone();
        std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || write_all(&receiver, target, &counter))?;
        Ok(Self { queue, dropped })
    }

    /// Queues one line, its newline included.
    pub fn line(&self, line: Vec<u8>) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.dropped.inc();
        }
    }

    /// Waits until what was queued before is written, for a second at most.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        // The queue may be full; a moment later it has room again.
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut message = Message::Flush(done);
        while let Err(std::sync::mpsc::TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= deadline {
                return;
            }
            message = back;
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = wait.recv_timeout(Duration::from_secs(1));
    }
}

enum Target {
    Stdout(io::Stdout),
    File(LogFile),
}

impl Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.write_all(bytes).and_then(|()| out.flush()),
            Self::File(file) => file.write(bytes),
        }
    }
}

fn write_all(queue: &Receiver<Message>, mut target: Target, dropped: &Counter) {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    let mut lines = 0;
    loop {
        let mut flushed = None;
        match queue.recv_timeout(Duration::from_mins(1)) {
            Ok(message) => take(message, &mut batch, &mut lines, &mut flushed),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while batch.len() < BATCH_BYTES && flushed.is_none() {
            let Ok(message) = queue.try_recv() else { break };
            take(message, &mut batch, &mut lines, &mut flushed);
        }
        if !batch.is_empty() && target.write(&batch).is_err() {
            dropped.inc_by(lines);
        }
        batch.clear();
        lines = 0;
        if let Some(flushed) = flushed {
            let _ = flushed.send(());
        }
    }
}

fn take(
    message: Message,
    batch: &mut Vec<u8>,
    lines: &mut u64,
    flushed: &mut Option<SyncSender<()>>,
) {
    match message {
        Message::Line(line) => {
            batch.extend_from_slice(&line);
            *lines += 1;
        }
        Message::Flush(done) => *flushed = Some(done),
    }
}

/// A log file that is opened again when rotation has moved it away.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    checked: Instant,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            checked: Instant::now(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.checked.elapsed() >= ROTATION_CHECK {
            self.checked = Instant::now();
            // When it cannot be opened anew, the old one is still better than nothing.
            if self.was_moved()
                && let Ok(fresh) = Self::open(&self.path)
            {
                *self = fresh;
            }
        }
        self.file.write_all(bytes)
    }

    #[cfg(unix)]
    fn was_moved(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let ours = self.file.metadata().map(|m| (m.dev(), m.ino()));
        let there = std::fs::metadata(&self.path).map(|m| (m.dev(), m.ino()));
        match (ours, there) {
            (Ok(ours), Ok(there)) => ours != there,
            (Ok(_), Err(error)) => error.kind() == io::ErrorKind::NotFound,
            (Err(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_in_order_and_makes_folders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("var/log/booking.log");
        for round in 0..2 {
            let log = Log::start(Some(&path), Counter::default()).unwrap();
            for n in 0..100 {
                log.line(format!("{round} {n}\n").into_bytes());
            }
            log.flush();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let want: String = (0..2)
            .flat_map(|r| (0..100).map(move |n| format!("{r} {n}\n")))
            .collect();
        assert_eq!(text, want);
    }

    #[test]
    fn follows_rotation_by_rename() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = LogFile::open(&path).unwrap();
        file.write(b"one\n").unwrap();
        std::fs::rename(&path, dir.path().join("a.log.1")).unwrap();
        assert!(file.was_moved());
        file.checked = Instant::now().checked_sub(ROTATION_CHECK).unwrap();
        file.write(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        // /dev/full refuses every write with ENOSPC (full(4)).
        let dropped = Counter::<u64>::default();
        let log = Log::start(Some(Path::new("/dev/full")), dropped.clone()).unwrap();
        log.line(b"one\n".to_vec());
        log.line(b"two\n".to_vec());
        log.flush();
        assert_eq!(dropped.get(), 2);
    }
}
