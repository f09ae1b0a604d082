//! The binary `causeway-agent`: arguments in, exit codes out; everything else is in the library.

use std::process::ExitCode;

use causeway_agent::mask::decode;
use clap::Parser;

fn main() -> ExitCode {
    // the child that decodes pixels: before anything else has begun
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == decode::VERB)
    {
        return decode::child();
    }
    let arguments = causeway_agent::app::cli::Arguments::parse();
    causeway_agent::app::cli::main(arguments)
}
