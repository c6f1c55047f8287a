//! The mail server over TCP: by hand, and with Python's smtplib as a client that is not ours.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends `input` in one write, closes that direction, and returns all replies.
async fn talk(inbox: &Inbox, input: &str) -> String {
    let mut stream = TcpStream::connect(inbox.running.smtp).await.unwrap();
    stream.write_all(input.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

fn codes(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.as_bytes().get(3) == Some(&b' '))
        .map(|line| &line[..3])
        .collect()
}

const MAIL: &str = "EHLO am\r\nMAIL FROM:<kai@example.org> BODY=8BITMIME\r\n\
    RCPT TO:<ops@example.org>\r\nDATA\r\nFrom: KAI <kai@example.org>\r\nTo: ops@example.org\r\n\
    Subject: [FIRING:1] SeatHoldExpiryHigh\r\nX-Kai-Alertname: SeatHoldExpiryHigh\r\n\
    X-Kai-Team: booking\r\nX-Kai-Severity: info\r\nX-Kai-Status: firing\r\nX-Kai-Drill: d-9\r\n\
    Content-Type: text/html; charset=UTF-8\r\n\r\n<b>holds</b>\r\n..\r\n.\r\nQUIT\r\n";

#[tokio::test]
async fn a_mail_arrives_with_its_facts() {
    let inbox = Inbox::open().await;
    let text = talk(&inbox, MAIL).await;
    assert_eq!(
        codes(&text),
        ["220", "250", "250", "250", "354", "250", "221"],
        "{text}"
    );
    for extension in [
        "PIPELINING",
        "SIZE 10485760",
        "8BITMIME",
        "SMTPUTF8",
        "AUTH PLAIN LOGIN",
    ] {
        assert!(text.contains(extension), "{text}");
    }
    let [message] = inbox.all().await.try_into().unwrap();
    assert_eq!(message.endpoint, "ops@example.org");
    assert_eq!(message.facts.drill_id.as_deref(), Some("d-9"));
    assert_eq!(message.facts.severity.as_deref(), Some("info"));
    assert_eq!(message.incident, Some(message.id));
    let whole = inbox.whole(message.id).await;
    assert!(
        whole
            .raw
            .as_str()
            .unwrap()
            .ends_with("<b>holds</b>\r\n.\r\n")
    );
    let url = format!("{}/api/messages/{}/html", inbox.url(), message.id);
    let page = inbox.http.get(url).send().await.unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("sandbox;")
    );
    assert_eq!(page.text().await.unwrap().trim(), "<b>holds</b>\r\n.");
}

#[tokio::test]
async fn what_a_relay_refuses_is_refused_and_kept() {
    let inbox = Inbox::with(|options| options.mail.max_message = 1000).await;
    let start = "EHLO x\r\nMAIL FROM:<a@b>\r\n";
    let long = "x".repeat(1200);
    for (input, code) in [
        ("RCPT TO:<a@b>\r\n".to_owned(), "503"),
        ("MAIL FROM:<a@b>\r\n".to_owned(), "503"),
        (format!("{start}DATA\r\n"), "554"),
        (format!("{start}RCPT TO:<>\r\n"), "553"),
        (format!("{start}RCPT TO:<nobody>\r\n"), "553"),
        (format!("{start}RCPT TO:a@b\r\n"), "501"),
        ("EHLO x\r\nMAIL FROM:<a@b> SIZE=1001\r\n".to_owned(), "552"),
        (
            format!("{start}RCPT TO:<c@d>\r\nDATA\r\n{long}\r\n.\r\n"),
            "552",
        ),
        (
            format!("{start}RCPT TO:<c@d>\r\nDATA\r\nbare\n.\r\n\r\n.\r\n"),
            "550",
        ),
        ("WHAT\r\n".to_owned(), "500"),
    ] {
        let text = talk(&inbox, &input).await;
        assert_eq!(codes(&text).last(), Some(&code), "{input} {text}");
    }
    let kept: Vec<u16> = inbox
        .all()
        .await
        .iter()
        .map(|message| message.verdict.status())
        .collect();
    assert_eq!(kept, [553, 553, 552, 552, 550]);
}

#[tokio::test]
async fn connections_are_bounded() {
    let inbox = Inbox::with(|options| options.mail.connections = 1).await;
    let mut first = TcpStream::connect(inbox.running.smtp).await.unwrap();
    let mut greeting = [0; 4];
    first.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220 ");
    let second = talk(&inbox, "").await;
    assert!(second.starts_with("421 "), "{second}");
}

#[tokio::test]
async fn stopping_says_goodbye_to_an_idle_client() {
    let inbox = Inbox::open().await;
    let mut idle = TcpStream::connect(inbox.running.smtp).await.unwrap();
    let mut greeting = [0; 4];
    idle.read_exact(&mut greeting).await.unwrap();
    let url = format!("{}/api/messages?after=0&wait=60", inbox.url());
    let polling = tokio::spawn(inbox.http.get(url).send());
    // The poll must be held before the end begins; an answered request shows that it was accepted.
    inbox.get("/api/about").await;
    inbox.stop().await;
    let mut text = String::new();
    idle.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("421 4.3.2"), "{text}");
    // Held or not yet read: it ended either way, nothing hangs.
    drop(polling.await.unwrap());
}

const PYTHON: &str = r#"
import smtplib, sys
from email.message import EmailMessage
port = int(sys.argv[1])
m = EmailMessage()
m["From"], m["To"], m["Subject"] = "kai@example.org", "ops@example.org", "[RESOLVED] Disk voll: größer"
m["X-Kai-Team"] = "platform"
m.set_content("alles gut\n.\n..\n" + "x" * 2000)
m.add_alternative("<p>gut</p>", subtype="html")
m.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="a.bin")
with smtplib.SMTP("127.0.0.1", port, timeout=20) as s:
    s.ehlo()
    s.user, s.password = "user", "sup3r-secret-password"
    s.auth("PLAIN", s.auth_plain)
    s.send_message(m)
with smtplib.SMTP("127.0.0.1", port, timeout=20) as s:
    s.login("user", "sup3r-secret-password")
    try:
        s.sendmail("kai@example.org", ["not an address"], "Subject: x\r\n\r\nx")
    except smtplib.SMTPRecipientsRefused as e:
        assert list(e.recipients.values())[0][0] == 553, e.recipients
    else:
        raise SystemExit("not refused")
    s.rset()
    assert s.verify("ops")[0] == 252
    assert s.noop()[0] == 250
"#;

#[tokio::test(flavor = "multi_thread")]
async fn python_smtplib_gets_its_mail_through() {
    let inbox = Inbox::open().await;
    let port = inbox.running.smtp.port().to_string();
    let python = tokio::process::Command::new("python3")
        .args(["-c", PYTHON, &port])
        .output()
        .await;
    let output = match python {
        Ok(output) => output,
        Err(error) => {
            eprintln!("not run: python_smtplib_gets_its_mail_through: python3: {error}");
            return;
        }
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let all = inbox.all().await;
    assert_eq!(all.len(), 2);
    let mail = inbox.whole(all[0].id).await.mail.unwrap();
    assert_eq!(
        mail.subject.as_deref(),
        Some("[RESOLVED] Disk voll: größer")
    );
    let text = mail.text.unwrap().replace("\r\n", "\n");
    assert!(text.starts_with("alles gut\n.\n..\nxxx"), "{text}");
    assert_eq!(mail.html.as_deref().map(str::trim), Some("<p>gut</p>"));
    assert_eq!(
        mail.attachments,
        ["a.bin (application/octet-stream, 2 bytes)"]
    );
    assert_eq!(all[0].facts.team.as_deref(), Some("platform"));
    assert_eq!(all[1].verdict.status(), 553);
    let dir = inbox.stop().await;
    for (path, bytes) in everything(dir.path()) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("sup3r-secret"), "{}", path.display());
    }
}
