//! Are the secrets there? This is the only part of the spec that looks at their values, and only
//! to say present, empty, or of the wrong shape. No value leaves this file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;

use crate::model::{Auth, Connection, Placement, SecretRef, SecretSource, Stack};

/// How the presence of secrets is judged.
#[derive(Clone, Default)]
pub enum Secrets {
    /// Look into the environment of this process and into the files.
    #[default]
    Read,
    /// Take every reference for good: `plan` and `validate --offline` need no values.
    AssumePresent,
    /// These variables in place of the process environment; files are read. For tests, and for
    /// callers that got an environment from elsewhere.
    Given(BTreeMap<String, String>),
}

/// Values stay out of logs.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("Read"),
            Self::AssumePresent => f.write_str("AssumePresent"),
            Self::Given(variables) => f.debug_set().entries(variables.keys()).finish(),
        }
    }
}

/// What was found behind one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// A value; is it an `http(s)` address, and can others than its owner read it?
    Present {
        is_address: bool,
        readable_by_others: bool,
    },
    Missing,
    Empty,
    /// The reason, without the value.
    Unreadable(String),
    /// Not looked at.
    Assumed,
}

/// A secret file larger than this is not one.
const MAX_BYTES: u64 = 64 << 10;

/// Looks behind every reference of the stack.
pub fn presence(stack: &Stack, secrets: &Secrets) -> BTreeMap<SecretSource, Presence> {
    let mut found = BTreeMap::new();
    for (_, reference) in references(stack) {
        let source = &reference.source;
        if !found.contains_key(source) {
            found.insert(source.clone(), look(source, secrets));
        }
    }
    found
}

/// Every reference of the stack with its path in the spec.
pub fn references(stack: &Stack) -> Vec<(String, &SecretRef)> {
    let mut all = Vec::new();
    for team in stack.teams.values() {
        let name = &team.name;
        all.extend(
            team.pagerduty
                .iter()
                .map(|s| (format!("teams.{name}.pagerduty"), s)),
        );
        all.extend(
            team.slack
                .iter()
                .map(|s| (format!("teams.{name}.slack"), s)),
        );
    }
    let password = stack.smtp.iter().filter_map(|smtp| smtp.password.as_ref());
    all.extend(password.map(|s| ("smtp.password".to_owned(), s)));
    let pseudonymise = stack.privacy.pseudonymise.iter();
    all.extend(pseudonymise.map(|p| ("privacy.pseudonymise.key".to_owned(), &p.key)));
    let routing = &stack.routing;
    let heartbeat = "routing.deadMansSwitch.heartbeat";
    all.extend(routing.heartbeat.iter().map(|s| (heartbeat.to_owned(), s)));
    let drill = "routing.drill.pagerduty";
    all.extend(
        routing
            .drill_pagerduty
            .iter()
            .map(|s| (drill.to_owned(), s)),
    );
    for (system, placement) in stack.systems.placements() {
        let Placement::External(Connection {
            auth: Some(auth), ..
        }) = placement
        else {
            continue;
        };
        all.push(of_auth(&format!("systems.{system}.auth"), auth));
    }
    for (name, receiver) in &stack.agent.remote_write {
        let at = format!("agent.remoteWrite.{name}.auth");
        all.extend(receiver.auth.iter().map(|auth| of_auth(&at, auth)));
    }
    let syslog = stack.agent.logs.iter().filter_map(|it| it.syslog.as_ref());
    let keys = syslog.filter_map(|syslog| Some(&syslog.tls.as_ref()?.key));
    all.extend(keys.map(|key| ("agent.logs.syslog.tls.key".to_owned(), key)));
    for (name, probe) in &stack.probes {
        let at = format!("probes.{name}.http.auth");
        all.extend(probe.auth.iter().map(|auth| of_auth(&at, auth)));
    }
    for (name, database) in &stack.databases {
        all.push((format!("databases.{name}.dsn"), &database.dsn));
    }
    all
}

fn of_auth<'a>(at: &str, auth: &'a Auth) -> (String, &'a SecretRef) {
    let (key, secret) = match auth {
        Auth::ApiKey(secret) => ("apiKey", secret),
        Auth::Token(secret) => ("token", secret),
        Auth::Basic { password, .. } => ("password", password),
    };
    (format!("{at}.{key}"), secret)
}

fn look(source: &SecretSource, secrets: &Secrets) -> Presence {
    match (source, secrets) {
        (_, Secrets::AssumePresent) => Presence::Assumed,
        (SecretSource::Env(name), Secrets::Given(variables)) => variables
            .get(name)
            .map_or(Presence::Missing, |value| judge(value, false)),
        (SecretSource::Env(name), Secrets::Read) => match std::env::var(name) {
            Ok(value) => judge(&value, false),
            Err(std::env::VarError::NotPresent) => Presence::Missing,
            Err(std::env::VarError::NotUnicode(_)) => {
                Presence::Unreadable("its value is not UTF-8".to_owned())
            }
        },
        (SecretSource::File(path) | SecretSource::Generated(path), _) => file(path),
        // Nobody gives it.
        (SecretSource::Issued(_), _) => Presence::Assumed,
    }
}

fn file(path: &Path) -> Presence {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Presence::Missing,
        Err(e) => return Presence::Unreadable(e.to_string()),
    };
    if !metadata.is_file() {
        return Presence::Unreadable("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    if let Err(e) = read {
        return Presence::Unreadable(e.to_string());
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Presence::Unreadable("it is too large for a secret".to_owned());
    }
    match String::from_utf8(bytes) {
        Ok(value) => judge(&value, open_to_others(&metadata)),
        Err(_) => Presence::Unreadable("it is not UTF-8".to_owned()),
    }
}

fn judge(value: &str, readable_by_others: bool) -> Presence {
    let value = value.trim();
    if value.is_empty() {
        return Presence::Empty;
    }
    let is_address = super::address::Address::parse(value).is_ok();
    Presence::Present {
        is_address,
        readable_by_others,
    }
}

#[cfg(unix)]
fn open_to_others(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn open_to_others(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_reference() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let source = SecretSource::File(path.clone());
        assert_eq!(look(&source, &Secrets::Read), Presence::Missing);
        fs::write(&path, "\n").expect("written");
        assert_eq!(look(&source, &Secrets::Read), Presence::Empty);
        fs::write(&path, "https://example.org/x\n").expect("written");
        assert!(matches!(
            look(&source, &Secrets::Read),
            Presence::Present {
                is_address: true,
                ..
            }
        ));
        assert_eq!(look(&source, &Secrets::AssumePresent), Presence::Assumed);
        let folder = SecretSource::File(folder.path().to_path_buf());
        assert!(matches!(
            look(&folder, &Secrets::Read),
            Presence::Unreadable(_)
        ));
        let given = Secrets::Given([("A".to_owned(), "hunter2".to_owned())].into());
        let env = |name: &str| look(&SecretSource::Env(name.to_owned()), &given);
        assert!(matches!(
            env("A"),
            Presence::Present {
                is_address: false,
                ..
            }
        ));
        assert_eq!(env("B"), Presence::Missing);
        assert!(!format!("{given:?}").contains("hunter2"));
    }
}
