//! Real systems, end to end: each test stands up a stack of its own through the component chain.

mod business;
mod crash;
mod dashboards;
mod elasticsearch;
mod faults;
mod figures;
mod gate;
mod intake;
mod life;
mod lifecycle;
mod neighbours;
mod ports;
mod readers;
mod traces;
mod traces_store;
