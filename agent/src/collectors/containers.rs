//! `container_*` of containers and pods, from their cgroups, with cAdvisor's names.
//!
//! Which pod and container a cgroup is, is read from the links that the kubelet puts into
//! `/var/log/containers` below the root: no engine is asked, and no API.

use std::collections::BTreeMap;

use super::gather::{Files, Rows};
use super::{CollectError, Collector};
use crate::exposition::Page;
use crate::node::{EntryKind, Node, Tree};
use crate::procfs::cgroup::{self, Owner};

mod figures;
mod v1;
mod v2;

use figures::Figures;

const ROOT: &str = "fs/cgroup";
const LOGS: &str = "var/log/containers";

/// Deeper than any engine nests, and more than any node runs.
const DEEPEST: usize = 10;
const MOST: usize = 20_000;

#[derive(Default)]
pub struct Containers;

/// Container, pod and namespace by a container's id.
type Names = BTreeMap<String, [String; 3]>;

impl Collector for Containers {
    fn collect(&mut self, node: &dyn Node, page: &mut Page) -> Result<(), CollectError> {
        let mut files = Files::new(node, Tree::Sys);
        let unified = files.exists(&format!("{ROOT}/cgroup.controllers"));
        let root = if unified { "" } else { "/memory" };
        if !files.exists(&format!("{ROOT}{root}")) {
            return Err(CollectError::NoData("there are no cgroups".to_owned()));
        }
        let mut found = Vec::new();
        let mut seen = 0;
        walk(
            &files,
            &format!("{ROOT}{root}"),
            "",
            DEEPEST,
            &mut seen,
            &mut found,
        )?;
        let names = names(node);
        let mut rows = Rows::default();
        for (id, owner) in found {
            let figures = if unified {
                v2::read(&mut files, &format!("{ROOT}{id}"))
            } else {
                v1::read(&mut files, ROOT, &id)
            };
            match figures {
                Ok(figures) => show(&figures, &id, &owner, &names, &mut rows),
                // It has ended meanwhile.
                Err(error) if error.is_missing() || error.is_errno(rustix::io::Errno::NODEV) => {}
                Err(error) => return Err(error),
            }
        }
        rows.write(page);
        Ok(())
    }
}

/// Finds the cgroups of containers and pods; their path below the root is their id.
fn walk(
    files: &Files<'_>,
    root: &str,
    id: &str,
    depth: usize,
    seen: &mut usize,
    found: &mut Vec<(String, Owner)>,
) -> Result<(), CollectError> {
    let entries = match files.entries(&format!("{root}{id}")) {
        Err(error) if error.is_missing() && !id.is_empty() => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        if entry.kind != EntryKind::Folder || depth == 0 || *seen == MOST {
            continue;
        }
        *seen += 1;
        let below = format!("{id}/{}", entry.name);
        let owner = cgroup::owner(&entry.name);
        // What a container makes for itself is the container's.
        let is_container = matches!(owner, Some(Owner::Container(_)));
        found.extend(owner.map(|owner| (below.clone(), owner)));
        if !is_container {
            walk(files, root, &below, depth - 1, seen, found)?;
        }
    }
    Ok(())
}

/// Out of names like `<pod>_<namespace>_<container>-<id>.log`.
fn names(node: &dyn Node) -> Names {
    let links = node.list(Tree::Root, LOGS).unwrap_or_default();
    links.iter().filter_map(|link| split_log(link)).collect()
}

fn split_log(link: &str) -> Option<(String, [String; 3])> {
    let (pod, rest) = link.strip_suffix(".log")?.split_once('_')?;
    let (namespace, rest) = rest.split_once('_')?;
    let (container, id) = rest.rsplit_once('-')?;
    Some((
        id.to_owned(),
        [container, pod, namespace].map(str::to_owned),
    ))
}

fn show(figures: &Figures, id: &str, owner: &Owner, names: &Names, rows: &mut Rows) {
    let mut labels = vec![("id", id.to_owned())];
    match owner {
        Owner::Container(container) => {
            labels.push(("name", container.clone()));
            if let Some([container, pod, namespace]) = names.get(container) {
                labels.push(("container", container.clone()));
                labels.push(("pod", pod.clone()));
                labels.push(("namespace", namespace.clone()));
            }
        }
        Owner::Pod(uid) => labels.push(("pod_uid", uid.clone())),
    }
    figures.show(&labels, rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_logs() {
        let (id, names) = split_log("booking-7d9f_shop_api-0123abcd.log").unwrap();
        assert_eq!(id, "0123abcd");
        assert_eq!(names, ["api", "booking-7d9f", "shop"]);
        for other in ["syslog", "a_b.log", "a_b_c.log"] {
            assert_eq!(split_log(other), None, "{other}");
        }
    }
}
