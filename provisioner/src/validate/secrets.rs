//! Checks on references to secrets. What is behind them was looked up before; values never get here.

use super::{Subject, reported};
use crate::model::SecretSource;
use crate::spec::Findings;
use crate::spec::secrets::{Presence, references};

pub(super) fn are_present(subject: &Subject<'_>, findings: &mut Findings) {
    for (path, reference) in references(subject.stack) {
        let Some(presence) = subject.presence.get(&reference.source) else {
            continue;
        };
        let steps: Vec<&str> = path.split('.').collect();
        // a refused reference may be the secret itself, pasted where its name belongs
        if reported(findings, &steps) {
            continue;
        }
        let key = match &reference.source {
            SecretSource::Env(_) => "env",
            SecretSource::File(_) | SecretSource::Generated(_) | SecretSource::Issued(_) => "file",
        };
        let place = subject.at(&[&steps[..], &[key]].concat());
        let (what, set) = match &reference.source {
            SecretSource::Env(name) => (
                format!("the environment variable {name} (for `{path}`)"),
                format!("set it before kai-observe starts: export {name}=…"),
            ),
            SecretSource::File(file) | SecretSource::Generated(file) => (
                format!("the file {} (for `{path}`)", file.display()),
                "write the value into it, readable only by you (mode 0600)".to_owned(),
            ),
            // No spec can name one.
            SecretSource::Issued(_) => continue,
        };
        match presence {
            Presence::Missing => {
                let missing = if key == "env" {
                    "is not set"
                } else {
                    "does not exist"
                };
                findings
                    .error("missing-secret", place, format!("{what} {missing}"))
                    .help(set);
            }
            Presence::Empty => {
                findings
                    .error("missing-secret", place, format!("{what} is empty"))
                    .help(set);
            }
            Presence::Unreadable(why) => {
                let message = format!("{what} cannot be read: {why}");
                findings.error("missing-secret", place, message).help(set);
            }
            Presence::Present {
                is_address,
                readable_by_others,
            } => {
                let wants_address = matches!(steps.last(), Some(&"slack" | &"heartbeat"));
                if wants_address && !is_address {
                    let message = format!("{what} does not hold an http(s) address");
                    let help = "put the whole address of the webhook there, with https://";
                    findings.warning("odd-secret", place, message).help(help);
                }
                if *readable_by_others {
                    let message = format!("{what} can be read by every user of this machine");
                    findings
                        .warning("open-secret", place, message)
                        .help("chmod 600 it");
                }
            }
            Presence::Assumed => {}
        }
    }
}
