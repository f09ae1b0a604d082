//! The binary `causeway-agent`: arguments in, exit codes out; everything else is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = causeway_agent::app::cli::Arguments::parse();
    causeway_agent::app::cli::main(arguments)
}
