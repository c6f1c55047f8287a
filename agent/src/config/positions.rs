//! Where each setting stands in a YAML text, by its path. serde forgets positions, but an
//! operator wants the line.

use std::collections::HashMap;

use kai_contract::agent_config::Problem;
use saphyr_parser::{Event, Parser};

use super::Located;

/// Deeper files are refused: no setting is that deep, and recursion must end.
const DEEPEST: usize = 16;

/// A key of a map and where it stands.
#[derive(Debug)]
pub struct Key {
    pub parent: Vec<String>,
    pub name: String,
    pub line: usize,
    pub column: usize,
    /// Line of the same key given before.
    pub twin: Option<usize>,
}

impl Key {
    pub fn path(&self) -> String {
        let mut path = self.parent.join(".");
        if !path.is_empty() {
            path.push('.');
        }
        path + &self.name
    }
}

/// All keys, and the place of every value by its path (`applications.booking.url`, `rotate.0`).
#[derive(Debug, Default)]
pub struct Positions {
    keys: Vec<Key>,
    values: HashMap<String, (usize, usize)>,
}

/// An open map or list.
enum Level {
    Map { key: Option<String> },
    List { next: usize },
}

impl Positions {
    /// Reads the text; broken YAML is the one problem that is returned.
    pub fn of(text: &str) -> Result<Self, Located> {
        let whole = |line, column, message: String| Located {
            line,
            column,
            path: String::new(),
            message,
        };
        let mut positions = Self::default();
        let mut levels: Vec<Level> = Vec::new();
        let mut documents = 0;
        let mut content = false;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let marker = error.marker();
                whole(
                    marker.line(),
                    marker.col() + 1,
                    format!("not YAML: {}", error.info()),
                )
            })?;
            let place = (span.start.line(), span.start.col() + 1);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let message =
                            "a second document begins here; one file is one configuration";
                        return Err(whole(place.0, place.1, message.to_owned()));
                    }
                }
                Event::MappingEnd | Event::SequenceEnd => {
                    levels.pop();
                    positions.value_ends(&mut levels);
                }
                Event::MappingStart(..) | Event::SequenceStart(..) => {
                    content = true;
                    if levels.len() >= DEEPEST {
                        return Err(whole(place.0, place.1, "nested too deeply".to_owned()));
                    }
                    positions.value_begins(&levels, place);
                    levels.push(match event {
                        Event::MappingStart(..) => Level::Map { key: None },
                        _ => Level::List { next: 0 },
                    });
                }
                Event::Scalar(value, ..) => {
                    content |= !value.is_empty();
                    positions.scalar(&mut levels, &value, place);
                }
                Event::Alias(_) => {
                    positions.value_begins(&levels, place);
                    positions.value_ends(&mut levels);
                }
                _ => {}
            }
        }
        if !content {
            let message = "the file is empty; the least is two lines, `version: 1` and \
                           `listen: 127.0.0.1:9180`";
            return Err(whole(1, 1, message.to_owned()));
        }
        Ok(positions)
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Adds a problem's place: its setting's, or that of the nearest one around it.
    pub fn locate(&self, problem: Problem) -> Located {
        let mut path = problem.path.as_str();
        let (line, column) = loop {
            if let Some(place) = self.values.get(path) {
                break *place;
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => break (0, 0),
            }
        };
        Located {
            line,
            column,
            path: problem.path,
            message: problem.message,
        }
    }

    fn scalar(&mut self, levels: &mut [Level], value: &str, place: (usize, usize)) {
        let parent = path_of(levels);
        if let Some(Level::Map { key: key @ None }) = levels.last_mut() {
            *key = Some(value.to_owned());
            let twin = self
                .keys
                .iter()
                .find(|known| known.name == value && known.parent == parent)
                .map(|known| known.line);
            self.keys.push(Key {
                parent,
                name: value.to_owned(),
                line: place.0,
                column: place.1,
                twin,
            });
            return;
        }
        self.value_begins(levels, place);
        self.value_ends(levels);
    }

    fn value_begins(&mut self, levels: &[Level], place: (usize, usize)) {
        self.values
            .entry(path_of(levels).join("."))
            .or_insert(place);
    }

    #[expect(clippy::unused_self, reason = "the counterpart of value_begins")]
    fn value_ends(&self, levels: &mut [Level]) {
        match levels.last_mut() {
            Some(Level::Map { key }) => *key = None,
            Some(Level::List { next }) => *next += 1,
            None => {}
        }
    }
}

/// The path of the value that comes next.
fn path_of(levels: &[Level]) -> Vec<String> {
    levels
        .iter()
        .filter_map(|level| match level {
            Level::Map { key } => key.clone(),
            Level::List { next } => Some(next.to_string()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_of_keys_and_values() {
        let text = "a: 1\nb:\n  c: [x, {d: 2}]\n  c: 3\n";
        let positions = Positions::of(text).unwrap();
        let at = |path: &str| positions.values.get(path).copied();
        assert_eq!(at("a"), Some((1, 4)));
        assert_eq!(at("b"), Some((3, 3)));
        assert_eq!(at("b.c.1.d"), Some((3, 14)));
        let keys: Vec<_> = positions
            .keys()
            .iter()
            .map(|k| (k.path(), k.line, k.twin))
            .collect();
        assert_eq!(
            keys,
            [
                ("a".to_owned(), 1, None),
                ("b".to_owned(), 2, None),
                ("b.c".to_owned(), 3, None),
                ("b.c.1.d".to_owned(), 3, None),
                ("b.c".to_owned(), 4, Some(3)),
            ]
        );
        let nearest = positions.locate(Problem::new("b.c.1.nothing", "m"));
        assert_eq!((nearest.line, nearest.column), (3, 10));
    }

    #[test]
    fn what_is_no_configuration() {
        let message = |text: &str| Positions::of(text).unwrap_err().message;
        assert!(message("# only a remark\n").contains("empty"));
        assert!(message("a: 1\n---\nb: 2\n").contains("second document"));
        assert!(message(&"[".repeat(40)).contains("too deeply"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-c:{}\\[\\], \n'\"&*!|>-]{0,60}") {
            let _ = Positions::of(&text);
        }
    }
}
