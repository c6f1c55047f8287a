//! `node_udp_queues`: bytes that wait in UDP sockets, from `/proc/net/udp` and `udp6`.

use super::gather::if_there;
use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::ip_socket;

const FILES: [(&str, &str); 2] = [("net/udp", "v4"), ("net/udp6", "v6")];

pub struct UdpQueues {
    sources: [Source; 2],
}

impl Default for UdpQueues {
    fn default() -> Self {
        Self {
            sources: [
                Source::net("1/net/udp", FILES[0].0),
                Source::net("1/net/udp6", FILES[1].0),
            ],
        }
    }
}

impl Collector for UdpQueues {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut family = page.family(
            "node_udp_queues",
            "Number of allocated memory in the kernel for UDP datagrams in bytes.",
            Kind::Gauge,
        );
        let mut found = 0;
        for (source, (file, ip)) in self.sources.iter_mut().zip(FILES) {
            let Some(text) = if_there(source.read(node))? else {
                continue;
            };
            let (mut transmit, mut receive) = (0_u64, 0_u64);
            let result = ip_socket::parse(text, true, |socket| {
                transmit = transmit.wrapping_add(socket.transmit_queue);
                receive = receive.wrapping_add(socket.receive_queue);
            });
            parsed(node, Tree::Proc, file, result)?;
            for (queue, bytes) in [("rx", receive), ("tx", transmit)] {
                family.sample(
                    &[("ip", ip.as_bytes()), ("queue", queue.as_bytes())],
                    bytes as f64,
                );
            }
            found += 1;
        }
        if found == 0 {
            return Err(CollectError::NoData(
                "the kernel has neither UDP nor UDP over IPv6".to_owned(),
            ));
        }
        Ok(())
    }
}
