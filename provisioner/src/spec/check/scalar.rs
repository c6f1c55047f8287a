//! Checks of single values: strings and their formats, numbers, durations, words of a list.

use super::{Checker, field_at, hide};
use crate::spec::diagnostic::quoted;
use crate::spec::duration;
use crate::spec::format::Format;
use crate::spec::schema::{Kind, list};
use crate::spec::source::Place;
use crate::spec::suggest::nearest;
use crate::spec::tree::{Node, Scalar, Sort, Value};

impl Checker<'_> {
    pub(super) fn scalar(&mut self, node: &Node, kind: &Kind, path: &str, at: Place) {
        if matches!(kind, Kind::Text(Format::Unseen)) {
            hide::all(node, self.findings);
        }
        let Value::Scalar(scalar) = &node.value else {
            hide::by_name(node, self.findings);
            self.wrong_type(node, kind, path, None);
            return;
        };
        if scalar.sort == Sort::Null {
            if !matches!(kind, Kind::Scalar) {
                let help = field_at(path)
                    .map(|f| format!("write it as in `{}: {}`, or remove it", f.name, f.example));
                let message = format!("`{path}` has no value");
                self.findings.error("wrong-type", at, message).maybe(help);
                self.findings.mark_broken(path);
            }
            return;
        }
        match kind {
            Kind::Text(format) => self.text(node, scalar, *format, kind, path),
            Kind::Bool => self.boolean(node, scalar, kind, path),
            Kind::Integer { min, max } => self.integer(node, scalar, *min, *max, kind, path),
            Kind::Number { min, max } => self.number(node, scalar, *min, *max, kind, path),
            Kind::Duration { zero } => self.duration(node, scalar, *zero, path),
            Kind::Enum { values, reserved } => {
                self.choice(node, scalar, values, reserved, kind, path);
            }
            _ => {}
        }
    }

    fn text(&mut self, node: &Node, scalar: &Scalar, format: Format, kind: &Kind, path: &str) {
        if scalar.sort != Sort::Text {
            let shown = quoted(&scalar.text);
            let help = if matches!(format, Format::Unseen) {
                "put it in quotes".to_owned()
            } else {
                format!("put it in quotes: {shown}")
            };
            self.wrong_type(node, kind, path, Some(help));
            return;
        }
        if let Err(wrong) = format.check(&scalar.text) {
            self.findings.mark_broken(path);
            if wrong.secret {
                self.findings.mask(node.place);
                let message = format!("`{path}` holds a literal secret: the value {}", wrong.what);
                self.findings
                    .error("literal-secret", node.place, message)
                    .maybe(wrong.help);
                return;
            }
            let message = format!("`{path}`: {} {}", quoted(&scalar.text), wrong.what);
            self.findings
                .error("bad-value", node.place, message)
                .maybe(wrong.help);
        }
    }

    fn boolean(&mut self, node: &Node, scalar: &Scalar, kind: &Kind, path: &str) {
        if scalar.sort == Sort::Bool {
            return;
        }
        let help = match scalar.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "1" | "true" => Some("write true".to_owned()),
            "no" | "off" | "n" | "0" | "false" => Some("write false".to_owned()),
            _ => None,
        };
        self.wrong_type(node, kind, path, help);
    }

    fn integer(
        &mut self,
        node: &Node,
        scalar: &Scalar,
        min: i64,
        max: i64,
        kind: &Kind,
        path: &str,
    ) {
        let number = scalar.text.parse::<i64>();
        if scalar.sort != Sort::Int {
            let help = number.is_ok().then(|| "remove the quotes".to_owned());
            self.wrong_type(node, kind, path, help);
            return;
        }
        if !number.is_ok_and(|n| (min..=max).contains(&n)) {
            let message = format!("`{path}`: {} is out of range", scalar.text);
            let help = format!("write {}", kind.words());
            self.findings
                .error("bad-value", node.place, message)
                .help(help);
            self.findings.mark_broken(path);
        }
    }

    fn number(
        &mut self,
        node: &Node,
        scalar: &Scalar,
        min: f64,
        max: f64,
        kind: &Kind,
        path: &str,
    ) {
        let number = scalar.text.parse::<f64>();
        if !matches!(scalar.sort, Sort::Int | Sort::Float) {
            let percent = scalar
                .text
                .strip_suffix('%')
                .and_then(|share| share.trim().parse::<f64>().ok());
            let help = match percent {
                Some(share) => Some(format!("write {}", share / 100.0)),
                None => number.is_ok().then(|| "remove the quotes".to_owned()),
            };
            self.wrong_type(node, kind, path, help);
            return;
        }
        if !number.is_ok_and(|n| (min..=max).contains(&n)) {
            let message = format!("`{path}`: {} is out of range", scalar.text);
            let help = format!("write {}", kind.words());
            self.findings
                .error("bad-value", node.place, message)
                .help(help);
            self.findings.mark_broken(path);
        }
    }

    fn duration(&mut self, node: &Node, scalar: &Scalar, zero: bool, path: &str) {
        let text = scalar.text.as_str();
        match duration::parse(text) {
            Some(duration) if zero || !duration.is_zero() => {}
            Some(_) => {
                let help = field_at(path).map(|f| format!("write for example {}", f.example));
                let message = format!("`{path}` must be longer than zero");
                self.findings
                    .error("bad-value", node.place, message)
                    .maybe(help);
                self.findings.mark_broken(path);
            }
            None => {
                let units = "units are ms, s, m, h, d, w, y, large ones first, as in 1h30m";
                let help = match duration::guess(text) {
                    Some(meant) => format!("write {meant}; {units}"),
                    None => units.to_owned(),
                };
                let message = format!("`{path}`: {} is not a duration", quoted(text));
                self.findings
                    .error("wrong-unit", node.place, message)
                    .help(help);
                self.findings.mark_broken(path);
            }
        }
    }

    fn choice(
        &mut self,
        node: &Node,
        scalar: &Scalar,
        values: &[&str],
        reserved: &[&str],
        kind: &Kind,
        path: &str,
    ) {
        let text = scalar.text.as_str();
        if scalar.sort != Sort::Text {
            self.wrong_type(node, kind, path, Some(format!("write {}", kind.words())));
            return;
        }
        if values.contains(&text) {
            return;
        }
        self.findings.mark_broken(path);
        if reserved.contains(&text) {
            let message = format!(
                "`{path}`: `{text}` is part of observe.kai/v1 but not implemented in this build"
            );
            let help = format!("write {}", kind.words());
            self.findings
                .error("not-implemented", node.place, message)
                .help(help);
            return;
        }
        let help = match nearest(text, values.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`? Known: {}", list(values)),
            None => format!("write {}", kind.words()),
        };
        let message = format!("`{path}`: {} is not known", quoted(text));
        self.findings
            .error("bad-value", node.place, message)
            .help(help);
    }
}
