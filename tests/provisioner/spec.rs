//! The spec from file to model, and what is said about bad ones. Expected texts live beside the
//! specs; `KAI_BLESS=1` writes them anew.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kai_observe::spec::{self, Diagnostics, Loaded, Options, Secrets};

const COMPONENTS: [&str; 3] = ["prometheus", "alertmanager", "ticketing"];

/// The folder of the cases, relative to where tests run.
fn root() -> PathBuf {
    PathBuf::from("../tests/provisioner/spec")
}

fn secrets() -> Secrets {
    let variables = [
        ("PAGERDUTY_KEY", "R0VALUEOFTHEKEY"),
        (
            "SLACK_URL",
            "https://hooks.slack.com/services/VALUEOFTHEKEY",
        ),
        ("EMPTY", " "),
    ];
    Secrets::Given(variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
}

/// `# env: NAME` in the first line is `--env NAME`.
fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let env = text
        .lines()
        .next()
        .and_then(|l| l.strip_prefix("# env: "))
        .map(str::to_owned);
    spec::load(
        path,
        &Options {
            env,
            runs_on: None,
            secrets: secrets(),
            known_components: &COMPONENTS,
        },
    )
}

/// Compares with a file, or writes it when `KAI_BLESS` is set.
fn golden(path: &Path, actual: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("KAI_BLESS").is_some() {
        fs::write(path, actual).expect("the golden file is written");
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected != actual {
        wrong.push(format!(
            "{} differs (KAI_BLESS=1 writes it anew):\n--- expected\n{expected}\n--- actual\n{actual}",
            path.display()
        ));
    }
}

/// The spec files of a folder: `x.yaml`, or `x/observe.yaml`.
fn cases(folder: &str) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the cases");
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            found.insert(name, path.join("observe.yaml"));
        } else if path.extension().is_some_and(|e| e == "yaml") {
            found.insert(name, path);
        }
    }
    found
}

#[test]
fn bad_specs_are_explained() {
    let mut wrong = Vec::new();
    let cases = cases("bad");
    assert!(cases.len() >= 40, "{}", cases.len());
    for (name, path) in cases {
        let said = match load(&path) {
            Ok(_) => panic!("{name} was accepted"),
            Err(diagnostics) => diagnostics.to_string(),
        };
        let base = fs::canonicalize(root())
            .expect("the folder")
            .display()
            .to_string();
        let said = said
            .replace("../tests/provisioner/spec/bad/", "")
            .replace(&format!("{base}/bad/"), "…/");
        golden(
            &root().join("bad").join(format!("{name}.expected")),
            &(said + "\n"),
            &mut wrong,
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn no_secret_is_ever_shown() {
    for (name, path) in cases("bad") {
        let Err(diagnostics) = load(&path) else {
            panic!("{name} was accepted")
        };
        let json = serde_json::to_string(&diagnostics).expect("JSON");
        for text in [diagnostics.to_string(), json, format!("{diagnostics:?}")] {
            assert!(
                !text.contains("SECRETKEY"),
                "{name} shows a secret:\n{text}"
            );
            assert!(
                !text.contains("VALUEOFTHEKEY"),
                "{name} shows a value:\n{text}"
            );
        }
    }
}

/// The reference document is generated; `docs/reference/spec.md` must be what is generated now.
#[test]
fn the_reference_document_is_up_to_date() {
    let mut wrong = Vec::new();
    let path = Path::new("../docs/reference/spec.md");
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
    golden(path, &spec::reference_markdown(), &mut wrong);
    assert!(
        wrong.is_empty(),
        "docs/reference/spec.md is old; KAI_BLESS=1 writes it anew"
    );
}

/// What an editor accepts and what we accept must not drift apart.
#[test]
fn the_json_schema_agrees_with_the_checker() {
    let schema = jsonschema::validator_for(&spec::json_schema()).expect("a valid schema");
    let json = |path: &Path| -> serde_json::Value {
        let text = fs::read_to_string(path).expect("readable");
        serde_yaml::from_str(&text).unwrap_or(serde_json::Value::Null)
    };
    for (name, path) in cases("good") {
        let errors: Vec<String> = schema
            .iter_errors(&json(&path))
            .map(|e| format!("{} {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    let starter = serde_yaml::from_str(&spec::starter("x", &spec::fresh_id())).expect("YAML");
    assert!(schema.is_valid(&starter));
    // what only `validate` or the file system can see is no business of an editor
    for name in [
        "bad-values",
        "literal-secrets",
        "misspelt-everywhere",
        "misspelt-top",
        "missing-keys",
        "ports-too-high",
        "reserved",
        "reserved-runs-on",
        "secret-shapes",
        "wrong-level",
        "wrong-types",
        "wrong-units",
        "all-at-once",
        "not-a-map",
        "empty",
    ] {
        let path = root().join("bad").join(format!("{name}.yaml"));
        assert!(
            !schema.is_valid(&json(&path)),
            "{name} is accepted by the JSON Schema"
        );
    }
}

fn load_text(text: &[u8]) -> Result<Loaded, Diagnostics> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("observe.yaml");
    fs::write(&path, text).expect("written");
    load(&path)
}

#[test]
fn the_starter_loads_without_a_word() {
    let loaded = load_text(spec::starter("My Stack", "k7x2m9qd4e").as_bytes());
    let loaded = loaded.unwrap_or_else(|said| panic!("refused:\n{said}"));
    assert_eq!(loaded.stack.name, "my-stack");
    assert_eq!(loaded.stack.owner.to_string(), "k7x2m9qd4e-local");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn files_that_are_no_text_are_refused() {
    for (bytes, word) in [
        (&b"kind: \xff\n"[..], "not UTF-8"),
        (b"\xff\xfek\0", "UTF-16"),
        (b"kind: a\0b", "U+0000"),
        (b"", "empty"),
    ] {
        let said = load_text(bytes).expect_err("refused").to_string();
        assert!(said.contains(word), "{said}");
    }
    let bom = [b"\xef\xbb\xbf", spec::starter("x", "k7x2m9qd4e").as_bytes()].concat();
    assert!(load_text(&bom).is_ok(), "a byte order mark does no harm");
    let crlf = spec::starter("x", "k7x2m9qd4e").replace('\n', "\r\n");
    assert!(
        load_text(crlf.as_bytes()).is_ok(),
        "nor do line ends of Windows"
    );
    let large = vec![b'#'; (4 << 20) + 1];
    assert!(
        load_text(&large)
            .expect_err("refused")
            .to_string()
            .contains("larger than 4 MiB")
    );
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = load(folder.path()).expect_err("refused").to_string();
    assert!(said.contains("it is a folder"), "{said}");
    let said = load(&folder.path().join("none.yaml"))
        .expect_err("refused")
        .to_string();
    assert!(said.contains("kai-observe init"), "{said}");
}

#[test]
fn plan_needs_no_secret() {
    let path = root().join("good/small/observe.yaml");
    let load = |secrets| {
        spec::load(
            &path,
            &Options {
                env: None,
                runs_on: None,
                secrets,
                known_components: &[],
            },
        )
    };
    assert!(load(Secrets::AssumePresent).is_ok());
    let said = load(Secrets::Given(BTreeMap::new())).expect_err("refused");
    assert_eq!(said.errors(), 2, "{said}");
}

#[test]
fn diagnostics_are_json_for_scripts() {
    let said = load(&root().join("bad/unknown-team.yaml")).expect_err("refused");
    let json = serde_json::to_value(&said).expect("JSON");
    let first = &json[0];
    assert_eq!(first["severity"], "error");
    assert_eq!(first["code"], "unknown-team");
    assert_eq!((&first["line"], &first["column"]), (&7.into(), &20.into()));
    assert_eq!(first["help"], "did you mean `booking`?");
}

/// One spec with everything in it, to be damaged.
fn whole() -> Vec<u8> {
    let mut text = fs::read(root().join("good/full/observe.yaml")).expect("readable");
    // includes and rules are files of their own; here only the text counts
    let cut = String::from_utf8_lossy(&text).replace("include: [parts/*.yaml]", "");
    text = cut.into_bytes();
    text
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = load_text(&bytes).map_err(|said| said.to_string());
    }

    /// A damaged spec is refused or not, but it is always answered.
    #[test]
    fn no_damage_makes_it_panic(
        places in proptest::collection::vec((0_usize..4_000, 0_usize..30, "[ -~\n\t]{0,6}"), 1..6)
    ) {
        let mut text = String::from_utf8(whole()).expect("text");
        for (at, cut, new) in places {
            let at = at % text.len();
            let end = (at + cut).min(text.len());
            text.replace_range(at..end, &new);
        }
        let _ = load_text(text.as_bytes()).map_err(|said| said.to_string());
    }

    /// Whatever is wrong around a secret, it is not shown.
    #[test]
    fn no_damage_shows_a_secret(
        key in "(pagerduty|slack|pagerdty|slak)",
        before in "[ {\n:]{0,3}",
        after in "[ }\n:,]{0,3}",
        open in "(\"|'|)",
    ) {
        // what stands at the place of a team's name is shown as a name
        proptest::prop_assume!(!(before.contains('\n') && after.contains(':')));
        let text = format!(
            "apiVersion: observe.kai/v1\nkind: Stack\nmetadata: {{ name: x }}\nteams:\n  a:\n    \
             {key}: {before}{open}R0SECRETKEY{open}{after}\n"
        );
        if let Err(said) = load_text(text.as_bytes()) {
            let said = said.to_string();
            proptest::prop_assert!(!said.contains("SECRETKEY"), "{text}\n{said}");
        }
    }
}

#[test]
fn good_specs_resolve() {
    let mut wrong = Vec::new();
    for (name, path) in cases("good") {
        let loaded = load(&path).unwrap_or_else(|said| panic!("{name} was refused:\n{said}"));
        let base = fs::canonicalize(root())
            .expect("the folder")
            .display()
            .to_string();
        let mut text = format!("{:#?}\n", loaded.stack);
        for warning in &loaded.warnings {
            text.push_str(&format!("{warning}\n"));
        }
        let text = text
            .replace(&base, "…")
            .replace("../tests/provisioner/spec", "…");
        assert!(!text.contains("VALUEOFTHEKEY"), "{name} shows a value");
        golden(
            &root().join("good").join(format!("{name}.expected")),
            &text,
            &mut wrong,
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Loading is not what anybody waits for: also a large spec stays within bounds (two thousand services).
#[test]
fn a_large_spec_is_loaded_or_refused() {
    let mut text = spec::starter("x", "k7x2m9qd4e").replace("services: {}", "services:");
    let services: Vec<String> = (0..2_000)
        .map(|n| format!("  s{n}: {{ team: platform, metrics: 'http://10.0.0.1:80/{n}' }}\n"))
        .collect();
    let services = services.concat();
    text = text.replace("services:\n", &format!("services:\n{services}"));
    let loaded = load_text(text.as_bytes()).unwrap_or_else(|said| panic!("refused:\n{said}"));
    assert_eq!(loaded.stack.services.len(), 2_000);
}
