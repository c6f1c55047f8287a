//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// A small railway booking service to observe: HTTP, metrics, JSON logs, OTLP spans, and faults on
/// demand.
#[derive(Debug, Clone, Parser)]
#[command(name = "ticketing", version)]
pub struct Cli {
    /// Address and port to serve HTTP on; port 0 takes a free one and logs it
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Play customers in this process, at so many requests a second
    #[arg(long, value_name = "RPS", value_parser = rate)]
    pub load: Option<f64>,
    /// Decides what the customers choose and which payments are declined
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Append JSON log lines to this file instead of stdout; folders are made
    #[arg(long, value_name = "PATH")]
    pub log_file: Option<PathBuf>,
    /// Send spans to this OTLP gRPC endpoint, such as http://127.0.0.1:4317
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// The service's name in logs and spans
    #[arg(
        long,
        value_name = "NAME",
        env = "OTEL_SERVICE_NAME",
        default_value = "booking"
    )]
    pub service_name: String,
}

/// Most requests a second that the customers in this process make.
const MAX_RATE: f64 = 1_000.0;

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= MAX_RATE => Ok(rate),
        _ => Err(format!(
            "requests a second, above 0 and at most {MAX_RATE}, such as 10 or 0.5"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(rate("0.5"), Ok(0.5));
        for bad in ["0", "-1", "nan", "inf", "1001", "ten", ""] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
