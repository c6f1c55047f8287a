//! Conversations by RFC 5321 and its neighbours, and the promise that chunking changes nothing.

use super::*;
use proptest::prelude::*;

fn limits() -> Limits {
    Limits {
        hostname: "inbox.local".to_owned(),
        max_message: 2000,
        max_recipients: 3,
    }
}

/// Runs a whole conversation; every delivery is stored.
fn talk_in(chunks: &[&[u8]]) -> (String, Vec<Delivery>, Vec<Refused>, bool) {
    let mut session = Session::new(limits());
    let (mut text, mut mail, mut refused, mut closed) = (String::new(), vec![], vec![], false);
    for chunk in chunks {
        let mut queue: std::collections::VecDeque<_> = session.receive(chunk).into();
        while let Some(action) = queue.pop_front() {
            match action {
                Action::Reply(reply) => text.push_str(&reply),
                Action::Deliver(delivery) => {
                    mail.push(delivery);
                    queue.extend(session.stored(true));
                }
                Action::Refused(what) => refused.push(what),
                Action::Close => closed = true,
            }
        }
    }
    (text, mail, refused, closed)
}

fn talk(input: &str) -> (String, Vec<Delivery>, Vec<Refused>, bool) {
    talk_in(&[input.as_bytes()])
}

/// The codes of the replies, the EHLO answer counted once.
fn codes(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.as_bytes().get(3) == Some(&b' '))
        .map(|line| &line[..3])
        .collect()
}

const HELLO: &str = "EHLO client\r\n";
const MESSAGE: &str = "EHLO client\r\nMAIL FROM:<am@example.org> SIZE=20 BODY=8BITMIME\r\n\
    RCPT TO:<ops@example.org>\r\nDATA\r\nSubject: x\r\n\r\n..hi\r\n.\r\nQUIT\r\n";

#[test]
fn a_message_is_delivered_in_one_pipelined_write() {
    let (text, mail, refused, closed) = talk(MESSAGE);
    assert_eq!(
        codes(&text),
        ["250", "250", "250", "354", "250", "221"],
        "{text}"
    );
    assert_eq!(mail.len(), 1);
    assert_eq!(mail[0].from, "am@example.org");
    assert_eq!(mail[0].to, ["ops@example.org"]);
    assert_eq!(mail[0].data, b"Subject: x\r\n\r\n.hi\r\n");
    assert!(refused.is_empty() && closed);
}

#[test]
fn the_order_of_commands_is_kept() {
    for (input, expected) in [
        ("MAIL FROM:<a@b>\r\n", "503"),
        ("EHLO x\r\nRCPT TO:<a@b>\r\n", "503"),
        ("EHLO x\r\nDATA\r\n", "503"),
        ("EHLO x\r\nMAIL FROM:<a@b>\r\nDATA\r\n", "554"),
        ("EHLO x\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n", "503"),
        (
            "EHLO x\r\nMAIL FROM:<a@b>\r\nRSET\r\nRCPT TO:<a@b>\r\n",
            "503",
        ),
        (
            "EHLO x\r\nMAIL FROM:<a@b>\r\nEHLO x\r\nRCPT TO:<a@b>\r\n",
            "503",
        ),
        ("AUTH PLAIN AGEAYg==\r\n", "503"),
        (
            "EHLO x\r\nAUTH PLAIN AGEAYg==\r\nAUTH PLAIN AGEAYg==\r\n",
            "503",
        ),
        (
            "EHLO x\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN AGEAYg==\r\n",
            "503",
        ),
    ] {
        let (text, ..) = talk(input);
        assert_eq!(codes(&text).last(), Some(&expected), "{input} {text}");
    }
}

#[test]
fn bad_lines_get_the_standards_codes() {
    let long = format!("NOOP {}\r\n", "x".repeat(3000));
    for (line, expected) in [
        ("FOO\r\n", "500"),
        ("\r\n", "500"),
        ("NOOP\n", "500"),
        (long.as_str(), "500"),
        ("EHLO\r\n", "501"),
        ("MAIL <a@b>\r\n", "501"),
        ("MAIL FROM:a@b\r\n", "501"),
        ("MAIL FROM:<a@b> SIZE=x\r\n", "501"),
        ("MAIL FROM:<a@b> BODY=BINARYMIME\r\n", "501"),
        ("MAIL FROM:<a@b> RET=FULL\r\n", "555"),
        ("MAIL FROM:<a@b> SIZE=2001\r\n", "552"),
        ("MAIL FROM:<a>\r\n", "553"),
        ("MAIL FROM:<jörg@b>\r\n", "553"),
        ("RSET now\r\n", "501"),
        ("QUIT now\r\n", "501"),
        ("VRFY\r\n", "501"),
        ("VRFY ops\r\n", "252"),
        ("EXPN list\r\n", "502"),
        ("STARTTLS\r\n", "502"),
        ("HELP\r\n", "214"),
        ("NOOP anything\r\n", "250"),
        ("mail from:<>\r\n", "250"),
        ("MAIL FROM:<jörg@b> SMTPUTF8\r\n", "250"),
    ] {
        let (text, ..) = talk(&format!("{HELLO}{line}"));
        assert_eq!(codes(&text).last(), Some(&expected), "{line} {text}");
    }
}

#[test]
fn recipients_are_judged_and_refusals_kept() {
    let start = format!("{HELLO}MAIL FROM:<a@b>\r\n");
    for (line, expected) in [
        ("RCPT TO:<>\r\n", "553"),
        ("RCPT TO:<ops>\r\n", "553"),
        ("RCPT TO:<postmaster>\r\n", "250"),
        ("RCPT TO:<a b@c>\r\n", "553"),
        ("RCPT TO:<jörg@c>\r\n", "553"),
        ("RCPT TO:<a@c> NOTIFY=NEVER\r\n", "555"),
        ("RCPT FROM:<a@c>\r\n", "501"),
    ] {
        let (text, _, refused, _) = talk(&format!("{start}{line}"));
        assert_eq!(codes(&text).last(), Some(&expected), "{line} {text}");
        assert_eq!(refused.len(), usize::from(expected == "553"), "{line}");
    }
    let (text, ..) = talk(&format!("{start}{}", "RCPT TO:<a@c>\r\n".repeat(4)));
    assert_eq!(codes(&text), ["250", "250", "250", "250", "250", "452"]);
}

#[test]
fn a_message_too_large_is_refused_at_its_end_and_the_session_goes_on() {
    let body = "0123456789abcdef\r\n".repeat(200);
    let (text, mail, refused, _) = talk(&format!(
        "{HELLO}MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n{body}.\r\n{}",
        &MESSAGE[HELLO.len()..]
    ));
    assert_eq!(
        codes(&text),
        [
            "250", "250", "250", "354", "552", "250", "250", "354", "250", "221"
        ]
    );
    assert_eq!(mail.len(), 1);
    assert_eq!(refused[0].to, ["c@d"]);
}

#[test]
fn nothing_is_answered_while_a_message_is_being_stored() {
    let mut session = Session::new(limits());
    let actions = session.receive(MESSAGE.as_bytes());
    assert!(
        matches!(actions.last(), Some(Action::Deliver(_))),
        "{actions:?}"
    );
    assert!(session.receive(b"NOOP\r\n").is_empty());
    let after = session.stored(false);
    assert!(matches!(&after[0], Action::Reply(text) if text.starts_with("451")));
    assert!(matches!(&after[1], Action::Reply(text) if text.starts_with("221")));
}

#[test]
fn credentials_are_accepted_and_appear_nowhere() {
    let login = format!("{HELLO}AUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\n");
    let (text, ..) = talk(&login);
    assert_eq!(codes(&text), ["250", "334", "334", "235"]);
    let mut session = Session::new(limits());
    let actions = session.receive(login.as_bytes());
    let seen = format!("{session:?}{actions:?}");
    assert!(!seen.contains("c2VjcmV0") && !seen.contains("secret"));
}

#[test]
fn http_and_endless_errors_are_cut_off() {
    let (text, _, _, closed) = talk("POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n");
    assert_eq!((codes(&text), closed), (vec!["421"], true));
    let (text, _, _, closed) = talk(&"NONSENSE\r\n".repeat(50));
    assert_eq!((codes(&text).len(), closed), (21, true));
}

/// Lines that together reach most of the machine.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(b"EHLO c\r\n".to_vec()),
        Just(b"MAIL FROM:<a@b>\r\n".to_vec()),
        Just(b"RCPT TO:<c@d>\r\n".to_vec()),
        Just(b"DATA\r\n".to_vec()),
        Just(b"Subject: x\r\n\r\n".to_vec()),
        Just(b".\r\n".to_vec()),
        Just(b"..\n.\r".to_vec()),
        Just(b"RSET\r\n".to_vec()),
        Just(b"AUTH LOGIN\r\n".to_vec()),
        Just(b"AUTH PLAIN AGEAYg==\r\n".to_vec()),
        Just(vec![b'x'; 2500]),
        Just(b"QUIT\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    proptest::collection::vec(line, 0..30).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_result(input in lines(), cuts in proptest::collection::vec(1_usize..200, 0..40)) {
        let whole = talk_in(&[&input]);
        let mut chunks = Vec::new();
        let mut rest = &input[..];
        for cut in cuts {
            let (chunk, tail) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        chunks.push(rest);
        prop_assert_eq!(&talk_in(&chunks), &whole);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&talk_in(&bytes), &whole);
    }

    #[test]
    fn a_message_arrives_as_it_was_sent(lines in proptest::collection::vec("[ -~]{0,60}", 0..20)) {
        let body: String = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
        let stuffed: String = lines
            .iter()
            .map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") })
            .collect();
        let (_, mail, ..) = talk(&format!(
            "{HELLO}MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n{stuffed}.\r\n"
        ));
        prop_assert_eq!(String::from_utf8_lossy(&mail[0].data).into_owned(), body);
    }
}
