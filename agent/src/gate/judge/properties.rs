//! Whatever is taken away from the evidence or broken in it, no other verdict becomes a pass; and
//! whatever is changed in a file, its replay gives the same verdict or none.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::samples::{alert, healthy, reply, search, vector};
use super::{Verdict, judge};
use crate::gate::evidence::{Answer, Evidence, Failure, File, Question};

fn answers() -> impl Strategy<Value = Vec<(Question, Answer)>> {
    let number = prop_oneof![
        Just("0".to_owned()),
        Just("NaN".to_owned()),
        (0_u32..2000).prop_map(|n| n.to_string()),
        Just("1".to_owned()),
    ];
    let prometheus = prop_oneof![
        5 => number.prop_map(|n| reply(vector(&[&n]))),
        1 => Just(reply(vector(&[]))),
        1 => Just(Answer::Failed { kind: Failure::Timeout, reason: "late".into() }),
    ];
    let questions = prop::sample::select(vec![
        Question::Errors,
        Question::Total,
        Question::Coverage,
        Question::Up,
    ]);
    let one = prop_oneof![
        (questions, prometheus),
        (0_u64..100, 0_u64..100, 0_u64..20)
            .prop_map(|(a, b, c)| (Question::ErrorLogs, reply(search(a, b, c)))),
        prop::sample::select(vec!["active", "suppressed"]).prop_map(|state| {
            let alerts = json!([alert("Down", "booking", "critical", state)]);
            (Question::CriticalAlerts, reply(alerts))
        }),
        prop::sample::select(vec![200_u16, 301, 500]).prop_map(|status| {
            let answer = Answer::Reply {
                status,
                location: None,
                body: String::new(),
            };
            (Question::Health, answer)
        }),
    ];
    prop::collection::vec(one, 0..4)
}

fn evidence() -> impl Strategy<Value = Evidence> {
    answers().prop_map(|changes| {
        changes
            .into_iter()
            .fold(healthy(), |evidence, (question, answer)| {
                evidence.with(question, answer)
            })
    })
}

/// The paths of all values in a JSON document.
fn paths(value: &Value, prefix: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = format!("{prefix}/{}", key.replace('~', "~0").replace('/', "~1"));
                out.push(path.clone());
                paths(inner, &path, out);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                paths(inner, &format!("{prefix}/{index}"), out);
            }
        }
        _ => {}
    }
}

fn remove(value: &mut Value, path: &str) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    if let Some(Value::Object(map)) = value.pointer_mut(parent) {
        map.remove(key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_answer_less_is_no_pass(evidence in evidence(), index in any::<prop::sample::Index>()) {
        let mut less = evidence;
        less.answers.remove(index.index(less.answers.len()));
        prop_assert_ne!(judge(&less).verdict, Verdict::Pass);
    }

    #[test]
    fn a_truncated_answer_is_no_pass(
        evidence in evidence(),
        index in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut cut = evidence;
        let index = index.index(cut.answers.len());
        if let Answer::Reply { body, .. } = &mut cut.answers[index].answer
            && !body.is_empty()
        {
            let at = (0..=at.index(body.len())).rev().find(|at| body.is_char_boundary(*at)).unwrap();
            body.truncate(at);
            prop_assert_ne!(judge(&cut).verdict, Verdict::Pass);
        }
    }

    #[test]
    fn a_broken_answer_never_makes_a_pass(
        evidence in evidence(),
        index in any::<prop::sample::Index>(),
        garbage in "[ -~]{0,30}",
        status in 100_u16..600,
    ) {
        let before = judge(&evidence).verdict;
        let mut broken = evidence.clone();
        let index = index.index(broken.answers.len());
        let question = broken.answers[index].question;
        broken.answers[index].answer = Answer::Reply { status, location: None, body: garbage };
        // Of a health page the status is the answer.
        if before != Verdict::Pass && question != Question::Health {
            prop_assert_ne!(judge(&broken).verdict, Verdict::Pass);
        }
    }

    #[test]
    fn a_field_less_never_makes_a_pass(
        evidence in evidence(),
        index in any::<prop::sample::Index>(),
        which in any::<prop::sample::Index>(),
    ) {
        let before = judge(&evidence).verdict;
        let mut less = evidence;
        let index = index.index(less.answers.len());
        if let Answer::Reply { body, .. } = &mut less.answers[index].answer
            && let Ok(mut value) = serde_json::from_str::<Value>(body)
        {
            let mut all = Vec::new();
            paths(&value, "", &mut all);
            // What an alert is about can be taken away only by whoever forges the file.
            all.retain(|path| !path.contains("/labels/"));
            if !all.is_empty() {
                remove(&mut value, &all[which.index(all.len())]);
                *body = value.to_string();
                if before != Verdict::Pass {
                    prop_assert_ne!(judge(&less).verdict, Verdict::Pass, "{}", value);
                }
            }
        }
    }

    #[test]
    fn a_file_reads_back_to_the_same_verdict(evidence in evidence()) {
        let file = File::new(evidence);
        let back = File::parse(file.to_text().as_bytes()).unwrap();
        prop_assert_eq!(&back, &file);
        prop_assert_eq!(judge(&back.evidence), file.judgement.clone());
        // Another tool's spelling of the same JSON is the same file.
        let value: Value = serde_json::from_str(&file.to_text()).unwrap();
        prop_assert_eq!(File::parse(value.to_string().as_bytes()).unwrap(), file);
    }

    #[test]
    fn an_edited_file_is_noticed(
        evidence in evidence(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let file = File::new(evidence);
        let mut bytes = file.to_text().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = File::parse(&bytes) {
            prop_assert_eq!(read, file);
        }
    }
}
