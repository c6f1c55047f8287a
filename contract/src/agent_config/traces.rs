//! The trace lane: OTLP in, OTLP out to Jaeger (or any OTLP receiver).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Problem;

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

impl Traces {
    /// A lane that sends to `endpoint`, everything else as it is when absent.
    pub fn to(endpoint: String) -> Self {
        Self {
            grpc: None,
            http: None,
            endpoint,
            memory_bytes: default_memory_bytes(),
            batch_spans: default_batch_spans(),
            batch_delay_ms: default_batch_delay_ms(),
        }
    }

    /// Everything that is wrong with these values.
    pub(super) fn problems(&self, listen: &str, found: &mut Vec<Problem>) {
        self.addresses(listen, found);
        if let Err(why) = judge_otlp_endpoint(&self.endpoint) {
            found.push(Problem::new("traces.endpoint", why));
        }
        let mut range = |key: &str, value: u64, least: u64, most: u64, unit: &str| {
            if !(least..=most).contains(&value) {
                found.push(Problem::new(
                    format!("traces.{key}"),
                    format!("{value} is out of range; give {unit} from {least} to {most}"),
                ));
            }
        };
        // A request may have a quarter of it, and must have room for one span of a usual size.
        range("memoryBytes", self.memory_bytes, 1 << 20, 1 << 34, "bytes");
        range("batchSpans", self.batch_spans.into(), 1, 100_000, "spans");
        range(
            "batchDelayMs",
            self.batch_delay_ms,
            0,
            60_000,
            "milliseconds",
        );
    }

    fn addresses(&self, listen: &str, found: &mut Vec<Problem>) {
        if self.grpc.is_none() && self.http.is_none() {
            found.push(Problem::new(
                "traces",
                "there is no address to take spans at; give grpc (usually port 4317), http \
                 (usually port 4318) or both",
            ));
        }
        let given = [("traces.grpc", &self.grpc), ("traces.http", &self.http)];
        let mut seen = vec![("listen", listen)];
        for (path, address) in given {
            let Some(address) = address else { continue };
            match address.parse::<SocketAddr>() {
                Err(_) => found.push(Problem::new(
                    path,
                    format!(
                        "\"{address}\" is not an address with a port; write one like \
                         127.0.0.1:4317 or [::1]:4317 (host names are not looked up)"
                    ),
                )),
                // Any number of listeners may ask for "some port".
                Ok(parsed) if parsed.port() != 0 => {
                    if let Some((other, _)) = seen.iter().find(|(_, taken)| taken == address) {
                        found.push(Problem::new(
                            path,
                            format!("{address} is the address of {other} too; give each its own"),
                        ));
                    }
                }
                Ok(_) => {}
            }
            seen.push((path, address));
        }
    }
}

/// `http://host:port` and nothing more: OTLP over gRPC has no path, and is not encrypted here.
pub fn judge_otlp_endpoint(endpoint: &str) -> Result<(), String> {
    if endpoint.contains('@') {
        return Err(
            "a user name or password in the address would show up in the log; give http://host:port"
                .to_owned(),
        );
    }
    let right = "write http://host:port, such as http://127.0.0.1:4317 (OTLP over plain gRPC)";
    let wrong = |why: &str| Err(format!("\"{endpoint}\" {why}; {right}"));
    if endpoint.starts_with("https://") {
        return wrong("asks for TLS, which the trace lane does not speak");
    }
    let Some(rest) = endpoint.strip_prefix("http://") else {
        return wrong("is not an http:// address");
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let Some((host, port)) = rest.rsplit_once(':') else {
        return wrong("has no port");
    };
    if port.parse::<u16>().map_or(true, |port| port == 0) {
        return wrong("has no port between 1 and 65535");
    }
    let inside = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let good = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    };
    if good { Ok(()) } else { wrong("has no host") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let traces: Traces = serde_yaml::from_str(text).unwrap();
        let mut found = Vec::new();
        traces.problems("127.0.0.1:9180", &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_sound_lane() {
        for good in [
            "{grpc: '127.0.0.1:4317', http: '127.0.0.1:4318', endpoint: 'http://127.0.0.1:4327'}",
            "{http: '[::1]:0', grpc: '[::1]:0', endpoint: 'http://[::1]:4327/'}",
            "{http: '127.0.0.1:1', endpoint: 'http://jaeger.example:4317', batchDelayMs: 0}",
        ] {
            assert_eq!(problems(good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let found = problems(
            "{grpc: '127.0.0.1:9180', http: here, endpoint: 'https://h:1', memoryBytes: 5, \
             batchSpans: 0, batchDelayMs: 60001}",
        );
        let paths: Vec<&str> = found.iter().filter_map(|p| p.split(':').next()).collect();
        assert_eq!(
            paths,
            [
                "traces.grpc",
                "traces.http",
                "traces.endpoint",
                "traces.memoryBytes",
                "traces.batchSpans",
                "traces.batchDelayMs"
            ]
        );
        assert_eq!(problems("{endpoint: 'http://h:1'}").len(), 1);
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for bad in [
            "127.0.0.1:4317",
            "http://h",
            "http://h:0",
            "http://:4317",
            "http://h:1/v1",
            "http://a b:1",
            "http://[::1:4317",
            "grpc://h:1",
            "",
        ] {
            let why = judge_otlp_endpoint(bad).unwrap_err();
            assert!(why.contains("http://127.0.0.1:4317"), "{bad}: {why}");
        }
        let why = judge_otlp_endpoint("http://u:hunter2@h:1").unwrap_err();
        assert!(!why.contains("hunter2"), "{why}");
    }
}
