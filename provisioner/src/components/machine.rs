//! The machine as the chain sees it: platform, search path, running program, apt configuration.
//! A value, so that tests can stand on another machine than the one they run on.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::catalogue::Catalogue;
use super::error::ComponentError;

/// Operating system and processor in the words that vendors use in file names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Platform {
    /// `linux`, `darwin`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub arch: String,
}

impl Platform {
    /// The platform of this build.
    pub fn this() -> Self {
        let os = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            os: os.into(),
            arch: arch.into(),
        }
    }

    /// The kernel's word for the processor: `x86_64`, `aarch64`.
    pub fn machine(&self) -> &str {
        match self.arch.as_str() {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        }
    }
}

impl Platform {
    /// Java's word for the processor: `x64`, `arm64`.
    pub fn processor(&self) -> &str {
        match self.arch.as_str() {
            "amd64" => "x64",
            other => other,
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)
    }
}

/// What surrounds the chain.
#[derive(Debug, Clone)]
pub struct Machine {
    pub platform: Platform,
    /// Value of PATH; tools and programs are looked up here.
    pub search_path: OsString,
    /// Folders that may each hold a Java, the wanted first.
    pub java: Vec<PathBuf>,
    /// The running program.
    pub exe: Option<PathBuf>,
    /// Folder of the apt configuration.
    pub apt_etc: PathBuf,
    /// Set for every tool that is started, over the process' own environment.
    pub tool_env: Vec<(String, String)>,
    pub catalogue: Catalogue,
    pub faults: Faults,
}

impl Machine {
    /// This machine, with the embedded catalogue and the faults of `KAI_FAULT`.
    pub fn this() -> Result<Self, ComponentError> {
        Ok(Self {
            platform: Platform::this(),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            java: super::java::homes(),
            exe: running_program(),
            apt_etc: "/etc/apt".into(),
            tool_env: Vec::new(),
            catalogue: Catalogue::embedded()?.clone(),
            faults: Faults::parse(&std::env::var("KAI_FAULT").unwrap_or_default()),
        })
    }

    /// The first executable file called `name` on the search path.
    pub fn which(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.search_path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|file| is_executable(file))
    }

    /// A command for the tool at `program` with messages in English and nothing on its input.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("PATH", &self.search_path)
            .env("LC_ALL", "C")
            .envs(self.tool_env.iter().map(|(k, v)| (k, v)))
            .stdin(std::process::Stdio::null());
        command
    }
}

/// The running program's file. After a rebuild the kernel says `… (deleted)`: the file that took
/// its place is meant.
fn running_program() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    let text = exe.to_str().and_then(|t| t.strip_suffix(" (deleted)"));
    Some(text.map_or_else(|| exe.clone(), PathBuf::from))
}

/// Whether `file` is a regular file that someone may execute.
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Faults asked for by `KAI_FAULT`, so that "no space" can be shown without filling a disk:
/// `enospc:component/prometheus`, several separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<(String, String)>);

impl Faults {
    pub fn parse(text: &str) -> Self {
        Self(
            text.split(',')
                .filter_map(|part| part.trim().split_once(':'))
                .map(|(kind, place)| (kind.to_string(), place.to_string()))
                .collect(),
        )
    }

    /// Fails like a full disk when that was asked for `component/<name>`.
    pub fn write(&self, component: &str) -> io::Result<()> {
        let hit = self.0.iter().any(|(kind, place)| {
            kind == "enospc" && place.strip_prefix("component/") == Some(component)
        });
        if hit {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

/// File name as text, for messages.
pub fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_else(|| OsStr::new(""))
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_hit_only_what_they_name() {
        let faults = Faults::parse("enospc:component/prometheus, enospc:component/x,junk");
        assert!(faults.write("prometheus").is_err());
        assert!(faults.write("x").is_err());
        assert!(faults.write("alertmanager").is_ok());
        assert!(Faults::default().write("prometheus").is_ok());
    }

    #[test]
    fn which_takes_only_executable_files() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let (first, second) = (dir.path().join("a"), dir.path().join("b"));
        for folder in [&first, &second] {
            std::fs::create_dir(folder).expect("a folder");
            std::fs::write(folder.join("prog"), "#!/bin/sh\n").expect("a file");
        }
        let mut machine = Machine::this().expect("a machine");
        machine.search_path = std::env::join_paths([&first, &second]).expect("a path");
        assert_eq!(machine.which("prog"), None);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(second.join("prog"), mode).expect("a mode");
        assert_eq!(machine.which("prog"), Some(second.join("prog")));
        assert_eq!(machine.which("absent"), None);
    }
}
