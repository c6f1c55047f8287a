//! kai-agent: one per node. Exports the node's metrics, passes applications' pages through and
//! keeps local output files small. `main.rs` reads the command line, [`app`] alone knows how the
//! parts are wired.

pub mod app;
pub mod business;
pub mod check;
pub mod cli;
pub mod collectors;
pub mod command;
pub mod config;
pub mod dbus;
pub mod dead_letters;
pub mod discovery;
pub mod drills;
pub mod durable;
pub mod exposition;
pub mod facts;
pub mod filebeat;
pub mod fuzz;
pub mod gate;
pub mod http;
pub mod kubernetes;
pub mod latency;
pub mod logging;
pub mod logs;
pub mod node;
pub mod otlp_metrics;
pub mod postgres;
pub mod privacy;
pub mod probes;
pub mod process;
pub mod procfs;
pub mod reload;
pub mod remote_write;
pub mod rotate;
pub mod samples;
pub mod scheduler;
pub mod scrape;
pub mod security;
pub mod self_metrics;
pub mod settings;
pub mod settle;
pub mod shutdown;
pub mod state;
pub mod tap;
pub mod traces;
