//! `node_uname_info` from uname(2), which knows no roots: it is always the agent's own kernel.

use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::Node;

pub struct UnameInfo;

impl Collector for UnameInfo {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let uname = node.uname();
        page.family(
            "node_uname_info",
            "Labeled system information as provided by the uname system call.",
            Kind::Gauge,
        )
        .sample(
            &[
                ("domainname", &uname.domainname),
                ("machine", &uname.machine),
                ("nodename", &uname.nodename),
                ("release", &uname.release),
                ("sysname", &uname.sysname),
                ("version", &uname.version),
            ],
            1.0,
        );
        Ok(())
    }
}
