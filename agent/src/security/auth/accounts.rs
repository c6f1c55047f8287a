//! Messages of the programs that change accounts (shadow-utils' `useradd.c`, `usermod.c`,
//! `gpasswd.c` and so on; PAM's for passwords).

use super::event::{Change, Event};

pub fn parse<'a>(program: &str, message: &'a str) -> Option<Event<'a>> {
    let event = |change, subject| Some(Event::Account { change, subject });
    // `name=bob, UID=1001, …`: names of accounts have no comma.
    let named = |rest: &'a str| {
        let name = rest.strip_prefix("name=").unwrap_or(rest);
        name.split(',').next().unwrap_or(name)
    };
    if let Some(rest) = message.strip_prefix("new user: ") {
        return event(Change::UserAdded, named(rest));
    }
    if let Some(rest) = message.strip_prefix("new group: ") {
        return event(Change::GroupAdded, named(rest));
    }
    if message.contains("password changed for ") && message.starts_with("pam_unix(") {
        let (_, user) = message.rsplit_once(" changed for ")?;
        return event(Change::PasswordChanged, user);
    }
    if program == "passwd" || program == "chpasswd" {
        // `password for 'bob' changed by 'root'`
        if let Some(rest) = message.strip_prefix("password for ")
            && rest.contains(" changed by ")
        {
            return event(Change::PasswordChanged, quoted(rest)?);
        }
        return None;
    }
    // The same is said of the shadow files; once is enough.
    if message.contains(" shadow group ") || message.contains("/etc/gshadow") {
        return None;
    }
    if let Some(rest) = message.strip_prefix("add ")
        && rest.contains(" to group ")
    {
        return event(Change::MemberAdded, quoted(rest)?);
    }
    if let Some(rest) = message.strip_prefix("delete ")
        && rest.contains(" from group ")
    {
        return event(Change::MemberRemoved, quoted(rest)?);
    }
    if let Some(rest) = message.strip_prefix("delete user ") {
        return event(Change::UserRemoved, quoted(rest)?);
    }
    if let Some(rest) = message.strip_prefix("removed group ") {
        return event(Change::GroupRemoved, quoted(rest)?);
    }
    match program {
        "groupdel" if message.starts_with("group ") && message.contains("removed") => {
            if message.contains(" from /etc/group") {
                return None; // `group 'x' removed` comes, too
            }
            event(Change::GroupRemoved, quoted(message)?)
        }
        "groupmod" if message.starts_with("group changed in /etc/group") => {
            event(Change::GroupChanged, message)
        }
        "gpasswd" => gpasswd(message),
        "usermod" | "chsh" | "chfn" | "chage" => {
            let about_user = [
                "change user ",
                "changed user ",
                "lock user ",
                "unlock user ",
                "changed password expiry for ",
            ]
            .iter()
            .find_map(|begin| message.strip_prefix(begin))?;
            event(
                Change::UserChanged,
                quoted(about_user).unwrap_or(about_user),
            )
        }
        _ => None,
    }
}

/// `user bob added by root to group sudo`
fn gpasswd(message: &str) -> Option<Event<'_>> {
    if let Some(rest) = message.strip_prefix("user ") {
        let (subject, rest) = rest.split_once(' ')?;
        let change = if rest.starts_with("added by ") {
            Change::MemberAdded
        } else if rest.starts_with("removed by ") {
            Change::MemberRemoved
        } else {
            return None;
        };
        return Some(Event::Account { change, subject });
    }
    let rest = message.strip_prefix("members of group ")?;
    Some(Event::Account {
        change: Change::GroupChanged,
        subject: rest.split(' ').next()?,
    })
}

/// What stands in the first quotes: `'bob'` or, in other languages' builds, `"bob"` or a backtick.
fn quoted(text: &str) -> Option<&str> {
    let start = text.find(['\'', '"', '`'])? + 1;
    let length = text[start..].find(['\'', '"'])?;
    Some(&text[start..start + length])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_programs_write() {
        for (program, message, change, subject) in [
            (
                "useradd",
                "new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/sh, from=/dev/pts/0",
                Change::UserAdded,
                "bob",
            ),
            (
                "useradd",
                "new group: name=bob, GID=1001",
                Change::GroupAdded,
                "bob",
            ),
            (
                "useradd",
                "add 'bob' to group 'sudo'",
                Change::MemberAdded,
                "bob",
            ),
            (
                "usermod",
                "add 'bob' to group 'sudo'",
                Change::MemberAdded,
                "bob",
            ),
            (
                "usermod",
                "delete 'bob' from group 'sudo'",
                Change::MemberRemoved,
                "bob",
            ),
            (
                "usermod",
                "change user 'bob' shell from '/bin/sh' to '/bin/bash'",
                Change::UserChanged,
                "bob",
            ),
            (
                "usermod",
                "lock user 'bob' password",
                Change::UserChanged,
                "bob",
            ),
            ("userdel", "delete user 'bob'", Change::UserRemoved, "bob"),
            (
                "userdel",
                "removed group 'bob' owned by 'bob'",
                Change::GroupRemoved,
                "bob",
            ),
            (
                "groupadd",
                "new group: name=ops, GID=1002",
                Change::GroupAdded,
                "ops",
            ),
            (
                "groupdel",
                "group 'ops' removed",
                Change::GroupRemoved,
                "ops",
            ),
            (
                "gpasswd",
                "user bob added by root to group sudo",
                Change::MemberAdded,
                "bob",
            ),
            (
                "gpasswd",
                "user bob removed by root from group sudo",
                Change::MemberRemoved,
                "bob",
            ),
            (
                "gpasswd",
                "members of group sudo set by root to bob,eve",
                Change::GroupChanged,
                "sudo",
            ),
            (
                "passwd",
                "pam_unix(passwd:chauthtok): password changed for bob",
                Change::PasswordChanged,
                "bob",
            ),
            (
                "chpasswd",
                "pam_unix(chpasswd:chauthtok): password changed for bob",
                Change::PasswordChanged,
                "bob",
            ),
            (
                "passwd",
                "password for 'bob' changed by 'root'",
                Change::PasswordChanged,
                "bob",
            ),
        ] {
            assert_eq!(
                parse(program, message),
                Some(Event::Account { change, subject }),
                "{message}"
            );
        }
        for (program, message) in [
            ("usermod", "add 'bob' to shadow group 'sudo'"),
            ("groupdel", "group 'ops' removed from /etc/group"),
            ("groupdel", "group 'ops' removed from /etc/gshadow"),
            ("groupadd", "group added to /etc/group: name=ops, GID=1002"),
            (
                "passwd",
                "pam_unix(passwd:chauthtok): authentication failure; logname= uid=1000",
            ),
        ] {
            assert_eq!(parse(program, message), None, "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}", tail in "[a-z'\" ]{0,40}") {
            for program in ["useradd", "usermod", "userdel", "groupadd", "groupdel", "groupmod", "gpasswd", "passwd", "chsh"] {
                let _ = parse(program, &text);
                for begin in ["add ", "delete ", "user ", "members of group ", "group ", "password for ", "lock user "] {
                    let _ = parse(program, &format!("{begin}{tail}"));
                }
            }
        }
    }
}
