//! The real binary from outside: what it serves, refuses and survives.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test fails by panicking; the values compared are whole numbers"
)]

mod admin;
mod business;
mod cli;
mod collectors;
mod compare;
mod dbus;
mod discovery;
mod gate;
mod golden;
mod http;
mod logs;
mod otlp_metrics;
mod passthrough;
mod postgres;
mod probes;
mod reload;
mod remote_write;
mod round;
mod security;
#[path = "../servers.rs"]
mod servers;
mod spoiled;
mod support;
mod traces;
