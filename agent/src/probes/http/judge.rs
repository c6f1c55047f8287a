//! Judges the last answer in blackbox_exporter's order: status, headers, body, version, TLS.

use super::exchange::Answer;
use super::{HeaderRule, Prepared, body, head_gauges, transferred};
use crate::probes::report::Report;

impl Prepared {
    /// `refused`: the answer is a redirect that was not followed, whose body is not read.
    pub(super) async fn judge(
        &self,
        report: &mut Report,
        mut answer: Answer,
        refused: bool,
    ) -> bool {
        head_gauges(report, &answer);
        let mut success = self.status(report, answer.status());
        let headers = !self.header_matches.is_empty() || !self.header_not_matches.is_empty();
        if success && headers {
            success = self.headers(report, &answer);
            due_to_regex(report, !success);
        }
        let wanted = !self.body_matches.is_empty() || !self.body_not_matches.is_empty();
        let read = if refused {
            Err("the body of a redirect that is not followed is not read".to_owned())
        } else {
            let started = answer.started;
            let keep = wanted && success;
            let limit = self.config.body_size_limit;
            let compression = self.config.compression;
            let read = body::read(answer.body(), limit, compression, keep).await;
            transferred(report, started);
            report.set(
                "probe_http_uncompressed_body_length",
                "Length of uncompressed response body",
                read.length as f64,
            );
            match read.wrong {
                None => {
                    report.note(format!("body of {} bytes", read.length));
                    Ok(read.kept)
                }
                Some(why) => Err(why),
            }
        };
        if success && wanted {
            success = match &read {
                Ok(kept) => self.bodies(report, kept),
                Err(_) => false,
            };
            due_to_regex(report, !success);
        }
        if let Err(why) = read
            && (!refused || wanted)
        {
            report.fail(why);
            success = false;
        }
        let versions = &self.config.valid_http_versions;
        if !versions.is_empty() && !versions.iter().any(|v| v == answer.version_name()) {
            report.fail(format!(
                "the answer is {}, valid are {}",
                answer.version_name(),
                versions.join(", ")
            ));
            success = false;
        }
        if answer.tls.is_some() && self.config.fail_if_ssl {
            report.fail("the last request was over TLS (failIfSsl)");
            success = false;
        }
        if answer.tls.is_none() && self.config.fail_if_not_ssl && success {
            report.fail("the last request was not over TLS (failIfNotSsl)");
            success = false;
        }
        success
    }

    fn status(&self, report: &mut Report, status: u16) -> bool {
        let valid = &self.config.valid_status_codes;
        if valid.is_empty() {
            if (200..300).contains(&status) {
                return true;
            }
            report.fail(format!("status {status}, valid are 200 to 299"));
            return false;
        }
        if valid.contains(&status) {
            return true;
        }
        let valid: Vec<String> = valid.iter().map(u16::to_string).collect();
        report.fail(format!("status {status}, valid are {}", valid.join(", ")));
        false
    }

    fn headers(&self, report: &mut Report, answer: &Answer) -> bool {
        let values = |rule: &HeaderRule| -> Vec<String> {
            let all = answer.headers().get_all(&rule.name);
            all.iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect()
        };
        let rules = self.header_matches.iter().map(|rule| (rule, true));
        let others = self.header_not_matches.iter().map(|rule| (rule, false));
        for (rule, bad_if_found) in rules.chain(others) {
            let values = values(rule);
            if values.is_empty() {
                if rule.allow_missing {
                    continue;
                }
                report.fail(format!("the answer has no header {}", rule.name));
                return false;
            }
            let found = values.iter().any(|value| rule.regex.is_match(value));
            if found == bad_if_found {
                let word = if found { "matches" } else { "does not match" };
                report.fail(format!("header {} {word} {}", rule.name, rule.regex));
                return false;
            }
        }
        true
    }

    fn bodies(&self, report: &mut Report, body: &[u8]) -> bool {
        // As Go's engine sees it: a byte that is no UTF-8 is U+FFFD.
        let text = String::from_utf8_lossy(body);
        if let Some(regex) = self.body_matches.iter().find(|r| r.is_match(&text)) {
            report.fail(format!("the body matches {regex}"));
            return false;
        }
        if let Some(regex) = self.body_not_matches.iter().find(|r| !r.is_match(&text)) {
            report.fail(format!("the body does not match {regex}"));
            return false;
        }
        true
    }
}

fn due_to_regex(report: &mut Report, failed: bool) {
    report.set(
        "probe_failed_due_to_regex",
        "Indicates if probe failed due to regex",
        f64::from(u8::from(failed)),
    );
}
