//! Wires the rooms together: the command line, what `serve` opens and in which order it ends, and the exit codes.
//!
//! | exit | meaning |
//! |---|---|
//! | 0 | done |
//! | 2 | the command line is not understood |
//! | 3 | the configuration cannot be used |
//! | 4 | not allowed: a password, a certificate |
//! | 5 | another machine does not answer |
//! | 6 | the disk, the database or a key cannot be used |
//! | 7 | it conflicts with what is there |

mod backup;
mod chance;
mod cli;
mod erase;
mod fresh;
mod herald;
mod hold;
mod open;
mod ready;
mod restore;
pub(crate) mod room;
mod scrub;
mod serve;
mod sweep;

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

pub use chance::{system_clock, system_random};
pub use open::{Opened, open};
pub use serve::serve;

/// An error with the exit code that it ends in.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// The configuration cannot be used.
    pub fn config(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: 3,
            error: error.into(),
        }
    }

    /// Somebody may not do this.
    pub fn auth(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: 4,
            error: error.into(),
        }
    }

    /// Another machine does not answer.
    pub fn elsewhere(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: 5,
            error: error.into(),
        }
    }

    /// The disk, the database or a key cannot be used.
    pub fn storage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: 6,
            error: error.into(),
        }
    }

    /// It conflicts with what is there.
    pub fn conflict(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: 7,
            error: error.into(),
        }
    }

    /// A value on the command line cannot be.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: 2,
            error: error.into(),
        }
    }

    /// The number that the process ends with.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the whole chain on one line: what was tried, then why it failed
        write!(f, "{:#}", self.error)
    }
}

/// The program: parses the arguments, runs the command, prints what failed.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match cli::Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            let asked = !error.use_stderr();
            error.print().ok();
            return if asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(2)
            };
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(cli::run(line));
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
            done
        }
        Err(error) => Err(Failure::storage(error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            writeln!(std::io::stderr().lock(), "error: {failure}").ok();
            ExitCode::from(failure.code)
        }
    }
}
