//! Datagrams that the kernel dropped because the receive buffer was full, from `/proc/net/udp`
//! (proc_net(5)): the last column of the socket's line, which is found by its inode.

use std::fs;
use std::os::fd::AsFd;

/// Since the socket was opened; `None` where it cannot be had.
pub fn of(socket: impl AsFd) -> Option<u64> {
    let inode = rustix::fs::fstat(socket).ok()?.st_ino;
    ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .find_map(|file| drops(&fs::read(file).ok()?, inode))
}

/// Of the socket with this inode.
pub fn drops(text: &[u8], inode: u64) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_it = columns.get(9)?.parse() == Ok(inode);
        is_it.then(|| columns.get(12)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sockets_drops_are_found_by_its_inode() {
        let text = b"   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n  500: 00000000:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1234 2 0000000000000000 17\n";
        assert_eq!(drops(text, 1234), Some(17));
        assert_eq!(drops(text, 1), None);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(of(&socket), Some(0));
    }
}
