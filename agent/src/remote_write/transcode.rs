//! A request of version 2.0 as one of 1.0, for a receiver that turns out to have no other. Pure.

use hyper::body::Bytes;

use super::request::{compress, label};
use super::wire::{put_bytes, put_double, put_int};
use crate::traces::wire::{Malformed, Reader, Value};

/// Bytes of an unpacked request at most; what is not ours is not unpacked without limit.
const LARGEST: usize = 256 << 20;

/// What is in a series, in the order of its fields.
#[derive(Default)]
struct Series<'a> {
    labels: Vec<u32>,
    samples: Vec<&'a [u8]>,
    histograms: Vec<&'a [u8]>,
    exemplars: Vec<&'a [u8]>,
}

/// The same samples in 1.0. Types and help texts stay behind: 1.0 sends them apart, now and then.
pub fn to_one(two: &[u8]) -> Result<Bytes, Malformed> {
    let packing = |error: snap::Error| Malformed::Packing(error.to_string());
    if snap::raw::decompress_len(two).map_err(packing)? > LARGEST {
        return Err(Malformed::Packing("the request is too long".to_owned()));
    }
    let message = snap::raw::Decoder::new()
        .decompress_vec(two)
        .map_err(packing)?;
    let (mut symbols, mut series) = (Vec::new(), Vec::new());
    let mut reader = Reader::new(&message);
    while let Some((number, value)) = reader.field()? {
        match (number, value) {
            (4, Value::Bytes(text)) => symbols.push(text),
            (5, Value::Bytes(bytes)) => series.push(read_series(reader.inner(bytes))?),
            _ => {}
        }
    }
    let symbol = |reference: u32| -> Result<&str, Malformed> {
        symbols
            .get(reference as usize)
            .and_then(|text| std::str::from_utf8(text).ok())
            .ok_or_else(|| Malformed::Packing(format!("there is no symbol {reference}")))
    };
    let mut out = Vec::with_capacity(message.len() * 2);
    for one in series {
        let mut body = Vec::new();
        put_labels(&mut body, &one.labels, &symbol)?;
        for sample in one.samples {
            let mut reader = Reader::new(sample);
            let mut copy = Vec::with_capacity(20);
            while let Some((number, value)) = reader.field()? {
                match (number, value) {
                    (1, Value::Fixed64(bits)) => put_double(&mut copy, 1, f64::from_bits(bits)),
                    (2, Value::Varint(at)) => put_int(&mut copy, 2, at as i64),
                    _ => {}
                }
            }
            put_bytes(&mut body, 2, &copy);
        }
        for exemplar in one.exemplars {
            let mut reader = Reader::new(exemplar);
            let (mut labels, mut rest) = (Vec::new(), Vec::new());
            while let Some((number, value)) = reader.field()? {
                match (number, value) {
                    (1, Value::Bytes(packed)) => references(packed, &mut labels)?,
                    (2, Value::Fixed64(bits)) => put_double(&mut rest, 2, f64::from_bits(bits)),
                    (3, Value::Varint(at)) => put_int(&mut rest, 3, at as i64),
                    _ => {}
                }
            }
            let mut copy = Vec::new();
            put_labels(&mut copy, &labels, &symbol)?;
            copy.extend_from_slice(&rest);
            put_bytes(&mut body, 3, &copy);
        }
        for histogram in one.histograms {
            // The message is the same; a field that 1.0 lacks is passed over by its readers.
            put_bytes(&mut body, 4, histogram);
        }
        put_bytes(&mut out, 1, &body);
    }
    Ok(compress(&out))
}

fn read_series<'a>(mut reader: Reader<'a>) -> Result<Series<'a>, Malformed> {
    let mut series = Series::default();
    while let Some((number, value)) = reader.field()? {
        match (number, value) {
            (1, Value::Bytes(packed)) => references(packed, &mut series.labels)?,
            (2, Value::Bytes(bytes)) => series.samples.push(bytes),
            (3, Value::Bytes(bytes)) => series.histograms.push(bytes),
            (4, Value::Bytes(bytes)) => series.exemplars.push(bytes),
            _ => {}
        }
    }
    Ok(series)
}

fn references(packed: &[u8], into: &mut Vec<u32>) -> Result<(), Malformed> {
    let mut reader = Reader::new(packed);
    while let Some(reference) = reader.packed()? {
        into.push(reference as u32);
    }
    Ok(())
}

fn put_labels<'a>(
    out: &mut Vec<u8>,
    references: &[u32],
    symbol: &impl Fn(u32) -> Result<&'a str, Malformed>,
) -> Result<(), Malformed> {
    for pair in references.chunks_exact(2) {
        label(out, symbol(pair[0])?, symbol(pair[1])?);
    }
    Ok(())
}
