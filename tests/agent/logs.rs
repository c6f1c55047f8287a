//! The log lane: what is written into files against what Elasticsearch has in the end.

mod elastic;
mod promise;
mod proxy;
mod runner;
