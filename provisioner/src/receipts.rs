//! What the inbox says has arrived, as far as proofs and drills ask it.

use std::time::Duration;

use crate::inbox::{Channel, Client, Filter, Heartbeat, Message, Status};
use crate::render::local;

#[derive(Debug, Clone)]
pub struct Receipts {
    client: Client,
}

impl Receipts {
    pub fn new(port: u16) -> Result<Self, String> {
        let client = Client::new(&local(port, "/")).map_err(|error| error.to_string())?;
        Ok(Self { client })
    }

    /// Accepted notices that carry this drill id, oldest first.
    pub async fn of_drill(&self, drill_id: &str) -> Result<Vec<Message>, String> {
        self.with_id(drill_id, true).await
    }

    /// Why the last notice with this drill id was refused, if one was.
    pub async fn refused(&self, drill_id: &str) -> Result<Option<String>, String> {
        let refused = self.with_id(drill_id, false).await?;
        Ok(refused
            .last()
            .map(|message| message.verdict.reasons().join("; ")))
    }

    async fn with_id(&self, drill_id: &str, accepted: bool) -> Result<Vec<Message>, String> {
        let filter = Filter {
            accepted: Some(accepted),
            drill_id: Some(drill_id.to_owned()),
            ..Filter::default()
        };
        let page = self.client.after(&filter, 0, Duration::ZERO).await;
        page.map(|page| page.messages)
            .map_err(|error| error.to_string())
    }

    pub async fn heartbeat(&self, name: &str) -> Result<Option<Heartbeat>, String> {
        let all = self
            .client
            .heartbeats()
            .await
            .map_err(|error| error.to_string())?;
        Ok(all.into_iter().find(|one| one.name == name))
    }
}

/// The notice says that the alert has ended.
pub fn is_resolved(message: &Message) -> bool {
    message.closes() || message.facts.status == Some(Status::Resolved)
}

/// The inbox's channel for a channel of the spec.
pub fn arrived_by(message: &Message, channel: crate::model::Channel) -> bool {
    message.channel == Channel::from(channel)
}
