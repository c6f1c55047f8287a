//! Every rendered file, compared with a copy that was read by a person. `KAI_BLESS=1` writes the
//! copies anew.

use std::path::Path;

use crate::harness::{Ran, root};

#[test]
fn the_example_is_rendered_as_it_was_read() {
    compare("example", &root().join("examples/ticketing/observe.yaml"));
}

#[test]
fn real_receivers_are_rendered_as_they_were_read() {
    compare("keyed", &root().join("tests/provisioner/render/keyed.yaml"));
}

fn compare(case: &str, spec: &Path) {
    // For all to enter, so that root renders the same as anybody else (docs/decisions/0013).
    let folder = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let out = folder.path().join("out");
    let home = folder.path().join("home");
    let ran: Ran = std::process::Command::new(env!("CARGO_BIN_EXE_kai-observe"))
        .args(["render", "--spec"])
        .arg(spec)
        .arg("--out")
        .arg(&out)
        .arg("--home")
        .arg(&home)
        .output()
        .expect("kai-observe starts")
        .into();
    ran.expect(0);
    let golden = root().join("tests/provisioner/render").join(case);
    let mut found = Vec::new();
    for path in kai_observe::systems::file::walk(&out) {
        let name = path.strip_prefix(&out).unwrap().to_owned();
        // Rule files of the example are copies of alert-rules/, and tested there.
        if case == "example" && name.starts_with("prometheus/rules") {
            continue;
        }
        // The same dashboards under another name; the example's are read.
        if case == "keyed" && name.starts_with("grafana/dashboards") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let names_home = text.contains(&home.display().to_string());
        let text = text.replace(&home.display().to_string(), "/HOME");
        // The digest of a body that holds the folder of this run.
        let text: String = text
            .lines()
            .map(|line| match line.split_once("applied=sha256:") {
                Some((before, after)) if names_home => {
                    format!(
                        "{before}applied=sha256:…{}\n",
                        after.get(64..).unwrap_or_default()
                    )
                }
                _ => format!("{line}\n"),
            })
            .collect::<Vec<_>>()
            .concat();
        if std::env::var_os("KAI_BLESS").is_some() {
            std::fs::create_dir_all(golden.join(&name).parent().unwrap()).unwrap();
            std::fs::write(golden.join(&name), &text).unwrap();
        }
        let wanted = std::fs::read_to_string(golden.join(&name)).unwrap_or_default();
        assert_eq!(
            text,
            wanted,
            "{}: KAI_BLESS=1 writes it anew",
            name.display()
        );
        found.push(name);
    }
    let known = kai_observe::systems::file::walk(&golden);
    assert_eq!(found.len(), known.len(), "{found:?} {known:?}");
}
