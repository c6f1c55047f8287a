//! Official release archives: the vendor's own file with the checksum the vendor publishes beside
//! it. A mirror holds the same files as `<mirror>/<component>/<version>/<file>`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Verification;
use super::catalogue::{Algorithm, fill};
use super::digest::{SumsError, find_sum, hash_file};
use super::download::{self, Base, FetchError};
use super::error::{ChecksumDiffers, ComponentError, Refusal, cache_error, human_bytes, pass};
use super::job::Job;
use super::lock::Checksums;
use super::machine::file_name;
use super::place::{Delivery, Entry};
use super::unpack::{self, UnpackError};
use crate::model::SourceKind;

const SOURCE: SourceKind = SourceKind::Archive;

/// The component from its official archive or the mirror of it.
pub fn obtain(job: &Job<'_>) -> Result<Entry, Refusal> {
    let Some(source) = &job.component.archive else {
        return pass("", "no coordinate");
    };
    let platform = &job.machine.platform;
    let version = job.choose_version(SOURCE)?;
    let file = fill(&source.file, &version, platform);
    let folder = match job.mirror(SOURCE) {
        Some(mirror) => Base::parse(mirror, job.spec_folder())
            .map(|base| base.join(&format!("{}/{version}", job.name))),
        None => Base::parse(&fill(&source.folder, &version, platform), job.spec_folder()),
    };
    let folder = folder.or_else(|reason| pass("", reason))?;
    let from = folder.join(&file);
    let coordinate = from.to_string();
    if !source
        .platforms
        .contains(&format!("{}-{}", platform.os, platform.arch))
    {
        return pass(coordinate, format!("there is no archive for {platform}"));
    }
    job.permit(SOURCE, &version, &coordinate)?;
    job.state(&format!("asking for {coordinate}"));
    let sums = folder.join(&fill(&source.sums, &version, platform));
    let published = published(job, &version, &sums, &file, source.algorithm, &coordinate)?;
    let Some(sum) = published.get(&file) else {
        return pass(coordinate, "no checksum");
    };
    let by = format!(
        "{} of {file} as published beside it",
        source.algorithm.word()
    );
    let fetched = Fetched {
        job,
        from: &from,
        coordinate: &coordinate,
        file: &file,
    };
    let archive = fetched.verified(source.algorithm, sum)?;
    let mut programs = program_paths(job, &source.programs, &version);
    let work = job.shelf.workspace()?;
    let tree = work.path().join("tree");
    fetched.unpack(&archive, &tree)?;
    for path in programs.values_mut() {
        *path = below_top_folder(&tree, path);
    }
    let entry = job.place(Delivery {
        tree,
        version: version.clone(),
        release: version,
        source: SOURCE,
        coordinate: coordinate.clone(),
        published,
        verification: Verification::Published { by },
        programs,
    });
    download::discard(&archive);
    entry
}

/// The checksum that the vendor publishes, compared with the pin. A mirror without the list of
/// checksums does when the checksum is pinned already.
fn published(
    job: &Job<'_>,
    version: &str,
    sums: &Base,
    file: &str,
    algorithm: Algorithm,
    coordinate: &str,
) -> Result<Checksums, Refusal> {
    let pinned = job
        .pins
        .get(&job.key(SOURCE, version))
        .filter(|p| p.get(file).is_some_and(|c| c.starts_with(algorithm.word())));
    let text = match (download::text(sums), pinned) {
        (Ok(text), _) => text,
        (Err(FetchError::Absent(_)), Some(pinned)) => return Ok(pinned.clone()),
        (Err(FetchError::Absent(why)), _) => {
            return pass(coordinate, format!("no checksums at {sums}: {why}"));
        }
        (Err(FetchError::Unavailable(why)), _) => return pass(coordinate, why),
        (Err(FetchError::Stop(error)), _) => return Err(error.into()),
    };
    let sum = match find_sum(&text, file, algorithm) {
        Ok(sum) => sum,
        Err(e @ SumsError::Absent(_)) => return pass(coordinate, format!("{sums} {e}")),
        Err(e @ SumsError::Ambiguous(_)) => return pass(coordinate, format!("{sums} {e}")),
    };
    let published: Checksums = [(file.to_string(), format!("{}:{sum}", algorithm.word()))].into();
    job.compare(SOURCE, version, &published, &format!("{sums} says"))?;
    Ok(published)
}

/// A file on its way from a source to the cache; also used for mirrors of Maven repositories.
pub struct Fetched<'a> {
    pub job: &'a Job<'a>,
    pub from: &'a Base,
    pub coordinate: &'a str,
    pub file: &'a str,
}

impl Fetched<'_> {
    /// Downloads and compares with `sum` (`algorithm:hex`). A mismatch after a resumed download is
    /// tried once more from the beginning, because a wrong join looks the same as a wrong file.
    pub fn verified(&self, algorithm: Algorithm, sum: &str) -> Result<PathBuf, Refusal> {
        let folder = self.job.shelf.downloads()?;
        let partial = folder.join(format!("{}.partial", self.file));
        let complete = folder.join(self.file);
        loop {
            let resumed = self.download(&partial)?;
            self.job.state(&format!("verifying {}", self.file));
            let found = hash_file(&partial, algorithm, &mut |_| {})
                .map_err(|e| cache_error("read", &partial, e))?;
            let found = format!("{}:{found}", algorithm.word());
            if found.eq_ignore_ascii_case(sum) {
                std::fs::rename(&partial, &complete)
                    .map_err(|e| cache_error("write", &complete, e))?;
                download::discard(&partial);
                return Ok(complete);
            }
            download::discard(&partial);
            if resumed {
                self.job.context.progress.note(
                    self.job.name,
                    &format!(
                        "the resumed download of {} does not fit together; starting again",
                        self.file
                    ),
                );
                continue;
            }
            return Err(ComponentError::from(ChecksumDiffers {
                component: self.job.name.into(),
                file: self.coordinate.into(),
                expected_by: "published is".into(),
                expected: sum.into(),
                found_by: "the download has".into(),
                found,
                advice: "the download was removed and nothing was installed; run again in case a \
                         proxy damaged it, and if it stays so, report it to whoever runs that source"
                    .into(),
            })
            .into());
        }
    }

    fn download(&self, partial: &Path) -> Result<bool, Refusal> {
        let job = self.job;
        let mut said: Option<Instant> = None;
        job.state(&format!("downloading {}", self.file));
        let result = download::file(self.from, partial, &mut |done, total| {
            job.machine.faults.write(job.name)?;
            // A terminal is not redrawn for every packet.
            if said.is_none_or(|at| at.elapsed() > Duration::from_millis(100))
                || Some(done) == total
            {
                said = Some(Instant::now());
                job.context.progress.bytes(job.name, done, total);
            }
            Ok(())
        });
        match result {
            Ok(resumed) => Ok(resumed),
            Err(FetchError::Absent(why) | FetchError::Unavailable(why)) => {
                pass(self.coordinate, why)
            }
            Err(FetchError::Stop(error)) => Err(error.into()),
        }
    }

    /// Unpacks into `tree`. An archive that tries to leave it stops the run.
    pub fn unpack(&self, archive: &Path, tree: &Path) -> Result<(), Refusal> {
        let job = self.job;
        let mut said = Instant::now();
        job.state(&format!("unpacking {}", self.file));
        let result = unpack::unpack(archive, tree, &mut |written| {
            job.machine.faults.write(job.name)?;
            if said.elapsed() > Duration::from_millis(250) {
                said = Instant::now();
                job.state(&format!(
                    "unpacking {}, {}",
                    self.file,
                    human_bytes(written)
                ));
            }
            Ok(())
        });
        match result {
            Ok(()) => Ok(()),
            Err(UnpackError::Io(e)) => {
                download::discard(archive);
                Err(cache_error("unpack into", tree, e).into())
            }
            Err(UnpackError::Damaged(why)) => {
                download::discard(archive);
                pass(self.coordinate, format!("it cannot be unpacked: {why}"))
            }
            Err(UnpackError::Unsafe { entry, why }) => {
                download::discard(archive);
                let (component, file) = (job.name.into(), file_name(archive));
                Err(ComponentError::UnsafeArchive {
                    component,
                    file,
                    entry,
                    why,
                }
                .into())
            }
        }
    }
}

/// A path that begins with `*` lies in the archive's one top folder: some vendors change how they
/// name it from release to release.
fn below_top_folder(tree: &Path, path: &Path) -> PathBuf {
    let Ok(rest) = path.strip_prefix("*") else {
        return path.to_owned();
    };
    let mut folders = std::fs::read_dir(tree).into_iter().flatten().flatten();
    match (folders.next(), folders.next()) {
        (Some(top), None) => Path::new(&top.file_name()).join(rest),
        // Not one: the path as it is names what is missing.
        _ => path.to_owned(),
    }
}

/// Program → path with the version filled in.
pub fn program_paths(
    job: &Job<'_>,
    programs: &BTreeMap<String, String>,
    version: &str,
) -> BTreeMap<String, PathBuf> {
    let fill = |path: &String| PathBuf::from(fill(path, version, &job.machine.platform));
    programs
        .iter()
        .map(|(name, path)| (name.clone(), fill(path)))
        .collect()
}
