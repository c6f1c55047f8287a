//! Document ids: the file's epoch and the line's offset.
//!
//! Twenty characters of base64url, as many as Elasticsearch's own ids have, and stored by it in 15
//! bytes for the same reason (it keeps what decodes as base64url in its binary form). The offset's
//! digits are in the alphabet's own order, so that the ids of one file increase in their binary
//! form: an id above all that a segment holds is known to be new without being searched for.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::Digest as _;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters of an epoch: 72 bits, of which 32 are the time.
pub const EPOCH: usize = 12;
/// Characters of an offset: 48 bits, 256 TiB of one file.
const OFFSET: usize = 8;
/// Characters of an id.
pub const ID: usize = EPOCH + OFFSET;

/// What a file's content is called from its first line until it is truncated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch([u8; EPOCH]);

impl Epoch {
    /// A new one: the time in seconds first, so that later files' ids come after earlier ones',
    /// then 40 random bits, so that two agents never have the same.
    pub fn new() -> Self {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        Self::from_bits(
            (u128::from(seconds as u32) << 40) | u128::from(rand::random::<u64>() >> 24),
        )
    }

    /// One that is always the same for the same bytes, of something that is numbered by itself.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = sha2::Sha256::digest(bytes);
        let mut bits = [0; 16];
        bits[7..].copy_from_slice(&digest[..9]);
        Self::from_bits(u128::from_be_bytes(bits))
    }

    /// Its last 60 bits.
    pub fn number(self) -> u64 {
        self.0[2..].iter().fold(0, |number, byte| {
            let digit = ALPHABET.iter().position(|known| known == byte);
            (number << 6) | digit.unwrap_or_default() as u64
        })
    }

    fn from_bits(bits: u128) -> Self {
        let mut text = [0; EPOCH];
        for (index, out) in text.iter_mut().enumerate() {
            *out = ALPHABET[(bits >> (6 * (EPOCH - 1 - index))) as usize & 63];
        }
        Self(text)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; EPOCH] = text.as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(|byte| ALPHABET.contains(byte))
            .then_some(Self(bytes))
    }

    /// The id of the line that begins at `offset`.
    pub fn id(self, offset: u64) -> [u8; ID] {
        let mut id = [0; ID];
        id[..EPOCH].copy_from_slice(&self.0);
        for (index, out) in id[EPOCH..].iter_mut().enumerate() {
            *out = ALPHABET[(offset >> (6 * (OFFSET - 1 - index))) as usize & 63];
        }
        id
    }
}

impl Default for Epoch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(id: &[u8]) -> u128 {
        id.iter().fold(0, |bits, byte| {
            let digit = ALPHABET.iter().position(|c| c == byte).unwrap();
            (bits << 6) | digit as u128
        })
    }

    #[test]
    fn epochs_differ_and_are_read_again() {
        let (a, b) = (Epoch::new(), Epoch::new());
        assert_ne!(a, b);
        assert_eq!(Epoch::parse(&a.to_string()), Some(a));
        assert_eq!(Epoch::of(b"x"), Epoch::of(b"x"));
        assert_ne!(Epoch::of(b"x"), Epoch::of(b"y"));
        assert_ne!(Epoch::of(b"x").number(), Epoch::of(b"y").number());
        assert_eq!(Epoch::parse("short"), None);
        assert_eq!(Epoch::parse("AAAAAAAAAAA!"), None);
    }

    proptest::proptest! {
        #[test]
        fn ids_increase_with_the_offset(a in 0u64..1 << 48, b in 0u64..1 << 48) {
            let epoch = Epoch::new();
            let (x, y) = (binary(&epoch.id(a)), binary(&epoch.id(b)));
            proptest::prop_assert_eq!(a.cmp(&b), x.cmp(&y));
        }
    }
}
