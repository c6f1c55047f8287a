//! Asks the kernel for its TCP sockets by netlink.

use std::io;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::procfs::inet_diag::{self, Socket};
use crate::procfs::netlink::Progress;

/// The kernel fills datagrams of at most this size for a list.
const DATAGRAM: usize = 32 << 10;

/// Hands over all TCP sockets of an address family.
pub fn tcp_sockets(family: u8, socket: &mut dyn FnMut(Socket)) -> io::Result<()> {
    let link = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(
        &link,
        &inet_diag::request(family, 1),
        SendFlags::empty(),
        &kernel,
    )?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let (_, length) = rustix::net::recv(&link, &mut buffer[..], RecvFlags::TRUNC)?;
        let Some(datagram) = buffer.get(..length) else {
            return Err(io::Error::other(
                "a list of sockets that is larger than it may be",
            ));
        };
        let progress = inet_diag::parse(datagram, &mut *socket)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.message))?;
        match progress {
            Progress::Done => return Ok(()),
            Progress::Refused(errno) => return Err(io::Error::from_raw_os_error(errno)),
            // Sockets come and go while the list is written; it is no worse for that.
            Progress::More | Progress::Interrupted => {}
        }
    }
}
