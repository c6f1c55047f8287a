//! The DNS reader on messages made by hand, and on bytes that nobody would send.

use proptest::prelude::*;

use super::*;

/// An answer to `kai.example` with one record whose name points at the question's.
fn answer(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut out = query(7, "kai.example", kind, 1, true).unwrap();
    out[2] |= 0x80;
    out[7] = 1;
    out.extend_from_slice(&[0xc0, 12]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1, 0, 0, 1, 44]);
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    out
}

fn text(kind: u16, data: &[u8]) -> String {
    let message = parse(&answer(kind, data)).unwrap();
    message.answer[0].text.replace('\t', " ")
}

#[test]
fn records_are_written_as_in_a_master_file() {
    assert_eq!(text(1, &[10, 0, 0, 1]), "kai.example. 300 IN A 10.0.0.1");
    assert_eq!(
        text(5, &[1, b'a', 0xc0, 12]),
        "kai.example. 300 IN CNAME a.kai.example."
    );
    assert_eq!(
        text(15, &[0, 10, 2, b'm', b'.', 0]),
        "kai.example. 300 IN MX 10 m\\.."
    );
    assert_eq!(
        text(16, b"\x03a\"b\x01\xff"),
        "kai.example. 300 IN TXT \"a\\\"b\" \"\\255\""
    );
    assert_eq!(
        text(65280, &[1, 171]),
        "kai.example. 300 CLASS1 TYPE65280 \\# 2 01AB"
    );
    assert_eq!(
        text(257, b"\0\x05issueca.example"),
        "kai.example. 300 IN CAA 0 issue \"ca.example\""
    );
}

#[test]
fn the_serial_number_of_a_zone() {
    let mut data = vec![0, 1, b'h', 0];
    for number in [2_026_112_401_u32, 1, 2, 3, 4] {
        data.extend_from_slice(&number.to_be_bytes());
    }
    let message = parse(&answer(6, &data)).unwrap();
    assert_eq!(message.answer[0].serial, Some(2_026_112_401));
    assert!(message.answer[0].text.ends_with(". h. 2026112401 1 2 3 4"));
}

#[test]
fn what_cannot_be_is_refused() {
    // A name that points at itself, a record that is longer than its data.
    let mut itself = answer(5, &[0xc0, 41]);
    let at = itself.len() - 1;
    itself[at] = (at - 1) as u8;
    assert!(parse(&itself).unwrap_err().contains("forwards"));
    assert!(parse(&answer(1, &[1, 2, 3])).is_err());
    assert!(parse(&answer(1, &[1, 2, 3, 4, 5])).is_err());
    assert!(parse(&query(1, "a", 1, 1, true).unwrap()[..15]).is_err());
    assert!(query(1, &"a".repeat(64), 1, 1, true).is_err());
    assert!(query(1, &"abcdefg.".repeat(40), 1, 1, true).is_err());
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    /// A good answer with a few bytes changed or its end cut off.
    #[test]
    fn no_change_breaks_the_reader(
        kind in prop_oneof![Just(1_u16), Just(5), Just(6), Just(15), Just(16), Just(28), Just(33), Just(257)],
        data in proptest::collection::vec(any::<u8>(), 0..60),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = answer(kind, &data);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = parse(&bytes);
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = parse(&bytes);
    }

    #[test]
    fn a_question_holds_its_name(name in "([a-z0-9-]{1,20}\\.){0,6}[a-z]{1,10}") {
        let bytes = query(3, &name, 1, 1, false).unwrap();
        let mut reader = Reader { message: &bytes, at: 12 };
        prop_assert_eq!(reader.name().unwrap(), format!("{name}."));
    }
}
