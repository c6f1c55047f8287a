//! The verdicts as tables: one line, one thing that is different from the healthy sample.

use serde_json::{Value, json};

use super::samples::{NOW, alert, healthy, reply, search, vector};
use super::{Verdict, judge, overall};
use crate::gate::evidence::{Answer, Checks, Decimal, Evidence, Failure, Question};
use Question::{
    Clock, Coverage, CriticalAlerts, ErrorLogs, Errors, Health, Newest, Total, Up, Watchdog,
};
use Verdict::{Fail, Inconclusive, NoData, Pass};

fn failed(kind: Failure) -> Answer {
    Answer::Failed {
        kind,
        reason: "it did not work".to_owned(),
    }
}

fn status(status: u16) -> Answer {
    Answer::Reply {
        status,
        location: (300..400)
            .contains(&status)
            .then(|| "/elsewhere".to_owned()),
        body: r#"{"status":"error","error":"told so"}"#.to_owned(),
    }
}

#[track_caller]
fn expect(verdict: Verdict, evidence: &Evidence, what: &str) {
    let judgement = judge(evidence);
    assert_eq!(judgement.verdict, verdict, "{what}: {judgement:#?}");
    // Whoever does not pass is told why.
    for finding in judgement.checks {
        assert_eq!(
            finding.verdict == Pass,
            finding.reasons.is_empty(),
            "{finding:?}"
        );
    }
}

#[test]
fn everything_well_is_a_pass() {
    expect(Pass, &healthy(), "healthy");
}

#[test]
fn the_stronger_verdict_wins() {
    let all = [Pass, Inconclusive, NoData, Fail];
    for (i, a) in all.into_iter().enumerate() {
        for (j, b) in all.into_iter().enumerate() {
            assert_eq!(overall([a, b].into_iter()), all[i.max(j)]);
        }
    }
    assert_eq!(overall(std::iter::empty()), NoData);
    let none = Evidence {
        checks: Checks::default(),
        ..healthy()
    };
    assert_eq!(judge(&none).verdict, NoData, "nothing configured");
}

#[test]
fn health() {
    for (answer, verdict) in [
        (status(204), Pass),
        (status(301), Fail),
        (status(404), Fail),
        (status(503), Fail),
        (failed(Failure::Connection), Fail),
        (failed(Failure::Timeout), Fail),
        (failed(Failure::Tls), Fail),
        (failed(Failure::Unusable), Fail),
        (failed(Failure::NotAsked), NoData),
    ] {
        let what = format!("{answer:?}");
        expect(verdict, &healthy().with(Health, answer), &what);
    }
}

#[test]
fn an_answer_of_prometheus_is_one_number_or_none() {
    let at = NOW as f64 / 1000.0;
    let data = |kind: &str, result: Value| {
        reply(json!({ "status": "success", "data": { "resultType": kind, "result": result } }))
    };
    let warned = |warnings: Value| {
        let mut body = vector(&["1"]);
        body["warnings"] = warnings;
        reply(body)
    };
    for question in [Errors, Total, Newest, Coverage, Up] {
        for (what, answer) in [
            ("empty", reply(vector(&[]))),
            ("two series", reply(vector(&["1", "2"]))),
            ("NaN", reply(vector(&["NaN"]))),
            ("infinite", reply(vector(&["+Inf"]))),
            ("negative", reply(vector(&["-1"]))),
            ("no number", reply(vector(&["many"]))),
            (
                "a matrix",
                data("matrix", json!([{ "metric": {}, "values": [[at, "1"]] }])),
            ),
            ("a string", data("string", json!([at, "1"]))),
            (
                "a histogram",
                data("vector", json!([{ "metric": {}, "histogram": [at, {}] }])),
            ),
            (
                "a bare number",
                data("vector", json!([{ "metric": {}, "value": [at, 1] }])),
            ),
            (
                "another time",
                data(
                    "vector",
                    json!([{ "metric": {}, "value": [at - 60.0, "1"] }]),
                ),
            ),
            (
                "no time",
                data("vector", json!([{ "metric": {}, "value": [null, "1"] }])),
            ),
            ("no list", data("vector", json!(null))),
            ("no data", reply(r#"{"status":"success"}"#)),
            ("no status", reply("{}")),
            (
                "an error",
                reply(r#"{"status":"error","errorType":"timeout","error":"slow"}"#),
            ),
            ("a warning", warned(json!(["partial response"]))),
            ("a strange warning", warned(json!("partial"))),
            ("no JSON", reply("<html>")),
            ("nothing", reply("")),
            ("400", status(400)),
            ("302", status(302)),
            ("503", status(503)),
            ("refused", failed(Failure::Connection)),
            ("timeout", failed(Failure::Timeout)),
        ] {
            expect(
                NoData,
                &healthy().with(question, answer),
                &format!("{question:?}: {what}"),
            );
        }
        expect(
            NoData,
            &without(question),
            &format!("{question:?} not asked"),
        );
        expect(
            NoData,
            &doubled(question),
            &format!("{question:?} asked twice"),
        );
        let ok = healthy();
        let infos = ok.answers.iter().find(|a| a.question == question).unwrap();
        let Answer::Reply { body, .. } = &infos.answer else {
            panic!()
        };
        let mut body: Value = serde_json::from_str(body).unwrap();
        body["infos"] = json!(["metric might not be a counter"]);
        body["warnings"] = json!([]);
        expect(
            Pass,
            &healthy().with(question, reply(body)),
            "infos are no warnings",
        );
    }
    expect(NoData, &without(Clock), "no clock");
    expect(
        NoData,
        &healthy().with(Clock, failed(Failure::Timeout)),
        "clock",
    );
}

fn without(question: Question) -> Evidence {
    let mut evidence = healthy();
    evidence.answers.retain(|asked| asked.question != question);
    evidence
}

fn doubled(question: Question) -> Evidence {
    let mut evidence = healthy();
    let asked = evidence.answers.iter().find(|a| a.question == question);
    let asked = asked.unwrap().clone();
    evidence.answers.push(asked);
    evidence
}

#[test]
fn the_error_ratio() {
    // Limit 1%, floor 100.
    for (errors, total, verdict) in [
        (0.0, 100.0, Pass),
        (0.0, 684.0, Pass),
        (1.0, 100.0, Pass),
        (6.84, 684.0, Pass),
        (2.0, 100.0, Inconclusive),  // 2%, perhaps by chance
        (10.0, 684.0, Inconclusive), // 1.5%
        (5.0, 100.0, Fail),
        (15.0, 300.0, Fail),
        (34.2, 684.0, Fail), // 5%
        (684.0, 684.0, Fail),
        (684.0, 683.999_999_9, Fail), // extrapolated
        (0.0, 0.0, Inconclusive),
        (0.0, 99.0, Inconclusive),
        (99.0, 99.0, Inconclusive), // fewer than the floor decide nothing
        (700.0, 684.0, Inconclusive), // contradictory
        (1.0, 0.0, Inconclusive),
    ] {
        let evidence = healthy()
            .with(Errors, reply(vector(&[&errors.to_string()])))
            .with(Total, reply(vector(&[&total.to_string()])));
        expect(verdict, &evidence, &format!("{errors} of {total}"));
    }
    let mut none_allowed = healthy();
    none_allowed
        .checks
        .error_ratio
        .as_mut()
        .unwrap()
        .max_error_ratio = Decimal::zero();
    expect(Fail, &none_allowed, "one error, none allowed");
    let evidence = none_allowed.with(Errors, reply(vector(&["0"])));
    expect(Pass, &evidence, "no error, none allowed");
}

#[test]
fn stale_and_partial_series() {
    let newest = |age: f64| reply(vector(&[&(NOW as f64 / 1000.0 - age).to_string()]));
    let many = |evidence: Evidence| evidence.with(Errors, reply(vector(&["400"])));
    for (age, verdict) in [(0.0, Pass), (14.0, Pass), (16.0, NoData), (-20.0, NoData)] {
        expect(
            verdict,
            &healthy().with(Newest, newest(age)),
            &format!("{age} s old"),
        );
    }
    // What is stale may be the last release's.
    expect(
        NoData,
        &many(healthy()).with(Newest, newest(60.0)),
        "stale and failing",
    );
    expect(
        NoData,
        &healthy().with(Up, reply(vector(&["0"]))),
        "a target is down",
    );
    for (moves, verdict) in [
        ("11", Pass),
        ("9", Pass),
        ("8", Inconclusive),
        ("0", Inconclusive),
    ] {
        let evidence = healthy().with(Coverage, reply(vector(&[moves])));
        expect(verdict, &evidence, &format!("{moves} moves"));
        expect(
            Fail,
            &many(evidence),
            "a clear failure in a part of the window",
        );
    }
}

#[test]
fn error_logs() {
    let changed = |change: fn(&mut Value)| {
        let mut body = search(1000, 900, 4);
        change(&mut body);
        reply(body)
    };
    for (what, answer, verdict) in [
        ("at the limit", reply(search(1000, 900, 5)), Pass),
        ("above it", reply(search(1000, 900, 6)), Fail),
        ("no documents", reply(search(0, 0, 0)), NoData),
        ("no level", reply(search(1000, 0, 0)), NoData),
        ("contradictory", reply(search(3, 3, 4)), Inconclusive),
        ("contradictory", reply(search(3, 4, 2)), Inconclusive),
        (
            "timed out",
            changed(|b| b["timed_out"] = json!(true)),
            NoData,
        ),
        (
            "ended early",
            changed(|b| b["terminated_early"] = json!(true)),
            NoData,
        ),
        (
            "a shard failed",
            changed(|b| b["_shards"]["failed"] = json!(1)),
            NoData,
        ),
        (
            "a shard is silent",
            changed(|b| b["_shards"]["successful"] = json!(1)),
            NoData,
        ),
        (
            "no shards",
            changed(|b| b["_shards"] = json!({ "total": 0, "successful": 0, "failed": 0 })),
            NoData,
        ),
        (
            "a bound",
            changed(|b| b["hits"]["total"]["relation"] = json!("gte")),
            NoData,
        ),
        (
            "total as a number",
            changed(|b| b["hits"]["total"] = json!(1000)),
            NoData,
        ),
        (
            "no aggregations",
            changed(|b| drop(b.as_object_mut().unwrap().remove("aggregations"))),
            NoData,
        ),
        (
            "no newest",
            changed(|b| b["aggregations"]["newest"]["value"] = json!(null)),
            NoData,
        ),
        (
            "from elsewhere",
            changed(|b| b["aggregations"]["newest"]["value"] = json!(1.0)),
            NoData,
        ),
        (
            "shipping stopped",
            changed(|b| b["aggregations"]["newest"]["value"] = json!(NOW - 40_000)),
            Inconclusive,
        ),
        (
            "negative",
            changed(|b| b["aggregations"]["errors"]["doc_count"] = json!(-1)),
            NoData,
        ),
        ("404", status(404), NoData),
        ("no JSON", reply("{"), NoData),
        ("refused", failed(Failure::Connection), NoData),
    ] {
        expect(verdict, &healthy().with(ErrorLogs, answer), what);
    }
    let mut silent = healthy().with(ErrorLogs, reply(search(0, 0, 0)));
    silent.checks.error_logs.as_mut().unwrap().require_documents = false;
    expect(Pass, &silent, "may be silent");
    expect(NoData, &without(ErrorLogs), "not asked");
}

#[test]
fn critical_alerts() {
    let open = alert("Down", "booking", "critical", "active");
    for (what, alerts, verdict) in [
        ("none", json!([]), Pass),
        ("open", json!([open]), Fail),
        (
            "not processed yet",
            json!([alert("Down", "booking", "critical", "unprocessed")]),
            Fail,
        ),
        (
            "silenced",
            json!([alert("Down", "booking", "critical", "suppressed")]),
            Pass,
        ),
        (
            "another's",
            json!([alert("Down", "payment", "critical", "active")]),
            Pass,
        ),
        (
            "a warning",
            json!([alert("Slow", "booking", "warning", "active")]),
            Pass,
        ),
        (
            "no labels",
            json!([{ "status": { "state": "active" } }]),
            NoData,
        ),
        ("no state", json!([{ "labels": {} }]), NoData),
        (
            "no list",
            json!({ "status": "success", "data": [] }),
            NoData,
        ),
        ("null", json!(null), NoData),
    ] {
        expect(
            verdict,
            &healthy().with(CriticalAlerts, reply(alerts)),
            what,
        );
    }
    expect(
        NoData,
        &healthy().with(CriticalAlerts, failed(Failure::Timeout)),
        "unreachable",
    );
    expect(NoData, &healthy().with(CriticalAlerts, status(503)), "503");
    expect(
        NoData,
        &healthy().with(Watchdog, reply("[]")),
        "nobody feeds it",
    );
    expect(NoData, &without(Watchdog), "watchdog not asked");
    let evidence = healthy()
        .with(Watchdog, reply("[]"))
        .with(CriticalAlerts, reply(json!([open])));
    expect(Fail, &evidence, "an open alert beats a missing watchdog");
    let mut unwatched = without(Watchdog);
    unwatched.checks.critical_alerts.as_mut().unwrap().watchdog = None;
    expect(Pass, &unwatched, "no watchdog wanted");
}

#[test]
fn a_clear_failure_beats_missing_evidence() {
    let mut evidence = healthy().with(Health, status(500));
    evidence.answers.retain(|asked| asked.question == Health);
    expect(Fail, &evidence, "the rest is missing");
    let undecided = healthy()
        .with(Total, reply(vector(&["5"])))
        .with(CriticalAlerts, failed(Failure::Timeout));
    expect(NoData, &undecided, "no data beats inconclusive");
}
