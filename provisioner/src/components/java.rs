//! Finding a Java for servers that bring none: `JAVA_HOME`, PATH, the usual folders. A Java says
//! its version in the file `release` of its folder, so that none has to be started to ask.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::machine::is_executable;

/// Folders below which systems and version managers install a Java each.
const FOLDERS: [&str; 4] = [
    "/usr/lib/jvm",
    "/usr/java",
    "/opt/java",
    "/Library/Java/JavaVirtualMachines",
];

/// Where to look on this machine, without saying whether a Java is there.
pub fn homes() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = std::env::var_os("JAVA_HOME")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    out.extend(
        std::env::split_paths(&path)
            .filter_map(|folder| std::fs::canonicalize(folder.join("java")).ok())
            .filter_map(|java| Some(java.parent()?.parent()?.to_owned())),
    );
    for folder in FOLDERS {
        let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        found.sort();
        for home in found {
            out.push(home.join("Contents/Home"));
            out.push(home);
        }
    }
    let mut seen = BTreeSet::new();
    out.retain(|home| home.is_absolute() && seen.insert(home.clone()));
    out
}

/// The first Java among `homes` that is new enough and usable; otherwise what is there and what to
/// install.
pub fn find(
    oldest: u32,
    homes: &[PathBuf],
    usable: impl Fn(&Path) -> bool,
) -> Result<PathBuf, String> {
    let mut seen = Vec::new();
    for home in homes {
        let program = home.join("bin/java");
        if !is_executable(&program) {
            continue;
        }
        let Some(version) = std::fs::read_to_string(home.join("release"))
            .ok()
            .and_then(|text| major(&text))
        else {
            continue;
        };
        if version < oldest {
            seen.push(format!("Java {version} in {}", home.display()));
        } else if !usable(&program) {
            seen.push(format!(
                "Java {version} in {}, which other users may not read",
                home.display()
            ));
        } else {
            return Ok(home.clone());
        }
    }
    let found = if seen.is_empty() {
        "none was found (JAVA_HOME, PATH, /usr/lib/jvm)".to_owned()
    } else {
        format!("found only {}", seen.join(", "))
    };
    Err(format!(
        "it needs Java {oldest} or newer, and {found}; install one (Debian and Ubuntu: openjdk-{oldest}-jre-headless or newer, Fedora: java-{oldest}-openjdk-headless) or set JAVA_HOME"
    ))
}

/// The major version in a `release` file: 17 of `JAVA_VERSION="17.0.15"`, 8 of `"1.8.0_402"`. Pure.
pub fn major(release: &str) -> Option<u32> {
    let value = release
        .lines()
        .find_map(|line| line.trim().strip_prefix("JAVA_VERSION="))?
        .trim_matches('"');
    let mut numbers = value.split(['.', '_', '-', '+']);
    let first = numbers.next()?.parse().ok()?;
    if first == 1 {
        numbers.next()?.parse().ok()
    } else {
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_both_spellings() {
        assert_eq!(
            major("IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.15\"\n"),
            Some(17)
        );
        assert_eq!(major("JAVA_VERSION=\"1.8.0_402\""), Some(8));
        assert_eq!(major("JAVA_VERSION=\"25\""), Some(25));
        assert_eq!(major("JAVA_RUNTIME_VERSION=\"25\""), None);
    }

    #[test]
    fn the_first_that_is_new_enough_is_taken_and_otherwise_all_are_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let home = |name: &str, version: u32| {
            let home = folder.path().join(name);
            std::fs::create_dir_all(home.join("bin")).unwrap();
            std::fs::write(home.join("bin/java"), "").unwrap();
            std::fs::set_permissions(
                home.join("bin/java"),
                std::fs::Permissions::from_mode(0o755),
            )
            .unwrap();
            let release = format!("JAVA_VERSION=\"{version}.0.1\"\n");
            std::fs::write(home.join("release"), release).unwrap();
            home
        };
        let homes = [home("a", 17), home("b", 21), home("c", 25)];
        assert_eq!(find(21, &homes, |_| true), Ok(homes[1].clone()));
        assert_eq!(
            find(21, &homes, |java| !java.starts_with(&homes[1])),
            Ok(homes[2].clone())
        );
        let error = find(26, &homes, |_| true).unwrap_err();
        assert!(error.contains("Java 26 or newer") && error.contains("Java 25 in"));
        let error = find(21, &[], |_| true).unwrap_err();
        assert!(error.contains("none was found") && error.contains("JAVA_HOME"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,60}", tail in "[0-9._+\\-\"]{0,12}") {
            let _ = major(&text);
            let _ = major(&format!("JAVA_VERSION={tail}"));
        }
    }
}
