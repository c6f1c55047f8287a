//! `node_netstat_*` from `/proc/net/netstat`, `snmp` and `snmp6`, for the fields that the pattern
//! chooses. The names hardly ever change, so what the pattern says of each is remembered by line.

use std::io;

use super::{CollectError, Collector, Source, parsed};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree};
use crate::procfs::netstat;
use crate::settings::{Filter, Settings};

const TABLES: [(&str, &str); 2] = [("1/net/netstat", "net/netstat"), ("1/net/snmp", "net/snmp")];
const LIST: &str = "net/snmp6";

pub struct Netstat {
    fields: Filter,
    tables: [(Source, Vec<Header>); 2],
    list: Source,
    listed: Vec<Header>,
}

/// A line's names as they stand there, and the families of those that are shown.
#[derive(Default)]
struct Header {
    text: Vec<u8>,
    families: Vec<Option<Family>>,
}

struct Family {
    name: String,
    help: String,
}

impl Family {
    /// Of a field that is shown.
    fn of(fields: &Filter, protocol: &[u8], field: &[u8]) -> Option<Self> {
        let key = [protocol, b"_", field].concat();
        if fields.ignores(&key) {
            return None;
        }
        Some(Self {
            name: format!("node_netstat_{}", String::from_utf8_lossy(&key)),
            help: format!(
                "Statistic {}{}.",
                String::from_utf8_lossy(protocol),
                String::from_utf8_lossy(field)
            ),
        })
    }
}

impl Netstat {
    pub fn new(settings: &Settings) -> Self {
        Self {
            fields: settings.netstat_fields.clone(),
            tables: TABLES.map(|(first, own)| (Source::net(first, own), Vec::new())),
            list: Source::net("1/net/snmp6", LIST),
            listed: Vec::new(),
        }
    }
}

/// The remembered header at this place, made anew if the names are others.
fn header<'a>(
    known: &'a mut Vec<Header>,
    at: usize,
    text: &[u8],
    families: impl FnOnce() -> Vec<Option<Family>>,
) -> &'a [Option<Family>] {
    if known.len() <= at {
        known.resize_with(at + 1, Header::default);
    }
    if known[at].text != text {
        known[at] = Header {
            text: text.to_vec(),
            families: families(),
        };
    }
    &known[at].families
}

impl Collector for Netstat {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let fields = &self.fields;
        for (source, known) in &mut self.tables {
            source.read(node)?;
            let (name, text) = (source.name.clone(), &source.text);
            let mut at = 0;
            let result = netstat::table(text, |protocol, names, values| {
                let families = header(known, at, names, || {
                    let names = netstat::columns(names).skip(1);
                    names
                        .map(|field| Family::of(fields, protocol, field))
                        .collect()
                });
                at += 1;
                for (family, value) in families.iter().zip(values) {
                    if let Some(Family { name, help }) = family {
                        page.single(name, help, Kind::Untyped, *value);
                    }
                }
            });
            parsed(node, Tree::Proc, &name, result)?;
        }
        match self.list.try_read(node) {
            Ok(text) => {
                let known = &mut self.listed;
                let mut at = 0;
                let result = netstat::list(text, |protocol, field, whole, value| {
                    let families = header(known, at, whole, || {
                        vec![Family::of(fields, protocol, field)]
                    });
                    at += 1;
                    if let Some(Family { name, help }) = &families[0] {
                        page.single(name, help, Kind::Untyped, value);
                    }
                });
                parsed(node, Tree::Proc, LIST, result)
            }
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(CollectError::Read {
                path: node.path(Tree::Proc, LIST),
                source,
            }),
        }
    }
}
