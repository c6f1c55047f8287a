//! Pages compressed and decompressed.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::fetch::{FetchError, Held, LARGEST_PAGE};

/// Why a page cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum GzipError {
    #[error("its gzip encoding is broken: {0}")]
    Broken(std::io::Error),
    #[error("it is larger than {} MiB when decompressed", LARGEST_PAGE >> 20)]
    TooLarge,
    #[error(transparent)]
    Busy(FetchError),
}

pub fn compress(page: &[u8]) -> Option<Vec<u8>> {
    // The fastest level: pages shrink to a tenth at any level, and CPU is what an agent must save.
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 6), Compression::fast());
    encoder.write_all(page).ok()?;
    encoder.finish().ok()
}

/// The page itself, at most [`LARGEST_PAGE`] bytes: a small answer can claim to be a huge one.
pub fn decompress(body: &[u8], held: &mut Held) -> Result<Vec<u8>, GzipError> {
    let mut decoder = MultiGzDecoder::new(body);
    let mut page = Vec::with_capacity((body.len() * 8).min(LARGEST_PAGE));
    let mut chunk = vec![0; 64 << 10];
    loop {
        let count = decoder.read(&mut chunk).map_err(GzipError::Broken)?;
        if count == 0 {
            return Ok(page);
        }
        if page.len() + count > LARGEST_PAGE {
            return Err(GzipError::TooLarge);
        }
        held.add(count).map_err(GzipError::Busy)?;
        page.extend_from_slice(&chunk[..count]);
    }
}
