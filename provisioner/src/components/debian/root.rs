//! The private apt root: its only source is one suite of the mirror, its way to the network is the
//! machine's own, and nothing of the machine's hooks, preferences or lax trust gets in.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SOURCE;
use crate::components::apt::{self, Mirror, SignedBy};
use crate::components::digest::hex_sha256;
use crate::components::download::Base;
use crate::components::error::{Refusal, cache_error};
use crate::components::job::Job;
use crate::components::tool;

/// The key of Debian's archive, where the machine's entry names none.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The programs that this source stands on.
pub struct Tools {
    pub apt_get: PathBuf,
    pub apt_cache: PathBuf,
    pub apt_config: PathBuf,
    pub dpkg_deb: PathBuf,
}

impl Tools {
    pub fn find(job: &Job<'_>) -> Result<Self, String> {
        if job.machine.platform.os != "linux" {
            return Err(format!(
                "there are no Debian packages for {}",
                job.machine.platform.os
            ));
        }
        let find = |name: &str| {
            let path = job.machine.which(name);
            path.ok_or_else(|| format!("{name} is not on PATH; this is no Debian-like system"))
        };
        Ok(Self {
            apt_get: find("apt-get")?,
            apt_cache: find("apt-cache")?,
            apt_config: find("apt-config")?,
            dpkg_deb: find("dpkg-deb")?,
        })
    }
}

/// The mirror of the policy, else the machine's own. The key is the machine's in either case: a
/// mirror holds what Debian signed.
pub fn mirror(job: &Job<'_>) -> Result<Mirror, String> {
    let own = apt::debian_mirror(&apt::read_sources(&job.machine.apt_etc));
    let Some(text) = job.mirror(SOURCE) else {
        return own.ok_or_else(|| {
            let etc = job.machine.apt_etc.display();
            format!(
                "the apt sources below {etc} name no Debian mirror; components.mirrors.debian can"
            )
        });
    };
    let uri = match Base::parse(text, job.spec_folder())? {
        Base::Http(_) => text.to_string(),
        // `copy:` and not `file:`, so that apt verifies and we delete a copy of our own.
        Base::Folder(folder) => format!("copy:{}", folder.display()),
    };
    if uri.contains(char::is_whitespace) {
        return Err("the mirror's address holds a blank, which apt cannot read".into());
    }
    let keyring = || {
        Path::new(KEYRING)
            .exists()
            .then(|| SignedBy::Keys(KEYRING.into()))
    };
    let signed_by = own.and_then(|m| m.signed_by).or_else(keyring);
    Ok(Mirror { uri, signed_by })
}

/// Our own apt root in the cache.
pub struct Root {
    pub folder: PathBuf,
    pub config: PathBuf,
    /// Of the guard.
    pub name: String,
}

impl Root {
    pub fn prepare(
        job: &Job<'_>,
        tools: &Tools,
        mirror: &Mirror,
        suite: &str,
    ) -> Result<Self, Refusal> {
        let arch = &job.machine.platform.arch;
        let source = mirror.source_file(suite, arch);
        let name = format!("apt-{}", &hex_sha256(&source)[..16]);
        let folder = job.context.cache.join("apt").join(&name);
        let failed = |e| cache_error("prepare", &folder, e);
        for part in [
            "state/lists/partial",
            "cache/archives/partial",
            "parts",
            "sources",
            "preferences",
        ] {
            // Proxies and mirrors may carry passwords: nobody else may look in here.
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder.join(part));
            made.map_err(failed)?;
        }
        let root = Self {
            config: folder.join("apt.conf"),
            folder,
            name,
        };
        let dump = tool::run(
            job.machine.command(&tools.apt_config).arg("dump"),
            Duration::from_secs(20),
            &mut |_| {},
            &mut |_| {},
        );
        let dump = dump.map(|f| f.stdout).unwrap_or_default();
        let failed = |e| cache_error("prepare", &root.folder, e);
        root.write("kai.sources", &source).map_err(failed)?;
        root.write("status", "").map_err(failed)?;
        root.write(
            "apt.conf",
            &root.configuration(&dump, arch, &job.machine.apt_etc),
        )
        .map_err(failed)?;
        Ok(root)
    }

    fn write(&self, name: &str, text: &str) -> std::io::Result<()> {
        use std::io::Write;
        let path = self.folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())
    }

    /// The machine's own way to the network (proxies, timeouts, certificates) without its sources,
    /// hooks and preferences, and without anything that loosens verification.
    fn configuration(&self, dump: &str, arch: &str, etc: &Path) -> String {
        let folder = self.folder.display();
        let kept = dump
            .lines()
            .filter(|l| is_network_setting(l))
            .map(|l| format!("{l}\n"));
        let kept: String = kept.collect();
        format!(
            "{kept}\
             Acquire::AllowInsecureRepositories \"0\";\n\
             Acquire::AllowWeakRepositories \"0\";\n\
             Acquire::AllowDowngradeToInsecureRepositories \"0\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"0\";\n\
             APT::Architecture \"{arch}\";\n\
             APT::Architectures {{ \"{arch}\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             APT::Update::Error-Mode \"any\";\n\
             Dir::State \"{folder}/state\";\n\
             Dir::State::status \"{folder}/status\";\n\
             Dir::Cache \"{folder}/cache\";\n\
             Dir::Cache::pkgcache \"\";\n\
             Dir::Cache::srcpkgcache \"\";\n\
             Dir::Etc \"{}\";\n\
             Dir::Etc::main \"/dev/null\";\n\
             Dir::Etc::parts \"{folder}/parts\";\n\
             Dir::Etc::sourcelist \"{folder}/kai.sources\";\n\
             Dir::Etc::sourceparts \"{folder}/sources\";\n\
             Dir::Etc::preferences \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"{folder}/preferences\";\n",
            etc.display()
        )
    }

    pub fn marker(&self) -> PathBuf {
        self.folder.join("updated")
    }
}

/// Lines of `apt-config dump` that say how to reach the network.
fn is_network_setting(line: &str) -> bool {
    let dropped = ["IndexTargets", "Languages", "Changelogs", "Allow"];
    line.ends_with("\";")
        && line
            .strip_prefix("Acquire::")
            .is_some_and(|rest| !dropped.iter().any(|d| rest.starts_with(d)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_proxies_but_neither_hooks_nor_lax_trust() {
        assert!(is_network_setting(
            "Acquire::http::Proxy \"http://p:3128\";"
        ));
        assert!(is_network_setting("Acquire::Check-Valid-Until \"false\";"));
        for line in [
            "APT::Update::Post-Invoke-Success:: \"/bin/x\";",
            "Acquire::AllowInsecureRepositories \"1\";",
            "Acquire::IndexTargets::deb::DEP-11::MetaKey \"x\";",
            "Acquire::Languages:: \"de\";",
            "Acquire::http::Proxy \"unfinished",
        ] {
            assert!(!is_network_setting(line), "{line}");
        }
    }
}
