//! Lines of the authentication log (`auth.log`, `secure`): syslog, and of what sshd, sudo, su and the
//! programs that change accounts say, who did what from where with what outcome, by the names of the
//! Elastic Common Schema. The messages are read by the parsers of the security checks, so that what
//! the checks count and what a person finds agree.
//!
//! Only an attempt has the outcome `failure`: sshd says several things about one (`Invalid user`,
//! `Failed password`, `Connection closed`), and failures are there to be counted.

use jiff::tz::TimeZone;

use crate::security::auth::event::{self, Address, Change, Event, Ssh, SshKind, Sudo};
use crate::security::auth::line;
use kai_lines::parse::{Object, syslog};

/// Appends the line as an object; false, and nothing appended, if it is no line of syslog.
pub fn object(text: &[u8], zone: Option<&TimeZone>, now: i64, out: &mut Vec<u8>) -> bool {
    let mut object = Object::begin(out);
    if syslog::members(text, zone, now, &mut object).is_none() {
        object.cancel();
        return false;
    }
    // Bytes that are no UTF-8 were repaired before.
    let line = std::str::from_utf8(text).ok().and_then(line::parse);
    if let Some(line) = line {
        let (times, message) = line::repeated(line.message);
        if let Some(event) = event::parse(line.program, message) {
            write(&mut object, &event);
            if times > 1 {
                object.raw("kai.repeated", times.to_string().as_bytes());
            }
        }
    }
    object.end();
    true
}

fn write(object: &mut Object<'_>, event: &Event<'_>) {
    object.text("event.kind", b"event");
    match event {
        Event::Ssh(ssh) => write_ssh(object, ssh),
        Event::Sudo {
            user,
            outcome,
            target_is_root,
        } => {
            tell(object, "authentication", "sudo", *outcome == Sudo::Allowed);
            object.text("user.name", user.as_bytes());
            if *target_is_root == Some(true) {
                object.text("user.effective.name", b"root");
            }
            if *outcome != Sudo::Allowed {
                object.text("event.reason", outcome.as_str().as_bytes());
            }
        }
        Event::Su {
            user,
            allowed,
            target_is_root,
        } => {
            tell(object, "authentication", "su", *allowed);
            object.text("user.name", user.as_bytes());
            if *target_is_root {
                object.text("user.effective.name", b"root");
            }
        }
        Event::Account { change, subject } => {
            tell(object, "iam", change.as_str(), true);
            let kind = match change {
                Change::UserAdded | Change::GroupAdded => "creation",
                Change::UserRemoved | Change::GroupRemoved => "deletion",
                _ => "change",
            };
            object.text("event.type", kind.as_bytes());
            let name = match change {
                Change::GroupAdded | Change::GroupRemoved | Change::GroupChanged => "group.name",
                _ => "user.name",
            };
            object.text(name, subject.as_bytes());
        }
    }
}

fn tell(object: &mut Object<'_>, category: &str, action: &str, success: bool) {
    object.text("event.category", category.as_bytes());
    object.text("event.action", action.as_bytes());
    let outcome: &[u8] = if success { b"success" } else { b"failure" };
    object.text("event.outcome", outcome);
}

fn write_ssh(object: &mut Object<'_>, ssh: &Ssh<'_>) {
    let (outcome, method, reason) = match ssh.kind {
        SshKind::Accepted(method) => ("success", Some(method), None),
        SshKind::Failed(method) => ("failure", Some(method), None),
        SshKind::InvalidUser => ("unknown", None, Some("invalid_user")),
        SshKind::NotAllowed => ("unknown", None, Some("not_allowed")),
        SshKind::TooManyAttempts => ("unknown", None, Some("too_many_attempts")),
        SshKind::Dropped => ("unknown", None, Some("too_many_connections")),
        SshKind::Preauth => ("unknown", None, Some("gone_before_login")),
    };
    object.text("event.category", b"authentication");
    object.text("event.action", b"ssh_login");
    object.text("event.outcome", outcome.as_bytes());
    if let Some(method) = method {
        // Filebeat's name; the schema has none.
        object.text("system.auth.ssh.method", method.as_str().as_bytes());
    }
    if let Some(reason) = reason {
        object.text("event.reason", reason.as_bytes());
    }
    if let Some(user) = ssh.user.filter(|user| !user.is_empty()) {
        object.text("user.name", user.as_bytes());
    }
    if let Address::Known(address) = ssh.address {
        object.text("source.ip", address.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_795_485_989_123; // 2026-11-24T02:06:29.123Z

    fn read(text: &str) -> Option<Value> {
        let mut out = Vec::new();
        if !object(text.as_bytes(), None, NOW, &mut out) {
            assert!(out.is_empty());
            return None;
        }
        Some(serde_json::from_slice(&out).unwrap())
    }

    fn told(message: &str) -> Value {
        let value = read(&format!("Nov 24 02:06:29 web1 {message}")).unwrap();
        let names = [
            "event.category",
            "event.action",
            "event.outcome",
            "event.reason",
            "user.name",
            "user.effective.name",
            "group.name",
            "source.ip",
            "kai.repeated",
        ];
        names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), value.get(*name)?.clone())))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    #[test]
    fn who_did_what_from_where() {
        for (message, expected) in [
            (
                "sshd[9]: Failed password for invalid user admin from 203.0.113.7 port 4711 ssh2",
                json!({"event.category": "authentication", "event.action": "ssh_login",
                    "event.outcome": "failure", "user.name": "admin", "source.ip": "203.0.113.7"}),
            ),
            (
                "sshd-session[9]: Accepted publickey for siti from 2001:db8::1 port 4 ssh2: ED25519 SHA256:abc",
                json!({"event.category": "authentication", "event.action": "ssh_login",
                    "event.outcome": "success", "user.name": "siti", "source.ip": "2001:db8::1"}),
            ),
            (
                "sshd[9]: Invalid user admin from 203.0.113.7 port 4711",
                json!({"event.category": "authentication", "event.action": "ssh_login",
                    "event.outcome": "unknown", "event.reason": "invalid_user", "user.name": "admin",
                    "source.ip": "203.0.113.7"}),
            ),
            (
                "sshd[9]: message repeated 3 times: [ Failed password for root from 203.0.113.7 port 1 ssh2]",
                json!({"event.category": "authentication", "event.action": "ssh_login",
                    "event.outcome": "failure", "user.name": "root", "source.ip": "203.0.113.7",
                    "kai.repeated": 3}),
            ),
            (
                "sudo:   bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
                json!({"event.category": "authentication", "event.action": "sudo",
                    "event.outcome": "failure", "event.reason": "wrong_password", "user.name": "bob",
                    "user.effective.name": "root"}),
            ),
            (
                "useradd[9]: new user: name=eve, UID=1002, GID=1002, home=/home/eve, shell=/bin/sh",
                json!({"event.category": "iam", "event.action": "user_added",
                    "event.outcome": "success", "user.name": "eve"}),
            ),
            ("CRON[9]: pam_unix(cron:session): session opened", json!({})),
        ] {
            assert_eq!(told(message), expected, "{message}");
        }
        assert_eq!(read("no syslog at all"), None);
        // A user name that says it came from elsewhere does not name the address.
        let lie = told(
            "sshd[9]: Failed publickey for x from 192.0.2.1 port 1 ssh2: RSA SHA256:a from 203.0.113.7 port 2 ssh2: RSA SHA256:b",
        );
        assert_eq!(lie["source.ip"], "203.0.113.7", "{lie}");
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in any::<String>(), tail in r#"(sshd|sudo|su|useradd)(\[9\])?: [a-zA-Z"\\ .:;=0-9]{0,60}"#) {
            let _ = (read(&text), read(&format!("Nov 24 02:06:29 web1 {tail}")));
        }
    }
}
