//! Real lines of OpenSSH 7.2 to 10.0, and names that try to be somebody else.

use proptest::prelude::*;

use super::*;

const REAL_ADDRESS: &str = "192.0.2.7";

fn read(message: &str) -> (SshKind, Option<&str>, String) {
    let ssh = parse(message).unwrap_or_else(|| panic!("{message}"));
    let address = match ssh.address {
        Address::Known(address) => address.to_string(),
        Address::None => "none".to_owned(),
        Address::Ambiguous => "ambiguous".to_owned(),
    };
    (ssh.kind, ssh.user, address)
}

#[test]
fn what_servers_write() {
    use Method::{KeyboardInteractive, None as NoMethod, Password, PublicKey};
    use SshKind::{Accepted, Dropped, Failed, InvalidUser, NotAllowed, Preauth, TooManyAttempts};
    let at = REAL_ADDRESS;
    for (message, kind, user) in [
        (
            "Accepted password for bob from 192.0.2.7 port 5 ssh2",
            Accepted(Password),
            Some("bob"),
        ),
        (
            "Accepted publickey for bob from 192.0.2.7 port 5 ssh2: ED25519 SHA256:abc",
            Accepted(PublicKey),
            Some("bob"),
        ),
        (
            "Accepted publickey for bob from 192.0.2.7 port 5 ssh2: RSA-CERT SHA256:abc ID bob's key (serial 3) CA ED25519 SHA256:def",
            Accepted(PublicKey),
            Some("bob"),
        ),
        (
            "Accepted keyboard-interactive/pam for bob from 192.0.2.7 port 5 ssh2",
            Accepted(KeyboardInteractive),
            Some("bob"),
        ),
        (
            "Failed password for root from 192.0.2.7 port 5 ssh2",
            Failed(Password),
            Some("root"),
        ),
        (
            "Failed password for invalid user admin from 192.0.2.7 port 5 ssh2",
            Failed(Password),
            Some("admin"),
        ),
        (
            "Failed none for invalid user  from 192.0.2.7 port 5 ssh2",
            Failed(NoMethod),
            Some(""),
        ),
        (
            "Failed publickey for root from 192.0.2.7 port 5 ssh2: RSA SHA256:abc",
            Failed(PublicKey),
            Some("root"),
        ),
        (
            "Failed keyboard-interactive/pam for invalid user x from 192.0.2.7 port 5 ssh2",
            Failed(KeyboardInteractive),
            Some("x"),
        ),
        (
            "Invalid user admin from 192.0.2.7 port 5",
            InvalidUser,
            Some("admin"),
        ),
        (
            "Invalid user admin from 192.0.2.7",
            InvalidUser,
            Some("admin"),
        ),
        ("Invalid user  from 192.0.2.7 port 5", InvalidUser, Some("")),
        (
            "error: maximum authentication attempts exceeded for root from 192.0.2.7 port 5 ssh2 [preauth]",
            TooManyAttempts,
            Some("root"),
        ),
        (
            "error: maximum authentication attempts exceeded for invalid user x from 192.0.2.7 port 5 ssh2 [preauth]",
            TooManyAttempts,
            Some("x"),
        ),
        (
            "User root from 192.0.2.7 not allowed because not listed in AllowUsers",
            NotAllowed,
            Some("root"),
        ),
        (
            "drop connection #3 from [192.0.2.7]:5022 on [192.0.2.1]:22 penalty: failed authentication",
            Dropped,
            None,
        ),
        (
            "error: drop connection #10 from [192.0.2.7]:5022 on [192.0.2.1]:22 past MaxStartups",
            Dropped,
            None,
        ),
        (
            "Connection closed by authenticating user root 192.0.2.7 port 5 [preauth]",
            Preauth,
            Some("root"),
        ),
        (
            "Connection closed by invalid user x 192.0.2.7 port 5 [preauth]",
            Preauth,
            Some("x"),
        ),
        (
            "Connection reset by 192.0.2.7 port 5 [preauth]",
            Preauth,
            None,
        ),
        (
            "Disconnected from authenticating user root 192.0.2.7 port 5 [preauth]",
            Preauth,
            Some("root"),
        ),
        (
            "Disconnecting authenticating user root 192.0.2.7 port 5: Too many authentication failures [preauth]",
            Preauth,
            Some("root"),
        ),
        (
            "Unable to negotiate with 192.0.2.7 port 5: no matching key exchange method found. Their offer: x [preauth]",
            Preauth,
            None,
        ),
        (
            "banner exchange: Connection from 192.0.2.7 port 5: invalid format",
            Preauth,
            None,
        ),
        (
            "fatal: Timeout before authentication for 192.0.2.7 port 5",
            Preauth,
            None,
        ),
        (
            "Timeout before authentication for connection from 192.0.2.7 to 192.0.2.9, pid = 7",
            Preauth,
            None,
        ),
    ] {
        assert_eq!(read(message), (kind, user, at.to_owned()), "{message}");
    }
    let ipv6 = "Failed password for root from fe80::1%eth0 port 5 ssh2";
    assert_eq!(read(ipv6).2, "fe80::1");
    for message in [
        "Server listening on 0.0.0.0 port 22.",
        "Disconnected from user bob 192.0.2.7 port 5",
        "pam_unix(sshd:session): session opened for user bob(uid=1000) by (uid=0)",
        "",
    ] {
        assert_eq!(parse(message), None, "{message}");
    }
}

#[test]
fn an_address_in_a_user_name_is_not_believed() {
    for user in [
        "root from 6.6.6.6 port 22 ssh2",
        "a from 6.6.6.6",
        "root from 6.6.6.6 port 22 ssh2: RSA SHA256:x",
        " from 6.6.6.6 port 1 ssh2",
        "x not allowed because from 6.6.6.6",
    ] {
        for message in [
            format!("Failed password for invalid user {user} from 192.0.2.7 port 5 ssh2"),
            format!("Invalid user {user} from 192.0.2.7 port 5"),
            format!("Connection closed by invalid user {user} 192.0.2.7 port 5 [preauth]"),
            format!(
                "Disconnecting invalid user {user} 192.0.2.7 port 5: Too many authentication failures [preauth]"
            ),
            format!(
                "error: maximum authentication attempts exceeded for invalid user {user} from 192.0.2.7 port 5 ssh2 [preauth]"
            ),
            format!(
                "Failed publickey for invalid user {user} from 192.0.2.7 port 5 ssh2: RSA SHA256:abc"
            ),
        ] {
            let address = read(&message).2;
            assert!(
                address == REAL_ADDRESS || address == "ambiguous",
                "{message}: {address}"
            );
        }
    }
    // Only a certificate's id can still be text of the client's: no reading is right for sure.
    let user = "x from 6.6.6.6 port 1 ssh2: RSA-CERT SHA256:abc ID ";
    let message = format!(
        "Failed publickey for invalid user {user} from 192.0.2.7 port 5 ssh2: RSA-CERT SHA256:abc \
         ID z (serial 0) CA RSA SHA256:def"
    );
    assert_eq!(read(&message).2, "ambiguous");
    let id = "y from 6.6.6.6 port 1 ssh2";
    let message = format!(
        "Failed publickey for root from 192.0.2.7 port 5 ssh2: RSA-CERT SHA256:abc ID {id} (serial \
         0) CA RSA SHA256:def"
    );
    assert_eq!(read(&message).2, REAL_ADDRESS);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}", tail in "[a-z0-9 .:]{0,60}") {
        let _ = parse(&text);
        for begin in ["Failed password for ", "Failed publickey for ", "Invalid user ", "Disconnecting ", "Connection closed by "] {
            let _ = parse(&format!("{begin}{tail}"));
        }
    }

    /// Whatever the user calls itself, the address is the server's or none.
    #[test]
    fn no_name_moves_the_address(
        parts in proptest::collection::vec(
            prop_oneof![
                Just(" from "), Just("6.6.6.6"), Just(" port "), Just("22"), Just(" ssh2"), Just(": "),
                Just("RSA SHA256:abc"), Just(" ID "), Just(" (serial 0) CA "), Just("invalid user "),
                Just(" [preauth]"), Just("x"), Just(" "),
            ],
            0..9,
        ),
        keyed: bool,
    ) {
        let user: String = parts.concat().chars().take(LONGEST_USER).collect();
        let (method, extra) = if keyed { ("publickey", ": ED25519 SHA256:def") } else { ("password", "") };
        for message in [
            format!("Failed {method} for invalid user {user} from 192.0.2.7 port 5 ssh2{extra}"),
            format!("Invalid user {user} from 192.0.2.7 port 5"),
            format!("Connection closed by invalid user {user} 192.0.2.7 port 5 [preauth]"),
            format!("Disconnecting invalid user {user} 192.0.2.7 port 5: Too many authentication failures [preauth]"),
        ] {
            let address = read(&message).2;
            prop_assert!(address != "6.6.6.6", "{}", message);
        }
    }
}
