//! placeholder
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use serde::{Serialize,Deserialize};
use crate::model::{ComponentPolicy, SourceKind};
use crate::progress::Progress;
pub struct Context { pub cache: PathBuf, pub lock_file: PathBuf, pub policy: ComponentPolicy, pub workspace: Option<PathBuf>, pub progress: Arc<dyn Progress> }
#[derive(Debug, Clone)]
pub enum Lookup { Installed(Installed), Missing }
pub enum Outcome { Installed(Installed), NotInstalled(Vec<Attempt>) }
#[derive(Debug, Clone)]
pub struct Installed { pub name: String, pub version: String, pub source: SourceKind, pub programs: BTreeMap<String, PathBuf>, pub digest: String }
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Attempt { pub source: String, pub coordinate: String, pub reason: String }
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ComponentError;
pub fn describe(_: &[Attempt]) -> String { String::new() }
impl Context { pub fn lookup(&self, _: &str, _: Option<&str>) -> Result<Lookup, ComponentError> { Ok(Lookup::Missing) }
 pub fn obtain(&self, _: &str, _: Option<&str>) -> Result<Outcome, ComponentError> { Err(ComponentError) } }
pub fn known() -> Vec<String> { Vec::new() }
impl std::fmt::Display for Attempt { fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) } }
