//! What a cluster can do, found out by asking it: who it is, whether it lists what it executes,
//! which packings of a request it unpacks. Reading the answers is pure; what is left out is named.

use serde::Deserialize;

use super::Answer;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Product {
    Elasticsearch,
    /// Elasticsearch without nodes that anybody sees.
    Serverless,
    OpenSearch,
    /// It did not say, or may not be asked.
    #[default]
    Unknown,
}

impl Product {
    pub fn name(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch",
            Self::Serverless => "elasticsearch-serverless",
            Self::OpenSearch => "opensearch",
            Self::Unknown => "unknown",
        }
    }
}

/// How a request's body is packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Packing {
    #[default]
    None,
    Gzip,
    Zstd,
}

impl Packing {
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    pub product: Product,
    pub version: String,
    /// It lists what it executes, and the agent may see it.
    pub tasks: bool,
    /// `_bulk` can be told to make nothing but data streams.
    pub require_data_stream: bool,
    pub packing: Packing,
    /// Packings that were wanted and are not unpacked.
    pub refused: Vec<Packing>,
}

impl Abilities {
    /// What the agent does without, each with what follows.
    pub fn left_out(&self) -> Vec<String> {
        let mut out = Vec::new();
        if !self.require_data_stream {
            out.push(
                "require_data_stream: without a template for a data stream's name an index would \
                 be made"
                    .to_owned(),
            );
        }
        if !self.tasks {
            out.push(
                "the list of what is executed (needs the cluster right monitor): before lines are \
                 sent again, a second more is waited"
                    .to_owned(),
            );
        }
        for packing in &self.refused {
            out.push(format!(
                "{}: it does not unpack such requests",
                packing.name()
            ));
        }
        out
    }
}

#[derive(Deserialize)]
struct Root {
    version: RootVersion,
}

#[derive(Deserialize)]
struct RootVersion {
    number: String,
    distribution: Option<String>,
    build_flavor: Option<String>,
}

#[derive(Deserialize)]
struct Nodes {
    nodes: std::collections::BTreeMap<String, Node>,
}

#[derive(Deserialize)]
struct Node {
    version: String,
    build_flavor: Option<String>,
}

/// Reads `GET /`.
pub fn root(answer: &Answer) -> Option<(Product, String)> {
    if answer.status != 200 {
        return None;
    }
    let Root { version } = serde_json::from_slice(&answer.body).ok()?;
    let product = match (version.distribution.as_deref(), version.build_flavor) {
        (Some("opensearch"), _) => Product::OpenSearch,
        (_, Some(flavor)) if flavor == "serverless" => Product::Serverless,
        // Elasticsearch says it in a header since 7.14; before, only it had a flavor.
        (_, flavor) if answer.product || flavor.is_some() => Product::Elasticsearch,
        _ => Product::Unknown,
    };
    Some((product, version.number))
}

/// Reads `GET /_nodes/_local?filter_path=nodes.*.version,nodes.*.build_flavor`, which the smallest
/// distributions answer, too.
pub fn local_node(answer: &Answer) -> Option<(Product, String)> {
    if answer.status != 200 {
        return None;
    }
    let Nodes { nodes } = serde_json::from_slice(&answer.body).ok()?;
    let node = nodes.into_values().next()?;
    // OpenSearch has no flavors.
    let product = if answer.product || node.build_flavor.is_some() {
        Product::Elasticsearch
    } else {
        Product::OpenSearch
    };
    Some((product, node.version))
}

/// Whether `_bulk` knows `require_data_stream`: Elasticsearch since 8.13. Who does not say what he
/// is, is asked with it; his refusal is understood.
pub fn requires_data_stream(product: Product, version: &str) -> bool {
    match product {
        Product::OpenSearch => false,
        Product::Serverless | Product::Unknown => true,
        Product::Elasticsearch => {
            let mut parts = version
                .split('.')
                .map_while(|part| part.parse::<u32>().ok());
            let release = (parts.next(), parts.next());
            release >= (Some(8), Some(13)) || release == (None, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, body: &str, product: bool) -> Answer {
        Answer {
            status,
            body: body.as_bytes().to_vec().into(),
            product,
            endpoint: 0,
        }
    }

    #[test]
    fn each_says_who_it_is() {
        for (body, product, expected) in [
            (
                r#"{"version":{"number":"3.8.0","distribution":"opensearch","build_type":"tar"}}"#,
                false,
                Some((Product::OpenSearch, "3.8.0")),
            ),
            (
                r#"{"version":{"number":"9.5.3","build_flavor":"default"},"tagline":"x"}"#,
                true,
                Some((Product::Elasticsearch, "9.5.3")),
            ),
            (
                r#"{"version":{"number":"8.11.0","build_flavor":"serverless"}}"#,
                true,
                Some((Product::Serverless, "8.11.0")),
            ),
            (
                r#"{"version":{"number":"1"}}"#,
                false,
                Some((Product::Unknown, "1")),
            ),
            ("<html>", true, None),
        ] {
            let found = root(&answer(200, body, product));
            let expected = expected.map(|(product, version)| (product, version.to_owned()));
            assert_eq!(found, expected, "{body}");
        }
        assert_eq!(root(&answer(405, "{}", true)), None);
    }

    #[test]
    fn a_node_says_it_where_the_root_may_not() {
        // As Elasticsearch 9.5.3 and OpenSearch 3.8.0 answer.
        let elasticsearch = r#"{"nodes":{"x":{"version":"9.5.3","build_flavor":"default"}}}"#;
        let opensearch = r#"{"nodes":{"x":{"version":"3.8.0"}}}"#;
        assert_eq!(
            local_node(&answer(200, elasticsearch, true)),
            Some((Product::Elasticsearch, "9.5.3".to_owned()))
        );
        assert_eq!(
            local_node(&answer(200, opensearch, false)),
            Some((Product::OpenSearch, "3.8.0".to_owned()))
        );
        assert_eq!(local_node(&answer(403, opensearch, false)), None);
        assert_eq!(local_node(&answer(200, r#"{"nodes":{}}"#, false)), None);
    }

    #[test]
    fn the_parameter_came_with_a_version() {
        use Product::{Elasticsearch, OpenSearch, Serverless, Unknown};
        for (product, version, expected) in [
            (Elasticsearch, "8.12.9", false),
            (Elasticsearch, "8.13.0", true),
            (Elasticsearch, "9.0.0-rc1", true),
            (Elasticsearch, "7.17.3", false),
            (OpenSearch, "3.8.0", false),
            (Serverless, "8.11.0", true),
            (Unknown, "", true),
        ] {
            assert_eq!(
                requires_data_stream(product, version),
                expected,
                "{version}"
            );
        }
    }

    #[test]
    fn what_is_left_out_is_named() {
        let all = Abilities {
            tasks: true,
            require_data_stream: true,
            ..Abilities::default()
        };
        assert!(all.left_out().is_empty());
        let none = Abilities {
            refused: vec![Packing::Zstd],
            ..Abilities::default()
        };
        assert_eq!(none.left_out().len(), 3);
    }

    proptest! {
        #[test]
        fn any_answer_is_read(body: Vec<u8>, product: bool, version: String) {
            let answer = Answer { status: 200, body: body.into(), product, endpoint: 0 };
            let _ = (root(&answer), local_node(&answer));
            let _ = requires_data_stream(Product::Elasticsearch, &version);
        }
    }
}
