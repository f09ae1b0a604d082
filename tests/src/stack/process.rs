//! Processes of a stack: started with their output in a log, ended by signal, never left over.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::wait_until;

/// A process of ours. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `program`; standard output and error are appended to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(program: &Path, arguments: &[String], log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Its process number, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The most memory that it has had at a time, in KiB (VmHWM of proc(5)).
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_kib(&self) -> anyhow::Result<u64> {
        let pid = self.pid().context("it has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.context("no VmHWM")?.trim().trim_end_matches(" kB");
        Ok(number.parse()?)
    }

    /// Waits for the file in which it reports its addresses.
    ///
    /// # Errors
    /// When it ends before, or takes too long; the end of its log is in the message.
    pub async fn ports(&mut self, file: &Path, what: &str) -> anyhow::Result<Value> {
        let awaited = format!("{what} to report its addresses");
        let read = wait_until(&awaited, Duration::from_secs(30), async || {
            if let Some(status) = self.child.try_wait()? {
                bail!("{what} has ended with {status}");
            }
            let Ok(text) = tokio::fs::read(file).await else {
                return Ok(None);
            };
            Ok(serde_json::from_slice(&text).ok())
        })
        .await;
        read.with_context(|| format!("the end of its log:\n{}", tail(&self.log)))
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing a process")
    }

    /// Holds it still with SIGSTOP: to everybody else it is there and says nothing.
    ///
    /// # Errors
    /// When it cannot be held.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP).context("freezing a process")
    }

    /// Ends it with SIGTERM and waits for its end; answers how long that took.
    ///
    /// # Errors
    /// When it does not end within 35 s, or ends with anything but 0.
    pub async fn end(&mut self, what: &str) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        if self.pid().is_none() {
            return Ok(Duration::ZERO);
        }
        self.signal(Signal::TERM)
            .with_context(|| format!("asking {what} to end"))?;
        let ended = tokio::time::timeout(Duration::from_secs(35), self.child.wait()).await;
        let status =
            ended.with_context(|| format!("{what} did not end within 35 s of SIGTERM"))??;
        if !status.success() {
            bail!(
                "{what} ended with {status}; the end of its log:\n{}",
                tail(&self.log)
            );
        }
        Ok(begun.elapsed())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            kill_process(pid, signal)?;
        }
        Ok(())
    }
}

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// When it ends with anything but 0, or takes more than 60 s; the message carries both outputs.
pub async fn run(program: &Path, config: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(config)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = output.with_context(|| format!("waited 60 s for {arguments:?}"))??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{} {} ended with {}\n{said}{}",
            program.display(),
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(said)
}

/// The last lines of a log.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.iter().rev().fold(String::new(), |mut all, line| {
        writeln!(all, "  {line}").ok();
        all
    })
}

/// Whether a process, in any of its lives, panicked: the task alone dies of it, and what it did may be done again.
///
/// # Errors
/// When it did.
pub fn fell_nowhere(log: &Path) -> anyhow::Result<()> {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    match text.lines().find(|line| line.contains("panicked at")) {
        Some(line) => bail!("{}: {line}", log.display()),
        None => Ok(()),
    }
}

/// A password that nobody has used before.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn random_password() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 12];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        bail!("the operating system gave no random bytes");
    }
    Ok(hex::encode(bytes))
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// When it cannot be written.
pub fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
