//! The disk under the state folder: full, read-only, gone, or with damage in what is on it. Where the
//! test may mount, on a file system of its own; else by what a full disk makes fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fake::{Do, Fake};
use super::runner::{Runner, numbered};
use crate::support::wait_for;

/// A file system of a megabyte over the agent's state folder. Unmounted when dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where mounting is not allowed.
    fn over(folder: &Path) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        mount(&["-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs"], folder)
            .then(|| Self(folder.to_owned()))
    }

    /// Takes all that is free.
    fn fill(&self) {
        use std::io::Write;
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    fn read_only(&self, only: bool) {
        let how = if only { "remount,ro" } else { "remount,rw" };
        assert!(mount(&["-o", how], &self.0));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(args: &[&str], folder: &Path) -> bool {
    let output = Command::new("mount").args(args).arg(folder).output();
    output.is_ok_and(|output| output.status.success())
}

fn whole(fake: &Fake, count: u64) {
    wait_for("all lines", || (fake.count() as u64 >= count).then_some(()));
    assert_eq!(fake.sequence(), (0..count).collect::<Vec<_>>());
}

/// `None`, and said, where the test may not mount.
fn on_a_small_disk() -> Option<(Fake, Runner, Small)> {
    let fake = Fake::start();
    let agent = Runner::new(std::slice::from_ref(&fake.url), "");
    let small = Small::over(&agent.path("state"));
    if small.is_none() {
        println!("not allowed to mount: a full disk is only tried by a folder in the way");
    }
    small.map(|small| (fake, agent, small))
}

#[test]
fn a_full_disk_under_checkpoint_and_letters_loses_nothing() {
    let Some((fake, mut agent, small)) = on_a_small_disk() else {
        return by_a_folder_in_the_way();
    };
    agent.start();
    agent.append("l/app.log", numbered(0..10));
    whole(&fake, 10);
    small.fill();
    // A known file goes on; a new one waits for its epoch to be durable.
    agent.append("l/new.log", numbered(20..30));
    agent.append("l/app.log", numbered(10..20));
    agent.logged_all(&["cannot write the checkpoint of the logs"]);
    wait_for("the file that is known", || {
        (fake.count() == 20).then_some(())
    });
    // A letter that cannot be kept is not given up.
    fake.script(|_, _| Do::Refuse("poison", 400));
    agent.append("l/app.log", "{\"seq\":77,\"a\":\"poison\"}\n");
    agent.logged_all(&["cannot write dead letters"]);
    // An end in the middle of it, and a start on a disk that is still full.
    agent.kill();
    agent.start();
    agent.append("l/app.log", numbered(30..40));
    agent.logged_all(&["cannot write dead letters"]);
    wait_for("failures", || {
        (agent.value("checkpoint_failures_total") >= 3.0).then_some(())
    });
    wait_for("attempts", || {
        (agent.value("dead_letter_failures_total") >= 3.0).then_some(())
    });
    assert_eq!(agent.outcome("dead_lettered"), 0.0);
    // Attempts leave nothing of a letter behind: one empty file of each life.
    let left = fs::read_dir(agent.path("state/logs/dead-letters")).unwrap();
    let left: Vec<u64> = left
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert!(left.len() <= 2 && left.iter().sum::<u64>() == 0, "{left:?}");
    small.make_room();
    agent.logged_all(&["is written again"]);
    whole(&fake, 40);
    wait_for("the letter", || {
        (agent.outcome("dead_lettered") == 1.0).then_some(())
    });
    let letters = fs::read_dir(agent.path("state/logs/dead-letters")).unwrap();
    let text: String = letters
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(text.lines().count(), 1, "{text}");
    let letter: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert!(letter["document"].as_str().unwrap().contains("poison"));
    // Once for each life, not with every attempt.
    let log = agent.logged();
    let said = log
        .matches("cannot write the checkpoint of the logs")
        .count();
    assert!((1..=2).contains(&said), "{said} times: {log}");
    agent.assert_balanced();
}

/// Where the test may not mount.
fn by_a_folder_in_the_way() {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    agent.start();
    agent.append("l/app.log", numbered(0..10));
    whole(&fake, 10);
    fs::create_dir(agent.path("state/logs/places.next")).unwrap();
    fs::create_dir(agent.path("state/logs/dead-letters/00000001.jsonl")).unwrap();
    fake.script(|_, _| Do::Refuse("poison", 400));
    agent.append("l/app.log", "{\"seq\":77,\"a\":\"poison\"}\n");
    agent.logged_all(&["cannot write the checkpoint", "cannot write dead letters"]);
    fs::remove_dir(agent.path("state/logs/places.next")).unwrap();
    fs::remove_dir(agent.path("state/logs/dead-letters/00000001.jsonl")).unwrap();
    wait_for("the letter", || {
        (agent.outcome("dead_lettered") == 1.0).then_some(())
    });
    agent.append("l/new.log", numbered(10..20));
    whole(&fake, 20);
}

#[test]
fn a_disk_that_is_read_only_at_the_start_is_tried_until_it_is_not() {
    let Some((fake, mut agent, small)) = on_a_small_disk() else {
        return;
    };
    agent.append("l/app.log", numbered(0..10));
    small.read_only(true);
    agent.start();
    agent.logged_all(&["the log lane cannot start; it is tried again"]);
    // The agent itself lives, and says what it can.
    assert_eq!(agent.metrics().success("cpu"), 1.0);
    small.read_only(false);
    whole(&fake, 10);
    agent.assert_balanced();
}

/// What can become of a file while the power is away.
#[test]
fn a_checkpoint_with_any_damage_is_put_aside_and_nothing_is_lost_or_twice() {
    type Damage = fn(&Path);
    fn flip(path: &Path, part: f64, mask: u8) {
        let mut bytes = fs::read(path).unwrap();
        let at = (bytes.len() as f64 * part) as usize;
        bytes[at] ^= mask;
        fs::write(path, bytes).unwrap();
    }
    let damages: [(&str, Damage, bool); 8] = [
        ("a bit near the beginning", |path| flip(path, 0.1, 1), true),
        ("a bit in the middle", |path| flip(path, 0.5, 0x80), true),
        ("a bit in the checksum", |path| flip(path, 0.97, 2), true),
        ("no length", |path| fs::write(path, "").unwrap(), true),
        (
            "torn in half",
            |path| {
                let bytes = fs::read(path).unwrap();
                fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
            },
            true,
        ),
        (
            "the end is zeros, as after a crash of XFS",
            |path| {
                let mut bytes = fs::read(path).unwrap();
                let half = bytes.len() / 2;
                bytes[half..].fill(0);
                fs::write(path, bytes).unwrap();
            },
            true,
        ),
        (
            "a folder",
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            true,
        ),
        ("missing", |path| fs::remove_file(path).unwrap(), false),
    ];
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    agent.start();
    let mut written = 0;
    for (what, damage, aside) in damages {
        // The beginning of a run and its end are two generations that know the file.
        agent.append("l/app.log", numbered(written..written + 50));
        written += 50;
        whole(&fake, written);
        agent.stop();
        damage(&agent.path("state/logs/places"));
        agent.append("l/app.log", numbered(written..written + 10));
        written += 10;
        agent.log.lock().unwrap().clear();
        agent.start();
        whole(&fake, written);
        if aside {
            agent.logged_all(&[
                "is damaged and is put aside",
                "before the damaged one is used",
            ]);
        }
        assert_eq!(fake.count() as u64, written, "after {what}");
    }
    let kept = fs::read_dir(agent.path("state/logs")).unwrap();
    let kept = kept
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("damaged")
        })
        .count();
    assert!(kept >= 1, "what was damaged is kept to be looked at");
}

#[test]
fn a_state_folder_that_goes_away_is_no_end() {
    let fake = Fake::start();
    let mut agent = Runner::new(std::slice::from_ref(&fake.url), "");
    agent.start();
    agent.append("l/app.log", numbered(0..10));
    whole(&fake, 10);
    fs::rename(agent.path("state"), agent.path("elsewhere")).unwrap();
    agent.append("l/app.log", numbered(10..20));
    agent.append("l/new.log", numbered(20..30));
    agent.logged_all(&["cannot write the checkpoint of the logs"]);
    fs::rename(agent.path("elsewhere"), agent.path("state")).unwrap();
    whole(&fake, 30);
    agent.logged_all(&["is written again"]);
}
