//! Asks the kernel for its network devices by netlink. The socket is used again as long as its
//! answers end as they should; after any other end a new one is opened, so that nothing of an
//! unfinished answer is left over for the next question.

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

/// A socket between two questions.
#[derive(Debug, Default)]
pub struct LinkSocket {
    socket: Option<OwnedFd>,
    /// Number of the last question.
    sequence: u32,
    buffer: Vec<u8>,
}

impl LinkSocket {
    /// Adds all devices to `into`.
    pub fn read(&mut self, into: &mut Vec<Device>) -> io::Result<()> {
        let before = into.len();
        for _ in 0..ATTEMPTS {
            into.truncate(before);
            // A socket that was open may have been broken by what happened since.
            let used = self.socket.is_some();
            match self.ask(into) {
                Ok(Progress::Done) => return Ok(()),
                Ok(Progress::Refused(errno)) => return Err(io::Error::from_raw_os_error(errno)),
                Ok(Progress::More | Progress::Interrupted) => {}
                Err(_) if used => {}
                Err(error) => return Err(error),
            }
        }
        // Devices come and go without a pause; the last list is whole but not of one moment.
        Ok(())
    }

    fn ask(&mut self, into: &mut Vec<Device>) -> io::Result<Progress> {
        // Put back only after an answer that is complete.
        let socket = match self.socket.take() {
            Some(socket) => socket,
            // Protocol 0 of netlink is NETLINK_ROUTE.
            None => rustix::net::socket_with(
                AddressFamily::NETLINK,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                None,
            )?,
        };
        self.sequence = self.sequence.wrapping_add(1);
        rustix::net::sendto(
            &socket,
            &netlink::request(self.sequence),
            SendFlags::empty(),
            &SocketAddrNetlink::new(0, 0), // the kernel
        )?;
        self.buffer.resize(self.buffer.len().max(DATAGRAM), 0);
        loop {
            let (_, length) = rustix::net::recv(&socket, &mut self.buffer[..], RecvFlags::TRUNC)?;
            let Some(datagram) = self.buffer.get(..length) else {
                // MSG_TRUNC told the real size: ask again with room for it.
                self.buffer.resize(length, 0);
                return Ok(Progress::Interrupted);
            };
            let progress = netlink::parse(datagram, into)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.message))?;
            match progress {
                Progress::More => {}
                Progress::Done => {
                    self.socket = Some(socket);
                    return Ok(progress);
                }
                Progress::Interrupted | Progress::Refused(_) => return Ok(progress),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_socket_answers_again_and_again() {
        let mut links = LinkSocket::default();
        for _ in 0..3 {
            let mut devices = Vec::new();
            links.read(&mut devices).unwrap();
            assert!(devices.iter().any(|device| device.name == "lo"));
            assert!(links.socket.is_some());
        }
    }

    #[test]
    fn a_socket_that_is_none_is_replaced() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let mut links = LinkSocket {
            socket: Some(file.into()),
            ..LinkSocket::default()
        };
        let mut devices = Vec::new();
        links.read(&mut devices).unwrap();
        assert!(!devices.is_empty());
    }
}
