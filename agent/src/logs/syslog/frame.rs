//! Messages in a stream of bytes (RFC 6587): each begins with its length (`71 <34>1 …`), or ends
//! with its line. Both may be mixed, as senders do. Pure: bytes in, messages out.

/// A length that nobody means.
const ABSURD: u64 = 64 << 20;

/// A message in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub text: &'a [u8],
    /// It was longer, or broke off.
    pub cut: bool,
}

/// What was said cannot be followed any further.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is said to have {0} bytes")]
pub struct Absurd(u64);

/// Splits a stream; `limit` is the longest message that is kept whole.
#[derive(Debug)]
pub struct Framer {
    limit: usize,
    held: Vec<u8>,
    skip: Skip,
}

/// The rest of a message of which enough was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    Bytes(u64),
    Line,
}

/// What a message at the beginning of some bytes is.
enum Head {
    /// So many bytes after so many.
    Counted {
        head: usize,
        length: u64,
    },
    Line,
    /// Too short to tell.
    Unknown,
}

impl Framer {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            held: Vec::new(),
            skip: Skip::Nothing,
        }
    }

    /// Nothing is half there.
    pub fn is_between(&self) -> bool {
        self.held.is_empty() && self.skip == Skip::Nothing
    }

    /// Takes more bytes, and hands over the messages that they end.
    pub fn feed(&mut self, bytes: &[u8], mut message: impl FnMut(Frame<'_>)) -> Result<(), Absurd> {
        if self.held.is_empty() {
            let used = self.split(bytes, &mut message)?;
            self.held.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let used = self.split(&held, &mut message)?;
        held.drain(..used);
        if held.is_empty() {
            held.shrink_to(64 << 10);
        }
        self.held = held;
        Ok(())
    }

    /// The stream ended: what is there is a message. One that has less than it said is marked.
    pub fn end(&mut self, mut message: impl FnMut(Frame<'_>)) {
        let held = std::mem::take(&mut self.held);
        let (text, cut) = match head(&held) {
            Head::Counted { head, .. } => (&held[head..], true),
            _ => (&held[..], false),
        };
        if !text.is_empty() && self.skip == Skip::Nothing {
            message(Frame { text, cut });
        }
        self.skip = Skip::Nothing;
    }

    fn split(
        &mut self,
        bytes: &[u8],
        message: &mut impl FnMut(Frame<'_>),
    ) -> Result<usize, Absurd> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.skip {
                Skip::Nothing => {}
                Skip::Bytes(count) => {
                    let skipped = count.min(rest.len() as u64);
                    at += skipped as usize;
                    self.skip = match count - skipped {
                        0 => Skip::Nothing,
                        left => Skip::Bytes(left),
                    };
                    if self.skip != Skip::Nothing {
                        return Ok(at);
                    }
                    continue;
                }
                Skip::Line => match memchr::memchr(b'\n', rest) {
                    None => return Ok(bytes.len()),
                    Some(end) => {
                        at += end + 1;
                        self.skip = Skip::Nothing;
                        continue;
                    }
                },
            }
            if rest.is_empty() {
                return Ok(at);
            }
            // Between counted messages some send line ends all the same.
            if matches!(rest[0], b'\n' | b'\r' | 0) {
                at += 1;
                continue;
            }
            match head(rest) {
                Head::Unknown => return Ok(at),
                Head::Counted { length, .. } if length > ABSURD => return Err(Absurd(length)),
                Head::Counted { head, length } => {
                    let kept = (length as usize).min(self.limit);
                    let Some(text) = rest.get(head..head + kept) else {
                        return Ok(at);
                    };
                    let left = length - kept as u64;
                    message(Frame {
                        text,
                        cut: left > 0,
                    });
                    at += head + kept;
                    if left > 0 {
                        self.skip = Skip::Bytes(left);
                    }
                }
                Head::Line => match memchr::memchr(b'\n', rest) {
                    Some(end) => {
                        let text = &rest[..end.min(self.limit)];
                        message(Frame {
                            text,
                            cut: end > self.limit,
                        });
                        at += end + 1;
                    }
                    None if rest.len() > self.limit => {
                        message(Frame {
                            text: &rest[..self.limit],
                            cut: true,
                        });
                        self.skip = Skip::Line;
                        return Ok(bytes.len());
                    }
                    None => return Ok(at),
                },
            }
        }
    }
}

/// A length is one only before a space and a `<`: a line may begin with digits, too.
fn head(bytes: &[u8]) -> Head {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 || bytes[0] == b'0' || digits > 10 {
        return Head::Line;
    }
    match (bytes.get(digits), bytes.get(digits + 1)) {
        (None, _) | (Some(b' '), None) => Head::Unknown,
        (Some(b' '), Some(b'<')) => Head::Counted {
            head: digits + 1,
            length: bytes[..digits]
                .iter()
                .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
        },
        _ => Head::Line,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fed in pieces of these lengths, over and over.
    fn split(stream: &[u8], limit: usize, pieces: &[usize]) -> Vec<(Vec<u8>, bool)> {
        let mut framer = Framer::new(limit);
        let mut found = Vec::new();
        let mut take = |frame: Frame<'_>| found.push((frame.text.to_vec(), frame.cut));
        let (mut at, mut turn) = (0, 0);
        while at < stream.len() {
            let end = (at + pieces[turn % pieces.len()].max(1)).min(stream.len());
            framer.feed(&stream[at..end], &mut take).unwrap();
            (at, turn) = (end, turn + 1);
        }
        framer.end(&mut take);
        found
    }

    fn texts(stream: &[u8]) -> Vec<(String, bool)> {
        split(stream, 20, &[3])
            .into_iter()
            .map(|(text, cut)| (String::from_utf8(text).unwrap(), cut))
            .collect()
    }

    #[test]
    fn both_framings_and_their_mixture() {
        let is = |text: &str| (text.to_owned(), false);
        assert_eq!(
            texts(b"6 <13>a\n7 <13>bc\n<13>d e\r\n2026 began\n4 <1>"),
            [
                is("<13>a\n"),
                is("<13>bc\n"),
                is("<13>d e\r"),
                is("2026 began"),
                ("<1>".to_owned(), true)
            ]
        );
        assert_eq!(texts(b"no end"), [is("no end")]);
        assert_eq!(texts(b"\n\n\0"), []);
    }

    #[test]
    fn what_is_too_long_is_cut_and_its_rest_skipped() {
        let long = "<13>".to_owned() + &"x".repeat(30);
        let cut = (long[..20].to_owned(), true);
        let after = ("<13>y".to_owned(), false);
        let counted = format!("34 {long}5 <13>y");
        assert_eq!(texts(counted.as_bytes()), [cut.clone(), after.clone()]);
        let line = format!("{long}\n<13>y");
        assert_eq!(texts(line.as_bytes()), [cut, after]);
        let mut framer = Framer::new(20);
        assert_eq!(
            framer.feed(b"9999999999 <1>", |_| ()),
            Err(Absurd(9_999_999_999))
        );
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            messages in prop::collection::vec(("<[0-9]{1,3}>[ -~]{0,40}", any::<bool>()), 0..8),
            pieces in prop::collection::vec(1..50usize, 1..5),
        ) {
            let mut stream = Vec::new();
            for (text, counted) in &messages {
                if *counted {
                    stream.extend_from_slice(format!("{} {text}", text.len()).as_bytes());
                } else {
                    stream.extend_from_slice(format!("{text}\n").as_bytes());
                }
            }
            let expected: Vec<_> = messages.into_iter().map(|(text, _)| (text.into_bytes(), false)).collect();
            prop_assert_eq!(split(&stream, 1000, &pieces), expected);
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, pieces in prop::collection::vec(1..9usize, 1..4)) {
            for (text, _) in split(&bytes, 10, &pieces) {
                prop_assert!(text.len() <= 12);
            }
        }

        #[test]
        fn digits_and_signs_do_not_confuse_it(text in "[0-9 <>\n]{0,60}", pieces in prop::collection::vec(1..9usize, 1..4)) {
            let mut framer = Framer::new(10);
            for piece in text.as_bytes().chunks(pieces[0]) {
                if framer.feed(piece, |_| ()).is_err() {
                    break;
                }
            }
        }
    }
}
