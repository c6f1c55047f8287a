//! `node_vmstat_*` from `/proc/vmstat`, for the fields that the pattern chooses.

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::vmstat;
use crate::settings::{Filter, Settings};

const FILE: &str = "vmstat";

pub struct Vmstat {
    fields: Filter,
    source: Source,
    name: String,
    help: String,
}

impl Vmstat {
    pub fn new(settings: &Settings) -> Self {
        Self {
            fields: settings.vmstat_fields.clone(),
            source: Source::proc(FILE),
            name: String::new(),
            help: String::new(),
        }
    }
}

impl Collector for Vmstat {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let text = self.source.read(node)?;
        let (family, help) = (&mut self.name, &mut self.help);
        let result = vmstat::parse(text, |field, value| {
            if self.fields.ignores(field.as_bytes()) {
                return;
            }
            family.clear();
            family.push_str("node_vmstat_");
            family.push_str(field);
            help.clear();
            help.push_str("/proc/vmstat information field ");
            help.push_str(field);
            help.push('.');
            page.single(family, help, Kind::Untyped, value);
        });
        parsed(node, Tree::Proc, FILE, result)
    }
}
