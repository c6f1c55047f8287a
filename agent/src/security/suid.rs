//! Files with the set-user-ID or set-group-ID bit: whoever runs one has the rights of its owner or
//! group. A new one is how an intruder comes back as root.

use rustix::fs::FileType;

use super::check::{Check, Context, Coverage, Items, Outcome, shown};
use super::integrity::hash;
use super::pace::Pace;
use super::walk::{Fences, Unknown, walk};
use crate::exposition::{Kind, Page};

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
/// More than any set-user-ID program has.
const LARGEST: u64 = 256 << 20;
/// A tree with more is no machine's; what is beyond is counted.
const MOST: usize = 10_000;

pub struct Suid;

impl Check for Suid {
    fn run(&mut self, context: &Context, page: &mut Page) -> Outcome {
        let settings = &context.settings;
        let fences = Fences::new(&*context.node, &settings.suid.exclude);
        let mut files = Pace::new(settings.max_files_per_second);
        let mut bytes = Pace::new(settings.max_bytes_per_second);
        let mut coverage = Coverage::default();
        let mut unknown = Unknown::default();
        let mut items = Items::new();
        let (mut users, mut groups) = (0_u64, 0_u64);
        let mut found = 0;
        for start in &settings.suid.paths {
            let mut visit = |met: &super::walk::Met<'_>, coverage: &mut Coverage| {
                let mode = met.stat.st_mode;
                if !met.is(FileType::RegularFile) || mode & (SET_USER | SET_GROUP) == 0 {
                    return;
                }
                users += u64::from(mode & SET_USER != 0);
                groups += u64::from(mode & SET_GROUP != 0);
                let path = shown(met.path);
                if items.len() >= MOST && !items.contains_key(&path) {
                    coverage.skip(&path, super::check::Reason::Limit);
                    return;
                }
                let content = hash::content(met, LARGEST, &mut bytes, &context.progress, coverage);
                let (user, group) = (met.stat.st_uid, met.stat.st_gid);
                items.insert(
                    path,
                    format!(
                        "mode={:04o} uid={user} gid={group} {content}",
                        mode & 0o7777
                    ),
                );
            };
            found += usize::from(walk(
                context,
                start,
                &fences,
                &mut files,
                &mut coverage,
                &mut unknown,
                &mut visit,
            ));
        }
        if context.progress.stopped() {
            return Outcome::failed("stopped before the walk was done");
        }
        if found == 0 {
            return Outcome::failed(format!(
                "none of the folders is there: {}",
                settings.suid.paths.join(", ")
            ));
        }
        let mut family = page.family(
            "kai_security_suid_files",
            "Files with the set-user-ID or the set-group-ID bit.",
            Kind::Gauge,
        );
        family.sample(&[("bit", b"setgid")], groups as f64);
        family.sample(&[("bit", b"setuid")], users as f64);
        drop(family);
        Outcome {
            coverage,
            seen: Some(items),
            unknown,
            ..Outcome::default()
        }
    }
}
