//! The binary `causeway-agent`: arguments in, exit codes out; everything else is in the library.

use std::ffi::c_void;
use std::process::ExitCode;

use causeway_agent::mask::decode;
use clap::Parser;

/// `malloc` and its kin are jemalloc's: with glibc's a soak of an hour grew by a hundred MiB and more. Not by `#[global_allocator]`: a
/// decoder in the tree gives back null (openjp2), which `free` takes and jemalloc's own door does not.
#[used]
static MALLOC: unsafe extern "C" fn(usize) -> *mut c_void = tikv_jemalloc_sys::malloc;

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
