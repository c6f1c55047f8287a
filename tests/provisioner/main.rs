//! Tests of the kai-observe program: its parts, the command line, and (in `stack/`) real systems
//! end to end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod cli;
mod components;
mod dashboards;
mod elasticsearch;
mod event;
mod grafana;
mod harness;
mod inbox;
mod kibana;
mod kubernetes;
mod render;
mod rules;
#[path = "../servers.rs"]
#[expect(dead_code, reason = "one file for the tests of both programs")]
mod servers;
mod spec;
#[path = "../stack/main.rs"]
mod stack;
mod standins;
