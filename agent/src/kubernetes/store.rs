//! The node's pods as far as they are known. A deleted pod is remembered for a while, because the
//! last lines of its containers are read after it is gone. The number is bounded.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::pod::Pod;

#[derive(Debug)]
pub struct Store {
    known: Mutex<Known>,
    most: usize,
    keep: Duration,
    /// Told with every change.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Known {
    pods: HashMap<Box<str>, Entry>,
    /// Uids by what else a folder of logs is named by.
    aliases: HashMap<Box<str>, Box<str>>,
    /// Scopes that were listed; all of them before anything is known to be unknown.
    listed: HashSet<usize>,
    /// Pods for which there was no place.
    cut: u64,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    deleted: Option<Instant>,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub alive: usize,
    pub deleted: usize,
    pub cut: u64,
    pub listed: usize,
}

impl Store {
    pub fn new(most: usize, keep: Duration) -> Self {
        Self {
            known: Mutex::default(),
            most,
            keep,
            changed: watch::channel(0).0,
        }
    }

    /// Wakes with every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// All pods of a scope; `mine` says which of the known ones belong to it.
    pub fn replace(&self, scope: usize, pods: Vec<Pod>, mine: impl Fn(&Pod) -> bool, now: Instant) {
        {
            let mut known = self.lock();
            let there: HashSet<&str> = pods.iter().map(|pod| &*pod.uid).collect();
            for entry in known.pods.values_mut() {
                if entry.deleted.is_none() && mine(&entry.pod) && !there.contains(&*entry.pod.uid) {
                    entry.deleted = Some(now);
                }
            }
            drop(there);
            for pod in pods {
                known.put(pod, self.most);
            }
            known.listed.insert(scope);
            known.forget(self.keep, now);
        }
        self.tell();
    }

    pub fn put(&self, pod: Pod, now: Instant) {
        {
            let mut known = self.lock();
            known.forget(self.keep, now);
            known.put(pod, self.most);
        }
        self.tell();
    }

    /// The pod as it last was; it is remembered for a while.
    pub fn delete(&self, pod: Pod, now: Instant) {
        {
            let mut known = self.lock();
            let uid = pod.uid.clone();
            if known.pods.contains_key(&uid) {
                known.put(pod, self.most);
            }
            if let Some(entry) = known.pods.get_mut(&uid) {
                entry.deleted = Some(now);
            }
            known.forget(self.keep, now);
        }
        self.tell();
    }

    /// Those that are there now.
    pub fn alive(&self) -> Vec<Arc<Pod>> {
        let known = self.lock();
        let alive = known.pods.values().filter(|entry| entry.deleted.is_none());
        alive.map(|entry| Arc::clone(&entry.pod)).collect()
    }

    /// By the uid or by what else its folder of logs is named by; those that were deleted of late,
    /// too.
    pub fn find(&self, uid: &str) -> Option<Arc<Pod>> {
        let known = self.lock();
        let uid = known.aliases.get(uid).map_or(uid, |uid| &**uid);
        known.pods.get(uid).map(|entry| Arc::clone(&entry.pod))
    }

    /// The same, where only names are known. Of two the one that is there now.
    pub fn find_named(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let known = self.lock();
        let mut found = known
            .pods
            .values()
            .filter(|entry| *entry.pod.name == *name && *entry.pod.namespace == *namespace);
        let first = found.next()?;
        let best = std::iter::once(first)
            .chain(found)
            .max_by_key(|entry| (entry.deleted.is_none(), entry.deleted))?;
        Some(Arc::clone(&best.pod))
    }

    pub fn count(&self) -> Count {
        let known = self.lock();
        let alive = known.pods.values().filter(|entry| entry.deleted.is_none());
        let alive = alive.count();
        Count {
            alive,
            deleted: known.pods.len() - alive,
            cut: known.cut,
            listed: known.listed.len(),
        }
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, pod: Pod, most: usize) {
        let pod = Arc::new(pod);
        if let Some(entry) = self.pods.get_mut(&pod.uid) {
            // A pod that was deleted does not come back; an event that was late is none.
            entry.pod = pod;
            return;
        }
        if self.pods.len() >= most && !self.make_room() {
            self.cut += 1;
            return;
        }
        if let Some(alias) = &pod.alias {
            self.aliases.insert(alias.clone(), pod.uid.clone());
        }
        let uid = pod.uid.clone();
        self.pods.insert(uid, Entry { pod, deleted: None });
    }

    /// The pod that has been gone for longest makes room.
    fn make_room(&mut self) -> bool {
        let oldest = self
            .pods
            .iter()
            .filter_map(|(uid, entry)| Some((entry.deleted?, uid)))
            .min()
            .map(|(_, uid)| uid.clone());
        oldest.is_some_and(|uid| {
            self.drop_one(&uid);
            true
        })
    }

    fn forget(&mut self, keep: Duration, now: Instant) {
        let over: Vec<Box<str>> = self
            .pods
            .iter()
            .filter(|(_, entry)| {
                let gone = entry.deleted;
                gone.is_some_and(|at| now.saturating_duration_since(at) >= keep)
            })
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in over {
            self.drop_one(&uid);
        }
    }

    fn drop_one(&mut self, uid: &str) {
        let Some(entry) = self.pods.remove(uid) else {
            return;
        };
        if let Some(alias) = &entry.pod.alias
            // A static pod's next mirror has the same name.
            && self.aliases.get(alias).is_some_and(|of| **of == *uid)
        {
            self.aliases.remove(alias);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pod(uid: &str) -> Pod {
        Pod {
            uid: uid.into(),
            name: uid.into(),
            namespace: "kai".into(),
            ..Pod::default()
        }
    }

    fn names(store: &Store) -> Vec<String> {
        let mut names: Vec<String> = store.alive().iter().map(|p| p.name.to_string()).collect();
        names.sort();
        names
    }

    const KEEP: Duration = Duration::from_mins(1);

    #[test]
    fn a_deleted_pod_is_remembered_for_a_while() {
        let (store, now) = (Store::new(9, KEEP), Instant::now());
        store.put(pod("a"), now);
        store.delete(pod("a"), now);
        assert_eq!(names(&store), [""; 0]);
        assert!(store.find("a").is_some());
        // A late event does not bring it back.
        store.put(pod("a"), now);
        assert_eq!(names(&store), [""; 0]);
        store.put(pod("b"), now + KEEP);
        assert!(store.find("a").is_none());
        // One that was never seen is not remembered.
        store.delete(pod("c"), now);
        assert!(store.find("c").is_none());
    }

    #[test]
    fn a_list_is_all_that_there_is_of_its_scope() {
        let (store, now) = (Store::new(9, KEEP), Instant::now());
        let other = Pod {
            namespace: "other".into(),
            ..pod("x")
        };
        store.put(other, now);
        store.replace(0, vec![pod("a"), pod("b")], |p| &*p.namespace == "kai", now);
        assert_eq!(names(&store), ["a", "b", "x"]);
        store.replace(0, vec![pod("b"), pod("c")], |p| &*p.namespace == "kai", now);
        assert_eq!(names(&store), ["b", "c", "x"]);
        assert!(store.find("a").is_some());
        assert_eq!(store.count().listed, 1);
    }

    #[test]
    fn a_static_pod_is_found_by_its_hash() {
        let (store, now) = (Store::new(9, Duration::ZERO), Instant::now());
        let with = |uid: &str| Pod {
            alias: Some("hash".into()),
            ..pod(uid)
        };
        store.put(with("one"), now);
        assert_eq!(&*store.find("hash").unwrap().uid, "one");
        // Its mirror was made anew, and the old one's end is told later.
        store.put(with("two"), now);
        store.delete(with("one"), now);
        assert_eq!(&*store.find("hash").unwrap().uid, "two");
    }

    proptest! {
        #[test]
        fn the_number_is_bounded(
            steps in prop::collection::vec((0_u8..3, 0_u8..20), 0..200), most in 1_usize..8
        ) {
            let (store, mut now) = (Store::new(most, KEEP), Instant::now());
            for (what, uid) in steps {
                let uid = format!("u{uid}");
                now += Duration::from_secs(1);
                match what {
                    0 => store.put(pod(&uid), now),
                    1 => store.delete(pod(&uid), now),
                    _ => store.replace(0, vec![pod(&uid), pod("z")], |_| true, now),
                }
                let count = store.count();
                prop_assert!(count.alive + count.deleted <= most);
            }
        }
    }
}
