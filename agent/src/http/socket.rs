//! Makes the admin socket: mode 0600 from its first moment, and never in the place of something
//! that is in use or not a socket.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("the admin socket {} is in use by another agent; stop that one or set another admin.socket", .0.display())]
    InUse(PathBuf),
    #[error("{} is there and not a socket; remove it or set another admin.socket", .0.display())]
    NotASocket(PathBuf),
    #[error("cannot make the admin socket {}: {source}; its folder must exist and be writable", path.display())]
    Make { path: PathBuf, source: io::Error },
}

/// The bound socket. Its file is removed with it, if it is still ours.
#[derive(Debug)]
pub struct AdminSocket {
    path: PathBuf,
    /// Device and inode of the file that we made.
    made: (u64, u64),
}

impl AdminSocket {
    /// Binds the socket. Must be called within the runtime.
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), SocketError> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            // A socket that nobody answers on was left behind by a process that was killed.
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(SocketError::InUse(path.to_owned()));
            }
            _ => {}
        }
        let make = |source| SocketError::Make {
            path: path.to_owned(),
            source,
        };
        let (listener, made) = bind_private(path).map_err(make)?;
        Ok((
            Self {
                path: path.to_owned(),
                made,
            },
            listener,
        ))
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.made);
        if ours {
            let _ = fs::remove_file(&self.path); // a left-over file is replaced at the next start
        }
    }
}

/// bind(2) makes the file with whatever mode the umask leaves, so it is made in a folder that only
/// we may enter, given its mode there, and moved to its place at once.
fn bind_private(path: &Path) -> io::Result<(UnixListener, (u64, u64))> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let private = parent.join(format!(".k{}", std::process::id()));
    match DirBuilder::new().mode(0o700).create(&private) {
        // From an earlier process of the same number that was killed just here.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let _ = fs::remove_file(private.join("s"));
            fs::remove_dir(&private)?;
            DirBuilder::new().mode(0o700).create(&private)?;
        }
        other => other?,
    }
    let inner = private.join("s");
    let result = (|| {
        let listener = UnixListener::bind(&inner)?;
        fs::set_permissions(&inner, Permissions::from_mode(0o600))?;
        let made = fs::symlink_metadata(&inner)?;
        fs::rename(&inner, path)?;
        Ok((listener, (made.dev(), made.ino())))
    })();
    if result.is_err() {
        let _ = fs::remove_file(&inner); // the error that is returned says more
    }
    let _ = fs::remove_dir(&private);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_private_replaces_a_stale_one_and_cleans_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (socket, listener) = AdminSocket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(
            AdminSocket::bind(&path),
            Err(SocketError::InUse(_))
        ));
        drop((socket, listener));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(
            AdminSocket::bind(&path),
            Err(SocketError::NotASocket(_))
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
        let missing = folder.path().join("no/admin.sock");
        assert!(matches!(
            AdminSocket::bind(&missing),
            Err(SocketError::Make { .. })
        ));
    }
}
