//! A service's series as a metrics page: in Prometheus' protobuf, which alone has native
//! histograms, in OpenMetrics 1.0, or in the text format. Pure.

use std::fmt::Write as _;

use super::point::{Classic, Exemplar, Point};
use super::store::{Family, Labels, Service, Stored, Type};
use crate::exposition::float;
use crate::samples::{Format, NativeHistogram};
use crate::traces::wire::{put_bytes, put_key, put_varint};

pub const PROTOBUF: &str = "application/vnd.google.protobuf; \
                            proto=io.prometheus.client.MetricFamily; encoding=delimited";
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub fn content_type(format: Format) -> &'static str {
    match format {
        Format::Protobuf => PROTOBUF,
        Format::OpenMetrics => OPEN_METRICS,
        Format::Text => TEXT,
    }
}

/// What the header `Accept` wants most.
pub fn negotiate(accept: &str) -> Format {
    let mut best = (0.0, Format::Text);
    for item in accept.split(',') {
        let format = if item.contains("application/vnd.google.protobuf") {
            Format::Protobuf
        } else if item.contains("application/openmetrics-text") {
            Format::OpenMetrics
        } else if item.contains("text/plain") || item.contains("*/*") {
            Format::Text
        } else {
            continue;
        };
        let quality = item
            .split(';')
            .find_map(|part| part.trim().strip_prefix("q="))
            .map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
        if quality > best.0 {
            best = (quality, format);
        }
    }
    best.1
}

pub fn write(service: &Service, format: Format) -> Vec<u8> {
    match format {
        Format::Protobuf => protobuf(service),
        Format::OpenMetrics | Format::Text => text(service, format == Format::OpenMetrics),
    }
}

/// Series in a steady order, so that pages can be compared.
fn sorted(family: &Family) -> Vec<(&Labels, &Stored)> {
    let mut series: Vec<_> = family.series.iter().collect();
    series.sort_by_key(|(labels, _)| *labels);
    series
}

fn protobuf(service: &Service) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, family) in &service.families {
        let mut message = Vec::new();
        put_bytes(&mut message, 1, name.as_bytes());
        put_bytes(&mut message, 2, family.help.as_bytes());
        put_key(&mut message, 3, 0);
        put_varint(
            &mut message,
            match family.kind {
                Type::Counter => 0,
                Type::Gauge => 1,
                Type::Summary => 2,
                Type::Histogram => 4,
            },
        );
        for (labels, stored) in sorted(family) {
            let mut metric = Vec::new();
            for (name, value) in labels {
                put_bytes(&mut metric, 1, &pair(name, value));
            }
            let (number, value) = value(family.kind, stored);
            put_bytes(&mut metric, number, &value);
            put_bytes(&mut message, 4, &metric);
        }
        if !family.unit.is_empty() {
            put_bytes(&mut message, 5, family.unit.as_bytes());
        }
        put_varint(&mut out, message.len() as u64);
        out.append(&mut message);
    }
    out
}

fn pair(name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + value.len() + 4);
    put_bytes(&mut out, 1, name.as_bytes());
    put_bytes(&mut out, 2, value.as_bytes());
    out
}

fn double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_key(out, number, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn uint(out: &mut Vec<u8>, number: u32, value: u64) {
    put_key(out, number, 0);
    put_varint(out, value);
}

/// A field of `Metric` and its bytes.
fn value(kind: Type, stored: &Stored) -> (u32, Vec<u8>) {
    let mut out = Vec::new();
    let number = match (&stored.point, kind) {
        (Point::Number(value), Type::Counter) => {
            double(&mut out, 1, *value);
            if let Some(last) = stored.exemplars.last() {
                put_bytes(&mut out, 2, &exemplar(last));
            }
            created(&mut out, 3, stored.start);
            3
        }
        (Point::Number(value), _) => {
            double(&mut out, 1, *value);
            2
        }
        (
            Point::Summary {
                count,
                sum,
                quantiles,
            },
            _,
        ) => {
            uint(&mut out, 1, *count as u64);
            double(&mut out, 2, *sum);
            for (quantile, value) in quantiles {
                let mut inner = Vec::new();
                double(&mut inner, 1, *quantile);
                double(&mut inner, 2, *value);
                put_bytes(&mut out, 3, &inner);
            }
            created(&mut out, 4, stored.start);
            4
        }
        (Point::Histogram(classic), _) => {
            uint(&mut out, 1, classic.count);
            if let Some(sum) = classic.sum {
                double(&mut out, 2, sum);
            }
            for (bound, count, shown) in cumulative(classic, &stored.exemplars) {
                let mut bucket = Vec::new();
                uint(&mut bucket, 1, count);
                double(&mut bucket, 2, bound);
                if let Some(shown) = shown {
                    put_bytes(&mut bucket, 3, &exemplar(shown));
                }
                put_bytes(&mut out, 3, &bucket);
            }
            created(&mut out, 15, stored.start);
            7
        }
        (Point::Native(native), _) => {
            native_histogram(&mut out, native);
            created(&mut out, 15, stored.start);
            for shown in &stored.exemplars {
                // Without a time it would not be taken with a native histogram.
                if shown.timestamp != 0 {
                    put_bytes(&mut out, 16, &exemplar(shown));
                }
            }
            7
        }
    };
    (number, out)
}

fn native_histogram(out: &mut Vec<u8>, native: &NativeHistogram) {
    let zigzag = |value: i64| ((value << 1) ^ (value >> 63)) as u64;
    uint(out, 1, native.count as u64);
    double(out, 2, native.sum);
    uint(out, 5, zigzag(native.schema.into()));
    double(out, 6, native.zero_threshold);
    uint(out, 7, native.zero_count as u64);
    let sides = [
        (9, &native.negative_spans, &native.negative_counts),
        (12, &native.positive_spans, &native.positive_counts),
    ];
    for (number, spans, counts) in sides {
        for span in spans {
            let mut inner = Vec::new();
            uint(&mut inner, 1, zigzag(span.offset.into()));
            uint(&mut inner, 2, span.length.into());
            put_bytes(out, number, &inner);
        }
        let mut before = 0;
        for count in counts {
            let count = *count as i64;
            uint(out, number + 1, zigzag(count - before));
            before = count;
        }
    }
    // A histogram of nothing is still native: client_golang marks it by an empty span.
    if native.positive_spans.is_empty() && native.negative_spans.is_empty() {
        put_bytes(out, 12, &[8, 0, 16, 0]);
    }
}

fn created(out: &mut Vec<u8>, number: u32, nanoseconds: u64) {
    if nanoseconds > 0 {
        put_bytes(out, number, &timestamp(nanoseconds));
    }
}

fn timestamp(nanoseconds: u64) -> Vec<u8> {
    let mut out = Vec::new();
    uint(&mut out, 1, nanoseconds / 1_000_000_000);
    uint(&mut out, 2, nanoseconds % 1_000_000_000);
    out
}

fn exemplar(exemplar: &Exemplar) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in &exemplar.labels {
        put_bytes(&mut out, 1, &pair(name, value));
    }
    double(&mut out, 2, exemplar.value);
    if exemplar.timestamp > 0 {
        let at = timestamp(exemplar.timestamp as u64 * 1_000_000);
        put_bytes(&mut out, 3, &at);
    }
    out
}

/// Bounds with the counts up to them, the last one's without end; each with its latest exemplar.
fn cumulative<'a>(
    classic: &'a Classic,
    exemplars: &'a [Exemplar],
) -> impl Iterator<Item = (f64, u64, Option<&'a Exemplar>)> {
    let mut count = 0_u64;
    let mut below = f64::NEG_INFINITY;
    let bounds = classic.bounds.iter().zip(&classic.counts);
    let ends = bounds
        .map(|(bound, count)| (*bound, Some(*count)))
        .chain([(f64::INFINITY, None)]);
    ends.map(move |(bound, more)| {
        count = more.map_or(classic.count, |more| count.saturating_add(more));
        let inside = |e: &&Exemplar| e.value <= bound && e.value > below;
        let shown = exemplars.iter().rfind(inside);
        below = bound;
        (bound, count, shown)
    })
}

struct Text {
    out: Vec<u8>,
    open: bool,
}

fn text(service: &Service, open: bool) -> Vec<u8> {
    let mut page = Text {
        out: Vec::new(),
        open,
    };
    for (name, family) in &service.families {
        // OpenMetrics names a counter's family without the ending of its samples.
        let short = match (open, family.kind) {
            (true, Type::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let kind = match family.kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Summary => "summary",
            Type::Histogram => "histogram",
        };
        page.push(&format!("# HELP {short} {}\n", help(&family.help, open)));
        page.push(&format!("# TYPE {short} {kind}\n"));
        if open && !family.unit.is_empty() && short.ends_with(&format!("_{}", family.unit)) {
            page.push(&format!("# UNIT {short} {}\n", family.unit));
        }
        for (labels, stored) in sorted(family) {
            page.series(name, labels, family.kind, stored);
        }
    }
    if open {
        page.push("# EOF\n");
    }
    page.out
}

impl Text {
    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn series(&mut self, name: &str, labels: &Labels, kind: Type, stored: &Stored) {
        match &stored.point {
            Point::Number(value) => {
                let shown = stored.exemplars.last().filter(|_| kind == Type::Counter);
                self.sample(name, "", labels, None, *value, shown);
            }
            Point::Summary {
                count,
                sum,
                quantiles,
            } => {
                for (quantile, value) in quantiles {
                    let bound = Some(("quantile", *quantile));
                    self.sample(name, "", labels, bound, *value, None);
                }
                self.sample(name, "_sum", labels, None, *sum, None);
                self.sample(name, "_count", labels, None, *count, None);
            }
            Point::Histogram(classic) => {
                for (bound, count, shown) in cumulative(classic, &stored.exemplars) {
                    let bound = Some(("le", bound));
                    self.sample(name, "_bucket", labels, bound, count as f64, shown);
                }
                if let Some(sum) = classic.sum {
                    self.sample(name, "_sum", labels, None, sum, None);
                }
                self.sample(name, "_count", labels, None, classic.count as f64, None);
            }
            // Text has no native histograms; what it can say is said.
            Point::Native(native) => {
                let all = Some(("le", f64::INFINITY));
                self.sample(name, "_bucket", labels, all, native.count, None);
                self.sample(name, "_sum", labels, None, native.sum, None);
                self.sample(name, "_count", labels, None, native.count, None);
            }
        }
    }

    fn sample(
        &mut self,
        name: &str,
        ending: &str,
        labels: &Labels,
        bound: Option<(&str, f64)>,
        value: f64,
        exemplar: Option<&Exemplar>,
    ) {
        let mut line = format!("{name}{ending}");
        let bound = bound.map(|(name, bound)| (name, shown(bound, self.open)));
        let pairs = labels.iter().map(|(name, value)| (&**name, &**value));
        let bound = bound.iter().map(|(name, bound)| (*name, bound.as_str()));
        braces(&mut line, pairs.chain(bound));
        line.push(' ');
        self.push(&line);
        float::write(&mut self.out, value);
        if let Some(exemplar) = exemplar.filter(|_| self.open) {
            self.push(" # ");
            let mut line = String::new();
            let pairs = exemplar.labels.iter();
            braces(&mut line, pairs.map(|(n, v)| (n.as_str(), v.as_str())));
            if line.is_empty() {
                line.push_str("{}");
            }
            line.push(' ');
            self.push(&line);
            float::write(&mut self.out, exemplar.value);
            if exemplar.timestamp > 0 {
                let (seconds, rest) = (exemplar.timestamp / 1000, exemplar.timestamp % 1000);
                self.push(&format!(" {seconds}.{rest:03}"));
            }
        }
        self.out.push(b'\n');
    }
}

/// A bound as OpenMetrics writes it, `1.0`; in the text format as Go does, `1`.
fn shown(bound: f64, open: bool) -> String {
    let mut text = Vec::new();
    float::write(&mut text, bound);
    let mut text = String::from_utf8(text).unwrap_or_default();
    if open && !text.contains(['.', 'e', 'I', 'N']) {
        text.push_str(".0");
    }
    text
}

fn braces<'a>(line: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    for (index, (name, value)) in pairs.enumerate() {
        line.push(if index == 0 { '{' } else { ',' });
        let _ = write!(line, "{name}=\""); // writing to a String does not fail
        for letter in value.chars() {
            match letter {
                '\\' => line.push_str("\\\\"),
                '"' => line.push_str("\\\""),
                '\n' => line.push_str("\\n"),
                other => line.push(other),
            }
        }
        line.push('"');
    }
    if line.ends_with('"') {
        line.push('}');
    }
}

fn help(text: &str, open: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if open {
        text.replace('"', "\\\"")
    } else {
        text
    }
}
