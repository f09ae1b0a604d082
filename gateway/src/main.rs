//! `causeway-gateway`: reads the command line, installs the provider of cryptography, and turns errors into exit codes.

use std::ffi::c_void;
use std::process::ExitCode;

use causeway_gateway::http::dicomweb::render;

/// `malloc` and its kin are jemalloc's: with glibc's a soak of an hour grew by a hundred MiB and more. Not by `#[global_allocator]`: a
/// decoder in the tree gives back null (openjp2), which `free` takes and jemalloc's own door does not.
#[used]
static MALLOC: unsafe extern "C" fn(usize) -> *mut c_void = tikv_jemalloc_sys::malloc;

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
