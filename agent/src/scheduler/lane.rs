//! The body of a collector's thread: one job after the other, until nobody can ask any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::desk::{Desk, Done};
use crate::collectors::{Collector, Entry};
use crate::exposition::Page;
use crate::node::Node;
use crate::settings::Settings;

/// A request to run the collector once.
pub struct Job {
    pub scrape: u64,
    pub settings: Arc<Settings>,
    pub node: Arc<dyn Node>,
    /// Filled and handed back, so that its buffers are used again.
    pub page: Page,
}

/// A collector and what it was built for.
struct Built {
    settings: Arc<Settings>,
    node: Arc<dyn Node>,
    collector: Box<dyn Collector>,
}

/// Runs jobs. A panic is a failure of that one call.
pub fn work(lane: usize, entry: &Entry, jobs: &Receiver<Job>, desk: &Desk) {
    let mut built: Option<Built> = None;
    while let Ok(Job {
        scrape,
        settings,
        node,
        mut page,
    }) = jobs.recv()
    {
        let started = Instant::now();
        page.clear();
        // Built anew when the configuration is: the settings are another object then.
        let kept = built.take().filter(|built| {
            Arc::ptr_eq(&built.settings, &settings) && Arc::ptr_eq(&built.node, &node)
        });
        let called = catch_unwind(AssertUnwindSafe(|| {
            let mut collector = match kept {
                Some(kept) => kept.collector,
                None => (entry.build)(&settings, &node),
            };
            let result = collector.collect(&*node, &mut page);
            (collector, result)
        }));
        let result = match called {
            Ok((collector, result)) => {
                built = Some(Built {
                    settings,
                    node,
                    collector,
                });
                result.map_err(|error| error.to_string())
            }
            // Its state may be half changed: it begins anew with the next scrape.
            Err(_) => {
                Err("it panicked, which is a mistake in the agent; please report it".to_owned())
            }
        };
        if result.is_err() {
            page.clear(); // nothing is better than half of it
        }
        desk.put(Done {
            lane,
            scrape,
            page,
            took: started.elapsed(),
            result,
        });
    }
}
