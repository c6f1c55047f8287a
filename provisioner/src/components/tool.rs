//! Runs another program (cargo, go, apt-get, mvn) with its lines relayed, a deadline, and the last
//! of what it said kept for the reason why a source was passed over.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::error::{is_no_space, redact};

/// Standard output beyond this is dropped; no tool here has more to say that matters.
const OUTPUT_LIMIT: usize = 8 << 20;
const TAIL_LINES: usize = 40;
const TICK: Duration = Duration::from_millis(200);

/// How a tool ended.
#[derive(Debug)]
pub struct Finished {
    pub success: bool,
    /// `exit status: 1`, `signal: 9 (SIGKILL)`.
    pub status: String,
    pub stdout: String,
    /// The last lines of standard error.
    pub tail: Vec<String>,
    pub timed_out: bool,
}

impl Finished {
    /// The line that most likely says why, without credentials.
    pub fn reason(&self) -> String {
        if self.timed_out {
            return "it did not end by its deadline and was stopped".into();
        }
        let said = self.tail.iter().map(|l| l.trim()).filter(|l| !l.is_empty());
        let telling = [
            "error",
            "E:",
            "fatal",
            "no such",
            "not found",
            "could not",
            "requires",
        ];
        let lines: Vec<&str> = said.collect();
        let best = lines
            .iter()
            .find(|l| {
                telling
                    .iter()
                    .any(|t| l.to_lowercase().contains(&t.to_lowercase()))
            })
            .or_else(|| lines.last());
        match best {
            Some(line) => redact(&shorten(line, 400)),
            None => self.status.clone(),
        }
    }

    /// Whether the tool stopped because the disk is full.
    pub fn no_space(&self) -> bool {
        self.tail.iter().any(|l| {
            let l = l.to_lowercase();
            l.contains("no space left on device") || l.contains("disk quota exceeded")
        })
    }
}

/// Cuts a text for a table cell.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_string();
    }
    let cut: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{cut}…")
}

enum Said {
    Out(Vec<u8>),
    Err(String),
}

/// Runs `command` to its end. `on_line` hears each line of standard error; `on_tick` is called a
/// few times a second with the time since the start.
pub fn run(
    command: &mut Command,
    deadline: Duration,
    on_line: &mut dyn FnMut(&str),
    on_tick: &mut dyn FnMut(Duration),
) -> io::Result<Finished> {
    let start = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || read_blocks(stdout, &sender));
    }
    if let Some(stderr) = child.stderr.take() {
        thread::spawn(move || read_lines(stderr, &sender));
    }
    let (mut stdout, mut tail) = (Vec::new(), VecDeque::new());
    let mut timed_out = false;
    let mut ended: Option<(std::process::ExitStatus, Instant)> = None;
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(Said::Out(block)) => {
                let room = OUTPUT_LIMIT.saturating_sub(stdout.len()).min(block.len());
                stdout.extend_from_slice(&block[..room]);
            }
            Ok(Said::Err(line)) => {
                on_line(&line);
                if tail.len() == TAIL_LINES {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        on_tick(start.elapsed());
        if ended.is_none() {
            ended = child.try_wait()?.map(|status| (status, Instant::now()));
        }
        if ended.is_none() && start.elapsed() > deadline {
            timed_out = true;
            child.kill()?;
        }
        // A server left behind by the tool may hold the pipes open for ever.
        if ended.is_some_and(|(_, at)| at.elapsed() > Duration::from_secs(2)) {
            break;
        }
    }
    let status = match ended {
        Some((status, _)) => status,
        None => wait(&mut child, start, deadline, &mut timed_out)?,
    };
    Ok(Finished {
        success: status.success() && !timed_out,
        status: status.to_string(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        tail: tail.into(),
        timed_out,
    })
}

/// The pipes are closed; the program may still run.
fn wait(
    child: &mut std::process::Child,
    start: Instant,
    deadline: Duration,
    timed_out: &mut bool,
) -> io::Result<std::process::ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > deadline && !*timed_out {
            *timed_out = true;
            child.kill()?;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Text without the escape sequences that colour a terminal (`ESC [ … letter`).
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
            continue;
        }
        if chars.next() == Some('[') {
            // Ends with the first letter.
            let _ = chars.by_ref().find(char::is_ascii_alphabetic);
        }
    }
    out
}

fn read_blocks(mut from: impl Read, to: &Sender<Said>) {
    let mut block = vec![0; 64 * 1024];
    while let Ok(n) = from.read(&mut block) {
        if n == 0 || to.send(Said::Out(block[..n].to_vec())).is_err() {
            return;
        }
    }
}

fn read_lines(from: impl Read, to: &Sender<Said>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    // A tool that never ends its line must not fill our memory.
    while let Ok(n) = from.by_ref().take(64 * 1024).read_until(b'\n', &mut line) {
        if n == 0 {
            return;
        }
        let text = plain(String::from_utf8_lossy(&line).trim_end());
        line.clear();
        if to.send(Said::Err(text)).is_err() {
            return;
        }
    }
}

/// What a program prints for its version arguments, from both outputs.
pub fn version_output(command: &mut Command) -> Result<String, String> {
    let deadline = Duration::from_secs(5);
    let finished = run(command, deadline, &mut |_| {}, &mut |_| {}).map_err(|e| {
        if is_no_space(&e) {
            "no space".to_string()
        } else {
            format!("it cannot be started: {e}")
        }
    })?;
    if !finished.success {
        return Err(format!("it does not run here: {}", finished.reason()));
    }
    Ok(format!("{}\n{}", finished.stdout, finished.tail.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> Finished {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(&mut command, deadline, &mut |_| {}, &mut |_| {}).expect("started")
    }

    #[test]
    fn relays_lines_and_keeps_the_telling_one() {
        let mut lines = Vec::new();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo out; echo warming up >&2; echo 'error: get https://u:p@h/x: 404' >&2; echo note >&2; exit 3"]);
        let finished = run(
            &mut command,
            Duration::from_secs(20),
            &mut |l| lines.push(l.to_string()),
            &mut |_| {},
        )
        .expect("started");
        assert!(!finished.success);
        assert_eq!(finished.stdout, "out\n");
        assert_eq!(
            lines,
            ["warming up", "error: get https://u:p@h/x: 404", "note"]
        );
        assert_eq!(finished.reason(), "error: get https://***@h/x: 404");
    }

    #[test]
    fn a_tool_past_its_deadline_is_stopped() {
        let finished = shell("exec sleep 600", Duration::from_millis(300));
        assert!(finished.timed_out && !finished.success);
        assert!(finished.reason().contains("deadline"));
    }

    #[test]
    fn a_server_left_behind_does_not_hold_us() {
        let finished = shell("sleep 20 & exit 0", Duration::from_secs(15));
        assert!(finished.success && !finished.timed_out);
    }

    #[test]
    fn sees_a_full_disk_in_what_the_tool_says() {
        assert!(
            shell(
                "echo 'write x: no space left on device' >&2; exit 1",
                Duration::from_secs(9)
            )
            .no_space()
        );
        assert!(!shell("exit 1", Duration::from_secs(9)).no_space());
        assert_eq!(
            shell("exit 7", Duration::from_secs(9)).reason(),
            "exit status: 7"
        );
    }

    #[test]
    fn colours_are_taken_out() {
        assert_eq!(plain("\u{1b}[0m\u{1b}[1;31m[ERROR]\u{1b}[m x"), "[ERROR] x");
        assert_eq!(plain("cut \u{1b}["), "cut ");
    }

    #[test]
    fn shortens_by_characters() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
    }
}
