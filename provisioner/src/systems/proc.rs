//! What the kernel says of the processes on this machine. Parsers are pure; reading is beside them.

use std::path::Path;

/// Marks in the environment of a process that this program started.
pub const OWNER: &str = "KAI_OBSERVE_OWNER";
/// The folder of the stack, so that a copy of the same spec elsewhere is another stack.
pub const STACK: &str = "KAI_OBSERVE_STACK";
pub const ADDRESS: &str = "KAI_OBSERVE_ADDRESS";
/// Digest of program, arguments and environment.
pub const LAUNCH: &str = "KAI_OBSERVE_LAUNCH";

/// One process that carries our marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub pid: u32,
    /// Clock ticks after boot; with the pid it names a process for good.
    pub started: u64,
    pub address: String,
    pub launch: String,
    /// Resident memory in bytes, with that of the processes it started.
    pub resident: u64,
}

impl Found {
    /// What a plan says of it, so that a recycled pid is not taken for it.
    pub fn identity(&self) -> String {
        format!("pid {} since {}", self.pid, self.started)
    }
}

/// Fields of `/proc/<pid>/stat`, proc_pid_stat(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub name: String,
    pub state: char,
    pub session: u32,
    pub started: u64,
    pub resident_pages: u64,
}

/// The name may hold spaces and brackets: it ends at the last `)`.
pub fn parse_stat(text: &str) -> Option<Stat> {
    let open = text.find('(')?;
    let close = text.rfind(')')?;
    let name = text.get(open + 1..close)?.to_owned();
    let fields: Vec<&str> = text.get(close + 1..)?.split_ascii_whitespace().collect();
    Some(Stat {
        name,
        state: fields.first()?.chars().next()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        resident_pages: fields.get(21)?.parse().ok()?,
    })
}

/// The value of a variable in `/proc/<pid>/environ`.
pub fn variable<'a>(environ: &'a [u8], name: &str) -> Option<&'a str> {
    environ.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        std::str::from_utf8(value).ok()
    })
}

/// Every living process of this stack. A zombie is dead; a child that inherited the marks leads no
/// session and is not counted.
pub fn find(owner: &str, stack: &Path) -> Vec<Found> {
    let stack = stack.to_string_lossy();
    let mut out: Vec<Found> = pids()
        .filter_map(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            if variable(&environ, OWNER)? != owner || variable(&environ, STACK)? != stack {
                return None;
            }
            let stat = stat(pid)?;
            if matches!(stat.state, 'Z' | 'X' | 'x') || stat.session != pid {
                return None;
            }
            Some(Found {
                pid,
                started: stat.started,
                address: variable(&environ, ADDRESS)?.to_owned(),
                launch: variable(&environ, LAUNCH).unwrap_or_default().to_owned(),
                resident: stat.resident_pages * rustix::param::page_size() as u64,
            })
        })
        .collect();
    for found in &mut out {
        found.resident += members(found)
            .iter()
            .filter(|member| member.pid != found.pid)
            .map(|member| member.resident)
            .sum::<u64>();
    }
    out.sort_by_key(|found| (found.address.clone(), found.started, found.pid));
    out
}

/// Every living process of the session that `found` leads or led, itself included. The kernel gives
/// a session's number to no other process while one of its members lives; the marks say that it is
/// that session.
pub fn members(found: &Found) -> Vec<Found> {
    pids()
        .filter_map(|pid| {
            let stat = stat(pid).filter(|stat| stat.session == found.pid && is_living(stat))?;
            let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let same = variable(&environ, ADDRESS)? == found.address
                && variable(&environ, LAUNCH)? == found.launch;
            same.then(|| Found {
                pid,
                started: stat.started,
                resident: stat.resident_pages * rustix::param::page_size() as u64,
                ..found.clone()
            })
        })
        .collect()
}

/// Processes of this stack at `address` whose session has lost its leader: what a server that was
/// killed had started, and which still holds its ports and its locks.
pub fn remnants(owner: &str, stack: &Path, address: &str) -> Vec<Found> {
    let folder = stack.to_string_lossy();
    pids()
        .filter_map(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let ours = variable(&environ, OWNER)? == owner
                && variable(&environ, STACK)? == folder
                && variable(&environ, ADDRESS)? == address;
            let stat = stat(pid).filter(|stat| ours && is_living(stat))?;
            let led = self::stat(stat.session).is_some_and(|leader| is_living(&leader));
            (!led).then(|| Found {
                pid,
                started: stat.started,
                address: address.to_owned(),
                launch: variable(&environ, LAUNCH).unwrap_or_default().to_owned(),
                resident: 0,
            })
        })
        .collect()
}

fn is_living(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X' | 'x')
}

/// Owner and folder of the stack that a process belongs to; `None` when it carries no marks, or is
/// another user's.
pub fn stack_of(pid: u32) -> Option<(String, String)> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    Some((
        variable(&environ, OWNER)?.to_owned(),
        variable(&environ, STACK)?.to_owned(),
    ))
}

/// What a process was started with, its name first.
pub fn arguments(pid: u32) -> Vec<String> {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect()
}

/// The process is still the one that was found.
pub fn alive(found: &Found) -> bool {
    stat(found.pid)
        .is_some_and(|stat| stat.started == found.started && !matches!(stat.state, 'Z' | 'X' | 'x'))
}

pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Seconds that a process has run, by the kernel's clock.
pub fn age(found: &Found) -> Option<f64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    Some((uptime - found.started as f64 / rustix::param::clock_ticks_per_second() as f64).max(0.0))
}

pub fn pids() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "4242 (a) b (c) Z 1 4242 4242 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 9 0 987654 1000 77 18446744073709551615";
        let stat = parse_stat(text).unwrap();
        assert_eq!(stat.name, "a) b (c");
        assert_eq!((stat.state, stat.session), ('Z', 4242));
        assert_eq!((stat.started, stat.resident_pages), (987_654, 77));
    }

    #[test]
    fn our_own_stat_is_read() {
        assert!(stat(std::process::id()).is_some_and(|stat| stat.started > 0));
    }

    #[test]
    fn a_variable_is_matched_by_its_whole_name() {
        let environ = b"XKAI=no\0KAI=yes\0KAIX=no\0";
        assert_eq!(variable(environ, "KAI"), Some("yes"));
        assert_eq!(variable(environ, "KA"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(text in "\\PC{0,80}", bytes in proptest::collection::vec(0u8.., 0..80)) {
            let _ = parse_stat(&text);
            let _ = variable(&bytes, "A");
        }
    }
}
