//! A shorter retention deletes data at the next start. It is told from any other change of a
//! process by the arguments that the running one was started with; of one that does not run
//! nothing is known, and it starts as the spec says.

use std::time::Duration;

use super::{Action, Change};
use crate::resource::{Address, Process};
use crate::spec::duration;
use crate::systems::proc::Found;
use crate::world::World;

/// Prometheus' flag, as `render` writes it.
const FLAG: &str = "--storage.tsdb.retention.time=";

/// The restart that would shorten how long data is kept; it waits for `--prune`.
pub(super) fn shortened(
    address: &Address,
    document: &Process,
    found: &Found,
    world: &World,
) -> Option<Change> {
    let (before, before_text) = retention(world.arguments.get(&found.pid)?)?;
    let (after, after_text) = retention(&document.args)?;
    (after < before).then(|| Change {
        address: address.clone(),
        action: Action::Restart,
        reason: format!(
            "keeps data {after_text} instead of {before_text}; what is older is deleted"
        ),
        diff: None,
        before: found.identity(),
        after: after_text.to_owned(),
    })
}

fn retention(args: &[String]) -> Option<(Duration, &str)> {
    let text = args.iter().find_map(|arg| arg.strip_prefix(FLAG))?;
    Some((duration::parse(text)?, text))
}
