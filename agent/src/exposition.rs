//! The Prometheus text format 0.0.4, written straight into reused buffers.
//!
//! Every collector fills its own [`Page`]; [`merge`] interleaves the pages' families by name into
//! one document. The result is byte for byte what client_golang writes for the same samples:
//! families sorted by name, samples by label values, a family without samples left out, a sample
//! that occurs twice written once (client_golang would fail the whole scrape instead).

use std::cmp::Ordering;
use std::ops::Range;

pub mod float;
pub mod open_metrics;

/// `# TYPE` of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Untyped,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Untyped => "untyped",
        }
    }
}

/// Families in the order in which they were written, with an index to sort them by.
#[derive(Debug, Default)]
pub struct Page {
    text: Vec<u8>,
    families: Vec<Indexed>,
    /// Samples of the family being written; kept for its capacity.
    lines: Vec<Range<usize>>,
    /// Where a family's samples are put in order; kept for its capacity.
    scratch: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Indexed {
    name: Range<usize>,
    block: Range<usize>,
}

impl Page {
    pub fn clear(&mut self) {
        self.text.clear();
        self.families.clear();
        self.lines.clear();
    }

    /// Starts a family; it is finished when the returned value is dropped.
    pub fn family(&mut self, name: &str, help: &str, kind: Kind) -> Family<'_> {
        let start = self.text.len();
        self.text.extend_from_slice(b"# HELP ");
        let name_start = self.text.len();
        // Names that stand in the kernel's files may be anything; the format's may not.
        let allowed = |at: usize, c: char| {
            c.is_ascii_alphabetic() || c == '_' || c == ':' || (at > 0 && c.is_ascii_digit())
        };
        if name.char_indices().all(|(at, c)| allowed(at, c)) {
            self.text.extend_from_slice(name.as_bytes());
        } else {
            let fit = |(at, c): (usize, char)| if allowed(at, c) { c as u8 } else { b'_' };
            self.text.extend(name.char_indices().map(fit));
        }
        let name = name_start..self.text.len();
        self.text.push(b' ');
        escape(&mut self.text, help.as_bytes(), false);
        self.text.extend_from_slice(b"\n# TYPE ");
        self.text.extend_from_within(name.clone());
        self.text.push(b' ');
        self.text.extend_from_slice(kind.as_str().as_bytes());
        self.text.push(b'\n');
        self.lines.clear();
        Family {
            start,
            body: self.text.len(),
            name,
            page: self,
        }
    }

    /// A family with one sample that has no labels.
    pub fn single(&mut self, name: &str, help: &str, kind: Kind, value: f64) {
        self.family(name, help, kind).sample(&[], value);
    }

    /// Takes over families that another encoder wrote in this format.
    pub fn append_encoded(&mut self, name: &str, block: &str) {
        let start = self.text.len();
        self.text.extend_from_slice(block.as_bytes());
        let Some(offset) = block.find(name) else {
            self.text.truncate(start);
            return;
        };
        self.families.push(Indexed {
            name: start + offset..start + offset + name.len(),
            block: start..self.text.len(),
        });
    }

    /// Takes over the families of another page.
    pub fn append(&mut self, other: &Self) {
        let offset = self.text.len();
        self.text.extend_from_slice(&other.text);
        let moved = |range: &Range<usize>| range.start + offset..range.end + offset;
        self.families
            .extend(other.families.iter().map(|family| Indexed {
                name: moved(&family.name),
                block: moved(&family.block),
            }));
    }

    /// Bytes held, for a first guess at the size of the merged document.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }
}

/// A family under construction.
pub struct Family<'a> {
    page: &'a mut Page,
    name: Range<usize>,
    start: usize,
    body: usize,
}

impl Family<'_> {
    /// Adds one sample. Labels are written in the given order; node_exporter's is by name.
    /// A label value that is not UTF-8 has each bad sequence replaced by U+FFFD.
    pub fn sample(&mut self, labels: &[(&str, &[u8])], value: f64) {
        let text = &mut self.page.text;
        let start = text.len();
        text.extend_from_within(self.name.clone());
        for (index, (name, label)) in labels.iter().enumerate() {
            text.push(if index == 0 { b'{' } else { b',' });
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"=\"");
            if label.is_ascii() || std::str::from_utf8(label).is_ok() {
                escape(text, label, true);
            } else {
                escape(text, String::from_utf8_lossy(label).as_bytes(), true);
            }
            text.push(b'"');
        }
        if !labels.is_empty() {
            text.push(b'}');
        }
        text.push(b' ');
        float::write(text, value);
        text.push(b'\n');
        self.page.lines.push(start..text.len());
    }
}

impl Drop for Family<'_> {
    fn drop(&mut self) {
        let page = &mut *self.page;
        if page.lines.is_empty() {
            page.text.truncate(self.start);
            return;
        }
        let text = &page.text;
        let name = self.name.len();
        let line = |range: &Range<usize>| &text[range.start + name..range.end];
        let strictly = |pair: &[Range<usize>]| {
            by_label_values(line(&pair[0]), line(&pair[1])) == Ordering::Less
        };
        if !page.lines.windows(2).all(strictly) {
            // Stable, so that of a sample given twice the first stays.
            page.lines.sort_by(|a, b| by_label_values(line(a), line(b)));
            page.lines
                .dedup_by(|next, kept| by_label_values(line(next), line(kept)) == Ordering::Equal);
            page.scratch.clear();
            for range in &page.lines {
                page.scratch.extend_from_slice(&text[range.clone()]);
            }
            page.text.truncate(self.body);
            page.text.extend_from_slice(&page.scratch);
        }
        page.families.push(Indexed {
            name: self.name.clone(),
            block: self.start..page.text.len(),
        });
    }
}

/// Orders two samples of one family, given as `{a="x",b="y"} 1`, as client_golang does: by their
/// unescaped label values, one after the other. Text order would not do: in it `"a b"` comes
/// before `"a"`, because a space is less than the closing quote.
fn by_label_values(a: &[u8], b: &[u8]) -> Ordering {
    let (mut x, mut y) = (LabelBytes::new(a), LabelBytes::new(b));
    loop {
        match (x.next(), y.next()) {
            (None, None) => return Ordering::Equal,
            (one, other) if one == other => {}
            // Not the same labels, which only samples about things of several kinds have: those
            // with fewer labels come first.
            (one, other) if !x.quoted && !y.quoted && one != Some(0) && other != Some(0) => {
                let count = |text| LabelBytes::new(text).filter(|byte| *byte == 0).count();
                return count(a).cmp(&count(b)).then_with(|| one.cmp(&other));
            }
            (one, other) => return one.cmp(&other),
        }
    }
}

/// The bytes of a sample's label part: text outside of quotes as it is, a closing quote as the
/// least value, escapes resolved.
struct LabelBytes<'a> {
    text: &'a [u8],
    at: usize,
    quoted: bool,
    done: bool,
}

impl<'a> LabelBytes<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            quoted: false,
            done: text.first() != Some(&b'{'),
        }
    }
}

impl Iterator for LabelBytes<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.done {
            return None;
        }
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        if !self.quoted {
            self.quoted = byte == b'"';
            self.done = byte == b'}';
            return Some(u16::from(byte) + 1);
        }
        match byte {
            b'"' => {
                self.quoted = false;
                Some(0)
            }
            b'\\' => {
                let escaped = *self.text.get(self.at)?;
                self.at += 1;
                Some(u16::from(if escaped == b'n' { b'\n' } else { escaped }) + 1)
            }
            other => Some(u16::from(other) + 1),
        }
    }
}

/// The text with `\` and newline escaped, and `"` too in a label value.
pub fn escaped(value: &str, quotes: bool) -> String {
    let mut text = Vec::with_capacity(value.len());
    escape(&mut text, value.as_bytes(), quotes);
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes `value` with `\` and newline escaped, and `"` too in a label value.
fn escape(text: &mut Vec<u8>, value: &[u8], quotes: bool) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n') || (quotes && *byte == b'"');
    let mut rest = value;
    while let Some(at) = rest.iter().position(special) {
        text.extend_from_slice(&rest[..at]);
        text.push(b'\\');
        text.push(if rest[at] == b'\n' { b'n' } else { rest[at] });
        rest = &rest[at + 1..];
    }
    text.extend_from_slice(rest);
}

/// Joins pages into one document, its families sorted by name. A family that two pages have
/// (which no two collectors should) is written once, from the first page that has it.
pub fn merge<'a>(pages: impl IntoIterator<Item = &'a Page>, out: &mut Vec<u8>) {
    let mut blocks: Vec<(&[u8], &[u8])> = pages
        .into_iter()
        .flat_map(|page| {
            page.families.iter().map(|family| {
                (
                    &page.text[family.name.clone()],
                    &page.text[family.block.clone()],
                )
            })
        })
        .collect();
    blocks.sort_by(|a, b| a.0.cmp(b.0));
    blocks.dedup_by(|next, kept| next.0 == kept.0);
    out.reserve(blocks.iter().map(|(_, block)| block.len()).sum());
    for (_, block) in blocks {
        out.extend_from_slice(block);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(fill: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::default();
        fill(&mut page);
        let mut out = Vec::new();
        merge([&page], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_family_has_a_name_that_the_format_knows() {
        let mut page = Page::default();
        page.family("node_a{b\u{e4}.c", "H.", Kind::Gauge)
            .sample(&[], 1.0);
        page.family("1a", "H.", Kind::Gauge).sample(&[], 1.0);
        let mut out = Vec::new();
        merge([&page], &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\n_a 1\n"), "{text}");
        assert!(text.contains("\nnode_a_b__c 1\n"), "{text}");
    }

    #[test]
    fn families_and_samples_are_sorted() {
        let out = text(|page| {
            page.single("b", "Second.", Kind::Gauge, 2.0);
            let mut family = page.family("a_total", "First.", Kind::Counter);
            for cpu in ["10", "2", "1"] {
                family.sample(&[("cpu", cpu.as_bytes())], 1.5);
            }
        });
        assert_eq!(
            out,
            "# HELP a_total First.\n# TYPE a_total counter\na_total{cpu=\"1\"} 1.5\n\
             a_total{cpu=\"10\"} 1.5\na_total{cpu=\"2\"} 1.5\n# HELP b Second.\n# TYPE b gauge\nb 2\n"
        );
    }

    #[test]
    fn escapes_and_bad_utf8() {
        let out = text(|page| {
            page.family("m", "a\\b\nc \"d\"", Kind::Untyped)
                .sample(&[("l", b"q\" b\\ n\n \xff")], 1.0);
        });
        assert_eq!(
            out,
            "# HELP m a\\\\b\\nc \"d\"\n# TYPE m untyped\nm{l=\"q\\\" b\\\\ n\\n \u{fffd}\"} 1\n"
        );
    }

    #[test]
    fn a_family_without_samples_is_left_out_and_a_twin_sample_dropped() {
        let out = text(|page| {
            drop(page.family("empty", "No samples.", Kind::Gauge));
            let mut family = page.family("twin", "Twice.", Kind::Gauge);
            family.sample(&[("a", b"x")], 1.0);
            family.sample(&[("a", b"x")], 2.0);
        });
        assert_eq!(
            out,
            "# HELP twin Twice.\n# TYPE twin gauge\ntwin{a=\"x\"} 1\n"
        );
    }

    proptest! {
        /// The order of samples is that of their raw label values, whatever bytes they hold.
        #[test]
        fn samples_are_ordered_by_raw_values(
            mut values in proptest::collection::vec(("[ -~\n]{0,4}", "[ -~\n]{0,4}"), 1..8),
        ) {
            let out = text(|page| {
                let mut family = page.family("m", "h", Kind::Gauge);
                for (a, b) in &values {
                    family.sample(&[("a", a.as_bytes()), ("b", b.as_bytes())], 1.0);
                }
            });
            values.sort();
            values.dedup();
            let expected = text(|page| {
                let mut family = page.family("m", "h", Kind::Gauge);
                for (a, b) in &values {
                    family.sample(&[("a", a.as_bytes()), ("b", b.as_bytes())], 1.0);
                }
            });
            prop_assert_eq!(out.lines().count(), values.len() + 2);
            prop_assert_eq!(out, expected);
        }
    }
}
