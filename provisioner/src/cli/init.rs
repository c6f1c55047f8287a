//! `kai-observe init`: a small spec to start from, with an identity of its own.

use kai_contract::exit;

use super::Stop;
use super::args::{Common, InitArgs};
use super::ui::Ui;
use crate::spec;
use crate::systems::file;

pub fn run(args: &InitArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    if common.spec.exists() && !args.force {
        return Err(Stop::error(format!(
            "{} is there already; --force replaces it (and gives the stack a new identity)",
            common.spec.display()
        )));
    }
    let name = args.name.clone().unwrap_or_else(|| {
        let folder = std::path::absolute(&common.spec)
            .ok()
            .and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
        slug(&folder.unwrap_or_default())
    });
    let id = spec::fresh_id();
    file::write(&common.spec, spec::starter(&name, &id).as_bytes(), 0o644).map_err(Stop::error)?;
    ui.line(&format!(
        "{} written (stack {name}, id {id})",
        common.spec.display()
    ));
    ui.line("next: edit it, then `kai-observe validate`, then `kai-observe provision`");
    ui.json(&serde_json::json!({ "written": common.spec, "name": name, "id": id }));
    Ok(exit::OK)
}

/// A folder's name as a DNS label.
fn slug(text: &str) -> String {
    let text: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let text: String = text.trim_matches('-').chars().take(40).collect();
    let text = text.trim_end_matches('-');
    if text.starts_with(|c: char| c.is_ascii_lowercase()) {
        text.to_owned()
    } else {
        format!("stack-{text}").trim_end_matches('-').to_owned()
    }
}
