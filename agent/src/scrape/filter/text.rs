//! The text format and OpenMetrics, line by line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::{Collector, Filter, FilterError, renamed};
use crate::samples::text::{Item, items};
use crate::samples::{Format, Kind, Label};
use crate::scrape::relabel::{Labels, NAME};

/// A family: what stands above its series.
struct Block {
    name: String,
    kind: Kind,
    key: u64,
    /// Its lines `# HELP`, `# TYPE`, `# UNIT`, or those of the family that it was before relabelling.
    meta: Vec<Range<usize>>,
    is_new: bool,
    shown: bool,
}

/// A line that may be kept.
struct Line {
    start: u32,
    end: u32,
    block: u32,
    group: u32,
    /// In the edited text, not the page.
    edited: bool,
}

/// The group of lines that are no samples.
const NONE: u32 = u32::MAX;

struct Reader<'f, 'a> {
    filter: &'f Filter<'a>,
    page: &'f [u8],
    collector: Collector<'f>,
    blocks: Vec<Block>,
    by_name: HashMap<String, u32>,
    current: u32,
    lines: Vec<Line>,
    edits: Vec<u8>,
    end: Option<Range<usize>>,
    in_order: bool,
    error: Option<FilterError>,
}

pub(super) fn apply(
    filter: &Filter<'_>,
    format: Format,
    page: &[u8],
) -> Result<Option<Vec<u8>>, FilterError> {
    let mut reader = Reader {
        filter,
        page,
        collector: filter.collector(),
        // What stands before the first family.
        blocks: vec![Block {
            name: String::new(),
            kind: Kind::Unknown,
            key: 0,
            meta: Vec::new(),
            is_new: false,
            shown: true,
        }],
        by_name: HashMap::new(),
        current: 0,
        lines: Vec::new(),
        edits: Vec::new(),
        end: None,
        in_order: true,
        error: None,
    };
    items(format, page, &mut |item| {
        if reader.error.is_none() {
            reader.item(item);
        }
    })?;
    reader.finish()
}

impl Reader<'_, '_> {
    fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Type {
                range,
                family,
                kind,
            } => {
                let block = self.meta(&family, range);
                let key = self.collector.family(&family, kind);
                let block = &mut self.blocks[block as usize];
                (block.kind, block.key) = (kind, key);
            }
            Item::Help { range, family, .. } | Item::Unit { range, family, .. } => {
                self.meta(&family, range);
            }
            Item::Other { range } => self.push(range, self.current, NONE, false),
            Item::End { range } => self.end = Some(range),
            Item::Sample {
                range,
                name,
                labels,
                series,
                ..
            } => self.sample(range, &name, labels, series),
        }
        if self.collector.is_too_much() {
            self.error = Some(FilterError::TooManySeries);
        }
    }

    fn push(&mut self, range: Range<usize>, block: u32, group: u32, edited: bool) {
        self.in_order &= self.lines.last().is_none_or(|last| last.block <= block);
        self.lines.push(Line {
            start: range.start as u32,
            end: range.end as u32,
            block,
            group,
            edited,
        });
    }

    fn meta(&mut self, family: &str, range: Range<usize>) -> u32 {
        let block = self.block(family, Kind::Unknown);
        self.current = block;
        self.blocks[block as usize].meta.push(range);
        block
    }

    /// The family with this name, a new one if there is none.
    fn block(&mut self, name: &str, kind: Kind) -> u32 {
        if self.blocks[self.current as usize].name == name {
            return self.current;
        }
        if let Some(block) = self.by_name.get(name) {
            return *block;
        }
        let block = self.blocks.len() as u32;
        self.by_name.insert(name.to_owned(), block);
        self.blocks.push(Block {
            name: name.to_owned(),
            kind,
            key: self.collector.family(name, kind),
            meta: Vec::new(),
            is_new: false,
            shown: false,
        });
        block
    }

    /// The family that a sample belongs to.
    fn family_of(&mut self, name: &str) -> u32 {
        let current = &self.blocks[self.current as usize];
        if belongs(&current.name, current.kind, name) {
            return self.current;
        }
        if let Some(block) = self.by_name.get(name) {
            return *block;
        }
        if let Some(at) = name.rfind('_')
            && let Some(block) = self.by_name.get(&name[..at])
            && let Block {
                name: family, kind, ..
            } = &self.blocks[*block as usize]
            && belongs(family, *kind, name)
        {
            return *block;
        }
        let block = self.block(name, Kind::Unknown);
        self.current = block;
        block
    }

    fn sample(
        &mut self,
        line: Range<usize>,
        name: &str,
        labels: &[Label<'_>],
        series: Range<usize>,
    ) {
        let block = self.family_of(name);
        if self.filter.rules.is_empty() {
            let labels = labels.iter().map(|(name, value)| (&**name, &**value));
            let group = self.add(block, labels);
            self.push(line, block, group, false);
            return;
        }
        let all = labels.iter().map(|(name, value)| (&**name, &**value));
        let mut after = Labels::new(std::iter::once((NAME, name)).chain(all));
        if !self.filter.rules.apply(&mut after) {
            self.collector.dropped += 1;
            return;
        }
        let now = after.get(NAME);
        if now.is_empty() {
            self.error = Some(FilterError::NoName(name.to_owned()));
            return;
        }
        let block = if now == name {
            block
        } else {
            self.renamed_block(block, name, now)
        };
        let group = self.add(block, after.iter().filter(|(name, _)| *name != NAME));
        if !after.changed() {
            self.push(line, block, group, false);
            return;
        }
        let start = self.edits.len();
        write_series(&mut self.edits, now, &after);
        self.edits
            .extend_from_slice(&self.page[series.end..line.end]);
        if self.edits.last() != Some(&b'\n') {
            self.edits.push(b'\n');
        }
        let end = self.edits.len();
        self.push(start..end, block, group, true);
    }

    fn add<'l>(
        &mut self,
        block: u32,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
    ) -> u32 {
        let Block { key, kind, .. } = self.blocks[block as usize];
        let part = match kind {
            Kind::Histogram | Kind::GaugeHistogram => "le",
            Kind::Summary => "quantile",
            _ => return self.collector.add(key, labels, 1),
        };
        self.collector
            .add(key, labels.filter(|(name, _)| *name != part), 1)
    }

    fn renamed_block(&mut self, block: u32, before: &str, now: &str) -> u32 {
        let from = &self.blocks[block as usize];
        let (family, whole) = renamed(&from.name, before, now);
        if self.blocks[self.current as usize].name == family {
            return self.current;
        }
        if let Some(known) = self.by_name.get(family) {
            return *known;
        }
        let (kind, meta) = if whole {
            (from.kind, from.meta.clone())
        } else {
            (Kind::Unknown, Vec::new())
        };
        let new = self.block(family, kind);
        let block = &mut self.blocks[new as usize];
        block.meta = meta;
        block.is_new = true;
        new
    }

    fn finish(mut self) -> Result<Option<Vec<u8>>, FilterError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let untouched = self.collector.dropped == 0 && self.edits.is_empty();
        let groups = self.collector.judge(self.filter).groups;
        if untouched && groups.iter().all(|group| group.cut.is_none()) {
            return Ok(None);
        }
        self.lines.retain(|line| {
            let kept = line.group == NONE || groups[line.group as usize].cut.is_none();
            if kept && line.group != NONE {
                self.blocks[line.block as usize].shown = true;
            }
            kept
        });
        if !self.in_order {
            // Stable: within a family the order stays.
            self.lines.sort_by_key(|line| line.block);
        }
        let mut out = Vec::with_capacity(self.page.len());
        let mut last = 0;
        for line in &self.lines {
            let block = &self.blocks[line.block as usize];
            if !block.shown {
                continue;
            }
            if line.block != last {
                last = line.block;
                write_meta(&mut out, block, self.page);
            }
            let from: &[u8] = if line.edited { &self.edits } else { self.page };
            out.extend_from_slice(&from[line.start as usize..line.end as usize]);
            if out.last() != Some(&b'\n') {
                out.push(b'\n');
            }
        }
        if let Some(end) = self.end {
            out.extend_from_slice(&self.page[end]);
        }
        Ok(Some(out))
    }
}

/// Whether a sample of this name is one of the family's.
fn belongs(family: &str, kind: Kind, name: &str) -> bool {
    let Some(suffix) = name.strip_prefix(family) else {
        return false;
    };
    match kind {
        _ if suffix.is_empty() => true,
        Kind::Counter => matches!(suffix, "_total" | "_created"),
        Kind::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count" | "_created"),
        Kind::GaugeHistogram => {
            matches!(suffix, "_bucket" | "_gsum" | "_gcount" | "_sum" | "_count")
        }
        Kind::Summary => matches!(suffix, "_sum" | "_count" | "_created"),
        Kind::Info => suffix == "_info",
        Kind::Unknown | Kind::Gauge | Kind::StateSet => false,
    }
}

fn is_plain_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    name.bytes().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn write_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn write_name(out: &mut Vec<u8>, name: &str, is_label: bool) {
    if is_plain_name(name) && !(is_label && name.contains(':')) {
        out.extend_from_slice(name.as_bytes());
    } else {
        write_quoted(out, name);
    }
}

/// `name{label="value"}`; a name that is none in the old sense stands quoted among the labels.
fn write_series(out: &mut Vec<u8>, name: &str, labels: &Labels<'_>) {
    let plain = is_plain_name(name);
    if plain {
        out.extend_from_slice(name.as_bytes());
    }
    let mut separator = b'{';
    if !plain {
        out.push(b'{');
        write_quoted(out, name);
        separator = b',';
    }
    for (label, value) in labels.iter().filter(|(label, _)| *label != NAME) {
        out.push(separator);
        separator = b',';
        write_name(out, label, true);
        out.push(b'=');
        write_quoted(out, value);
    }
    if separator == b',' {
        out.push(b'}');
    }
}

fn write_meta(out: &mut Vec<u8>, block: &Block, page: &[u8]) {
    for range in &block.meta {
        let line = &page[range.clone()];
        if !block.is_new {
            out.extend_from_slice(line);
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let Some((keyword, rest)) = parts(&line) else {
            continue;
        };
        if keyword == "UNIT" && !fits_unit(&block.name, rest.trim()) {
            continue;
        }
        out.extend_from_slice(b"# ");
        out.extend_from_slice(keyword.as_bytes());
        out.push(b' ');
        write_name(out, &block.name, false);
        out.extend_from_slice(rest.as_bytes());
    }
}

fn fits_unit(family: &str, unit: &str) -> bool {
    family
        .strip_suffix(unit)
        .is_some_and(|before| before.ends_with('_'))
}

/// The keyword of a `# KEYWORD name rest` line, and the rest with the blank before it.
fn parts(line: &str) -> Option<(&str, Cow<'_, str>)> {
    let line = line.strip_prefix('#')?.trim_start_matches([' ', '\t']);
    let (keyword, rest) = line.split_once([' ', '\t'])?;
    let rest = rest.trim_start_matches([' ', '\t']);
    let end = if rest.starts_with('"') {
        let mut escaped = true; // the opening quote is not the closing one
        let closing = rest.char_indices().find(|(_, c)| {
            let is_end = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            is_end
        });
        closing.map_or(rest.len(), |(at, _)| at + 1)
    } else {
        rest.find([' ', '\t', '\n']).unwrap_or(rest.len())
    };
    let rest = &rest[end..];
    let rest = if rest.ends_with('\n') {
        Cow::Borrowed(rest)
    } else {
        Cow::Owned(format!("{rest}\n"))
    };
    Some((keyword, rest))
}
