//! `/proc/net/ip_vs_stats` and `/proc/net/ip_vs`: the kernel's load balancer.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::text::{ParseError, fields, hex, lines, number, quote};

/// Connections, incoming and outgoing packets, incoming and outgoing bytes.
pub type Totals = [u64; 5];

/// The totals stand in the third line, below two of headings.
pub fn totals(text: &[u8]) -> Result<Totals, ParseError> {
    let Some((line, content)) = lines(text).nth(2) else {
        return Err(ParseError::new(0, "the line of totals is missing"));
    };
    let mut totals = Totals::default();
    let mut words = fields(content);
    for slot in &mut totals {
        *slot = words.next().and_then(hex).ok_or_else(|| {
            ParseError::new(
                line,
                format!("{} is not five hexadecimal numbers", quote(content)),
            )
        })?;
    }
    if words.next().is_some() {
        return Err(ParseError::new(line, "more than five numbers"));
    }
    Ok(totals)
}

/// A real server behind a virtual one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backend {
    pub protocol: String,
    /// Empty if packets are chosen by a firewall mark.
    pub local_address: String,
    pub local_port: u16,
    pub local_mark: String,
    pub remote_address: String,
    pub remote_port: u16,
    pub weight: u64,
    pub active: u64,
    pub inactive: u64,
}

pub fn backends(text: &[u8]) -> Result<Vec<Backend>, ParseError> {
    let mut service = Backend::default();
    let mut backends = Vec::new();
    for (line, content) in lines(text) {
        let words: Vec<&[u8]> = fields(content).collect();
        match words[..] {
            [b"IP" | b"Prot", ..] | [_, b"RemoteAddress:Port", ..] => {}
            [protocol @ (b"TCP" | b"UDP"), at, ..] => {
                let (address, port) = address(line, at)?;
                service = Backend {
                    protocol: String::from_utf8_lossy(protocol).into_owned(),
                    local_address: address,
                    local_port: port,
                    ..Backend::default()
                };
            }
            [b"FWM", mark, ..] => {
                service = Backend {
                    protocol: "FWM".to_owned(),
                    local_mark: String::from_utf8_lossy(mark).into_owned(),
                    ..Backend::default()
                };
            }
            [b"->", at, _, weight, active, inactive, ..] => {
                let (address, port) = address(line, at)?;
                let count = |word: &[u8]| {
                    number(word).ok_or_else(|| {
                        ParseError::new(line, format!("{} is not a 64-bit number", quote(word)))
                    })
                };
                backends.push(Backend {
                    remote_address: address,
                    remote_port: port,
                    weight: count(weight)?,
                    active: count(active)?,
                    inactive: count(inactive)?,
                    ..service.clone()
                });
            }
            _ => {}
        }
    }
    Ok(backends)
}

/// `C0A80016:0CEA` or `[2620:0000:…:000A]:0CEA`.
fn address(line: usize, text: &[u8]) -> Result<(String, u16), ParseError> {
    let bad = || {
        ParseError::new(
            line,
            format!("{} is not an address and a port", quote(text)),
        )
    };
    let colon = text.len().checked_sub(5).filter(|at| text[*at] == b':');
    let (address, port) = text.split_at(colon.ok_or_else(bad)?);
    let port = hex(&port[1..]).ok_or_else(bad)? as u16; // four digits
    let address = match address {
        [b'[', inner @ .., b']'] => {
            let inner = std::str::from_utf8(inner).map_err(|_| bad())?;
            let address: Ipv6Addr = inner.parse().map_err(|_| bad())?;
            address
                .to_ipv4_mapped()
                .map_or_else(|| address.to_string(), |mapped| mapped.to_string())
        }
        digits if digits.len() == 8 => {
            Ipv4Addr::from_bits(hex(digits).ok_or_else(bad)? as u32).to_string()
        }
        _ => return Err(bad()),
    };
    Ok((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_of_the_third_line() {
        let text = b"   Total Incoming Outgoing\n   Conns  Packets\n 16AA370 E33656E5 0 51D8C8883AB3 0\n\n";
        assert_eq!(totals(text).unwrap()[0], 0x16A_A370);
        assert_eq!(totals(b"a\nb\n1 2 3\n").unwrap_err().line, 3);
        assert_eq!(totals(b"a\n").unwrap_err().line, 0);
    }

    #[test]
    fn backends_by_service() {
        let text = b"IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n\
            \x20 -> RemoteAddress:Port Forward Weight ActiveConn InActConn\nTCP  C0A80016:0CEA wlc\n\
            \x20 -> C0A85216:0CEA      Tunnel  100    248        2\n\
            TCP  [2620:0000:0000:0000:0000:0000:0000:0001]:0050 wrr\n\
            \x20 -> [2620:0000:0000:0000:0000:0000:0000:0002]:0050 Route 0 1 0\n\
            FWM  10001000 wlc\n  -> C0A8321A:0CEA Route 20 64 1\n";
        let found = backends(text).unwrap();
        assert_eq!(found[0].local_address, "192.168.0.22");
        assert_eq!(
            (found[0].local_port, found[0].weight, found[0].active),
            (3306, 100, 248)
        );
        assert_eq!(found[1].remote_address, "2620::2");
        assert_eq!(
            (
                found[2].local_mark.as_str(),
                found[2].local_address.as_str()
            ),
            ("10001000", "")
        );
    }

    #[test]
    fn what_is_wrong_is_placed() {
        for bad in [
            "TCP  nonsense wlc",
            "TCP  C0A8001:0CEA wlc",
            "  -> C0A85216:0CEA Tunnel x 1 2",
        ] {
            assert_eq!(backends(bad.as_bytes()).unwrap_err().line, 1, "{bad}");
        }
    }
}
