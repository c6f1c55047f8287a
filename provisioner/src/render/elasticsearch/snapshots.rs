//! A daily snapshot of what is this stack's, and of nothing else.

use serde_json::json;

use super::{Maker, patterns};
use crate::model::{Elasticsearch, Stack};
use crate::resource::Resource;
use crate::systems::elasticsearch::SNAPSHOTS;

pub(super) fn objects(stack: &Stack, settings: &Elasticsearch, maker: &Maker) -> Vec<Resource> {
    let Some(given) = &settings.snapshots else {
        return Vec::new();
    };
    let body = json!({
        "repository": given.repository,
        "hour": given.hour,
        "minute": given.minute,
        "keep": given.keep,
        "patterns": patterns(stack),
    });
    vec![maker.object(SNAPSHOTS, "daily", body, Vec::new())]
}
