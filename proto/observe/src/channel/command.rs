//! A program that gets the alarm as JSON. Never a shell: what is told is not part of a command line.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command as Process;

use super::{ChannelError, io};
use crate::config::Command;
use crate::telling::Telling;

/// A program with its arguments.
#[derive(Debug)]
pub(crate) struct CommandHook {
    program: PathBuf,
    arguments: Vec<String>,
}

impl CommandHook {
    pub(super) fn of(config: &Command) -> Self {
        Self {
            program: config.program.clone(),
            arguments: config.arguments.clone(),
        }
    }

    /// The child is killed when this is given up.
    pub(super) async fn send(&self, telling: &Telling) -> Result<(), ChannelError> {
        let mut child = Process::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(io("starting the program"))?;
        if let Some(mut stdin) = child.stdin.take() {
            let text = format!("{}\n", telling.json());
            // one that reads nothing may do its work all the same: its exit code says whether
            stdin.write_all(text.as_bytes()).await.ok();
        }
        let status = child.wait().await.map_err(io("waiting for the program"))?;
        if status.success() {
            Ok(())
        } else {
            Err(ChannelError::Ended(status))
        }
    }
}
