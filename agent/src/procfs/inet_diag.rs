//! The kernel's answer to a question about sockets (sock_diag(7), `include/uapi/linux/inet_diag.h`).

use super::netlink::Progress;
use super::text::ParseError;

const MESSAGE_HEADER: usize = 16;
const REQUEST: usize = 56;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// Of a socket: its state and the lengths of its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    pub state: u8,
    pub receive_queue: u32,
    pub transmit_queue: u32,
}

/// Address families.
pub const INET: u8 = 2;
pub const INET6: u8 = 10;

/// The request for all TCP sockets of a family, in the twelve states that node_exporter asks for.
pub fn request(family: u8, sequence: u32) -> [u8; MESSAGE_HEADER + REQUEST] {
    const NLM_F_REQUEST: u16 = 1;
    const NLM_F_DUMP: u16 = 0x300;
    const IPPROTO_TCP: u8 = 6;
    const STATES: u32 = 0xfff;
    const LENGTH: usize = MESSAGE_HEADER + REQUEST;
    let mut message = [0; LENGTH];
    message[0..4].copy_from_slice(&(LENGTH as u32).to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
    message[16] = family;
    message[17] = IPPROTO_TCP;
    message[20..24].copy_from_slice(&STATES.to_ne_bytes());
    message
}

/// Reads one datagram of the answer, handing over its sockets.
pub fn parse(mut data: &[u8], mut socket: impl FnMut(Socket)) -> Result<Progress, ParseError> {
    while !data.is_empty() {
        let length = u32_at(data, 0).unwrap_or(0) as usize;
        if length < MESSAGE_HEADER || length > data.len() {
            return Err(ParseError::new(
                0,
                format!("netlink message of {length} bytes in {}", data.len()),
            ));
        }
        let (message, rest) = data.split_at(length);
        data = rest
            .get(length.next_multiple_of(4) - length..)
            .unwrap_or_default();
        match message
            .get(4..6)
            .map(|kind| u16::from_ne_bytes([kind[0], kind[1]]))
        {
            Some(NLMSG_DONE) => return Ok(Progress::Done),
            Some(NLMSG_ERROR) => {
                let errno = u32_at(message, MESSAGE_HEADER).unwrap_or(0) as i32;
                return Ok(Progress::Refused(errno.saturating_neg()));
            }
            Some(SOCK_DIAG_BY_FAMILY) => {
                let body = &message[MESSAGE_HEADER..];
                let (Some(state), Some(receive_queue), Some(transmit_queue)) =
                    (body.get(1), u32_at(body, 56), u32_at(body, 60))
                else {
                    return Err(ParseError::new(0, "a socket's message is cut off"));
                };
                socket(Socket {
                    state: *state,
                    receive_queue,
                    transmit_queue,
                });
            }
            _ => {}
        }
    }
    Ok(Progress::More)
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at + 4)?;
    Some(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut message = vec![0; MESSAGE_HEADER];
        message[0..4].copy_from_slice(&((MESSAGE_HEADER + body.len()) as u32).to_ne_bytes());
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(body);
        message
    }

    #[test]
    fn sockets_and_the_end() {
        let mut body = vec![0; 72];
        body[1] = 10;
        body[56..60].copy_from_slice(&3_u32.to_ne_bytes());
        body[60..64].copy_from_slice(&4096_u32.to_ne_bytes());
        let data = [
            message(SOCK_DIAG_BY_FAMILY, &body),
            message(NLMSG_DONE, &[0; 4]),
        ]
        .concat();
        let mut all = Vec::new();
        assert_eq!(
            parse(&data, |socket| all.push(socket)).unwrap(),
            Progress::Done
        );
        let expected = Socket {
            state: 10,
            receive_queue: 3,
            transmit_queue: 4096,
        };
        assert_eq!(all, [expected]);
        assert!(parse(&message(SOCK_DIAG_BY_FAMILY, &[0; 8]), |_| ()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&data, |_| ());
        }
    }
}
