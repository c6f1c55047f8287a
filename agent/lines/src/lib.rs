//! A line becomes a document: it is checked, its time and level are read, what must not leave the
//! node is taken out of it, and what it lacks is added. Bytes in, bytes out: no I/O, no clock, no
//! thread.
//!
//! A crate of its own because this is what runs over every byte that passes: it is compiled for
//! speed, where the rest of the agent is compiled for size.

pub mod about;
pub mod document;
pub mod field_budget;
pub mod fingerprint;
pub mod json;
pub mod level;
pub mod marks;
pub mod parse;
pub mod privacy;
pub mod time;
