//! What both versions of the protocol write alike: numbers, and the native histogram, whose message
//! is the same in both. Pure.

use crate::samples::{NativeHistogram, Span};
pub use crate::traces::wire::{put_bytes, put_key, put_varint};

/// A sample of this bit pattern says that the series has ended (Prometheus `value.StaleNaN`).
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Every other NaN is written as this one (Prometheus `value.NormalNaN`), so that no page can end
/// a series with a payload of its own.
const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// A value as the page has it, without a meaning that only its sender may give it.
pub fn plain(value: f64) -> f64 {
    if value.is_nan() { NORMAL_NAN } else { value }
}

/// Appends a double, left out when it is 0 as proto3 has it.
pub fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    if value.to_bits() != 0 {
        put_key(out, number, 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends an `int64`; negative ones take ten bytes.
pub fn put_int(out: &mut Vec<u8>, number: u32, value: i64) {
    put_uint(out, number, value as u64);
}

/// Appends a `uint64`, `uint32` or enum.
pub fn put_uint(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_key(out, number, 0);
        put_varint(out, value);
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn put_sint(out: &mut Vec<u8>, number: u32, value: i64) {
    if value != 0 {
        put_key(out, number, 0);
        put_varint(out, zigzag(value));
    }
}

/// Appends a message: `write` fills it, its length is put before it.
pub fn put_message(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_key(out, number, 2);
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(5);
    put_varint(&mut prefix, length as u64);
    out.splice(at..=at, prefix);
}

/// The fields of `Histogram`, in both versions of the protocol. `created` is `start_timestamp` of
/// later receivers (2.0-rc.4), 0 for none.
pub fn histogram(out: &mut Vec<u8>, histogram: &NativeHistogram, timestamp: i64, created: i64) {
    if histogram.float {
        put_key(out, 2, 1);
        out.extend_from_slice(&histogram.count.to_le_bytes());
    } else {
        put_key(out, 1, 0);
        put_varint(out, histogram.count as u64);
    }
    put_double(out, 3, histogram.sum);
    put_sint(out, 4, histogram.schema.into());
    put_double(out, 5, histogram.zero_threshold);
    if histogram.float {
        put_key(out, 7, 1);
        out.extend_from_slice(&histogram.zero_count.to_le_bytes());
    } else {
        put_key(out, 6, 0);
        put_varint(out, histogram.zero_count as u64);
    }
    let sides = [
        (8, &histogram.negative_spans, &histogram.negative_counts),
        (11, &histogram.positive_spans, &histogram.positive_counts),
    ];
    for (number, spans, counts) in sides {
        for span in spans {
            put_message(out, number, |out| put_span(out, *span));
        }
        if counts.is_empty() {
            continue;
        }
        if histogram.float {
            put_doubles(out, number + 2, counts);
        } else {
            put_message(out, number + 1, |out| {
                let mut before = 0;
                for count in counts {
                    let count = *count as i64;
                    put_varint(out, zigzag(count - before));
                    before = count;
                }
            });
        }
    }
    if histogram.gauge {
        put_uint(out, 14, 3);
    }
    put_int(out, 15, timestamp);
    if !histogram.custom_values.is_empty() {
        put_doubles(out, 16, &histogram.custom_values);
    }
    put_int(out, 17, created);
}

fn put_span(out: &mut Vec<u8>, span: Span) {
    put_sint(out, 1, span.offset.into());
    put_uint(out, 2, span.length.into());
}

fn put_doubles(out: &mut Vec<u8>, number: u32, values: &[f64]) {
    put_key(out, number, 2);
    put_varint(out, values.len() as u64 * 8);
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::wire::{Reader, Value};

    #[test]
    fn messages_of_any_length_are_read_back() {
        for length in [0_usize, 1, 127, 128, 20_000] {
            let mut out = b"x".to_vec();
            put_message(&mut out, 7, |out| out.resize(out.len() + length, 9));
            let mut reader = Reader::new(&out[1..]);
            assert_eq!(
                reader.field(),
                Ok(Some((7, Value::Bytes(&vec![9; length]))))
            );
            assert_eq!(reader.field(), Ok(None));
        }
    }

    #[test]
    fn a_nan_of_a_page_is_never_the_mark_of_the_end() {
        assert!(STALE.is_nan());
        assert_eq!(plain(STALE).to_bits(), NORMAL_NAN.to_bits());
        assert_eq!(plain(1.5), 1.5);
        assert_eq!(
            [zigzag(0), zigzag(-1), zigzag(1), zigzag(i64::MIN)],
            [0, 1, 2, u64::MAX]
        );
    }
}
