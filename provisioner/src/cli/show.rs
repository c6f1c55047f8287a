//! Commands that only print: the rendered files, the schema, completions.

use kai_contract::exit;

use super::Stop;
use super::args::{Cli, Common, RenderArgs, SchemaArgs};
use super::context::Context;
use super::ui::Ui;
use crate::resource::Document;
use crate::spec::{self, Secrets};
use crate::systems::file;

pub fn render(args: &RenderArgs, common: &Common, ui: &Ui) -> Result<u8, Stop> {
    let context = Context::new(common, ui, Secrets::AssumePresent)?;
    let mut written = Vec::new();
    for resource in &context.resources {
        let Document::File(document) = &resource.document else {
            continue;
        };
        let path = args.out.join(
            document
                .path
                .strip_prefix("config")
                .unwrap_or(&document.path),
        );
        let content = document.content(&context.owner, &resource.address);
        file::write(&path, content.as_bytes(), 0o644).map_err(Stop::error)?;
        ui.line(&path.display().to_string());
        written.push(path);
    }
    ui.json(&serde_json::json!({ "written": written }));
    Ok(exit::OK)
}

pub fn schema(args: &SchemaArgs) -> Result<u8, Stop> {
    let text = serde_json::to_string_pretty(&spec::json_schema()).map_err(Stop::error)?;
    match &args.out {
        Some(path) => {
            file::write(path, format!("{text}\n").as_bytes(), 0o644).map_err(Stop::error)?;
        }
        None => super::ui::print(&text),
    }
    Ok(exit::OK)
}

pub fn completions(shell: clap_complete::Shell) {
    use clap::CommandFactory as _;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kai-observe", &mut script);
    super::ui::print(String::from_utf8_lossy(&script).trim_end());
}
