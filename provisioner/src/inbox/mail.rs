//! An e-mail made readable: header fields and parts decoded by mail-parser, alert facts taken from
//! the `X-Kai-*` fields that our templates write, or from Alertmanager's own subject.

use mail_parser::{Address, MessageParser, MimeHeaders};

use super::facts::Facts;
use super::message::Mail;

/// Longest part kept decoded beside the raw message, in bytes.
const MAX_PART: usize = 256 * 1024;

/// Header fields that our templates write, and the fact each one is.
const FACT_HEADERS: [(&str, &str); 9] = [
    ("X-Kai-Alertname", "alertname"),
    ("X-Kai-Team", "team"),
    ("X-Kai-Severity", "severity"),
    ("X-Kai-Service", "service"),
    ("X-Kai-Environment", "environment"),
    ("X-Kai-Status", "status"),
    ("X-Kai-Drill", "drill_id"),
    ("X-Kai-Starts-At", "starts_at"),
    ("X-Kai-Runbook", "runbook"),
];

/// Reads one message. What is not there stays empty; nothing is refused here.
pub fn read(mail_from: &str, rcpt_to: &[String], data: &[u8]) -> (Mail, Facts) {
    let mut mail = Mail {
        mail_from: mail_from.to_owned(),
        rcpt_to: rcpt_to.to_vec(),
        ..Mail::default()
    };
    let mut facts = Facts::default();
    let Some(message) = MessageParser::default().parse(data) else {
        return (mail, facts);
    };
    mail.from = message.from().map(addresses);
    mail.to = message.to().map(addresses);
    mail.subject = message.subject().map(|subject| bounded(subject, 1024));
    mail.date = message.date().map(mail_parser::DateTime::to_rfc3339);
    // The parser makes a text part out of HTML where there is none, and the other way round; only
    // what was sent is kept.
    let text = message
        .text_bodies()
        .find(|part| part.is_text() && !part.is_text_html());
    mail.text = text
        .and_then(|part| part.text_contents())
        .map(|text| bounded(text, MAX_PART));
    let html = message.html_bodies().find(|part| part.is_text_html());
    mail.html = html
        .and_then(|part| part.text_contents())
        .map(|html| bounded(html, MAX_PART));
    mail.attachments = message
        .attachments()
        .take(50)
        .map(|part| {
            let kind = part.content_type().map_or_else(
                || "application/octet-stream".to_owned(),
                |kind| match kind.subtype() {
                    Some(subtype) => format!("{}/{subtype}", kind.ctype()),
                    None => kind.ctype().to_owned(),
                },
            );
            let name = part.attachment_name().unwrap_or("unnamed");
            format!(
                "{} ({}, {} bytes)",
                bounded(name, 128),
                bounded(&kind, 64),
                part.len()
            )
        })
        .collect();

    for (header, fact) in FACT_HEADERS {
        let value = message.header(header).and_then(|value| value.as_text());
        if let Some(value) = value {
            facts.take(fact, value);
        }
    }
    if let Some(subject) = &mail.subject {
        let status = facts.status;
        facts.take_title(subject);
        facts.status = status.or(facts.status);
        facts.summary = Some(subject.clone());
    } else {
        facts.summary = Some("(no subject)".to_owned());
    }
    facts.bound();
    (mail, facts)
}

/// `Name <a@b>, c@d`
fn addresses(address: &Address<'_>) -> String {
    let list: Vec<String> = address
        .iter()
        .take(20)
        .map(|one| match (&one.name, &one.address) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (None, Some(address)) => address.to_string(),
            (Some(name), None) => name.to_string(),
            (None, None) => String::new(),
        })
        .collect();
    bounded(&list.join(", "), 1024)
}

fn bounded(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::super::message::Status;
    use super::*;
    use proptest::prelude::*;

    /// As Alertmanager 0.3x sends it, shortened.
    const ALERTMANAGER: &str = "To: ops@example.org\r\nX-Kai-Alertname: SeatHoldExpiryHigh\r\n\
        X-Kai-Team: booking\r\nX-Kai-Severity: info\r\nX-Kai-Status: firing\r\n\
        X-Kai-Drill: d-42\r\nFrom: KAI <alerts@example.org>\r\n\
        Subject: =?utf-8?q?[FIRING:1]_SeatHoldExpiryHigh_=C3=BC?=\r\n\
        Message-Id: <1@host>\r\nDate: Mon, 23 Nov 2026 09:14:45 +0000\r\n\
        Content-Type: multipart/alternative;  boundary=b1\r\nMIME-Version: 1.0\r\n\r\n\
        --b1\r\nContent-Transfer-Encoding: quoted-printable\r\n\
        Content-Type: text/plain; charset=UTF-8\r\n\r\nholds =3D 9\r\n\
        --b1\r\nContent-Transfer-Encoding: quoted-printable\r\n\
        Content-Type: text/html; charset=UTF-8\r\n\r\n<b>holds</b>\r\n--b1--\r\n";

    fn to() -> Vec<String> {
        vec!["ops@example.org".to_owned()]
    }

    #[test]
    fn alertmanagers_mail_is_read() {
        let (mail, facts) = read("alerts@example.org", &to(), ALERTMANAGER.as_bytes());
        assert_eq!(mail.from.as_deref(), Some("KAI <alerts@example.org>"));
        assert_eq!(
            mail.subject.as_deref(),
            Some("[FIRING:1] SeatHoldExpiryHigh ü")
        );
        assert_eq!(mail.date.as_deref(), Some("2026-11-23T09:14:45Z"));
        assert_eq!(mail.text.as_deref().map(str::trim), Some("holds = 9"));
        assert_eq!(mail.html.as_deref().map(str::trim), Some("<b>holds</b>"));
        assert_eq!(facts.alertname.as_deref(), Some("SeatHoldExpiryHigh"));
        assert_eq!(facts.drill_id.as_deref(), Some("d-42"));
        assert_eq!(facts.status, Some(Status::Firing));
        assert_eq!(facts.team.as_deref(), Some("booking"));
    }

    #[test]
    fn a_plain_mail_has_text_only() {
        let (mail, facts) = read(
            "a@b",
            &to(),
            b"Subject: [RESOLVED] Disk\r\n\r\nfine again\r\n",
        );
        assert_eq!(mail.text.as_deref().map(str::trim), Some("fine again"));
        assert_eq!(mail.html, None);
        assert_eq!(facts.status, Some(Status::Resolved));
        assert_eq!(facts.alertname.as_deref(), Some("Disk"));
    }

    #[test]
    fn attachments_are_named() {
        let raw =
            b"Subject: x\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\nhi\r\n\
            --q\r\nContent-Type: image/png; name=a.png\r\nContent-Disposition: attachment\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--q--\r\n";
        let (mail, _) = read("a@b", &to(), raw);
        assert_eq!(mail.attachments, ["a.png (image/png, 3 bytes)"]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(data in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..900) {
            let _ = read("a@b", &to(), &data);
            let _ = read("a@b", &to(), &ALERTMANAGER.as_bytes()[..cut.min(ALERTMANAGER.len())]);
        }
    }
}
