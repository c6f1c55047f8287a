//! Evidence as it looks when everything is well; tests spoil it.

use serde_json::{Value, json};

use crate::gate::evidence::{
    AlertsCheck, Answer, Asked, Checks, Decimal, Evidence, FORMAT, HealthCheck, LogsCheck,
    Question, RatioCheck,
};

pub(crate) const NOW: i64 = 1_764_000_000_123;

pub(crate) fn reply(body: impl ToString) -> Answer {
    Answer::Reply {
        status: 200,
        location: None,
        body: body.to_string(),
    }
}

pub(crate) fn vector(values: &[&str]) -> Value {
    let result: Vec<Value> = values
        .iter()
        .map(|value| json!({ "metric": {}, "value": [NOW as f64 / 1000.0, value] }))
        .collect();
    json!({ "status": "success", "data": { "resultType": "vector", "result": result } })
}

pub(crate) fn search(all: u64, leveled: u64, errors: u64) -> Value {
    json!({
        "took": 3, "timed_out": false,
        "_shards": { "total": 2, "successful": 2, "skipped": 1, "failed": 0 },
        "hits": { "total": { "value": all, "relation": "eq" }, "max_score": null, "hits": [] },
        "aggregations": {
            "errors": { "doc_count": errors },
            "leveled": { "doc_count": leveled },
            "newest": { "value": (NOW - 2_000) as f64, "value_as_string": "x" },
        },
    })
}

pub(crate) fn alert(name: &str, service: &str, severity: &str, state: &str) -> Value {
    json!({
        "labels": { "alertname": name, "service": service, "severity": severity },
        "status": { "state": state, "silencedBy": [], "inhibitedBy": [], "mutedBy": [] },
        "fingerprint": "0", "annotations": {}, "receivers": [],
    })
}

pub(crate) fn healthy() -> Evidence {
    let mut evidence = Evidence {
        format: FORMAT,
        tool: "test".to_owned(),
        service: "booking".to_owned(),
        release: None,
        started_at: NOW,
        ended_at: NOW,
        checks: Checks {
            health: Some(HealthCheck { probes: 2 }),
            error_ratio: Some(RatioCheck {
                evaluated_at: NOW,
                window_seconds: 60,
                min_requests: 100,
                max_error_ratio: Decimal::new(0.01).unwrap(),
                scrape_interval_seconds: 5,
                up: true,
            }),
            error_logs: Some(LogsCheck {
                until: NOW,
                window_seconds: 60,
                max_per_minute: Decimal::new(5.0).unwrap(),
                require_documents: true,
            }),
            critical_alerts: Some(AlertsCheck {
                watchdog: Some("Watchdog".to_owned()),
            }),
        },
        answers: Vec::new(),
    };
    let newest = (NOW as f64 / 1000.0 - 2.0).to_string();
    let clock = json!({ "status": "success", "data": {
        "resultType": "scalar", "result": [NOW as f64 / 1000.0, "1764000000.123"] } });
    for (question, answer) in [
        (Question::Health, reply("")),
        (Question::Health, reply("")),
        (Question::Clock, reply(clock)),
        (Question::Errors, reply(vector(&["3"]))),
        (Question::Total, reply(vector(&["684.5"]))),
        (Question::Newest, reply(vector(&[&newest]))),
        (Question::Coverage, reply(vector(&["11"]))),
        (Question::Up, reply(vector(&["1"]))),
        (Question::ErrorLogs, reply(search(1000, 900, 4))),
        (Question::CriticalAlerts, reply("[]")),
        (
            Question::Watchdog,
            reply(json!([alert("Watchdog", "", "none", "active")])),
        ),
    ] {
        evidence.answers.push(Asked {
            question,
            request: "GET http://h/".to_owned(),
            query: None,
            at: NOW,
            took_ms: 1,
            answer,
        });
    }
    evidence
}

impl Evidence {
    /// The same with another answer to a question.
    pub(crate) fn with(mut self, question: Question, answer: Answer) -> Self {
        let place = self.answers.iter_mut().find(|a| a.question == question);
        place.expect("it was asked").answer = answer;
        self
    }
}
