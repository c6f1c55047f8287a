//! Asks the kernel for its network devices by netlink. One socket per question: it is cheap, and
//! nothing of an unfinished answer is left over for the next one.

use std::io;

use rustix::fd::OwnedFd;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::procfs::net_dev::Device;
use crate::procfs::netlink::{self, Progress};

/// The kernel fills datagrams of at most this size for a list.
const DATAGRAM: usize = 32 << 10;

/// A list that changes while it is written is asked for again, this often.
const ATTEMPTS: u32 = 4;

/// Adds all devices to `into`.
pub fn read(into: &mut Vec<Device>) -> io::Result<()> {
    let before = into.len();
    for attempt in 1..=ATTEMPTS {
        into.truncate(before);
        match ask(attempt, into)? {
            Progress::Done => return Ok(()),
            Progress::Refused(errno) => return Err(io::Error::from_raw_os_error(errno)),
            Progress::More | Progress::Interrupted => {}
        }
    }
    // Devices come and go without a pause; the last list is whole but not of one moment.
    Ok(())
}

fn ask(sequence: u32, into: &mut Vec<Device>) -> io::Result<Progress> {
    // Protocol 0 of netlink is NETLINK_ROUTE.
    let socket: OwnedFd = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(
        &socket,
        &netlink::request(sequence),
        SendFlags::empty(),
        &kernel,
    )?;
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let (_, length) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::TRUNC)?;
        let Some(datagram) = buffer.get(..length) else {
            // MSG_TRUNC told the real size: read again with room for it.
            buffer.resize(length, 0);
            return Ok(Progress::Interrupted);
        };
        let progress = netlink::parse(datagram, into)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.message))?;
        if progress != Progress::More {
            return Ok(progress);
        }
    }
}
