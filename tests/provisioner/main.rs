//! placeholder
mod components;
