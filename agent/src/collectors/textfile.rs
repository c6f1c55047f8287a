//! Families that other programs write into files `*.prom`, and `node_textfile_*` about the files.
//!
//! As in node_exporter a file that cannot be understood does not make the collector fail, but sets
//! `node_textfile_scrape_error`; the log says which file and line. A file is parsed again when it
//! changes.

use std::collections::BTreeMap;
use std::io;

use super::{CollectError, Collector};
use crate::exposition::{Kind, Page};
use crate::node::{Node, Tree, Version};
use crate::procfs::prom_text::{self, Family};
use crate::settings::Settings;

mod glob;
mod write;

pub struct Textfile {
    directories: Vec<String>,
    known: BTreeMap<String, Known>,
    /// What was wrong in the last scrape, so that it is said once.
    complaints: Vec<String>,
}

/// A file as last read.
struct Known {
    version: Version,
    content: Result<Vec<Family>, String>,
}

impl Textfile {
    pub fn new(settings: &Settings) -> Self {
        Self {
            directories: settings.textfile_directories.clone(),
            known: BTreeMap::new(),
            complaints: Vec::new(),
        }
    }

    /// The files there are, looked at anew; what is wrong with a folder is said.
    fn refresh(&mut self, node: &dyn Node, complaints: &mut Vec<String>) -> Vec<String> {
        let mut paths = Vec::new();
        for pattern in &self.directories {
            for folder in glob::folders(pattern) {
                match node.list(Tree::Host, &folder) {
                    Ok(names) => paths.extend(
                        names
                            .iter()
                            .filter(|name| name.as_bytes().ends_with(b".prom"))
                            .map(|name| format!("{}/{name}", folder.trim_end_matches('/'))),
                    ),
                    Err(error) => complaints.push(format!("cannot read {folder}: {error}")),
                }
            }
        }
        self.known.retain(|path, _| paths.contains(path));
        for path in &paths {
            let known = self.known.get(path).map(|known| known.version);
            match node.version(Tree::Host, path) {
                Ok(version) if known == Some(version) => {}
                Ok(version) => {
                    let content = read(node, path);
                    self.known.insert(path.clone(), Known { version, content });
                }
                Err(error) => {
                    self.known.remove(path);
                    complaints.push(format!("cannot read {path}: {error}"));
                }
            }
        }
        paths
    }
}

fn read(node: &dyn Node, path: &str) -> Result<Vec<Family>, String> {
    let mut text = Vec::new();
    node.read(Tree::Host, path, &mut text)
        .map_err(|error: io::Error| format!("cannot read {path}: {error}"))?;
    prom_text::parse(&text).map_err(|error| format!("cannot understand {path}: {error}"))
}

impl Collector for Textfile {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut complaints = Vec::new();
        let paths = self.refresh(node, &mut complaints);
        let mut merged = write::Merged::default();
        let mut read = Vec::new();
        for path in &paths {
            let Some(known) = self.known.get(path) else {
                continue;
            };
            match &known.content {
                Ok(families) => {
                    read.push((path, known.version));
                    merged.add(path, families, &mut complaints);
                }
                Err(error) => complaints.push(error.clone()),
            }
        }
        merged.write(page);
        let mut family = page.family(
            "node_textfile_mtime_seconds",
            "Unixtime mtime of textfiles successfully read.",
            Kind::Gauge,
        );
        for (path, version) in read {
            family.sample(
                &[("file", path.as_bytes())],
                version.modified_seconds() as f64,
            );
        }
        drop(family);
        page.single(
            "node_textfile_scrape_error",
            "1 if there was an error opening or reading a file, 0 otherwise",
            Kind::Gauge,
            f64::from(u8::from(!complaints.is_empty())),
        );
        for complaint in complaints
            .iter()
            .filter(|new| !self.complaints.contains(new))
        {
            tracing::error!(collector = "textfile", "{complaint}");
        }
        self.complaints = complaints;
        Ok(())
    }
}
