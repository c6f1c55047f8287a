//! The health page: every answer must be 2xx. A service that refuses the connection or does not
//! answer in time is not well, which is a clear failure; a host that cannot be found was not asked.

use super::{Check, Evidence, Finding, Verdict, said};
use crate::gate::evidence::{Answer, Failure, HealthCheck, Question};

pub(super) fn judge(check: &HealthCheck, evidence: &Evidence) -> Finding {
    let answers: Vec<&Answer> = evidence
        .answers
        .iter()
        .filter(|asked| asked.question == Question::Health)
        .map(|asked| &asked.answer)
        .collect();
    let mut well = 0_u32;
    let mut verdict = Verdict::Pass;
    let mut reasons: Vec<String> = Vec::new();
    for answer in &answers {
        let (this, reason) = match answer {
            Answer::Reply {
                status: 200..=299, ..
            } => {
                well += 1;
                continue;
            }
            Answer::Reply {
                status,
                location: Some(location),
                ..
            } => (
                Verdict::Fail,
                format!("answered {status}, a redirect to {location}: name that address as health"),
            ),
            Answer::Reply { status, body, .. } => {
                (Verdict::Fail, format!("answered {status}{}", said(body)))
            }
            Answer::Failed {
                kind: Failure::NotAsked,
                reason,
            } => (Verdict::NoData, reason.clone()),
            Answer::Failed { reason, .. } => (Verdict::Fail, reason.clone()),
        };
        verdict = verdict.max(this);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let asked = check.probes.max(1);
    if answers.len() as u64 != u64::from(asked) {
        verdict = verdict.max(Verdict::NoData);
        reasons.push(format!(
            "{} answers are there, {asked} are needed",
            answers.len()
        ));
    }
    Finding {
        check: Check::Health,
        verdict,
        seen: format!("{well} of {asked} answers well"),
        limit: "all 2xx".to_owned(),
        reasons,
    }
}
