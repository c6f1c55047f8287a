//! kai-agent as its pod runs it, without a kubelet: namespaces of its own for network, host name and
//! mounts, the node's trees where the manifest mounts them, nobody without a capability.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{find, objects, program};
use crate::harness::{Ran, wait_for};

/// `$1`: a folder with `kai-agent` and `agent.yaml`. The container's root is a tmpfs, which ends
/// with the namespace.
const SCRIPT: &str = r#"
set -e
mount --make-rslave /
root=$1/root
mkdir -p "$root"
mount -t tmpfs tmpfs "$root"
mkdir -p "$root"/host/proc "$root"/host/sys "$root"/host/root "$root"/usr "$root"/etc/kai-agent "$root"/run/kai-agent
for dir in bin lib lib64; do
  if [ -L /$dir ]; then ln -s "$(readlink /$dir)" "$root"/$dir; fi
done
mount --rbind /usr "$root"/usr
mount --rbind / "$root"/host/root
mount --rbind /proc "$root"/host/proc
mount --rbind /sys "$root"/host/sys
cp "$1"/kai-agent "$root"/kai-agent
cp "$1"/agent.yaml "$root"/etc/kai-agent/
chmod 755 "$root"/kai-agent
chown 65534:65534 "$root"/run/kai-agent
ip link set lo up
exec chroot --userspec=65534:65534 --groups=65534 "$root" /kai-agent run --config=/etc/kai-agent/agent.yaml --log-format=json
"#;

struct Contained(Child);

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_agent_sees_the_node_as_nobody() {
    let probe = Command::new("unshare")
        .args(["--mount", "--net", "--uts", "sh", "-c"])
        .arg("mount --make-rslave / && ip link set lo up && command -v chroot bash nsenter >/dev/null")
        .output();
    match probe {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            println!("not run: no namespaces here ({})", why.trim());
            return;
        }
        Err(error) => {
            println!("not run: unshare cannot be started ({error})");
            return;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let objects = objects("small");
    let config = find(&objects, "ConfigMap", "kai-agent")["data"]["agent.yaml"].clone();
    std::fs::write(folder.path().join("agent.yaml"), config.as_str().unwrap()).unwrap();
    std::fs::copy(program("kai-agent"), folder.path().join("kai-agent")).unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let child = Command::new("unshare")
        .args([
            "--mount", "--net", "--uts", "--ipc", "sh", "-c", SCRIPT, "sh",
        ])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    // Every step replaces the program before it: the process is the agent.
    let mut agent = Contained(child);
    let pid = agent.0.id();
    let page = |path: &str| -> Option<String> {
        let ask = format!(
            "exec 3<>/dev/tcp/127.0.0.1/9180 && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
        );
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &pid.to_string(), "bash", "-c", &ask]);
        let ran: Ran = command.output().ok()?.into();
        ran.out.starts_with("HTTP/1.0 200").then_some(ran.out)
    };
    wait_for("the agent is ready", Duration::from_secs(30), || {
        if let Some(status) = agent.0.try_wait().unwrap() {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
            panic!("it ended ({status}): {log}");
        }
        page("/ready")
    });
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t65534\t65534"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    let metrics = page("/metrics").expect("a page");
    let failed: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("kai_agent_collector_failed{") && !line.ends_with(" 0"))
        .collect();
    assert!(metrics.contains("kai_agent_collector_failed{"), "{metrics}");
    assert_eq!(failed, [""; 0]);
    // The node's devices, not the one of a network that was made a moment ago.
    let node = std::fs::read_to_string("/proc/1/net/dev").unwrap();
    let of_pods = ["veth", "cali", "lxc", "azv", "gke", "eni"];
    let wanted: BTreeSet<&str> = node
        .lines()
        .skip(2)
        .filter_map(|line| Some(line.trim().split_once(':')?.0))
        .filter(|name| !of_pods.iter().any(|p| name.starts_with(p)))
        .collect();
    let seen: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("node_network_receive_bytes_total{device=\""))
        .filter_map(|rest| Some(rest.split_once('"')?.0))
        .filter(|name| !name.starts_with("eni"))
        .collect();
    assert_eq!(seen, wanted);
    let root = "node_filesystem_size_bytes{";
    assert!(
        metrics
            .lines()
            .any(|l| l.starts_with(root) && l.contains("mountpoint=\"/\"")),
        "the node's own root is measured"
    );
}
