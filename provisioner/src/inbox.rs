//! `kai-observe inbox` stands in on this machine for PagerDuty Events v2, Slack incoming webhooks, a
//! mail relay and a dead man's switch. It refuses what they refuse, keeps on disk what arrived, and
//! shows it as a page, as JSON and as a stream of lines.
//!
//! What was proven with its help was proven against a stand-in: the judges (`pagerduty`, `slack`,
//! `smtp::session`, `heartbeat`) are written from the vendors' published rules, not from their code.

pub mod client;
pub mod facts;
pub mod filter;
pub mod follow;
pub mod heartbeat;
pub mod mail;
pub mod message;
pub mod pagerduty;
pub mod redact;
pub mod server;
pub mod slack;
pub mod smtp;
pub mod store;
pub mod time;

use std::io;
use std::net::SocketAddr;

pub use client::{Client, list, wait_for};
pub use facts::Facts;
pub use filter::Filter;
pub use follow::{Ended, FollowOptions, Followed, Output, follow, follow_to};
pub use heartbeat::Heartbeat;
pub use message::{Channel, Kind, Message, Status, Verdict};
pub use server::{MailLimits, Running, ServeOptions, VendorRules, serve, start};
pub use store::{Retention, StoreError};

/// Why an inbox could not run or be asked.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    #[error("listening for {what} on {address}: {source}")]
    Bind {
        what: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("starting the writing thread: {0}")]
    Thread(io::Error),
    #[error("waiting for signals: {0}")]
    Signals(io::Error),
    #[error("not the address of a server: {0}; expected http://host:port")]
    Address(String),
    #[error("asking the inbox at {url}: {reason}; is it running? `kai-observe status` tells")]
    Unreachable { url: String, reason: String },
    #[error("the inbox at {url} answered {status}: {reason}")]
    Answered {
        url: String,
        status: reqwest::StatusCode,
        reason: String,
    },
    #[error("what answers at {url} is not an inbox: {reason}")]
    NotAnInbox { url: String, reason: String },
    #[error("printing: {0}")]
    Printing(io::Error),
}
