//! How the other threads wake the reader: an eventfd, so that one `poll` waits for them and for
//! what happens in the folders.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

#[derive(Debug)]
pub struct Wake(OwnedFd);

impl Wake {
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(
            0,
            EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC,
        )?))
    }

    /// Makes the next, or the present, wait end.
    pub fn wake(&self) {
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes()); // full means woken already
    }

    /// Waits for [`Self::wake`] or for something to read from `other`.
    pub fn wait(&self, limit: Duration, other: Option<BorrowedFd<'_>>) {
        let mut fds = vec![PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        fds.extend(other.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let limit = Timespec {
            tv_sec: limit.as_secs() as i64,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        let _ = poll(&mut fds, Some(&limit)); // an interrupted wait is a short one
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.0, &mut count);
    }
}
