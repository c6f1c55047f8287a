//! Keyed pseudonyms: the same value gives the same pseudonym, and only who has the key can tell
//! which value it was, by trying.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a key at least; fewer could be guessed.
pub const SHORTEST: usize = 32;

/// A key, in no message.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(…)")
    }
}

impl Key {
    /// `None` if it is too short.
    pub fn new(key: &[u8]) -> Option<Self> {
        if key.len() < SHORTEST {
            return None;
        }
        Hmac::new_from_slice(key).ok().map(Self)
    }

    /// `p-` and 26 characters: 128 bits of HMAC-SHA-256 over the field's name, a zero byte and the
    /// value, in Crockford's base 32. The name is in it so that equal values of two fields do not
    /// show that they are equal.
    pub fn pseudonym(&self, field: &str, value: &[u8]) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut mac = self.0.clone();
        mac.update(field.as_bytes());
        mac.update(&[0]);
        mac.update(value);
        let digest = mac.finalize().into_bytes();
        let mut out = String::from("p-");
        let (mut bits, mut held) = (0u32, 0u32);
        for byte in &digest[..16] {
            held = (held << 8) | u32::from(*byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                out.push(char::from(ALPHABET[(held >> bits & 31) as usize]));
            }
        }
        out.push(char::from(ALPHABET[(held << (5 - bits) & 31) as usize]));
        out
    }
}
