//! `node_selinux_*`: whether SELinux is on and enforces, from selinuxfs and `/etc/selinux/config`.

use super::gather::Files;
use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};

const FOLDER: &str = "fs/selinux";
const ENFORCE: &str = "fs/selinux/enforce";
const LABEL: &str = "self/attr/current";
const CONFIG: &str = "etc/selinux/config";

/// File system type of selinuxfs (`include/uapi/linux/magic.h`).
const SELINUX_MAGIC: u64 = 0xf97c_ff8c;

#[derive(Default)]
pub struct Selinux;

impl Collector for Selinux {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let is_mounted = node
            .mounted(Tree::Sys, FOLDER)
            .is_ok_and(|mounted| mounted.kind == SELINUX_MAGIC && !mounted.read_only);
        let mut proc = Files::new(node, Tree::Proc);
        // Without a policy every process still has the label that it was born with.
        let has_policy = || {
            let label = proc.whole(LABEL).unwrap_or_default();
            label.strip_suffix(b"\0").unwrap_or(label) != b"kernel"
        };
        let enabled = is_mounted && { has_policy }();
        page.single(
            "node_selinux_enabled",
            "SELinux is enabled, 1 is true, 0 is false",
            Kind::Gauge,
            f64::from(u8::from(enabled)),
        );
        if enabled {
            let config = Files::new(node, Tree::Root)
                .whole(CONFIG)
                .map_or(-1.0, configured);
            page.single(
                "node_selinux_config_mode",
                "Configured SELinux enforcement mode",
                Kind::Gauge,
                config,
            );
            let current = Files::new(node, Tree::Sys).signed(ENFORCE);
            page.single(
                "node_selinux_current_mode",
                "Current SELinux enforcement mode",
                Kind::Gauge,
                current.map_or(-1.0, |mode| mode as f64),
            );
        }
        Ok(())
    }
}

/// The mode of the configuration file: 1 enforcing, 0 permissive, -1 disabled or not said.
fn configured(text: &[u8]) -> f64 {
    let value = text.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.trim_ascii();
        if line.starts_with(b"#") || line.starts_with(b";") {
            return None;
        }
        line.strip_prefix(b"SELINUX=")
    });
    match value.map(<[u8]>::trim_ascii) {
        Some(b"enforcing" | b"\"enforcing\"") => 1.0,
        Some(b"permissive" | b"\"permissive\"") => 0.0,
        _ => -1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_mode() {
        for (text, mode) in [
            (
                "# SELINUX=permissive\nSELINUX=enforcing\nSELINUXTYPE=targeted\n",
                1.0,
            ),
            ("SELINUX=\"permissive\"\n", 0.0),
            ("SELINUX=disabled\n", -1.0),
            ("", -1.0),
        ] {
            assert!(
                (configured(text.as_bytes()) - mode).abs() < f64::EPSILON,
                "{text}"
            );
        }
    }
}
