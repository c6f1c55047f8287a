//! A Debian mirror in a folder, signed by a key of the test: apt itself decides what is trusted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kai_observe::components::{ComponentError, Machine};
use kai_observe::model::SourceKind;

use super::support::{Bench, program, sha256, write_program};

/// A repository with `prometheus` and `promtool`, signed; `None` where the tools for it are missing.
struct Repository {
    root: PathBuf,
    gpg_home: PathBuf,
    gpg: PathBuf,
}

impl Repository {
    fn create(dir: &Path) -> Option<Self> {
        let machine = Machine::this().expect("a machine");
        let gpg = machine.which("gpg")?;
        for tool in ["apt-get", "apt-cache", "apt-config", "dpkg-deb"] {
            machine.which(tool)?;
        }
        let repository = Self {
            root: dir.join("debian"),
            gpg_home: dir.join("gpg"),
            gpg,
        };
        fs::create_dir_all(&repository.gpg_home).expect("a folder");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&repository.gpg_home, mode).expect("a mode");
        repository.gpg(&[
            "--passphrase",
            "",
            "--quick-gen-key",
            "test@example.org",
            "rsa2048",
            "sign",
            "1d",
        ]);
        repository.gpg(&[
            "--output",
            &dir.join("key.gpg").display().to_string(),
            "--export",
        ]);
        Some(repository)
    }

    fn gpg(&self, args: &[&str]) {
        let status = Command::new(&self.gpg)
            .arg("--homedir")
            .arg(&self.gpg_home)
            .args(["--batch", "--yes", "--quiet", "--pinentry-mode", "loopback"])
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("gpg runs");
        assert!(status.success(), "gpg {args:?}");
    }

    /// Both packages at `version`, with lists that are signed when `signed`.
    fn publish(&self, version: &str, signed: bool) {
        let pool = self.root.join("pool");
        let lists = self.root.join("dists/forky/main/binary-amd64");
        for folder in [&pool, &lists] {
            fs::create_dir_all(folder).expect("a folder");
        }
        let mut packages = String::new();
        for name in ["prometheus", "promtool"] {
            let file = format!("{name}_{version}_amd64.deb");
            let deb = pool.join(&file);
            if !deb.exists() {
                build_deb(&self.root, name, version, &deb);
            }
            let bytes = fs::read(&deb).expect("there");
            packages.push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example.org>\n\
                 Filename: pool/{file}\nSize: {}\nSHA256: {}\nDescription: test\n\n",
                bytes.len(),
                sha256(&bytes)
            ));
        }
        fs::write(lists.join("Packages"), &packages).expect("written");
        let release = format!(
            "Origin: Debian\nSuite: forky\nCodename: forky\nDate: {}\nArchitectures: amd64\nComponents: main\nSHA256:\n {} {} main/binary-amd64/Packages\n",
            httpdate(),
            sha256(packages.as_bytes()),
            packages.len()
        );
        let dist = self.root.join("dists/forky");
        let plain = dist.join("Release");
        fs::write(&plain, release).expect("written");
        let inrelease = dist.join("InRelease");
        if signed {
            let (from, to) = (plain.display().to_string(), inrelease.display().to_string());
            self.gpg(&["--output", &to, "--clearsign", &from]);
        } else {
            let _ = fs::remove_file(inrelease);
        }
    }
}

impl Drop for Repository {
    /// gpg leaves an agent behind, which must not outlive the test.
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(&self.gpg_home)
            .args(["--kill", "all"])
            .status();
    }
}

fn httpdate() -> String {
    let output = Command::new("date")
        .args(["-Ru"])
        .output()
        .expect("date runs");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .replace("+0000", "UTC")
}

fn build_deb(root: &Path, name: &str, version: &str, deb: &Path) {
    let tree = root.join("build").join(name);
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir_all(tree.join("DEBIAN")).expect("a folder");
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example.org>\nDescription: test\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).expect("written");
    let upstream = version.split(['+', '-']).next().unwrap_or(version);
    write_program(&tree.join("usr/bin").join(name), &program(name, upstream));
    let output = Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Znone", "-b"])
        .arg(&tree)
        .arg(deb)
        .output()
        .expect("dpkg-deb runs");
    assert!(output.status.success(), "{output:?}");
}

/// A bench whose machine has that repository as its Debian mirror.
fn bench() -> Option<(Bench, Repository)> {
    let mut bench = Bench::new(&[SourceKind::Debian]);
    let Some(repository) = Repository::create(bench.path()) else {
        println!("not run: gpg or apt is missing here");
        return None;
    };
    bench.machine.search_path = std::env::var_os("PATH").expect("a PATH");
    let parts = bench.machine.apt_etc.join("sources.list.d");
    fs::create_dir_all(&parts).expect("a folder");
    let source = format!(
        "Types: deb\nURIs: copy:{}\nSuites: bookworm\nComponents: main\nSigned-By: {}\n",
        repository.root.display(),
        bench.path().join("key.gpg").display()
    );
    fs::write(parts.join("debian.sources"), source).expect("written");
    Some((bench, repository))
}

#[test]
fn packages_of_the_machines_mirror_are_verified_and_unpacked() {
    let Some((bench, repository)) = bench() else {
        return;
    };
    repository.publish("3.5.3+ds1-6", true);
    let installed = bench.installed("prometheus", None);
    assert_eq!(
        (installed.version.as_str(), installed.source),
        ("3.5.3", SourceKind::Debian)
    );
    assert_eq!(installed.coordinate, "prometheus=3.5.3+ds1-6 (suite forky)");
    for program in installed.programs.values() {
        assert!(program.starts_with(&bench.context.cache) && program.is_file());
    }
    let deb = fs::read(repository.root.join("pool/promtool_3.5.3+ds1-6_amd64.deb")).expect("there");
    let pin = format!(
        "\"promtool_3.5.3+ds1-6_amd64.deb\": \"sha256:{}\"",
        sha256(&deb)
    );
    assert!(bench.lock_text().contains(&pin), "{}", bench.lock_text());
    assert!(bench.installed("prometheus", Some("3.5")).cached);
    assert_eq!(
        bench.reason("prometheus", Some("3.6.0"), SourceKind::Debian),
        "it is 3.5.3, the spec asks for 3.6.0"
    );
    bench.assert_tidy();
}

#[test]
fn lists_that_nobody_signed_or_that_were_changed_are_passed_over() {
    let Some((bench, repository)) = bench() else {
        return;
    };
    repository.publish("3.5.3-1", false);
    let reason = bench.reason("prometheus", None, SourceKind::Debian);
    assert!(
        reason.starts_with("the package lists could not be fetched: "),
        "{reason}"
    );
    repository.publish("3.5.3-1", true);
    let packages = repository
        .root
        .join("dists/forky/main/binary-amd64/Packages");
    let text = fs::read_to_string(&packages)
        .expect("there")
        .replace("3.5.3-1", "9.5.3-1");
    fs::write(&packages, text).expect("written");
    let reason = bench.reason("prometheus", None, SourceKind::Debian);
    assert!(
        reason.starts_with("the package lists could not be fetched: "),
        "{reason}"
    );
    assert!(!bench.context.lock_file.exists());
}

#[test]
fn a_package_that_is_not_what_the_list_says_is_not_used() {
    let Some((bench, repository)) = bench() else {
        return;
    };
    repository.publish("3.5.3-1", true);
    let deb = repository.root.join("pool/promtool_3.5.3-1_amd64.deb");
    let mut bytes = fs::read(&deb).expect("there");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&deb, bytes).expect("written");
    // apt refuses it itself; were it to let it pass, our own comparison would stop the run.
    match bench.obtain("prometheus", None) {
        Ok(kai_observe::components::Outcome::NotInstalled(attempts)) => {
            let reason = super::support::reason(&attempts, SourceKind::Debian);
            assert!(
                reason.starts_with("the packages could not be fetched: "),
                "{reason}"
            );
        }
        Err(ComponentError::Checksum(_)) => {}
        other => panic!("{other:?}"),
    }
    assert!(!bench.context.cache.join("components").exists());
    bench.assert_tidy();
}

#[test]
fn a_newer_package_is_found_after_the_list_has_aged_out() {
    let Some((bench, repository)) = bench() else {
        return;
    };
    repository.publish("3.5.3-1", true);
    bench.installed("prometheus", None);
    fs::remove_dir_all(bench.context.cache.join("components")).expect("removed");
    // The mirror moves on: the old file is gone, the old list is still ours.
    for name in ["prometheus", "promtool"] {
        fs::remove_file(
            repository
                .root
                .join(format!("pool/{name}_3.5.3-1_amd64.deb")),
        )
        .expect("removed");
    }
    repository.publish("3.5.4-1", true);
    for folder in super::support::folders(&bench.context.cache.join("apt")) {
        let marker = fs::File::options()
            .write(true)
            .open(folder.join("updated"))
            .expect("open");
        marker
            .set_modified(std::time::SystemTime::now() - std::time::Duration::from_mins(2))
            .expect("a time");
    }
    assert_eq!(bench.installed("prometheus", None).version, "3.5.4");
    assert!(bench.lock_text().contains("\"3.5.3-1\"") && bench.lock_text().contains("\"3.5.4-1\""));
}

#[test]
fn without_a_debian_mirror_or_its_tools_it_says_so() {
    let mut bench = Bench::new(&[SourceKind::Debian]);
    let reason = bench.reason("prometheus", None, SourceKind::Debian);
    assert_eq!(
        reason,
        "apt-get is not on PATH; this is no Debian-like system"
    );
    bench.machine.platform.os = "darwin".into();
    let reason = bench.reason("prometheus", None, SourceKind::Debian);
    assert_eq!(reason, "there are no Debian packages for darwin");
    bench.machine.platform.os = "linux".into();
    if ["apt-get", "apt-cache", "apt-config", "dpkg-deb"]
        .iter()
        .all(|t| bench.real_tool(t))
    {
        let reason = bench.reason("prometheus", None, SourceKind::Debian);
        assert!(reason.contains("name no Debian mirror"), "{reason}");
        let reason = bench.reason("alertmanager", None, SourceKind::Debian);
        let expected = "/usr/share/prometheus/alertmanager/default.tmpl";
        assert!(
            Path::new(expected).exists() || reason.contains(expected),
            "{reason}"
        );
    }
}
