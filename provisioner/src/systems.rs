//! The systems that hold a stack's resources. Each reads what is there and writes what should be.

pub mod alertmanager;
pub mod api;
pub mod elasticsearch;
pub mod file;
pub mod grafana;
pub mod jaeger;
pub mod java;
pub mod kibana;
pub mod objects;
pub mod ports;
pub mod proc;
pub mod process;
pub mod prometheus;
pub mod rest;
pub mod secret;
pub mod user;
