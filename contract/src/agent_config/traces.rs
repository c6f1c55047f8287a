//! The trace lane: OTLP in, OTLP out to Jaeger (or any OTLP receiver).

use serde::{Deserialize, Serialize};

/// `traces:` of the agent's configuration. Changes of the addresses need a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Traces {
    /// Address of the OTLP/gRPC receiver, usually port 4317.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<String>,
    /// Address of the OTLP/HTTP receiver (protobuf and JSON), usually port 4318.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// `http://host:port` of the OTLP/gRPC endpoint that spans are sent to.
    pub endpoint: String,
    /// Bytes of spans that wait at most; what comes on top is refused or dropped, counted.
    #[serde(default = "default_memory_bytes")]
    pub memory_bytes: u64,
    /// Spans of one batch at most.
    #[serde(default = "default_batch_spans")]
    pub batch_spans: u32,
    /// Milliseconds that a span waits for others at most.
    #[serde(default = "default_batch_delay_ms")]
    pub batch_delay_ms: u64,
}

fn default_memory_bytes() -> u64 {
    16 << 20
}

fn default_batch_spans() -> u32 {
    512
}

fn default_batch_delay_ms() -> u64 {
    200
}
