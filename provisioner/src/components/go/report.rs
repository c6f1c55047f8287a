//! What Go says, as values: the module and machine in its JSON, the version a go.mod asks for, a
//! refused checksum.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::components::error::ChecksumDiffers;
use crate::components::tool::{Finished, shorten};
use crate::components::version::Version;

/// What `go mod download -json` says of a module.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Module {
    pub sum: String,
    pub go_mod: String,
    pub dir: String,
    pub error: String,
}

/// What `go env -json` says of the machine.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE", default)]
pub struct Environment {
    pub goversion: String,
    pub gotoolchain: String,
    pub gosumdb: String,
    pub gonosumdb: String,
}

/// What go itself says with the indented lines that belong to it, else the most telling line.
pub fn said(finished: &Finished) -> String {
    let own = |l: &String| l.starts_with("go: ") && !l.starts_with("go: downloading");
    let Some(at) = finished.tail.iter().rposition(own) else {
        return finished.reason();
    };
    let rest = finished.tail[at + 1..]
        .iter()
        .take_while(|l| l.starts_with(char::is_whitespace));
    let lines: Vec<&str> = std::iter::once(&finished.tail[at])
        .chain(rest)
        .map(|l| l.trim())
        .collect();
    shorten(&lines.join(" "), 300)
}

/// The value for GOPROXY: a list or an address as it is, a folder as an address.
pub fn proxy(mirror: &str, relative_to: &Path) -> String {
    let is_list = mirror.contains("://") || mirror.contains([',', '|']);
    if is_list || mirror == "direct" || mirror == "off" {
        return mirror.to_string();
    }
    format!("file://{}", relative_to.join(mirror).display())
}

/// The `go` line of a go.mod.
pub fn go_directive(text: &str) -> Option<Version> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix("go "))
        .and_then(|rest| Version::parse(rest.trim()))
}

/// The modules that a go.mod replaces by folders (`k8s.io/api => ./staging/src/k8s.io/api`), in the
/// order of the file. Such a line holds only inside the repository that it was written for.
pub fn replaced_by_folders(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let rest = match line.strip_prefix("replace") {
            Some(rest) if rest.starts_with([' ', '\t', '(']) => {
                let rest = rest.trim();
                inside = rest.starts_with('(') || inside;
                rest.trim_start_matches('(').trim()
            }
            _ if line == ")" => {
                inside = false;
                continue;
            }
            _ if inside => line,
            _ => continue,
        };
        if let Some((module, folder)) = rest.split_once("=>")
            && folder.trim().starts_with(['.', '/'])
            && let Some(module) = module.split_whitespace().next()
        {
            found.push(module.trim_matches('"').to_owned());
        }
    }
    found
}

/// Whether the checksum database is asked about `module`.
pub fn covered(environment: &Environment, module: &str) -> bool {
    let spared = |pattern: &str| {
        let parts: Vec<&str> = pattern.trim().split('/').collect();
        let names: Vec<&str> = module.split('/').collect();
        !pattern.trim().is_empty()
            && parts.len() <= names.len()
            && parts.iter().zip(&names).all(|(p, n)| like(p, n))
    };
    environment.gosumdb != "off" && !environment.gonosumdb.split(',').any(spared)
}

/// `*` stands for any text; other signs of Go's patterns for themselves.
fn like(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|n| rest.is_char_boundary(*n))
                .any(|n| like(tail, &rest[n..]))
        }),
    }
}

/// Go refuses a module whose hash is not the one in the checksum database or in go.sum.
pub fn mismatch(component: &str, coordinate: &str, said: &str) -> Option<ChecksumDiffers> {
    if !said.contains("checksum mismatch") && !said.contains("SECURITY ERROR") {
        return None;
    }
    let hashes: BTreeMap<String, String> = said
        .lines()
        .filter_map(|l| l.trim().split_once(": "))
        .filter(|(_, value)| value.trim().starts_with("h1:"))
        .map(|(who, hash)| (who.trim().to_string(), hash.trim().to_string()))
        .collect();
    let unknown = || "an unnamed hash".to_string();
    let other = hashes.iter().find(|(who, _)| *who != "downloaded");
    Some(ChecksumDiffers {
        component: component.into(),
        file: coordinate.into(),
        expected_by: format!(
            "{} says",
            other.map_or("the checksum database", |(who, _)| who)
        ),
        expected: other.map_or_else(unknown, |(_, hash)| hash.clone()),
        found_by: "the download has".into(),
        found: hashes.get("downloaded").cloned().unwrap_or_else(unknown),
        advice: "the module proxy serves something else than everybody else got; nothing was built; ask whoever runs the proxy, do not switch the checksum database off"
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_go_that_a_module_needs() {
        let needs = |text| go_directive(text).map(|v| v.to_string());
        assert_eq!(
            needs("module x\n\ngo 1.25.0\n\ntoolchain go1.26.1\n"),
            Some("1.25.0".into())
        );
        assert_eq!(needs("module x\n"), None);
    }

    #[test]
    fn folders_are_told_from_other_replacements() {
        let text = "module x\n\nrequire a.b/c v1.0.0\n\nreplace a.b/one => ./one // why\n\
            replace (\n\ta.b/two v1.2.3 => ../two\n\ta.b/three => a.b/fork v1.0.0\n)\n\
            exclude a.b/four v1.0.0\n";
        assert_eq!(replaced_by_folders(text), ["a.b/one", "a.b/two"]);
        assert!(replaced_by_folders("module x\n\nretract v1.0.0\n").is_empty());
    }

    #[test]
    fn a_proxy_may_be_a_list_or_a_folder() {
        let here = Path::new("/spec");
        assert_eq!(proxy("https://a,direct", here), "https://a,direct");
        assert_eq!(proxy("off", here), "off");
        assert_eq!(proxy("goproxy", here), "file:///spec/goproxy");
        assert_eq!(proxy("/srv/go", here), "file:///srv/go");
    }

    #[test]
    fn says_when_the_checksum_database_is_off() {
        let with = |sumdb: &str, nosumdb: &str| {
            let environment = Environment {
                gosumdb: sumdb.into(),
                gonosumdb: nosumdb.into(),
                ..Environment::default()
            };
            covered(&environment, "github.com/prometheus/alertmanager")
        };
        assert!(with("sum.example", ""));
        assert!(!with("off", ""));
        assert!(!with("sum.example", "corp.example,github.com/prom*"));
        assert!(with("sum.example", "*.corp.example"));
    }

    #[test]
    fn a_refused_hash_names_both() {
        let said = "verifying github.com/x/y@v1.0.0: checksum mismatch\n\tdownloaded: h1:AAA=\n\tsum.example: h1:BBB=\n\nSECURITY ERROR\nThis download does NOT match";
        let differs = mismatch("y", "github.com/x/y@v1.0.0", said).expect("a mismatch");
        assert_eq!(
            (differs.expected.as_str(), differs.found.as_str()),
            ("h1:BBB=", "h1:AAA=")
        );
        assert_eq!(differs.expected_by, "sum.example says");
        assert!(mismatch("y", "z", "go: module lookup disabled").is_none());
    }

    proptest::proptest! {
        #[test]
        fn parsers_never_panic(text in "\\PC{0,120}") {
            let _ = go_directive(&text);
            let _ = replaced_by_folders(&format!("replace (\n{text}\n"));
            let _ = mismatch("a", "b", &format!("checksum mismatch\n{text}"));
            let _ = like(&text, "github.com");
        }
    }
}
