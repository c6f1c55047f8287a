//! Planning for objects behind an API: not there, not as the spec says, or taken by somebody else.

use serde_json::Value;

use super::{Action, Change, Options, Plan, SPEC_CHANGED, Step};
use crate::object::{Mark, Object, fingerprint, same, text};
use crate::resource::{Address, Resource};
use crate::systems::objects;
use crate::world::{Actual, Reached, World};

/// `before` of an object whose system could not be asked yet.
pub const DEFERRED: &str = "deferred";
const BY_HAND: &str = "changed by hand";
const AUTHOR_UNKNOWN: &str = "differs, author unknown";
const MARK_GONE: &str = "changed, author unknown: its mark is gone";

/// How an object that is there compares with the one that should be.
pub enum Compared {
    Same,
    Differs {
        reason: &'static str,
        diff: String,
        before: String,
    },
    /// It has our name and the mark of somebody else.
    Foreign(String),
}

/// The marked body that should be there, and its digest. Pure.
pub fn desired(object: &Object, fitted: &Value, owner: &str, address: &Address) -> (Value, String) {
    // A secret that was rotated makes a new digest: it cannot be read back to be compared.
    let mut described = fitted.clone();
    if let Value::Object(map) = &mut described
        && !object.secrets.is_empty()
    {
        let references: Vec<String> = object
            .secrets
            .iter()
            .map(|(place, secret)| format!("{place}={secret}#{}", secret.rotation))
            .collect();
        map.insert("kai:secrets".to_owned(), Value::from(references));
    }
    let applied = fingerprint(&described);
    let mark = Mark {
        owner: owner.to_owned(),
        address: address.to_string(),
        applied: Some(applied.clone()),
    };
    (objects::marked(object, fitted, &mark), applied)
}

/// Pure.
pub fn compare(
    object: &Object,
    wanted: &Value,
    applied: &str,
    actual: &Value,
    owner: &str,
    address: &Address,
) -> Compared {
    let mark = objects::mark_of(object.system, object.kind, actual);
    if let Some(mark) = &mark
        && mark.owner != owner
    {
        return Compared::Foreign(format!(
            "{address}: {} named {} is there and belongs to {}; it is left alone",
            object.kind, object.id, mark.owner
        ));
    }
    let projected = objects::project(object, wanted, actual);
    if same(wanted, &projected) {
        return Compared::Same;
    }
    let reason = match mark.as_ref().map(|mark| &mark.applied) {
        None if !objects::carries_mark(object.system, object.kind) => AUTHOR_UNKNOWN,
        None => MARK_GONE,
        Some(Some(last)) if last == applied => BY_HAND,
        Some(Some(_)) => SPEC_CHANGED,
        Some(None) => AUTHOR_UNKNOWN,
    };
    let (found, wished) = (text(&projected), text(wanted));
    Compared::Differs {
        reason,
        diff: super::diff(address, &found, &wished),
        before: fingerprint(&projected),
    }
}

pub(super) fn step(
    resource: &Resource,
    object: &Object,
    world: &World,
    owner: &str,
    so_far: &mut Plan,
    options: Options,
    unreadable: &mut Vec<String>,
) -> Option<Step> {
    let address = &resource.address;
    let process = object.system.process();
    if object.managed && so_far.skipped.iter().any(|s| s.address == process) {
        return Some(Step::Skip(format!("{} is not installed", object.system)));
    }
    let create = |reason: String, before: &str, after: String| {
        Some(Step::Change(Change {
            address: address.clone(),
            action: Action::Create,
            reason,
            diff: None,
            before: before.to_owned(),
            after,
        }))
    };
    let server = match world.servers.get(&object.system) {
        Some(Reached::Up(server)) => server,
        Some(Reached::Unreadable(why)) => {
            if !unreadable.contains(why) {
                unreadable.push(why.clone());
            }
            return None;
        }
        Some(Reached::Deferred(_)) | None => {
            let reason = format!("once {} runs", object.system);
            return create(reason, DEFERRED, fingerprint(&object.body));
        }
    };
    let fitted = match objects::fit(object, server) {
        Ok(fitted) => fitted,
        Err(why) if objects::is_required(object) => {
            unreadable.push(format!("{address}: {why}"));
            return None;
        }
        Err(why) => return Some(Step::Skip(why)),
    };
    let (wanted, applied) = desired(object, &fitted, owner, address);
    let actual = match world.objects.get(address) {
        Some(Actual::Unreadable(error)) => {
            unreadable.push(error.clone());
            return None;
        }
        Some(Actual::Present(actual)) => actual,
        Some(Actual::Absent) | None => return create("not there".to_owned(), "absent", applied),
    };
    match compare(object, &wanted, &applied, actual, owner, address) {
        Compared::Same => Some(Step::Keep),
        Compared::Foreign(why) => {
            unreadable.push(why);
            None
        }
        Compared::Differs {
            reason,
            diff,
            before,
        } => {
            let change = Change {
                address: address.clone(),
                action: Action::Update,
                reason: reason.to_owned(),
                diff: Some(diff),
                before,
                after: applied,
            };
            if objects::shortens(object, &wanted, actual) && !options.prune {
                so_far.held_back.push(Change {
                    reason: format!("{reason}, and data would be deleted sooner"),
                    ..change
                });
                return Some(Step::Keep);
            }
            Some(Step::Change(change))
        }
    }
}

pub(super) fn left_over(world: &World) -> Vec<Change> {
    world
        .objects_left_over
        .iter()
        .map(|listed| Change {
            address: Address::from_marker(&listed.address),
            action: Action::Delete,
            reason: "nothing asks for it any more".to_owned(),
            diff: None,
            before: listed.id.clone(),
            after: "absent".to_owned(),
        })
        .collect()
}

/// A key that another one stands in for: rotating it was asking for its end.
pub(super) fn is_replaced(deletion: &Change, resources: &[Resource]) -> bool {
    deletion.address.is_api_key() && resources.iter().any(|other| other.address.is_api_key())
}
