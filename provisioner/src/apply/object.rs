//! Writing one object: asked again first, since what it runs in may have just started; read back
//! after, since a server may take a body and keep another.

use super::Env;
use crate::object::{Object, System};
use crate::plan::object::{Compared, compare, desired};
use crate::plan::{Action, Change};
use crate::systems::elasticsearch::is_in_use;
use crate::systems::objects::{self, Client};
use crate::systems::rest::RestError;
use crate::systems::secret;

/// Creates or updates.
pub(super) async fn write(change: &Change, object: &Object, env: &Env) -> Result<String, String> {
    let text = |error: RestError| error.to_string();
    let client = Client::new(object.system, &object.access).map_err(text)?;
    let server = client.probe().await.map_err(text)?;
    let (owner, address) = (&env.owner, &change.address);
    let fitted = match objects::fit(object, &server) {
        Ok(fitted) => fitted,
        Err(why) if objects::is_required(object) => return Err(format!("{address}: {why}")),
        Err(why) => return Ok(format!("left out: {why}")),
    };
    let (wanted, applied) = desired(object, &fitted, owner, address);
    let mut actual = client.read(object.kind, &object.id).await.map_err(text)?;
    let keeps = object.keeps.as_ref().map(|path| env.layout.root.join(path));
    if let Some(path) = &keeps
        && !secret::in_step(path).map_err(|error| error.to_string())?
    {
        actual = None;
    }
    if let Some(actual) = &actual {
        match compare(object, &wanted, &applied, actual, owner, address) {
            Compared::Same => return Ok("in step already".to_owned()),
            Compared::Foreign(why) => return Err(why),
            Compared::Differs { .. } => {}
        }
    }
    let said = client
        .write(object, &wanted, actual.as_ref())
        .await
        .map_err(text)?;
    if let (Some(path), Some(value)) = (&keeps, said) {
        secret::store(path, &value).map_err(|error| error.to_string())?;
    }
    let Some(now) = client.read(object.kind, &object.id).await.map_err(text)? else {
        return Err(format!(
            "{address}: {} took it and does not have it",
            object.system
        ));
    };
    match compare(object, &wanted, &applied, &now, owner, address) {
        Compared::Same => Ok("written".to_owned()),
        Compared::Foreign(why) => Err(why),
        Compared::Differs { diff, .. } => Err(format!(
            "{address}: {} took it and keeps something else:\n{diff}",
            object.system
        )),
    }
}

/// Only what the plan found, and only while it is still ours.
pub(super) async fn delete(change: &Change, env: &Env) -> Result<String, String> {
    let text = |error: RestError| error.to_string();
    let system = System::ALL
        .into_iter()
        .find(|system| system.word() == change.address.kind())
        .ok_or_else(|| format!("{}: no such system", change.address))?;
    let access = env
        .accesses
        .get(&system)
        .ok_or_else(|| format!("{}: nothing says where {system} is", change.address))?;
    let client = Client::new(system, access).map_err(text)?;
    let ours = client.ours(&env.owner).await.map_err(text)?;
    for listed in ours
        .iter()
        .filter(|listed| listed.address == change.address.as_str() && listed.id == change.before)
    {
        match client.delete(listed.kind, &listed.id).await {
            Ok(()) => {}
            Err(RestError::Kept(why)) => return Ok(why),
            Err(error) if is_in_use(&error) => {
                return Ok(format!("kept, since data streams are made by it: {error}"));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    debug_assert_eq!(change.action, Action::Delete);
    Ok("deleted".to_owned())
}
