//! Gives the pages of code that only the start needed back: most of what a small program has in
//! memory is code, and most of that ran once (command line, configuration, patterns, relocations).

#![expect(unsafe_code, reason = "no safe library has this system call")]

use std::ffi::c_void;
use std::io;
use std::ops::Range;

use rustix::mm::{Advice, madvise};

/// Unmaps the code and the constants of this process' files, as far as nothing has written to them.
/// Whatever is needed again the kernel maps again from the same file. Says how many bytes it was
/// asked to let go.
pub fn give_back() -> io::Result<usize> {
    let ranges = untouched(&std::fs::read_to_string("/proc/self/smaps")?);
    let mut total = 0;
    for range in ranges {
        let length = range.end - range.start;
        let start = std::ptr::without_provenance_mut::<c_void>(range.start);
        // SAFETY: the range is a mapping of a file that cannot be written to and of which no page
        // was ever changed (`untouched`), so each byte of it is the file's. After DontNeed a read
        // finds the file's bytes again, which are the same: the kernel refuses to write to a file
        // that is being executed, and a library that is replaced is another file.
        unsafe { madvise(start, length, Advice::LinuxDontNeed) }?;
        total += length;
    }
    Ok(total)
}

/// The ranges in `/proc/<pid>/smaps` that are mapped from a file, not writable, private, and without
/// a page that differs from the file.
fn untouched(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some(key) = first.strip_suffix(':') {
            match (key, words.next()) {
                ("Anonymous" | "Private_Dirty" | "Shared_Dirty" | "Swap" | "Locked", Some("0")) => {
                }
                ("Anonymous" | "Private_Dirty" | "Shared_Dirty" | "Swap" | "Locked", _) => {
                    candidate = None;
                }
                // The last row of a mapping.
                ("VmFlags", _) => found.extend(candidate.take()),
                _ => {}
            }
            continue;
        }
        let range = first.split_once('-').and_then(|(start, end)| {
            let address = |text| usize::from_str_radix(text, 16).ok();
            Some(address(start)?..address(end)?)
        });
        let permissions = words.next();
        let file = words.nth(3);
        candidate = range.filter(|range| {
            matches!(permissions, Some("r-xp" | "r--p"))
                && file.is_some_and(|file| file.starts_with('/'))
                && range.start < range.end
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_wrote_to_is_given_back() {
        let mapping = |range: &str, permissions: &str, file: &str, dirty: u32| {
            format!(
                "{range} {permissions} 00000000 fe:00 12 {file}\nSize: 4 kB\nRss: 4 kB\nAnonymous: \
                 {dirty} kB\nPrivate_Dirty: {dirty} kB\nVmFlags: rd ex mr mw me\n"
            )
        };
        let smaps = [
            mapping("1000-2000", "r--p", "/usr/bin/a", 0),
            mapping("2000-3000", "r-xp", "/usr/bin/a", 0),
            mapping("3000-4000", "r--p", "/usr/bin/a", 4), // relocated
            mapping("4000-5000", "rw-p", "/usr/bin/a", 0),
            mapping("5000-6000", "r-xp", "[vdso]", 0),
            mapping("6000-7000", "r--s", "/x", 0),
            mapping("7000-8000", "r-xp", "", 0),
        ]
        .concat();
        assert_eq!(untouched(&smaps), [0x1000..0x2000, 0x2000..0x3000]);
        assert_eq!(untouched("nonsense\nx-y r-xp 0 0 0 /a\nVmFlags: rd\n"), []);
    }

    #[test]
    fn the_process_goes_on_with_what_it_gave_back() {
        let before = format!("{:?}", std::env::args().collect::<Vec<_>>());
        for _ in 0..3 {
            assert!(give_back().unwrap() > 100_000);
            assert_eq!(
                format!("{:?}", std::env::args().collect::<Vec<_>>()),
                before
            );
        }
        let panicked = std::panic::catch_unwind(|| assert_eq!(before.len(), 0));
        assert!(
            panicked.is_err(),
            "unwinding reads tables that were given back"
        );
    }
}
