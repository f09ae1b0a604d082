//! Who receives: storescp, Orthanc or our agent, each a process of its own, and what receiving has cost it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use causeway_tests::hospital::Hospital;
use causeway_tests::stack::wait_until;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::rig::Usage;

/// Which receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// storescp, which reads and writes what it receives.
    Writing,
    /// storescp that keeps the bytes as they came.
    Bits,
    /// Orthanc.
    Orthanc,
    /// The agent.
    Ours,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Take {
    /// Instances per second.
    pub(super) rate: f64,
    /// CPU seconds per GB.
    pub(super) cpu: f64,
    /// The same, of the protection.
    pub(super) protecting: f64,
    /// Most memory at a time.
    pub(super) peak_mib: f64,
}

fn gigabytes(files: &[PathBuf]) -> anyhow::Result<f64> {
    let mut bytes = 0.0;
    for file in files {
        bytes += f64::from(u32::try_from(file.metadata()?.len())?);
    }
    Ok(bytes / 1e9)
}

fn rate(files: &[PathBuf], took: Duration) -> f64 {
    u32::try_from(files.len()).map_or(0.0, f64::from) / took.as_secs_f64()
}

/// A peer. Dropping it kills it.
pub(super) struct Contender {
    pub(super) address: String,
    child: Child,
    received: PathBuf,
}

impl Contender {
    /// Starts one on an empty folder; `stock` leaves it as it is installed.
    pub(super) async fn start(kind: Kind, stock: bool, folder: &Path) -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let received = folder.join("received");
        std::fs::create_dir_all(&received)?;
        let mut command = match kind {
            Kind::Orthanc => orthanc(port, &received)?,
            _ => storescp(kind, stock, port, &received),
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("a peer could not be started; make test installs it")?;
        let address = format!("127.0.0.1:{port}");
        wait_until("a peer to listen", Duration::from_secs(30), async || {
            Ok(TcpStream::connect(&address).await.ok().map(drop))
        })
        .await?;
        let this = Self {
            address,
            child,
            received,
        };
        // the connection above is served by a child of its own
        this.at_rest().await?;
        Ok(this)
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("a peer has ended")
    }

    pub(super) fn used(&self) -> anyhow::Result<Usage> {
        Usage::of(self.pid()?)
    }

    /// Waits until its children have ended: their time then counts in it.
    async fn at_rest(&self) -> anyhow::Result<()> {
        let pid = self.pid()?;
        wait_until(
            "a peer's children to end",
            Duration::from_secs(30),
            async || {
                let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
                Ok(children.trim().is_empty().then_some(()))
            },
        )
        .await
    }

    pub(super) async fn take(
        &self,
        files: &[PathBuf],
        took: Duration,
        before: Usage,
    ) -> anyhow::Result<Take> {
        self.at_rest().await?;
        Ok(Take {
            rate: rate(files, took),
            cpu: self.used()?.since(before) / gigabytes(files)?,
            ..Take::default()
        })
    }

    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        std::fs::remove_dir_all(&self.received).context("emptying a peer's folder")
    }
}

fn storescp(kind: Kind, stock: bool, port: u16, received: &Path) -> Command {
    let mut command = Command::new("storescp");
    command.args(["--fork", "-od"]).arg(received);
    if kind == Kind::Bits {
        command.arg("+B");
    }
    if !stock {
        command.args(["-pdu", "131072"]).env("TCP_NODELAY", "1");
    }
    command.arg(port.to_string());
    command
}

/// Orthanc as it is installed, but for its folder, its port, and its pages.
fn orthanc(port: u16, received: &Path) -> anyhow::Result<Command> {
    let config = serde_json::json!({
        "StorageDirectory": received.join("storage"), "IndexDirectory": received.join("storage"), "DicomAet": "ANY",
        "DicomPort": port, "HttpServerEnabled": false, "Plugins": [], "DicomAlwaysAllowStore": true,
    });
    let file = received.join("orthanc.json");
    std::fs::write(&file, config.to_string())?;
    let installed = Path::new("/usr/sbin/Orthanc");
    let program = if installed.exists() {
        installed
    } else {
        Path::new("Orthanc")
    };
    let mut command = Command::new(program);
    command.arg(file).env("TCP_NODELAY", "1");
    Ok(command)
}

/// Our agent, after its gateway has gone.
pub(super) struct Agent {
    hospital: Hospital,
    empty: PathBuf,
}

impl Agent {
    /// Lets the gateway say its agreements, ends it, and remembers the empty spool.
    pub(super) async fn alone(mut hospital: Hospital) -> anyhow::Result<Self> {
        wait_until(
            "the agent to be greeted",
            Duration::from_secs(30),
            async || {
                let said = hospital.stack.agent_cli(&["status"]).await?;
                Ok(said.contains("link     up").then_some(()))
            },
        )
        .await?;
        hospital.stack.gateway.kill().await?;
        let folder = hospital.stack.options.folder.clone();
        let (spool, empty) = (folder.join("agent-spool"), folder.join("empty-spool"));
        hospital
            .stack
            .restart_agent_after(|| copy(&spool, &empty))
            .await?;
        Ok(Self { hospital, empty })
    }

    /// Begins again on an empty spool.
    pub(super) async fn afresh(&mut self) -> anyhow::Result<()> {
        let spool = self.hospital.stack.options.folder.join("agent-spool");
        let empty = self.empty.clone();
        self.hospital
            .stack
            .restart_agent_after(|| {
                std::fs::remove_dir_all(&spool)?;
                copy(&empty, &spool)
            })
            .await
    }

    pub(super) fn address(&self) -> String {
        self.hospital.stack.dicom()
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.hospital
            .stack
            .agent
            .pid()
            .context("the agent has ended")
    }

    /// What all of it has used, and its protection.
    pub(super) fn used(&self) -> anyhow::Result<(Usage, Usage)> {
        let pid = self.pid()?;
        Ok((Usage::of(pid)?, Usage::of_threads(pid, "patient")?))
    }

    pub(super) fn take(
        &self,
        files: &[PathBuf],
        took: Duration,
        before: (Usage, Usage),
    ) -> anyhow::Result<Take> {
        let (all, patient) = self.used()?;
        let size = gigabytes(files)?;
        let protecting = patient.since(before.1);
        let peak = self.hospital.stack.agent.peak_kib()?;
        Ok(Take {
            rate: rate(files, took),
            cpu: (all.since(before.0) - protecting) / size,
            protecting: protecting / size,
            peak_mib: f64::from(u32::try_from(peak)?) / 1024.0,
        })
    }

    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        self.hospital.stack.restart_gateway().await?;
        self.hospital.close().await
    }
}

/// Copies the files of a folder; sockets are made anew by who needs them.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, from.metadata()?.permissions())?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let (kind, into) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &into)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), into)?;
        }
    }
    Ok(())
}
