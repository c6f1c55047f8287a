//! What a machine can do to us: a taken port, a full disk, a folder that cannot be written, a
//! component that cannot be had.

use std::net::TcpListener;

use crate::harness::Stack;

#[test]
fn a_taken_port_is_named_with_its_holder_and_nothing_is_started() {
    let stack = Stack::new();
    let taken = TcpListener::bind(("127.0.0.1", stack.base + 4)).unwrap();
    let ran = stack.run(&["provision"]).expect(1);
    assert!(
        ran.err.contains(&format!("port {}", stack.base + 4)),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains(&format!("pid {}", std::process::id())),
        "{}",
        ran.err
    );
    assert_eq!(stack.living(), []);
    assert!(!stack.place().exists(), "something was written");
    drop(taken);
}

#[test]
fn a_full_disk_stops_one_step_and_the_next_run_goes_on() {
    let stack = Stack::new();
    let vars = [("KAI_FAULT", "enospc:alertmanager.yml")];
    let ran = stack.run_with(&vars, &["provision"]).expect(1);
    assert!(ran.out.contains("alertmanager.yml"), "{}", ran.out);
    assert!(ran.out.contains("free some space"), "{}", ran.out);
    assert!(
        ran.out.contains("skipped start process/alertmanager"),
        "{}",
        ran.out
    );
    let place = stack.place();
    assert!(!place.join("config/alertmanager/alertmanager.yml").exists());
    assert!(
        stack
            .living()
            .iter()
            .any(|found| found.address == "process/prometheus")
    );
    stack.run(&["provision", "--no-verify"]).expect(0);
    stack.run(&["plan"]).expect(0);
}

#[test]
fn a_small_file_system_and_a_folder_that_is_none() {
    let mut stack = Stack::new();
    let mount = stack.folder.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&mount)
        .output()
        .is_ok_and(|output| output.status.success());
    if mounted {
        stack.other_home = Some(mount.clone());
        let ran = stack.run(&["provision"]);
        let _ = std::process::Command::new("umount").arg(&mount).status();
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("MiB are free"), "{ran:?}");
    } else {
        eprintln!("not run: a tmpfs of 1 MiB (mounting is not permitted here)");
    }
    let file = stack.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    stack.other_home = Some(file);
    let ran = stack.run(&["provision"]).expect(1);
    assert!(ran.err.contains("cannot"), "{ran:?}");
    assert_eq!(stack.living(), []);
}

#[test]
fn a_component_without_a_source_is_listed_and_the_rest_goes_on() {
    let stack = Stack::new();
    let cache = stack.folder.path().join("cache");
    let mut stack = stack;
    stack
        .vars
        .push(("KAI_CACHE".into(), cache.to_string_lossy().into_owned()));
    let only = "components: { allow: [workspace] }\nteams:";
    stack.write_spec(&stack.example().replacen("teams:", only, 1));
    let ran = stack.run(&["provision"]).expect(0);
    assert!(ran.out.contains("NOT INSTALLED prometheus"), "{}", ran.out);
    assert!(
        ran.out.contains("NOT INSTALLED alertmanager"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("(incomplete)"), "{}", ran.out);
    assert!(
        stack
            .place()
            .join("config/prometheus/prometheus.yml")
            .exists()
    );
    assert_eq!(stack.living().len(), 3);
    // Nothing more can be done: in step, and said so.
    let plan = stack.run(&["plan"]).expect(0);
    assert!(plan.out.contains("skipped"), "{}", plan.out);

    let required = stack.example().replacen("teams:", only, 1);
    let required = required.replace("retention: 2d", "retention: 2d, required: true");
    stack.write_spec(&required);
    let ran = stack.run(&["provision", "--no-verify"]).expect(1);
    assert!(ran.out.contains("prometheus is required"), "{}", ran.out);
}

#[test]
fn a_component_that_ends_at_once_is_shown_with_its_last_words() {
    let stack = Stack::new();
    stack.write_spec(&stack.example().replace("--seed", "--sede"));
    let ran = stack.run(&["provision"]).expect(1);
    assert!(
        ran.out.contains("booking ended while starting"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("unexpected argument '--sede'"),
        "{}",
        ran.out
    );
    // The others do not depend on it.
    assert_eq!(stack.living().len(), 4);
    stack.write_spec(&stack.example());
    stack.run(&["provision", "--no-verify"]).expect(0);
    assert_eq!(stack.living().len(), 5);
}
