//! What a person sees: a narrow left column that says where we are, colour and moving bars on a
//! terminal only, plain lines elsewhere. With `--output json` people's text goes to nowhere and one
//! JSON document ends on standard output.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Stop;
use super::args::{Common, Output};
use crate::progress::Progress;

#[derive(Clone)]
pub struct Ui {
    json: bool,
    pub color: bool,
    bars: Option<MultiProgress>,
    /// The one JSON document is out.
    answered: Arc<AtomicBool>,
}

impl Ui {
    pub fn new(common: &Common) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let json = common.output == Output::Json;
        Self {
            json,
            color: terminal && !plain && !dumb,
            bars: (terminal && !dumb && !json).then(MultiProgress::new),
            answered: Arc::new(AtomicBool::new(false)),
        }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A line of text for people.
    pub fn line(&self, text: &str) {
        if self.json {
            return;
        }
        match &self.bars {
            Some(bars) => bars.suspend(|| print(text)),
            None => print(text),
        }
    }

    /// `  plan          21 to create`
    pub fn stage(&self, name: &str, text: &str) {
        let name = self.paint(Paint::Bold, &format!("{name:<13}"));
        let mut lines = text.lines();
        self.line(&format!("  {name} {}", lines.next().unwrap_or_default()));
        for line in lines {
            self.line(&format!("                {line}"));
        }
    }

    /// What ended the command, on standard error; a script that asked for JSON gets it as JSON too,
    /// unless the command has answered already.
    pub fn error(&self, stop: &Stop) {
        let message = &stop.message;
        if stop.is_list {
            eprintln!("{message}");
        } else {
            eprintln!("{} {message}", self.paint(Paint::Red, "error:"));
        }
        if !self.answered.load(Ordering::Relaxed) {
            self.json(&serde_json::json!({ "error": message, "exitCode": stop.code }));
        }
    }

    pub fn json(&self, value: &impl serde::Serialize) {
        if self.json {
            self.answered.store(true, Ordering::Relaxed);
            match serde_json::to_string_pretty(value) {
                Ok(text) => print(&text),
                Err(error) => eprintln!("error: cannot write JSON: {error}"),
            }
        }
    }

    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Bold => "1",
            Paint::Red => "31;1",
            Paint::Green => "32",
            Paint::Yellow => "33",
            Paint::Dim => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The receiver of progress for long work.
    pub fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(Reporter {
            ui: self.clone(),
            bars: Mutex::new(BTreeMap::new()),
        })
    }
}

/// A line on standard output. A reader that has gone (`| head`) must not end an apply half-way, so
/// an error is nobody's.
pub fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Bold,
    Red,
    Green,
    Yellow,
    Dim,
}

/// Bars on a terminal; elsewhere a line whenever the state of a step changes.
struct Reporter {
    ui: Ui,
    bars: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Reporter {
    fn with_bar(&self, name: &str, act: impl FnOnce(&ProgressBar)) {
        let Some(all) = &self.ui.bars else { return };
        let Ok(mut bars) = self.bars.lock() else {
            return;
        };
        let bar = bars.entry(name.to_owned()).or_insert_with(|| {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("    {spinner} {prefix:<26} {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        act(bar);
    }
}

impl Progress for Reporter {
    fn state(&self, name: &str, state: &str) {
        self.with_bar(name, |bar| bar.set_message(state.to_owned()));
    }

    fn bytes(&self, name: &str, done: u64, total: Option<u64>) {
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        let text = match total {
            Some(total) => format!("{} of {}", megabytes(done), megabytes(total)),
            None => megabytes(done),
        };
        self.with_bar(name, |bar| bar.set_message(text));
    }

    fn done(&self, name: &str, line: &str) {
        if let Ok(mut bars) = self.bars.lock()
            && let Some(bar) = bars.remove(name)
        {
            bar.finish_and_clear();
        }
        if !line.is_empty() {
            self.ui.line(&format!("    {name:<26} {line}"));
        }
    }

    fn note(&self, name: &str, line: &str) {
        self.ui
            .line(&self.ui.paint(Paint::Dim, &format!("    {name:<26} {line}")));
    }
}

/// `412ms`, `3.2s`, `2m05s`
pub fn short(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => format!("{:.1}s", millis as f64 / 1e3),
        _ => format!("{}m{:02}s", millis / 60_000, millis / 1_000 % 60),
    }
}

/// Breaks text at spaces to a width; a word that is longer stays whole.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut out = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = out.last().is_some_and(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width
        });
        if !fits {
            out.push(String::new());
        }
        if let Some(line) = out.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_durations() {
        assert_eq!(short(7), "7ms");
        assert_eq!(short(3_210), "3.2s");
        assert_eq!(short(125_000), "2m05s");
    }

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("aaaaaaaa b", 3), ["aaaaaaaa", "b"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
