//! The log lane: what is written into files against what Elasticsearch has in the end.

mod budget;
mod cluster;
mod disk;
mod elastic;
pub mod fake;
mod faults;
mod filebeat;
mod files;
mod hostile;
mod intake;
mod isolation;
mod journald;
mod letters;
mod many;
mod parts;
mod pods;
mod promise;
mod proxy;
mod readers;
mod rotation;
pub mod runner;
mod shape;
mod window;
mod writer;
