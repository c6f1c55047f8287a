//! The real binary from outside: what it serves, refuses and survives.

mod admin;
mod cli;
mod collectors;
mod compare;
mod golden;
mod http;
mod passthrough;
mod reload;
mod support;
