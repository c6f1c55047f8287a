//! `/proc/net/arp`: a line of headings, then an entry per line, its device last.

use super::text::{ParseError, any_base, fields, lines, quote};

const COLUMNS: usize = 6;
/// Words of the line of headings.
const HEADINGS: usize = 9;

/// Devices of the entries, in the order of the file.
pub fn devices(text: &[u8]) -> Result<Vec<&[u8]>, ParseError> {
    let mut devices = Vec::new();
    let mut empty = true;
    for (line, content) in lines(text) {
        empty = false;
        let columns: Vec<&[u8]> = fields(content).collect();
        match columns[..] {
            [_, _, flags, address, _, device] => {
                if any_base(flags).is_none_or(|flags| !(0..=255).contains(&flags)) {
                    return Err(ParseError::new(
                        line,
                        format!("the flags are {}, not a number of 8 bits", quote(flags)),
                    ));
                }
                if !is_hardware_address(address) {
                    return Err(ParseError::new(
                        line,
                        format!("{} is not a hardware address", quote(address)),
                    ));
                }
                devices.push(device);
            }
            _ if columns.is_empty() || columns.len() == HEADINGS => {}
            _ => {
                return Err(ParseError::new(
                    line,
                    format!("{} columns, {COLUMNS} are expected", columns.len()),
                ));
            }
        }
    }
    if empty {
        return Err(ParseError::new(0, "the file is empty"));
    }
    Ok(devices)
}

/// Pairs of hexadecimal digits with colons between them, of 6, 8 or 20 bytes (Ethernet,
/// IEEE 802.15.4, InfiniBand).
fn is_hardware_address(text: &[u8]) -> bool {
    let pairs = text.split(|byte| *byte == b':');
    matches!(pairs.clone().count(), 6 | 8 | 20)
        && pairs
            .into_iter()
            .all(|pair| pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str =
        "IP address       HW type     Flags       HW address            Mask     Device\n";

    #[test]
    fn devices_of_entries() {
        let text = format!(
            "{HEADING}192.168.1.1      0x1         0x2         cc:aa:dd:ee:aa:bb     *        eth0\n"
        );
        assert_eq!(devices(text.as_bytes()).unwrap(), [b"eth0"]);
        assert!(devices(HEADING.as_bytes()).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_placed() {
        for bad in [
            "192.168.1.1 0x1 0x2 cc:aa:dd:ee:aa:bb *",
            "192.168.1.1 0x1 0x2 cc:aa * eth0",
            "192.168.1.1 0x1 0x222 cc:aa:dd:ee:aa:bb * eth0",
        ] {
            let text = format!("{HEADING}{bad}\n");
            assert_eq!(devices(text.as_bytes()).unwrap_err().line, 2);
        }
        assert_eq!(devices(b"").unwrap_err().line, 0);
    }
}
