//! Debian packages of a newer suite, unpacked without being installed: a private apt root whose
//! only source is the machine's own mirror with that suite. apt verifies the signature of the
//! package list, and the list holds each package's SHA-256. Nothing of the system is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

mod root;

use root::{Root, Tools, mirror};

use super::Verification;
use super::apt;
use super::catalogue::{Algorithm, DebianSource};
use super::digest::hash_file;
use super::error::{
    ChecksumDiffers, ComponentError, Refusal, cache_error, human_bytes, no_space, pass,
};
use super::guard::Guard;
use super::job::Job;
use super::lock::Checksums;
use super::machine::file_name;
use super::place::{Delivery, Entry};
use super::tool::{self, Finished};
use super::version::Version;
use crate::model::SourceKind;

const SOURCE: SourceKind = SourceKind::Debian;
const DEADLINE: Duration = Duration::from_mins(15);
/// Package lists younger than this are not fetched again.
const FRESH: Duration = Duration::from_hours(1);
/// One package as the signed list describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub file: String,
    pub size: u64,
    pub sha256: String,
}

/// The component from Debian packages.
pub fn obtain(job: &Job<'_>) -> Result<Entry, Refusal> {
    let Some(source) = &job.component.debian else {
        return pass("", "no coordinate");
    };
    let coordinate = format!("{} (suite {})", source.packages.join(", "), source.suite);
    let tools = Tools::find(job).or_else(|reason| pass(&coordinate, reason))?;
    if let Some(missing) = source.needs.iter().find(|p| !Path::new(p).exists()) {
        return pass(
            coordinate,
            format!(
                "the packaged program reads {missing}, which exists only where the package is installed"
            ),
        );
    }
    let nothing_pinned = job
        .pins
        .newest(job.name, SOURCE, &job.machine.platform, |_| true)
        .is_none();
    if job.context.policy.locked && nothing_pinned {
        job.permit(SOURCE, "any version", &coordinate)?;
    }
    let mirror = mirror(job).or_else(|reason| pass(&coordinate, reason))?;
    let root = Root::prepare(job, &tools, &mirror, &source.suite)?;
    let waiting = |holder: &str| job.state(&format!("waiting for {holder}, which is using apt"));
    let _guard = Guard::acquire(&job.context.cache, &root.name, &mut { waiting })?;
    let run = Run {
        job,
        tools: &tools,
        root: &root,
        coordinate: &coordinate,
    };
    run.update(false)?;
    match run.deliver(source) {
        // What the list names may have left the mirror since it was fetched.
        Err(Refusal::PassedOver { .. }) if run.update(true)? => run.deliver(source),
        other => other,
    }
}

/// One use of the private root, under its guard.
struct Run<'a> {
    job: &'a Job<'a>,
    tools: &'a Tools,
    root: &'a Root,
    coordinate: &'a str,
}

impl Run<'_> {
    fn apt(
        &self,
        program: &Path,
        args: &[&str],
        folder: &Path,
        on_tick: &mut dyn FnMut(Duration),
    ) -> Result<Finished, Refusal> {
        let mut command = self.job.machine.command(program);
        command
            .env("APT_CONFIG", &self.root.config)
            .current_dir(folder)
            .args(args);
        let finished = tool::run(&mut command, DEADLINE, &mut |_| {}, on_tick)
            .or_else(|e| pass(self.coordinate, format!("apt cannot be started: {e}")))?;
        if finished.no_space() {
            return Err(no_space(&self.job.context.cache, None).into());
        }
        Ok(finished)
    }

    /// Brings the package lists up to date; whether anything was fetched.
    fn update(&self, force: bool) -> Result<bool, Refusal> {
        let marker = self.root.marker();
        let age = fs::metadata(&marker)
            .and_then(|m| m.modified())
            .ok()
            .and_then(|t| SystemTime::now().duration_since(t).ok());
        // The second call comes right after a failure; lists just fetched would not differ.
        let limit = if force {
            Duration::from_secs(30)
        } else {
            FRESH
        };
        if age.is_some_and(|age| age < limit) {
            return Ok(false);
        }
        self.job.state("fetching Debian's package lists");
        let _ = fs::remove_file(&marker);
        let finished = self.apt(
            &self.tools.apt_get,
            &["-q", "update"],
            &self.root.folder,
            &mut |t| {
                self.job.state(&format!(
                    "fetching Debian's package lists, {} s",
                    t.as_secs()
                ));
            },
        )?;
        if !finished.success {
            return pass(
                self.coordinate,
                format!(
                    "the package lists could not be fetched: {}",
                    finished.reason()
                ),
            );
        }
        fs::write(&marker, "").map_err(|e| cache_error("write", &marker, e))?;
        Ok(true)
    }

    fn deliver(&self, source: &DebianSource) -> Result<Entry, Refusal> {
        let job = self.job;
        let packages = self.show(source)?;
        let Some(first) = packages.first() else {
            return pass(self.coordinate, "no package");
        };
        let release = first.version.clone();
        let coordinate = format!("{}={release} (suite {})", first.name, source.suite);
        let Some(version) = Version::parse(&release) else {
            return pass(coordinate, "its version is no version");
        };
        if let Some(reason) = job.unfit(&version) {
            return pass(coordinate, reason);
        }
        job.permit(SOURCE, &release, &coordinate)?;
        let published: Checksums = packages
            .iter()
            .map(|p| {
                (
                    file_name(Path::new(&p.file)),
                    format!("sha256:{}", p.sha256),
                )
            })
            .collect();
        job.compare(
            SOURCE,
            &release,
            &published,
            "Debian's signed package list says",
        )?;
        let work = job.shelf.workspace()?;
        let tree = work.path().join("tree");
        for folder in [&tree, &work.path().join("debs")] {
            fs::create_dir(folder).map_err(|e| cache_error("create folder", folder, e))?;
        }
        self.download(&packages, &work.path().join("debs"))?;
        for package in &packages {
            let deb = self.verified(package, &work.path().join("debs"))?;
            self.unpack(&deb, &tree)?;
        }
        let programs = source
            .programs
            .iter()
            .map(|(name, path)| (name.clone(), PathBuf::from(path)));
        job.place(Delivery {
            tree,
            version: version.to_string(),
            release,
            source: SOURCE,
            coordinate,
            published,
            verification: Verification::Published {
                by: "sha256 in Debian's signed package list".into(),
            },
            programs: programs.collect(),
        })
    }

    fn show(&self, source: &DebianSource) -> Result<Vec<Package>, Refusal> {
        let mut args = vec!["show", "--no-all-versions"];
        args.extend(source.packages.iter().map(String::as_str));
        let finished = self.apt(&self.tools.apt_cache, &args, &self.root.folder, &mut |_| {})?;
        let known = parse_packages(&finished.stdout);
        let mut packages = Vec::new();
        for name in &source.packages {
            let Some(package) = known.iter().find(|p| p.name == *name) else {
                let suite = &source.suite;
                return pass(
                    self.coordinate,
                    format!("the suite {suite} has no package {name}"),
                );
            };
            packages.push(package.clone());
        }
        Ok(packages)
    }

    fn download(&self, packages: &[Package], folder: &Path) -> Result<(), Refusal> {
        let job = self.job;
        let total: u64 = packages.iter().map(|p| p.size).sum();
        job.state(&format!("downloading {} of packages", human_bytes(total)));
        job.machine
            .faults
            .write(job.name)
            .map_err(|e| cache_error("write", folder, e))?;
        let wanted: Vec<String> = packages
            .iter()
            .map(|p| format!("{}={}", p.name, p.version))
            .collect();
        let mut args = vec!["-q", "download"];
        args.extend(wanted.iter().map(String::as_str));
        let finished = self.apt(&self.tools.apt_get, &args, folder, &mut |_| {
            job.context
                .progress
                .bytes(job.name, folder_size(folder).min(total), Some(total));
        })?;
        if finished.success {
            job.context.progress.bytes(job.name, total, Some(total));
            return Ok(());
        }
        pass(
            self.coordinate,
            format!("the packages could not be fetched: {}", finished.reason()),
        )
    }

    /// apt has compared the checksum already; this is the comparison that we vouch for.
    fn verified(&self, package: &Package, folder: &Path) -> Result<PathBuf, Refusal> {
        let prefix = format!("{}_", package.name);
        let deb = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|e| Some(e.ok()?.path()))
            .find(|p| file_name(p).starts_with(&prefix));
        let Some(deb) = deb else {
            return pass(
                self.coordinate,
                format!("apt fetched no file of {}", package.name),
            );
        };
        let found = hash_file(&deb, Algorithm::Sha256, &mut |_| {})
            .map_err(|e| cache_error("read", &deb, e))?;
        if found == package.sha256 {
            return Ok(deb);
        }
        Err(ComponentError::from(ChecksumDiffers {
            component: self.job.name.into(),
            file: file_name(&deb),
            expected_by: "Debian's signed package list says".into(),
            expected: format!("sha256:{}", package.sha256),
            found_by: "the download has".into(),
            found: format!("sha256:{found}"),
            advice: "nothing was installed; run again, and if it stays so, report the mirror"
                .into(),
        })
        .into())
    }

    fn unpack(&self, deb: &Path, tree: &Path) -> Result<(), Refusal> {
        self.job.state(&format!("unpacking {}", file_name(deb)));
        let mut command = self.job.machine.command(&self.tools.dpkg_deb);
        command.arg("-x").arg(deb).arg(tree);
        let finished = tool::run(&mut command, DEADLINE, &mut |_| {}, &mut |_| {})
            .or_else(|e| pass(self.coordinate, format!("dpkg-deb cannot be started: {e}")))?;
        if finished.no_space() {
            return Err(no_space(tree, None).into());
        }
        if finished.success {
            return Ok(());
        }
        pass(
            self.coordinate,
            format!(
                "{} cannot be unpacked: {}",
                file_name(deb),
                finished.reason()
            ),
        )
    }
}

/// Packages with all that is needed to fetch and judge them, from `apt-cache show`.
pub fn parse_packages(text: &str) -> Vec<Package> {
    apt::stanzas(text)
        .into_iter()
        .filter_map(|fields| {
            let field = |name: &str| fields.get(name).and_then(|l| l.first()).cloned();
            Some(Package {
                name: field("package")?,
                version: field("version")?,
                file: field("filename")?,
                size: field("size")?.parse().ok()?,
                sha256: field("sha256").filter(|s| s.len() == 64)?.to_lowercase(),
            })
        })
        .collect()
}

fn folder_size(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter_map(|f| f.metadata().ok())
        .map(|m| m.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_apt_cache_show() {
        let text = "Package: prometheus\nVersion: 3.5.3+ds1-6\nDepends: adduser, promtool,\n libc6\n\
            Filename: pool/main/p/prometheus/prometheus_3.5.3+ds1-6_amd64.deb\nSize: 18286304\n\
            SHA256: 593bcced02d8082688ea034dfc543848ad145c5f793aae5aad756c4dbdfa98da\n\n\
            Package: virtual\nVersion: 1\n";
        let packages = parse_packages(text);
        assert_eq!(packages.len(), 1);
        assert_eq!(packages[0].version, "3.5.3+ds1-6");
        assert_eq!(packages[0].size, 18_286_304);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = parse_packages(&text);
        }
    }
}
