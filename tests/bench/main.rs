//! `bench`: the same study to our agent (durable before it answers) and to DCMTK's storescp (not durable), in turn; how fast
//! one core protects it; and how long the gateway takes from the first byte at the agent to a task that can be read. Then the memory
//! that a long object needs, and the demo with identities at home and away. Medians and ratios, never one lucky run.
//! `bench GROUP…` runs only some: `study`, `memory`, `demo`.

mod demo;
mod memory;
mod protection;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom;
use causeway_tests::sender::{self, Answer};
use causeway_tests::stack::wait_until;
use clap::{Parser, ValueEnum};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

const ROUNDS: u32 = 5;

/// The benchmarks.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which groups; all when none is named.
    group: Vec<Group>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// The sample study, beside DCMTK.
    Study,
    /// One long object.
    Memory,
    /// The demo under both kinds of agreement.
    Demo,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut groups = Arguments::parse().group;
    if groups.is_empty() {
        groups = Group::value_variants().to_vec();
    }
    for group in groups {
        match group {
            Group::Study => study().await?,
            Group::Memory => memory::run().await?,
            Group::Demo => demo::run().await?,
        }
    }
    Ok(())
}

async fn study() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let folder = tempfile::tempdir()?;
    let peer = Storescp::start(folder.path()).await;
    let (mut ours, mut theirs, mut ready) = (Vec::new(), Vec::new(), Vec::new());
    let mut protected = Vec::new();
    let mut megabytes = 0.0;
    for round in 1..=ROUNDS {
        let study = hospital.study(round);
        let files = phantom::write(&folder.path().join(format!("study-{round}")), &study)?;
        megabytes = size(&files)?;
        protected.push(protection::round(&files)?);
        let start = Instant::now();
        ours.push(send(&files, &hospital.stack.dicom(), "CAUSEWAY").await?);
        hospital
            .reader
            .wait_ready(&study.study(), Duration::from_secs(60))
            .await?;
        ready.push(start.elapsed());
        if let Ok(peer) = &peer {
            theirs.push(send(&files, &peer.address, "STORESCP").await?);
        }
    }
    say(&format!(
        "\nsample study, {megabytes:.1} MB, {ROUNDS} rounds in turn, one association, medians\n"
    ));
    row(
        "our agent, durable before each answer",
        &mut ours,
        megabytes,
    );
    match &peer {
        Ok(_) => {
            row("DCMTK storescp +B, not durable", &mut theirs, megabytes);
            say(&format!(
                "{:>44}  {:.2}",
                "ours : DCMTK",
                median(&mut theirs).as_secs_f64() / median(&mut ours).as_secs_f64()
            ));
        }
        Err(error) => say(&format!("DCMTK was not measured: {error:#}")),
    }
    row(
        "protection, one core, without the disk",
        &mut protected,
        megabytes,
    );
    let wait = median(&mut ready).as_secs_f64();
    say(&format!(
        "{:>44}  {wait:.2} s, of which 1 s is the PACS's silence",
        "first byte sent to a task that can be read"
    ));
    hospital.close().await
}

async fn send(files: &[PathBuf], address: &str, called: &str) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let answers = sender::send(files, address, "PACS", called).await?;
    let took = start.elapsed();
    ensure!(
        answers.iter().all(Answer::stored),
        "an instance was refused by {called}"
    );
    Ok(took)
}

fn size(files: &[PathBuf]) -> anyhow::Result<f64> {
    let mut bytes = 0.0;
    for file in files {
        bytes += f64::from(u32::try_from(file.metadata()?.len())?);
    }
    Ok(bytes / 1e6)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn row(what: &str, times: &mut [Duration], megabytes: f64) {
    let seconds = median(times).as_secs_f64();
    say(&format!(
        "{what:>44}  {seconds:.2} s  {:.0} MB/s",
        megabytes / seconds
    ));
}

#[expect(
    clippy::print_stdout,
    reason = "a benchmark ends in a table on the screen"
)]
fn say(text: &str) {
    println!("{text}");
}

/// DCMTK's receiver, writing bytes as they come. Dropping it kills it.
struct Storescp {
    address: String,
    _child: Child,
}

impl Storescp {
    async fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let received = folder.join("storescp");
        std::fs::create_dir_all(&received)?;
        let child = Command::new("storescp")
            .args(["+B", "-pdu", "131072", "-od"])
            .arg(&received)
            .arg(port.to_string())
            .env("TCP_NODELAY", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("storescp could not be started; make test installs it")?;
        let address = format!("127.0.0.1:{port}");
        wait_until("storescp to listen", Duration::from_secs(10), async || {
            Ok(TcpStream::connect(&address).await.ok().map(|_| ()))
        })
        .await?;
        Ok(Self {
            address,
            _child: child,
        })
    }
}
