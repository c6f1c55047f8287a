//! The store against restarts, crashes, damage and its own limits.

use super::super::facts::Facts;
use super::super::message::{Channel, Kind, Verdict};
use super::*;

fn draft(summary: &str) -> Draft {
    Draft {
        channel: Channel::Slack,
        endpoint: "/services/T1/B1/…abcd".to_owned(),
        kind: Kind::Message,
        verdict: Verdict::Accepted { status: 200 },
        facts: Facts {
            summary: Some(summary.to_owned()),
            ..Facts::default()
        },
        mail: None,
        raw: Value::String(summary.to_owned()),
        truncated: false,
    }
}

fn event(kind: Kind, key: &str) -> Draft {
    Draft {
        channel: Channel::Pagerduty,
        kind,
        facts: Facts {
            dedup_key: Some(key.to_owned()),
            ..Facts::default()
        },
        ..draft("event")
    }
}

fn open(dir: &Path) -> (Store, Recovery) {
    Store::open(dir, Retention::default()).unwrap()
}

fn ids(store: &Store) -> Vec<u64> {
    store
        .read_index()
        .after(0)
        .map(|(message, _)| message.id)
        .collect()
}

fn last_segment(dir: &Path) -> PathBuf {
    segment::path(dir, *segment::list(dir).unwrap().last().unwrap())
}

#[test]
fn records_and_their_content_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery::default());
    store
        .append(vec![draft("one"), draft("two\nlines")])
        .unwrap();
    store.append(vec![draft("three")]).unwrap();
    drop(store);
    let (mut store, recovery) = open(dir.path());
    assert_eq!(
        recovery,
        Recovery {
            messages: 3,
            ..Recovery::default()
        }
    );
    let location = store.read_index().get(2).unwrap().1;
    let message = read(dir.path(), location).unwrap().unwrap();
    assert_eq!(message.raw, Value::String("two\nlines".to_owned()));
    assert_eq!(store.append(vec![draft("four")]).unwrap()[0].id, 4);
}

#[test]
fn a_torn_last_line_is_moved_away_and_its_id_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    store.append(vec![draft("one"), draft("two")]).unwrap();
    drop(store);
    let path = last_segment(dir.path());
    let whole = fs::read(&path).unwrap();
    // Every place at which a crash can have cut the last record.
    let start = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for cut in start..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (mut store, recovery) = open(dir.path());
        assert_eq!(recovery.torn_bytes, (cut - start) as u64);
        assert_eq!(ids(&store), [1]);
        assert_eq!(store.append(vec![draft("again")]).unwrap()[0].id, 2);
        drop(store);
        let (store, recovery) = open(dir.path());
        assert_eq!((ids(&store), recovery.torn_bytes), (vec![1, 2], 0));
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(
        fs::read(dir.path().join("torn.part")).unwrap(),
        &whole[start..whole.len() - 1]
    );
}

#[test]
fn a_damaged_line_is_counted_and_the_rest_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    store
        .append(vec![draft("one"), draft("two"), draft("three")])
        .unwrap();
    drop(store);
    let path = last_segment(dir.path());
    let text = fs::read_to_string(&path)
        .unwrap()
        .replacen("\"id\":2", "\"id\":x", 1);
    fs::write(&path, text).unwrap();
    let (mut store, recovery) = open(dir.path());
    assert_eq!((ids(&store), recovery.damaged), (vec![1, 3], 1));
    let four = store.append(vec![draft("four")]).unwrap()[0].id;
    let location = store.read_index().get(four).unwrap().1;
    assert_eq!(read(dir.path(), location).unwrap().unwrap().id, 4);
}

#[test]
fn the_oldest_go_when_the_size_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention {
        max_bytes: 8_000,
        max_messages: 1000,
    };
    let (mut store, _) = Store::open(dir.path(), retention).unwrap();
    for number in 0..100 {
        store
            .append(vec![draft(&format!("message {number}"))])
            .unwrap();
    }
    let kept = ids(&store);
    assert!(store.bytes() <= 8_000, "{}", store.bytes());
    assert_eq!(*kept.last().unwrap(), 100);
    assert_eq!(store.evicted() + kept.len() as u64, 100);
    assert!(kept.len() > 5, "{kept:?}");
    let on_disk: u64 = segment::list(dir.path())
        .unwrap()
        .iter()
        .map(|first| {
            fs::metadata(segment::path(dir.path(), *first))
                .unwrap()
                .len()
        })
        .sum();
    assert_eq!(on_disk, store.bytes());
    drop(store);
    // A smaller limit given later holds from the start.
    let retention = Retention {
        max_bytes: 2_000,
        max_messages: 1000,
    };
    let (store, _) = Store::open(dir.path(), retention).unwrap();
    assert!(store.bytes() <= 2_000 && ids(&store).last() == Some(&100));
}

#[test]
fn the_number_of_records_is_bounded_too() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention {
        max_bytes: 1 << 20,
        max_messages: 32,
    };
    let (mut store, _) = Store::open(dir.path(), retention).unwrap();
    for _ in 0..100 {
        store.append(vec![draft("x")]).unwrap();
    }
    assert!((30..=32).contains(&ids(&store).len()));
}

#[test]
fn a_record_larger_than_its_share_is_cut_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention {
        max_bytes: 16_000,
        max_messages: 10,
    };
    let (mut store, _) = Store::open(dir.path(), retention).unwrap();
    store.append(vec![draft(&"ä".repeat(20_000))]).unwrap();
    let (brief, location) = store.read_index().get(1).unwrap().clone();
    let message = read(dir.path(), location).unwrap().unwrap();
    assert!(message.truncated && brief.truncated);
    assert!(message.raw.as_str().unwrap().len() <= 4_000);
}

#[test]
fn two_inboxes_never_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (_first, _) = open(dir.path());
    let second = Store::open(dir.path(), Retention::default());
    assert!(matches!(second, Err(StoreError::Locked(_))), "{second:?}");
}

#[test]
fn resolves_find_what_they_close_across_batches_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    let incident = |messages: Vec<Arc<Message>>| -> Vec<Option<u64>> {
        messages.iter().map(|message| message.incident).collect()
    };
    let first = vec![
        event(Kind::Trigger, "a"),
        event(Kind::Trigger, "a"),
        event(Kind::Trigger, "b"),
    ];
    assert_eq!(
        incident(store.append(first).unwrap()),
        [Some(1), Some(1), Some(3)]
    );
    drop(store);
    let (mut store, _) = open(dir.path());
    let second = vec![
        event(Kind::Acknowledge, "a"),
        event(Kind::Resolve, "a"),
        event(Kind::Resolve, "a"),
        event(Kind::Trigger, "a"),
        event(Kind::Resolve, "b"),
    ];
    let found = incident(store.append(second).unwrap());
    assert_eq!(found, [Some(1), Some(1), None, Some(7), Some(3)]);
}

#[test]
fn files_are_the_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("inbox");
    let (mut store, _) = open(&dir);
    store.append(vec![draft("x")]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&last_segment(&dir)), 0o600);
}
