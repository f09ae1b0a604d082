//! `causeway-gateway`: reads the command line, installs the provider of cryptography, and turns errors into exit codes.

use std::process::ExitCode;

use causeway_gateway::http::dicomweb::render;

fn main() -> ExitCode {
    // before anything else has begun: the child that decodes pixels takes its limits upon itself
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == render::SUBCOMMAND)
    {
        return render::render_child();
    }
    // for libraries that ask for a process-wide provider; a second call finds the first in place
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER
        .install_default()
        .ok();
    causeway_gateway::app::main(std::env::args_os())
}
