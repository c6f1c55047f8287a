//! One request to the chain with all that its sources need: who asks for what, what is pinned,
//! where it will lie, and the checks that every source makes the same way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::catalogue::Component;
use super::digest::Memo;
use super::error::{ComponentError, Refusal, pass};
use super::lock::{self, Checksums, PinKey, Pins};
use super::machine::{Machine, is_executable};
use super::place::{Delivery, Entry, Shelf};
use super::tool;
use super::version::{Version, Wanted};
use super::{Context, Installed};
use crate::model::SourceKind;

/// One component to be found or brought.
pub struct Job<'a> {
    pub context: &'a Context,
    pub machine: &'a Machine,
    pub name: &'a str,
    pub component: &'a Component,
    pub wanted: Wanted,
    pub pins: Pins,
    pub shelf: Shelf,
    pub memo: Memo,
}

impl<'a> Job<'a> {
    pub fn new(
        context: &'a Context,
        machine: &'a Machine,
        name: &'a str,
        version: Option<&str>,
    ) -> Result<Self, ComponentError> {
        let component = machine.catalogue.get(name)?;
        let wanted = Wanted::parse(version).ok_or_else(|| ComponentError::BadVersion {
            component: name.into(),
            version: version.unwrap_or_default().into(),
        })?;
        Ok(Self {
            context,
            machine,
            name,
            component,
            wanted,
            pins: Pins::read(&context.lock_file)?,
            shelf: Shelf::new(&context.cache, name),
            memo: Memo::new(&context.cache),
        })
    }

    pub fn state(&self, text: &str) {
        self.context.progress.state(self.name, text);
    }

    /// The folder where relative mirrors start.
    pub fn spec_folder(&self) -> &Path {
        self.context.lock_file.parent().unwrap_or(Path::new("."))
    }

    pub fn mirror(&self, source: SourceKind) -> Option<&str> {
        self.context.policy.mirrors.get(&source).map(String::as_str)
    }

    pub fn key(&self, source: SourceKind, release: &str) -> PinKey {
        PinKey::new(self.name, source, release, &self.machine.platform)
    }

    /// Why `version` does not do, if it does not.
    pub fn unfit(&self, version: &Version) -> Option<String> {
        if !self.wanted.accepts(version) {
            return Some(format!(
                "it is {version}, the spec asks for {}",
                self.wanted
            ));
        }
        self.component
            .minimum()
            .filter(|minimum| version < minimum)
            .map(|minimum| format!("it is {version}, {minimum} or newer is needed"))
    }

    /// The version to ask a source for that must be told exactly one.
    pub fn choose_version(&self, source: SourceKind) -> Result<String, Refusal> {
        let chosen = match &self.wanted {
            Wanted::Exact(version) => version.to_string(),
            Wanted::Any | Wanted::Prefix(_) => {
                let fits = |version: &Version| self.unfit(version).is_none();
                let pinned = self
                    .pins
                    .newest(self.name, source, &self.machine.platform, fits);
                let default = self.component.version.default.as_str();
                match pinned {
                    Some(pinned) => pinned.to_string(),
                    None if Version::parse(default).is_some_and(|v| fits(&v)) => default.into(),
                    None => {
                        return pass(
                            "",
                            format!(
                                "the spec asks for {}; this source needs a full version such as {default}",
                                self.wanted
                            ),
                        );
                    }
                }
            }
        };
        match Version::parse(&chosen).and_then(|v| self.unfit(&v)) {
            Some(reason) => pass("", reason),
            None => Ok(chosen),
        }
    }

    /// With `locked: true`, only what is pinned may be used.
    pub fn permit(
        &self,
        source: SourceKind,
        release: &str,
        coordinate: &str,
    ) -> Result<(), Refusal> {
        if self.context.policy.locked && self.pins.get(&self.key(source, release)).is_none() {
            let platform = &self.machine.platform;
            return pass(
                coordinate,
                format!(
                    "observe.lock has no pin for {release} on {platform}, and components.locked allows only what is pinned"
                ),
            );
        }
        Ok(())
    }

    /// Stops when what the source publishes is not what was pinned.
    pub fn compare(
        &self,
        source: SourceKind,
        release: &str,
        published: &Checksums,
        by: &str,
    ) -> Result<(), ComponentError> {
        lock::compare(&self.pins, &self.key(source, release), published, by)
    }

    /// Asks a program for its version; remembered per file.
    pub fn version_of(&self, program: &Path) -> Result<Version, String> {
        let output = self.memo.version_output(program, || {
            tool::version_output(
                self.machine
                    .command(program)
                    .args(&self.component.version.arguments),
            )
        })?;
        Version::from_output(&output)
            .ok_or_else(|| format!("{} does not say its version", program.display()))
    }

    /// Puts a delivery into the cache after its programs were seen to be there and to run.
    pub fn place(&self, delivery: Delivery) -> Result<Entry, Refusal> {
        for (name, path) in &delivery.programs {
            let program = delivery.tree.join(path);
            if !is_executable(&program) {
                return pass(
                    &delivery.coordinate,
                    format!("it holds no program {} for {name}", path.display()),
                );
            }
            if self.component.version.arguments.is_empty() {
                continue;
            }
            match self.version_of(&program) {
                Ok(version) if Version::parse(&delivery.version) == Some(version.clone()) => {}
                Ok(version) => {
                    let expected = &delivery.version;
                    return pass(
                        &delivery.coordinate,
                        format!("{name} in it says that it is {version}, not {expected}"),
                    );
                }
                Err(reason) => return pass(&delivery.coordinate, format!("{name}: {reason}")),
            }
        }
        self.machine.faults.write(self.name).map_err(|e| {
            super::error::cache_error("place a component in", &self.context.cache, e)
        })?;
        Ok(self.shelf.place(delivery, &self.machine.platform)?)
    }

    /// A cache entry as the answer, pinned when `pin` is asked for.
    pub fn installed(
        &self,
        entry: &Entry,
        cached: bool,
        pin: bool,
    ) -> Result<Installed, ComponentError> {
        let manifest = &entry.manifest;
        if pin {
            lock::pin(
                &self.context.lock_file,
                &self.context.cache,
                self.key(entry.source, &manifest.release),
                &manifest.published,
            )?;
        }
        let main = self.component.main();
        let key = self.key(entry.source, &manifest.release);
        let settled =
            pin || manifest.published.is_empty() || self.pins.has(&key, &manifest.published);
        Ok(Installed {
            name: self.name.into(),
            version: manifest.version.clone(),
            source: entry.source,
            cached,
            settled,
            coordinate: manifest.coordinate.clone(),
            verification: manifest.verification.clone(),
            programs: entry.program_paths(),
            digest: manifest
                .programs
                .get(main)
                .map(|p| p.sha256.clone())
                .unwrap_or_default(),
            passed_over: Vec::new(),
        })
    }

    /// Programs outside the cache as the answer.
    pub fn found(
        &self,
        source: SourceKind,
        version: &str,
        programs: BTreeMap<String, PathBuf>,
        why: &str,
    ) -> Result<Installed, String> {
        let main = programs
            .get(self.component.main())
            .cloned()
            .unwrap_or_default();
        let digest = self
            .memo
            .sha256(&main)
            .map_err(|e| format!("cannot read {}: {e}", main.display()))?;
        Ok(Installed {
            name: self.name.into(),
            version: version.into(),
            source,
            cached: false,
            settled: true,
            coordinate: main.display().to_string(),
            verification: super::Verification::Unverified { why: why.into() },
            programs,
            digest,
            passed_over: Vec::new(),
        })
    }
}
