//! Commands that only print: the schema, completions.

use kai_contract::exit;

use super::Stop;
use super::args::{Cli, SchemaArgs};
use crate::spec;
use crate::systems::file;

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
