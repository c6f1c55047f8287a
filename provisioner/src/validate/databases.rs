//! Checks on `databases`.

use super::Subject;
use super::probes::known;
use crate::spec::Findings;

pub(super) fn can_be_looked_at(subject: &Subject<'_>, findings: &mut Findings) {
    let stack = subject.stack;
    for (name, database) in &stack.databases {
        let at = |key| ["databases", name.as_str(), key];
        if let Some(timeout) = database.given_timeout
            && timeout >= database.interval
        {
            findings
                .error(
                    "database",
                    subject.at(&at("timeout")),
                    "the timeout is not shorter than the interval".to_owned(),
                )
                .help(format!("write less than {:?}", database.interval));
        }
        for collector in &database.enable {
            if database.disable.contains(collector) {
                findings
                    .error(
                        "database",
                        subject.at(&at("enable")),
                        format!("`{collector}` is in `disable`, too"),
                    )
                    .help("keep one of the two");
            }
        }
        known(
            subject,
            ("database", &at("service")),
            &database.service,
            stack.services.keys(),
            findings,
        );
        known(
            subject,
            ("database", &at("team")),
            &database.team,
            stack.teams.keys(),
            findings,
        );
    }
}
