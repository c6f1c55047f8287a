//! YAML as Go's library reads it into texts: a plain scalar is what is written (`1.10` stays `1.10`),
//! aliases stand for what they name, `<<` merges. Pure and bounded.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

const DEEPEST: usize = 32;
/// Nodes of one document, those behind aliases counted each time.
const MOST_NODES: usize = 500_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Null,
    Text(String),
    List(Vec<Node>),
    /// In the order of the text.
    Map(Vec<(String, Node)>),
}

enum Open {
    List(Vec<Node>, usize),
    Map(Vec<(String, Node)>, Option<String>, usize),
}

/// The first document of a text; [`Node::Null`] if there is none.
pub fn read(text: &str) -> Result<Node, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Node> = HashMap::new();
    let mut nodes = 0;
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let (line, column) = (marker.line(), marker.col() + 1);
            format!("line {line}, column {column}: not YAML: {}", error.info())
        })?;
        let at = |message: &str| format!("line {}: {message}", span.start.line());
        let done = match event {
            Event::DocumentStart(_) if root.is_some() => return Err(at("a second document")),
            Event::SequenceStart(.., anchor, _) => {
                open.push(Open::List(Vec::new(), anchor));
                None
            }
            Event::MappingStart(.., anchor, _) => {
                open.push(Open::Map(Vec::new(), None, anchor));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list, anchor)) => Some((Node::List(list), anchor)),
                Some(Open::Map(map, _, anchor)) => Some((Node::Map(merged(map)), anchor)),
                None => return Err(at("not YAML")),
            },
            Event::Scalar(value, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*value, "" | "~" | "null" | "Null" | "NULL");
                let node = if null {
                    Node::Null
                } else {
                    Node::Text(value.into_owned())
                };
                Some((node, anchor))
            }
            Event::Alias(anchor) => {
                let node = anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| at("an alias of what is not whole yet"))?;
                nodes += size(&node);
                Some((node, 0))
            }
            _ => None,
        };
        nodes += 1;
        if nodes > MOST_NODES {
            return Err(at("more than is read of one file"));
        }
        if open.len() > DEEPEST {
            return Err(at("nested too deeply"));
        }
        let Some((node, anchor)) = done else { continue };
        if anchor > 0 {
            nodes += size(&node);
            anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            None => root = Some(node),
            Some(Open::List(list, _)) => list.push(node),
            Some(Open::Map(map, key, _)) => match key.take() {
                Some(name) => {
                    if name != "<<" && map.iter().any(|(known, _)| *known == name) {
                        return Err(at(&format!("\"{name}\" is there twice")));
                    }
                    map.push((name, node));
                }
                None => match node {
                    Node::Text(name) => *key = Some(name),
                    _ => return Err(at("a key that is no text")),
                },
            },
        }
    }
    Ok(root.unwrap_or(Node::Null))
}

fn size(node: &Node) -> usize {
    match node {
        Node::Null | Node::Text(_) => 1,
        Node::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Node::Map(map) => 1 + map.iter().map(|(_, node)| 1 + size(node)).sum::<usize>(),
    }
}

/// What `<<` names is there unless the map says otherwise.
fn merged(map: Vec<(String, Node)>) -> Vec<(String, Node)> {
    if !map.iter().any(|(name, _)| name == "<<") {
        return map;
    }
    let (merges, mut out): (Vec<_>, Vec<_>) = map.into_iter().partition(|(name, _)| name == "<<");
    let sources = merges.into_iter().flat_map(|(_, node)| match node {
        Node::List(list) => list,
        other => vec![other],
    });
    for source in sources {
        let Node::Map(entries) = source else { continue };
        for (name, node) in entries {
            if !out.iter().any(|(known, _)| *known == name) {
                out.push((name, node));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    #[test]
    fn scalars_are_what_is_written() {
        let node = read("[1.10, 0x10, yes, 'a b', ~, \"\"]").unwrap();
        let wanted = [
            text("1.10"),
            text("0x10"),
            text("yes"),
            text("a b"),
            Node::Null,
            text(""),
        ];
        assert_eq!(node, Node::List(wanted.into()));
        assert_eq!(read("").unwrap(), Node::Null);
    }

    #[test]
    fn aliases_and_merges() {
        let node = read("- &a {x: 1, y: 2}\n- {<<: *a, x: 3}\n").unwrap();
        let Node::List(list) = node else { panic!() };
        assert_eq!(
            list[1],
            Node::Map(vec![("x".into(), text("3")), ("y".into(), text("2"))])
        );
    }

    #[test]
    fn what_would_not_end_is_refused() {
        let mut bomb = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("- &a{level} [{}]\n", aliases.trim_end_matches(", "));
        }
        assert!(read(&bomb).unwrap_err().contains("more than"));
        assert!(read(&"[".repeat(100)).is_err());
        assert!(read("{a: 1, a: 2}").unwrap_err().contains("twice"));
        assert!(read("a: 1\n---\nb: 2\n").unwrap_err().contains("second"));
        assert!(read("{[a]: b}").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\n]{0,80}") {
            let _ = read(&text);
        }
    }
}
