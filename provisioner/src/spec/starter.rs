//! The first spec, as `kai-observe init` writes it.

use std::path::{Path, PathBuf};

use rand::Rng;

use super::format::is_name;

/// Names under which a spec is looked for, the first one is what `init` writes.
pub const FILE_NAMES: [&str; 2] = ["observe.yaml", "observe.yml"];

/// The spec that a folder already has, if any: `init` must not write over it.
pub fn existing(folder: &Path) -> Option<PathBuf> {
    FILE_NAMES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.symlink_metadata().is_ok())
}

/// A random `metadata.id`: fifty bits in base32.
pub fn fresh_id() -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = rand::rng();
    (0..10)
        .map(|_| char::from(DIGITS[random.random_range(0..32)]))
        .collect()
}

/// A name for the stack made from whatever is at hand, such as the name of a folder.
pub fn name_from(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    let plain = plain.trim_matches('-');
    if is_name(plain) {
        plain.to_owned()
    } else {
        "my-stack".to_owned()
    }
}

/// The text of a small spec that loads as it is and shows what can be added. `name` that is not a
/// name is made one; `id` comes from [`fresh_id`].
pub fn starter(name: &str, id: &str) -> String {
    let name = name_from(name);
    format!(
        r#"# yaml-language-server: $schema=./.observe/schema.json      (written by `kai-observe schema`)
# What to observe. `kai-observe plan` says what would happen, `kai-observe provision` does it,
# `kai-observe verify` proves it.
apiVersion: observe.kai/v1
kind: Stack
metadata:
  name: {name}
  id: "{id}"                 # who owns what this stack creates; do not change it
runsOn: local

# Prometheus, Alertmanager, the inbox and the agent listen on the thirty ports from here on.
ports: {{ base: 7070 }}

# What is observed. The node itself always is.
services: {{}}
#  booking:
#    team: platform
#    metrics: http://127.0.0.1:8080/metrics
#    health: http://127.0.0.1:8080/healthz

# Who is told. Where a key is not given, the inbox on this machine stands in for the vendor.
# A secret is never written here: only where it is, {{ env: NAME }} or {{ file: PATH }}.
teams:
  platform:
    email: ops@example.org
#    pagerduty: {{ env: PAGERDUTY_KEY }}
#    slack: {{ env: SLACK_URL }}

routing:
  severity: {{ critical: [pagerduty], warning: [slack], info: [email] }}

# Native Prometheus rule files. Each alert carries the labels `severity` (critical, warning, info)
# and `team` (a key of `teams`).
# alerts:
#   rules: [alert-rules/*.yaml]
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_random_and_well_formed() {
        let (one, other) = (fresh_id(), fresh_id());
        assert_ne!(one, other);
        assert_eq!(super::super::format::Format::Id.check(&one), Ok(()));
    }

    #[test]
    fn any_folder_gives_a_name() {
        assert_eq!(name_from("My Stack!"), "my-stack");
        assert_eq!(name_from("été"), "t");
        assert_eq!(name_from("???"), "my-stack");
        assert!(is_name(&name_from(&"x".repeat(200))));
    }

    #[test]
    fn an_existing_spec_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(existing(folder.path()), None);
        std::fs::write(folder.path().join("observe.yml"), "").expect("written");
        assert_eq!(
            existing(folder.path()),
            Some(folder.path().join("observe.yml"))
        );
    }
}
