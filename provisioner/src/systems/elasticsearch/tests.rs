//! What servers answered, captured, against what was sent to them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::dialect::{
    DISABLE_OBJECTS, ILM, ISM, KEY_METADATA, LOGSDB, SECURITY, SLM, SM, STREAM_LIFECYCLE,
    SUBOBJECTS,
};
use super::*;
use crate::object::{Mark, same};

fn server(product: &str, version: &str, features: &[&str]) -> Server {
    Server {
        product: product.into(),
        version: version.into(),
        features: features.iter().map(|f| (*f).to_owned()).collect(),
    }
}

fn object(kind: &'static str, body: Value) -> Object {
    Object {
        system: System::Elasticsearch,
        managed: true,
        access: Connection {
            url: "http://127.0.0.1:1".into(),
            auth: None,
        },
        kind,
        id: "kai-x-logs".into(),
        body,
        secrets: BTreeMap::new(),
        keeps: None,
    }
}

fn mark() -> Mark {
    Mark {
        owner: "x".into(),
        address: "elasticsearch/index-template/logs".into(),
        applied: Some("0123".into()),
    }
}

fn policy() -> Value {
    json!({
        "retention": "30d", "rollover": "1d", "size": "10gb", "patterns": ["logs-kai.a-local"],
    })
}

#[test]
fn every_form_of_body_gives_its_mark_back() {
    let template = json!({ "index_patterns": ["a"] });
    let ilm = fit(
        &object(LIFECYCLE, policy()),
        &server("elasticsearch", "9.5.3", &[ILM]),
    );
    let ism = fit(
        &object(LIFECYCLE, policy()),
        &server("opensearch", "3.8.0", &[ISM]),
    );
    for body in [template, ilm.unwrap(), ism.unwrap()] {
        assert_eq!(mark_of("", &body), None);
        assert_eq!(mark_of("", &marked("", &body, &mark())), Some(mark()));
    }
}

#[test]
fn a_server_gets_what_it_can_have() {
    let component = json!({ "template": {
        "settings": { "index": { "mode": "logsdb", "mapping": { "source": { "mode": "stored" } } } },
        "mappings": { "subobjects": false }
    } });
    let component = object(COMPONENT_TEMPLATE, component);
    let elasticsearch = server(
        "elasticsearch",
        "9.5.3",
        &[LOGSDB, SUBOBJECTS, STREAM_LIFECYCLE],
    );
    assert_eq!(fit(&component, &elasticsearch), Ok(component.body.clone()));
    let opensearch = server("opensearch", "3.8.0", &[DISABLE_OBJECTS]);
    assert_eq!(
        fit(&component, &opensearch),
        Ok(json!({ "template": {
            "settings": { "index": { "mapping": {} } },
            "mappings": { "disable_objects": true }
        } }))
    );
    let index = json!({ "index_patterns": ["a"], "allow_auto_create": true, "template": {
        "lifecycle": { "enabled": true, "data_retention": "30d" },
        "settings": { "index": { "lifecycle": { "name": "p" } } }
    } });
    let index = object(INDEX_TEMPLATE, index);
    let has = |features: &[&str], pointer: &str| {
        let fitted = fit(&index, &server("elasticsearch", "9.5.3", features)).unwrap();
        fitted.pointer(pointer).is_some()
    };
    assert!(has(&[STREAM_LIFECYCLE], "/template/lifecycle"));
    assert!(!has(&[STREAM_LIFECYCLE], "/template/settings"));
    assert!(!has(&[STREAM_LIFECYCLE, ILM], "/template/lifecycle"));
    assert!(has(&[ILM], "/template/settings/index/lifecycle/name"));
    assert_eq!(
        fit(&index, &opensearch),
        Ok(json!({ "index_patterns": ["a"] }))
    );
}

#[test]
fn a_policy_without_a_server_for_it_is_left_out_with_the_reason() {
    let policy = object(LIFECYCLE, policy());
    let why = fit(
        &policy,
        &server("elasticsearch", "9.5.3", &[STREAM_LIFECYCLE]),
    )
    .unwrap_err();
    assert!(why.contains("stands in the index template"), "{why}");
    let why = fit(&policy, &server("opensearch", "3.8.0", &[])).unwrap_err();
    assert!(why.contains("no ISM"), "{why}");
}

/// What ILM and ISM add to a policy, by their vendors' own examples; neither runs in the builds
/// that the tests can have.
#[test]
fn policies_are_read_back_as_they_were_written() {
    let wanted = |features: &[&str], product: &str| {
        let body = fit(
            &object(LIFECYCLE, policy()),
            &server(product, "9.0.0", features),
        )
        .unwrap();
        marked(LIFECYCLE, &body, &mark())
    };
    let ilm = wanted(&[ILM], "elasticsearch");
    let mut read = ilm.clone();
    read["version"] = json!(3);
    read["modified_date"] = json!("2026-11-24T02:00:00.000Z");
    read["in_use_by"] = json!({ "indices": [], "data_streams": [], "composable_templates": [] });
    read["policy"]["phases"]["delete"]["actions"]["delete"] =
        json!({ "delete_searchable_snapshot": true });
    assert!(same(&ilm, &project(LIFECYCLE, &ilm, &read)));
    read["policy"]["phases"]["delete"]["min_age"] = json!("1d");
    assert!(!same(&ilm, &project(LIFECYCLE, &ilm, &read)));
    assert!(is_shortened(&read, &ilm) && !is_shortened(&ilm, &read));
    read["policy"]["phases"]["warm"] = json!({ "min_age": "2d", "actions": {} });
    assert!(!same(&ilm, &project(LIFECYCLE, &ilm, &read)));
    // What somebody says in so many words is drift, also where it changes nothing yet.
    read = ilm.clone();
    read["policy"]["phases"]["hot"]["actions"]["rollover"]["max_docs"] = json!(5);
    assert!(!same(&ilm, &project(LIFECYCLE, &ilm, &read)));

    let ism = wanted(&[ISM], "opensearch");
    let mut read = json!({ "_id": "p", "_seq_no": 7, "_primary_term": 1, "_version": 1 });
    read["policy"] = ism["policy"].clone();
    read["policy"]["policy_id"] = json!("p");
    read["policy"]["last_updated_time"] = json!(1);
    read["policy"]["schema_version"] = json!(21);
    read["policy"]["error_notification"] = Value::Null;
    read["policy"]["states"][0]["actions"][0]["retry"] =
        json!({ "count": 3, "backoff": "exponential", "delay": "1m" });
    read["policy"]["ism_template"][0]["last_updated_time"] = json!(1);
    assert!(same(&ism, &project(LIFECYCLE, &ism, &read)));
    read["policy"]["states"][1]["actions"] = json!([]);
    assert!(!same(&ism, &project(LIFECYCLE, &ism, &read)));
}

fn with_warm() -> Value {
    let mut out = policy();
    out["warm"] = json!({
        "after": "2d", "forceMerge": true, "replicas": 0, "shrink": 1,
        "allocate": { "box_type": "warm" },
    });
    out
}

/// Read from Elasticsearch 6.8.23, which has executing ILM; the other servers add no more.
#[test]
fn a_warm_phase_is_read_back_as_it_was_written() {
    let server = server("elasticsearch", "9.5.3", &[ILM]);
    let body = fit(&object(LIFECYCLE, with_warm()), &server).unwrap();
    let ilm = marked(LIFECYCLE, &body, &mark());
    let actions = &ilm["policy"]["phases"]["warm"]["actions"];
    assert_eq!(
        *actions,
        json!({
            "readonly": {},
            "migrate": { "enabled": false },
            "allocate": { "number_of_replicas": 0, "require": { "box_type": "warm" } },
            "shrink": { "number_of_shards": 1 },
            "forcemerge": { "max_num_segments": 1 },
        })
    );
    let mut read = ilm.clone();
    read["policy"]["phases"]["warm"]["actions"]["allocate"] = json!({
        "number_of_replicas": 0, "include": {}, "exclude": {}, "require": { "box_type": "warm" },
    });
    read["policy"]["phases"]["warm"]["actions"]["shrink"]["allow_write_after_shrink"] =
        json!(false);
    assert!(same(&ilm, &project(LIFECYCLE, &ilm, &read)));
    read["policy"]["phases"]["warm"]["actions"]["allocate"]["require"]["box_type"] = json!("hot");
    assert!(!same(&ilm, &project(LIFECYCLE, &ilm, &read)));
}

#[test]
fn a_warm_state_of_ism_stands_between_the_others() {
    let server = server("opensearch", "3.8.0", &[ISM]);
    let ism = fit(&object(LIFECYCLE, with_warm()), &server).unwrap();
    let names: Vec<&str> = ism["policy"]["states"]
        .as_array()
        .unwrap()
        .iter()
        .map(|state| state["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["hot", "warm", "delete"]);
    let mut shorter = with_warm();
    shorter["retention"] = json!("29d");
    let shorter = fit(&object(LIFECYCLE, shorter), &server).unwrap();
    assert!(is_shortened(&shorter, &ism) && !is_shortened(&ism, &shorter));
    let mut read = marked(LIFECYCLE, &ism, &mark());
    let wanted = read.clone();
    for state in read["policy"]["states"].as_array_mut().unwrap() {
        for action in state["actions"].as_array_mut().unwrap() {
            action["retry"] = json!({ "count": 3, "backoff": "exponential", "delay": "1m" });
            if let Some(allocation) = action.get_mut("allocation") {
                allocation["include"] = json!({});
                allocation["exclude"] = json!({});
            }
        }
    }
    assert!(same(&wanted, &project(LIFECYCLE, &wanted, &read)));
}

#[test]
fn a_server_without_policies_says_what_becomes_of_the_warm_phase() {
    let few_modules = server("elasticsearch", "9.5.3", &[STREAM_LIFECYCLE]);
    let why = fit(&object(LIFECYCLE, with_warm()), &few_modules).unwrap_err();
    assert!(why.contains("without its warm phase"), "{why}");
    // A template's lifecycle is one of data streams, and Jaeger has none.
    let mut of_spans = with_warm();
    of_spans["streams"] = json!(false);
    let why = fit(&object(LIFECYCLE, of_spans), &few_modules).unwrap_err();
    assert!(why.contains("begins new indices"), "{why}");
}

fn snapshots() -> Value {
    json!({
        "repository": "backups", "hour": 1, "minute": 30, "keep": 14,
        "patterns": ["logs-kai.a-local", "jaeger-span-*"],
    })
}

/// As Elasticsearch's and OpenSearch's own documents say; no build here takes snapshots by policy.
#[test]
fn snapshot_policies_are_read_back_as_they_were_written() {
    let of = |product, features: &[&str]| {
        let server = server(product, "9.0.0", features);
        let body = fit(&object(SNAPSHOTS, snapshots()), &server).unwrap();
        marked(SNAPSHOTS, &body, &mark())
    };
    let slm = of("elasticsearch", &[SLM]);
    assert_eq!(slm["schedule"], "0 30 1 * * ?");
    assert_eq!(mark_of(SNAPSHOTS, &slm), Some(mark()));
    let reply = json!({ "kai-x-logs": {
        "version": 1, "modified_date_millis": 1, "policy": slm, "next_execution_millis": 2,
        "stats": { "policy": "kai-x-logs", "snapshots_taken": 0 },
    } });
    let mut read = snapshots::read("kai-x-logs", &reply).unwrap();
    assert!(same(&slm, &project(SNAPSHOTS, &slm, &read)));
    read["config"]["indices"] = json!(["*"]);
    assert!(!same(&slm, &project(SNAPSHOTS, &slm, &read)));

    let sm = of("opensearch", &[SM]);
    assert_eq!(
        sm["creation"]["schedule"]["cron"]["expression"],
        "30 1 * * *"
    );
    let mut policy = sm.clone();
    policy["name"] = json!("kai-x-logs");
    policy["enabled"] = json!(true);
    policy["deletion"]["schedule"] = json!({ "cron": { "expression": "30 1 * * *" } });
    policy["last_updated_time"] = json!(1);
    let reply = json!({ "_id": "kai-x-logs-sm-policy", "_seq_no": 5, "_primary_term": 1,
        "_version": 1, "sm_policy": policy });
    let mut read = snapshots::read("kai-x-logs", &reply).unwrap();
    assert_eq!(read["_seq_no"], 5);
    assert_eq!(mark_of(SNAPSHOTS, &read), Some(mark()));
    assert!(same(&sm, &project(SNAPSHOTS, &sm, &read)));
    read["enabled"] = json!(false);
    assert!(!same(&sm, &project(SNAPSHOTS, &sm, &read)));

    let why = fit(
        &object(SNAPSHOTS, snapshots()),
        &server("elasticsearch", "9.5.3", &[]),
    );
    assert!(why.unwrap_err().contains("nothing takes snapshots"));
}

fn rights() -> Value {
    json!({ "rights": {
        "cluster": ["monitor"],
        "indices": [{ "names": ["logs-kai.a-local"], "privileges": ["create_doc", "read"] }],
    } })
}

/// The role's reply is Elasticsearch 6.8.23's, word for word but for its names; the key's has every
/// key that Elastic's published types for 9.5 know.
#[test]
fn rights_are_read_back_as_they_were_written() {
    let server = server("elasticsearch", "9.5.3", &[SECURITY, KEY_METADATA]);
    let body = fit(&object(ROLE, rights()), &server).unwrap();
    let role = marked(ROLE, &body, &mark());
    let mut read = json!({
        "cluster": ["monitor"],
        "indices": [{
            "names": ["logs-kai.a-local"], "privileges": ["create_doc", "read"],
            "allow_restricted_indices": false,
        }],
        "applications": [], "run_as": [],
        "metadata": role["metadata"],
        "transient_metadata": { "enabled": true },
    });
    assert_eq!(mark_of(ROLE, &read), Some(mark()));
    assert!(same(&role, &project(ROLE, &role, &read)));
    read["indices"][0]["privileges"] = json!(["all"]);
    assert!(!same(&role, &project(ROLE, &role, &read)));
    read["run_as"] = json!(["root"]);
    assert!(!same(&role, &project(ROLE, &role, &read)));

    let body = fit(&object(API_KEY, rights()), &server).unwrap();
    let key = marked(API_KEY, &body, &mark());
    let mut read = json!({
        "id": "PGenLqIBypNESE44ajHC", "name": "kai-x-key-0", "type": "rest", "creation": 1,
        "invalidated": false, "username": "elastic", "realm": "reserved", "realm_type": "reserved",
        "metadata": key["metadata"],
        "role_descriptors": { "kai-agent": {
            "cluster": ["monitor"],
            "indices": [{
                "names": ["logs-kai.a-local"], "privileges": ["create_doc", "read"],
                "allow_restricted_indices": false,
            }],
            "applications": [], "run_as": [], "metadata": {},
            "transient_metadata": { "enabled": true },
        } },
        "limited_by": [{ "superuser": { "cluster": ["all"] } }],
    });
    assert_eq!(mark_of(API_KEY, &read), Some(mark()));
    assert!(same(&key, &project(API_KEY, &key, &read)));
    read["role_descriptors"]["kai-agent"]["cluster"] = json!(["all"]);
    assert!(!same(&key, &project(API_KEY, &key, &read)));
}

#[test]
fn where_nobody_has_rights_none_are_granted() {
    for (server, word) in [
        (
            server("elasticsearch", "9.5.3", &[KEY_METADATA]),
            "no security",
        ),
        (server("opensearch", "3.8.0", &[]), "no API keys"),
        (server("elasticsearch", "7.10.0", &[SECURITY]), "too old"),
    ] {
        for kind in [ROLE, API_KEY] {
            let why = fit(&object(kind, rights()), &server).unwrap_err();
            assert!(why.contains(word) && why.contains("agentAccess"), "{why}");
        }
    }
}

#[test]
fn an_alias_that_rolls_over_is_said_in_the_servers_words() {
    let template = json!({ "index_patterns": ["jaeger-span-*"], "template": { "settings": {
        "index": { "lifecycle": { "name": "p", "rollover_alias": "jaeger-span-write" } }
    } } });
    let of = |product, features: &[&str]| {
        let server = server(product, "9.5.3", features);
        fit(&object(INDEX_TEMPLATE, template.clone()), &server).unwrap()
    };
    assert_eq!(of("elasticsearch", &[ILM]), template);
    assert_eq!(
        of("opensearch", &[ISM])
            .pointer("/template/settings/index/plugins/index_state_management/rollover_alias"),
        Some(&json!("jaeger-span-write"))
    );
    assert_eq!(
        of("elasticsearch", &[STREAM_LIFECYCLE]),
        json!({ "index_patterns": ["jaeger-span-*"] })
    );
}

#[test]
fn what_a_build_lacks_is_named() {
    let words =
        |server: &Server| -> Vec<&str> { left_out(server).iter().map(|(what, _)| *what).collect() };
    let few_modules = server(
        "elasticsearch",
        "9.5.3",
        &[
            LOGSDB,
            SUBOBJECTS,
            "ignore-dynamic-beyond-limit",
            STREAM_LIFECYCLE,
        ],
    );
    assert_eq!(words(&few_modules), ["retention"]);
    let old = server("elasticsearch", "8.10.0", &[ILM, "data-stream-api"]);
    assert_eq!(words(&old), ["logsdb", "mixed fields", "field limit"]);
}

#[test]
fn a_stream_that_nothing_asks_for_keeps_its_pattern_and_is_no_drift() {
    let actual = json!({ "index_patterns": ["a", "b"], "priority": 500 });
    let desired = marked(
        "",
        &json!({ "index_patterns": ["a"], "priority": 500 }),
        &mark(),
    );
    let kept = body::keeping(&desired, &actual).unwrap();
    assert_eq!(kept["index_patterns"], json!(["a", "b"]));
    assert!(same(&desired, &project(INDEX_TEMPLATE, &desired, &kept)));
    // What somebody adds beside it is drift.
    let mut more = kept.clone();
    more["index_patterns"] = json!(["a", "b", "c"]);
    assert!(!same(&desired, &project(INDEX_TEMPLATE, &desired, &more)));
    // Asked for again, it has to be there.
    let again = marked(
        "",
        &json!({ "index_patterns": ["a", "b"], "priority": 500 }),
        &mark(),
    );
    assert!(same(
        &again["index_patterns"],
        &project(INDEX_TEMPLATE, &again, &kept)["index_patterns"]
    ));
}
