//! The verdict for people (at most 80 columns) and for scripts.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::evidence::File;
use super::judge::{Finding, Judgement};

const WIDTH: usize = 80;

/// Where the reasons begin.
const INDENT: usize = 19;

pub fn as_text(file: &File, path: &Path) -> String {
    let mut out = String::new();
    let release = file.evidence.release.as_deref().unwrap_or_default();
    let name = format!("{} {release}", file.evidence.service);
    row(&mut out, &["gate", name.trim()]);
    out.push('\n');
    row(&mut out, &["check", "seen", "limit", "verdict"]);
    for finding in &file.judgement.checks {
        row(
            &mut out,
            &[
                finding.check.words(),
                &finding.seen,
                &finding.limit,
                finding.verdict.words(),
            ],
        );
        for reason in &finding.reasons {
            indented(&mut out, reason);
        }
    }
    if file.judgement.checks.is_empty() {
        indented(&mut out, "nothing is checked, so there is nothing to pass");
    }
    let verdict = file.judgement.verdict;
    out.push('\n');
    let words = format!("{} (exit {})", verdict.words(), verdict.exit_code());
    row(&mut out, &["verdict", &words]);
    // Not broken: it is there to be copied.
    let _ = writeln!(out, "  {:<16} {}", "evidence", path.display()); // a String takes everything
    out
}

pub fn as_json(file: &File, path: &Path) -> Value {
    let Judgement { verdict, checks } = &file.judgement;
    json!({
        "service": file.evidence.service,
        "release": file.evidence.release,
        "verdict": verdict,
        "exitCode": verdict.exit_code(),
        "checks": checks,
        "startedAt": file.evidence.started_at,
        "endedAt": file.evidence.ended_at,
        "evidence": path,
        "sha256": file.sha256,
    })
}

/// One line for a round of several.
pub fn in_short(file: &File) -> String {
    let because = file
        .judgement
        .checks
        .iter()
        .filter(|finding| finding.verdict == file.judgement.verdict)
        .map(|finding: &Finding| format!("{}: {}", finding.check.words(), finding.seen))
        .collect::<Vec<_>>()
        .join(", ");
    let text = format!("{:<12} {because}", file.judgement.verdict.words());
    text.chars().take(WIDTH - 8).collect()
}

/// Columns of 16, 30, 16 and the rest; a text that is too long for its own is cut.
fn row(out: &mut String, cells: &[&str]) {
    const COLUMNS: [usize; 4] = [16, 30, 16, 12];
    let mut line = String::from(" ");
    for (index, (cell, width)) in cells.iter().zip(COLUMNS).enumerate() {
        let width = if index + 1 == cells.len() {
            WIDTH - line.chars().count() - 1
        } else {
            width
        };
        let mut cell: String = cell.chars().filter(|c| !c.is_control()).collect();
        if cell.chars().count() > width {
            cell = cell.chars().take(width - 1).collect::<String>() + "…";
        }
        let _ = write!(line, " {cell:<width$}");
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// Breaks at spaces, and within a word that is longer than a line.
fn indented(out: &mut String, text: &str) {
    let room = WIDTH - INDENT;
    let mut line = String::new();
    let mut flush = |line: &mut String| {
        if !line.is_empty() {
            let _ = writeln!(out, "{:INDENT$}{line}", "");
            line.clear();
        }
    };
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let mut word: Vec<char> = word.chars().collect();
        if !line.is_empty() && line.chars().count() + 1 + word.len() > room {
            flush(&mut line);
        }
        while word.len() > room {
            let rest = word.split_off(room);
            line.extend(word);
            flush(&mut line);
            word = rest;
        }
        if !line.is_empty() && !word.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    flush(&mut line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_too_wide() {
        let mut out = String::new();
        row(
            &mut out,
            &["x", &"y".repeat(200), &"z".repeat(40), "verdict"],
        );
        row(&mut out, &["gate", &"n".repeat(200)]);
        indented(
            &mut out,
            &format!("a {} b {}", "q".repeat(150), "W e ".repeat(40)),
        );
        for line in out.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert_eq!(out.matches('q').count(), 150);
        assert_eq!(out.matches('W').count(), 40);
    }
}
