//! The security checks: what is looked at on the node, how often, and how gently.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Problem;
use super::keys::nearest;

/// Names of the checks, as `disable`, `intervalSeconds` and the label `check` spell them.
pub const SECURITY_CHECKS: [&str; 9] = [
    "auth",
    "certificates",
    "integrity",
    "listeners",
    "modules",
    "reboot",
    "suid",
    "updates",
    "users",
];

/// Those of them that compare with an accepted baseline.
pub const BASELINE_CHECKS: [&str; 5] = ["integrity", "listeners", "modules", "suid", "users"];

/// A week: a check that looks less often would be taken for one that does not run.
const LONGEST: u64 = 604_800;

/// `security:` of the agent's configuration. Empty, it runs every check with its defaults. All
/// paths are those of the machine: `roots.root` is put before them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Security {
    /// Checks that do not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disable: Vec<String>,
    /// Seconds from one look to the next, by check, in place of the check's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub interval_seconds: BTreeMap<String, u64>,
    pub auth: SecurityAuth,
    pub integrity: SecurityIntegrity,
    pub suid: SecuritySuid,
    pub certificates: SecurityCertificates,
    /// Files that the walks look at per second, at most.
    pub max_files_per_second: u64,
    /// Bytes that are read for hashing per second, at most.
    pub max_bytes_per_second: u64,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            disable: Vec::new(),
            interval_seconds: BTreeMap::new(),
            auth: SecurityAuth::default(),
            integrity: SecurityIntegrity::default(),
            suid: SecuritySuid::default(),
            certificates: SecurityCertificates::default(),
            max_files_per_second: 2_000,
            max_bytes_per_second: 16 << 20,
        }
    }
}

/// Logins, sudo, su and changes of accounts, as the authentication log tells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SecurityAuth {
    /// Of these, every file that exists is read.
    pub paths: Vec<String>,
    pub journal: SecurityJournal,
    /// Addresses and users that have a series of their own; the others share `other`.
    pub top: u64,
}

impl Default for SecurityAuth {
    fn default() -> Self {
        Self {
            paths: texts(&["/var/log/auth.log", "/var/log/secure"]),
            journal: SecurityJournal::Auto,
            top: 20,
        }
    }
}

/// When systemd's journal is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecurityJournal {
    /// Where none of the files exists.
    #[default]
    Auto,
    Never,
    /// In place of the files.
    Always,
}

/// Files whose content, owner and mode are compared with the baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SecurityIntegrity {
    /// Files, and folders with all that is below them.
    pub paths: Vec<String>,
    /// Files and folders below `paths` that are left out.
    pub exclude: Vec<String>,
    /// Look at a file as soon as the kernel says that it changed.
    pub watch: bool,
    /// Files that are kept in mind at most; what is beyond is counted as not looked at.
    pub max_files: u64,
    /// A larger file is compared by size and time, not by content, and counted as such.
    pub max_file_bytes: u64,
}

impl Default for SecurityIntegrity {
    fn default() -> Self {
        Self {
            paths: texts(&[
                "/bin",
                "/boot",
                "/etc/cron.d",
                "/etc/cron.daily",
                "/etc/cron.hourly",
                "/etc/crontab",
                "/etc/group",
                "/etc/gshadow",
                "/etc/hosts",
                "/etc/ld.so.conf",
                "/etc/ld.so.conf.d",
                "/etc/ld.so.preload",
                "/etc/nsswitch.conf",
                "/etc/pam.d",
                "/etc/passwd",
                "/etc/profile",
                "/etc/profile.d",
                "/etc/security",
                "/etc/shadow",
                "/etc/ssh",
                "/etc/sudoers",
                "/etc/sudoers.d",
                "/etc/systemd/system",
                "/root/.ssh",
                "/sbin",
                "/usr/bin",
                "/usr/lib/systemd/system",
                "/usr/local/bin",
                "/usr/local/sbin",
                "/usr/sbin",
                "/var/spool/cron",
            ]),
            exclude: Vec::new(),
            watch: true,
            max_files: 20_000,
            max_file_bytes: 256 << 20,
        }
    }
}

/// Where files with the set-user-ID or set-group-ID bit are looked for. Network and pseudo file
/// systems are always left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SecuritySuid {
    pub paths: Vec<String>,
    pub exclude: Vec<String>,
}

impl Default for SecuritySuid {
    fn default() -> Self {
        Self {
            paths: texts(&["/"]),
            exclude: texts(&["/var/lib/containerd", "/var/lib/docker"]),
        }
    }
}

/// Certificates in files: PEM and DER, every certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SecurityCertificates {
    /// Files, and folders with all that is below them.
    pub paths: Vec<String>,
    pub exclude: Vec<String>,
    /// Certificates that have a series of their own, those that end first; the others are counted.
    pub top: u64,
}

impl Default for SecurityCertificates {
    fn default() -> Self {
        Self {
            paths: texts(&[
                "/etc/kubernetes/pki",
                "/etc/letsencrypt/live",
                "/etc/nginx",
                "/etc/pki/tls/private",
                "/etc/ssl/private",
                "/var/lib/kubelet/pki",
            ]),
            exclude: Vec::new(),
            top: 100,
        }
    }
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

impl Security {
    pub fn runs(&self, check: &str) -> bool {
        !self.disable.iter().any(|name| name == check)
    }

    /// What is wrong, with paths that begin with `security`.
    pub fn problems(&self, has_state: bool, found: &mut Vec<Problem>) {
        if !has_state {
            found.push(Problem::new(
                "security",
                "baselines and the places reached in the logs must outlive the agent; give it a \
                 folder as state",
            ));
        }
        for (index, name) in self.disable.iter().enumerate() {
            known(&format!("security.disable.{index}"), name, found);
        }
        for (name, seconds) in &self.interval_seconds {
            let at = format!("security.intervalSeconds.{name}");
            known(&at, name, found);
            between(&at, *seconds, 1, LONGEST, found);
        }
        for (section, paths) in [
            ("auth.paths", &self.auth.paths),
            ("integrity.paths", &self.integrity.paths),
            ("integrity.exclude", &self.integrity.exclude),
            ("suid.paths", &self.suid.paths),
            ("suid.exclude", &self.suid.exclude),
            ("certificates.paths", &self.certificates.paths),
            ("certificates.exclude", &self.certificates.exclude),
        ] {
            for (index, path) in paths.iter().enumerate() {
                plain_path(&format!("security.{section}.{index}"), path, found);
            }
        }
        between("security.auth.top", self.auth.top, 1, 200, found);
        let top = self.certificates.top;
        between("security.certificates.top", top, 1, 1_000, found);
        let files = self.integrity.max_files;
        between("security.integrity.maxFiles", files, 1, 1_000_000, found);
        for (key, value) in [
            ("integrity.maxFileBytes", self.integrity.max_file_bytes),
            ("maxFilesPerSecond", self.max_files_per_second),
            ("maxBytesPerSecond", self.max_bytes_per_second),
        ] {
            if value == 0 {
                found.push(Problem::new(
                    format!("security.{key}"),
                    "0 would never look at anything; give at least 1",
                ));
            }
        }
    }
}

fn known(at: &str, name: &str, found: &mut Vec<Problem>) {
    if SECURITY_CHECKS.contains(&name) {
        return;
    }
    let hint = nearest(name, &SECURITY_CHECKS).map_or_else(
        || format!("checks are {}", SECURITY_CHECKS.join(", ")),
        |near| format!("did you mean \"{near}\"?"),
    );
    found.push(Problem::new(at, format!("no check \"{name}\"; {hint}")));
}

fn between(at: &str, value: u64, least: u64, most: u64, found: &mut Vec<Problem>) {
    if !(least..=most).contains(&value) {
        found.push(Problem::new(
            at,
            format!("{value} is out of range; give a number from {least} to {most}"),
        ));
    }
}

/// An absolute path without steps back and patterns: what is said is what is looked at.
fn plain_path(at: &str, path: &str, found: &mut Vec<Problem>) {
    let steps_back = Path::new(path)
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    let message = if !path.starts_with('/') {
        "is not an absolute path; begin it with /"
    } else if steps_back {
        "has .. in it; name the folder itself"
    } else if path.contains(['*', '?']) {
        "is a pattern, which is not read here; name a file, or a folder to take all below it"
    } else {
        return;
    };
    found.push(Problem::new(at, format!("\"{path}\" {message}")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent_config::AgentConfig;

    fn paths_of(text: &str) -> Vec<String> {
        let config: AgentConfig = serde_yaml::from_str(text).unwrap();
        config.problems().into_iter().map(|p| p.path).collect()
    }

    #[test]
    fn an_empty_section_is_sound() {
        let text = "version: 2\nlisten: 127.0.0.1:0\nstate: /s\nsecurity: {}\n";
        assert_eq!(paths_of(text), Vec::<String>::new());
        let config: AgentConfig = serde_yaml::from_str(text).unwrap();
        assert_eq!(config.security, Some(Security::default()));
        let names = SECURITY_CHECKS;
        assert!(names.is_sorted());
        assert!(BASELINE_CHECKS.iter().all(|name| names.contains(name)));
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let found = paths_of(
            "version: 2\nlisten: 127.0.0.1:0\nsecurity:\n  disable: [sudi]\n  intervalSeconds: \
             {suid: 0, nope: 5}\n  auth: {paths: [a.log], top: 0}\n  integrity: {paths: \
             ['/etc/../x'], maxFiles: 0, maxFileBytes: 0}\n  certificates: {paths: \
             ['/etc/*.pem'], top: 0}\n  maxFilesPerSecond: 0\n  maxBytesPerSecond: 0\n",
        );
        assert_eq!(
            found,
            [
                "security",
                "security.disable.0",
                "security.intervalSeconds.nope",
                "security.intervalSeconds.suid",
                "security.auth.paths.0",
                "security.integrity.paths.0",
                "security.certificates.paths.0",
                "security.auth.top",
                "security.certificates.top",
                "security.integrity.maxFiles",
                "security.integrity.maxFileBytes",
                "security.maxFilesPerSecond",
                "security.maxBytesPerSecond",
            ]
        );
    }
}
