//! kai-observe: one file says what to observe; the running systems are made to agree with it, and
//! prove that they do.

pub mod components;
pub mod http;
pub mod inbox;
pub mod model;
pub mod progress;
pub mod spec;
pub mod validate;
