//! `agent.security`: the security checks on the node.

use super::super::{Field, Kind, Object};
use super::{DURATION, TEXT};
use crate::spec::format::Format;

const CHECKS: Kind = Kind::Enum {
    values: &[
        "auth",
        "certificates",
        "integrity",
        "listeners",
        "modules",
        "reboot",
        "suid",
        "updates",
        "users",
    ],
    reserved: &[],
};

const PATHS: Kind = Kind::List {
    item: &TEXT,
    unique: true,
    min: 0,
};

pub(in super::super) static SECURITY: Object = Object {
    name: "security",
    doc: "Security checks on the node. Without the key none runs; `{}` runs all with their defaults.",
    fields: &[
        Field::new(
            "disable",
            Kind::List {
                item: &CHECKS,
                unique: true,
                min: 0,
            },
            "[updates]",
            "Checks that do not run; all others do.",
        )
        .default("[]"),
        Field::new(
            "intervals",
            Kind::Map {
                key: Format::Name,
                value: &DURATION,
            },
            "{ suid: 12h }",
            "Time from one look to the next, by check, in place of the check's own.",
        ),
        Field::new(
            "logs",
            PATHS,
            "[/var/log/auth.log]",
            "Authentication logs; of `/var/log/auth.log` and `/var/log/secure` those that exist, and \
             the journal where there is none.",
        ),
        Field::new(
            "ship",
            Kind::Bool,
            "true",
            "Send the authentication logs, line by line, and what differs from the baselines to \
             Elasticsearch, for the dashboard *Security tracking*. The lines name users and addresses.",
        )
        .default("false"),
        Field::new(
            "integrity",
            Kind::Object(&INTEGRITY),
            "{ paths: [/etc, /usr/bin] }",
            "Files whose content, owner and mode are compared with the baseline.",
        ),
        Field::new(
            "suid",
            Kind::Object(&SUID),
            "{ paths: [/usr] }",
            "Where set-user-ID and set-group-ID files are looked for; everywhere when absent.",
        ),
        Field::new(
            "certificates",
            Kind::Object(&CERTIFICATES),
            "{ paths: [/etc/ssl/private] }",
            "Files and folders with certificates whose end is watched.",
        ),
    ],
    reserved: &[],
};

static INTEGRITY: Object = Object {
    name: "integrity",
    doc: "Files that are compared.",
    fields: &PLACES,
    reserved: &[],
};

static SUID: Object = Object {
    name: "suid",
    doc: "Folders that are walked.",
    fields: &PLACES,
    reserved: &[],
};

static CERTIFICATES: Object = Object {
    name: "certificates",
    doc: "Files with certificates.",
    fields: &PLACES,
    reserved: &[],
};

static PLACES: [Field; 2] = [
    Field::new(
        "paths",
        PATHS,
        "[/etc/ssh]",
        "Absolute paths of files and folders, in place of the usual ones.",
    ),
    Field::new(
        "exclude",
        PATHS,
        "[/etc/ssh/keys]",
        "What is left out below them.",
    ),
];
