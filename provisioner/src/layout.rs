//! Where things lie on this machine. One stack, one folder; components are shared.

use std::path::{Component, Path, PathBuf};

use crate::model::Owner;
use crate::resource::digest;
use crate::systems::user;

/// The folders of one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `<home>/stacks/<owner>`
    pub root: PathBuf,
    pub cache: PathBuf,
    /// Where servers that refuse root keep what is theirs: `root`, unless this program runs as root
    /// and the user that it runs them as may not enter that.
    pub open: PathBuf,
}

/// Folders that any user may enter, for what root's own folders hide.
pub const OPEN: &str = "/var/lib/kai-observe";

#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    #[error("no home folder: set HOME, or say --home DIR and KAI_CACHE")]
    NoHome,
    #[error(
        "the folder {} is too long for a Unix socket ({length} bytes, limit 107); choose a shorter --home",
        path.display()
    )]
    SocketPath { path: PathBuf, length: usize },
    #[error("cannot make {} absolute: {source}", path.display())]
    Absolute {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Layout {
    /// `home` and `cache` as given on the command line or by `KAI_HOME`, `KAI_CACHE`; otherwise
    /// the XDG folders.
    pub fn new(
        home: Option<&Path>,
        cache: Option<&Path>,
        owner: &Owner,
    ) -> Result<Self, LayoutError> {
        // One spelling: processes are told ours by it, and `../x`, a link, and `x` are one folder.
        let home = physical(&match home {
            Some(path) => absolute(path)?,
            None => xdg("XDG_DATA_HOME", ".local/share")?.join("kai-observe"),
        });
        let cache = cache_folder(cache)?;
        let root = home.join("stacks").join(owner.to_string());
        let open = open_folder(&root);
        let layout = Self { root, cache, open };
        let socket = layout.agent_socket();
        let length = socket.as_os_str().len();
        if length > 107 {
            return Err(LayoutError::SocketPath {
                path: socket,
                length,
            });
        }
        Ok(layout)
    }

    pub fn agent_socket(&self) -> PathBuf {
        self.root.join("run/agent.sock")
    }
    pub fn log(&self, process: &str) -> PathBuf {
        self.root.join("log").join(format!("{process}.log"))
    }
    pub fn lease(&self) -> PathBuf {
        self.root.join("lease")
    }
    pub fn not_installed(&self) -> PathBuf {
        self.root.join("not-installed.json")
    }
}

/// What was chosen once stays, so that a mode changed later hides no data.
fn open_folder(root: &Path) -> PathBuf {
    let Some(user) = user::unprivileged() else {
        return root.to_owned();
    };
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    let folder = digest(root.as_os_str().as_encoded_bytes());
    let elsewhere = Path::new(OPEN)
        .join("stacks")
        .join(format!("{name}-{}", &folder[..8]));
    let stays = root.join("data/elasticsearch").is_dir();
    if !elsewhere.is_dir() && (stays || user.may_enter(root)) {
        root.to_owned()
    } else {
        elsewhere
    }
}

/// `KAI_CACHE`, or the XDG cache folder.
pub fn cache_folder(cache: Option<&Path>) -> Result<PathBuf, LayoutError> {
    match cache {
        Some(path) => absolute(path),
        None => Ok(xdg("XDG_CACHE_HOME", ".cache")?.join("kai-observe")),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, LayoutError> {
    std::path::absolute(path).map_err(|source| LayoutError::Absolute {
        path: path.to_owned(),
        source,
    })
}

/// The path without links and dots, also where its last parts are not there yet. `path` is absolute.
fn physical(path: &Path) -> PathBuf {
    let Some((mut out, missing)) = path.ancestors().find_map(|there| {
        let missing = path.strip_prefix(there).ok()?;
        Some((std::fs::canonicalize(there).ok()?, missing))
    }) else {
        return path.to_owned();
    };
    for part in missing.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out
}

fn xdg(variable: &str, below_home: &str) -> Result<PathBuf, LayoutError> {
    if let Some(path) = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
    {
        return Ok(path);
    }
    std::env::home_dir()
        .filter(|home| home.is_absolute())
        .map(|home| home.join(below_home))
        .ok_or(LayoutError::NoHome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_home_is_one_stack() {
        let folder = tempfile::tempdir().unwrap();
        let real = std::fs::canonicalize(folder.path()).unwrap();
        std::fs::create_dir(real.join("home")).unwrap();
        std::os::unix::fs::symlink("home", real.join("link")).unwrap();
        for spelling in ["home", "home/", "home/../home", "link", "link/../link/."] {
            assert_eq!(
                physical(&real.join(spelling)),
                real.join("home"),
                "{spelling}"
            );
        }
        // What is not there yet keeps its name when it is made.
        assert_eq!(
            physical(&real.join("link/new/../stacks")),
            real.join("home/stacks")
        );
        assert_eq!(physical(&real.join("gone/../link")), real.join("link"));
    }
}
