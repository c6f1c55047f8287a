//! Is a reboot due: the distribution's own mark, and a kernel that is installed and newer than the
//! one that runs.

use super::check::{Check, Context, Coverage, Outcome, Reason};
use super::updates::version;
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};

/// Debian and Ubuntu; the second is the first where `/var/run` is a link.
const MARKS: [&str; 2] = ["run/reboot-required", "var/run/reboot-required"];

pub struct Reboot;

impl Check for Reboot {
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome {
        look(context, page).unwrap_or_else(Outcome::failed)
    }
}

fn look(context: &Context, page: &mut Page) -> Result<Outcome, String> {
    let node = &*context.node;
    let mut coverage = Coverage::default();
    let mut marked = false;
    for mark in MARKS {
        match node.version(Tree::Root, mark) {
            Ok(_) => marked = true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(format!(
                    "{}: {error}",
                    node.path(Tree::Root, mark).display()
                ));
            }
        }
    }
    coverage.examined += 1;
    page.single(
        "node_reboot_required",
        "Node reboot is required for software updates.",
        Kind::Gauge,
        f64::from(u8::from(marked)),
    );
    let mut text = Vec::new();
    node.read(Tree::Proc, "sys/kernel/osrelease", &mut text)
        .map_err(|error| {
            let path = node.path(Tree::Proc, "sys/kernel/osrelease");
            format!("{}: {error}", path.display())
        })?;
    let running = String::from_utf8_lossy(text.trim_ascii()).into_owned();
    let installed = installed(node, &mut coverage);
    let newest = newest(&running, &installed);
    // In a container there is none; then nothing is known, which is not "up to date".
    if let Some(newest) = newest {
        page.single(
            "kai_security_kernel_outdated",
            "Whether a kernel is installed that is newer than the one that runs; absent where no \
             kernel of its kind is installed.",
            Kind::Gauge,
            f64::from(u8::from(newest != running)),
        );
        let labels = [
            ("newest", newest.as_bytes()),
            ("running", running.as_bytes()),
        ];
        page.family(
            "kai_security_kernel_info",
            "The kernel that runs and the newest of its kind that is installed.",
            Kind::Gauge,
        )
        .sample(&labels, 1.0);
    }
    context.progress.step();
    Ok(Outcome {
        coverage,
        ..Outcome::default()
    })
}

/// Releases of the kernels on the disk.
fn installed(node: &dyn Node, coverage: &mut Coverage) -> Vec<String> {
    let mut releases = Vec::new();
    match node.list(Tree::Root, "boot") {
        Ok(names) => {
            coverage.examined += 1;
            let images = names
                .iter()
                .filter_map(|name| name.strip_prefix("vmlinuz-"));
            releases.extend(images.map(str::to_owned));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => coverage.skip("/boot", Reason::of(&error)),
    }
    // Fedora and Arch keep the image beside its modules.
    for release in node.list(Tree::Root, "usr/lib/modules").unwrap_or_default() {
        let image = format!("usr/lib/modules/{release}/vmlinuz");
        if node.version(Tree::Root, &image).is_ok() {
            releases.push(release);
        }
    }
    releases
}

/// The newest installed kernel of the running one's kind (`-cloud-amd64` does not follow `-amd64`).
fn newest(running: &str, installed: &[String]) -> Option<String> {
    installed
        .iter()
        .filter(|release| kind(release) == kind(running))
        .max_by(|a, b| version::compare(a.as_bytes(), b.as_bytes()))
        .map(|newest| {
            let older = version::compare(newest.as_bytes(), running.as_bytes()).is_lt();
            if older {
                running.to_owned()
            } else {
                newest.clone()
            }
        })
}

/// What is left of a release without its numbers: `-amd64` and `.el9_.x86_64` stay comparable.
fn kind(release: &str) -> String {
    let start = release.find(|c: char| c.is_ascii_alphabetic());
    let tail = start.map_or("", |at| &release[at..]);
    tail.chars().filter(char::is_ascii_alphabetic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_its_kind() {
        let all =
            |names: &[&str]| -> Vec<String> { names.iter().map(|n| (*n).to_owned()).collect() };
        let debian = all(&["6.1.0-9-amd64", "6.1.0-25-amd64", "6.1.0-30-cloud-amd64"]);
        assert_eq!(newest("6.1.0-9-amd64", &debian).unwrap(), "6.1.0-25-amd64");
        assert_eq!(newest("6.1.0-25-amd64", &debian).unwrap(), "6.1.0-25-amd64");
        let alma = all(&["5.14.0-427.el9.x86_64", "5.14.0-503.11.1.el9_5.x86_64"]);
        assert_eq!(
            newest("5.14.0-427.el9.x86_64", &alma).unwrap(),
            "5.14.0-503.11.1.el9_5.x86_64"
        );
        // One that was built here and is newer than all that is installed.
        assert_eq!(newest("7.0.0-1-amd64", &debian).unwrap(), "7.0.0-1-amd64");
        assert_eq!(newest("6.1.0-arch1", &debian), None);
        assert_eq!(newest("6.1.0-9-amd64", &[]), None);
    }
}
