//! Native Prometheus rule files, read with positions. Shape is checked here; what rules mean for
//! the stack (severities, teams, duplicates, PromQL) is checked in `validate`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::check::{self, Completeness};
use super::diagnostic::{Findings, quoted};
use super::files;
use super::format::Format;
use super::schema::Kind;
use super::schema::rule_file::RULE_FILE;
use super::source::{FileId, Place, Sources};
use super::tree::{Node, Style};
use crate::model::{Rule, RuleFile, RuleGroup, RuleKind};

/// One rule file with its tree, so that checks can point into it.
#[derive(Debug)]
pub struct ReadFile {
    pub file: FileId,
    pub tree: Node,
    pub model: RuleFile,
    /// Per rule of `model`, in order: its group there, its index there, and its two indices in the
    /// tree (rules that could not be read are missing from the model).
    places: Vec<[usize; 4]>,
}

/// One rule and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct LocatedRule<'a> {
    pub group: &'a RuleGroup,
    pub rule: &'a Rule,
    pub node: &'a Node,
    pub group_node: &'a Node,
}

impl LocatedRule<'_> {
    /// The alert's or record's name.
    pub fn name(&self) -> &str {
        match &self.rule.kind {
            RuleKind::Alert(name) | RuleKind::Record(name) => name,
        }
    }

    pub fn is_alert(&self) -> bool {
        matches!(self.rule.kind, RuleKind::Alert(_))
    }

    /// Where the name stands.
    pub fn place(&self) -> Place {
        let key = if self.is_alert() { "alert" } else { "record" };
        self.node.nearest_place(&[key])
    }

    /// A label of the rule, else of its group, with its place.
    pub fn label(&self, name: &str) -> Option<(&str, Place)> {
        let of = |node: &Node| node.find(&["labels", name]).map(|n| n.place);
        if let Some(value) = self.rule.labels.get(name) {
            return Some((value, of(self.node).unwrap_or(self.node.place)));
        }
        let value = self.group.labels.get(name)?;
        Some((value, of(self.group_node).unwrap_or(self.group_node.place)))
    }
}

impl ReadFile {
    pub fn rules(&self) -> impl Iterator<Item = LocatedRule<'_>> {
        let groups = self.tree.get("groups").map(Node::items).unwrap_or_default();
        self.places
            .iter()
            .filter_map(move |[group, rule, tree_group, tree_rule]| {
                let group = self.model.groups.get(*group)?;
                let group_node = groups.get(*tree_group)?;
                let rule = group.rules.get(*rule)?;
                let node = group_node.get("rules")?.items().get(*tree_rule)?;
                Some(LocatedRule {
                    group,
                    rule,
                    node,
                    group_node,
                })
            })
    }
}

/// What `alerts.rules` led to.
#[derive(Debug, Default)]
pub struct ReadRules {
    pub files: Vec<ReadFile>,
    /// False when a file could not be read: then a name that is missing may be in it.
    pub complete: bool,
}

/// Reads every file that `alerts.rules` of the merged spec names. `folder` is the folder of the
/// spec as the user wrote it.
pub fn read(
    spec: &Node,
    folder: &Path,
    sources: &mut Sources,
    findings: &mut Findings,
) -> ReadRules {
    let mut seen = BTreeSet::new();
    let mut all = ReadRules {
        files: Vec::new(),
        complete: true,
    };
    let items = spec
        .find(&["alerts", "rules"])
        .map(Node::items)
        .unwrap_or_default();
    for item in items {
        let good = |text: &&str| Format::Glob.check(text).is_ok();
        let Some(pattern) = item.text().filter(good) else {
            continue;
        };
        for shown in files::matching(folder, pattern, item.place, findings) {
            let real = fs::canonicalize(&shown).unwrap_or_else(|_| shown.clone());
            if !seen.insert(real.clone()) {
                continue;
            }
            match files::read_named(&shown, item.place, sources, findings) {
                Some((file, tree)) => {
                    all.files.push(one(file, tree, real, findings));
                }
                None => all.complete = false,
            }
        }
    }
    all
}

fn one(file: FileId, tree: Node, path: PathBuf, findings: &mut Findings) -> ReadFile {
    if tree.is_null() {
        let whole = Place::whole(file);
        findings
            .warning("empty", whole, "the rule file is empty")
            .help("write `groups:` or remove it");
    } else {
        // the paths of a rule file are not those of the spec: marks must not mix
        let mut own = Findings::default();
        check::check(
            &tree,
            &Kind::Object(&RULE_FILE),
            "",
            Completeness::Whole,
            &mut own,
        );
        findings.absorb(own);
    }
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut groups = Vec::new();
    let mut places = Vec::new();
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    for (tree_group, node) in tree
        .get("groups")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let group_name = text(node, "name").unwrap_or_default();
        let place = node.nearest_place(&["name"]);
        if node.get("name").is_some() {
            group_name_is_good(&group_name, place, &mut names, findings);
        }
        let mut rules = Vec::new();
        let items = node.get("rules").map(Node::items).unwrap_or_default();
        for (tree_rule, node) in items.iter().enumerate() {
            if let Some(rule) = rule(node, findings) {
                places.push([groups.len(), rules.len(), tree_group, tree_rule]);
                rules.push(rule);
            }
        }
        groups.push(RuleGroup {
            name: group_name,
            interval: text(node, "interval"),
            query_offset: text(node, "query_offset"),
            limit: text(node, "limit").and_then(|t| t.parse().ok()),
            labels: map(node, "labels"),
            rules,
        });
    }
    ReadFile {
        file,
        tree,
        model: RuleFile { name, path, groups },
        places,
    }
}

fn group_name_is_good(
    name: &str,
    place: Place,
    names: &mut BTreeMap<String, Place>,
    findings: &mut Findings,
) {
    if name.is_empty() {
        findings
            .error("bad-rule", place, "the group has no name")
            .help("write name: …");
    } else if let Some(first) = names.get(name) {
        let message = format!("group {} is written twice in this file", quoted(name));
        let help = format!(
            "the first is at line {}; Prometheus refuses the file",
            first.line
        );
        findings.error("duplicate-group", place, message).help(help);
    } else {
        names.insert(name.to_owned(), place);
    }
}

fn rule(node: &Node, findings: &mut Findings) -> Option<Rule> {
    if node.entries().is_empty() {
        return None;
    }
    let kind = match (text(node, "alert"), text(node, "record")) {
        (Some(_), Some(_)) => {
            let place = node.nearest_place(&["record"]);
            findings
                .error("bad-rule", place, "the rule has both `alert` and `record`")
                .help("make two rules of it");
            return None;
        }
        (None, None) => {
            findings
                .error(
                    "bad-rule",
                    node.place,
                    "the rule has neither `alert` nor `record`",
                )
                .help("add `alert: Name` to raise an alert, `record: a:b:c` to record a series");
            return None;
        }
        (Some(name), None) => RuleKind::Alert(name),
        (None, Some(name)) => {
            recording(node, &name, findings);
            RuleKind::Record(name)
        }
    };
    if let RuleKind::Alert(name) = &kind
        && name.trim().is_empty()
    {
        let place = node.nearest_place(&["alert"]);
        findings
            .error("bad-rule", place, "the alert has no name")
            .help("write alert: Name");
    }
    Some(Rule {
        kind,
        expr: text(node, "expr").unwrap_or_default(),
        labels: map(node, "labels"),
        annotations: map(node, "annotations"),
        hold: text(node, "for"),
        keep_firing_for: text(node, "keep_firing_for"),
    })
}

fn recording(node: &Node, name: &str, findings: &mut Findings) {
    let inside = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
    if name.is_empty() || !inside || name.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!("{} is not a metric name", quoted(name));
        let help = "metric names have letters, digits, `_` and `:`, as in job:up:sum";
        findings
            .error("bad-rule", node.nearest_place(&["record"]), message)
            .help(help);
    }
    for key in ["for", "keep_firing_for", "annotations"] {
        if let Some(entry) = node.entry(key) {
            findings
                .error(
                    "bad-rule",
                    entry.key_place,
                    format!("a recording rule has no `{key}`"),
                )
                .help("remove it; Prometheus refuses the file");
        }
    }
}

/// Prometheus reads null as an empty text.
fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.scalar().map(|s| {
        if s.sort == super::tree::Sort::Null {
            String::new()
        } else {
            s.text.clone()
        }
    })
}

fn map(node: &Node, key: &str) -> BTreeMap<String, String> {
    let entries = node.get(key).map(Node::entries).unwrap_or_default();
    let value = |n: &Node| n.text().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|e| (e.key.clone(), value(&e.value)))
        .collect()
}

/// The place of a character inside a scalar, `offset` and `length` in characters of its text. Where
/// folding or escapes make that unclear, the start of the scalar.
pub fn inside(sources: &Sources, node: &Node, offset: usize, length: usize) -> Place {
    let start = node.place;
    let Some(scalar) = node.scalar() else {
        return start;
    };
    let block = matches!(scalar.style, Style::Literal | Style::Folded);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let opening = start.column.saturating_sub(1) as usize;
    // a block starts at its first line with content; blank lines before it are part of the text
    let blank = if block {
        scalar.text.chars().take_while(|c| *c == '\n').count()
    } else {
        0
    };
    let mut left = offset.saturating_sub(blank);
    let wanted = scalar.text.chars().nth(offset);
    let mut after_blank = false;
    for line_number in start.line..=start.end_line {
        let Some(line) = sources.line(start.file, line_number) else {
            break;
        };
        let first = if block {
            opening
        } else if line_number == start.line {
            opening + usize::from(scalar.style == Style::Quoted)
        } else {
            line.chars().take_while(|c| c.is_whitespace()).count()
        };
        let text: String = line.chars().skip(first).collect();
        let text = if block {
            text.as_str()
        } else {
            text.trim_end()
        };
        // folding turns one line break into a space and drops the first of several
        if scalar.style != Style::Literal && text.is_empty() && !after_blank {
            after_blank = true;
            continue;
        }
        after_blank = text.is_empty();
        let long = text.chars().count();
        if left <= long {
            let found = text.chars().nth(left);
            if found == wanted || (left == long && wanted.is_none_or(char::is_whitespace)) {
                let column = first + left + 1;
                let end = column + length.clamp(1, (long - left).max(1));
                return Place {
                    line: line_number,
                    column: number(column),
                    end_line: line_number,
                    end_column: number(end),
                    ..start
                };
            }
            break;
        }
        left -= long + 1;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    /// The character that `inside` points at.
    fn pointed(yaml: &str, offset: usize) -> Option<char> {
        let mut sources = Sources::default();
        let file = sources.add(Path::new("r.yaml"), yaml);
        let tree = parse(file, "r.yaml", yaml, &mut Findings::default()).expect("YAML");
        let place = inside(&sources, tree.get("expr").expect("expr"), offset, 1);
        sources
            .line(file, place.line)?
            .chars()
            .nth(place.column as usize - 1)
    }

    #[test]
    fn a_place_inside_a_scalar_is_found_in_every_style() {
        for yaml in [
            "expr: ab cd\n",
            "expr: 'ab cd'\n",
            "expr: \"ab cd\"\n",
            "expr: |\n  ab cd\n",
            "expr: |-\n    ab cd\n",
            "expr: >\n  ab\n  cd\n",
            "expr: ab\n  cd\n",
            "expr: 'ab\n  cd'\n",
        ] {
            assert_eq!(pointed(yaml, 0), Some('a'), "{yaml}");
            assert_eq!(pointed(yaml, 3), Some('c'), "{yaml}");
        }
        assert_eq!(pointed("expr: |\n\n  ab\n    cd\n", 6), Some('c'));
        assert_eq!(pointed("expr: >\n  ab\n\n  cd\n", 3), Some('c'));
        // an escape moves what follows: then the scalar's start has to do
        assert_eq!(pointed("expr: \"\\ta c\"\n", 3), Some('"'));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
        #[test]
        fn any_scalar_is_survived(text in "[a-c>|'\" \\n]{0,20}", offset in 0_usize..30, length in 0_usize..30) {
            let yaml = format!("expr: {text}\n");
            let mut sources = Sources::default();
            let file = sources.add(Path::new("r.yaml"), &yaml);
            let tree = parse(file, "r.yaml", &yaml, &mut Findings::default());
            if let Some(node) = tree.as_ref().and_then(|t| t.get("expr")) {
                let _ = sources.snippet(inside(&sources, node, offset, length), true);
            }
        }
    }
}
