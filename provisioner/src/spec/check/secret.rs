//! References to secrets. A secret written out is refused without being shown.

use super::{Checker, hide, join};
use crate::spec::diagnostic::quoted;
use crate::spec::format::{Format, is_env_name};
use crate::spec::mask::looks_like_a_secret;
use crate::spec::schema::Kind;
use crate::spec::source::Place;
use crate::spec::suggest::nearest;
use crate::spec::tree::{Node, Sort, Value};

const WRITE: &str = "write { env: NAME } or { file: PATH }, and put the value there";

/// Is the text of `env:` or `file:` a secret itself? People paste the key where its name belongs.
pub(super) fn is_literal(key: &str, text: &str) -> bool {
    match key {
        // a name has words, a key has not
        "env" => !is_env_name(text) || (looks_like_a_secret(text) && !text.contains('_')),
        "file" | "vault" => {
            text.contains("://") || looks_like_a_secret(text) && !text.contains('/')
        }
        _ => false,
    }
}

impl Checker<'_> {
    pub(super) fn secret(&mut self, node: &Node, path: &str, at: Place) {
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Scalar(scalar) if scalar.sort == Sort::Null => {
                let message = format!("`{path}` has no value");
                self.findings.error("wrong-type", at, message).help(WRITE);
                self.findings.mark_broken(path);
                return;
            }
            _ => {
                self.literal(node, path, node.place);
                return;
            }
        };
        let sources = ["env", "file", "vault"];
        for entry in entries {
            let key = entry.key.as_str();
            match key {
                "env" | "file" => self.source(&entry.value, key, path),
                "rotation" => {
                    let kind = Kind::Integer {
                        min: 0,
                        max: i64::from(u32::MAX),
                    };
                    self.value(&entry.value, &kind, &join(path, key), entry.key_place);
                }
                "vault" => {
                    hide::by_name(&entry.value, self.findings);
                    let message =
                        "`vault` is part of observe.kai/v1 but not implemented in this build";
                    self.findings
                        .error("not-implemented", entry.key_place, message)
                        .help("write { env: NAME } or { file: PATH }");
                    self.findings.mark_broken(path);
                }
                _ => {
                    hide::all(&entry.value, self.findings);
                    self.findings.mark_broken(path);
                    let meant = nearest(key, ["env", "file", "rotation"]);
                    if let Some(meant) = meant {
                        let message = format!("unknown key {} in `{path}`", quoted(key));
                        self.findings
                            .error("unknown-key", entry.key_place, message)
                            .help(format!("did you mean `{meant}`?"));
                    } else {
                        self.findings.mask(entry.key_place);
                        self.literal(&entry.value, path, entry.key_place);
                    }
                }
            }
        }
        let given: Vec<_> = entries
            .iter()
            .filter(|e| sources.contains(&e.key.as_str()))
            .collect();
        let part = self.overlay || self.completeness == super::Completeness::Part;
        if let [first, second, ..] = given[..] {
            let message = format!("`{path}` has both `{}` and `{}`", first.key, second.key);
            self.findings
                .error("bad-value", second.key_place, message)
                .help("keep one of them");
            self.findings.mark_broken(path);
        } else if given.is_empty() && !part && !self.findings.is_broken(path) {
            let message = format!("`{path}` does not say where the secret is");
            self.findings.error("missing-key", at, message).help(WRITE);
            self.findings.mark_broken(path);
        }
    }

    fn source(&mut self, node: &Node, key: &str, path: &str) {
        let inner = join(path, key);
        let text = node.text();
        if text.is_some_and(|text| is_literal(key, text)) {
            self.literal(node, path, node.place);
            return;
        }
        let format = if key == "env" {
            Format::EnvName
        } else {
            Format::OneLine
        };
        self.value(node, &Kind::Text(format), &inner, node.place);
        if self.findings.is_broken(&inner) {
            hide::all(node, self.findings);
            self.findings.mark_broken(path);
        }
    }

    fn literal(&mut self, node: &Node, path: &str, place: Place) {
        hide::all(node, self.findings);
        self.findings.mask(place);
        self.findings.mark_broken(path);
        if path.rsplit('.').next() == Some("slack")
            && node.text().is_some_and(|t| t.starts_with('#'))
        {
            let message = format!(
                "`{path}`: a Slack channel by its name is part of observe.kai/v1 but not \
                 implemented in this build"
            );
            self.findings
                .error("not-implemented", place, message)
                .help("write { env: NAME } or { file: PATH } of an incoming webhook's address");
            return;
        }
        let message = format!("literal secret in `{path}`; the value is not shown");
        self.findings
            .error("literal-secret", place, message)
            .help(WRITE);
    }
}
