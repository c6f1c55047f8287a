//! The user that runs servers which refuse root: `nobody`. Only asked when this program runs as
//! root; as anybody else it starts everything as itself.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A user by number, written `<uid>:<gid>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// What Linux calls them everywhere, should `/etc/passwd` not name `nobody`.
const NOBODY: User = User {
    uid: 65_534,
    gid: 65_534,
};

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

impl FromStr for User {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (uid, gid) = text.split_once(':').ok_or(())?;
        Ok(Self {
            uid: uid.parse().map_err(drop)?,
            gid: gid.parse().map_err(drop)?,
        })
    }
}

/// `None` when this program does not run as root.
pub fn unprivileged() -> Option<User> {
    rustix::process::geteuid().is_root().then(|| {
        std::fs::read_to_string("/etc/passwd")
            .ok()
            .and_then(|text| entry(&text, "nobody"))
            .unwrap_or(NOBODY)
    })
}

/// A user in the text of `/etc/passwd`, passwd(5); never root. Pure.
fn entry(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0 && gid != 0).then_some(User { uid, gid })
    })
}

impl User {
    /// Whether the user gets to `path` at all, so far as it exists: the bit `x` on every folder.
    pub fn may_enter(self, path: &Path) -> bool {
        path.ancestors().all(|folder| self.may(folder, 0o1))
    }

    /// Whether the user gets to the file and may read and execute it.
    pub fn may_run(self, path: &Path) -> bool {
        let Ok(real) = std::fs::canonicalize(path) else {
            return false;
        };
        self.may(&real, 0o5) && real.parent().is_some_and(|folder| self.may_enter(folder))
    }

    fn may(self, path: &Path, bits: u32) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let Ok(meta) = std::fs::metadata(path) else {
            // Not there yet: made by this program, for all to enter.
            return true;
        };
        let shift = match (meta.uid() == self.uid, meta.gid() == self.gid) {
            (true, _) => 6,
            (false, true) => 3,
            _ => 0,
        };
        (meta.mode() >> shift) & bits == bits
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name_and_is_never_root() {
        let text = "root:x:0:0::/root:/bin/sh\nnobody2:x:7:7::/:\nnobody:x:65534:65533:n:/:/x\n";
        let user = User {
            uid: 65_534,
            gid: 65_533,
        };
        assert_eq!(entry(text, "nobody"), Some(user));
        assert_eq!(entry(text, "root"), None);
        assert_eq!(user.to_string().parse(), Ok(user));
        assert_eq!("1".parse::<User>(), Err(()));
        assert_eq!("a:b".parse::<User>(), Err(()));
    }

    #[test]
    fn a_closed_folder_on_the_way_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let open = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path(), mode).unwrap();
        };
        let inner = folder.path().join("not/there/yet");
        open(0o700);
        assert!(!NOBODY.may_enter(&inner));
        open(0o755);
        assert!(NOBODY.may_enter(&inner));
        let program = folder.path().join("p");
        std::fs::write(&program, "").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(NOBODY.may_run(&program));
        open(0o711);
        assert!(NOBODY.may_run(&program));
        open(0o700);
        assert!(!NOBODY.may_run(&program));
    }
}
