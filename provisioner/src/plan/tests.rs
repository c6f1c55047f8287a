//! Planning, against worlds made by hand, and the property that a plan carried out leaves nothing
//! to plan.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::components::{Installed, Lookup};
use crate::resource::{Comment, Component, File, Loaded, Process, Reload};
use crate::systems::proc::Found;
use crate::systems::process::launch;
use crate::world::Health;

const OWNER: &str = "abc-local";

fn file(name: &str, body: &str) -> Resource {
    Resource {
        address: Address::file(name),
        document: Document::File(File {
            path: format!("config/{name}").into(),
            body: body.into(),
            comment: Comment::Hash,
        }),
        needs: Vec::new(),
    }
}

fn process(config: &[&str]) -> Process {
    Process {
        name: "server".into(),
        component: "server".into(),
        program: "server".into(),
        args: vec!["--x".into()],
        env: BTreeMap::new(),
        data: Vec::new(),
        ready: "http://127.0.0.1:1/".into(),
        ready_within: Duration::from_secs(1),
        ports: vec![1],
        config: config.iter().map(|name| Address::file(name)).collect(),
        loaded: Loaded::Timestamp {
            url: "http://127.0.0.1:1/".into(),
            metric: "loaded",
        },
        reload: Reload::Http("http://127.0.0.1:1/-/reload".into()),
        java: None,
    }
}

fn resources(files: &[(&str, &str)]) -> Vec<Resource> {
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let mut out = vec![Resource {
        address: Address::component("server"),
        document: Document::Component(Component {
            name: "server".into(),
            version: None,
            required: false,
        }),
        needs: Vec::new(),
    }];
    out.extend(files.iter().map(|(name, body)| file(name, body)));
    out.push(Resource {
        address: Address::process("server"),
        document: Document::Process(Box::new(process(&names))),
        needs: vec![Address::component("server")],
    });
    out
}

fn installed() -> Lookup {
    Lookup::Installed(Installed::for_test("server", "1.0.0", "d1g3st"))
}

fn found(pid: u32, document: &Process) -> Found {
    Found {
        pid,
        started: u64::from(pid),
        address: "process/server".into(),
        launch: launch(document, "d1g3st"),
        resident: 0,
    }
}

/// A world in which everything is as the resources want it.
fn in_step(resources: &[Resource]) -> World {
    let mut world = World::default();
    for resource in resources {
        match &resource.document {
            Document::Component(component) => {
                world.components.insert(component.name.clone(), installed());
            }
            Document::File(file) => {
                let content = file.content(OWNER, &resource.address);
                world
                    .files
                    .insert(resource.address.clone(), Actual::Present(content));
            }
            Document::Secret(_) => {
                world
                    .secrets
                    .insert(resource.address.clone(), Actual::Present(()));
            }
            Document::Object(object) => {
                let actual = Actual::Present(object.body.clone());
                world.objects.insert(resource.address.clone(), actual);
            }
            Document::Process(document) => {
                world.processes.push(found(10, document));
                world.config_changed.insert(resource.address.clone(), 100.0);
                world.health.insert(
                    resource.address.clone(),
                    Health {
                        answers: Ok(()),
                        reachable: Ok(()),
                        loaded: Some("100.5".into()),
                        age: 5.0,
                    },
                );
            }
        }
    }
    world
}

fn planned(resources: &[Resource], world: &World) -> Plan {
    plan(resources, world, OWNER, Options::default()).unwrap()
}

fn words(plan: &Plan) -> Vec<String> {
    plan.changes
        .iter()
        .map(|c| format!("{} {}", c.action.word(), c.address))
        .collect()
}

#[test]
fn nothing_there_means_everything_is_created_in_order() {
    let resources = resources(&[("a.yml", "a: 1\n")]);
    let mut world = World::default();
    world.components.insert("server".into(), Lookup::Missing);
    assert_eq!(
        words(&planned(&resources, &world)),
        [
            "fetch component/server",
            "create file/a.yml",
            "start process/server"
        ]
    );
}

#[test]
fn in_step_means_no_change() {
    let resources = resources(&[("a.yml", "a: 1\n")]);
    let plan = planned(&resources, &in_step(&resources));
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(plan.in_step, 3);
    assert_eq!(plan.summary(), "no changes; 3 in step");
}

#[test]
fn a_file_edited_by_hand_is_told_from_a_changed_spec() {
    let before = resources(&[("a.yml", "a: 1\n")]);
    let mut world = in_step(&before);
    let after = resources(&[("a.yml", "a: 2\n")]);
    let plan = planned(&after, &world);
    assert_eq!(words(&plan), ["update file/a.yml", "reload process/server"]);
    assert_eq!(plan.changes[0].reason, "the spec has changed");

    let Some(Actual::Present(content)) = world.files.get_mut(&Address::file("a.yml")) else {
        panic!("not there")
    };
    content.push_str("b: 3\n");
    let plan = planned(&before, &world);
    assert_eq!(plan.changes[0].reason, "changed by hand");
    assert!(
        plan.changes[0].diff.as_ref().unwrap().contains("\n-b: 3\n"),
        "{plan:?}"
    );

    world
        .files
        .insert(Address::file("a.yml"), Actual::Present("a: 1\n".into()));
    assert!(
        planned(&before, &world).changes[0]
            .reason
            .contains("author unknown")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_not_absent() {
    let resources = resources(&[("a.yml", "a: 1\n")]);
    let mut world = in_step(&resources);
    world.files.insert(
        Address::file("a.yml"),
        Actual::Unreadable("cannot read a.yml".into()),
    );
    let error = plan(&resources, &world, OWNER, Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot plan: cannot read a.yml");
}

#[test]
fn a_process_is_started_restarted_reloaded_or_awaited_for_its_own_reason() {
    let resources = resources(&[("a.yml", "a: 1\n")]);
    let address = Address::process("server");
    let good = || in_step(&resources);

    let mut world = good();
    world.processes.clear();
    world.health.clear();
    assert_eq!(
        words(&planned(&resources, &world)),
        ["start process/server"]
    );

    let mut world = good();
    world.processes[0].launch = "other".into();
    assert_eq!(
        words(&planned(&resources, &world)),
        ["restart process/server"]
    );

    // A listener that is named only in a file does not move by a reload.
    let mut moved = resources.clone();
    for resource in &mut moved {
        if let Document::Process(process) = &mut resource.document {
            process.ports = vec![2];
        }
    }
    assert_eq!(words(&planned(&moved, &good())), ["restart process/server"]);

    let mut world = good();
    world.config_changed.insert(address.clone(), 101.0);
    assert_eq!(
        words(&planned(&resources, &world)),
        ["reload process/server"]
    );

    let mut world = good();
    let unreachable = Health {
        answers: Ok(()),
        reachable: Err("its socket is gone".into()),
        loaded: Some("100.5".into()),
        age: 5.0,
    };
    world.health.insert(address.clone(), unreachable);
    assert_eq!(
        words(&planned(&resources, &world)),
        ["restart process/server"]
    );
    let ill = |age| Health {
        answers: Err("no answer in time".into()),
        reachable: Ok(()),
        loaded: None,
        age,
    };
    world.health.insert(address.clone(), ill(5.0));
    assert_eq!(
        words(&planned(&resources, &world)),
        ["await process/server"]
    );
    world.health.insert(address.clone(), ill(500.0));
    assert_eq!(
        words(&planned(&resources, &world)),
        ["restart process/server"]
    );

    let mut world = good();
    world.components.insert("server".into(), Lookup::Missing);
    assert_eq!(
        words(&planned(&resources, &world)),
        ["fetch component/server", "check process/server"]
    );
}

#[test]
fn of_two_processes_the_one_started_as_wanted_stays() {
    let resources = resources(&[]);
    let mut world = in_step(&resources);
    let mut other = world.processes[0].clone();
    (other.pid, other.launch) = (5, "old".into());
    world.processes.insert(0, other);
    let plan = planned(&resources, &world);
    assert_eq!(words(&plan), ["stop process/server"]);
    assert!(plan.changes[0].reason.contains("pid 5"), "{plan}");
}

#[test]
fn deletions_wait_for_prune() {
    let before = resources(&[("a.yml", "a: 1\n")]);
    let mut world = in_step(&before);
    world.left_over.push(crate::world::LeftOver {
        address: Address::file("old.yml"),
        path: "config/old.yml".into(),
    });
    let plan = planned(&before, &world);
    assert!(plan.is_empty());
    assert_eq!(plan.held_back.len(), 1);
    let options = Options {
        prune: true,
        retry: false,
    };
    let plan = super::plan(&before, &world, OWNER, options).unwrap();
    assert_eq!(words(&plan), ["delete file/old.yml"]);
}

#[test]
fn a_shorter_retention_waits_for_prune_and_files_still_arrive() {
    let keeps = |days: &str| {
        let mut resources = resources(&[("a.yml", "a: 1\n")]);
        for resource in &mut resources {
            if let Document::Process(process) = &mut resource.document {
                process.args = vec![format!("--storage.tsdb.retention.time={days}")];
            }
        }
        resources
    };
    let running = |days: &str| {
        let mut world = in_step(&keeps(days));
        let args = vec![
            "server".to_owned(),
            format!("--storage.tsdb.retention.time={days}"),
        ];
        world.arguments.insert(10, args);
        world
    };
    let longer = planned(&keeps("48h"), &running("1d"));
    assert_eq!(words(&longer), ["restart process/server"]);

    let shorter = planned(&keeps("1d"), &running("48h"));
    assert!(shorter.is_empty(), "{shorter}");
    assert!(
        shorter.to_string().contains("keeps data 1d instead of 48h"),
        "{shorter}"
    );
    let options = Options {
        prune: true,
        retry: false,
    };
    let pruned = plan(&keeps("1d"), &running("48h"), OWNER, options).unwrap();
    assert_eq!(words(&pruned), ["restart process/server"]);

    let mut world = running("48h");
    world.files.insert(Address::file("a.yml"), Actual::Absent);
    assert_eq!(
        words(&planned(&keeps("1d"), &world)),
        ["create file/a.yml", "reload process/server"]
    );
}

#[test]
fn what_is_not_installed_is_skipped_until_it_is_tried_again() {
    let resources = resources(&[("a.yml", "a: 1\n")]);
    let mut world = in_step(&resources);
    world.components.insert("server".into(), Lookup::Missing);
    world.not_installed.insert("server".into(), Vec::new());
    world.processes.clear();
    let plan = planned(&resources, &world);
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(plan.skipped.len(), 2);
    let options = Options {
        prune: false,
        retry: true,
    };
    let plan = super::plan(&resources, &world, OWNER, options).unwrap();
    assert_eq!(
        words(&plan),
        ["fetch component/server", "start process/server"]
    );
}

#[test]
fn a_reviewed_plan_is_refused_when_anything_moved() {
    let resources = resources(&[("a.yml", "a: 1\n")]);
    let file_of = |world: &World| PlanFile {
        version: 1,
        owner: OWNER.into(),
        desired: desired_digest(&resources),
        pruned: false,
        changes: planned(&resources, world).changes,
    };
    let mut world = in_step(&resources);
    world.files.insert(Address::file("a.yml"), Actual::Absent);
    let reviewed = file_of(&world);
    let text = serde_json::to_string(&reviewed).unwrap();
    let reread: PlanFile = serde_json::from_str(&text).unwrap();
    assert_eq!(moved(&reread, &file_of(&world)), Vec::<String>::new());

    world.processes[0].pid = 99;
    assert_eq!(
        moved(&reviewed, &file_of(&world)),
        ["process/server is not as it was when reviewed"]
    );
    assert_eq!(moved(&reviewed, &file_of(&in_step(&resources))).len(), 2);
    let mut other = file_of(&world);
    other.desired = "x".into();
    assert!(moved(&reviewed, &other)[0].contains("spec"));
}

/// Carries out a plan on a world, as `apply` would.
fn carry_out(resources: &[Resource], world: &mut World, plan: &Plan) {
    let good = in_step(resources);
    for change in &plan.changes {
        let address = &change.address;
        match change.action {
            Action::Fetch => {
                world.components.insert(address.name().into(), installed());
            }
            Action::Create | Action::Update => {
                world
                    .files
                    .insert(address.clone(), good.files[address].clone());
                world
                    .config_changed
                    .insert(Address::process("server"), 200.0);
            }
            Action::Stop => {
                world.processes.retain(|found| {
                    change.before != format!("pid {} since {}", found.pid, found.started)
                });
            }
            Action::Delete => world.left_over.retain(|left| left.address != *address),
            Action::Start | Action::Restart | Action::Check => {
                world.processes.retain(|found| {
                    change.before != format!("pid {} since {}", found.pid, found.started)
                });
                world.processes.extend(good.processes.clone());
            }
            Action::Reload | Action::Await => {}
        }
        if change.address.kind() == "process" && change.action != Action::Stop {
            let health = Health {
                answers: Ok(()),
                reachable: Ok(()),
                loaded: Some("300".into()),
                age: 1.0,
            };
            world.health.insert(address.clone(), health);
        }
    }
}

proptest! {
    #[test]
    fn a_plan_carried_out_leaves_nothing_to_plan(
        present in proptest::collection::vec(0u8..4, 3),
        component: bool,
        processes in proptest::collection::vec((20u32..40, any::<bool>()), 0..3),
        loaded in 0.0f64..200.0,
        answers: bool,
        age in 0.0f64..120.0,
        left_over: bool,
    ) {
        let resources = resources(&[("a.yml", "a: 1\n"), ("b.yml", "b: 1\n"), ("c.yml", "c: 1\n")]);
        let mut world = in_step(&resources);
        for (name, state) in ["a.yml", "b.yml", "c.yml"].iter().zip(&present) {
            let address = Address::file(name);
            match state {
                0 => { world.files.insert(address, Actual::Absent); }
                1 => { world.files.insert(address, Actual::Present("edited".into())); }
                _ => {}
            }
        }
        if !component {
            world.components.insert("server".into(), Lookup::Missing);
        }
        let document = process(&["a.yml", "b.yml", "c.yml"]);
        world.processes = processes
            .iter()
            .map(|(pid, right)| {
                let mut found = found(*pid, &document);
                if !right { found.launch = "old".into(); }
                found
            })
            .collect();
        world.processes.sort_by_key(|found| found.pid);
        world.processes.dedup_by_key(|found| found.pid);
        let health = Health {
            answers: if answers { Ok(()) } else { Err("silent".into()) },
            reachable: Ok(()),
            loaded: Some(loaded.to_string()),
            age,
        };
        world.health.insert(Address::process("server"), health);
        if left_over {
            world.left_over.push(crate::world::LeftOver {
                address: Address::file("old.yml"),
                path: "config/old.yml".into(),
            });
        }
        let options = Options { prune: true, retry: true };
        let first = plan(&resources, &world, OWNER, options).unwrap();
        carry_out(&resources, &mut world, &first);
        let second = plan(&resources, &world, OWNER, options).unwrap();
        prop_assert!(second.is_empty(), "first:\n{first}\nsecond:\n{second}");
    }
}
