//! Which process holds a TCP port of this machine.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::proc;

/// A port that is taken, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub port: u16,
    /// Address that wants it.
    pub wanted_by: String,
    /// `None`: held by a process of another user, whose files this user may not see.
    pub holder: Option<(u32, String)>,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "port {} (for {}) is taken by ",
            self.port, self.wanted_by
        )?;
        match &self.holder {
            Some((pid, name)) => write!(f, "{name} (pid {pid})"),
            None => write!(f, "a process of another user"),
        }
    }
}

/// Whether somebody listens on the port of the loopback interface.
pub fn is_taken(port: u16) -> bool {
    // Another error (a port below 1024 that this user may not open) is not somebody else's doing;
    // the process that wants it says it better.
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// Who listens there.
pub fn holder(port: u16) -> Option<(u32, String)> {
    let inodes: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|text| listening(&text, port))
        .collect();
    let wanted: Vec<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if wanted.is_empty() {
        return None;
    }
    proc::pids().find_map(|pid| {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let holds = entries.flatten().any(|entry| {
            std::fs::read_link(entry.path()).is_ok_and(|link| {
                wanted
                    .iter()
                    .any(|socket| link.as_os_str() == socket.as_str())
            })
        });
        holds.then(|| {
            (
                pid,
                proc::stat(pid).map_or_else(|| "?".to_owned(), |stat| stat.name),
            )
        })
    })
}

/// Socket inodes of the listeners on a port in `/proc/net/tcp` (state 0A is `TCP_LISTEN`).
pub fn listening(text: &str, port: u16) -> Vec<u64> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let local = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
            (local == port && *fields.get(3)? == "0A")
                .then(|| fields.get(9)?.parse().ok())
                .flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_taken(port));
        assert_eq!(holder(port).unwrap().0, std::process::id());
        drop(listener);
        assert!(!is_taken(port));
        assert_eq!(holder(port), None);
    }

    #[test]
    fn only_listeners_on_the_port_count() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1\n\
            1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1\n\
            2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1\n";
        assert_eq!(listening(text, 8080), [111]);
        assert_eq!(listening("garbage", 1), Vec::<u64>::new());
    }
}
