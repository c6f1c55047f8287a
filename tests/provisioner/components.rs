//! The component chain against sources that a test controls: an HTTP server that breaks on demand,
//! folders as mirrors, a signed Debian repository, a Go proxy in a folder. Real sources are used by
//! the tests of the stack, and here with KAI_REAL_COMPONENTS=1.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

mod archive;
mod concurrent;
mod debian;
mod go;
mod local;
mod maven;
mod policy;
mod real;
pub mod server;
pub mod support;
