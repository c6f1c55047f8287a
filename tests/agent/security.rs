//! The security checks of the real binary over a small machine in a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::logs::runner::append;
use crate::support::{Agent, binary, copy_tree, wait_for};

/// A machine: accounts, a log, a program with the set-user-ID bit, and folders deeper than a walk
/// goes.
fn machine(root: &Path) {
    for folder in ["etc", "var/log", "usr/bin", "usr/local/bin", "proc/net"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let deep: PathBuf = std::iter::repeat_n("d", 220).collect();
    fs::create_dir_all(root.join("usr/local").join(deep)).unwrap();
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/bash\nana:x:1000:1000::/home/ana:/bin/bash\n",
    )
    .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nsudo:x:27:ana\n").unwrap();
    fs::write(root.join("var/log/auth.log"), "").unwrap();
    program(&root.join("usr/bin/su"), 0o4755);
    program(&root.join("usr/bin/id"), 0o755);
}

fn program(path: &Path, mode: u32) {
    fs::write(path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

struct Node {
    agent: Agent,
    root: tempfile::TempDir,
}

const CHECKS: &str = "intervalSeconds: { auth: 1, suid: 1, users: 1, integrity: 3600 }, integrity: { paths: \
     [/etc/passwd, /usr/bin] }";

impl Node {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        machine(root.path());
        let agent = Self::agent(root.path(), tempfile::tempdir().unwrap());
        let node = Self { agent, root };
        node.looked("suid");
        node.looked("integrity");
        node.looked("users");
        node
    }

    fn agent(root: &Path, folder: tempfile::TempDir) -> Agent {
        let state = folder.path().join("state");
        let _ = fs::create_dir(&state);
        let more = format!(
            "state: {}\nroots: {{ root: {} }}\nsecurity: {{ {CHECKS} }}\n",
            state.display(),
            root.display()
        );
        Agent::start_in(folder, &more)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn log(&self, text: &str) {
        append(&self.path("var/log/auth.log"), text.as_bytes());
    }

    fn value(&self, series: &str) -> Option<f64> {
        let metrics = self.agent.metrics();
        metrics.series.get(series).map(|text| text.parse().unwrap())
    }

    fn looked(&self, check: &str) {
        wait_for(check, || {
            self.value(&format!("kai_security_check_success{{check=\"{check}\"}}"))
                .filter(|value| *value == 1.0)
        });
    }

    fn reaches(&self, series: &str, wanted: f64) {
        wait_for(series, || {
            self.value(series).filter(|value| *value == wanted)
        });
    }

    fn baseline(&self, args: &[&str]) -> Output {
        binary()
            .arg("baseline")
            .args(args)
            .arg("--config")
            .arg(self.agent.path("agent.yaml"))
            .output()
            .unwrap()
    }

    fn accept(&self, check: &str) {
        let output = self.baseline(&[
            "accept", "--check", check, "--by", "ana", "--reason", "a test",
        ]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{text}");
    }
}

const FAILED: &str = "kai_security_ssh_logins_total{method=\"password\",result=\"failed\"}";

#[test]
fn logins_are_counted_over_rotation_and_kills() {
    let mut node = Node::start();
    node.log(
        "Nov 24 11:40:01 node sshd[100]: Failed password for invalid user admin from 203.0.113.9 port 4242 ssh2\n\
         Nov 24 11:40:02 node sshd[100]: Failed password for ana from 2001:db8::9 port 4242 ssh2\n\
         Nov 24 11:40:03 node sshd[100]: message repeated 2 times: [ Failed password for ana from 2001:db8::9 port 4242 ssh2]\n\
         2026-11-24T11:40:04.000000+07:00 node sshd[101]: Accepted publickey for ana from 10.0.0.5 port 5151 ssh2: ED25519 SHA256:abc\n\
         Nov 24 11:40:05 node sudo:      ana : TTY=pts/0 ; PWD=/home/ana ; USER=root ; COMMAND=/usr/bin/id\n\
         Nov 24 11:40:06 node su[200]: FAILED SU (to root) ana on pts/0\n\
         Nov 24 11:40:07 node useradd[300]: new user: name=eve, UID=1001, GID=1001, home=/home/eve, shell=/bin/bash, from=/dev/pts/0\n",
    );
    node.reaches(FAILED, 4.0);
    let one = |series: &str| assert_eq!(node.value(series), Some(1.0), "{series}");
    one("kai_security_ssh_logins_total{method=\"publickey\",result=\"accepted\"}");
    one("kai_security_sudo_total{outcome=\"allowed\",target=\"root\"}");
    one("kai_security_su_total{outcome=\"refused\",target=\"root\"}");
    one("kai_security_account_changes_total{change=\"user_added\"}");
    one("kai_security_ssh_failures_by_user_total{user=\"admin\"}");

    // Rotated, with a line in each part that nobody had read yet.
    let line = |second: u32| {
        format!(
            "Nov 24 11:41:{second:02} node sshd[102]: Failed password for root from 203.0.113.9 port 1 ssh2\n"
        )
    };
    node.log(&line(1));
    fs::rename(
        node.path("var/log/auth.log"),
        node.path("var/log/auth.log.1"),
    )
    .unwrap();
    fs::write(node.path("var/log/auth.log"), line(2)).unwrap();
    node.reaches(FAILED, 6.0);

    // Killed, with lines written while it is away: places and counts are one file, so nothing is
    // counted twice or not at all.
    node.log(&line(3));
    node.reaches(FAILED, 7.0);
    node.agent.signal("KILL");
    let _ = node.agent.ended();
    node.log(&line(4));
    let folder = tempfile::tempdir().unwrap();
    copy_tree(&node.agent.path("state"), &folder.path().join("state"));
    node.agent = Node::agent(node.root.path(), folder);
    node.reaches(FAILED, 8.0);
    node.log(&line(5));
    node.reaches(FAILED, 9.0);
}

#[test]
fn what_differs_from_the_baseline_is_found_accepted_and_found_again() {
    let mut node = Node::start();
    let state = |check: &str, state: &str| {
        format!("kai_security_baseline_state{{check=\"{check}\",state=\"{state}\"}}")
    };
    // Nothing to compare with is not "nothing found".
    assert_eq!(node.value(&state("suid", "none")), Some(1.0));
    assert!(
        !node
            .agent
            .get("/metrics")
            .text()
            .contains("kai_security_findings{check=\"suid\"")
    );
    for check in ["suid", "integrity", "users"] {
        node.accept(check);
        node.reaches(&state(check, "accepted"), 1.0);
    }
    let found = |check: &str, change: &str| {
        format!("kai_security_findings{{check=\"{check}\",kind=\"{change}\"}}")
    };
    node.reaches(&found("suid", "added"), 0.0);

    program(&node.path("usr/local/bin/root-shell"), 0o4755);
    node.reaches(&found("suid", "added"), 1.0);
    // By inotify: the next look on its own would be in an hour.
    let mut text = fs::read(node.path("etc/passwd")).unwrap();
    text.extend_from_slice(b"eve:x:0:0::/root:/bin/sh\n");
    fs::write(node.path("etc/passwd.new"), text).unwrap();
    fs::rename(node.path("etc/passwd.new"), node.path("etc/passwd")).unwrap();
    fs::set_permissions(node.path("usr/bin/id"), fs::Permissions::from_mode(0o777)).unwrap();
    node.reaches(&found("integrity", "changed"), 2.0);
    node.reaches("kai_security_superusers", 2.0);
    fs::remove_file(node.path("usr/bin/id")).unwrap();
    node.reaches(&found("integrity", "removed"), 1.0);

    let diff = node.baseline(&["diff", "--check", "suid"]);
    assert_eq!(diff.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&diff.stdout).contains("/usr/local/bin/root-shell"));
    node.accept("suid");
    node.reaches(&found("suid", "added"), 0.0);

    // It outlives the agent, and a hand that changes it is seen.
    node.agent.signal("KILL");
    let _ = node.agent.ended();
    let folder = tempfile::tempdir().unwrap();
    copy_tree(&node.agent.path("state"), &folder.path().join("state"));
    let file = folder.path().join("state/security/baseline/integrity.json");
    let changed = fs::read_to_string(&file)
        .unwrap()
        .replace("usr/bin/su", "usr/bin/sv");
    fs::write(&file, changed).unwrap();
    node.agent = Node::agent(node.root.path(), folder);
    node.looked("suid");
    node.reaches(&state("suid", "accepted"), 1.0);
    node.reaches(&found("suid", "added"), 0.0);
    node.reaches(&state("integrity", "broken"), 1.0);
}
