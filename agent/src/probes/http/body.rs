//! Reads a body within its bounds, packed or not.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use kai_contract::agent_config::Compression;

use super::exchange::reason;

/// What was read.
pub(super) struct Reading {
    /// Bytes, unpacked where the configuration says how they are packed.
    pub length: u64,
    pub kept: Vec<u8>,
    pub wrong: Option<String>,
}

/// Reads to the end; `keep` says whether anybody wants to see it.
pub(super) async fn read(
    body: &mut Incoming,
    limit: u64,
    compression: Option<Compression>,
    keep: bool,
) -> Reading {
    let packed = matches!(compression, Some(Compression::Gzip | Compression::Deflate));
    let mut out = Reading {
        length: 0,
        kept: Vec::new(),
        wrong: None,
    };
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                out.wrong = Some(format!("the body ended early: {}", reason(&error)));
                break;
            }
        };
        let Ok(data) = frame.into_data() else {
            continue; // trailers
        };
        let room = limit - out.length;
        let taken = &data[..data.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        out.length += taken.len() as u64;
        if keep || packed {
            out.kept.extend_from_slice(taken);
        }
        if taken.len() < data.len() {
            out.wrong = Some(too_long(limit));
            break;
        }
    }
    match compression {
        Some(Compression::Gzip) if packed => unpack(&mut out, limit, |bytes| {
            Box::new(MultiGzDecoder::new(bytes))
        }),
        Some(Compression::Deflate) => unpack(&mut out, limit, |bytes| {
            Box::new(DeflateDecoder::new(bytes))
        }),
        _ => {}
    }
    out
}

/// Both ways of unpacking, for the fuzzer.
pub(in crate::probes) fn unpack_both(packed: &[u8], limit: u64) {
    let reading = || Reading {
        length: 0,
        kept: packed.to_vec(),
        wrong: None,
    };
    unpack(&mut reading(), limit, |bytes| {
        Box::new(MultiGzDecoder::new(bytes))
    });
    unpack(&mut reading(), limit, |bytes| {
        Box::new(DeflateDecoder::new(bytes))
    });
}

fn too_long(limit: u64) -> String {
    format!("the body is longer than {limit} bytes (bodySizeLimit)")
}

fn unpack(
    out: &mut Reading,
    limit: u64,
    decoder: impl for<'a> FnOnce(&'a [u8]) -> Box<dyn Read + 'a>,
) {
    let packed = std::mem::take(&mut out.kept);
    let mut unpacked = Vec::new();
    let read = decoder(&packed).take(limit + 1).read_to_end(&mut unpacked);
    if let Err(error) = read {
        let why = format!("the body is not packed as configured: {error}");
        out.wrong.get_or_insert(why);
    }
    if unpacked.len() as u64 > limit {
        unpacked.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        out.wrong.get_or_insert(too_long(limit));
    }
    out.length = unpacked.len() as u64;
    out.kept = unpacked;
}
