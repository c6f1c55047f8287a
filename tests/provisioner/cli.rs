//! The command line without any server: help, usage errors, `init`, bad specs, secrets.

use std::path::Path;

use crate::harness::{Ran, Stack, root};

const COMMANDS: [&str; 13] = [
    "init",
    "validate",
    "plan",
    "provision",
    "verify",
    "status",
    "drift",
    "destroy",
    "render",
    "drill",
    "inbox",
    "schema",
    "completions",
];

fn kai_observe(folder: &Path, args: &[&str]) -> Ran {
    std::process::Command::new(env!("CARGO_BIN_EXE_kai-observe"))
        .args(args)
        .current_dir(folder)
        .env("KAI_HOME", folder.join("home"))
        .env_remove("KAI_SPEC")
        .env_remove("KAI_ENV")
        .output()
        .expect("kai-observe starts")
        .into()
}

/// `docs/reference/kai-observe.md` is the help of every command; `KAI_BLESS=1` writes it.
#[test]
fn the_reference_is_the_help() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from(
        "# kai-observe\nWritten by `KAI_BLESS=1 cargo test -p kai-observe`; do not edit.\n",
    );
    for command in std::iter::once("").chain(COMMANDS) {
        let args: Vec<&str> = [command, "--help"]
            .into_iter()
            .filter(|a| !a.is_empty())
            .collect();
        let help = kai_observe(folder.path(), &args).expect(0).out;
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "too wide: {line}");
        }
        text.push_str(&format!(
            "\n## kai-observe {command}\n```\n{}\n```\n",
            help.trim_end()
        ));
    }
    let text = text.replace("## kai-observe \n", "## kai-observe\n");
    let path = root().join("docs/reference/kai-observe.md");
    if std::env::var_os("KAI_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, text,
        "run KAI_BLESS=1 cargo test -p kai-observe and read the difference"
    );
}

#[test]
fn usage_errors_end_in_64() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["nonsense"][..],
        &["provision", "--nonsense"],
        &["drill"],
        &["drill", "--severity", "purple"],
        &["provision", "--patience", "30"],
        &["provision", "--plan", "x", "--prune"],
        &[],
    ] {
        kai_observe(folder.path(), args).expect(64);
    }
    kai_observe(folder.path(), &["--version"]).expect(0);
}

#[test]
fn completions_for_every_shell() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = kai_observe(folder.path(), &["completions", shell]).expect(0);
        assert!(ran.out.contains("provision"), "{shell}");
        assert!(
            !ran.out.contains("internal"),
            "{shell} shows what is not for people"
        );
    }
}

#[test]
fn init_writes_a_spec_that_is_valid_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    kai_observe(folder.path(), &["init", "--name", "trains"]).expect(0);
    let first = std::fs::read_to_string(folder.path().join("observe.yaml")).unwrap();
    kai_observe(folder.path(), &["validate"]).expect(0);
    let refused = kai_observe(folder.path(), &["init"]).expect(1);
    assert!(refused.err.contains("--force"), "{refused:?}");
    kai_observe(folder.path(), &["init", "--force", "--name", "trains"]).expect(0);
    let second = std::fs::read_to_string(folder.path().join("observe.yaml")).unwrap();
    assert_ne!(first, second, "a new spec has a new identity");
    let schema = kai_observe(folder.path(), &["schema"]).expect(0).json();
    assert!(schema["properties"]["services"].is_object(), "{schema:#}");
}

#[test]
fn every_error_of_a_spec_at_once_and_nothing_is_started() {
    let stack = Stack::new();
    let bad = stack
        .example()
        .replace("scrapeInterval: 5s", "scrapeInterval: 5 seconds")
        .replace("retention: 2d", "retentoin: 2d")
        .replace("team: booking", "team: bookings")
        .replace(
            "email: payment@kai.example",
            "pagerduty: { env: KAI_TEST_NOT_SET }",
        )
        .replace(
            "email: booking@kai.example",
            "slack: https://hooks.example/T0/B0/hunter2hunter2",
        );
    stack.write_spec(&bad);
    let ran = stack.run(&["provision"]).expect(65);
    for wanted in ["scrapeInterval", "retention", "bookings", "secret"] {
        assert!(
            ran.err.contains(wanted),
            "{wanted} is not named: {}",
            ran.err
        );
    }
    assert!(
        !ran.err.contains("hunter2"),
        "a secret is shown: {}",
        ran.err
    );
    let places = ran
        .err
        .lines()
        .filter(|line| line.contains("observe.yaml:"))
        .count();
    assert!(places >= 4, "{}", ran.err);
    assert!(!stack.home().exists(), "something was written");
    let json = stack.run(&["validate", "--output", "json"]).expect(65);
    assert!(!json.out.contains("hunter2") && !json.err.contains("hunter2"));
    assert_eq!(json.json()["valid"], false);

    // A secret that is only missing is found once the rest is right.
    let missing = stack.example().replace(
        "payment: { email",
        "payment: { pagerduty: { env: KAI_TEST_NOT_SET }, email",
    );
    stack.write_spec(&missing);
    let ran = stack.run(&["provision"]).expect(65);
    assert!(ran.err.contains("KAI_TEST_NOT_SET"), "{}", ran.err);
    // A plan needs no secret.
    stack.run(&["plan"]).expect(2);
}

#[test]
fn a_secret_reaches_its_file_and_nothing_else() {
    let mut stack = Stack::new();
    stack.vars.push((
        "KAI_TEST_KEY".into(),
        "0123456789abcdef0123456789abcdef".into(),
    ));
    let keyed = stack.example().replace(
        "payment: { email",
        "payment: { pagerduty: { env: KAI_TEST_KEY }, email",
    );
    stack.write_spec(&keyed);
    let plan = stack.folder.path().join("plan.json");
    stack
        .run(&["plan", "--out", &plan.to_string_lossy(), "--diff"])
        .expect(2);
    let ran = stack
        .run(&["provision", "--no-verify", "--output", "json"])
        .expect(0);
    assert!(!ran.out.contains("0123456789abcdef") && !ran.err.contains("0123456789abcdef"));
    let mut holders = Vec::new();
    let mut files = kai_observe::systems::file::walk(&stack.place());
    files.push(plan);
    for path in files {
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes
            .windows(16)
            .any(|window| window == b"0123456789abcdef")
        {
            holders.push(path);
        }
    }
    assert_eq!(holders.len(), 1, "{holders:?}");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&holders[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{holders:?}");
    for found in stack.living() {
        let environ = std::fs::read(format!("/proc/{}/environ", found.pid)).unwrap();
        let cmdline = std::fs::read(format!("/proc/{}/cmdline", found.pid)).unwrap();
        for bytes in [environ, cmdline] {
            assert!(
                !bytes
                    .windows(16)
                    .any(|window| window == b"0123456789abcdef"),
                "{found:?}"
            );
        }
    }
    // In step without the secret at hand, and a rotated one is a change.
    stack.vars.clear();
    stack.run(&["plan"]).expect(0);
    stack.write_spec(&keyed.replace("env: KAI_TEST_KEY", "env: KAI_TEST_KEY, rotation: 1"));
    let plan = stack.run(&["plan"]).expect(2);
    assert!(
        plan.out.contains("secret/payment-pagerduty"),
        "{}",
        plan.out
    );
}

/// The spec that the README tells a reader to write, beside the rules that this project ships.
#[test]
fn the_readme_s_spec_is_valid_with_the_shipped_rules() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme
        .split_once("```yaml\n")
        .expect("a spec in the README");
    let (spec, _) = rest.split_once("```").expect("its end");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("observe.yaml"), spec).unwrap();
    let rules = folder.path().join("alert-rules");
    std::os::unix::fs::symlink(root().join("alert-rules"), rules).unwrap();
    let ran = kai_observe(folder.path(), &["validate", "--offline"]).expect(0);
    assert_eq!(ran.err, "", "it is valid with warnings");
}
