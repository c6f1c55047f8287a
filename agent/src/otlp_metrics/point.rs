//! A data point of OTLP as Prometheus has it, and what may be added to what. Pure.

use crate::samples::{NativeHistogram, Span};

/// Narrowest buckets of a native histogram; OTLP's scale may be finer.
const FINEST_SCHEMA: i32 = 8;
const COARSEST_SCHEMA: i32 = -4;
/// Prometheus' own, where the point does not say.
const ZERO_THRESHOLD: f64 = 1e-128;
/// An empty stretch that is shorter is written out, as client_golang does.
const LONGEST_GAP: i32 = 2;

#[derive(Debug, Clone, PartialEq)]
pub enum Point {
    Number(f64),
    Histogram(Classic),
    Native(Box<NativeHistogram>),
    Summary {
        count: f64,
        sum: f64,
        quantiles: Vec<(f64, f64)>,
    },
}

/// A histogram with bounds of its own; counts are per bucket, not cumulative.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classic {
    pub count: u64,
    pub sum: Option<f64>,
    pub bounds: Vec<f64>,
    pub counts: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    pub labels: Vec<(String, String)>,
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

/// An exponential histogram as OTLP has it.
#[derive(Debug, Default)]
pub struct Exponential {
    pub scale: i32,
    pub count: u64,
    pub sum: f64,
    pub zero_count: u64,
    pub positive: (i32, Vec<u64>),
    pub negative: (i32, Vec<u64>),
}

impl Point {
    /// Series that it is shown as.
    pub fn series(&self) -> usize {
        match self {
            Self::Number(_) | Self::Native(_) => 1,
            // +Inf, sum and count besides.
            Self::Histogram(classic) => classic.bounds.len() + 3,
            Self::Summary { quantiles, .. } => quantiles.len() + 2,
        }
    }

    /// Adds what happened since; false where the two cannot be added, and nothing is changed.
    pub fn add(&mut self, since: &Self) -> bool {
        match (self, since) {
            (Self::Number(sum), Self::Number(more)) => *sum += more,
            (Self::Histogram(all), Self::Histogram(more)) if all.bounds == more.bounds => {
                all.count = all.count.saturating_add(more.count);
                all.sum = all.sum.zip(more.sum).map(|(a, b)| a + b);
                for (count, more) in all.counts.iter_mut().zip(&more.counts) {
                    *count = count.saturating_add(*more);
                }
            }
            _ => return false,
        }
        true
    }
}

impl Exponential {
    /// `None` for buckets coarser than a native histogram's can be.
    pub fn native(&self) -> Option<NativeHistogram> {
        if self.scale < COARSEST_SCHEMA {
            return None;
        }
        let down = (self.scale - FINEST_SCHEMA).clamp(0, 31);
        let (positive_spans, positive_counts) = layout(&self.positive.1, self.positive.0, down);
        let (negative_spans, negative_counts) = layout(&self.negative.1, self.negative.0, down);
        Some(NativeHistogram {
            schema: self.scale.min(FINEST_SCHEMA),
            zero_threshold: ZERO_THRESHOLD,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            negative_spans,
            negative_counts,
            positive_spans,
            positive_counts,
            ..NativeHistogram::default()
        })
    }
}

/// Buckets that follow each other become spans, several of a finer scale one of ours.
fn layout(counts: &[u64], offset: i32, down: i32) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut out: Vec<f64> = Vec::new();
    let mut last = i64::MIN;
    for (index, count) in counts.iter().enumerate() {
        if *count == 0 {
            continue;
        }
        // OTLP's buckets are (base^i, base^(i+1)], ours (base^(i-1), base^i].
        let bucket = ((i64::from(offset) + index as i64) >> down) + 1;
        if let (true, Some(current)) = (bucket == last, out.last_mut()) {
            *current += *count as f64;
            continue;
        }
        let gap = bucket.saturating_sub(last).saturating_sub(1);
        match spans.last_mut() {
            Some(span) if gap <= i64::from(LONGEST_GAP) => {
                span.length += gap as u32 + 1;
                out.extend(std::iter::repeat_n(0.0, gap as usize));
            }
            Some(_) => spans.push(Span {
                offset: gap.min(i32::MAX.into()) as i32,
                length: 1,
            }),
            None => spans.push(Span {
                offset: bucket.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
                length: 1,
            }),
        }
        out.push(*count as f64);
        last = bucket;
    }
    (spans, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(counts: &[u64], offset: i32, down: i32) -> (Vec<(i32, u32)>, Vec<f64>) {
        let (spans, counts) = layout(counts, offset, down);
        let spans = spans.iter().map(|span| (span.offset, span.length));
        (spans.collect(), counts)
    }

    /// From the tests of Prometheus' translation.
    #[test]
    fn buckets_become_spans() {
        assert_eq!(spans(&[], 0, 0), (vec![], vec![]));
        assert_eq!(
            spans(&[4, 3, 2, 1], 0, 0),
            (vec![(1, 4)], vec![4., 3., 2., 1.])
        );
        assert_eq!(spans(&[4, 3, 2, 1], 0, 1), (vec![(1, 2)], vec![7., 3.]));
        assert_eq!(spans(&[4, 3, 2, 1], 0, 2), (vec![(1, 1)], vec![10.]));
        let gap = spans(&[4, 0, 0, 0, 0, 1], -3, 0);
        assert_eq!(gap, (vec![(-2, 1), (4, 1)], vec![4., 1.]));
        let small = spans(&[4, 0, 0, 1], 0, 0);
        assert_eq!(small, (vec![(1, 4)], vec![4., 0., 0., 1.]));
    }

    #[test]
    fn what_differs_in_its_bounds_is_not_added() {
        let classic = |bound, counts: &[u64]| {
            Point::Histogram(Classic {
                count: counts.iter().sum(),
                sum: Some(1.0),
                bounds: vec![bound],
                counts: counts.to_vec(),
            })
        };
        let mut all = classic(1.0, &[1, 2]);
        assert!(!all.add(&classic(2.0, &[1, 2])));
        assert!(all.add(&classic(1.0, &[1, 2])));
        let Point::Histogram(all) = all else { panic!() };
        assert_eq!((all.count, all.sum, all.counts), (6, Some(2.0), vec![2, 4]));
    }
}
