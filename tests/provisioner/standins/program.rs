//! The stand-ins as programs, for archives: a release archive of a test holds a script that starts
//! this very test program with one ignored test, which serves until it is ended.

use std::path::{Path, PathBuf};

use super::Running;
use super::grafana::{Grafana, Key};
use super::kibana::Kibana;

const ARGUMENTS: &str = "KAI_STANDIN_ARGUMENTS";

/// A script that is `bin/<name>` of an archive.
pub fn script(name: &str) -> String {
    let exe = std::env::current_exe().unwrap();
    let contracts = std::env::var("KAI_CONTRACTS").unwrap_or_default();
    let exported = if contracts.is_empty() {
        String::new()
    } else {
        format!("export KAI_CONTRACTS='{contracts}'\n")
    };
    format!(
        "#!/bin/sh\n{exported}{ARGUMENTS}=\"$*\" exec '{}' --exact standins::program::{name} --ignored \
         --nocapture --test-threads=1\n",
        exe.display()
    )
}

fn argument(name: &str) -> Option<PathBuf> {
    let all = std::env::var(ARGUMENTS).ok()?;
    all.split(' ')
        .find_map(|word| Some(PathBuf::from(word.strip_prefix(name)?)))
}

/// The value of a key in `grafana.ini` or `kibana.yml`.
fn setting(config: &Path, key: &str) -> String {
    let text = std::fs::read_to_string(config).unwrap();
    let line = text.lines().find_map(|line| {
        let (name, value) = line.split_once([':', '='])?;
        (name.trim().trim_matches('"') == key).then(|| value.trim().trim_matches('"').to_owned())
    });
    line.unwrap_or_else(|| panic!("{} has no {key}", config.display()))
}

fn read(expanded: &str) -> String {
    let path = expanded
        .strip_prefix("$__file{")
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap();
    std::fs::read_to_string(path).unwrap()
}

#[test]
#[ignore = "a program that other tests start"]
fn grafana() {
    let config = argument("--config=").expect("--config");
    // Grafana looks for its defaults and pages here, and ends without them.
    let home = argument("--homepath=").expect("--homepath");
    assert!(
        home.join("conf/defaults.ini").is_file(),
        "{}",
        home.display()
    );
    let data = PathBuf::from(setting(&config, "data"));
    // The password of the first start stays, as with the real one's database.
    let password = data.join("password");
    if !password.exists() {
        std::fs::write(&password, read(&setting(&config, "admin_password"))).unwrap();
    }
    let key = Key::Basic(
        setting(&config, "admin_user"),
        std::fs::read_to_string(&password).unwrap(),
    );
    let state = Grafana::new(key, Some(data.join("kept.json"))).expect("the contract");
    let (host, port) = (setting(&config, "http_addr"), setting(&config, "http_port"));
    let _running = Running::at(format!("{host}:{port}").parse().unwrap(), state);
    loop {
        std::thread::park();
    }
}

#[test]
#[ignore = "a program that other tests start"]
fn kibana() {
    let config = argument("--config=").expect("--config");
    let data = PathBuf::from(setting(&config, "path.data"));
    let state = Kibana::new(None, Some(data.join("kept.json"))).expect("the contract");
    let (host, port) = (
        setting(&config, "server.host"),
        setting(&config, "server.port"),
    );
    let _running = Running::at(format!("{host}:{port}").parse().unwrap(), state);
    loop {
        std::thread::park();
    }
}
