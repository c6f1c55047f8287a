//! What no safe library has: two system calls, and the vector instructions that look at bytes. This
//! is the only crate of the project with `unsafe` in it, so that every other one can forbid it.

pub mod bytes;
pub mod code;
pub mod ethtool;
