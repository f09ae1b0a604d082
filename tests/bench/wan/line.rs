//! A line between two network namespaces, `site` and `center`, made by a tool outside this repository; needs root.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use causeway_tests::stack::build::root;
use tokio::process::Command;

/// The address of each end.
pub(crate) const SITE: &str = "10.77.0.1";
pub(crate) const CENTRE: &str = "10.77.0.2";
/// Where the hospital's PACS listens.
pub(crate) const PACS_PORT: u16 = 11113;

/// The tool; it finds its line by a number in the environment.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    tool: PathBuf,
}

impl Line {
    /// The tool, when it is there and may be used.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn find() -> anyhow::Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "only root can make network namespaces"
        );
        let tool = root().join("../shared/tools/wan");
        ensure!(tool.exists(), "there is no {}", tool.display());
        Ok(Self { tool })
    }

    /// A command of the tool.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.tool);
        command.args(words).stdin(Stdio::null());
        if words == ["up"] {
            // its emulator is built there, once; what runs on the line is not
            command.env("CARGO_TARGET_DIR", root().join("target/wan"));
        }
        command
    }

    /// Runs a command of the tool to its end and gives what it said.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) async fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = self.command(words).output().await?;
        ensure!(
            output.status.success(),
            "wan {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A program at the hospital's end, which ends with the command.
    pub(crate) fn at_site(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command(&["exec", "site"]);
        command
            .arg(program)
            .env("TCP_NODELAY", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// A script that runs `program` at the hospital's end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn script(
        &self,
        program: &std::path::Path,
        path: PathBuf,
    ) -> anyhow::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let text = format!(
            "#!/bin/sh\nexec '{}' exec site '{}' \"$@\"\n",
            self.tool.display(),
            program.display()
        );
        std::fs::write(&path, text).context("writing a script")?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// What the line is like from now on: round trip in ms, loss in percent, Mbit/s.
    ///
    /// # Errors
    /// When the tool refuses.
    pub(crate) async fn set(&self, cell: Cell) -> anyhow::Result<()> {
        let delay = format!("delay={}ms", f64::from(cell.round_trip_ms) / 2.0);
        let loss = format!("loss={}", cell.loss);
        let rate = format!("rate={}", cell.mbit_s);
        self.run(&["set", &delay, &loss, &rate, "queue=50ms"])
            .await?;
        Ok(())
    }

    /// A line without delay and loss.
    ///
    /// # Errors
    /// When the tool refuses.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        self.run(&["set", "delay=0ms", "loss=0", "rate=0"]).await?;
        Ok(())
    }
}

/// One kind of line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) mbit_s: u32,
    pub(crate) round_trip_ms: u32,
    /// Percent of the packets, in each direction.
    pub(crate) loss: f64,
}

impl Cell {
    pub(crate) const fn new(mbit_s: u32, round_trip_ms: u32, loss: f64) -> Self {
        Self {
            mbit_s,
            round_trip_ms,
            loss,
        }
    }

    pub(crate) fn name(self) -> String {
        format!(
            "{} Mbit/s, {} ms, {} %",
            self.mbit_s, self.round_trip_ms, self.loss
        )
    }
}

impl std::str::FromStr for Cell {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut parts = text.split(',');
        let mut next = || parts.next().context("a line is Mbit/s, ms and percent");
        Ok(Self::new(
            next()?.parse()?,
            next()?.parse()?,
            next()?.parse()?,
        ))
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{},{}", self.mbit_s, self.round_trip_ms, self.loss)
    }
}
