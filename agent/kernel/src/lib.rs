//! Two system calls for which there is no safe library, and nothing else: this is the only crate of
//! the project with `unsafe` in it, so that every other one can forbid it.

pub mod code;
pub mod ethtool;
