//! The mail server that stands in for a relay: ESMTP by RFC 5321, small and strict. The protocol is
//! a machine without I/O (`session`); `server` gives it sockets, time and the store.

pub mod address;
pub mod data;
pub mod server;
pub mod session;
