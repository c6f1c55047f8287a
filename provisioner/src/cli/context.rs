//! What most commands need first: the stack, its place on this machine, its resources, the world.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kai_contract::exit;

use super::Stop;
use super::args::Common;
use super::ui::Ui;
use crate::components::Context as Components;
use crate::layout::Layout;
use crate::model::{RunsOn, Stack};
use crate::render;
use crate::resource::{Document, Resource};
use crate::spec;
use crate::world::{self, World};

pub struct Context {
    pub stack: Stack,
    pub layout: Layout,
    pub owner: String,
    pub resources: Vec<Resource>,
}

/// Reads and checks the spec; its errors are printed here, all of them.
/// `runs_on` stands in for the spec's.
pub fn load(
    common: &Common,
    ui: &Ui,
    secrets: spec::Secrets,
    runs_on: Option<&str>,
) -> Result<Stack, Stop> {
    let known = crate::components::known();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let options = spec::Options {
        env: common.env.clone(),
        runs_on,
        secrets,
        known_components: &known,
    };
    match spec::load(&common.spec, &options) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                if !ui.is_json() {
                    eprintln!("{warning}");
                }
            }
            Ok(loaded.stack)
        }
        Err(diagnostics) => {
            ui.json(&serde_json::json!({ "valid": false, "diagnostics": diagnostics }));
            Err(Stop::spec(&diagnostics))
        }
    }
}

impl Context {
    pub fn new(common: &Common, ui: &Ui, secrets: spec::Secrets) -> Result<Self, Stop> {
        let stack = load(common, ui, secrets, None)?;
        if stack.runs_on != RunsOn::Local {
            return Err(Stop::new(
                exit::BAD_SPEC,
                "the stack runs in a cluster (`runsOn: kubernetes`), and this build only writes its \
                 manifests; apply them by\n  kai-observe render | kubectl apply --server-side \
                 --field-manager=kai-observe -f -",
            ));
        }
        Self::of(common, stack)
    }

    /// A stack of local processes.
    pub fn of(common: &Common, stack: Stack) -> Result<Self, Stop> {
        let layout = Layout::new(
            common.home.as_deref(),
            common.cache.as_deref(),
            &stack.owner,
        )
        .map_err(Stop::error)?;
        let owner = stack.owner.to_string();
        let resources = render::render(&stack, &layout);
        Ok(Self {
            stack,
            layout,
            owner,
            resources,
        })
    }

    pub fn components(&self, ui: &Ui) -> Components {
        Components {
            cache: self.layout.cache.clone(),
            lock_file: self.stack.base_dir.join("observe.lock"),
            policy: self.stack.components.clone(),
            workspace: workspace(&self.stack.base_dir),
            progress: ui.progress(),
        }
    }

    /// The world without the components: what runs can be said also when `observe.lock` or the
    /// cache cannot be read.
    pub async fn processes(&self, ui: &Ui) -> Result<World, Stop> {
        let resources: Vec<Resource> = self
            .resources
            .iter()
            .filter(|resource| !matches!(resource.document, Document::Component(_)))
            .cloned()
            .collect();
        world::read(
            &resources,
            &self.layout,
            &self.owner,
            &Arc::new(self.components(ui)),
        )
        .await
        .map_err(Stop::error)
    }

    pub async fn world(&self, ui: &Ui) -> Result<World, Stop> {
        world::read(
            &self.resources,
            &self.layout,
            &self.owner,
            &Arc::new(self.components(ui)),
        )
        .await
        .map_err(Stop::error)
    }
}

/// The checkout that this program was built from, when it lies in one.
fn workspace(spec: &Path) -> Option<PathBuf> {
    let places = [
        std::env::current_exe().ok(),
        std::env::current_dir().ok(),
        Some(spec.to_owned()),
    ];
    places.into_iter().flatten().find_map(|place| {
        place
            .ancestors()
            .find(|folder| {
                folder.join("Cargo.toml").is_file()
                    && folder.join("agent/Cargo.toml").is_file()
                    && folder.join("provisioner/Cargo.toml").is_file()
            })
            .map(Path::to_owned)
    })
}
