//! When certificates in files end. A certificate that ends unseen takes its service along.

use std::collections::BinaryHeap;
use std::io::Read as _;

use rustix::fs::FileType;

use super::check::{Check, Context, Coverage, Outcome, Reason, shown};
use super::pace::Pace;
use super::walk::{Fences, Met, Unknown, open_inside, walk};
use crate::exposition::{Kind, Page};

pub mod parse;

use parse::{Certificate, Content, parse};

/// A file of certificates has less; a bundle of all authorities has 220 KiB.
const LARGEST: u64 = 2 << 20;
/// Endings by which a file that cannot be read would have been one of certificates.
const ENDINGS: [&str; 6] = [".pem", ".crt", ".cer", ".der", ".cert", ".chain"];
const STORES: [&str; 5] = [".p12", ".pfx", ".jks", ".keystore", ".bks"];

pub struct Certificates;

struct Found {
    path: String,
    index: usize,
    certificate: Certificate,
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Found {}
impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Found {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |found: &Self| (found.certificate.not_after, found.path.clone(), found.index);
        key(self).cmp(&key(other))
    }
}

impl Check for Certificates {
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome {
        let settings = &context.settings;
        let fences = Fences::new(&*context.node, &settings.certificates.exclude);
        let mut files = Pace::new(settings.max_files_per_second);
        let mut bytes = Pace::new(settings.max_bytes_per_second);
        let mut coverage = Coverage::default();
        let mut unknown = Unknown::default();
        // Those that end first; the last of them is on top.
        let mut first: BinaryHeap<Found> = BinaryHeap::new();
        let mut total = 0_u64;
        let top = settings.certificates.top as usize;
        for start in &settings.certificates.paths {
            let mut visit = |met: &Met<'_>, coverage: &mut Coverage| {
                let mut keep = |index, certificate| {
                    total += 1;
                    first.push(Found {
                        path: shown(met.path),
                        index,
                        certificate,
                    });
                    if first.len() > top {
                        first.pop();
                    }
                };
                look(context, met, &mut bytes, coverage, &mut keep);
            };
            walk(
                context,
                start,
                &fences,
                &mut files,
                &mut coverage,
                &mut unknown,
                &mut visit,
            );
        }
        if context.progress.stopped() {
            return Outcome::failed("stopped before the look was done");
        }
        write(page, &first.into_sorted_vec(), total);
        // That none of the folders exists is a machine without certificates there.
        Outcome {
            coverage,
            unknown,
            ..Outcome::default()
        }
    }
}

fn look(
    context: &Context,
    met: &Met<'_>,
    bytes: &mut Pace,
    coverage: &mut Coverage,
    keep: &mut dyn FnMut(usize, Certificate),
) {
    // Only what is, or looks like, a certificate counts as a thing to look at.
    coverage.examined = coverage.examined.saturating_sub(1);
    let name = shown(met.path);
    let lower = name.to_ascii_lowercase();
    let looks_like_one = ENDINGS.iter().any(|ending| lower.ends_with(ending));
    let opened = if met.is(FileType::RegularFile) {
        met.open()
    } else if met.is(FileType::Symlink) {
        // `live/<name>/cert.pem` of certbot and the kubelet's current one are links.
        open_inside(&context.roots.root, met.path)
    } else {
        return;
    };
    if STORES.iter().any(|ending| lower.ends_with(ending)) {
        coverage.skip(name, Reason::Unsupported);
        return;
    }
    let read = opened.and_then(|file| {
        let stat = file.metadata()?;
        if !stat.is_file() {
            return Ok(None);
        }
        if stat.len() > LARGEST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let mut content = Vec::new();
        bytes.take(stat.len());
        file.take(LARGEST).read_to_end(&mut content)?;
        Ok(Some(content))
    });
    let content = match read {
        Ok(Some(content)) => content,
        Ok(None) => return,
        Err(error) => {
            if looks_like_one {
                coverage.skip(name, Reason::of(&error));
            }
            return;
        }
    };
    match parse(&content) {
        Content::Other if looks_like_one && content.starts_with(&[0x30]) => {
            coverage.skip(name, Reason::Malformed);
        }
        Content::Other => {}
        Content::Store(_) => coverage.skip(name, Reason::Unsupported),
        Content::Certificates(found) => {
            for (index, certificate) in found.into_iter().enumerate() {
                match certificate {
                    Ok(certificate) => {
                        coverage.examined += 1;
                        keep(index, certificate);
                    }
                    Err(reason) => coverage.skip(format!("{name}: {reason}"), Reason::Malformed),
                }
            }
        }
    }
}

fn write(page: &mut Page, found: &[Found], total: u64) {
    for (name, help, value) in [
        (
            "kai_security_certificate_not_after_timestamp_seconds",
            "When a certificate in a file ends; index counts those of one file, from 0.",
            (|c: &Certificate| c.not_after) as fn(&Certificate) -> i64,
        ),
        (
            "kai_security_certificate_not_before_timestamp_seconds",
            "When a certificate in a file begins.",
            |c| c.not_before,
        ),
    ] {
        let mut family = page.family(name, help, Kind::Gauge);
        for found in found {
            let index = found.index.to_string();
            family.sample(
                &[
                    ("filepath", found.path.as_bytes()),
                    ("index", index.as_bytes()),
                    ("issuer_CN", found.certificate.issuer.as_bytes()),
                    ("serial_number", found.certificate.serial.as_bytes()),
                    ("subject_CN", found.certificate.subject.as_bytes()),
                ],
                value(&found.certificate) as f64,
            );
        }
    }
    page.single(
        "kai_security_certificates",
        "Certificates found in files.",
        Kind::Gauge,
        total as f64,
    );
    page.single(
        "kai_security_certificates_without_series",
        "Certificates that end later than those that have a series.",
        Kind::Gauge,
        total.saturating_sub(found.len() as u64) as f64,
    );
}
