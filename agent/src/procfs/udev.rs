//! udev's database, `/run/udev/data/b<major>:<minor>` (systemd's sd-device): of its lines only the
//! properties `E:NAME=value` are read.

use super::text::lines;

/// The value of a property; the last one counts if it stands there twice. `None` if it is not
/// there.
pub fn property<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    lines(text)
        .filter_map(|(_, line)| {
            line.strip_prefix(b"E:")?
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")
        })
        .last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_properties_only() {
        let text = b"S:disk/by-id/x\nI:123\nE:ID_MODEL=A=B c\nE:ID_MODEL_ENC=no\nG:systemd\nE:ID_WWN=1\nE:ID_WWN=2\n";
        assert_eq!(property(text, "ID_MODEL"), Some(&b"A=B c"[..]));
        assert_eq!(property(text, "ID_WWN"), Some(&b"2"[..]));
        assert_eq!(property(text, "ID_SERIAL"), None);
        assert_eq!(property(b"\xff\xfe", "ID_SERIAL"), None);
    }
}
