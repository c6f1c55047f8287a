//! Secrets: read from where the spec says, kept in files that only this user reads, and shown to
//! nobody.

use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{self, FileError};
use crate::model::{SecretRef, SecretSource};

/// A secret's value. It has no `Display`, and `Debug` does not show it.
#[derive(Clone)]
pub struct Value(String);

impl Value {
    /// What a server has just said.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// For the request or file that needs it; nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the environment variable {0} is not set or empty; set it and run again")]
    Variable(String),
    #[error("the secret file {} is empty", .0.display())]
    Empty(PathBuf),
    #[error("cannot read the secret file {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0} is said by its server once, to whoever makes it; it cannot be asked for")]
    Issued(String),
    #[error(transparent)]
    Write(#[from] FileError),
}

/// Reads the value now, where the spec says that it is.
pub fn resolve(reference: &SecretRef) -> Result<Value, SecretError> {
    match &reference.source {
        SecretSource::Env(name) => std::env::var(name)
            .ok()
            .filter(|value| !value.trim().is_empty())
            .map(Value)
            .ok_or_else(|| SecretError::Variable(name.clone())),
        SecretSource::File(path) | SecretSource::Generated(path) => {
            let text = std::fs::read_to_string(path).map_err(|source| SecretError::Read {
                path: path.clone(),
                source,
            })?;
            let text = text.trim_end_matches(['\n', '\r']);
            if text.is_empty() {
                return Err(SecretError::Empty(path.clone()));
            }
            Ok(Value(text.to_owned()))
        }
        SecretSource::Issued(name) => Err(SecretError::Issued(name.clone())),
    }
}

/// The value as it is to be stored. One that is to be made is made once: what it opened before
/// would stay shut for another.
pub fn to_store(reference: &SecretRef) -> Result<Value, SecretError> {
    match (&reference.source, resolve(reference)) {
        (SecretSource::Generated(_), Err(SecretError::Read { source, .. }))
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(generate())
        }
        (SecretSource::Generated(_), Err(SecretError::Empty(_))) => Ok(generate()),
        (_, resolved) => resolved,
    }
}

/// 32 letters and digits, 190 bits, from the system's generator.
fn generate() -> Value {
    use rand::Rng as _;
    use rand::distr::Alphanumeric;
    let letters = rand::rng().sample_iter(Alphanumeric).take(32);
    Value(letters.map(char::from).collect())
}

/// Mode 0600, in a folder of mode 0700.
pub fn store(path: &Path, value: &Value) -> Result<(), SecretError> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    if let Some(folder) = path.parent() {
        if !folder.is_dir() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(file::failed("create the folder", folder))?;
        }
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
            .map_err(file::failed("protect", folder))?;
    }
    file::write(path, value.0.as_bytes(), 0o600)?;
    Ok(())
}

/// Whether a file in the folder of secrets bears a name that `render` gives:
/// `<what>.<8 hexadecimal digits>`. Nothing inside may say whose it is.
pub fn ours(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str()?.rsplit_once('.'))
        .is_some_and(|(what, version)| {
            !what.is_empty()
                && version.len() == 8
                && version
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
}

/// Whether the file is there, not empty, and readable by its user alone.
pub fn in_step(path: &Path) -> Result<bool, FileError> {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata(path) {
        Ok(meta) => Ok(meta.is_file() && meta.mode() & 0o777 == 0o600 && meta.len() > 0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(file::failed("read", path)(error)),
    }
}

/// Whether the file holds what the reference gives now. `true` also when the reference cannot be
/// read here: whoever only plans need not have the secret.
pub fn is_current(path: &Path, reference: &SecretRef) -> bool {
    match (resolve(reference), std::fs::read(path)) {
        (Ok(value), Ok(held)) => value.0.as_bytes() == held,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_render_would_not_give_is_not_ours() {
        assert!(ours(Path::new("/s/booking-pagerduty.a19097af")));
        for foreign in ["key", "key.pem", ".a19097af", "key.A19097AF", "key.a19097a"] {
            assert!(!ours(&Path::new("/s").join(foreign)), "{foreign}");
        }
    }

    #[test]
    fn a_value_is_never_shown() {
        let value = Value("hunter2".into());
        assert_eq!(format!("{value:?}"), "Secret(…)");
    }

    #[test]
    fn a_secret_edited_by_hand_is_not_current() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::write(&source, "right\n").unwrap();
        let reference = SecretRef {
            source: SecretSource::File(source.clone()),
            rotation: 0,
        };
        let path = folder.path().join("secrets/key");
        store(&path, &resolve(&reference).unwrap()).unwrap();
        assert!(is_current(&path, &reference));
        std::fs::write(&path, "wrong").unwrap();
        assert!(!is_current(&path, &reference));
        std::fs::remove_file(source).unwrap();
        assert!(is_current(&path, &reference));
    }

    #[test]
    fn a_generated_secret_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/password");
        let reference = SecretRef {
            source: SecretSource::Generated(path.clone()),
            rotation: 0,
        };
        assert!(resolve(&reference).is_err());
        let first = to_store(&reference).unwrap();
        assert_eq!(first.expose().len(), 32);
        assert_ne!(first.expose(), to_store(&reference).unwrap().expose());
        store(&path, &first).unwrap();
        assert_eq!(to_store(&reference).unwrap().expose(), first.expose());
        assert!(is_current(&path, &reference));
    }

    #[test]
    fn a_stored_secret_is_readable_by_its_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/key");
        assert!(!in_step(&path).unwrap());
        store(&path, &Value("x".into())).unwrap();
        assert!(in_step(&path).unwrap());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!in_step(&path).unwrap());
    }
}
