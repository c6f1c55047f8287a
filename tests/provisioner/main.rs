//! Tests of the kai-observe program: the command line, and (in `stack/`) real systems end to end.

mod harness;
mod spec;
#[path = "../stack/main.rs"]
mod stack;
