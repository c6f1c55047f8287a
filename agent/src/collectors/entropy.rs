//! `node_entropy_*`: the kernel's random number generator.

use super::conntrack::single_number;
use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};

const NUMBERS: [(&str, &str, &str); 2] = [
    (
        "sys/kernel/random/entropy_avail",
        "node_entropy_available_bits",
        "Bits of available entropy.",
    ),
    (
        "sys/kernel/random/poolsize",
        "node_entropy_pool_size_bits",
        "Bits of entropy pool.",
    ),
];

pub struct Entropy {
    sources: [Source; 2],
}

impl Default for Entropy {
    fn default() -> Self {
        Self {
            sources: NUMBERS.map(|(file, ..)| Source::proc(file)),
        }
    }
}

impl Collector for Entropy {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        for (source, (file, name, help)) in self.sources.iter_mut().zip(NUMBERS) {
            let number = source
                .read(node)
                .and_then(|text| parsed(node, Tree::Proc, file, single_number(text)))
                // The other number is right all the same.
                .map_err(|error| CollectError::Part(Box::new(error)))?;
            page.single(name, help, Kind::Gauge, number as f64);
        }
        Ok(())
    }
}
