//! Hostile associations at the agent, hostile QUIC peers and slow HTTP clients at the gateway, all at the same time and again and again;
//! beside them a sender and a reader who want nothing but to work. What that costs them, and how much memory it takes.

mod associations;
mod clients;
pub mod deaf;
mod peers;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::hospital::Hospital;
use crate::long::write_small;
use crate::pacs::Behaviour;
use crate::reader::Reader;
use crate::sender::Answer;
use crate::stack::process::Running;
use crate::stack::wait_until;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Hostile associations, from nine addresses; one of them may call.
    pub associations: u32,
    /// Hostile QUIC peers; a quarter of them are sites with a certificate.
    pub peers: u32,
    /// Slow HTTP clients, from twenty addresses; one in ten at the site page.
    pub clients: u32,
    /// C-STOREs, and as many requests of the reader, at least.
    pub samples: usize,
    /// How long each half lasts at least.
    pub least: Duration,
}

/// What one who only wants to work saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Milliseconds of each try that succeeded, in order of length.
    pub took: Vec<f64>,
    /// Tries that did not succeed.
    pub failed: u64,
}

impl Seen {
    fn note(&mut self, begun: Instant, done: anyhow::Result<()>, first: &mut Option<String>) {
        match done {
            Ok(()) => self.took.push(begun.elapsed().as_secs_f64() * 1000.0),
            Err(error) => {
                self.failed += 1;
                first.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }

    /// Milliseconds within which such a share of them was done; 0 where there are none.
    #[must_use]
    pub fn within(&self, percent: usize) -> f64 {
        let last = self.took.len().saturating_sub(1);
        self.took.get(last * percent / 100).copied().unwrap_or(0.0)
    }
}

/// What was seen over some time.
#[derive(Clone, Debug, Default)]
pub struct Half {
    /// Association, C-STORE of 4 KiB and release of the sender.
    pub store: Seen,
    /// The worklist, over a connection of its own each time.
    pub ask: Seen,
    /// The most memory of the agent until then, in KiB.
    pub agent_kib: u64,
    /// The most memory of the gateway until then, in KiB.
    pub gateway_kib: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// With nobody else.
    pub calm: Half,
    /// With all of them.
    pub storm: Half,
    /// How often an association, a QUIC connection and an HTTP connection was begun.
    pub begun: [u64; 3],
    /// How long after the last of them the processes had as few open files as before.
    pub back: Duration,
    /// What the first that failed said.
    pub first: Option<String>,
}

impl Found {
    /// Nobody who only wanted to work was turned away.
    #[must_use]
    pub fn holds(&self) -> bool {
        let failed = |half: &Half| half.store.failed + half.ask.failed;
        failed(&self.calm) + failed(&self.storm) == 0
    }

    /// The 95th of a hundred C-STOREs, and of a hundred requests, with them against without them.
    #[must_use]
    pub fn ratios(&self) -> [f64; 2] {
        let ratio = |of: fn(&Half) -> &Seen| of(&self.storm).within(95) / of(&self.calm).within(95);
        [ratio(|half| &half.store), ratio(|half| &half.ask)]
    }
}

/// Where they go, and what they count.
#[derive(Clone, Debug)]
struct Target {
    dicom: SocketAddr,
    link: SocketAddr,
    http: SocketAddr,
    page: SocketAddr,
    begun: Arc<[AtomicU64; 3]>,
    cancel: CancellationToken,
}

impl Target {
    fn begin(&self, kind: usize) {
        if let Some(count) = self.begun.get(kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn begun(&self) -> [u64; 3] {
        [0, 1, 2].map(|kind| {
            let count: Option<&AtomicU64> = self.begun.get(kind);
            count.map_or(0, |count| count.load(Ordering::Relaxed))
        })
    }
}

/// Files that a process may have open beyond what it had before: connections of ours to look at it.
const FILES: usize = 16;
const LIMIT: Duration = Duration::from_secs(120);

/// Runs it.
///
/// # Errors
/// When a part does not start, the places are not given back, or what the sender sent does not arrive.
pub async fn run(counts: Counts) -> anyhow::Result<Found> {
    causeway_http::raise_open_files();
    let mut hospital = Hospital::start(Behaviour::default()).await?;
    let file = hospital.stack.options.folder.join("agent.toml");
    let restart = hospital.stack.restart_agent_after(|| admit(&file));
    restart.await.context("with one more that may call")?;
    let target = target(&hospital)?;
    let sites = peers::enrol(&hospital.stack, counts.peers / 4).await?;
    let mut found = Found::default();
    let mut number = 0;
    measure(&hospital, 10, Duration::ZERO, &mut number, &mut found.first).await?;
    let files = open_files(&hospital)?;
    found.calm = measure(
        &hospital,
        counts.samples,
        counts.least,
        &mut number,
        &mut found.first,
    )
    .await?;
    let mut all = JoinSet::new();
    for it in 0..counts.associations {
        all.spawn(associations::run(it, target.clone()));
    }
    for it in 0..counts.peers {
        all.spawn(peers::run(it, sites.clone(), target.clone()));
    }
    for it in 0..counts.clients {
        all.spawn(clients::run(it, target.clone()));
    }
    let wanted = [counts.associations, counts.peers, counts.clients].map(u64::from);
    wait_until("all of them to be there", LIMIT, async || {
        let there = target
            .begun()
            .iter()
            .zip(wanted)
            .all(|(begun, wanted)| *begun >= wanted);
        Ok(there.then_some(()))
    })
    .await?;
    found.storm = measure(
        &hospital,
        counts.samples,
        counts.least,
        &mut number,
        &mut found.first,
    )
    .await?;
    target.cancel.cancel();
    while let Some(ended) = all.join_next().await {
        ended.context("one of the hostile was dropped")?;
    }
    found.begun = target.begun();
    let last = Instant::now();
    wait_until("the places to be given back", LIMIT, async || {
        let now = open_files(&hospital)?;
        let back = now
            .iter()
            .zip(files)
            .all(|(now, before)| *now <= before + FILES);
        Ok(back.then_some(()))
    })
    .await
    .with_context(|| hospital.logs())?;
    found.back = last.elapsed();
    arrived(&hospital, number).await?;
    hospital.close().await?;
    Ok(found)
}

/// One more sender may call, from an address that hostile associations come from too.
fn admit(file: &Path) -> anyhow::Result<()> {
    let mut text = std::fs::read_to_string(file)?;
    text.push_str("\n[[dicom.calling]]\nae_title = \"MODALITY\"\naddresses = [\"127.0.2.1\"]\nkind = \"modality\"\n");
    std::fs::write(file, text)?;
    Ok(())
}

fn target(hospital: &Hospital) -> anyhow::Result<Target> {
    let address = |ports: &Value, name: &str| -> anyhow::Result<SocketAddr> {
        let text = ports.get(name).and_then(Value::as_str);
        Ok(text
            .with_context(|| format!("no address of {name}"))?
            .parse()?)
    };
    let (gateway, agent) = (&hospital.stack.gateway_ports, &hospital.stack.agent_ports);
    Ok(Target {
        dicom: address(agent, "dicom")?,
        link: address(gateway, "link")?,
        http: address(gateway, "http")?,
        page: address(agent, "page")?,
        begun: Arc::default(),
        cancel: CancellationToken::new(),
    })
}

/// Sends and asks, both at the same time, until there are so many of each and so much time has passed.
async fn measure(
    hospital: &Hospital,
    samples: usize,
    least: Duration,
    number: &mut u32,
    first: &mut Option<String>,
) -> anyhow::Result<Half> {
    let begun = Instant::now();
    let more = |seen: &Seen| {
        let tries = seen.took.len() as u64 + seen.failed;
        tries < samples as u64 || begun.elapsed() < least
    };
    let (mut store, mut ask) = (Seen::default(), Seen::default());
    let (mut first_store, mut first_ask) = (None, None);
    let sending = async {
        let file = hospital.stack.options.folder.join("one.dcm");
        while more(&store) {
            write_small(&file, STUDY, *number, 64)?;
            let begun = Instant::now();
            let answers = hospital
                .send_files(std::slice::from_ref(&file), "CAUSEWAY")
                .await;
            let stored = answers.and_then(|answers| {
                ensure!(answers.iter().all(Answer::stored), "{answers:?}");
                Ok(())
            });
            // what failed is sent again under the same number
            *number += u32::from(stored.is_ok());
            store.note(begun, stored, &mut first_store);
        }
        anyhow::Ok(())
    };
    let reading = async {
        while more(&ask) {
            let begun = Instant::now();
            let listed = worklist(&hospital.reader).await;
            ask.note(begun, listed, &mut first_ask);
        }
    };
    let (sent, ()) = tokio::join!(sending, reading);
    sent?;
    for seen in [&mut store, &mut ask] {
        seen.took.sort_by(f64::total_cmp);
    }
    *first = first.take().or(first_store).or(first_ask);
    Ok(Half {
        store,
        ask,
        agent_kib: hospital.stack.agent.peak_kib()?,
        gateway_kib: hospital.stack.gateway.peak_kib()?,
    })
}

const STUDY: u32 = 4711;

async fn worklist(reader: &Reader) -> anyhow::Result<()> {
    reader.apart()?.get("/api/v1/worklist").await.map(drop)
}

fn open_files(hospital: &Hospital) -> anyhow::Result<[usize; 2]> {
    let count = |process: &Running| -> anyhow::Result<usize> {
        let pid = process.pid().context("a process has ended")?;
        Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
    };
    Ok([
        count(&hospital.stack.agent)?,
        count(&hospital.stack.gateway)?,
    ])
}

/// The link has lived on: whatever was answered with success is at the gateway.
async fn arrived(hospital: &Hospital, sent: u32) -> anyhow::Result<()> {
    let study = format!("2.25.8801.{STUDY}");
    let arrived = wait_until("everything to arrive", LIMIT, async || {
        let list = hospital.reader.get("/api/v1/worklist").await?;
        let there = crate::reader::instances(&list, &study);
        Ok((there == u64::from(sent)).then_some(()))
    });
    arrived.await.with_context(|| hospital.logs())
}

/// The machine's clock.
pub(crate) fn clock() -> Clock {
    Clock::new(|| {
        let since = UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(0))
    })
}

/// The machine's randomness.
pub(crate) fn random() -> Random {
    Random::new(|out| {
        // chance that fails gives zeros: names that are not unique, which is all that it is for here
        aws_lc_rs::rand::fill(out).ok();
    })
}
