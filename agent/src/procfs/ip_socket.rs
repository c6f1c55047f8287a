//! `/proc/net/{tcp,udp}{,6}` (proc_net(5)): a line of headings, then a socket per line.

use super::text::{ParseError, fields, hex, lines, number, quote};

/// What is told of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    pub state: u64,
    pub transmit_queue: u64,
    pub receive_queue: u64,
}

/// Columns of every line; lines of UDP have that of dropped packets, too.
const LEAST: usize = 10;
const WITH_DROPS: usize = 13;

/// Hands over each socket.
pub fn parse(
    text: &[u8],
    with_drops: bool,
    mut socket: impl FnMut(Socket),
) -> Result<(), ParseError> {
    let least = if with_drops { WITH_DROPS } else { LEAST };
    let mut lines = lines(text);
    if lines.next().is_none() {
        return Err(ParseError::new(0, "the file is empty"));
    }
    for (line, content) in lines {
        let mut columns: [&[u8]; LEAST] = [b""; LEAST];
        let mut width = 0;
        for field in fields(content) {
            if let Some(slot) = columns.get_mut(width) {
                *slot = field;
            }
            width += 1;
        }
        if width < least {
            return Err(ParseError::new(
                line,
                format!("{width} columns, at least {least} are expected"),
            ));
        }
        let bad =
            |what: &str, field: &[u8]| ParseError::new(line, format!("{what} is {}", quote(field)));
        let slot = columns[0].strip_suffix(b":").and_then(number);
        slot.ok_or_else(|| bad("the socket's number", columns[0]))?;
        for (what, at) in [("the local address", 1), ("the remote address", 2)] {
            pair(columns[at])
                .filter(|(address, port)| is_address(address) && hex(port).is_some())
                .ok_or_else(|| bad(what, columns[at]))?;
        }
        let queues = pair(columns[4]).and_then(|(tx, rx)| Some((hex(tx)?, hex(rx)?)));
        let (transmit_queue, receive_queue) =
            queues.ok_or_else(|| bad("the length of the queues", columns[4]))?;
        let state = hex(columns[3]).ok_or_else(|| bad("the state", columns[3]))?;
        number(columns[7]).ok_or_else(|| bad("the user", columns[7]))?;
        number(columns[9]).ok_or_else(|| bad("the inode", columns[9]))?;
        socket(Socket {
            state,
            transmit_queue,
            receive_queue,
        });
    }
    Ok(())
}

/// Two texts with a colon between.
fn pair(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = field.iter().position(|byte| *byte == b':')?;
    let (first, second) = (&field[..colon], &field[colon + 1..]);
    (!second.contains(&b':')).then_some((first, second))
}

/// An address of IPv4 or IPv6 in hexadecimal digits.
fn is_address(text: &[u8]) -> bool {
    matches!(text.len(), 8 | 32) && text.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n";
    const LINE: &str = "    0: 0A000005:0016 00000000:0000 0A 00000015:00000001 00:00000000 \
                        00000000 0 0 2740 1 ffff88003d3af3c0 0";

    fn read(line: &str, with_drops: bool) -> Result<Vec<Socket>, ParseError> {
        let mut all = Vec::new();
        parse(format!("{HEADING}{line}\n").as_bytes(), with_drops, |s| {
            all.push(s);
        })?;
        Ok(all)
    }

    #[test]
    fn a_socket() {
        let expected = Socket {
            state: 10,
            transmit_queue: 21,
            receive_queue: 1,
        };
        assert_eq!(read(LINE, true).unwrap(), [expected]);
    }

    #[test]
    fn what_is_wrong_is_placed() {
        for (from, to) in [
            ("0A000005:", "0A0005:"),
            ("00000015:", "0000001x:"),
            (" 0A ", " zz "),
            (" 2740 ", " x "),
            ("    0:", "    0"),
        ] {
            assert_eq!(
                read(&LINE.replace(from, to), true).unwrap_err().line,
                2,
                "{from}"
            );
        }
        let short = LINE.trim_end_matches(" ffff88003d3af3c0 0");
        assert_eq!(read(short, true).unwrap_err().line, 2);
        assert!(read(short, false).is_ok());
        assert_eq!(parse(b"", true, |_| ()).unwrap_err().line, 0);
    }
}
