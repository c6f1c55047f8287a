//! Accounts and groups against the baseline: who exists, who is root, who is in which group, which
//! passwords open. The log tells who made a change (`auth`); this tells that there was one, also
//! where the file was written by hand.

use std::collections::BTreeMap;

use super::check::{Check, Context, Coverage, Items, Outcome, Reason, shown};
use crate::exposition::{Kind, Page};
use crate::node::Tree;

pub mod files;

use files::{Password, groups, passwords, users};

pub struct Users;

impl Check for Users {
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome {
        look(context, page).unwrap_or_else(Outcome::failed)
    }
}

fn look(context: &Context, page: &mut Page) -> Result<Outcome, String> {
    let node = &*context.node;
    let mut coverage = Coverage::default();
    let mut items = Items::new();
    let mut text = Vec::new();
    let named = |name: &str, error: &dyn std::fmt::Display| {
        format!("{}: {error}", node.path(Tree::Root, name).display())
    };
    let read = |name: &'static str, into: &mut Vec<u8>| {
        node.read(Tree::Root, name, into)
            .map_err(|error| (Reason::of(&error), named(name, &error)))
    };
    let mut states = BTreeMap::new();
    let may_read = match read("etc/shadow", &mut text) {
        Ok(()) => {
            passwords(&text, |name, state| {
                states.insert(name.to_vec(), state);
            })
            .map_err(|error| named("etc/shadow", &error))?;
            coverage.examined += 1;
            true
        }
        Err((reason, _)) => {
            coverage.skip("etc/shadow", reason);
            false
        }
    };
    read("etc/passwd", &mut text).map_err(|(_, error)| error)?;
    coverage.examined += 1;
    let (mut total, mut roots, mut empty) = (0_u64, 0_u64, 0_u64);
    for user in users(&text).map_err(|error| named("etc/passwd", &error))? {
        total += 1;
        roots += u64::from(user.uid == 0);
        let state = states.get(user.name);
        empty += u64::from(state == Some(&Password::Empty));
        let password = match state {
            Some(Password::Set) => "set",
            Some(Password::Empty) => "empty",
            Some(Password::Locked) => "locked",
            None if may_read => "none",
            None => "?",
        };
        items.insert(
            format!("user {}", shown(user.name)),
            format!(
                "uid={} gid={} password={password} home={} shell={}",
                user.uid,
                user.gid,
                word(user.home),
                word(user.shell)
            ),
        );
    }
    read("etc/group", &mut text).map_err(|(_, error)| error)?;
    coverage.examined += 1;
    for group in groups(&text).map_err(|error| named("etc/group", &error))? {
        let mut members: Vec<&[u8]> = group.members.split(|byte| *byte == b',').collect();
        members.sort_unstable();
        items.insert(
            format!("group {}", shown(group.name)),
            format!("gid={} members={}", group.gid, word(&members.join(&b','))),
        );
    }
    context.progress.step();
    page.single(
        "kai_security_users",
        "Accounts in /etc/passwd.",
        Kind::Gauge,
        total as f64,
    );
    page.single(
        "kai_security_superusers",
        "Accounts with the user number 0.",
        Kind::Gauge,
        roots as f64,
    );
    if may_read {
        page.single(
            "kai_security_users_without_password",
            "Accounts that anybody may log in to, because their password is empty.",
            Kind::Gauge,
            empty as f64,
        );
    }
    Ok(Outcome {
        coverage,
        seen: Some(items),
        ..Outcome::default()
    })
}

fn word(text: &[u8]) -> String {
    shown(text).replace(' ', "\\x20")
}
