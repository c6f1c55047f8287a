//! The place of a file as lines get their outcomes, and over restarts.

use super::*;

fn places(folder: &Path) -> Places {
    Places::load(folder, 1, Arc::new(Wake::new().unwrap()), Arc::default()).unwrap()
}

fn start(places: &Places) -> FileId {
    let (file, _) = places.start(Start {
        source: "a".into(),
        path: "/l/a.log".into(),
        real: None,
        device: 1,
        inode: 2,
        prefix: Print::of(b"first"),
        offset: 0,
        size: 100,
        stream: 0,
    });
    file
}

fn tail(text: &str) -> Print {
    Print::of(text.as_bytes())
}

#[test]
fn the_place_never_passes_a_line_without_an_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let file = start(&places);
    assert_eq!(places.ready(file, 10), None, "the epoch is not durable");
    places.persist();
    assert!(places.ready(file, 10).is_some());
    assert!(places.ready(file, LEAST_AHEAD + 11).is_none());
    let acked = |places: &Places| places.snapshot().0.places[0].acked;
    let first = places.begin(file, 10, tail("1"), 2, None);
    let second = places.begin(file, 20, tail("2"), 1, None);
    places.done(file, second, 1);
    places.done(file, first, 1);
    assert_eq!(acked(&places), 0);
    places.done(file, first, 1);
    assert_eq!(acked(&places), 20);
    places.begin(file, 30, tail("3"), 0, None);
    assert_eq!(acked(&places), 30, "lines that are none are passed");
}

#[test]
fn the_oldest_index_is_remembered_until_its_lines_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let file = start(&places);
    let since = |places: &Places| places.snapshot().0.places[0].since.clone();
    let old = places.observe(0, "index-1");
    let first = places.begin(file, 10, tail("1"), 1, None);
    assert_eq!(since(&places), "index-1");
    places.sent(file, first, &old);
    let new = places.observe(0, "index-2");
    let second = places.begin(file, 20, tail("2"), 1, None);
    places.sent(file, second, &new);
    places.sent(file, first, &new);
    assert_eq!(since(&places), "index-1");
    places.done(file, first, 1);
    assert_eq!(since(&places), "index-2");
    places.done(file, second, 1);
    places.observe(0, "index-3");
    assert_eq!(since(&places), "index-3");
}

#[test]
fn a_restart_goes_on_where_the_outcomes_end() {
    let folder = tempfile::tempdir().unwrap();
    let first = places(folder.path());
    let file = start(&first);
    first.observe(0, "index-1");
    let segment = first.begin(file, 10, tail("1"), 1, None);
    first.begin(file, 60, tail("2"), 1, None);
    first.done(file, segment, 1);
    first.add_source("a");
    first.persist();
    let epoch = first.epoch(file);

    let second = places(folder.path());
    assert!(second.knows_source("a") && !second.knows_source("b"));
    let resume = |size, same| second.resume((1, 2), size, 0, Path::new("/l/a.log.1"), |_| same);
    assert!(
        second
            .resume((1, 3), 80, 0, Path::new("/x"), |_| true)
            .is_err()
    );
    let resumed = resume(80, true).unwrap();
    assert_eq!((Some(resumed.epoch), resumed.offset), (epoch, 10));
    assert_eq!(
        resumed.suspect_below, 80,
        "what is there now may have been sent"
    );
    assert_eq!(*resumed.since.index, *"index-1");
    // The last run's word stands until all that it may have sent has an outcome.
    second.observe(0, "index-2");
    let place = |places: &Places| places.snapshot().0.places[0].clone();
    let segment = second.begin(resumed.file, 70, tail("3"), 1, Some(resumed.since.clone()));
    second.done(resumed.file, segment, 1);
    assert_eq!(place(&second).since, "index-1");
    second.begin(resumed.file, 80, tail("4"), 0, None);
    assert_eq!(place(&second).since, "index-2");
    assert!(resume(80, true).is_err(), "taken");
}

#[test]
fn another_file_at_the_same_inode_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = places(folder.path());
    let file = start(&first);
    first.begin(file, 50, tail("x"), 0, None);
    first.persist();
    for (size, same) in [(49, true), (50, false)] {
        let second = places(folder.path());
        let other = second.resume((1, 2), size, 0, Path::new("/l/a.log"), |_| same);
        assert_eq!(other.unwrap_err()[0].acked, 50);
        assert!(second.absent().is_empty());
    }
}

#[test]
fn after_damage_nothing_is_taken_for_unsent() {
    let folder = tempfile::tempdir().unwrap();
    let first = places(folder.path());
    start(&first);
    first.persist();
    first.persist();
    std::fs::write(folder.path().join("places"), "x").unwrap();
    let second = places(folder.path());
    let resumed = second.resume((1, 2), LEAST_AHEAD * 3, 0, Path::new("/l/a.log"), |_| true);
    assert_eq!(resumed.unwrap().suspect_below, LEAST_AHEAD * 3);
}

#[test]
fn a_finished_file_is_forgotten_when_its_lines_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let file = start(&places);
    let segment = places.begin(file, 10, tail("1"), 1, None);
    places.finish(file);
    assert_eq!(places.snapshot().0.places.len(), 1);
    places.done(file, segment, 1);
    assert!(places.snapshot().0.places.is_empty());
}

#[test]
fn a_folder_that_cannot_be_written_stops_new_lines_only() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let places = places(&inner);
    let file = start(&places);
    std::fs::remove_dir(&inner).unwrap();
    places.persist();
    assert_eq!((places.writes().failed, places.ready(file, 1)), (1, None));
    std::fs::create_dir(&inner).unwrap();
    places.persist();
    assert!(places.ready(file, 1).is_some());
}

#[test]
fn a_taken_epoch_is_replaced_once() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let file = start(&places);
    places.persist();
    let taken = places.epoch(file).unwrap();
    places.rename(file, taken);
    let fresh = places.epoch(file).unwrap();
    places.rename(file, taken);
    assert_ne!(fresh, taken);
    assert_eq!(places.epoch(file), Some(fresh));
    assert_eq!(places.durable_epoch(file), None);
    places.persist();
    assert_eq!(places.durable_epoch(file), Some(fresh));
}
