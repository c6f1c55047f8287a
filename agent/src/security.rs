//! Security checks: what happened on this node (logins, sudo, accounts), what changed (files,
//! listening sockets, set-user-ID files, accounts, kernel modules) and what is due (certificates,
//! updates, a reboot).
//!
//! One file per check, its parsers pure and beside it; [`CHECKS`] lists them all. [`hub`] alone
//! knows threads and times: one thread waits, and each look has a thread of its own that ends with
//! it, so that a check that hangs holds up no other and never runs twice at once. Nothing exists
//! before `security:` is configured.

use std::time::Duration;

pub mod auth;
pub mod baseline;
pub mod certificates;
pub mod check;
pub(crate) mod fuzz;
pub mod hub;
pub mod integrity;
pub mod listeners;
pub mod modules;
pub mod pace;
pub mod reboot;
pub mod seal;
pub mod suid;
pub mod updates;
pub mod users;
pub mod walk;

use check::{Entry, Setup};
pub use hub::{Hub, run};

const fn entry(
    name: &'static str,
    seconds: u64,
    category: &'static str,
    build: fn(&Setup) -> Box<dyn check::Check>,
) -> Entry {
    Entry {
        name,
        every: Duration::from_secs(seconds),
        category,
        heavy: false,
        build,
    }
}

const fn heavy(entry: Entry) -> Entry {
    Entry {
        heavy: true,
        ..entry
    }
}

/// Every check, with the seconds from one look to the next.
pub static CHECKS: [Entry; 9] = [
    entry("auth", 5, "authentication", |setup| {
        Box::new(auth::Auth::new(setup))
    }),
    heavy(entry("certificates", 3_600, "configuration", |_| {
        Box::new(certificates::Certificates)
    })),
    heavy(entry("integrity", 3_600, "file", |setup| {
        Box::new(integrity::Integrity::new(setup))
    })),
    entry("listeners", 60, "network", |_| {
        Box::new(listeners::Listeners)
    }),
    entry("modules", 300, "driver", |_| Box::new(modules::Modules)),
    entry("reboot", 300, "host", |_| Box::new(reboot::Reboot)),
    heavy(entry("suid", 21_600, "file", |_| Box::new(suid::Suid))),
    heavy(entry("updates", 3_600, "package", |_| {
        Box::new(updates::Updates::default())
    })),
    entry("users", 60, "iam", |_| Box::new(users::Users)),
];

#[cfg(test)]
mod tests {
    use kai_contract::agent_config::SECURITY_CHECKS;

    use super::*;

    #[test]
    fn the_list_has_every_check_by_name() {
        let names: Vec<&str> = CHECKS.iter().map(|entry| entry.name).collect();
        assert_eq!(names, SECURITY_CHECKS);
    }
}
