//! What collectors of many small files share: reading them one after the other, and gathering
//! samples whose families come in any order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use super::CollectError;
use crate::exposition::{Kind, Page};
use crate::node::{Entry, Node, Tree};
use crate::procfs::ParseError;
use crate::procfs::text::{self, quote, trim};

/// Reads files of one tree, one after the other, into one buffer.
pub(super) struct Files<'a> {
    pub node: &'a dyn Node,
    tree: Tree,
    buffer: Vec<u8>,
}

impl<'a> Files<'a> {
    pub fn new(node: &'a dyn Node, tree: Tree) -> Self {
        Self {
            node,
            tree,
            buffer: Vec::new(),
        }
    }

    /// A sysfs attribute, without the blanks at its ends.
    pub fn attribute(&mut self, name: &str) -> Result<&[u8], CollectError> {
        self.node
            .attribute(self.tree, name, None, &mut self.buffer)
            .map_err(|source| self.unreadable(name, source))?;
        Ok(trim(&self.buffer))
    }

    /// A sysfs attribute without line ends around it, but with other blanks.
    pub fn raw_attribute(&mut self, name: &str) -> Result<&[u8], CollectError> {
        self.attribute(name)?;
        let is_text = |byte: &u8| *byte != b'\n';
        let start = self.buffer.iter().position(is_text).unwrap_or(0);
        let end = self
            .buffer
            .iter()
            .rposition(is_text)
            .map_or(start, |at| at + 1);
        Ok(&self.buffer[start..end])
    }

    /// The same as text of its own, bad UTF-8 replaced.
    pub fn label(&mut self, name: &str) -> Result<String, CollectError> {
        self.attribute(name)
            .map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// An attribute with one value in it that `read` understands.
    pub fn attribute_as<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, CollectError> {
        let text = self.attribute(name)?;
        match read(text) {
            Some(value) => Ok(value),
            None => {
                let message = format!("{} is not {expected}", quote(text));
                Err(self.misread(name, 1, message))
            }
        }
    }

    /// A whole file.
    pub fn whole(&mut self, name: &str) -> Result<&[u8], CollectError> {
        self.node
            .read(self.tree, name, &mut self.buffer)
            .map_err(|source| self.unreadable(name, source))?;
        Ok(&self.buffer)
    }

    /// A file with one whole number in it.
    pub fn number(&mut self, name: &str) -> Result<u64, CollectError> {
        self.value(name, "a 64-bit number", text::number)
    }

    /// The same, which may be negative.
    pub fn signed(&mut self, name: &str) -> Result<i64, CollectError> {
        self.value(name, "a whole number", text::signed)
    }

    /// A file with one value in it that `read` understands.
    pub fn value<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, CollectError> {
        let text = trim(self.whole(name)?);
        match read(text) {
            Some(value) => Ok(value),
            None => {
                let message = format!("{} is not {expected}", quote(text));
                Err(self.misread(name, 1, message))
            }
        }
    }

    /// What is in a folder.
    pub fn entries(&self, name: &str) -> Result<Vec<Entry>, CollectError> {
        self.node
            .entries(self.tree, name)
            .map_err(|source| self.unreadable(name, source))
    }

    /// Names in a folder that begin with this and a digit; none if the folder is missing.
    pub fn numbered(&self, folder: &str, prefix: &str) -> Vec<String> {
        let names = self.node.list(self.tree, folder).unwrap_or_default();
        names
            .into_iter()
            .filter(|name| {
                name.strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            })
            .collect()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.node.path(self.tree, name).exists()
    }

    pub fn misread(&self, name: &str, line: usize, message: impl Into<String>) -> CollectError {
        CollectError::Parse {
            path: self.node.path(self.tree, name),
            source: ParseError::new(line, message),
        }
    }

    pub fn parsed<T>(&self, name: &str, result: Result<T, ParseError>) -> Result<T, CollectError> {
        super::parsed(self.node, self.tree, name, result)
    }

    fn unreadable(&self, name: &str, source: io::Error) -> CollectError {
        CollectError::Read {
            path: self.node.path(self.tree, name),
            source,
        }
    }
}

/// Turns "it is not there" into nothing.
pub(super) fn if_there<T>(result: Result<T, CollectError>) -> Result<Option<T>, CollectError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Samples by family, for collectors that come by them device by device.
#[derive(Default)]
pub(super) struct Rows {
    families: BTreeMap<Cow<'static, str>, Gathered>,
}

struct Gathered {
    help: Cow<'static, str>,
    kind: Kind,
    samples: Vec<(Labels, f64)>,
}

type Labels = Vec<(String, Vec<u8>)>;

impl Rows {
    /// Adds a sample. Of two help texts for one family the first stays, as does the first type.
    pub fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        kind: Kind,
        labels: &[(&str, &[u8])],
        value: f64,
    ) {
        let mut labels: Labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
            .collect();
        labels.sort();
        self.families
            .entry(name.into())
            .or_insert_with(|| Gathered {
                help: help.into(),
                kind,
                samples: Vec::new(),
            })
            .samples
            .push((labels, value));
    }

    pub fn gauge(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        labels: &[(&str, &[u8])],
        value: f64,
    ) {
        self.add(name, help, Kind::Gauge, labels, value);
    }

    pub fn counter(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        labels: &[(&str, &[u8])],
        value: f64,
    ) {
        self.add(name, help, Kind::Counter, labels, value);
    }

    pub fn write(&self, page: &mut Page) {
        for (name, family) in &self.families {
            let mut out = page.family(name, &family.help, family.kind);
            for (labels, value) in &family.samples {
                let labels: Vec<(&str, &[u8])> = labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_slice()))
                    .collect();
                out.sample(&labels, *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::merge;

    #[test]
    fn rows_are_written_by_family_with_their_labels_in_order() {
        let mut rows = Rows::default();
        rows.gauge("b", "B.", &[("z", b"1"), ("a", b"2")], 1.0);
        rows.counter("a_total", "A.", &[], 2.0);
        rows.gauge("b", "Another.", &[("z", b"1"), ("a", b"1")], 3.0);
        let mut page = Page::default();
        rows.write(&mut page);
        let mut out = Vec::new();
        merge([&page], &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "# HELP a_total A.\n# TYPE a_total counter\na_total 2\n# HELP b B.\n# TYPE b gauge\n\
             b{a=\"1\",z=\"1\"} 3\nb{a=\"2\",z=\"1\"} 1\n"
        );
    }
}
