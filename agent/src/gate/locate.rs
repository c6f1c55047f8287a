//! Finds the configuration when none is named: the machine's own, or that of the one local stack
//! that has the service.

use std::path::{Path, PathBuf};

use crate::check;

/// Where a package or a ConfigMap puts it.
const USUAL: &str = "/etc/kai-agent/agent.yaml";

/// Why no file was chosen, as a sentence.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    #[error(
        "no configuration with a gate for {service:?} was found (looked for {USUAL} and \
         stacks/*/config/agent/agent.yaml in {}); name one by --config", home.display()
    )]
    None { service: String, home: PathBuf },
    #[error(
        "several stacks have a gate for {service:?}; name one by --config:\n  {}",
        join(files)
    )]
    Several {
        service: String,
        files: Vec<PathBuf>,
    },
}

fn join(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    names.join("\n  ")
}

/// The file whose `gate:` has the service.
pub fn locate(service: &str) -> Result<PathBuf, LocateError> {
    locate_in(service, Path::new(USUAL), &home())
}

fn locate_in(service: &str, usual: &Path, home: &Path) -> Result<PathBuf, LocateError> {
    if has(usual, service) {
        return Ok(usual.to_owned());
    }
    let stacks = std::fs::read_dir(home.join("stacks"));
    let mut files: Vec<PathBuf> = stacks
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("config/agent/agent.yaml"))
        .filter(|file| has(file, service))
        .collect();
    files.sort();
    match files.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(LocateError::None {
            service: service.to_owned(),
            home: home.to_owned(),
        }),
        _ => Err(LocateError::Several {
            service: service.to_owned(),
            files,
        }),
    }
}

fn has(file: &Path, service: &str) -> bool {
    file.is_file()
        && check::load(file).is_ok_and(|loaded| {
            loaded
                .config
                .gate
                .is_some_and(|gate| gate.services.contains_key(service))
        })
}

/// `kai-observe`'s folder of local data.
fn home() -> PathBuf {
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(home) = given("KAI_HOME") {
        return home.into();
    }
    let data = given("XDG_DATA_HOME").map_or_else(
        || PathBuf::from(given("HOME").unwrap_or_default()).join(".local/share"),
        PathBuf::from,
    );
    data.join("kai-observe")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(home: &Path, name: &str, service: &str) -> PathBuf {
        let folder = home.join("stacks").join(name).join("config/agent");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("agent.yaml");
        let text = format!(
            "version: 2\nlisten: 127.0.0.1:1\ngate: {{services: {{{service}: {{health: \
             'http://h/'}}}}}}\n"
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn the_one_stack_that_has_the_service() {
        let home = tempfile::tempdir().unwrap();
        let nowhere = home.path().join("none.yaml");
        let find = |service: &str| locate_in(service, &nowhere, home.path());
        assert!(matches!(find("booking"), Err(LocateError::None { .. })));
        let booking = stack(home.path(), "a-local", "booking");
        stack(home.path(), "b-local", "payment");
        assert_eq!(find("booking"), Ok(booking));
        stack(home.path(), "c-local", "booking");
        assert!(
            matches!(find("booking"), Err(LocateError::Several { files, .. }) if files.len() == 2)
        );
        let usual = stack(home.path(), "usual", "booking");
        assert_eq!(locate_in("booking", &usual, home.path()), Ok(usual));
    }
}
