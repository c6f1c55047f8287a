//! Bytes in, a positioned tree out. One document, UTF-8, no duplicate keys, no merge keys, aliases
//! only as far as their copies stay small. All of this is refused with a place and a way out.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::diagnostic::{Findings, quoted};
use super::source::{FileId, Place};
use super::tree::{Entry, Node, Scalar, Sort, Style, Value};

/// Values in one file, copies made by aliases included ("billion laughs").
const MAX_NODES: usize = 50_000;
/// Maps and lists inside one another; the schema needs ten.
const MAX_DEPTH: usize = 40;

/// Parses one document. `None` when the file could not be understood; then `findings` says why.
/// Duplicate keys are reported and the first is kept, so that the rest can still be checked.
/// `name` is the file's name in messages that point at a second place.
pub fn parse(file: FileId, name: &str, text: &str, findings: &mut Findings) -> Option<Node> {
    let mut builder = Builder {
        file,
        name,
        findings,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        documents: 0,
        root: None,
    };
    let mut parser = Parser::new_from_str(text);
    loop {
        match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => {
                if builder.event(event, span).is_err() {
                    return None;
                }
            }
            Some(Err(error)) => {
                let marker = *error.marker();
                let place = Place::point(file, at(marker.line()), at(marker.col() + 1));
                let (message, help) = explain(error.info(), text, marker.line());
                builder.findings.error("syntax", place, message).maybe(help);
                return None;
            }
        }
    }
    let whole = Place::point(file, 1, 1);
    Some(builder.root.unwrap_or_else(|| Node::null(whole)))
}

/// The scanner's words, and a hint for what people really did.
fn explain(info: &str, text: &str, line: usize) -> (String, Option<String>) {
    let current = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let indent: String = current.chars().take_while(|c| c.is_whitespace()).collect();
    if indent.contains('\t') || info.contains("tab") {
        let help = "indent with spaces; YAML does not allow tabs there".to_owned();
        return (
            "a tab is used where YAML needs spaces".to_owned(),
            Some(help),
        );
    }
    if info.contains("recursion limit") {
        let help = "no part of a spec is that deep".to_owned();
        return (
            "too many maps and lists inside one another".to_owned(),
            Some(help),
        );
    }
    let help = if info.contains("mapping values are not allowed") {
        Some("quote a value that contains `: `, or check the indentation of this line")
    } else if info.contains("flow mapping") || info.contains("flow sequence") {
        Some("a `{` or `[` before this place is not closed, or a comma is missing")
    } else if info.contains("simple key expect") {
        Some("a key needs `: ` after it")
    } else if info.contains("quoted scalar") {
        Some("a quote is not closed, or holds an escape that YAML does not know")
    } else if info.contains("unknown anchor") {
        Some("`*name` needs `&name` before it; quote a value that starts with `*`")
    } else if info.contains("expected key") || info.contains("indentation") {
        Some("check the indentation of this line against the lines above it")
    } else if info.contains("cannot start any token") || info.contains("unexpected character") {
        Some("quote a value that starts with this character")
    } else {
        None
    };
    (format!("not valid YAML: {info}"), help.map(str::to_owned))
}

fn at(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A collection that is being read.
struct Open {
    start: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<String, usize>,
        key: Option<(String, Place, Fate)>,
        /// What merge keys would bring: refused, but kept, so that it is not missing as well.
        merged: Vec<Entry>,
    },
}

/// What becomes of a key's value.
enum Fate {
    Keep,
    Merge,
    Drop,
}

/// The document cannot be used; the reason has been recorded.
struct Stop;

struct Builder<'a> {
    file: FileId,
    name: &'a str,
    findings: &'a mut Findings,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn place(&self, span: Span) -> Place {
        Place {
            file: self.file,
            line: at(span.start.line()),
            column: at(span.start.col() + 1),
            end_line: at(span.end.line()),
            end_column: at(span.end.col() + 1),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let place = self.place(span);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents == 2 {
                    self.findings
                        .error("syntax", place, "a second document starts here")
                        .help("one file holds one document; remove the `---` or use another file");
                    return Err(Stop);
                }
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text, style, tag, place);
                self.count(1, place)?;
                self.finish(node, anchor);
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "seq", place);
                self.start(place, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "map", place);
                let content = Content::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.start(place, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let place = Place {
                    end_line: place.end_line,
                    end_column: place.end_column,
                    ..open.start
                };
                let value = match open.content {
                    Content::List(items) => Value::List(items),
                    Content::Map {
                        mut entries,
                        seen,
                        merged,
                        ..
                    } => {
                        entries.extend(merged.into_iter().filter(|e| !seen.contains_key(&e.key)));
                        Value::Map(entries)
                    }
                };
                self.finish(Node { place, value }, open.anchor);
                Ok(())
            }
        }
    }

    fn start(&mut self, place: Place, anchor: usize, content: Content) -> Result<(), Stop> {
        self.refuse_collection_as_key(place)?;
        self.count(1, place)?;
        if self.open.len() >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} maps and lists inside one another");
            self.findings
                .error("syntax", place, message)
                .help("no part of a spec is that deep");
            return Err(Stop);
        }
        self.open.push(Open {
            start: place,
            anchor,
            content,
        });
        Ok(())
    }

    fn count(&mut self, more: usize, place: Place) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MAX_NODES {
            let message = format!("the file holds more than {MAX_NODES} values, aliases included");
            self.findings
                .error("too-large", place, message)
                .help("split it with `include:`, or write out what the aliases repeat");
            return Err(Stop);
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Stop> {
        self.refuse_collection_as_key(place)?;
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            self.findings
                .error(
                    "syntax",
                    place,
                    "this alias refers to the value that it is part of",
                )
                .help("write the value out");
            return Err(Stop);
        };
        self.count(node.size(), place)?;
        self.finish(node, 0);
        Ok(())
    }

    /// True when the next node is a key.
    fn at_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                content: Content::Map { key: None, .. },
                ..
            })
        )
    }

    fn refuse_collection_as_key(&mut self, place: Place) -> Result<(), Stop> {
        if !self.at_key() {
            return Ok(());
        }
        self.findings
            .error(
                "syntax",
                place,
                "a key must be a plain text, not a map, a list or an alias",
            )
            .help("quote a value that starts with `{`, `[` or `*`");
        Err(Stop)
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<Cow<'_, Tag>>,
        place: Place,
    ) -> Node {
        let plain = style == ScalarStyle::Plain;
        let mut sort = if plain {
            Sort::of_plain(&text)
        } else {
            Sort::Text
        };
        if let Some(tag) = tag {
            match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
                (true, "str") => sort = Sort::Text,
                (true, "int" | "bool" | "float" | "null") => sort = Sort::of_plain(&text),
                _ => self.unknown_tag(place),
            }
        }
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        Node {
            place,
            value: Value::Scalar(Scalar {
                text: text.into_owned(),
                style,
                sort,
            }),
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, own: &str, place: Place) {
        if tag.is_some_and(|tag| !(tag.is_yaml_core_schema() && tag.suffix == own)) {
            self.unknown_tag(place);
        }
    }

    fn unknown_tag(&mut self, place: Place) {
        self.findings
            .error("syntax", place, "this YAML tag is not known here")
            .help("remove the word that starts with `!`; quote a value that starts with `!`");
    }

    /// A node is complete: it becomes a key, a value, an item or the document.
    fn finish(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                seen,
                key,
                merged,
            } => match key.take() {
                None => {
                    let fate = key_fate(&node, entries, seen, self.name, self.findings);
                    *key = Some((node.text_of_key(), node.place, fate));
                }
                Some((name, key_place, Fate::Keep)) => {
                    seen.insert(name.clone(), entries.len());
                    entries.push(Entry {
                        key: name,
                        key_place,
                        value: node,
                    });
                }
                Some((_, _, Fate::Merge)) => {
                    if let Value::Map(more) = node.value {
                        merged.extend(more);
                    }
                }
                // not part of the tree any more, so nothing else would mask what is in it
                Some((_, _, Fate::Drop)) => self.findings.mask(node.place),
            },
        }
    }
}

/// What becomes of the value of this key, and a finding when that is not to be kept.
fn key_fate(
    key: &Node,
    entries: &[Entry],
    seen: &HashMap<String, usize>,
    file: &str,
    findings: &mut Findings,
) -> Fate {
    let text = key.text_of_key();
    if text == "<<" && key.scalar().is_some_and(|s| s.style == Style::Plain) {
        findings
            .error(
                "merge-key",
                key.place,
                "merge keys (`<<`) are not supported",
            )
            .help("write the keys out; per-environment changes go to `environments`");
        return Fate::Merge;
    }
    let Some(first) = seen.get(&text).and_then(|index| entries.get(*index)) else {
        return Fate::Keep;
    };
    let (line, column) = (first.key_place.line, first.key_place.column);
    let help = format!("the first is at {file}:{line}:{column}; keep one of them");
    let message = format!("key {} is written twice", quoted(&text));
    findings
        .error("duplicate-key", key.place, message)
        .help(help);
    Fate::Drop
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::source::Sources;
    use super::*;

    fn read(text: &str) -> (Option<Node>, String) {
        let mut sources = Sources::default();
        let file = sources.add(Path::new("x.yaml"), text);
        let mut findings = Findings::default();
        let node = parse(file, "x.yaml", text, &mut findings);
        (node, findings.into_diagnostics(&mut sources).to_string())
    }

    #[test]
    fn places_are_those_of_the_file() {
        let (node, _) = read("a:\n  b: [x, 'y z']\n  c: |\n    one\n    two\n");
        let node = node.expect("a tree");
        let at = |path: &[&str]| {
            let p = node.find(path).expect("a value").place;
            (p.line, p.column, p.end_line, p.end_column)
        };
        assert_eq!(at(&["a", "b", "0"]), (2, 7, 2, 8));
        assert_eq!(at(&["a", "b", "1"]), (2, 10, 2, 15));
        assert_eq!(at(&["a", "c"]), (4, 5, 6, 1));
        assert_eq!(
            node.find(&["a", "c"]).and_then(Node::text),
            Some("one\ntwo\n")
        );
        let key = node
            .get("a")
            .and_then(|a| a.entry("c"))
            .expect("c")
            .key_place;
        assert_eq!((key.line, key.column, key.end_column), (3, 3, 4));
    }

    #[test]
    fn aliases_are_copied_and_bounded() {
        let (node, _) = read("a: &x { k: 1 }\nb: *x\n");
        assert_eq!(
            node.expect("a tree").find(&["b", "k"]).and_then(Node::text),
            Some("1")
        );
        let mut laughs = String::from("a0: &a0 [l, l, l, l, l, l, l, l, l, l]\n");
        for i in 1..9 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            laughs.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        let (node, said) = read(&laughs);
        assert!(node.is_none());
        assert!(said.contains("error[too-large]"), "{said}");
        let (node, said) = read("a: &x [*x]\n");
        assert!(node.is_none());
        assert!(said.contains("part of"), "{said}");
    }

    #[test]
    fn what_yaml_allows_and_a_spec_does_not() {
        for (text, word) in [
            ("a: 1\na: 2\n", "written twice"),
            ("a: 1\n---\nb: 1\n", "second document"),
            ("a: &x {}\nb: { <<: *x }\n", "merge keys"),
            ("? [a]\n: b\n", "a key must be"),
            ("a: !thing x\n", "tag"),
            ("a:\n\tb: 1\n", "tab"),
        ] {
            let (_, said) = read(text);
            assert!(said.contains(word), "{text:?} said {said}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let (node, said) = read(&"[".repeat(5_000));
        assert!(node.is_none());
        assert!(said.contains("inside one another"), "{said}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            if let Ok(text) = super::super::decode::decode(&bytes) {
                let _ = read(text);
            }
        }

        #[test]
        fn no_yamlish_text_makes_it_panic(text in "[-a-c:{}\\[\\],#&*!|>'\"%@` \t\n\r?~<é.0]{0,60}") {
            let _ = read(&text);
        }
    }
}
