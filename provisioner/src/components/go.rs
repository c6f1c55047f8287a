//! Go modules, built here with the machine's own Go, proxy and checksum database. What is published
//! is the module's hash (`h1:…`); the program made from it is called built here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

mod report;

use report::{
    Environment, Module, covered, go_directive, mismatch, proxy, replaced_by_folders, said,
};

use super::Verification;
use super::catalogue::{GoSource, fill};
use super::error::{ComponentError, Refusal, cache_error, no_space, pass};
use super::job::Job;
use super::lock::Checksums;
use super::place::{Delivery, Entry};
use super::tool::{self, Finished, shorten};
use super::version::Version;
use crate::model::SourceKind;

const SOURCE: SourceKind = SourceKind::Go;
const DEADLINE: Duration = Duration::from_hours(1);

/// The component built from its Go module.
pub fn obtain(job: &Job<'_>) -> Result<Entry, Refusal> {
    let Some(source) = &job.component.go else {
        return pass("", "no coordinate");
    };
    let version = job.choose_version(SOURCE)?;
    let module_version = match (source.module_versions.get(&version), &source.module_version) {
        (Some(exact), _) => exact.clone(),
        (None, Some(template)) => fill(template, &version, &job.machine.platform),
        (None, None) => {
            let known: Vec<&str> = source.module_versions.keys().map(String::as_str).collect();
            let known = known.join(", ");
            return pass(
                &source.module,
                format!("the catalogue knows no module of {version}, only of {known}"),
            );
        }
    };
    let coordinate = format!("{}@{module_version}", source.module);
    let Some(go) = job.machine.which("go") else {
        return pass(coordinate, "go is not on PATH");
    };
    job.permit(SOURCE, &version, &coordinate)?;
    let work = job.shelf.workspace()?;
    let build = Build {
        job,
        source,
        go,
        version: &version,
        coordinate,
        folder: work.path(),
    };
    let environment = build.environment()?;
    let module = build.download()?;
    build.check_go(&environment, &module)?;
    let published: Checksums = [(build.coordinate.clone(), module.sum.clone())].into();
    job.compare(SOURCE, &version, &published, "the module has")?;
    let tree = work.path().join("tree");
    fs::create_dir_all(tree.join("bin")).map_err(|e| cache_error("create folder", &tree, e))?;
    build.build(&module, &module_version, &tree)?;
    let database = if covered(&environment, &source.module) {
        "checked by Go's checksum database"
    } else {
        "checksum database switched off on this machine"
    };
    let programs = source
        .packages
        .keys()
        .map(|p| (p.clone(), Path::new("bin").join(p)));
    job.place(Delivery {
        tree,
        version: version.clone(),
        release: version.clone(),
        source: SOURCE,
        coordinate: build.coordinate.clone(),
        published,
        verification: Verification::Built {
            by: format!(
                "module {}, {database}, {}",
                module.sum, environment.goversion
            ),
        },
        programs: programs.collect(),
    })
}

struct Build<'a> {
    job: &'a Job<'a>,
    source: &'a GoSource,
    go: PathBuf,
    version: &'a str,
    coordinate: String,
    folder: &'a Path,
}

impl Build<'_> {
    /// `go` with the machine's own settings; only what would change what is built is fixed.
    fn command(&self) -> Command {
        let platform = &self.job.machine.platform;
        let mut command = self.job.machine.command(&self.go);
        command
            .current_dir(self.folder)
            .env("GOWORK", "off")
            .env("GO111MODULE", "on")
            .env("GOOS", &platform.os)
            .env("GOARCH", &platform.arch)
            .envs(&self.source.env);
        if let Some(mirror) = self.job.mirror(SOURCE) {
            command.env("GOPROXY", proxy(mirror, self.job.spec_folder()));
        }
        command
    }

    fn run(
        &self,
        command: &mut Command,
        on_line: &mut dyn FnMut(&str),
        on_tick: &mut dyn FnMut(Duration),
    ) -> Result<Finished, Refusal> {
        let finished = tool::run(command, DEADLINE, on_line, on_tick)
            .or_else(|e| pass(&self.coordinate, format!("go cannot be started: {e}")))?;
        if finished.no_space() {
            return Err(no_space(self.folder, None).into());
        }
        Ok(finished)
    }

    fn environment(&self) -> Result<Environment, Refusal> {
        let mut command = self.command();
        command.args([
            "env",
            "-json",
            "GOVERSION",
            "GOTOOLCHAIN",
            "GOSUMDB",
            "GONOSUMDB",
        ]);
        let finished = self.run(&mut command, &mut |_| {}, &mut |_| {})?;
        serde_json::from_str(&finished.stdout).or_else(|_| {
            pass(
                &self.coordinate,
                format!("`go env` failed: {}", finished.reason()),
            )
        })
    }

    fn download(&self) -> Result<Module, Refusal> {
        let job = self.job;
        job.state(&format!("fetching module {}", self.coordinate));
        job.machine
            .faults
            .write(job.name)
            .map_err(|e| cache_error("write", self.folder, e))?;
        let mut command = self.command();
        command.args(["mod", "download", "-json", &self.coordinate]);
        let finished = self.run(&mut command, &mut |_| {}, &mut |t| {
            job.state(&format!(
                "fetching module {}, {} s",
                self.coordinate,
                t.as_secs()
            ));
        })?;
        let module: Module = serde_json::from_str(&finished.stdout).unwrap_or_default();
        let said = format!("{}\n{}", module.error, finished.tail.join("\n"));
        if let Some(differs) = mismatch(job.name, &self.coordinate, &said) {
            return Err(ComponentError::from(differs).into());
        }
        if !module.error.is_empty() {
            let reason = module.error.lines().next().unwrap_or_default();
            return pass(
                &self.coordinate,
                format!("go could not fetch it: {}", shorten(reason, 300)),
            );
        }
        if !finished.success || !module.sum.starts_with("h1:") {
            return pass(
                &self.coordinate,
                format!("go could not fetch it: {}", finished.reason()),
            );
        }
        Ok(module)
    }

    /// Says in one line what the compiler would say in hundreds.
    fn check_go(&self, environment: &Environment, module: &Module) -> Result<(), Refusal> {
        let have = Version::parse(environment.goversion.trim_start_matches("go"));
        let needs = fs::read_to_string(&module.go_mod)
            .ok()
            .and_then(|t| go_directive(&t));
        let (Some(have), Some(needs)) = (have, needs) else {
            return Ok(());
        };
        let fetches_newer = environment.gotoolchain != "local"
            && Version::parse("1.21").is_some_and(|first| have >= first);
        if have >= needs || fetches_newer {
            return Ok(());
        }
        pass(
            &self.coordinate,
            format!("it needs Go {needs}, this machine has {have}"),
        )
    }

    fn build(&self, module: &Module, module_version: &str, tree: &Path) -> Result<(), Refusal> {
        if self.source.wrapper {
            self.wrap(module, module_version)?;
            for (program, package) in &self.source.packages {
                let mut command = self.command();
                command.args(["build", "-mod=mod", "-v", "-trimpath"]);
                self.flags(&mut command);
                command
                    .arg("-o")
                    .arg(tree.join("bin").join(program))
                    .arg(package);
                self.compile(&mut command, program)?;
            }
            return Ok(());
        }
        let mut command = self.command();
        command
            .env("GOBIN", tree.join("bin"))
            .args(["install", "-v", "-trimpath"]);
        self.flags(&mut command);
        for package in self.source.packages.values() {
            command.arg(format!("{package}@{module_version}"));
        }
        self.compile(&mut command, self.job.component.main())?;
        self.rename(tree)
    }

    fn flags(&self, command: &mut Command) {
        if !self.source.tags.is_empty() {
            command.args(["-tags", &self.source.tags.join(",")]);
        }
        if !self.source.ldflags.is_empty() {
            let flags = fill(
                &self.source.ldflags,
                self.version,
                &self.job.machine.platform,
            );
            command.args(["-ldflags", &flags]);
        }
    }

    fn compile(&self, command: &mut Command, what: &str) -> Result<(), Refusal> {
        let job = self.job;
        let packages = std::cell::Cell::new(0u32);
        let finished = self.run(
            command,
            // `go: downloading …` while modules come, then one package path per line.
            &mut |line| {
                if !line.starts_with("go: ") && !line.contains(' ') {
                    packages.set(packages.get() + 1);
                }
            },
            &mut |t| {
                let n = packages.get();
                job.state(&format!(
                    "building {what} with go, {n} packages, {} s",
                    t.as_secs()
                ));
            },
        )?;
        if let Some(differs) = mismatch(job.name, &self.coordinate, &finished.tail.join("\n")) {
            return Err(ComponentError::from(differs).into());
        }
        if finished.success {
            return Ok(());
        }
        pass(
            &self.coordinate,
            format!("go could not build it: {}", said(&finished)),
        )
    }

    /// `go install` names a program after the last part of its package.
    fn rename(&self, tree: &Path) -> Result<(), Refusal> {
        for (program, package) in &self.source.packages {
            let last = package.rsplit('/').next().unwrap_or(package);
            let (from, to) = (tree.join("bin").join(last), tree.join("bin").join(program));
            if from != to {
                fs::rename(&from, &to).map_err(|e| cache_error("rename", &from, e))?;
            }
        }
        Ok(())
    }

    /// A module of our own that requires the component's, with that module's own go.sum, so that
    /// every dependency has the hash which its authors saw.
    fn wrap(&self, module: &Module, module_version: &str) -> Result<(), Refusal> {
        let failed = |e| cache_error("write", self.folder, e);
        let own = fs::read_to_string(&module.go_mod).unwrap_or_default();
        let go = go_directive(&own).map_or_else(|| "1.21".into(), |v| v.to_string());
        let name = &self.source.module;
        let mut text =
            format!("module kai.invalid/build\n\ngo {go}\n\nrequire {name} {module_version}\n");
        if let Some(template) = &self.source.folder_modules {
            // What the module finds in folders beside it is published as modules of its own.
            let version = fill(template, self.version, &self.job.machine.platform);
            text.push('\n');
            for folder in replaced_by_folders(&own) {
                text.push_str(&format!("replace {folder} => {folder} {version}\n"));
            }
        }
        fs::write(self.folder.join("go.mod"), text).map_err(failed)?;
        let imports: Vec<String> = self
            .source
            .packages
            .values()
            .map(|p| format!("import _ \"{p}\"\n"))
            .collect();
        let text = format!("//go:build tools\n\npackage tools\n\n{}", imports.concat());
        fs::write(self.folder.join("tools.go"), text).map_err(failed)?;
        match fs::read(Path::new(&module.dir).join("go.sum")) {
            Ok(sums) => fs::write(self.folder.join("go.sum"), sums).map_err(failed)?,
            Err(e) => return pass(&self.coordinate, format!("its go.sum cannot be read: {e}")),
        }
        Ok(())
    }
}
