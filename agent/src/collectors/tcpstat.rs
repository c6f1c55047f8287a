//! `node_tcp_connection_states`. As with [`netdev`](super::netdev), a running kernel is asked by
//! netlink, and a copied tree read from `net/tcp`, where a listening socket's transmit queue is 0
//! (netlink has its backlog there).

use std::collections::BTreeMap;

use super::gather::Files;
use super::{CollectError, Collector, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::inet_diag::{INET, INET6};
use crate::procfs::ip_socket;

const STATES: [&str; 11] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
];

#[derive(Default)]
pub struct Tcpstat;

impl Collector for Tcpstat {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut counts = BTreeMap::<&str, f64>::new();
        let mut count = |state: u64, receive: u64, transmit: u64| {
            *counts.entry("rx_queued_bytes").or_default() += receive as f64;
            *counts.entry("tx_queued_bytes").or_default() += transmit as f64;
            let name = (state as usize)
                .checked_sub(1)
                .and_then(|at| STATES.get(at));
            *counts
                .entry(name.copied().unwrap_or("unknown"))
                .or_default() += 1.0;
        };
        let live = node.is_live();
        let mut files = Files::new(node, Tree::Proc);
        for (file, family) in [("net/tcp", INET), ("net/tcp6", INET6)] {
            if family == INET6 && !files.exists(file) {
                continue; // a kernel without IPv6
            }
            if live {
                node.tcp_sockets(family, &mut |socket| {
                    count(
                        u64::from(socket.state),
                        u64::from(socket.receive_queue),
                        u64::from(socket.transmit_queue),
                    );
                })
                .map_err(|source| CollectError::Ask {
                    what: "TCP sockets",
                    source,
                })?;
            } else {
                let result = ip_socket::parse(files.whole(file)?, false, |socket| {
                    count(socket.state, socket.receive_queue, socket.transmit_queue);
                });
                parsed(node, Tree::Proc, file, result)?;
            }
        }
        let mut family = page.family(
            "node_tcp_connection_states",
            "Number of connection states.",
            Kind::Gauge,
        );
        for (state, count) in counts {
            family.sample(&[("state", state.as_bytes())], count);
        }
        Ok(())
    }
}
