//! Messages of OpenSSH's server, 7 to 10 (`auth.c`, `auth2.c`, `packet.c`).
//!
//! The user name comes from whoever connects: up to a hundred characters, blanks and ` from
//! 192.0.2.1 port 22 ssh2` included. sshd escapes what would end the line and nothing else. So the
//! address is read from the end of the line, which the server writes; where a key's description
//! follows, which can hold text of the client's as well, every reading of the line is tried, and
//! one that is not the only one gives no address.

use std::net::IpAddr;

use super::event::{Address, Method, Ssh, SshKind};

/// `%.100s` of the server.
const LONGEST_USER: usize = 100;
const KEYED: [&str; 3] = ["publickey", "hostbased", "gssapi"];

pub fn parse(message: &str) -> Option<Ssh<'_>> {
    // `[preauth]` is added when the process without rights says it; `error: ` is the level.
    let preauth = message.strip_suffix(" [preauth]");
    let text = preauth.unwrap_or(message);
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let text = text.strip_prefix("fatal: ").unwrap_or(text);
    for (begin, accepted) in [("Accepted ", true), ("Failed ", false)] {
        if let Some(rest) = text.strip_prefix(begin) {
            return attempt(rest, accepted);
        }
    }
    if let Some(rest) = text.strip_prefix("Invalid user ") {
        let (user, address) = user_from(rest);
        return Some(ssh(SshKind::InvalidUser, user, address));
    }
    if let Some(rest) = text.strip_prefix("maximum authentication attempts exceeded for ") {
        let rest = rest.strip_suffix(" ssh2").unwrap_or(rest);
        let (user, address) = user_from(rest.strip_prefix("invalid user ").unwrap_or(rest));
        return Some(ssh(SshKind::TooManyAttempts, user, address));
    }
    if let Some(rest) = text.strip_prefix("User ")
        && let Some((who, _)) = rest.split_once(" not allowed because ")
    {
        // A user that exists: its name is the system's own.
        let (user, address) = user_from(who);
        return Some(ssh(SshKind::NotAllowed, user.or(Some(who)), address));
    }
    // `drop connection #3 from [192.0.2.1]:5022 on [192.0.2.2]:22 penalty: failed authentication`
    if let Some(rest) = text.strip_prefix("drop connection #") {
        let place = rest.split_once(" from [").map(|(_, place)| place);
        let address = place.and_then(|place| ip(place.split(']').next()?));
        return Some(ssh(SshKind::Dropped, None, known(address)));
    }
    departed(text).map(|(user, address)| ssh(SshKind::Preauth, user, address))
}

fn ssh(kind: SshKind, user: Option<&str>, address: Address) -> Ssh<'_> {
    Ssh {
        kind,
        user,
        address,
    }
}

/// `password for invalid user root from 192.0.2.1 port 22 ssh2: …`
fn attempt(rest: &str, accepted: bool) -> Option<Ssh<'_>> {
    let (method, rest) = rest.split_once(" for ")?;
    if method.is_empty() || method.contains(' ') {
        return None;
    }
    let name = method.split('/').next().unwrap_or(method);
    let kind = match name {
        "password" => Method::Password,
        "publickey" => Method::PublicKey,
        "keyboard-interactive" => Method::KeyboardInteractive,
        "hostbased" => Method::HostBased,
        "none" => Method::None,
        _ if name.starts_with("gssapi") => Method::Gssapi,
        _ => Method::Other,
    };
    let rest = rest.strip_prefix("invalid user ").unwrap_or(rest);
    let keyed = KEYED.iter().any(|keyed| name.starts_with(keyed));
    let mut readings = readings(rest, keyed);
    let first = readings.next();
    let (user, address) = match (first, readings.next()) {
        (Some((user, address)), None) => (Some(user), Address::Known(address)),
        (Some((user, _)), Some(_)) => (Some(user), Address::Ambiguous),
        (None, _) => (None, Address::None),
    };
    let kind = if accepted {
        SshKind::Accepted(kind)
    } else {
        SshKind::Failed(kind)
    };
    Some(ssh(kind, user, address))
}

/// Every way to read `<user> from <address> port <number> ssh2[: <key>]`.
fn readings(text: &str, keyed: bool) -> impl Iterator<Item = (&str, IpAddr)> {
    text.match_indices(" from ").filter_map(move |(at, from)| {
        let user = &text[..at];
        if user.chars().count() > LONGEST_USER {
            return None;
        }
        let (address, rest) = text[at + from.len()..].split_once(" port ")?;
        let address = ip(address)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        rest[..digits].parse::<u16>().ok()?;
        let rest = rest[digits..].strip_prefix(" ssh2")?;
        let good = match rest.strip_prefix(": ") {
            _ if rest.is_empty() => true,
            Some(extra) => !keyed || is_key(extra),
            None => false,
        };
        good.then_some((user, address))
    })
}

/// `RSA SHA256:…`, and of a certificate `ID … (serial 1) CA ED25519 SHA256:…` after it. What a
/// GSSAPI principal or a host's name says has another form, without ` from `.
fn is_key(extra: &str) -> bool {
    let key = |text: &str| -> Option<usize> {
        let (kind, rest) = text.split_once(' ')?;
        let good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        if kind.is_empty() || !kind.chars().all(good) {
            return None;
        }
        let print = rest.split(' ').next()?.trim_end_matches(',');
        (print.starts_with("SHA256:") || print.starts_with("MD5:"))
            .then(|| kind.len() + 1 + print.len())
    };
    let Some(end) = key(extra) else {
        return !extra.contains(" from ");
    };
    let rest = &extra[end..];
    if rest.is_empty() {
        return true;
    }
    if let Some(info) = rest.strip_prefix(", ") {
        return !info.contains(" from ");
    }
    let Some(certificate) = rest.strip_prefix(" ID ") else {
        return false;
    };
    certificate
        .rsplit_once(" CA ")
        .is_some_and(|(id, authority)| {
            let whole = key(authority).is_some_and(|end| {
                let after = &authority[end..];
                after.is_empty() || after.starts_with(", ")
            });
            whole && id.ends_with(')') && id.contains("(serial ")
        })
}

/// `<user> from <address>[ port <number>]` with nothing after it.
fn user_from(text: &str) -> (Option<&str>, Address) {
    let Some((user, place)) = text.rsplit_once(" from ") else {
        // An empty name: `Invalid user  from …` has it between two blanks.
        return match text.strip_prefix("from ").and_then(place_of) {
            Some(address) => (Some(""), Address::Known(address)),
            None => (None, Address::None),
        };
    };
    match place_of(place) {
        Some(address) => (Some(user), Address::Known(address)),
        None => (None, Address::None),
    }
}

/// `192.0.2.1 port 22`, or without the port before OpenSSH 7.4.
fn place_of(text: &str) -> Option<IpAddr> {
    match text.split_once(" port ") {
        Some((address, port)) => {
            port.parse::<u16>().ok()?;
            ip(address)
        }
        None => ip(text),
    }
}

fn ip(text: &str) -> Option<IpAddr> {
    // `fe80::1%eth0`
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse().ok()
}

/// Connections that end before anybody has logged in. The address stands at the end, or after a
/// fixed word.
fn departed(text: &str) -> Option<(Option<&str>, Address)> {
    for begin in [
        "Connection closed by ",
        "Connection reset by ",
        "Disconnected from ",
    ] {
        let Some(rest) = text.strip_prefix(begin) else {
            continue;
        };
        let kind = ["authenticating user ", "invalid user "]
            .iter()
            .find_map(|kind| rest.strip_prefix(kind));
        return Some(match kind {
            // `<user> <address> port <number>`, read from the end.
            Some(rest) => match rest.rsplit_once(" port ") {
                Some((who, port)) if port.parse::<u16>().is_ok() => match who.rsplit_once(' ') {
                    Some((user, address)) => (Some(user), known(ip(address))),
                    None => (None, Address::None),
                },
                _ => (None, Address::None),
            },
            // `Disconnected from user bob …` is the end of a session.
            None if rest.starts_with("user ") => return None,
            None => match place_of(rest) {
                Some(address) => (None, Address::Known(address)),
                None => return None,
            },
        });
    }
    if let Some(rest) = text.strip_prefix("Disconnecting ") {
        // `<user> <address> port <number>: <reason>`; the reason is the server's.
        let rest = ["authenticating user ", "invalid user "]
            .iter()
            .find_map(|kind| rest.strip_prefix(kind))?;
        let (who, port) = rest.rsplit_once(" port ")?;
        port.split(':').next()?.parse::<u16>().ok()?;
        let (user, address) = who.rsplit_once(' ')?;
        return Some((Some(user), known(ip(address))));
    }
    if let Some(rest) = text.strip_prefix("Unable to negotiate with ") {
        let address = rest.split(' ').next().unwrap_or_default();
        return Some((None, known(ip(address))));
    }
    if let Some(rest) = text.strip_prefix("Did not receive identification string from ") {
        return Some((None, known(place_of(rest))));
    }
    if let Some(rest) = text.strip_prefix("banner exchange: Connection from ") {
        let address = rest.split(' ').next().unwrap_or_default();
        return Some((None, known(ip(address))));
    }
    if let Some(rest) = text.strip_prefix("Timeout before authentication for ") {
        let rest = rest.strip_prefix("connection from ").unwrap_or(rest);
        let address = rest.split([' ', ',']).next().unwrap_or_default();
        return Some((None, known(ip(address))));
    }
    None
}

fn known(address: Option<IpAddr>) -> Address {
    address.map_or(Address::None, Address::Known)
}

#[cfg(test)]
mod tests;
