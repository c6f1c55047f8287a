//! One call of one collector: what it needs, what it hands back, and what a panic is turned into.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::collectors::{CollectError, Collector, Entry};
use crate::exposition::Page;
use crate::node::Node;
use crate::settings::Settings;

/// What a collector keeps between its calls. It travels with the call, so that a call that does
/// not return takes it along and nobody else can use it meanwhile.
#[derive(Default)]
pub struct Slot {
    /// Filled by the call; its buffers are used again by the next.
    pub page: Page,
    built: Option<Built>,
}

/// A collector and what it was built for.
struct Built {
    settings: Arc<Settings>,
    node: Arc<dyn Node>,
    collector: Box<dyn Collector>,
}

/// A request to run a collector once.
pub struct Job {
    /// Place in the scheduler's list.
    pub lane: usize,
    pub entry: &'static Entry,
    pub scrape: u64,
    pub settings: Arc<Settings>,
    pub node: Arc<dyn Node>,
    pub slot: Slot,
}

/// One call's result.
pub struct Done {
    pub lane: usize,
    /// The scrape that asked for it.
    pub scrape: u64,
    pub slot: Slot,
    pub took: Duration,
    pub result: Result<(), Failure>,
}

/// Why a call has nothing, or not all, to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    /// There is nothing to show on this machine.
    pub no_data: bool,
}

impl From<CollectError> for Failure {
    fn from(error: CollectError) -> Self {
        Self {
            no_data: matches!(error, CollectError::NoData(_)),
            message: error.to_string(),
        }
    }
}

/// Runs the collector, for as long as that takes. A panic is a failure of this one call.
pub fn call(job: Job) -> Done {
    let Job {
        lane,
        entry,
        scrape,
        settings,
        node,
        slot: Slot { mut page, built },
    } = job;
    let started = Instant::now();
    page.clear();
    // Built anew when the configuration is: the settings are another object then.
    let kept = built
        .filter(|built| Arc::ptr_eq(&built.settings, &settings) && Arc::ptr_eq(&built.node, &node));
    let called = catch_unwind(AssertUnwindSafe(|| {
        let mut collector = match kept {
            Some(kept) => kept.collector,
            None => (entry.build)(&settings, &node),
        };
        let result = collector.collect(&*node, &mut page);
        if result
            .as_ref()
            .is_err_and(|error| !matches!(error, CollectError::NoData(_) | CollectError::Part(_)))
        {
            page.clear(); // nothing is better than half of it
        }
        (collector, result)
    }));
    let (built, result) = match called {
        Ok((collector, result)) => {
            let built = Built {
                settings,
                node,
                collector,
            };
            (Some(built), result.map_err(Failure::from))
        }
        // Its state may be half changed: it begins anew with the next scrape.
        Err(_) => {
            page.clear();
            let failure = Failure {
                message: "it panicked, which is a mistake in the agent; please report it"
                    .to_owned(),
                no_data: false,
            };
            (None, Err(failure))
        }
    };
    Done {
        lane,
        scrape,
        slot: Slot { page, built },
        took: started.elapsed(),
        result,
    }
}
