//! Maven artifacts. Without a mirror the machine's own `mvn` fetches them, with its own settings
//! and with wrong checksums made an error; a mirror is read directly, as its layout is fixed:
//! `<mirror>/<group as folders>/<artifact>/<version>/<artifact>-<version>.<extension>`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Verification;
use super::archive::{Fetched, program_paths};
use super::catalogue::{Algorithm, MavenSource};
use super::digest::{find_sum, hash_file};
use super::download::{self, Base, FetchError};
use super::error::{ChecksumDiffers, ComponentError, Refusal, cache_error, no_space, pass};
use super::guard::Guard;
use super::java;
use super::job::Job;
use super::lock::{Checksums, is_checksum};
use super::place::{Delivery, Entry};
use super::tool;
use super::version::Version;
use crate::model::SourceKind;

const SOURCE: SourceKind = SourceKind::Maven;
const DEADLINE: Duration = Duration::from_mins(30);
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";

/// The component from a Maven repository.
pub fn obtain(job: &Job<'_>) -> Result<Entry, Refusal> {
    let Some(source) = &job.component.maven else {
        return pass("", "no coordinate");
    };
    let version = job.choose_version(SOURCE)?;
    let artifact = Artifact {
        job,
        source,
        version: &version,
        coordinate: format!(
            "{}:{}:{version}:{}",
            source.group, source.artifact, source.extension
        ),
        file: format!("{}-{version}.{}", source.artifact, source.extension),
    };
    job.permit(SOURCE, &version, &artifact.coordinate)?;
    if let Some(missing) = java_missing(job, &version) {
        return pass(&artifact.coordinate, missing);
    }
    let work = job.shelf.workspace()?;
    let (file, published, verification) = match job.mirror(SOURCE) {
        Some(mirror) => artifact.mirrored(mirror)?,
        None => artifact.by_client(work.path())?,
    };
    let tree = work.path().join("tree");
    let base = Base::Folder(file.clone());
    let (coordinate, name) = (artifact.coordinate.as_str(), artifact.file.as_str());
    Fetched {
        job,
        from: &base,
        coordinate,
        file: name,
    }
    .unpack(&file, &tree)?;
    let entry = job.place(Delivery {
        tree,
        programs: program_paths(job, &source.programs, &version),
        version: version.clone(),
        release: version.clone(),
        source: SOURCE,
        coordinate: artifact.coordinate.clone(),
        published,
        verification,
    });
    download::discard(&file);
    entry
}

/// Why this version cannot run on this machine for want of a Java, when it cannot.
pub fn java_missing(job: &Job<'_>, version: &str) -> Option<String> {
    let version = Version::parse(version)?;
    let oldest = job.component.maven.as_ref()?.java(&version)?;
    java::find(oldest, &job.machine.java, |_| true).err()
}

struct Artifact<'a> {
    job: &'a Job<'a>,
    source: &'a MavenSource,
    version: &'a str,
    coordinate: String,
    file: String,
}

type Got = (PathBuf, Checksums, Verification);

impl Artifact<'_> {
    /// Path below a repository, without the file.
    fn folder(&self) -> String {
        let group = self.source.group.replace('.', "/");
        format!("{group}/{}/{}", self.source.artifact, self.version)
    }

    fn mirrored(&self, mirror: &str) -> Result<Got, Refusal> {
        let job = self.job;
        let base = Base::parse(mirror, job.spec_folder()).or_else(|r| pass(&self.coordinate, r))?;
        let from = base.join(&format!("{}/{}", self.folder(), self.file));
        let mut reasons = Vec::new();
        for algorithm in [Algorithm::Sha512, Algorithm::Sha256] {
            let word = algorithm.word();
            let sums = base.join(&format!("{}/{}.{word}", self.folder(), self.file));
            let text = match download::text(&sums) {
                Ok(text) => text,
                Err(FetchError::Absent(why)) => {
                    reasons.push(format!("{word}: {why}"));
                    continue;
                }
                Err(FetchError::Unavailable(why)) => return pass(&self.coordinate, why),
                Err(FetchError::Stop(error)) => return Err(error.into()),
            };
            let sum = find_sum(&text, &self.file, algorithm)
                .or_else(|e| pass(&self.coordinate, format!("{sums} {e}")))?;
            let sum = format!("{word}:{sum}");
            let published: Checksums = [(self.file.clone(), sum.clone())].into();
            self.compare(&published, &format!("{sums} says"))?;
            let (coordinate, file) = (self.coordinate.as_str(), self.file.as_str());
            let fetched = Fetched {
                job,
                from: &from,
                coordinate,
                file,
            };
            let path = fetched.verified(algorithm, &sum)?;
            let by = format!("{word} of {file} as published beside it");
            return Ok((path, published, Verification::Published { by }));
        }
        pass(
            &self.coordinate,
            format!(
                "the mirror publishes no checksum that is strong enough ({})",
                reasons.join(", ")
            ),
        )
    }

    /// Two mirrors may publish different kinds of checksum; only the same kind can be compared.
    fn compare(&self, published: &Checksums, by: &str) -> Result<(), ComponentError> {
        let kind = |sums: &Checksums| {
            sums.get(&self.file)
                .and_then(|c| c.split_once(':'))
                .map(|(k, _)| k.to_string())
        };
        let pinned = self.job.pins.get(&self.job.key(SOURCE, self.version));
        if pinned.is_some_and(|pinned| kind(pinned) != kind(published)) {
            return Err(ComponentError::from(ChecksumDiffers {
                component: self.job.name.into(),
                file: self.file.clone(),
                expected_by: "observe.lock pins".into(),
                expected: pinned
                    .and_then(|p| p.get(&self.file))
                    .cloned()
                    .unwrap_or_default(),
                found_by: by.into(),
                found: published.get(&self.file).cloned().unwrap_or_default(),
                advice: "they are of different kinds, so nothing can be said; use the repository \
                         that it was pinned from, or remove the entry from observe.lock"
                    .into(),
            }));
        }
        self.job.compare(SOURCE, self.version, published, by)
    }

    fn by_client(&self, work: &Path) -> Result<Got, Refusal> {
        let job = self.job;
        let Some(mvn) = job.machine.which("mvn") else {
            return pass(&self.coordinate, "mvn is not on PATH");
        };
        // A repository of our own: the user's is neither filled nor trusted. Maven 3 does not lock.
        let repository = job.context.cache.join("maven");
        let _guard = Guard::acquire(&job.context.cache, "maven", &mut |holder| {
            job.state(&format!("waiting for {holder}, which is using mvn"));
        })?;
        job.machine
            .faults
            .write(job.name)
            .map_err(|e| cache_error("write", work, e))?;
        let client = Client {
            artifact: self,
            mvn,
            repository: &repository,
            work,
        };
        let checked = self.fetch(&client)?;
        let path = work.join(&self.file);
        if !path.is_file() {
            return pass(&self.coordinate, format!("mvn copied no {}", self.file));
        }
        let got = if checked {
            self.judge(&client, &path)
        } else {
            Ok(self.unverified())
        };
        // The plug-in stays for the next time; the artifact is about to be in the cache.
        let _ = fs::remove_dir_all(repository.join(self.folder()));
        let (published, verification) = got?;
        Ok((path, published, verification))
    }

    /// Whether the client could compare a checksum. A repository without any is taken, and what
    /// comes from it called unverified: neither pinned nor allowed where only pinned ones are.
    fn fetch(&self, client: &Client<'_>) -> Result<bool, Refusal> {
        match client.copy(&self.source.extension, true) {
            Ok(()) => Ok(true),
            Err(Refusal::PassedOver { reason, .. })
                if reason.contains("no checksums available") && !self.job.context.policy.locked =>
            {
                client.copy(&self.source.extension, false).map(|()| false)
            }
            Err(other) => Err(other),
        }
    }

    fn unverified(&self) -> (Checksums, Verification) {
        let why = format!("the repository publishes no checksum of {}", self.file);
        (Checksums::new(), Verification::Unverified { why })
    }

    /// The client has compared SHA-1 or MD5, whichever the repository has, and refuses a wrong one.
    /// A SHA-512 beside the artifact is fetched too and compared here.
    fn judge(
        &self,
        client: &Client<'_>,
        path: &Path,
    ) -> Result<(Checksums, Verification), Refusal> {
        let word = Algorithm::Sha512.word();
        let extension = format!("{}.{word}", self.source.extension);
        if client.copy(&extension, true).is_ok()
            && let Ok(text) = fs::read_to_string(client.work.join(format!("{}.{word}", self.file)))
            && let Ok(sum) = find_sum(&text, &self.file, Algorithm::Sha512)
        {
            let sum = format!("{word}:{sum}");
            let published: Checksums = [(self.file.clone(), sum.clone())].into();
            self.compare(&published, "the repository publishes")?;
            let found = hash_file(path, Algorithm::Sha512, &mut |_| {})
                .map_err(|e| cache_error("read", path, e))?;
            let found = format!("{word}:{found}");
            if found != sum {
                return Err(ComponentError::from(ChecksumDiffers {
                    component: self.job.name.into(),
                    file: self.file.clone(),
                    expected_by: "the repository publishes".into(),
                    expected: sum,
                    found_by: "the download has".into(),
                    found,
                    advice: "nothing was installed; run again, and if it stays so, report it to \
                             whoever runs the repository"
                        .into(),
                })
                .into());
            }
            let by = format!("{word} of {} as published beside it", self.file);
            return Ok((published, Verification::Published { by }));
        }
        let sha1 = client
            .repository
            .join(self.folder())
            .join(format!("{}.sha1", self.file));
        let text = fs::read_to_string(&sha1).unwrap_or_default();
        let sum = format!(
            "sha1:{}",
            text.split_whitespace()
                .next()
                .unwrap_or_default()
                .to_lowercase()
        );
        if !is_checksum(&sum) {
            return pass(&self.coordinate, "its repository publishes no checksum");
        }
        let published: Checksums = [(self.file.clone(), sum)].into();
        self.compare(&published, "the repository publishes")?;
        let by = format!(
            "sha1 of {} as published beside it, compared by mvn",
            self.file
        );
        Ok((published, Verification::Published { by }))
    }
}

/// `mvn` at work for one artifact.
struct Client<'a> {
    artifact: &'a Artifact<'a>,
    mvn: PathBuf,
    repository: &'a Path,
    work: &'a Path,
}

impl Client<'_> {
    /// Copies the artifact with this extension into the work folder. When `strict`, a checksum
    /// that differs or is not there is an error.
    fn copy(&self, extension: &str, strict: bool) -> Result<(), Refusal> {
        let Artifact {
            job,
            source,
            version,
            coordinate,
            ..
        } = self.artifact;
        let what = format!("{}:{}:{version}:{extension}", source.group, source.artifact);
        let mut command = job.machine.command(&self.mvn);
        command
            .current_dir(self.work)
            .args(["-q", "-B", if strict { "-C" } else { "-c" }])
            .arg(format!("-Dmaven.repo.local={}", self.repository.display()))
            .arg(COPY)
            .arg(format!("-Dartifact={what}"))
            .arg(format!("-DoutputDirectory={}", self.work.display()))
            .arg("-Dmdep.useBaseVersion=true");
        let finished = tool::run(&mut command, DEADLINE, &mut |_| {}, &mut |t| {
            job.state(&format!("fetching {what} with mvn, {} s", t.as_secs()));
        })
        .or_else(|e| pass(coordinate, format!("mvn cannot be started: {e}")))?;
        // Maven says what went wrong on standard output.
        let said = tool::Finished {
            tail: tool::plain(&finished.stdout)
                .lines()
                .chain(finished.tail.iter().map(String::as_str))
                .map(String::from)
                .collect(),
            ..finished
        };
        if said.no_space() {
            return Err(no_space(self.work, None).into());
        }
        if said.success {
            return Ok(());
        }
        pass(
            coordinate,
            format!("mvn could not fetch it: {}", said.reason()),
        )
    }
}
