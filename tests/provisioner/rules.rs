//! The alert rules in `alert-rules/` by the real promtool, which the component chain gives: their
//! unit tests pass, each test would notice its alert gone, and no alert comes without what the
//! person who receives it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use kai_observe::components::{Context, Outcome, describe};
use kai_observe::model::ComponentPolicy;
use kai_observe::progress::Silent;
use serde_yaml::Value;

use crate::harness::{Ran, root};

/// The one alert that fires always, so that its silence is the alarm.
const ALWAYS: &str = "Watchdog";

/// An expression that the rule's own is replaced by to see whether a test notices.
const NEVER: &str = "vector(0) > 1";

fn folder() -> PathBuf {
    root().join("alert-rules")
}

/// The YAML files of a folder, sorted.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no .yaml file in {}", folder.display());
    files
}

fn yaml(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

/// The rule file that a test file is about: exactly one, or it is not clear what a failure says.
fn tested_by(tests: &Path) -> String {
    let document = yaml(tests);
    match document["rule_files"].as_sequence().map(Vec::as_slice) {
        Some([Value::String(one)]) => one.strip_prefix("../").unwrap_or(one).to_owned(),
        other => panic!("{}: rule_files is {other:?}, not one file", tests.display()),
    }
}

/// promtool as a stack gets it. A machine to which no source can give it fails the test: rules
/// that nobody checked are not rules that passed.
fn promtool() -> &'static Path {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let given = std::env::var_os("KAI_CACHE").map(PathBuf::from);
        let pins = tempfile::tempdir().map_err(|error| error.to_string())?;
        let context = Context {
            cache: kai_observe::layout::cache_folder(given.as_deref())
                .map_err(|error| error.to_string())?,
            lock_file: pins.path().join("observe.lock"),
            policy: ComponentPolicy::default(),
            workspace: None,
            progress: Arc::new(Silent),
        };
        match context.obtain("prometheus", None) {
            Ok(Outcome::Installed(installed)) => installed
                .programs
                .get("promtool")
                .cloned()
                .ok_or_else(|| format!("{installed} comes without promtool")),
            Ok(Outcome::NotInstalled(attempts)) => Err(describe(&attempts)),
            Err(error) => Err(error.to_string()),
        }
    });
    match found {
        Ok(path) => path,
        Err(why) => panic!("no promtool to judge the rules with; {why}"),
    }
}

fn run(arguments: &[&str], files: &[PathBuf]) -> Ran {
    Command::new(promtool())
        .args(arguments)
        .args(files)
        .output()
        .expect("promtool starts")
        .into()
}

/// One alerting rule as it is written.
#[derive(Debug)]
struct Alert {
    /// `node.yaml`, `group`, number of the rule in its group.
    file: String,
    group: usize,
    rule: usize,
    name: String,
    body: Value,
}

impl Alert {
    fn text<'a>(&'a self, section: &str, key: &str) -> &'a str {
        self.body[section][key].as_str().unwrap_or_default()
    }
    fn severity(&self) -> &str {
        self.text("labels", "severity")
    }
}

/// Every alert of every file. A file without any would be one that nobody reads.
fn alerts() -> Vec<Alert> {
    let mut all = Vec::new();
    for path in yaml_files(&folder()) {
        let file = name(&path);
        let before = all.len();
        let document = yaml(&path);
        let groups = document["groups"].as_sequence().expect("groups");
        for (group, content) in groups.iter().enumerate() {
            let rules = content["rules"].as_sequence().expect("rules");
            for (rule, body) in rules.iter().enumerate() {
                if let Some(name) = body["alert"].as_str() {
                    all.push(Alert {
                        file: file.clone(),
                        group,
                        rule,
                        name: name.to_owned(),
                        body: body.clone(),
                    });
                }
            }
        }
        assert!(all.len() > before, "{file} has no alert");
    }
    all
}

/// What the promtool tests of all files expect.
#[derive(Debug, Default)]
struct Expected {
    /// Name and severity of alerts that a case wants to fire.
    firing: BTreeSet<(String, String)>,
    /// Names that a case wants silent although there are series to look at.
    silent: BTreeSet<String>,
}

fn expected() -> Expected {
    let mut expected = Expected::default();
    for path in yaml_files(&folder().join("tests")) {
        let document = yaml(&path);
        for test in document["tests"].as_sequence().expect("tests") {
            let series = test["input_series"].as_sequence().map_or(0, Vec::len);
            for case in test["alert_rule_test"].as_sequence().into_iter().flatten() {
                let name = case["alertname"].as_str().expect("alertname").to_owned();
                let fire = case["exp_alerts"]
                    .as_sequence()
                    .map_or(&[][..], Vec::as_slice);
                if fire.is_empty() && series > 0 {
                    expected.silent.insert(name.clone());
                }
                for alert in fire {
                    let severity = alert["exp_labels"]["severity"].as_str().unwrap_or_default();
                    expected.firing.insert((name.clone(), severity.to_owned()));
                }
            }
        }
    }
    expected
}

#[test]
fn promtool_accepts_every_rule_file() {
    let files = yaml_files(&folder());
    let ran = run(&["check", "rules", "--lint=all", "--lint-fatal"], &files).expect(0);
    let accepted = ran.out.matches("SUCCESS").count();
    assert_eq!(accepted, files.len(), "{ran:?}");
}

#[test]
fn the_rules_unit_tests_pass() {
    let files = yaml_files(&folder().join("tests"));
    let ran = run(&["test", "rules"], &files).expect(0);
    assert_eq!(ran.out.matches("SUCCESS").count(), files.len(), "{ran:?}");
}

#[test]
fn every_rule_file_has_tests_and_every_test_file_rules() {
    let names: BTreeSet<_> = yaml_files(&folder())
        .iter()
        .map(|path| name(path))
        .collect();
    let tested: BTreeSet<_> = yaml_files(&folder().join("tests"))
        .iter()
        .map(|path| tested_by(path))
        .collect();
    assert_eq!(tested, names);
}

#[test]
fn every_alert_has_what_its_reader_needs() {
    let mut missing = Vec::new();
    for alert in alerts() {
        let mut say = |what: String| missing.push(format!("{} {}: {what}", alert.file, alert.name));
        let severities: &[&str] = if alert.name == ALWAYS {
            &["none"]
        } else {
            &["critical", "warning", "info"]
        };
        if !severities.contains(&alert.severity()) {
            say(format!(
                "severity \"{}\" is none of {severities:?}",
                alert.severity()
            ));
        }
        for text in ["summary", "description"] {
            if alert.text("annotations", text).trim().is_empty() {
                say(format!("no {text}"));
            }
        }
        let url = alert.text("annotations", "runbook_url");
        let page = root().join(url);
        if url != format!("docs/runbooks/{}.md", alert.name) {
            say(format!("runbook_url is \"{url}\""));
        } else if fs::read_to_string(&page).is_ok_and(|text| text.trim().is_empty()) {
            say(format!("{url} is empty"));
        } else if !page.is_file() {
            say(format!("{url} does not exist"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_runbook_has_its_alert() {
    let names: BTreeSet<_> = alerts().into_iter().map(|alert| alert.name).collect();
    let pages: BTreeSet<_> = fs::read_dir(root().join("docs/runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter_map(|file| Some(file.strip_suffix(".md")?.to_owned()))
        .filter(|name| name != "README")
        .collect();
    assert_eq!(pages, names);
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_is_silent() {
    let expected = expected();
    let mut missing = Vec::new();
    for alert in alerts() {
        let key = (alert.name.clone(), alert.severity().to_owned());
        if !expected.firing.contains(&key) {
            missing.push(format!("{key:?} of {} fires in no case", alert.file));
        }
        if alert.name == ALWAYS {
            let expr = alert.body["expr"].as_str();
            assert_eq!(
                expr,
                Some("vector(1)"),
                "{ALWAYS} must not be able to be silent"
            );
        } else if !expected.silent.contains(&alert.name) {
            missing.push(format!(
                "{} of {} is silent in no case",
                alert.name, alert.file
            ));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The tests are worth something only if they fail for a rule that does not fire any more.
#[test]
fn the_unit_tests_notice_each_rule_that_never_fires() {
    let place = tempfile::tempdir().unwrap();
    let tests = place.path().join("tests");
    fs::create_dir(&tests).unwrap();
    let mut tests_of = BTreeMap::<_, Vec<_>>::new();
    for file in yaml_files(&folder().join("tests")) {
        let copy = tests.join(name(&file));
        fs::copy(&file, &copy).unwrap();
        tests_of.entry(tested_by(&file)).or_default().push(copy);
    }
    let mut by_file = BTreeMap::<_, Vec<_>>::new();
    for alert in alerts() {
        by_file.entry(alert.file.clone()).or_default().push(alert);
    }
    std::thread::scope(|scope| {
        for (file, alerts) in &by_file {
            let (place, tests) = (place.path(), &tests_of[file]);
            scope.spawn(move || {
                for alert in alerts {
                    notices(alert, place, tests);
                }
            });
        }
    });
}

/// Fails unless the tests do without this alert.
fn notices(alert: &Alert, place: &Path, tests: &[PathBuf]) {
    let mut spoiled = yaml(&folder().join(&alert.file));
    spoiled["groups"][alert.group]["rules"][alert.rule]["expr"] = NEVER.into();
    let text = serde_yaml::to_string(&spoiled).unwrap();
    fs::write(place.join(&alert.file), text).unwrap();
    let ran = run(&["test", "rules"], tests);
    let told = format!("alertname: {}", alert.name);
    assert!(
        ran.code == Some(1) && format!("{}{}", ran.out, ran.err).contains(&told),
        "{} ({}) of {} may never fire and no test notices: {ran:?}",
        alert.name,
        alert.severity(),
        alert.file
    );
}
