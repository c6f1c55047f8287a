//! kai-observe. Everything is in the library; see `cli.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(kai_observe::cli::main())
}
