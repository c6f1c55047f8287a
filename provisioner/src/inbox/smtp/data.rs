//! The bytes between DATA and the lone dot: dots unstuffed, the end found, the message bounded. Only
//! `CRLF . CRLF` ends a message: taking a bare line feed for a line end is how messages are
//! smuggled (RFC 5321 section 2.3.8).

/// Longest line of a message, without its CRLF (RFC 5322 section 2.1.1).
const MAX_TEXT_LINE: usize = 998;
/// More hops than this is a loop (RFC 5321 section 6.3).
const MAX_RECEIVED: usize = 100;
/// What is kept of a message that is refused.
const KEEP_OF_REFUSED: usize = 64 * 1024;

/// A message while it arrives.
#[derive(Debug)]
pub struct Collector {
    max: usize,
    data: Vec<u8>,
    at: At,
    line: usize,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Dot,
    DotCr,
    Text,
    Cr,
}

/// What was wrong with it; the first in this order is said.
#[derive(Debug, Default)]
struct Fault {
    oversize: bool,
    bare: bool,
    nul: bool,
    long_line: bool,
}

/// The end of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Message(Vec<u8>),
    /// The reply without its line end, and the beginning of what was sent.
    Refused(&'static str, Vec<u8>),
}

impl Collector {
    pub fn new(max: usize) -> Self {
        Self {
            max,
            data: Vec::new(),
            at: At::LineStart,
            line: 0,
            fault: Fault::default(),
        }
    }

    /// Takes bytes until the message ends. How many were used, and the end if it was among them.
    pub fn take(&mut self, bytes: &[u8], utf8_headers: bool) -> (usize, Option<Ended>) {
        for (used, byte) in bytes.iter().enumerate() {
            if self.byte(*byte) {
                return (used + 1, Some(self.end(utf8_headers)));
            }
        }
        (bytes.len(), None)
    }

    /// True when this byte ended the message.
    fn byte(&mut self, byte: u8) -> bool {
        self.at = match (self.at, byte) {
            (At::LineStart, b'.') => At::Dot,
            (At::Dot, b'\r') => At::DotCr,
            (At::DotCr, b'\n') => return true,
            // A line feed alone is text, never a line end.
            (At::LineStart | At::Text | At::Dot, b'\n') => {
                self.fault.bare = true;
                self.keep(byte);
                At::Text
            }
            (At::LineStart | At::Text, b'\r') => At::Cr,
            (At::Cr, b'\n') => {
                self.keep(b'\r');
                self.keep(b'\n');
                self.line = 0;
                At::LineStart
            }
            (At::Cr | At::DotCr, other) => {
                self.fault.bare = true;
                self.keep(b'\r');
                if other == b'\r' {
                    At::Cr
                } else {
                    self.text(other);
                    At::Text
                }
            }
            (At::LineStart | At::Text | At::Dot, other) => {
                self.text(other);
                At::Text
            }
        };
        false
    }

    fn text(&mut self, byte: u8) {
        self.fault.nul |= byte == 0;
        self.line += 1;
        self.fault.long_line |= self.line > MAX_TEXT_LINE;
        self.keep(byte);
    }

    fn keep(&mut self, byte: u8) {
        if self.fault.oversize {
            return;
        }
        if self.data.len() >= self.max {
            self.fault.oversize = true;
            self.data.truncate(KEEP_OF_REFUSED);
            self.data.shrink_to_fit();
            return;
        }
        self.data.push(byte);
    }

    fn end(&mut self, utf8_headers: bool) -> Ended {
        let mut data = std::mem::take(&mut self.data);
        let reply = if self.fault.oversize {
            "552 5.3.4 message is larger than the maximum announced by SIZE"
        } else if self.fault.bare {
            "550 5.6.0 message has a bare CR or LF; lines end with CRLF (RFC 5321 2.3.8)"
        } else if self.fault.nul {
            "550 5.6.0 message has a NUL byte (RFC 5322 2.1)"
        } else if self.fault.long_line {
            "550 5.6.0 message has a line longer than 998 octets (RFC 5322 2.1.1)"
        } else if !utf8_headers && !header_part(&data).is_ascii() {
            "550 5.6.7 header fields are not ASCII and SMTPUTF8 was not asked for (RFC 6531)"
        } else if received(&data) > MAX_RECEIVED {
            "554 5.4.6 too many Received fields: the message loops"
        } else {
            return Ended::Message(data);
        };
        data.truncate(KEEP_OF_REFUSED);
        Ended::Refused(reply, data)
    }
}

/// Everything before the first empty line.
fn header_part(data: &[u8]) -> &[u8] {
    let end = data.windows(4).position(|four| four == b"\r\n\r\n");
    &data[..end.unwrap_or(data.len())]
}

fn received(data: &[u8]) -> usize {
    let name = b"received:";
    header_part(data)
        .split(|byte| *byte == b'\n')
        .filter(|line| {
            line.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(bytes: &[u8]) -> Option<Ended> {
        Collector::new(4096).take(bytes, false).1
    }

    #[test]
    fn dots_are_unstuffed_and_the_lone_dot_ends() {
        let message = collect(b"Subject: x\r\n\r\n..\r\n.a\r\n...\r\n.\r\n");
        assert_eq!(
            message,
            Some(Ended::Message(
                b"Subject: x\r\n\r\n.\r\na\r\n..\r\n".to_vec()
            ))
        );
        assert_eq!(collect(b".\r\n"), Some(Ended::Message(Vec::new())));
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends() {
        for bytes in [
            &b"a\n.\n"[..],
            b"a\r.\r",
            b"a\n.\r\n",
            b"a\r\n.\n",
            b"a\r\n.\r\r\n",
            b"a\r\n",
        ] {
            assert_eq!(collect(bytes), None, "{bytes:?}");
        }
        let smuggled = collect(b"a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n");
        assert!(matches!(smuggled, Some(Ended::Refused(reply, _)) if reply.contains("bare")));
    }

    #[test]
    fn what_a_relay_refuses() {
        let long = [vec![b'a'; 999], b"\r\n.\r\n".to_vec()].concat();
        let longest = [vec![b'a'; 998], b"\r\n.\r\n".to_vec()].concat();
        let large = [b"abcdefg\r\n".repeat(600), b".\r\n".to_vec()].concat();
        let loops = [b"received: by a\r\n".repeat(101), b".\r\n".to_vec()].concat();
        for (bytes, code) in [
            (long, "550 5.6.0"),
            (large, "552 5.3.4"),
            (loops, "554 5.4.6"),
            (b"a\0b\r\n.\r\n".to_vec(), "550 5.6.0"),
            ("Subject: größer\r\n\r\n.\r\n".into(), "550 5.6.7"),
        ] {
            let Some(Ended::Refused(reply, _)) = collect(&bytes) else {
                panic!("{code}")
            };
            assert!(reply.starts_with(code), "{reply}");
        }
        assert!(matches!(collect(&longest), Some(Ended::Message(_))));
        let utf8 = Collector::new(99).take("Subject: größer\r\n\r\nü\r\n.\r\n".as_bytes(), true);
        assert!(matches!(utf8.1, Some(Ended::Message(_))));
        assert!(matches!(
            collect("Subject: x\r\n\r\nü\r\n.\r\n".as_bytes()),
            Some(Ended::Message(_))
        ));
    }
}
