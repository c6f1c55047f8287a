//! `kai-observe render`: what would be applied, for reading or for `kubectl`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kai_contract::exit;
use serde_json::json;

use super::Stop;
use super::args::{Common, RenderArgs, RenderTo};
use super::context::{self, Context};
use super::ui::{self, Ui};
use crate::model::{RunsOn, SecretSource};
use crate::render::kubernetes::{self, Manifests, Needed, Object};
use crate::resource::{Address, Document, digest, read_mark};
use crate::spec::Secrets;
use crate::systems::file;

const DEFAULT_FOLDER: &str = ".observe/render";

pub fn run(args: &RenderArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let runs_on = args.to.map(|to| match to {
        RenderTo::Kubernetes => "kubernetes",
        RenderTo::Files => "local",
    });
    let stack = context::load(common, ui, Secrets::AssumePresent, runs_on)?;
    let owner = stack.owner.to_string();
    if let RunsOn::Kubernetes(cluster) = &stack.runs_on {
        let manifests = kubernetes::render(&stack, cluster);
        for left in &stack.left_out {
            eprintln!("{} is left out: {}", left.key, left.why);
        }
        return match &args.out {
            Some(folder) => write_manifests(&manifests, folder, &owner, ui),
            None => {
                print_manifests(&manifests, &owner, ui);
                Ok(exit::OK)
            }
        };
    }
    let context = Context::of(common, stack)?;
    let folder = args.out.as_deref().unwrap_or(Path::new(DEFAULT_FOLDER));
    let mut written = Vec::new();
    for resource in &context.resources {
        let Document::File(document) = &resource.document else {
            continue;
        };
        let path = folder.join(
            document
                .path
                .strip_prefix("config")
                .unwrap_or(&document.path),
        );
        let content = document.content(&context.owner, &resource.address);
        file::write(&path, content.as_bytes(), 0o644).map_err(Stop::error)?;
        ui.line(&path.display().to_string());
        written.push(path);
    }
    ui.json(&json!({ "written": written }));
    Ok(exit::OK)
}

fn address(object: &Object) -> Address {
    Address::from_marker(&format!("kubernetes/{}", object.file))
}

/// One object as a file, with the mark that says whose it is.
fn content(object: &Object, owner: &str) -> String {
    let body = object.text();
    format!(
        "# managed by kai-observe owner={owner} address={}\n\
         # written by `kai-observe render`; change the spec instead\n\
         # applied=sha256:{}\n{body}",
        address(object),
        digest(&body)
    )
}

fn print_manifests(manifests: &Manifests, owner: &str, ui: &Ui) {
    if ui.is_json() {
        let objects: Vec<_> = manifests.objects.iter().map(|o| &o.value).collect();
        ui.json(&json!({ "objects": objects, "secrets": secrets_json(&manifests.secrets) }));
        return;
    }
    let mut text = format!(
        "# kai-observe render, stack {owner}: {} objects\n\
         # kubectl apply --server-side --field-manager=kai-observe -f -\n",
        manifests.objects.len()
    );
    for object in &manifests.objects {
        text.push_str("---\n");
        text.push_str(&object.text());
    }
    // For a pipe: standard output is YAML and nothing else.
    ui::print(text.trim_end());
    for line in advice(&manifests.secrets) {
        eprintln!("{line}");
    }
}

fn write_manifests(manifests: &Manifests, folder: &Path, owner: &str, ui: &Ui) -> Result<u8, Stop> {
    let mut written = BTreeSet::new();
    for object in &manifests.objects {
        let path = folder.join(&object.file);
        file::write(&path, content(object, owner).as_bytes(), 0o644).map_err(Stop::error)?;
        ui.line(&format!("{}  {}", path.display(), object.title()));
        written.insert(path);
    }
    let removed = remove_old(folder, owner, &written, ui)?;
    for line in advice(&manifests.secrets) {
        ui.line(&line);
    }
    ui.line(&format!(
        "apply them by `kubectl apply --server-side --field-manager=kai-observe -f {}`",
        folder.display()
    ));
    ui.json(&json!({
        "written": written,
        "removed": removed,
        "secrets": secrets_json(&manifests.secrets),
    }));
    Ok(exit::OK)
}

/// What an earlier `render` of this stack wrote and this one did not would be applied with the
/// rest. Files of others, and ours that somebody edited, stay, and the latter are named.
fn remove_old(
    folder: &Path,
    owner: &str,
    written: &BTreeSet<PathBuf>,
    ui: &Ui,
) -> Result<Vec<PathBuf>, Stop> {
    let mut removed = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(Stop::error)?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_yaml = path.extension().is_some_and(|e| e == "yaml");
        if written.contains(&path) || !is_yaml || !path.is_file() {
            continue;
        }
        let text = file::read(&path).map_err(Stop::error)?.unwrap_or_default();
        let Some(mark) = read_mark(&text) else {
            continue;
        };
        if mark.owner != owner || !mark.address.starts_with("kubernetes/") {
            continue;
        }
        if !mark.untouched {
            eprintln!(
                "warning: {} is from an earlier render and was edited since; it is left there, and \
                 `kubectl apply -f {}` would apply it",
                path.display(),
                folder.display()
            );
            continue;
        }
        std::fs::remove_file(&path)
            .map_err(file::failed("remove", &path))
            .map_err(Stop::error)?;
        ui.line(&format!(
            "{}  removed: nothing asks for it any more",
            path.display()
        ));
        removed.push(path);
    }
    Ok(removed)
}

fn secrets_json(needed: &[Needed]) -> serde_json::Value {
    needed
        .iter()
        .map(|n| {
            json!({
                "namespace": n.namespace,
                "secret": n.secret,
                "key": n.key,
                "reference": n.reference.to_string(),
            })
        })
        .collect()
}

/// What must be there, and a command that makes it without a value on a command line, where every
/// user of the machine could read it.
fn advice(needed: &[Needed]) -> Vec<String> {
    let mut out = Vec::new();
    for of_one in needed.chunk_by(|a, b| (&a.namespace, &a.secret) == (&b.namespace, &b.secret)) {
        let Some(first) = of_one.first() else {
            continue;
        };
        out.push(format!(
            "Secret {}/{} must be there before its pods start; render never reads its values:",
            first.namespace, first.secret
        ));
        out.push(format!(
            "  kubectl -n {} create secret generic {} \\",
            first.namespace, first.secret
        ));
        for (index, n) in of_one.iter().enumerate() {
            let from = match &n.reference.source {
                SecretSource::Env(name) => format!("<(printenv {name})"),
                SecretSource::File(path) | SecretSource::Generated(path) => {
                    path.display().to_string()
                }
                SecretSource::Issued(address) => format!("<the key of {address}>"),
            };
            let more = if index + 1 < of_one.len() { " \\" } else { "" };
            out.push(format!("    --from-file={}={from}{more}", n.key));
        }
    }
    out
}
