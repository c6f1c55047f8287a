//! `/proc/net/{tcp,tcp6,udp,udp6}` (proc_net(5)): the sockets that wait for somebody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::procfs::text::{ParseError, fields, hex, lines, number, quote};

/// A socket that takes what anybody sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    pub address: IpAddr,
    pub port: u16,
    pub uid: u64,
    pub inode: u64,
}

const TCP_LISTEN: u64 = 10;
/// UDP has no listening; a socket that is not connected has the state of a closed TCP one.
const UDP_OPEN: u64 = 7;
const LEAST: usize = 10;

/// Hands over each listening socket; the number of lines.
pub fn parse(text: &[u8], udp: bool, mut socket: impl FnMut(Listening)) -> Result<u64, ParseError> {
    let wanted = if udp { UDP_OPEN } else { TCP_LISTEN };
    let mut lines = lines(text);
    if lines.next().is_none() {
        return Err(ParseError::new(0, "the file is empty"));
    }
    let mut count = 0;
    for (line, content) in lines {
        count += 1;
        let mut columns: [&[u8]; LEAST] = [b""; LEAST];
        let mut width = 0;
        for (slot, field) in columns.iter_mut().zip(fields(content)) {
            *slot = field;
            width += 1;
        }
        if width < LEAST {
            return Err(ParseError::new(
                line,
                format!("{width} columns, at least {LEAST} are expected"),
            ));
        }
        let bad =
            |what: &str, field: &[u8]| ParseError::new(line, format!("{what} is {}", quote(field)));
        let state = hex(columns[3]).ok_or_else(|| bad("the state", columns[3]))?;
        let local = endpoint(columns[1]).ok_or_else(|| bad("the local address", columns[1]))?;
        let remote = endpoint(columns[2]).ok_or_else(|| bad("the remote address", columns[2]))?;
        let uid = number(columns[7]).ok_or_else(|| bad("the user", columns[7]))?;
        let inode = number(columns[9]).ok_or_else(|| bad("the inode", columns[9]))?;
        if state == wanted && remote.1 == 0 {
            socket(Listening {
                address: local.0,
                port: local.1,
                uid,
                inode,
            });
        }
    }
    Ok(count)
}

/// `0100007F:0016`: words of four bytes in the machine's order, the port as a number.
fn endpoint(field: &[u8]) -> Option<(IpAddr, u16)> {
    let colon = field.iter().position(|byte| *byte == b':')?;
    let port = u16::try_from(hex(&field[colon + 1..])?).ok()?;
    let digits = &field[..colon];
    let word = |at: usize| -> Option<[u8; 4]> {
        let word = u32::try_from(hex(digits.get(at * 8..at * 8 + 8)?)?).ok()?;
        Some(word.to_ne_bytes())
    };
    let address = match digits.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((address, port))
}

/// `ip_local_port_range`: the ports that the kernel gives to whoever asks for none.
pub fn port_range(text: &[u8]) -> Option<(u16, u16)> {
    let mut numbers = fields(text).map(|field| number(field).and_then(|n| u16::try_from(n).ok()));
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TCP: &[u8] = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     7        0 2740 1 ffff 100 0 0 10 0\n   \
        1: 0100007F:0016 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 2741 1 ffff 100 0 0 10 0\n";
    const TCP6: &[u8] = b"h\n 0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0 00:0 0 5 0 9 1\n";

    fn read(text: &[u8], udp: bool) -> Result<Vec<Listening>, ParseError> {
        let mut all = Vec::new();
        parse(text, udp, |socket| all.push(socket))?;
        Ok(all)
    }

    #[test]
    fn listening_sockets() {
        let found = read(TCP, false).unwrap();
        assert_eq!(
            found,
            [Listening {
                address: "127.0.0.1".parse().unwrap(),
                port: 22,
                uid: 7,
                inode: 2740
            }]
        );
        assert_eq!(read(TCP6, false).unwrap()[0].address.to_string(), "::1");
        assert_eq!(read(TCP, true).unwrap(), []);
        assert_eq!(port_range(b"32768\t60999\n"), Some((32768, 60999)));
        assert_eq!(port_range(b"x"), None);
    }

    #[test]
    fn what_is_wrong_is_placed() {
        let text = String::from_utf8(TCP.to_vec()).unwrap();
        for (from, to) in [
            ("0100007F:0016 0000", "01007F:0016 0000"),
            (" 2740 ", " x "),
            (" 0A ", " zz "),
        ] {
            let error = read(text.replace(from, to).as_bytes(), false).unwrap_err();
            assert_eq!(error.line, 2, "{from}");
        }
        assert_eq!(read(b"", false).unwrap_err().line, 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            text in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let _ = read(&text, true);
            let mut spoiled = TCP.to_vec();
            let at = at.index(spoiled.len());
            spoiled[at] = byte;
            let _ = read(&spoiled, false);
            let _ = read(&spoiled[..at], false);
            let _ = port_range(&text);
        }
    }
}
