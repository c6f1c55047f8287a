//! Every collector on spoiled files, driven by the list of collectors: each file that a collector
//! reads in the fixture tree is corrupted, cut off, emptied, made enormous and filled with bytes that
//! are no text. The collector then reads it or refuses it, never panics, and what it refuses it names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kai_agent::collectors::{ALL, CollectError, Entry};
use kai_agent::exposition::Page;
use kai_agent::node::{FsStat, Kept, LinkSocket, Machine, Node, Tree, Uname, Version};
use kai_agent::procfs::net_dev::Device;
use kai_agent::settings::Settings;
use kai_contract::agent_config::{AgentConfig, COLLECTORS, OPT_IN, Roots};

use crate::support::{copy_tree, fixture};

/// The tree, and which of its files were read whole and which as attributes.
struct Watched {
    machine: Machine,
    whole: Mutex<BTreeSet<PathBuf>>,
    attributes: Mutex<BTreeSet<PathBuf>>,
}

impl Node for Watched {
    fn path(&self, tree: Tree, name: &str) -> PathBuf {
        self.machine.path(tree, name)
    }

    fn read(&self, tree: Tree, name: &str, into: &mut Vec<u8>) -> io::Result<()> {
        self.machine.read(tree, name, into)?;
        self.whole.lock().unwrap().insert(self.path(tree, name));
        Ok(())
    }

    fn attribute(
        &self,
        tree: Tree,
        name: &str,
        kept: Option<&mut Kept>,
        into: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.machine.attribute(tree, name, kept, into)?;
        self.attributes
            .lock()
            .unwrap()
            .insert(self.path(tree, name));
        Ok(())
    }

    fn version(&self, tree: Tree, name: &str) -> io::Result<Version> {
        self.machine.version(tree, name)
    }

    fn list(&self, tree: Tree, name: &str) -> io::Result<Vec<String>> {
        self.machine.list(tree, name)
    }

    fn statfs(&self, mount_point: &[u8]) -> io::Result<FsStat> {
        self.machine.statfs(mount_point)
    }

    fn strip_root<'a>(&self, mount_point: &'a [u8]) -> &'a [u8] {
        self.machine.strip_root(mount_point)
    }

    fn uname(&self) -> Uname {
        self.machine.uname()
    }

    fn now(&self) -> Duration {
        self.machine.now()
    }

    fn zone(&self, at: Duration) -> (String, i32) {
        self.machine.zone(at)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn links(&self, socket: &mut LinkSocket, into: &mut Vec<Device>) -> io::Result<()> {
        self.machine.links(socket, into)
    }
}

/// How a file is spoiled.
type Spoil = (&'static str, fn(&[u8]) -> Vec<u8>);

const SPOILT: [Spoil; 5] = [
    ("corrupted", |sound| {
        let mut text = sound.to_vec();
        let middle = text.len() / 2;
        text.splice(middle..middle, *b"\n?? - nonsense ::\n");
        text
    }),
    ("cut off", |sound| sound[..sound.len() / 2].to_vec()),
    ("emptied", |_| Vec::new()),
    ("made enormous", |_| vec![b'x'; (16 << 20) + 1]),
    ("no text", |_| {
        b"\xff\xfe\xc3\x28 \x00\xf0\x80\n\xa0\xa1 9\n".repeat(3)
    }),
];

fn run(entry: &Entry, node: &Arc<dyn Node>, settings: &Settings) -> Result<(), CollectError> {
    (entry.build)(settings, node).collect(&**node, &mut Page::default())
}

#[test]
fn what_is_spoiled_is_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("node");
    copy_tree(&fixture(), &tree);
    let roots = Roots {
        proc: tree.join("proc"),
        sys: tree.join("sys"),
        root: tree.clone(),
        udev_data: None,
    };
    let config = format!("version: 1\nlisten: 127.0.0.1:1\ncollectors: {{enable: {OPT_IN:?}}}\n");
    let config: AgentConfig = serde_yaml::from_str(&config).unwrap();
    let settings = Settings::new(&config).unwrap();
    let mut refusing = BTreeSet::new();
    let (mut files, mut refused) = (0, 0);
    for entry in &ALL {
        let watched = Arc::new(Watched {
            machine: Machine::new(&roots),
            whole: Mutex::default(),
            attributes: Mutex::default(),
        });
        let node: Arc<dyn Node> = Arc::clone(&watched) as _;
        let sound = run(entry, &node, &settings).is_ok();
        let whole = std::mem::take(&mut *watched.whole.lock().unwrap());
        let mut all = std::mem::take(&mut *watched.attributes.lock().unwrap());
        all.extend(whole.iter().cloned());
        for file in all.iter().filter(|file| file.starts_with(&tree)) {
            files += 1;
            let before = fs::read(file).unwrap();
            for (how, spoil) in SPOILT {
                // Of an attribute only the first bytes are read, however long it is.
                if how == "made enormous" && !whole.contains(file) {
                    continue;
                }
                fs::write(file, spoil(&before)).unwrap();
                let result = run(entry, &node, &settings);
                let what = format!("{}: {} {how}", entry.name, file.display());
                match result {
                    Ok(()) | Err(CollectError::NoData(_)) => {
                        // What the kernel has one of, and is read whole, is refused.
                        let large = how == "made enormous"
                            && sound
                            && whole.contains(file)
                            && file.starts_with(tree.join("proc"));
                        assert!(!large || reads_a_part(entry.name), "{what} is not refused");
                    }
                    Err(error) => {
                        refused += 1;
                        refusing.insert(entry.name);
                        let error = error.to_string();
                        assert!(names(&error, file), "{what}: {error}");
                    }
                }
            }
            fs::write(file, before).unwrap();
        }
    }
    println!(
        "{files} files spoiled in {} ways, refused {refused} times by {} of {} collectors",
        SPOILT.len(),
        refusing.len(),
        COLLECTORS.len()
    );
    // Those whose files are texts of lines, of which a corrupt one cannot be anything else.
    for collector in [
        "arp",
        "conntrack",
        "cpu",
        "diskstats",
        "entropy",
        "filefd",
        "filesystem",
        "ipvs",
        "loadavg",
        "meminfo",
        "netdev",
        "netstat",
        "pressure",
        "processes",
        "schedstat",
        "sockstat",
        "softnet",
        "stat",
        "tcpstat",
        "udp_queues",
        "vmstat",
    ] {
        assert!(refusing.contains(collector), "{collector} refuses nothing");
    }
}

/// Collectors for which one file too large is a file that is not there.
fn reads_a_part(collector: &str) -> bool {
    matches!(collector, "containers" | "dmi" | "os" | "processes")
}

/// Whether the message names the file, and the line where it is about what stands in it.
fn names(error: &str, file: &Path) -> bool {
    let name = file.file_name().unwrap().to_string_lossy();
    error.contains(&*name) && (!error.contains("cannot understand") || error.contains("line "))
}
