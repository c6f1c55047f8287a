//! The files that were read, and places in them. Snippets are made here and nowhere else, so that
//! one spot decides what of a user's file may be shown: a value that is or looks like a secret
//! never is, whatever the error on its line is about.

use std::path::{Path, PathBuf};

use super::mask;

/// Index of a file in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A stretch of one file. Lines and columns count from 1, columns in characters; line 0 means the
/// file as a whole. The end is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: FileId,
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
}

impl Place {
    /// The file as a whole.
    pub fn whole(file: FileId) -> Self {
        Self {
            file,
            line: 0,
            column: 0,
            end_line: 0,
            end_column: 0,
        }
    }

    /// One character.
    pub fn point(file: FileId, line: u32, column: u32) -> Self {
        Self {
            file,
            line,
            column,
            end_line: line,
            end_column: column.saturating_add(1),
        }
    }
}

#[derive(Debug)]
struct SourceFile {
    shown: PathBuf,
    lines: Vec<String>,
    masks: Vec<Place>,
}

/// All files of one load, the spec itself first.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

/// One line of a file, ready to be shown, and where the caret goes (both counted in characters of
/// `text`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    pub text: String,
    pub caret: usize,
    pub width: usize,
}

/// A line longer than this is cut to a window around the caret.
const WIDEST: usize = 120;

impl Sources {
    /// Registers a file under the path that the user would recognise.
    pub fn add(&mut self, shown: &Path, text: &str) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        let lines = split_lines(text);
        self.files.push(SourceFile {
            shown: shown.to_path_buf(),
            lines,
            masks: Vec::new(),
        });
        id
    }

    /// The path that the user would recognise.
    pub fn shown(&self, file: FileId) -> &Path {
        self.file(file)
            .map_or_else(|| Path::new("?"), |f| f.shown.as_path())
    }

    /// `file:line:column`, for messages that name a second place.
    pub fn locate(&self, place: Place) -> String {
        let shown = self.shown(place.file).display();
        if place.line == 0 {
            return shown.to_string();
        }
        format!("{shown}:{}:{}", place.line, place.column)
    }

    /// From now on no snippet shows this place.
    pub fn mask(&mut self, place: Place) {
        if let Some(file) = self.files.get_mut(place.file.0 as usize) {
            file.masks.push(place);
        }
    }

    /// One line of a file without its line break, `line` counted from 1.
    pub fn line(&self, file: FileId, line: u32) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        self.file(file)?.lines.get(index).map(String::as_str)
    }

    /// The line of `place`, secrets masked, with a caret under the place. `strict` is for files
    /// that could not be parsed, where nothing is known about where secrets are.
    pub fn snippet(&self, place: Place, strict: bool) -> Option<Snippet> {
        let file = self.file(place.file)?;
        let index = usize::try_from(place.line).ok()?.checked_sub(1)?;
        let line = file.lines.get(index)?;
        let chars: Vec<char> = line.chars().collect();
        let mut hidden = if strict {
            mask::hidden_strictly(&file.lines, index)
        } else {
            mask::hidden(&file.lines, index)
        };
        hidden.resize(chars.len(), false);
        for masked in &file.masks {
            if masked.line > place.line || masked.end_line < place.line {
                continue;
            }
            let from = if masked.line == place.line {
                masked.column.saturating_sub(1)
            } else {
                0
            };
            let to = if masked.end_line == place.line {
                masked.end_column.saturating_sub(1)
            } else {
                u32::MAX
            };
            for (column, flag) in hidden.iter_mut().enumerate() {
                *flag |= column >= from as usize && column < to as usize;
            }
        }
        let start = (place.column.saturating_sub(1) as usize).min(chars.len());
        let end = if place.end_line == place.line {
            (place.end_column.saturating_sub(1) as usize).clamp(start, chars.len())
        } else {
            line.trim_end().chars().count().max(start)
        };
        Some(window(&drawn(&chars, &hidden, start, end)))
    }

    fn file(&self, file: FileId) -> Option<&SourceFile> {
        self.files.get(file.0 as usize)
    }
}

/// Line breaks are those of YAML 1.2: LF, CR LF, CR.
fn split_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\r']) {
        lines.push(rest[..at].to_owned());
        let after = if rest[at..].starts_with("\r\n") {
            at + 2
        } else {
            at + 1
        };
        rest = &rest[after..];
    }
    lines.push(rest.to_owned());
    lines
}

/// Replaces hidden runs by `***` and control characters by a dot, and finds the caret again.
fn drawn(chars: &[char], hidden: &[bool], start: usize, end: usize) -> Snippet {
    let mut text = String::new();
    let mut length = 0_usize;
    let (mut caret, mut caret_end) = (None, None);
    for (column, character) in chars.iter().enumerate() {
        if column == start {
            caret = Some(length);
        }
        if column == end {
            caret_end = Some(length);
        }
        let is_hidden = hidden.get(column).copied().unwrap_or(false);
        if is_hidden {
            let first = column == 0 || !hidden.get(column - 1).copied().unwrap_or(false);
            if first {
                text.push_str("***");
                length += 3;
            }
            continue;
        }
        // a terminal must not be steered by a file; a tab would move the caret
        text.push(match character {
            '\t' => ' ',
            c if c.is_control() => '·',
            c => *c,
        });
        length += 1;
    }
    let caret = caret.unwrap_or(length);
    let width = caret_end.unwrap_or(length).saturating_sub(caret).max(1);
    Snippet { text, caret, width }
}

fn window(whole: &Snippet) -> Snippet {
    let length = whole.text.chars().count();
    if length <= WIDEST {
        let text = whole.text.trim_end().to_owned();
        return Snippet {
            text,
            ..whole.clone()
        };
    }
    let from = whole.caret.saturating_sub(WIDEST / 2).min(length - WIDEST);
    let mut text: String = whole.text.chars().skip(from).take(WIDEST).collect();
    let mut caret = whole.caret - from;
    if from > 0 {
        text.insert(0, '…');
        caret += 1;
    }
    if from + WIDEST < length {
        text.push('…');
    }
    let room = (WIDEST + 1).saturating_sub(caret).max(1);
    Snippet {
        text,
        caret,
        width: whole.width.min(room),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (Sources, FileId) {
        let mut sources = Sources::default();
        let id = sources.add(Path::new("observe.yaml"), text);
        (sources, id)
    }

    #[test]
    fn a_snippet_points_at_its_place() {
        let (sources, id) = one("a: 1\nbcd: 2\r\ne: 3");
        let place = Place {
            file: id,
            line: 2,
            column: 1,
            end_line: 2,
            end_column: 4,
        };
        let expected = Snippet {
            text: "bcd: 2".into(),
            caret: 0,
            width: 3,
        };
        assert_eq!(sources.snippet(place, false), Some(expected));
        assert_eq!(sources.locate(place), "observe.yaml:2:1");
        assert_eq!(sources.line(id, 3), Some("e: 3"));
    }

    #[test]
    fn a_masked_value_is_not_shown_and_the_caret_stays_on_it() {
        let (mut sources, id) = one("  x: abcdef, y: 1");
        sources.mask(Place {
            file: id,
            line: 1,
            column: 6,
            end_line: 1,
            end_column: 12,
        });
        let place = Place {
            file: id,
            line: 1,
            column: 14,
            end_line: 1,
            end_column: 15,
        };
        let snippet = sources.snippet(place, false).expect("a snippet");
        assert_eq!(snippet.text, "  x: ***, y: 1");
        assert_eq!(snippet.caret, 10);
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let (sources, id) = one(&format!("{}HERE{}", "a ".repeat(200), "b ".repeat(200)));
        let place = Place {
            file: id,
            line: 1,
            column: 401,
            end_line: 1,
            end_column: 405,
        };
        let snippet = sources.snippet(place, false).expect("a snippet");
        assert!(
            snippet.text.chars().count() <= WIDEST + 2,
            "{}",
            snippet.text
        );
        let under: String = snippet
            .text
            .chars()
            .skip(snippet.caret)
            .take(snippet.width)
            .collect();
        assert_eq!(under, "HERE");
    }

    #[test]
    fn places_outside_the_file_do_no_harm() {
        let (sources, id) = one("a");
        assert!(sources.snippet(Place::point(id, 9, 9), false).is_none());
        let snippet = sources
            .snippet(Place::point(id, 1, 90), false)
            .expect("a snippet");
        assert_eq!((snippet.caret, snippet.width), (1, 1));
    }
}
