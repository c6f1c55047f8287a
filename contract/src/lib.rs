//! What kai-agent and kai-observe must agree on. No I/O, no async, no clock.

pub mod agent_config;
pub mod business;
pub mod exit;
pub mod expression;
pub mod go_regex;
pub mod log_fields;
pub mod signals;
