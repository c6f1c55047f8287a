//! From the file that a person wrote to the [`Stack`] that everything else works on: read with
//! positions, joined with its includes, laid over with its environment, checked against one table,
//! resolved, validated. All errors are collected; nothing of a bad spec gets out.

pub mod address;
pub mod diagnostic;
pub mod duration;
pub mod reference;
pub mod rules;
pub mod schema;
pub mod secrets;
pub mod source;
pub mod starter;
pub mod tree;

mod check;
mod decode;
mod files;
mod format;
pub mod glob;
mod json_schema;
mod mask;
mod merge;
mod parse;
pub mod promql;
mod resolve;
pub mod suggest;
mod template;
mod view;

use std::path::{Path, PathBuf};

pub use self::diagnostic::{Diagnostic, Diagnostics, Level};
pub use self::json_schema::json_schema;
pub use self::reference::reference_markdown;
pub use self::secrets::Secrets;
pub use self::starter::{existing, fresh_id, starter};

pub(crate) use self::diagnostic::{Findings, quoted};
pub(crate) use self::format::cluster::bytes as quantity;
pub(crate) use self::mask::names_a_secret;
pub(crate) use self::promql::{check as check_promql, keeps_label};
pub(crate) use self::suggest::nearest;
pub(crate) use self::template::{check as check_template, is_template};

use self::check::Completeness;
use self::schema::{Kind, list, table};
use self::source::{Place, Sources};
use self::tree::{Node, Value};
use crate::model::{RunsOn, Stack};
use crate::validate;

/// What the spec itself does not say.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// `--env`; mandatory once the spec declares environments.
    pub env: Option<String>,
    /// In place of `runsOn`: `local` or `kubernetes`.
    pub runs_on: Option<&'a str>,
    pub secrets: Secrets,
    /// Names of the component catalogue, for `services.<name>.run.component`.
    pub known_components: &'a [&'a str],
}

/// A spec that may be used.
#[derive(Debug)]
pub struct Loaded {
    pub stack: Stack,
    pub warnings: Vec<Diagnostic>,
}

/// Reads, checks and resolves a spec. On errors all of them come back, warnings included; the
/// caller exits with [`kai_contract::exit::BAD_SPEC`].
pub fn load(path: &Path, options: &Options<'_>) -> Result<Loaded, Diagnostics> {
    let mut sources = Sources::default();
    let mut findings = Findings::default();
    let stack = read(path, options, &mut sources, &mut findings);
    let errors = findings.has_errors();
    let diagnostics = findings.into_diagnostics(&mut sources);
    match stack {
        Some(stack) if !errors => Ok(Loaded {
            stack,
            warnings: diagnostics.0,
        }),
        _ => Err(diagnostics),
    }
}

fn read(
    path: &Path,
    options: &Options<'_>,
    sources: &mut Sources,
    findings: &mut Findings,
) -> Option<Stack> {
    let mut tree = files::read_spec(path, sources, findings)?;
    let environment = environment(&tree, options.env.as_deref(), findings);
    if let Some(name) = &environment
        && let Some(over) = tree.find(&["environments", name]).cloned()
        && let Value::Map(_) = over.value
    {
        merge::overlay(&mut tree, &allowed(&over), &Kind::Object(&table::STACK));
    }
    // which keys are missing is known only when it is known what is laid over
    let completeness = if environment.is_some() {
        Completeness::Whole
    } else {
        Completeness::Part
    };
    check::check(
        &tree,
        &Kind::Object(&table::STACK),
        "",
        completeness,
        findings,
    );
    let spec_file = absolute(path);
    let base_dir = spec_file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let folder = path.parent().unwrap_or(Path::new(""));
    let around = resolve::Surroundings {
        spec_file: &spec_file,
        base_dir: &base_dir,
        environment: environment
            .as_deref()
            .unwrap_or(resolve::DEFAULT_ENVIRONMENT),
        runs_on: options.runs_on,
    };
    let mut stack = resolve::resolve(&tree, &around);
    let rules = rules::read(&tree, folder, sources, findings);
    stack.alerts.files = rules.files.iter().map(|f| f.model.clone()).collect();
    resolve::rules::without_rules_on_absent_series(&mut stack);
    if tree.find(&["metadata", "name"]).is_some() && tree.find(&["metadata", "id"]).is_none() {
        let place = tree.nearest_place(&["metadata", "name"]);
        let id = &stack.owner.id;
        findings
            .warning(
                "no-id",
                place,
                "the stack has no `metadata.id`; its name stands in for it",
            )
            .help(format!(
                "add `id: {id}`, so that the stack stays itself when it is renamed"
            ));
    }
    // without its environment a spec is not the one that would be used
    if environment.is_some() && matches!(tree.value, Value::Map(_)) {
        let wanted = match stack.runs_on {
            RunsOn::Local => &options.secrets,
            // They are in the cluster, which is not asked.
            RunsOn::Kubernetes(_) => &Secrets::AssumePresent,
        };
        let presence = secrets::presence(&stack, wanted);
        let subject = validate::Subject {
            stack: &stack,
            tree: &tree,
            rules: &rules,
            presence: &presence,
            known_components: options.known_components,
            sources,
        };
        validate::validate(&subject, findings);
    }
    Some(stack)
}

/// An overlay without the keys that it must not change; they have been reported.
fn allowed(over: &Node) -> Node {
    let mut over = over.clone();
    if let Value::Map(entries) = &mut over.value {
        entries.retain(|e| !table::FIXED.contains(&e.key.as_str()));
        entries.retain(|e| !table::ENVIRONMENT_RESERVED.contains(&e.key.as_str()));
    }
    over
}

/// Which environment is meant: `None` when that is not clear, which is then reported.
fn environment(tree: &Node, asked: Option<&str>, findings: &mut Findings) -> Option<String> {
    let entry = tree
        .entry("environments")
        .filter(|e| !e.value.entries().is_empty());
    let whole = Place {
        line: 1,
        column: 1,
        end_line: 1,
        end_column: 2,
        ..tree.place
    };
    let Some(entry) = entry else {
        return match asked {
            None | Some(resolve::DEFAULT_ENVIRONMENT) => {
                Some(resolve::DEFAULT_ENVIRONMENT.to_owned())
            }
            Some(name) => {
                let message = format!(
                    "--env {} is asked for, but the spec declares no environments",
                    quoted(name)
                );
                findings
                    .error("unknown-environment", whole, message)
                    .help("leave --env out, or declare it under `environments`");
                None
            }
        };
    };
    let names: Vec<&str> = entry
        .value
        .entries()
        .iter()
        .map(|e| e.key.as_str())
        .collect();
    match asked {
        None => {
            let help = format!("give --env with one of {}", list(&names));
            findings
                .error(
                    "environment-missing",
                    entry.key_place,
                    "the spec declares environments, and none was chosen",
                )
                .help(help);
            None
        }
        Some(name) if names.contains(&name) => Some(name.to_owned()),
        Some(name) => {
            let help = match nearest(name, names.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`? Known: {}", list(&names)),
                None => format!("known: {}", list(&names)),
            };
            let message = format!("there is no environment {}", quoted(name));
            findings
                .error("unknown-environment", entry.key_place, message)
                .help(help);
            None
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_path_buf())
}
