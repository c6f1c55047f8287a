//! Queues on disk and in memory: damage, limits, restarts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::logs::spool::{Part, Refused, Store};

fn store(folder: Option<&Path>, limit: u64) -> Arc<Store> {
    let ledger = Arc::default();
    let store = Store::open(folder.map(Path::to_owned), limit, &["a"], &ledger);
    Arc::new(store.unwrap())
}

fn part(queue: &Arc<Queue>, documents: &[&str]) -> Part {
    let mut records = Vec::new();
    for document in documents {
        record::append(&mut records, 7, document.as_bytes());
    }
    Part {
        queue: Arc::clone(queue),
        records,
        count: ReadCount {
            lines: documents.len() as u64,
            ..ReadCount::default()
        },
    }
}

/// Everything that was not handed on, by offset.
fn rest(queue: &Queue) -> BTreeMap<u64, String> {
    let (mut found, mut buffer) = (BTreeMap::new(), Vec::new());
    while queue.waiting().1 {
        queue.read(&mut buffer, |offset, time, document| {
            assert_eq!(time, 7);
            let text = String::from_utf8(document.to_vec()).unwrap();
            assert!(found.insert(offset, text).is_none(), "an offset came twice");
            true
        });
    }
    found
}

fn texts(found: &BTreeMap<u64, String>) -> Vec<&str> {
    found.values().map(String::as_str).collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let found = segment::list(&folder.join("queues/a/s")).unwrap();
    found.into_iter().map(|(_, path)| path).collect()
}

#[test]
fn what_has_no_outcome_is_there_after_a_restart_under_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = store(Some(folder), 1 << 20);
    let queue = first.queue("a", "s").unwrap();
    first.commit(&[part(&queue, &["1", "2", "3"])]).unwrap();
    first.sync_all().unwrap();
    let standing = queue.attach(0);
    let all = rest(&queue);
    assert_eq!(texts(&all), ["1", "2", "3"]);
    let second_at = *all.keys().nth(1).unwrap();
    drop((first, queue));

    let second = store(Some(folder), 1 << 20);
    let queue = second.queue("a", "s").unwrap();
    let again = queue.attach(second_at);
    assert_eq!((again.epoch, again.acked), (standing.epoch, second_at));
    assert_eq!(again.sent_below, again.end, "all of it may have been sent");
    // Behind what was there, in a segment of its own.
    second.commit(&[part(&queue, &["4"])]).unwrap();
    let left = rest(&queue);
    assert_eq!(texts(&left), ["2", "3", "4"]);
    assert!(left.keys().take(2).all(|offset| all.contains_key(offset)));
    assert_eq!(segments(folder).len(), 2);
    queue.acked(queue.waiting().0);
    assert_eq!(segments(folder).len(), 1, "the open one stays a while");
}

#[test]
fn room_is_bounded_and_comes_back() {
    for on_disk in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(on_disk.then(|| folder.path()), 200 << 10);
        let queue = store.queue("a", "s").unwrap();
        queue.attach(0);
        let text = "x".repeat(10 << 10);
        let mut taken = 0;
        let refused = loop {
            match store.commit(&[part(&queue, &[&text])]) {
                Ok(()) => taken += 1,
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, Refused::Full(_)), "{refused}");
        assert_eq!(taken, 19);
        assert_eq!(rest(&queue).len(), taken);
        queue.acked(queue.waiting().0);
        assert_eq!(store.room()[0].1, 0);
        store.commit(&[part(&queue, &[&text])]).unwrap();
        assert_eq!(rest(&queue).len(), 1);
        let huge = "x".repeat(300 << 10);
        let refused = store.commit(&[part(&queue, &[&huge])]).unwrap_err();
        assert_eq!(refused.reason(), "too_large");
    }
}

#[test]
fn parts_are_taken_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(Some(folder.path()), 1 << 20);
    let (one, other) = (
        store.queue("a", "s").unwrap(),
        store.queue("a", "t").unwrap(),
    );
    one.attach(0);
    // A file stands where the other's first segment would be.
    let place = folder.path().join("queues/a/t");
    fs::remove_dir(&place).unwrap();
    let parts = [part(&one, &["1"]), part(&other, &["2"])];
    assert_eq!(
        store.commit(&parts).unwrap_err().reason(),
        "spool_unwritable"
    );
    assert_eq!(rest(&one).len(), 0);
    fs::create_dir(&place).unwrap();
    store.commit(&parts).unwrap();
    other.attach(0);
    assert_eq!((rest(&one).len(), rest(&other).len()), (1, 1));
}

#[test]
fn a_damaged_record_is_put_aside_and_the_others_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = store(Some(folder), 1 << 20);
    let queue = first.queue("a", "s").unwrap();
    first
        .commit(&[part(&queue, &["one", "two", "three"])])
        .unwrap();
    drop((first, queue));
    let path = segments(folder).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(3).position(|text| text == b"two").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();

    let second = store(Some(folder), 1 << 20);
    let queue = second.queue("a", "s").unwrap();
    queue.attach(0);
    assert_eq!(texts(&rest(&queue)), ["one", "three"]);
    queue.settle();
    let aside: Vec<_> = fs::read_dir(folder.join("damaged")).unwrap().collect();
    assert_eq!(aside.len(), 1);
    queue.acked(queue.waiting().0);
    assert_eq!(
        segments(folder).len(),
        0,
        "it does not stay for what is damaged in it"
    );
}

#[test]
fn a_segment_without_a_head_is_put_aside_and_its_offsets_do_not_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = store(Some(folder), 1 << 20);
    let queue = first.queue("a", "s").unwrap();
    first.commit(&[part(&queue, &["one"])]).unwrap();
    let end = queue.waiting().0;
    drop((first, queue));
    let path = segments(folder).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[3] ^= 1;
    fs::write(&path, bytes).unwrap();
    let second = store(Some(folder), 1 << 20);
    let queue = second.queue("a", "s").unwrap();
    queue.attach(0);
    second.commit(&[part(&queue, &["two"])]).unwrap();
    let found = rest(&queue);
    assert_eq!(texts(&found), ["two"]);
    assert!(*found.keys().next().unwrap() >= end);
    assert!(folder.join("damaged").read_dir().unwrap().count() == 1);
}

/// A change of a spool that was left by a run.
#[derive(Debug, Clone)]
enum Spoil {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Zeros(usize),
    Rubbish(Vec<u8>),
}

fn spoils() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        (any::<prop::sample::Index>(), 0..8u8).prop_map(|(at, bit)| Spoil::Flip(at, bit)),
        any::<prop::sample::Index>().prop_map(Spoil::Cut),
        (1..5000usize).prop_map(Spoil::Zeros),
        prop::collection::vec(any::<u8>(), 1..50).prop_map(Spoil::Rubbish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is done to a segment's bytes: what comes out was put in, in order, at most what was
    /// touched is missing, and the spool works on.
    #[test]
    fn a_spoiled_segment_costs_what_was_touched(count in 1..12usize, spoil in spoils()) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let documents: Vec<String> = (0..count).map(|number| format!("{{\"n\":{number}}}")).collect();
        let first = store(Some(folder), 1 << 20);
        let queue = first.queue("a", "s").unwrap();
        for document in &documents {
            first.commit(&[part(&queue, &[document])]).unwrap();
        }
        drop((first, queue));
        let path = segments(folder).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        let most = match &spoil {
            Spoil::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                if at < segment::HEAD { count } else { 1 }
            }
            Spoil::Cut(at) => {
                bytes.truncate(at.index(bytes.len()));
                count
            }
            Spoil::Zeros(more) => {
                bytes.resize(bytes.len() + more, 0);
                0
            }
            Spoil::Rubbish(more) => {
                bytes.extend_from_slice(more);
                0
            }
        };
        fs::write(&path, bytes).unwrap();
        let second = store(Some(folder), 1 << 20);
        let queue = second.queue("a", "s").unwrap();
        queue.attach(0);
        second.commit(&[part(&queue, &["after"])]).unwrap();
        let found = rest(&queue);
        let found = texts(&found);
        let mut wanted = documents.iter().map(String::as_str);
        let (last, before) = found.split_last().unwrap();
        prop_assert_eq!(*last, "after");
        for text in before {
            prop_assert!(wanted.any(|document| document == *text), "{}", text);
        }
        prop_assert!(before.len() + most >= count, "{:?} {:?}", before, spoil);
        queue.acked(queue.waiting().0);
        prop_assert!(segments(folder).len() <= 1);
    }
}
