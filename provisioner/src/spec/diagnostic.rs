//! What is wrong, where, and what would be right. Checks record a [`Finding`]; when all of them
//! have run, findings become [`Diagnostic`]s, which carry their (masked) source line and can be
//! printed or serialised.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::source::{Place, Snippet, Sources};

/// How bad it is. Only errors keep a spec from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warning,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing to tell the user about a spec or a rule file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub severity: Level,
    /// Stable word for scripts, for example `unknown-key`.
    pub code: &'static str,
    pub file: PathBuf,
    /// From 1. Absent when the file as a whole is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    snippet: Option<Snippet>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}[{}]: {}", self.severity, self.code, self.message)?;
        if let (Some(snippet), Some(line)) = (&self.snippet, self.line) {
            let number = line.to_string();
            let gutter = " ".repeat(number.len());
            write!(f, "\n  {number} | {}", snippet.text)?;
            let carets = "^".repeat(snippet.width);
            write!(f, "\n  {gutter} | {}{carets}", " ".repeat(snippet.caret))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// All that was found, errors and warnings, in the order of files and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// More than this nobody reads on a terminal; `--output json` lists all.
const SHOWN: usize = 100;

impl Diagnostics {
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    pub fn errors(&self) -> usize {
        self.iter().filter(|d| d.severity == Level::Error).count()
    }

    pub fn warnings(&self) -> usize {
        self.0.len() - self.errors()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.iter().take(SHOWN) {
            writeln!(f, "{diagnostic}")?;
        }
        if let Some(more) = self.0.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(f, "… and {more} more")?;
        }
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let errors = plural(self.errors(), "error");
        if self.warnings() == 0 {
            return write!(f, "{errors}");
        }
        write!(f, "{errors}, {}", plural(self.warnings(), "warning"))
    }
}

impl std::error::Error for Diagnostics {}

/// What a check records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub code: &'static str,
    pub place: Place,
    pub message: String,
    pub help: Option<String>,
}

/// Collects findings, the places that must not be shown, and the paths that are known to be wrong,
/// so that one mistake is not reported a second time as its consequence.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    masks: Vec<Place>,
    broken: BTreeSet<String>,
}

impl Findings {
    pub fn error(
        &mut self,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
    ) -> Help<'_> {
        self.add(Level::Error, code, place, message.into())
    }

    pub fn warning(
        &mut self,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
    ) -> Help<'_> {
        self.add(Level::Warning, code, place, message.into())
    }

    fn add(&mut self, level: Level, code: &'static str, place: Place, message: String) -> Help<'_> {
        self.list.push(Finding {
            level,
            code,
            place,
            message,
            help: None,
        });
        Help(self.list.last_mut())
    }

    /// Never show this place.
    pub fn mask(&mut self, place: Place) {
        self.masks.push(place);
    }

    /// The value at this path of the spec is wrong and was reported.
    pub fn mark_broken(&mut self, path: &str) {
        self.broken.insert(path.to_owned());
    }

    pub fn is_broken(&self, path: &str) -> bool {
        self.broken.contains(path)
    }

    /// Takes over what another collection found, but not its paths.
    pub fn absorb(&mut self, other: Self) {
        self.list.extend(other.list);
        self.masks.extend(other.masks);
    }

    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|f| f.level == Level::Error)
    }

    /// Sorts by place, drops what was found twice (a tree is looked at before and after merging),
    /// and attaches masked source lines.
    pub fn into_diagnostics(mut self, sources: &mut Sources) -> Diagnostics {
        for mask in &self.masks {
            sources.mask(*mask);
        }
        self.list.sort_by(|a, b| {
            (a.place, a.level, a.code, &a.message).cmp(&(b.place, b.level, b.code, &b.message))
        });
        self.list
            .dedup_by(|a, b| a.place == b.place && a.code == b.code && a.message == b.message);
        let told = |finding: Finding| {
            let positioned = finding.place.line > 0;
            Diagnostic {
                severity: finding.level,
                code: finding.code,
                file: sources.shown(finding.place.file).to_path_buf(),
                line: positioned.then_some(finding.place.line),
                column: positioned.then_some(finding.place.column),
                message: finding.message,
                help: finding.help,
                snippet: sources.snippet(finding.place, finding.code == "syntax"),
            }
        };
        Diagnostics(self.list.into_iter().map(told).collect())
    }
}

/// Adds what would be right to the finding just recorded.
pub struct Help<'a>(Option<&'a mut Finding>);

impl Help<'_> {
    pub fn help(self, help: impl Into<String>) {
        self.maybe(Some(help.into()));
    }

    pub fn maybe(self, help: Option<String>) {
        if let Some(finding) = self.0 {
            finding.help = help;
        }
    }
}

/// A user's text inside a message: quoted, short, without control characters, and not at all when
/// it looks like a secret.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    if super::mask::looks_like_a_secret(text) {
        return "this value (not shown)".to_owned();
    }
    let mut shown = String::from("\"");
    for character in text.chars().take(LONGEST) {
        match character {
            '"' => shown.push_str("\\\""),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    if text.chars().count() > LONGEST {
        shown.push('…');
    }
    shown.push('"');
    shown
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_diagnostic_reads_like_a_compiler_message() {
        let mut sources = Sources::default();
        let file = sources.add(Path::new("observe.yaml"), "kind: Stak\n");
        let mut findings = Findings::default();
        let place = Place {
            file,
            line: 1,
            column: 7,
            end_line: 1,
            end_column: 11,
        };
        findings
            .error("bad-value", place, "\"Stak\" is not a kind")
            .help("write Stack");
        findings
            .error("bad-value", place, "\"Stak\" is not a kind")
            .help("write Stack");
        let shown = findings.into_diagnostics(&mut sources).to_string();
        let expected = "observe.yaml:1:7: error[bad-value]: \"Stak\" is not a kind\n  \
                        1 | kind: Stak\n    |       ^^^^\n  help: write Stack\n1 error";
        assert_eq!(shown, expected);
    }

    #[test]
    fn quoting_keeps_secrets_and_escapes_out() {
        assert_eq!(quoted("a\"b\u{1b}[31m"), "\"a\\\"b\\u{1b}[31m\"");
        assert_eq!(
            quoted("0123456789abcdef0123456789abcdef"),
            "this value (not shown)"
        );
        assert!(quoted(&"x".repeat(500)).chars().count() < 70);
    }
}
