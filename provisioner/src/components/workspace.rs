//! Our own programs: the running one, built from the checkout beside it with the same profile, or
//! installed in the same folder. Whether a build is current is read from cargo's dep-info, because
//! asking cargo takes longer than all of `plan` may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Installed;
use super::catalogue::OWN_VERSION;
use super::dep_info::dependencies;
use super::digest::Identity;
use super::error::{Refusal, no_space, pass};
use super::job::Job;
use super::machine::{file_name, is_executable};
use super::tool;
use super::version::Version;
use crate::model::SourceKind;

const DEADLINE: Duration = Duration::from_mins(45);

/// The component from the workspace; with `build`, made when it is missing or stale.
pub fn find(job: &Job<'_>, build: bool) -> Result<Installed, Refusal> {
    let main = job.component.main();
    let own = Version::parse(OWN_VERSION);
    if let Some(reason) = own.and_then(|v| job.unfit(&v)) {
        return pass(main, reason);
    }
    if let Some(exe) = job
        .machine
        .exe
        .as_ref()
        .filter(|e| file_name(e) == main && e.exists())
    {
        return found(job, exe.clone(), "the running program itself");
    }
    let Some(root) = job.context.workspace.as_deref() else {
        return sibling(job);
    };
    if !root.join("Cargo.toml").is_file() {
        return pass(main, format!("{} has no Cargo.toml", root.display()));
    }
    let layout = Layout::choose(job, root);
    let binary = layout.folder.join(main);
    let Some(stale) = staleness(job, root, &layout, &binary) else {
        return found(job, binary, "built from this checkout");
    };
    if !build {
        return pass(main, stale);
    }
    job.state(&format!("building it, because {stale}"));
    cargo_build(job, root, &layout, &binary)?;
    // Something was written while it was built: Cargo.lock by cargo itself, or a source by its
    // author. Asking cargo again settles both, and costs little when there is nothing to do.
    if staleness(job, root, &layout, &binary).is_some() {
        cargo_build(job, root, &layout, &binary)?;
    }
    found(job, binary, "built from this checkout")
}

/// Whether asking with `build` would run cargo.
pub fn can_build(job: &Job<'_>) -> bool {
    let fits = Version::parse(OWN_VERSION).is_some_and(|v| job.unfit(&v).is_none());
    fits && job.component.workspace.is_some()
        && job
            .context
            .workspace
            .as_deref()
            .is_some_and(|r| r.join("Cargo.toml").is_file())
        && job.machine.which("cargo").is_some()
}

fn found(job: &Job<'_>, program: PathBuf, why: &str) -> Result<Installed, Refusal> {
    let coordinate = program.display().to_string();
    let programs = BTreeMap::from([(job.component.main().to_string(), program)]);
    job.found(SourceKind::Workspace, OWN_VERSION, programs, why)
        .or_else(|reason| pass(coordinate, reason))
}

/// A program in the folder of the running one: how a released kai-observe finds its kai-agent.
fn sibling(job: &Job<'_>) -> Result<Installed, Refusal> {
    let main = job.component.main();
    let Some(folder) = job.machine.exe.as_deref().and_then(Path::parent) else {
        return pass(main, "not run from a checkout");
    };
    let program = folder.join(main);
    if !is_executable(&program) {
        let folder = folder.display();
        return pass(
            main,
            format!("not run from a checkout, and {folder} does not have it"),
        );
    }
    if !job.component.version.arguments.is_empty() {
        match job.version_of(&program) {
            Ok(version) if Some(&version) == Version::parse(OWN_VERSION).as_ref() => {}
            Ok(version) => {
                let reason = format!("it is {version}, this kai-observe is {OWN_VERSION}");
                return pass(program.display().to_string(), reason);
            }
            Err(reason) => return pass(program.display().to_string(), reason),
        }
    }
    found(job, program, "beside the running program")
}

/// Where cargo puts programs, and the words that make it do so.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    target_dir: PathBuf,
    triple: Option<String>,
    /// Name of the folder: `debug`, `release`, or a profile's own.
    profile: String,
    /// Where the programs lie.
    folder: PathBuf,
}

impl Layout {
    /// The running program's own target folder and profile when it was built from this checkout,
    /// so that nothing is built twice; else the checkout's release build.
    fn choose(job: &Job<'_>, root: &Path) -> Self {
        let environment = std::env::var_os("CARGO_TARGET_DIR")
            .filter(|v| !v.is_empty())
            .map(|v| root.join(PathBuf::from(v)));
        let of_exe = job.machine.exe.as_deref().and_then(|exe| {
            let layout = Self::of_program(exe)?;
            let ours = layout.target_dir.starts_with(root)
                || environment.as_ref() == Some(&layout.target_dir)
                || built_from(exe, root);
            ours.then_some(layout)
        });
        of_exe.unwrap_or_else(|| {
            let target_dir = environment.unwrap_or_else(|| root.join("target"));
            let folder = target_dir.join("release");
            Self {
                target_dir,
                triple: None,
                profile: "release".into(),
                folder,
            }
        })
    }

    /// Reads `<target>[/<triple>]/<profile>[/deps]/<program>`.
    fn of_program(exe: &Path) -> Option<Self> {
        let mut folder = exe.parent()?;
        if matches!(folder.file_name()?.to_str()?, "deps" | "examples") {
            folder = folder.parent()?;
        }
        let profile = folder.file_name()?.to_str()?.to_string();
        let above = folder.parent()?;
        let is_target =
            |p: &Path| p.join("CACHEDIR.TAG").is_file() || p.join(".rustc_info.json").is_file();
        // The triple's folder has the tag too; only the root has the compiler's description.
        let (target_dir, triple) = match above.parent().filter(|p| is_target(p)) {
            Some(root) => (root, Some(above.file_name()?.to_str()?.to_string())),
            None if is_target(above) => (above, None),
            None => return None,
        };
        Some(Self {
            target_dir: target_dir.into(),
            triple,
            profile,
            folder: folder.into(),
        })
    }
}

/// Whether the program's dep-info names sources below `root`.
fn built_from(exe: &Path, root: &Path) -> bool {
    let Ok(text) = fs::read_to_string(exe.with_extension("d")) else {
        return false;
    };
    dependencies(&text)
        .iter()
        .any(|d| root.join(d).starts_with(root) && root.join(d).is_file())
}

/// Why the binary is not what the sources say, or `None` when it is.
fn staleness(job: &Job<'_>, root: &Path, layout: &Layout, binary: &Path) -> Option<String> {
    let Ok(metadata) = fs::metadata(binary) else {
        return Some("it is not built yet".into());
    };
    let info = layout.folder.join(format!("{}.d", job.component.main()));
    let Ok(text) = fs::read_to_string(&info) else {
        return Some(format!("{} is missing", info.display()));
    };
    // What we built is current up to the start of that build; of another's build the time of the
    // program is all there is to see.
    let built = job
        .memo
        .fresh_until(binary)
        .unwrap_or_else(|| Identity::of(&metadata).mtime_ns);
    for file in inputs(&text, root, &layout.target_dir) {
        let name = file
            .strip_prefix(root)
            .unwrap_or(&file)
            .display()
            .to_string();
        match fs::metadata(&file) {
            Ok(m) if Identity::of(&m).mtime_ns <= built => {}
            Ok(_) => return Some(format!("{name} is newer")),
            Err(_) => return Some(format!("{name} is gone")),
        }
    }
    None
}

/// Files that decide about a build: its sources, their manifests up to the root, and the
/// workspace's own files. What a build script wrote into the target folder is no input.
fn inputs(info: &str, root: &Path, target_dir: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let mut folders = BTreeSet::new();
    for file in dependencies(info) {
        let file = root.join(file);
        if file.starts_with(target_dir) {
            continue;
        }
        let inside = file.ancestors().skip(1).take_while(|a| a.starts_with(root));
        folders.extend(inside.map(Path::to_path_buf));
        files.insert(file);
    }
    folders.insert(root.to_path_buf());
    let manifests = folders.iter().map(|f| f.join("Cargo.toml"));
    let own = ["Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"].map(|f| root.join(f));
    files.extend(manifests.chain(own).filter(|f| f.is_file()));
    files
}

fn cargo_build(job: &Job<'_>, root: &Path, layout: &Layout, binary: &Path) -> Result<(), Refusal> {
    let main = job.component.main();
    let Some(cargo) = job.machine.which("cargo") else {
        return pass(main, "it has to be built and cargo is not on PATH");
    };
    let mut command = job.machine.command(&cargo);
    without_cargos_own_variables(&mut command);
    command
        .current_dir(root)
        // `--workspace` so that features are unified as in every other build of the checkout: with
        // `-p` cargo would compile shared crates again with fewer.
        .args(["build", "--color", "never", "--workspace", "--bin", main])
        .arg("--target-dir")
        .arg(&layout.target_dir);
    match layout.profile.as_str() {
        "debug" => {}
        "release" => drop(command.arg("--release")),
        other => drop(command.args(["--profile", other])),
    }
    if let Some(triple) = &layout.triple {
        command.args(["--target", triple]);
    }
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as i128);
    let mut compiled = 0u32;
    let coordinate = format!("cargo build --bin {main}");
    let finished = tool::run(
        &mut command,
        DEADLINE,
        &mut |line| {
            let line = line.trim();
            if let Some(what) = line.strip_prefix("Compiling ") {
                compiled += 1;
                let name = what.split(" (").next().unwrap_or(what);
                job.state(&format!("compiling {name} ({compiled})"));
            } else if line.starts_with("Blocking") || line.starts_with("Download") {
                job.state(&line.to_lowercase());
            }
        },
        &mut |_| {},
    );
    let finished = match finished {
        Ok(finished) => finished,
        Err(e) => return pass(coordinate, format!("cargo cannot be started: {e}")),
    };
    if finished.no_space() {
        return Err(no_space(&layout.target_dir, None).into());
    }
    if !finished.success {
        let reason = finished.reason();
        // Said aloud, because an older build from PATH may be about to stand in for it.
        job.context
            .progress
            .note(job.name, &format!("{coordinate} failed: {reason}"));
        return pass(coordinate, reason);
    }
    if !is_executable(binary) {
        return pass(coordinate, format!("cargo made no {}", binary.display()));
    }
    job.memo.set_fresh_until(binary, started);
    Ok(())
}

/// `cargo run` and `cargo test` describe their own package to what they start; a build must not
/// take that for its own.
fn without_cargos_own_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let own = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if own.iter().any(|p| text.starts_with(p)) || text == "OUT_DIR" {
            command.env_remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_layout_from_where_a_program_lies() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = dir.path().join("target");
        for folder in ["debug/deps", "x86_64-unknown-linux-musl/release"] {
            fs::create_dir_all(target.join(folder)).expect("a folder");
        }
        assert_eq!(
            Layout::of_program(&target.join("debug/kai-observe")),
            None,
            "no tag"
        );
        fs::write(target.join("CACHEDIR.TAG"), "").expect("a file");
        let layout = Layout::of_program(&target.join("debug/deps/provisioner-0a")).expect("read");
        assert_eq!((layout.profile.as_str(), layout.triple), ("debug", None));
        assert_eq!(layout.folder, target.join("debug"));
        let program = target.join("x86_64-unknown-linux-musl/release/kai-observe");
        let layout = Layout::of_program(&program).expect("read");
        assert_eq!(layout.triple.as_deref(), Some("x86_64-unknown-linux-musl"));
        assert_eq!(
            (layout.profile.as_str(), layout.target_dir),
            ("release", target)
        );
    }

    #[test]
    fn manifests_and_the_lock_decide_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path();
        fs::create_dir_all(root.join("agent/src")).expect("a folder");
        for file in [
            "Cargo.toml",
            "Cargo.lock",
            "agent/Cargo.toml",
            "agent/src/main.rs",
        ] {
            fs::write(root.join(file), "").expect("a file");
        }
        let target = root.join("target");
        let info = format!(
            "{0}/debug/a: agent/src/main.rs {0}/debug/build/out/generated.rs /usr/lib/x.rs\n",
            target.display()
        );
        let files = inputs(&info, root, &target);
        let expected = [
            "Cargo.lock",
            "Cargo.toml",
            "agent/Cargo.toml",
            "agent/src/main.rs",
        ];
        let mut expected: BTreeSet<PathBuf> = expected.iter().map(|f| root.join(f)).collect();
        expected.insert("/usr/lib/x.rs".into());
        assert_eq!(files, expected);
    }
}
