//! The agent reaches every database and sees all that it is to look at.

use std::time::Duration;

use super::{Proof, Subject, eventually, prove as timed};
use crate::http;
use crate::render::local;

pub async fn prove(subject: &Subject<'_>) -> Vec<Proof> {
    let work = subject.stack.databases.keys().map(|name| async move {
        let work = eventually(subject.patience, || look(subject, name));
        timed("databases", name.clone(), work).await
    });
    futures_util::future::join_all(work).await
}

async fn look(subject: &Subject<'_>, name: &str) -> Result<String, String> {
    let path = format!("/metrics/database/{name}?debug=true");
    let url = local(subject.stack.ports.agent(), &path);
    let reply = http::client(Duration::from_secs(15)).get(&url).send().await;
    let reply = reply.map_err(|_| format!("{url} does not answer"))?;
    let good = reply.status().is_success();
    let text = reply
        .text()
        .await
        .map_err(|_| format!("{url}: the connection broke"))?;
    judge(good, &text)
}

/// What the agent's steps come to.
fn judge(good: bool, steps: &str) -> Result<String, String> {
    let failed: Vec<&str> = steps
        .lines()
        .filter_map(|line| line.strip_prefix("✗ "))
        .collect();
    if !failed.is_empty() {
        return Err(failed.join("; "));
    }
    let mut seen = steps.lines().filter_map(|line| line.strip_prefix("· "));
    match seen.next() {
        Some(server) if good => Ok(format!("{server}; {} collectors", seen.count())),
        _ => Err(steps.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_all_seen_is_proven() {
        let seen = judge(
            true,
            "· db:5432 is PostgreSQL 15.15\n· wal: 1 rows in 0.3 ms\n",
        );
        assert_eq!(seen.unwrap(), "db:5432 is PostgreSQL 15.15; 1 collectors");
        let failed = judge(
            true,
            "· db:5432 is X\n· roles: 2 rows\n✗ wal: permission denied\n",
        );
        assert_eq!(failed.unwrap_err(), "wal: permission denied");
        assert!(judge(true, "✗ connection: refused\n").is_err());
        assert!(judge(false, "there is no database \"pg\"\n").is_err());
        assert!(judge(true, "").is_err());
    }
}
