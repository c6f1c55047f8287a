//! kai-observe: one file says what to observe; the running systems are made to agree with it, and
//! prove that they do.

pub mod apply;
pub mod cli;
pub mod clock;
pub mod components;
pub mod dashboards;
pub mod drill;
pub mod events;
pub mod fault;
pub mod http;
pub mod inbox;
pub mod layout;
pub mod lease;
pub mod lines;
pub mod model;
pub mod object;
pub mod plan;
pub mod progress;
pub mod receipts;
pub mod render;
pub mod resource;
pub mod spec;
pub mod systems;
pub mod validate;
pub mod verify;
pub mod world;
