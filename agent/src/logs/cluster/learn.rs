//! Asks a cluster what it can do. Each question is one that the agent's own rights cover; who may
//! not be asked is taken to be unable, which costs time or bytes and never a line.

use std::io::{self, Write as _};

use super::abilities::{self, Abilities, Packing, Product};
use super::{CallError, Cluster};

const WHO: &str = "/_nodes/_local?filter_path=nodes.*.version,nodes.*.build_flavor";

/// Lists the bulk requests that are executed.
pub const TASKS: &str =
    "/_tasks?actions=indices:data/write/bulk*&group_by=none&filter_path=tasks.headers";

impl Cluster {
    /// `wanted`: the packings that would be used, the best first; `stream` is one that the agent may
    /// read.
    pub async fn learn(&self, stream: &str, wanted: &[Packing]) -> Result<Abilities, CallError> {
        let mut who = abilities::root(&self.ask("/", None).await?);
        if who.is_none() {
            who = abilities::local_node(&self.ask(WHO, None).await?);
        }
        let (product, version) = who.unwrap_or((Product::Unknown, String::new()));
        let tasks = self.ask(TASKS, None).await?.status == 200;
        let mut refused = Vec::new();
        let mut packing = Packing::None;
        for candidate in wanted {
            if self.unpacks(stream, *candidate).await? {
                packing = *candidate;
                break;
            }
            refused.push(*candidate);
        }
        Ok(Abilities {
            product,
            require_data_stream: abilities::requires_data_stream(product, &version),
            version,
            tasks,
            packing,
            refused,
        })
    }

    /// Whether a packed question is understood. One that is not unpacked is no JSON, and refused.
    async fn unpacks(&self, stream: &str, packing: Packing) -> Result<bool, CallError> {
        let question = pack(br#"{"ids":["kai-agent"]}"#, packing)
            .map_err(|error| CallError::NotSent(error.to_string()))?;
        let path = format!("/{stream}/_mget?_source=false&filter_path=docs.found");
        let request = |at: usize| {
            self.client
                .post(format!("{}{path}", self.endpoints.url(at)))
                .header("content-type", "application/json")
                .header("content-encoding", packing.name())
                .body(question.clone())
                .timeout(super::CONTROL_TIMEOUT)
        };
        match self.call(request).await {
            Ok(answer) => Ok(matches!(answer.status, 200 | 404)),
            // A server that chokes on it does not unpack it either.
            Err(CallError::Unknown(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A request's body as it is sent. The lightest levels: the next ones take several times as long for
/// a tenth of the bytes.
pub fn pack(body: &[u8], packing: Packing) -> io::Result<Vec<u8>> {
    match packing {
        Packing::None => Ok(body.to_vec()),
        Packing::Gzip => {
            let out = Vec::with_capacity(body.len() / 6);
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
            encoder.write_all(body)?;
            encoder.finish()
        }
        Packing::Zstd => zstd::bulk::compress(body, 1),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(body: Vec<u8>) {
            let gzip = pack(&body, Packing::Gzip).unwrap();
            let mut out = Vec::new();
            flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut out).unwrap();
            prop_assert_eq!(&out, &body);
            let zstd = pack(&body, Packing::Zstd).unwrap();
            prop_assert_eq!(&zstd::bulk::decompress(&zstd, body.len()).unwrap(), &body);
        }
    }
}
