//! Files of cgroups, of both versions (the kernel's cgroup-v2.rst and cgroup-v1/), and the names
//! that container engines give to cgroups.

use super::text::{ParseError, fields, lines, number, quote};

/// Hands over each line of a name and a number: `cpu.stat`, `memory.stat`, `memory.events`,
/// `cpuacct.stat`.
pub fn pairs(text: &[u8], mut pair: impl FnMut(&[u8], u64)) -> Result<(), ParseError> {
    for (line, content) in lines(text) {
        let mut words = fields(content);
        let (Some(name), Some(value)) = (words.next(), words.next()) else {
            return Err(ParseError::new(
                line,
                format!("{} is not a name and a number", quote(content)),
            ));
        };
        let value = number(value).ok_or_else(|| {
            ParseError::new(
                line,
                format!("{} is {}, not a 64-bit number", quote(name), quote(value)),
            )
        })?;
        pair(name, value);
    }
    Ok(())
}

/// What a device did: bytes read and written, reads and writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Io {
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// Version 2's `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` by device number.
pub fn io_stat(text: &[u8]) -> Result<Vec<(String, Io)>, ParseError> {
    let mut devices = Vec::new();
    for (line, content) in lines(text) {
        let mut words = fields(content);
        let Some(device) = words.next() else {
            continue;
        };
        let mut io = Io::default();
        for word in words {
            let equals = word.iter().position(|byte| *byte == b'=');
            let Some(equals) = equals else {
                continue; // a device whose figures the kernel does not have
            };
            let slot = match &word[..equals] {
                b"rbytes" => &mut io.read_bytes,
                b"wbytes" => &mut io.written_bytes,
                b"rios" => &mut io.reads,
                b"wios" => &mut io.writes,
                _ => continue,
            };
            *slot = number(&word[equals + 1..])
                .ok_or_else(|| ParseError::new(line, format!("{} has no number", quote(word))))?;
        }
        devices.push((String::from_utf8_lossy(device).into_owned(), io));
    }
    Ok(devices)
}

/// Version 1's `blkio.throttle.*`: hands over device number, operation and number of each line.
pub fn blkio(text: &[u8], mut one: impl FnMut(&str, &[u8], u64)) -> Result<(), ParseError> {
    for (line, content) in lines(text) {
        let words: Vec<&[u8]> = fields(content).collect();
        let [device, operation, value] = words[..] else {
            continue; // the total of all devices
        };
        let value = number(value)
            .ok_or_else(|| ParseError::new(line, format!("{} has no number", quote(content))))?;
        one(&String::from_utf8_lossy(device), operation, value);
    }
    Ok(())
}

/// What a cgroup stands for, by its folder's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A container, by the engine's id.
    Container(String),
    /// A Kubernetes pod, by its UID.
    Pod(String),
}

/// What an engine puts before and after a container's id, with systemd as cgroup driver.
const PREFIXES: [&str; 5] = ["docker-", "cri-containerd-", "crio-", "libpod-", "nerdctl-"];

/// Of `docker-<id>.scope`, `<id>`, `kubepods-burstable-pod<uid>.slice`, `pod<uid>`.
pub fn owner(folder: &str) -> Option<Owner> {
    let name = folder
        .strip_suffix(".scope")
        .or_else(|| folder.strip_suffix(".slice"))
        .unwrap_or(folder);
    let bare = PREFIXES
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    if bare.len() == 64 && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(Owner::Container(bare.to_owned()));
    }
    let after = match name.rfind("-pod") {
        Some(at) if name.starts_with("kubepods") => &name[at + 4..],
        _ => name.strip_prefix("pod")?,
    };
    // systemd takes "-" for a level of its own, so the engine writes "_".
    let uid = after.replace('_', "-");
    let is_uid = matches!(uid.len(), 32 | 36)
        && uid
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uid.then_some(Owner::Pod(uid))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_cgroups() {
        let id = "0123456789abcdef".repeat(4);
        let container = Some(Owner::Container(id.clone()));
        for name in [
            id.clone(),
            format!("docker-{id}.scope"),
            format!("cri-containerd-{id}.scope"),
            format!("libpod-{id}.scope"),
        ] {
            assert_eq!(owner(&name), container, "{name}");
        }
        let uid = "1b2c3d4e-0000-1111-2222-333344445555";
        for name in [
            format!("pod{uid}"),
            format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_")),
            format!("kubepods-pod{}.slice", uid.replace('-', "_")),
        ] {
            assert_eq!(owner(&name), Some(Owner::Pod(uid.to_owned())), "{name}");
        }
        for other in [
            "system.slice",
            "cron.service",
            "kubepods.slice",
            "pods",
            "init.scope",
        ] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn figures() {
        let mut sum = 0;
        pairs(b"usage_usec 5\nuser_usec 3\n", |_, value| sum += value).unwrap();
        assert_eq!(sum, 8);
        assert_eq!(pairs(b"a 1\nb\n", |_, _| ()).unwrap_err().line, 2);
        let io =
            io_stat(b"8:0 rbytes=90112 wbytes=0 rios=3 wios=1 dbytes=0 dios=0\n7:0 \n").unwrap();
        assert_eq!((io[0].1.read_bytes, io[0].1.writes), (90112, 1));
        assert_eq!(io_stat(b"8:0 rbytes=x\n").unwrap_err().line, 1);
        let mut all = Vec::new();
        blkio(
            b"8:0 Read 5\n8:0 Write 6\nTotal 11\n",
            |device, operation, value| {
                all.push((device.to_owned(), operation.to_vec(), value));
            },
        )
        .unwrap();
        assert_eq!(all.len(), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200), name in "\\PC{0,80}") {
            let _ = pairs(&text, |_, _| ());
            let _ = io_stat(&text);
            let _ = blkio(&text, |_, _, _| ());
            let _ = owner(&name);
        }
    }
}
