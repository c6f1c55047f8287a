//! Tests of the kai-observe program: its parts, the command line, and (in `stack/`) real systems
//! end to end.

mod components;
mod harness;
mod inbox;
mod spec;
#[path = "../stack/main.rs"]
mod stack;
