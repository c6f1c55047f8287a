//! Messages of sudo (sudoers(5), "Log format") and su (shadow's and util-linux').

use super::event::{Event, Sudo};

/// `bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh`
pub fn sudo(message: &str) -> Option<Event<'_>> {
    let (user, rest) = message.split_once(" : ")?;
    // Messages of PAM have a colon without a blank before it; a local user's name has no blank.
    if user.is_empty() || user.contains(' ') {
        return None;
    }
    // What continues a line that was too long for syslog was counted with its beginning.
    if rest.starts_with("(command continued)") {
        return None;
    }
    let fields = [
        "TTY=", "PWD=", "USER=", "COMMAND=", "HOST=", "TSID=", "GROUP=", "CHROOT=", "CWD=",
    ];
    let begins_with_field = fields.iter().any(|field| rest.starts_with(field));
    let outcome = if begins_with_field {
        Sudo::Allowed
    } else {
        // sudo's own words stand before the first field; only fields hold what a user chose.
        let reason = rest.split(" ; ").next().unwrap_or(rest);
        if reason.contains("NOT in sudoers") || reason.contains("not in the sudoers") {
            Sudo::NotInSudoers
        } else if reason.contains("incorrect password attempt")
            || reason.contains("authentication failure")
        {
            Sudo::WrongPassword
        } else if reason.contains("command not allowed")
            || reason.contains("NOT authorized on host")
        {
            Sudo::NotAllowed
        } else {
            Sudo::Other
        }
    };
    // A line of its own without any field is no attempt (`unable to resolve host`).
    if outcome != Sudo::Allowed && !rest.contains("COMMAND=") && outcome == Sudo::Other {
        return None;
    }
    Some(Event::Sudo {
        user,
        outcome,
        target_is_root: target(rest),
    })
}

/// Whether it is for root. The folder before it, named by the user, can hold ` ; USER=` as well:
/// then nobody knows.
fn target(rest: &str) -> Option<bool> {
    let mut targets = rest
        .split(" ; ")
        .filter_map(|field| field.strip_prefix("USER="));
    let first = targets.next()?;
    targets.next().is_none().then_some(first == "root")
}

/// `(to root) bob on pts/0`, `FAILED SU (to root) bob on pts/0`, `Successful su for root by bob`.
pub fn su(message: &str) -> Option<Event<'_>> {
    let (message, allowed) = match message.strip_prefix("FAILED SU ") {
        Some(rest) => (rest, false),
        None => (message, true),
    };
    if let Some(rest) = message.strip_prefix("(to ") {
        let (target, rest) = rest.split_once(") ")?;
        let (user, _) = rest.split_once(" on ")?;
        return Some(Event::Su {
            user,
            allowed,
            target_is_root: target == "root",
        });
    }
    for (begin, allowed) in [("Successful su for ", true), ("FAILED su for ", false)] {
        if let Some(rest) = message.strip_prefix(begin) {
            let (target, user) = rest.split_once(" by ")?;
            return Some(Event::Su {
                user,
                allowed,
                target_is_root: target == "root",
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_sudo_writes() {
        for (message, expected, root) in [
            (
                "bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/ls",
                Sudo::Allowed,
                Some(true),
            ),
            (
                "bob : PWD=/ ; USER=postgres ; COMMAND=/bin/ls ; x",
                Sudo::Allowed,
                Some(false),
            ),
            (
                "bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
                Sudo::WrongPassword,
                Some(true),
            ),
            (
                "bob : 1 incorrect password attempt ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
                Sudo::WrongPassword,
                Some(true),
            ),
            (
                "bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
                Sudo::NotInSudoers,
                Some(true),
            ),
            (
                "bob : command not allowed ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
                Sudo::NotAllowed,
                Some(true),
            ),
            (
                "bob : a password is required ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
                Sudo::Other,
                Some(true),
            ),
            // A folder that lies about who is meant.
            (
                "bob : TTY=pts/0 ; PWD=/tmp/a ; USER=bob ; USER=root ; COMMAND=/bin/sh",
                Sudo::Allowed,
                None,
            ),
            // A command that says what a failure says.
            (
                "bob : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/echo user NOT in sudoers",
                Sudo::Allowed,
                Some(true),
            ),
        ] {
            let Some(Event::Sudo {
                user,
                outcome,
                target_is_root,
            }) = sudo(message)
            else {
                panic!("{message}");
            };
            assert_eq!(
                (user, outcome, target_is_root),
                ("bob", expected, root),
                "{message}"
            );
        }
        for message in [
            "pam_unix(sudo:session): session opened for user root(uid=0) by bob(uid=1000)",
            "pam_unix(sudo:auth): authentication failure; logname=bob uid=1000",
            "bob : (command continued) /x",
            "bob : unable to resolve host web1",
            "",
        ] {
            assert_eq!(sudo(message), None, "{message}");
        }
    }

    #[test]
    fn what_su_writes() {
        for (message, allowed, root) in [
            ("(to root) bob on pts/0", true, true),
            ("FAILED SU (to root) bob on pts/0", false, true),
            ("Successful su for postgres by bob", true, false),
            ("FAILED su for root by bob", false, true),
        ] {
            let expected = Event::Su {
                user: "bob",
                allowed,
                target_is_root: root,
            };
            assert_eq!(su(message), Some(expected), "{message}");
        }
        for message in [
            "+ /dev/pts/0 bob:root",
            "pam_unix(su:session): session opened for user root",
            "",
        ] {
            assert_eq!(su(message), None, "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}", tail in "[a-zA-Z=; :()/]{0,60}") {
            let _ = (sudo(&text), su(&text));
            let _ = (sudo(&format!("bob : {tail}")), su(&format!("(to {tail}")));
        }
    }
}
