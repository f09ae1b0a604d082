//! Both programs with the line between them, and DCMTK over the same line.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::phantom::{self, Identity};
use causeway_tests::reader::{Reader, find_task, instances};
use causeway_tests::stack::{Far, Options, PacsAddress, Stack, build, wait_until};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

use super::line::{CENTRE, Line, PACS_PORT, SITE};
use crate::rig::Usage;

/// A run that is not over by then is cut, and its rate is that of what had arrived.
pub(crate) const CUT: Duration = Duration::from_secs(60);

/// Both programs, and a reader at the gateway.
pub(crate) struct Ends {
    pub(crate) stack: Stack,
    pub(crate) reader: Reader,
    folder: TempDir,
}

/// A study on disk.
pub(crate) struct Study {
    pub(crate) uid: String,
    pub(crate) megabits: f64,
    identity: Identity,
    folder: TempDir,
}

/// One transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// Mbit/s of file bytes.
    pub(crate) mbit_s: f64,
    /// Seconds of processor time of both ends for each GB.
    pub(crate) cpu_s_gb: f64,
    pub(crate) cut: bool,
}

impl Study {
    pub(crate) fn write(number: u32, slices: u16) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut identity = Identity::sample(&format!("2.25.4712.{number}"), "20261121", "093000");
        identity.accession = format!("TEST-ACC-{number}");
        // of a patient of its own: nothing before it is a prior
        identity.patient_id = format!("PHANTOM-{number}");
        let files = phantom::write_long(&folder.path().join("study"), &identity, slices)?;
        let mut bytes = 0.0;
        for file in &files {
            bytes += f64::from(u32::try_from(file.metadata()?.len())?);
        }
        Ok(Self {
            uid: identity.study(),
            megabits: bytes * 8.0 / 1e6,
            identity,
            folder,
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("study")
    }

    /// Where WADO-RS has one slice.
    pub(crate) fn path_of(&self, slice: u16) -> String {
        let (series, instance) = (self.identity.series(), self.identity.instance(slice));
        format!(
            "/dicomweb/studies/{}/series/{series}/instances/{instance}",
            self.uid
        )
    }

    /// DCMTK's sender at the hospital, to `address`.
    pub(crate) fn sender(&self, line: &Line, called: &str, address: &str) -> Command {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "104"));
        let mut command = line.at_site("storescu");
        command
            .args([
                "-xe", "-pdu", "131072", "-aet", "PACS", "-aec", called, "+sd",
            ])
            .args([host, port])
            .arg(self.path());
        command
    }

    fn took(&self, seconds: f64, share: f64, cpu_s: f64) -> Took {
        let megabits = self.megabits * share;
        Took {
            mbit_s: megabits / seconds,
            cpu_s_gb: cpu_s * 8000.0 / megabits.max(1.0),
            cut: share < 1.0,
        }
    }
}

impl Ends {
    /// Starts both ends over a clear line; `lines` go into the agent's `[gateway]`.
    pub(crate) async fn start(line: &Line, lines: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let binaries = build::binaries().await?;
        let agent = line.script(&binaries.agent, folder.path().join("agent"))?;
        let options = Options {
            folder: folder.path().to_owned(),
            binaries: build::Binaries { agent, ..binaries },
            pacs: PacsAddress {
                ae_title: "PACS".to_owned(),
                address: format!("{SITE}:{PACS_PORT}"),
            },
            viewer: Some(build::root().join("target/viewer/ohif.tar")).filter(|it| it.exists()),
            legacy_headings: false,
            identified: true,
            shifts_dates: false,
            replaces_uids: false,
            asks_pacs: false,
            page_image: "if-refused",
            far: Some(Far {
                site: SITE.parse()?,
                centre: CENTRE.parse()?,
            }),
            gateway_lines: lines.to_owned(),
            floors: "",
        };
        line.clear().await?;
        let stack = Stack::start(options).await?;
        let reader = Reader::sign_in(&stack.url(), "reader", &stack.password).await?;
        let ends = Self {
            stack,
            reader,
            folder,
        };
        wait_until("the link to be up", Duration::from_secs(30), async || {
            Ok(
                (ends.link().await?.get("state").and_then(Value::as_str) == Some("up"))
                    .then_some(()),
            )
        })
        .await?;
        Ok(ends)
    }

    /// How the agent's link says it stands.
    pub(crate) async fn link(&self) -> anyhow::Result<Value> {
        let said = self.stack.agent_cli(&["status", "--json"]).await?;
        let mut status: Value = serde_json::from_str(&said).context("reading the status")?;
        Ok(status.get_mut("link").map_or(Value::Null, Value::take))
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        let mut all = 0.0;
        for process in [&self.stack.agent, &self.stack.gateway] {
            all += Usage::of(process.pid().context("it has ended")?)?.cpu_s;
        }
        Ok(all)
    }

    /// From the first byte to the agent until the gateway has sealed the study.
    pub(crate) async fn carry(&self, line: &Line, study: &Study) -> anyhow::Result<Took> {
        let (before, start) = (self.cpu()?, Instant::now());
        self.send(line, study).await?;
        self.sealed(study).await?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(study.took(seconds, 1.0, self.cpu()? - before))
    }

    /// Looks often: a wait that grows would be part of the figure.
    async fn sealed(&self, study: &Study) -> anyhow::Result<()> {
        let end = Instant::now() + CUT * 4;
        loop {
            let list = self.reader.get("/api/v1/worklist").await?;
            if find_task(&list, &study.uid).is_some_and(|task| task.readiness == "READY") {
                return Ok(());
            }
            ensure!(Instant::now() < end, "the study was never sealed");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Gives the study to the agent.
    pub(crate) async fn send(&self, line: &Line, study: &Study) -> anyhow::Result<()> {
        self.send_to(line, study, "CAUSEWAY").await
    }

    /// The same, to one of the agent's titles.
    pub(crate) async fn send_to(
        &self,
        line: &Line,
        study: &Study,
        called: &str,
    ) -> anyhow::Result<()> {
        let mut sender = study.sender(line, called, &self.stack.dicom());
        ensure!(
            sender.status().await?.success(),
            "the agent took less than all"
        );
        Ok(())
    }

    /// How many instances of a study are at the gateway.
    pub(crate) async fn arrived(&self, study: &Study) -> anyhow::Result<u64> {
        let list = self.reader.get("/api/v1/worklist").await?;
        Ok(instances(&list, &study.uid))
    }

    pub(crate) async fn stop(self, line: &Line) -> anyhow::Result<()> {
        line.clear().await?;
        self.stack.stop().await?;
        self.folder.close().context("deleting the folder")
    }
}

/// DCMTK over the same line: `storescu` at the hospital, `storescp` that syncs nothing in the centre.
pub(crate) async fn dcmtk(line: &Line, study: &Study, cut: Duration) -> anyhow::Result<Took> {
    let folder = tempfile::tempdir()?;
    let received = folder.path().join("received");
    std::fs::create_dir_all(&received)?;
    let port = std::net::TcpListener::bind((CENTRE, 0))?
        .local_addr()?
        .port();
    let mut receiver = Command::new("storescp")
        .args(["+B", "-pdu", "131072", "-od"])
        .arg(&received)
        .arg(port.to_string())
        .env("TCP_NODELAY", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("storescp could not be started")?;
    let address = format!("{CENTRE}:{port}");
    wait_until("storescp to listen", Duration::from_secs(10), async || {
        let connected = tokio::net::TcpStream::connect(&address).await;
        Ok(connected.is_ok().then_some(()))
    })
    .await?;
    let start = Instant::now();
    let mut sender = study.sender(line, "STORESCP", &address).spawn()?;
    let of = |child: &tokio::process::Child| child.id().and_then(|pid| Usage::of(pid).ok());
    let done = tokio::time::timeout(cut, sender.wait()).await;
    let seconds = start.elapsed().as_secs_f64();
    let used = of(&receiver).unwrap_or_default().cpu_s + of(&sender).unwrap_or_default().cpu_s;
    let share = match done {
        Ok(status) => {
            ensure!(status?.success(), "storescu failed");
            1.0
        }
        Err(_) => (arrived(&received)? * 8.0 / 1e6 / study.megabits).min(0.999),
    };
    sender.kill().await.ok();
    receiver.kill().await.context("ending storescp")?;
    Ok(study.took(seconds, share, used))
}

fn arrived(folder: &Path) -> anyhow::Result<f64> {
    let mut bytes = 0.0;
    for entry in std::fs::read_dir(folder)? {
        bytes += f64::from(u32::try_from(entry?.metadata()?.len())?);
    }
    Ok(bytes)
}
