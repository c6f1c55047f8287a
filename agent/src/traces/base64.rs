//! Base64 as liberally as both users need it: gRPC's binary metadata comes without padding,
//! proto3's JSON in either alphabet.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LIBERAL: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Without padding, as gRPC wants it.
pub fn encode(bytes: &[u8]) -> String {
    LIBERAL.encode(bytes)
}

pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let standard: Vec<u8> = text
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    LIBERAL.decode(standard).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_padded_or_not() {
        for text in ["+/8=", "+/8", "-_8", "-_8="] {
            assert_eq!(decode(text.as_bytes()), Some(vec![0xfb, 0xff]), "{text}");
        }
        assert_eq!(decode(b"a!"), None);
        assert_eq!(encode(&[0xfb, 0xff]), "+/8");
    }
}
