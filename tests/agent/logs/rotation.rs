//! Every style of rotation × what happens to the agent meanwhile. Each cell says how many lines were
//! written, lost and there twice; only what was on no disk any more when the agent came back may
//! be lost.
//!
//! `KAI_LOG_MATRIX=full` writes three times as much, three times over, and looks longer for lines that
//! come twice; with `KAI_BLESS=1` its table goes into docs/reference/logs.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::fake::Fake;
use super::runner::Runner;
use crate::support::wait_for;

/// One style: its name, the globs of its source, the file that is written to first, and what
/// happens at the rotation.
struct Style {
    name: &'static str,
    globs: &'static [&'static str],
    active: &'static str,
    rotate: fn(&mut Log),
    /// What is not read yet is gone from the disk.
    in_place: bool,
}

const STYLES: &[Style] = &[
    Style {
        name: "rename, then create",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            let mut writer = log.writer("app.log");
            log.rename("app.log", "app.log.1");
            log.write(&mut writer); // a writer goes on until it is told
            log.append("app.log");
        },
        in_place: false,
    },
    Style {
        name: "rename to a name that the glob matches",
        globs: &["app*.log"],
        active: "app.log",
        rotate: |log| {
            log.rename("app.log", "app-20261130.log");
            log.append("app.log");
        },
        in_place: false,
    },
    Style {
        name: "create under a new date",
        globs: &["app-*.log"],
        active: "app-2026-11-29.log",
        rotate: |log| {
            log.append("app-2026-11-30.log");
            log.active = "app-2026-11-30.log";
        },
        in_place: false,
    },
    Style {
        name: "three renames at once (`.1` to `.3`)",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            for round in 0..3 {
                for number in (1..=round).rev() {
                    log.rename(
                        &format!("app.log.{number}"),
                        &format!("app.log.{}", number + 1),
                    );
                }
                log.rename("app.log", "app.log.1");
                log.append("app.log");
            }
        },
        in_place: false,
    },
    Style {
        name: "copytruncate",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            fs::copy(log.path("app.log"), log.path("app.log.1")).unwrap();
            log.empty("app.log");
            log.append("app.log");
        },
        in_place: false,
    },
    Style {
        name: "copytruncate, the glob matches the copy",
        globs: &["app.log*"],
        active: "app.log",
        rotate: |log| {
            fs::copy(log.path("app.log"), log.path("app.log.1")).unwrap();
            log.empty("app.log");
            log.append("app.log");
        },
        in_place: false,
    },
    Style {
        name: "copytruncate twice",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            fs::copy(log.path("app.log"), log.path("app.log.1")).unwrap();
            log.empty("app.log");
            log.append("app.log");
            log.settle();
            log.rename("app.log.1", "app.log.2");
            fs::copy(log.path("app.log"), log.path("app.log.1")).unwrap();
            log.empty("app.log");
            log.append("app.log");
        },
        in_place: false,
    },
    Style {
        name: "truncate in place",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            log.empty("app.log");
            log.append("app.log");
        },
        in_place: true,
    },
    Style {
        name: "truncate, then grow past the old place",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            log.empty("app.log");
            for _ in 0..6 {
                log.append("app.log");
            }
        },
        in_place: true,
    },
    Style {
        name: "compress after the rename",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            log.rename("app.log", "app.log.1");
            log.append("app.log");
            log.compress("app.log.1");
        },
        in_place: false,
    },
    Style {
        name: "compress, the glob matches every name",
        globs: &["app.log*"],
        active: "app.log",
        rotate: |log| {
            log.rename("app.log", "app.log.1");
            log.append("app.log");
            log.compress("app.log.1");
        },
        in_place: false,
    },
    Style {
        name: "copytruncate, then compress",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            fs::copy(log.path("app.log"), log.path("app.log.1")).unwrap();
            log.empty("app.log");
            log.append("app.log");
            log.settle();
            log.compress("app.log.1");
        },
        in_place: false,
    },
    Style {
        name: "another file at the same inode",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            let inode = fs::metadata(log.path("app.log")).unwrap().ino();
            fs::remove_file(log.path("app.log")).unwrap();
            // While the agent has it open there is none.
            for attempt in 0..64 {
                let name = format!("spare.{attempt}");
                let made = File::create(log.path(&name)).unwrap();
                if made.metadata().unwrap().ino() == inode {
                    log.rename(&name, "app.log");
                    break;
                }
            }
            log.append("app.log");
        },
        in_place: true,
    },
    Style {
        name: "deleted, and written to by who has it open",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            let mut writer = log.writer("app.log");
            fs::remove_file(log.path("app.log")).unwrap();
            log.write(&mut writer);
            log.append("app.log");
            log.settle(); // then it closes it
        },
        in_place: false,
    },
    Style {
        name: "deleted, then created",
        globs: &["app.log"],
        active: "app.log",
        rotate: |log| {
            fs::remove_file(log.path("app.log")).unwrap();
            log.append("app.log");
        },
        in_place: false,
    },
    Style {
        name: "a hard link that the glob matches, then rename",
        globs: &["*.log"],
        active: "app.log",
        rotate: |log| {
            fs::hard_link(log.path("app.log"), log.path("link.log")).unwrap();
            log.append("app.log");
            log.rename("app.log", "app.log.1");
            log.append("app.log");
        },
        in_place: false,
    },
    Style {
        name: "Kubernetes: kubelet rotates twice and compresses",
        globs: &["containers/*.log"],
        active: "pods/0.log",
        rotate: |log| {
            log.rename("pods/0.log", "pods/0.log.20261130-120000");
            log.append("pods/0.log");
            log.settle();
            log.rename("pods/0.log", "pods/0.log.20261130-121000");
            log.append("pods/0.log");
            // As kubelet does: under another name first.
            log.compress("pods/0.log.20261130-120000");
        },
        in_place: false,
    },
    Style {
        name: "Kubernetes: the container restarts (`1.log`)",
        globs: &["containers/*.log"],
        active: "pods/0.log",
        rotate: |log| {
            log.append("pods/0.log");
            log.append("pods/1.log");
            symlink(log.path("pods/1.log"), log.path("containers/next")).unwrap();
            log.rename("containers/next", "containers/app.log");
            log.active = "pods/1.log";
        },
        in_place: false,
    },
];

/// What happens to the agent while files are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Runs,
    Stopped,
    Killed,
    Reloads,
}

const FATES: [(Fate, &str); 4] = [
    (Fate::Runs, "runs"),
    (Fate::Stopped, "is stopped"),
    (Fate::Killed, "is killed (`-9`)"),
    (Fate::Reloads, "reloads"),
];

/// The files of one style.
struct Log {
    folder: PathBuf,
    style: usize,
    /// Numbers of lines that were written.
    next: u64,
    /// Lines that are written at once.
    many: u64,
    active: &'static str,
    /// The agent is there, and gets a moment where rotations have one.
    watched: bool,
}

impl Log {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn writer(&self, name: &str) -> File {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        options.open(self.path(name)).unwrap()
    }

    fn append(&mut self, name: &str) {
        let mut file = self.writer(name);
        self.write(&mut file);
    }

    fn write(&mut self, file: &mut File) {
        let mut text = String::new();
        for number in self.next..self.next + self.many {
            text += &format!("{{\"style\":{},\"seq\":{number}}}\n", self.style);
        }
        self.next += self.many;
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn empty(&self, name: &str) {
        let file = OpenOptions::new().write(true).open(self.path(name));
        file.unwrap().set_len(0).unwrap();
    }

    fn compress(&self, name: &str) {
        let bytes = fs::read(self.path(name)).unwrap();
        let next = self.path(&format!("{name}.tmp"));
        let mut out = flate2::write::GzEncoder::new(
            File::create(&next).unwrap(),
            flate2::Compression::fast(),
        );
        out.write_all(&bytes).unwrap();
        out.finish().unwrap();
        fs::rename(&next, self.path(&format!("{name}.gz"))).unwrap();
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Rotations of the same file do not follow each other within milliseconds.
    fn settle(&self) {
        if self.watched {
            thread::sleep(Duration::from_millis(400));
        }
    }

    /// The numbers of the lines that are on the disk, compressed or not.
    fn on_disk(&self) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        for folder in [self.folder.clone(), self.path("pods")] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    continue;
                }
                let mut text = String::new();
                let mut file = File::open(&path).unwrap();
                if path.extension().is_some_and(|end| end == "gz") {
                    flate2::read::GzDecoder::new(file)
                        .read_to_string(&mut text)
                        .unwrap();
                } else {
                    file.read_to_string(&mut text).unwrap();
                }
                let lines = text.lines().map(|line| {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    line["seq"].as_u64().unwrap()
                });
                found.extend(lines);
            }
        }
        found
    }
}

/// Lines written, lost and there twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cell {
    written: u64,
    lost: u64,
    twice: u64,
}

fn counts(fake: &Fake) -> BTreeMap<(usize, u64), u64> {
    let mut counts = BTreeMap::new();
    for document in fake.documents() {
        let style = document["style"].as_u64().unwrap() as usize;
        let seq = document["seq"].as_u64().unwrap();
        *counts.entry((style, seq)).or_default() += 1;
    }
    counts
}

/// All styles at once with one fate of the agent.
fn column(fate: Fate, many: u64, patience: Duration) -> Vec<Cell> {
    let fake = Fake::start();
    let urls = std::slice::from_ref(&fake.url);
    let mut agent = Runner::new(urls, "  memoryBytes: 33554432");
    let mut logs = Vec::new();
    let mut sources = String::new();
    for (number, style) in STYLES.iter().enumerate() {
        let folder = agent.path(&format!("s{number}"));
        fs::create_dir_all(folder.join("pods")).unwrap();
        fs::create_dir_all(folder.join("containers")).unwrap();
        if style.active.starts_with("pods/") {
            symlink(folder.join(style.active), folder.join("containers/app.log")).unwrap();
        }
        let globs: Vec<String> = style
            .globs
            .iter()
            .map(|glob| folder.join(glob).display().to_string())
            .collect();
        sources += &format!(
            "    s{number}:\n      paths: {globs:?}\n      dataStream: logs-kai.app-test\n"
        );
        logs.push(Log {
            folder,
            style: number,
            next: 0,
            many,
            active: style.active,
            watched: matches!(fate, Fate::Runs | Fate::Reloads),
        });
    }
    agent.configure(urls, "  memoryBytes: 33554432", &sources);
    let write = |logs: &mut Vec<Log>| {
        for log in logs {
            log.append(log.active);
        }
    };
    let all_there = |logs: &[Log], gone: &BTreeSet<(usize, u64)>| {
        let written: u64 = logs.iter().map(|log| log.next).sum();
        wait_for("the lines", || {
            let wanted = written - gone.len() as u64;
            // Looking at each of them is for when there are enough.
            (fake.count() as u64 >= wanted && counts(&fake).len() as u64 >= wanted).then_some(())
        });
    };
    write(&mut logs);
    agent.start();
    all_there(&logs, &BTreeSet::new());
    let none = BTreeSet::new();
    // Lines that are under way when it happens.
    if fate == Fate::Killed {
        fake.hold(true);
    }
    write(&mut logs);
    match fate {
        Fate::Runs => {}
        Fate::Stopped => agent.stop(),
        Fate::Killed => {
            wait_for("lines under way", || {
                (0..STYLES.len())
                    .any(|style| {
                        agent.value(&format!("events_in_flight{{source=\"s{style}\"}}")) > 0.0
                    })
                    .then_some(())
            });
            agent.kill();
        }
        Fate::Reloads => {
            agent.configure(urls, "  memoryBytes: 33554432\n  gzip: true", &sources);
        }
    }
    write(&mut logs);
    let away = matches!(fate, Fate::Stopped | Fate::Killed);
    if !away {
        // What is truncated unread is lost whoever reads: that is measured apart.
        all_there(&logs, &none);
    }
    let mut gone = BTreeSet::new();
    thread::scope(|scope| {
        for (log, style) in logs.iter_mut().zip(STYLES) {
            scope.spawn(move || {
                if !style.in_place && log.watched {
                    log.append(log.active); // not read yet
                }
                (style.rotate)(log);
            });
        }
    });
    if away {
        let there = counts(&fake);
        for log in &logs {
            let on_disk = log.on_disk();
            let lines = (0..log.next).filter(|seq| !on_disk.contains(seq));
            gone.extend(lines.map(|seq| (log.style, seq)));
        }
        gone.retain(|line| !there.contains_key(line));
        fake.hold(false);
        agent.start();
    }
    all_there(&logs, &gone);
    // It goes on where the new lines are.
    write(&mut logs);
    all_there(&logs, &gone);
    thread::sleep(patience);
    agent.assert_balanced();
    let there = counts(&fake);
    logs.iter()
        .map(|log| {
            let of = |seq: u64| there.get(&(log.style, seq)).copied().unwrap_or_default();
            let missing: Vec<u64> = (0..log.next).filter(|seq| of(*seq) == 0).collect();
            let unexplained: Vec<&u64> = missing
                .iter()
                .filter(|seq| !gone.contains(&(log.style, **seq)))
                .collect();
            let style = STYLES[log.style].name;
            assert!(unexplained.is_empty(), "{style}, {fate:?}: {unexplained:?}");
            Cell {
                written: log.next,
                lost: missing.len() as u64,
                twice: (0..log.next).filter(|seq| of(*seq) > 1).count() as u64,
            }
        })
        .collect()
}

#[test]
fn every_rotation_with_every_fate() {
    let full = std::env::var("KAI_LOG_MATRIX").is_ok_and(|value| value == "full");
    let (many, rounds, patience) = if full {
        (300, 3, Duration::from_secs(35))
    } else {
        (100, 1, Duration::from_secs(1))
    };
    let mut table = vec![vec![Cell::default(); FATES.len()]; STYLES.len()];
    for _ in 0..rounds {
        let columns: Vec<_> = FATES
            .iter()
            .map(|(fate, _)| thread::spawn(move || column(*fate, many, patience)))
            .collect();
        for (number, column) in columns.into_iter().enumerate() {
            let cells = column
                .join()
                .unwrap_or_else(|_| panic!("{:?}", FATES[number]));
            for (style, cell) in cells.into_iter().enumerate() {
                let sum = &mut table[style][number];
                sum.written += cell.written;
                sum.lost += cell.lost;
                sum.twice += cell.twice;
            }
        }
    }
    let mut text = String::from("| rotation while the agent |");
    for (_, name) in FATES {
        text += &format!(" {name} |");
    }
    text += "\n|---|---|---|---|---|\n";
    for (style, cells) in STYLES.iter().zip(&table) {
        text += &format!("| {} |", style.name);
        for cell in cells {
            let lost = match cell.lost {
                0 => "0".to_owned(),
                lost => format!("**{lost}**"),
            };
            text += &format!(" {} / {lost} / {} |", cell.written, cell.twice);
        }
        text += "\n";
    }
    println!("{text}");
    for (style, cells) in STYLES.iter().zip(&table) {
        for (cell, (fate, _)) in cells.iter().zip(FATES) {
            assert_eq!(cell.twice, 0, "{}, {fate:?}", style.name);
            if matches!(fate, Fate::Runs | Fate::Reloads) {
                assert_eq!(cell.lost, 0, "{}, {fate:?}", style.name);
            }
        }
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/logs.md");
    let old = fs::read_to_string(&page).unwrap();
    let (begin, end) = ("<!-- rotation: begin -->\n", "<!-- rotation: end -->");
    let from = old.find(begin).unwrap() + begin.len();
    let to = old.find(end).unwrap();
    if full && std::env::var_os("KAI_BLESS").is_some() {
        fs::write(&page, format!("{}{text}{}", &old[..from], &old[to..])).unwrap();
    } else {
        for style in STYLES {
            let row = format!("| {} |", style.name);
            assert!(old[from..to].contains(&row), "{row} is not in the table");
        }
    }
}
