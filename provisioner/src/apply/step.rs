//! One step of a plan.

use std::sync::Arc;
use std::time::Instant;

use super::{Env, Outcome};
use crate::components::{Installed, Lookup, Outcome as Obtained};
use crate::plan::{Action, Change};
use crate::resource::{Address, Document, Process};
use crate::systems::proc::Found;
use crate::systems::{file, process, secret};

pub async fn run(change: &Change, env: &Arc<Env>) -> Outcome {
    let name = change.address.as_str();
    let started = Instant::now();
    if change.action != Action::Fetch {
        env.progress.state(name, change.action.word());
    }
    let result = match change.action {
        Action::Fetch => return fetch(change, env).await,
        Action::Stop => stop(change, env).await,
        Action::Delete if is_object(change) => super::object::delete(change, env).await,
        Action::Delete => delete(change, env),
        _ => match env
            .resources
            .get(&change.address)
            .map(|resource| &resource.document)
        {
            Some(Document::File(document)) => {
                let content = document.content(&env.owner, &change.address);
                file::write(
                    &env.layout.root.join(&document.path),
                    content.as_bytes(),
                    0o644,
                )
                .map(|()| "written".to_owned())
                .map_err(|error| error.to_string())
            }
            Some(Document::Secret(document)) => {
                let path = env.layout.root.join(&document.path);
                secret::to_store(&document.reference)
                    .and_then(|value| secret::store(&path, &value))
                    .map(|()| "stored".to_owned())
                    .map_err(|error| error.to_string())
            }
            Some(Document::Process(document)) => act(change, document, env).await,
            Some(Document::Object(document)) => super::object::write(change, document, env).await,
            Some(Document::Component(_)) | None => {
                Err(format!("{} {name}: no such resource", change.action.word()))
            }
        },
    };
    match result {
        Ok(detail) => {
            // Files are many and quick; they are counted, not listed.
            let line = match change.address.kind() {
                "process" => format!(
                    "{}: {detail}, {:.1} s",
                    change.action.word(),
                    started.elapsed().as_secs_f64()
                ),
                _ => String::new(),
            };
            env.progress.done(name, &line);
            Outcome::Done { detail }
        }
        Err(error) => {
            env.progress.done(name, "");
            Outcome::Failed { error }
        }
    }
}

fn is_object(change: &Change) -> bool {
    crate::object::System::ALL
        .iter()
        .any(|system| system.word() == change.address.kind())
}

async fn fetch(change: &Change, env: &Arc<Env>) -> Outcome {
    let Some(Document::Component(component)) = env
        .resources
        .get(&change.address)
        .map(|resource| resource.document.clone())
    else {
        return Outcome::Failed {
            error: format!("{}: no such component", change.address),
        };
    };
    let worker = Arc::clone(env);
    let wanted = component.clone();
    let obtained = tokio::task::spawn_blocking(move || {
        worker
            .components
            .obtain(&wanted.name, wanted.version.as_deref())
    })
    .await;
    match obtained {
        Ok(Ok(Obtained::Installed(installed))) => Outcome::Done {
            detail: summary(&installed),
        },
        Ok(Ok(Obtained::NotInstalled(attempts))) if component.required => Outcome::Failed {
            error: format!(
                "{} is required and no source could give it: {}",
                component.name,
                crate::components::describe(&attempts)
            ),
        },
        Ok(Ok(Obtained::NotInstalled(attempts))) => Outcome::NotInstalled { attempts },
        Ok(Err(error)) => Outcome::Failed {
            error: error.to_string(),
        },
        Err(error) => Outcome::Failed {
            error: format!("fetching broke: {error}"),
        },
    }
}

fn summary(installed: &Installed) -> String {
    format!("{} from {}", installed.version, installed.source.word())
}

async fn act(change: &Change, document: &Process, env: &Arc<Env>) -> Result<String, String> {
    let text = |error: process::ProcessError| error.to_string();
    let running = env.running(&change.address, &change.before);
    match change.action {
        Action::Await => {
            process::await_answer(document, &env.layout)
                .await
                .map_err(text)?;
            Ok("answers".to_owned())
        }
        Action::Reload => {
            not_from_tomorrow(document, env);
            process::reload(document).await.map_err(text)?;
            process::await_answer(document, &env.layout)
                .await
                .map_err(text)?;
            Ok("reloaded".to_owned())
        }
        Action::Check => {
            let installed = installed(document, env)?;
            let wanted = process::launch(document, &installed.digest);
            match running {
                Some(found) if found.launch == wanted => Ok("is the right program".to_owned()),
                Some(found) => {
                    process::stop(found).await.map_err(text)?;
                    start(document, env).await
                }
                None => start(document, env).await,
            }
        }
        _ => {
            if let Some(found) = running {
                process::stop(found).await.map_err(text)?;
            }
            start(document, env).await
        }
    }
}

/// Files whose time of change lies ahead (a clock that was set back, `touch`) would look newer than
/// every load, and the process would be reloaded by every run.
fn not_from_tomorrow(document: &Process, env: &Env) {
    let now = std::time::SystemTime::now();
    for address in &document.config {
        let path = match env.resources.get(address).map(|r| &r.document) {
            Some(Document::File(file)) => env.layout.root.join(&file.path),
            Some(Document::Secret(secret)) => env.layout.root.join(&secret.path),
            _ => continue,
        };
        let ahead = std::fs::metadata(&path)
            .and_then(|meta| meta.modified())
            .is_ok_and(|changed| changed > now);
        if ahead {
            // Without it the process is reloaded once more next time; nothing worse.
            let _ = std::fs::File::open(&path).and_then(|file| file.set_modified(now));
        }
    }
}

impl Env {
    fn running(&self, address: &Address, before: &str) -> Option<&Found> {
        self.processes
            .iter()
            .find(|found| found.address == address.as_str() && before == found.identity())
    }
}

fn installed(document: &Process, env: &Env) -> Result<Installed, String> {
    let version = env
        .resources
        .get(&Address::component(&document.component))
        .and_then(|resource| match &resource.document {
            Document::Component(component) => component.version.clone(),
            _ => None,
        });
    match env
        .components
        .lookup(&document.component, version.as_deref())
    {
        Ok(Lookup::Installed(installed)) => Ok(installed),
        Ok(Lookup::Missing) => Err(format!("{} is not on this machine", document.component)),
        Err(error) => Err(error.to_string()),
    }
}

async fn start(document: &Process, env: &Arc<Env>) -> Result<String, String> {
    let installed = installed(document, env)?;
    let found = process::start(document, &installed, &env.owner, &env.layout)
        .await
        .map_err(|error| error.to_string())?;
    Ok(format!("pid {}", found.pid))
}

async fn stop(change: &Change, env: &Arc<Env>) -> Result<String, String> {
    match env.running(&change.address, &change.before) {
        Some(found) => {
            process::stop(found)
                .await
                .map_err(|error| error.to_string())?;
            Ok(format!("pid {} stopped", found.pid))
        }
        None => Ok("already gone".to_owned()),
    }
}

/// Only what the plan found: the path is derived from where our marks were seen.
fn delete(change: &Change, env: &Arc<Env>) -> Result<String, String> {
    let left = crate::world::left_over(
        &env.resources.values().cloned().collect::<Vec<_>>(),
        &env.layout,
        &env.owner,
    );
    for item in left.iter().filter(|item| item.address == change.address) {
        file::remove(&item.path).map_err(|error| error.to_string())?;
    }
    Ok("deleted".to_owned())
}
