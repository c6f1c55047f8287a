//! Updates that wait, from dpkg's and apt's own files, without running apt (which would take its
//! locks). What apt would choose follows from the priorities of apt_preferences(5); where the
//! machine has preferences of its own, that is said as something that could not be looked at.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::check::{Check, Context, Coverage, Outcome, Reason};
use crate::exposition::{Kind, Page};

pub mod stanzas;
pub mod version;

const STATUS: &str = "var/lib/dpkg/status";
const LISTS: &str = "var/lib/apt/lists";
const PREFERENCES: [&str; 2] = ["etc/apt/preferences", "etc/apt/preferences.d"];
/// As apt_info.py chooses it, without asking apt's settings.
const STAMPS: [&str; 2] = [
    "var/lib/apt/periodic/update-success-stamp",
    "var/lib/apt/lists/partial",
];
/// Origins that have a series of their own.
const MOST_ORIGINS: usize = 30;

/// What tells whether anything changed since the last look: fifty megabytes are not read in vain.
type Stamp = Vec<Option<(std::time::SystemTime, u64)>>;

#[derive(Default)]
pub struct Updates {
    last: Option<(Stamp, Pending)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Pending {
    /// By origin and architecture.
    upgrades: BTreeMap<(String, String), u64>,
    held: BTreeMap<(String, String), u64>,
    security: u64,
    coverage: Coverage,
}

/// An installed package.
struct Installed {
    version: Vec<u8>,
    held: bool,
    /// The best found so far: priority, version, origin.
    best: Option<(i32, Vec<u8>, usize)>,
    /// Priority of the list that has the installed version.
    own: i32,
}

/// Where a list came from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    /// As apt_info.py writes it: `Debian:bookworm-security/stable-security`.
    name: String,
    priority: i32,
    security: bool,
}

impl Check for Updates {
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome {
        let root = &context.roots.root;
        if !root.join(STATUS).exists() {
            return Outcome::failed(without_dpkg(root));
        }
        let stamp = stamp(root);
        let pending = match &self.last {
            Some((before, pending)) if *before == stamp => pending.clone(),
            _ => match look(context, root) {
                Ok(pending) => {
                    self.last = Some((stamp, pending.clone()));
                    pending
                }
                Err(error) => {
                    self.last = None;
                    return Outcome::failed(error);
                }
            },
        };
        write(page, &pending, root);
        Outcome {
            coverage: pending.coverage,
            ..Outcome::default()
        }
    }
}

fn without_dpkg(root: &Path) -> String {
    let rpm = ["var/lib/rpm", "usr/lib/sysimage/rpm"];
    if rpm.iter().any(|folder| root.join(folder).exists()) {
        "this is an rpm distribution: which updates wait stands in no file that can be read without \
         dnf; run `dnf updateinfo` into a textfile of the textfile collector, and name `updates` in \
         security.disable"
            .to_owned()
    } else {
        format!(
            "{} is not there, and no rpm database either: no package manager that is known; name \
             `updates` in security.disable",
            root.join(STATUS).display()
        )
    }
}

fn stamp(root: &Path) -> Stamp {
    let paths = [STATUS, LISTS, PREFERENCES[0], PREFERENCES[1]];
    paths
        .iter()
        .map(|path| {
            let file = std::fs::metadata(root.join(path)).ok()?;
            Some((file.modified().ok()?, file.len()))
        })
        .collect()
}

fn look(context: &Context, root: &Path) -> Result<Pending, String> {
    let mut coverage = Coverage::default();
    let mut installed = installed(root)?;
    coverage.examined += 1;
    let mut origins = Vec::new();
    let folder = root.join(LISTS);
    let names = match std::fs::read_dir(&folder) {
        Ok(entries) => entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect::<Vec<_>>(),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let mut lists: Vec<&String> = names
        .iter()
        .filter(|name| name.contains("_Packages"))
        .collect();
    lists.sort();
    for name in lists {
        context.progress.step();
        if context.progress.stopped() {
            return Err("stopped before the look was done".to_owned());
        }
        origins.push(origin(&folder, name, &names));
        let read = open(&folder.join(name)).and_then(|file| {
            let file = Watched(file, &context.progress);
            candidates(
                BufReader::with_capacity(64 << 10, file),
                &mut installed,
                &origins,
            )
        });
        match read {
            Ok(()) => coverage.examined += 1,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                coverage.skip(name, Reason::Unsupported);
            }
            Err(error) => coverage.skip(format!("{name}: {error}"), Reason::of(&error)),
        }
    }
    if origins.is_empty() {
        return Err(format!(
            "{} has no lists of packages: `apt-get update` was never run, or the lists were removed",
            folder.display()
        ));
    }
    if coverage.examined < 2 {
        return Err(format!(
            "none of the lists in {} can be read: {}",
            folder.display(),
            coverage.named.join("; ")
        ));
    }
    if has_preferences(root) {
        coverage.skip(
            "/etc/apt/preferences: pins are not followed",
            Reason::Unsupported,
        );
    }
    Ok(pending(&installed, &origins, coverage))
}

/// Every installed package by name and architecture.
fn installed(root: &Path) -> Result<HashMap<Vec<u8>, Installed>, String> {
    let path = root.join(STATUS);
    let named = |error: io::Error| format!("{}: {error}", path.display());
    let file = File::open(&path).map_err(named)?;
    let mut installed = HashMap::new();
    let keys = ["Package", "Architecture", "Version", "Status"];
    stanzas::read(
        BufReader::new(file),
        keys,
        |[name, arch, version, status]| {
            // `install ok installed`: what is wanted, an error flag, what is.
            if status.ends_with(b" installed") {
                let package = Installed {
                    version: version.clone(),
                    held: status.starts_with(b"hold "),
                    best: None,
                    own: 100,
                };
                installed.insert(key(name, arch), package);
            }
            true
        },
    )
    .map_err(named)?;
    Ok(installed)
}

fn key(name: &[u8], arch: &[u8]) -> Vec<u8> {
    [name, b":", arch].concat()
}

/// Notes what a list has for the installed packages.
fn candidates(
    list: impl io::BufRead,
    installed: &mut HashMap<Vec<u8>, Installed>,
    origins: &[Origin],
) -> io::Result<()> {
    let at = origins.len() - 1;
    let priority = origins[at].priority;
    stanzas::read(
        list,
        ["Package", "Architecture", "Version"],
        |[name, arch, version]| {
            let Some(package) = installed.get_mut(&key(name, arch)) else {
                return true;
            };
            if *version == package.version {
                package.own = package.own.max(priority);
            }
            let better = package.best.as_ref().is_none_or(|(best, than, _)| {
                (priority, version::compare(version, than)) > (*best, std::cmp::Ordering::Equal)
            });
            if better {
                package.best = Some((priority, version.clone(), at));
            }
            true
        },
    )
}

fn pending(
    installed: &HashMap<Vec<u8>, Installed>,
    origins: &[Origin],
    coverage: Coverage,
) -> Pending {
    let mut pending = Pending {
        coverage,
        ..Pending::default()
    };
    for (key, package) in installed {
        let Some((priority, version, at)) = &package.best else {
            continue;
        };
        if *priority < package.own || version::compare(version, &package.version).is_le() {
            continue;
        }
        let arch = key.rsplit(|byte| *byte == b':').next().unwrap_or_default();
        let arch = String::from_utf8_lossy(arch).into_owned();
        let origin = &origins[*at];
        let label = (origin.name.clone(), arch);
        if package.held {
            *pending.held.entry(label.clone()).or_default() += 1;
        }
        *pending.upgrades.entry(label).or_default() += 1;
        pending.security += u64::from(origin.security);
    }
    pending
}

/// Origin and priority of a list, from the release file beside it.
fn origin(folder: &Path, list: &str, names: &[String]) -> Origin {
    // `<host>_<path>_dists_<suite>_<component>_binary-<arch>_Packages`, and the release file of the
    // whole suite is `<host>_<path>_dists_<suite>_InRelease`.
    let release = names
        .iter()
        .filter_map(|name| {
            let whole = name
                .strip_suffix("InRelease")
                .or_else(|| name.strip_suffix("Release"))?;
            list.starts_with(whole).then_some((whole.len(), name))
        })
        .max();
    let mut values: [Vec<u8>; 5] = Default::default();
    if let Some((_, name)) = release
        && let Ok(file) = File::open(folder.join(name))
    {
        let text = unsigned(file);
        let keys = [
            "Origin",
            "Codename",
            "Suite",
            "NotAutomatic",
            "ButAutomaticUpgrades",
        ];
        let _ = stanzas::read(&text[..], keys, |found| {
            values.clone_from(found);
            values[1..3].iter().all(Vec::is_empty) // the first that names a suite
        });
    }
    let [origin, codename, suite, not_automatic, upgrades] =
        values.map(|value| String::from_utf8_lossy(&value).into_owned());
    let yes = |text: &str| text.eq_ignore_ascii_case("yes");
    let priority = match (yes(&not_automatic), yes(&upgrades)) {
        (false, _) => 500,
        (true, true) => 100,
        (true, false) => 1,
    };
    Origin {
        security: list.contains("security")
            || suite.contains("security")
            || codename.contains("security"),
        name: format!("{origin}:{codename}/{suite}"),
        priority,
    }
}

/// A signed release file without the line and the header that the signature puts before it.
fn unsigned(file: File) -> Vec<u8> {
    let mut text = Vec::new();
    let _ = file.take(1 << 20).read_to_end(&mut text); // what was read is what there is
    let begin = b"-----BEGIN PGP SIGNED MESSAGE-----";
    if text.starts_with(begin) {
        let header = text
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .map_or(0, |at| at + 2);
        text.drain(..header);
    }
    if let Some(end) = memchr::memmem::find(&text, b"\n-----BEGIN PGP SIGNATURE-----") {
        text.truncate(end);
    }
    text
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    match path.extension().and_then(|ending| ending.to_str()) {
        None => Ok(Box::new(file)),
        Some("gz") => Ok(Box::new(flate2::read::MultiGzDecoder::new(file))),
        // `Acquire::GzipIndexes` with another compression.
        Some("lz4" | "xz" | "bz2" | "zst" | "lzma") => Err(io::ErrorKind::Unsupported.into()),
        // A dot in the name of a host or suite.
        Some(_) => Ok(Box::new(file)),
    }
}

/// Tells that it moves, and lets a thread that is told to stop do so.
struct Watched<'a>(Box<dyn Read>, &'a super::check::Progress);

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1.alive();
        if self.1.stopped() {
            return Err(io::Error::other("stopped before the look was done"));
        }
        self.0.read(into)
    }
}

fn has_preferences(root: &Path) -> bool {
    let [file, folder] = PREFERENCES.map(|path| root.join(path));
    let file = std::fs::metadata(file).is_ok_and(|file| file.len() > 0);
    file || std::fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        })
    })
}

fn write(page: &mut Page, pending: &Pending, root: &Path) {
    for (name, help, counts) in [
        (
            "apt_upgrades_pending",
            "Apt packages pending updates by origin",
            &pending.upgrades,
        ),
        (
            "apt_upgrades_held",
            "Apt packages pending updates but held back.",
            &pending.held,
        ),
    ] {
        let mut family = page.family(name, help, Kind::Gauge);
        if counts.is_empty() {
            family.sample(&[("arch", b""), ("origin", b"")], 0.0);
        }
        let mut others = 0;
        for (index, ((origin, arch), count)) in counts.iter().enumerate() {
            if index < MOST_ORIGINS {
                let labels = [("arch", arch.as_bytes()), ("origin", origin.as_bytes())];
                family.sample(&labels, *count as f64);
            } else {
                others += count;
            }
        }
        if others > 0 {
            family.sample(&[("arch", b"other"), ("origin", b"other")], others as f64);
        }
    }
    page.single(
        "kai_security_updates_pending",
        "Packages for which the distribution's security archive has an update.",
        Kind::Gauge,
        pending.security as f64,
    );
    let updated = STAMPS
        .iter()
        .find_map(|stamp| std::fs::metadata(root.join(stamp)).ok()?.modified().ok())
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    if let Some(updated) = updated {
        page.single(
            "apt_package_cache_timestamp_seconds",
            "Apt update last run time.",
            Kind::Gauge,
            updated.as_secs() as f64,
        );
    }
}
