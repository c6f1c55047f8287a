//! The log lane: what is written into files against what Elasticsearch has in the end.

mod elastic;
mod fake;
mod faults;
mod files;
mod promise;
mod proxy;
mod runner;
mod shape;
