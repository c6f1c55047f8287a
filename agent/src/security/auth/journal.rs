//! systemd's journal, where no log file is written: `journalctl -o json` after a cursor.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::security::check::Progress;

/// An entry longer than this is no line of sshd or sudo.
const LONGEST: u64 = 256 << 10;

/// What matters of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub cursor: String,
    pub program: String,
    pub message: String,
}

/// Reads one line of `journalctl -o json`; the error names what is missing.
pub fn parse(line: &[u8]) -> Result<Entry, &'static str> {
    let value: Value = serde_json::from_slice(line).map_err(|_| "it is no JSON")?;
    let text = |key: &str| -> Option<String> {
        match value.get(key)? {
            Value::String(text) => Some(text.clone()),
            // Bytes that are not UTF-8, or control characters.
            Value::Array(bytes) => {
                let bytes: Option<Vec<u8>> = bytes
                    .iter()
                    .map(|byte| u8::try_from(byte.as_u64()?).ok())
                    .collect();
                Some(String::from_utf8_lossy(&bytes?).into_owned())
            }
            _ => None,
        }
    };
    Ok(Entry {
        cursor: text("__CURSOR").ok_or("it has no cursor")?,
        program: text("SYSLOG_IDENTIFIER").unwrap_or_default(),
        message: text("MESSAGE").unwrap_or_default(),
    })
}

/// Hands over each entry after the cursor; without one, of this boot.
pub fn read(
    root: &Path,
    cursor: Option<&str>,
    progress: &Progress,
    each: &mut dyn FnMut(Result<Entry, &'static str>) -> bool,
) -> io::Result<()> {
    let mut command = Command::new("journalctl");
    command.args(["--output=json", "--quiet", "--no-pager", "--all"]);
    if root != Path::new("/") {
        command.arg("--directory").arg(root.join("var/log/journal"));
    }
    match cursor {
        Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
        None => command.arg("--boot"),
    };
    // auth and authpriv of syslog(3).
    command.args(["SYSLOG_FACILITY=4", "SYSLOG_FACILITY=10"]);
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let result = entries(&mut child, progress, each);
    let _ = child.kill(); // it has ended, or nobody reads on
    let status = child.wait()?;
    let whole = result?;
    if whole && !status.success() {
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            let _ = stderr.take(1_000).read_to_string(&mut said); // it says what it can
        }
        return Err(io::Error::other(format!(
            "journalctl ended with {status}: {}",
            said.trim()
        )));
    }
    Ok(())
}

fn entries(
    child: &mut std::process::Child,
    progress: &Progress,
    each: &mut dyn FnMut(Result<Entry, &'static str>) -> bool,
) -> io::Result<bool> {
    let Some(stdout) = child.stdout.take() else {
        return Ok(true);
    };
    let mut from = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = (&mut from).take(LONGEST).read_until(b'\n', &mut line)?;
        if count == 0 {
            return Ok(true);
        }
        progress.alive();
        if line.last() != Some(&b'\n') {
            from.skip_until(b'\n')?;
        }
        if !each(parse(&line)) || progress.stopped() {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_of_the_journal() {
        let line = br#"{"__CURSOR":"s=1;i=2","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"Invalid user x from 192.0.2.7 port 5","_PID":"7"}"#;
        let entry = parse(line).unwrap();
        assert_eq!(
            (entry.program.as_str(), entry.cursor.as_str()),
            ("sshd", "s=1;i=2")
        );
        let bytes = parse(br#"{"__CURSOR":"c","MESSAGE":[65,255]}"#).unwrap();
        assert_eq!(bytes.message, "A\u{fffd}");
        let none = parse(br#"{"__CURSOR":"c","MESSAGE":null}"#).unwrap();
        assert_eq!(none.message, "");
        assert!(parse(b"{}").is_err());
        assert!(parse(b"-- No entries --").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}
