//! SIGKILL and SIGTERM under load. Senders outside go on whatever happens, as a PACS does; an oracle that is never killed notes which C-STORE was
//! answered with success and what was in it; the verdict asks the gateway for each of them, as a reader would, and compares the bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_proto::digest::Digest;
use futures::StreamExt as _;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::hospital::Hospital;
use crate::long;
use crate::pacs::Behaviour;
use crate::sender::{self, Answer, file};
use crate::stack::wait_until;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Victim {
    /// The agent.
    Agent,
    /// The gateway.
    Gateway,
}

/// How it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With SIGKILL.
    Kill,
    /// With SIGTERM: what is under way ends or is handed back, within 30 s, and it says 0.
    Term,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How often it was ended.
    pub kills: u32,
    /// C-STORE requests, those without an answer included.
    pub requests: u64,
    /// Of these, without an answer.
    pub unanswered: u64,
    /// SOP instances answered with success.
    pub acknowledged: u64,
    /// Of these, not at the gateway.
    pub lost: u64,
    /// Of these, more than once at the gateway, or kept aside as somebody else's.
    pub doubled: u64,
    /// Of these, with other bytes.
    pub altered: u64,
    /// The first instance that was lost or altered.
    pub which: Option<String>,
    /// Studies with more or fewer than one task.
    pub tasks_wrong: u64,
    /// From the last kill until the queue was empty.
    pub drained: Duration,
    /// The longest time from a SIGTERM to its end.
    pub slowest: Duration,
}

impl Verdict {
    /// Nothing lost, doubled or altered, and nobody late.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.acknowledged > 0
            && self.lost + self.doubled + self.altered + self.tasks_wrong == 0
            && self.slowest <= LONGEST_END
    }
}

/// Senders at the same time.
const SENDERS: u32 = 4;
/// The longest time between a start and the next kill.
const LONGEST: u64 = 400;
/// Between two studies of one sender.
const PAUSE: Duration = Duration::from_millis(400);
/// Rows and columns of what a study is made of: a frame of a segment each but for the last, which is a file of its own.
const SIDES: [u16; 8] = [16, 16, 16, 16, 64, 64, 256, 16];
/// Every so many studies the last object has so many rows and columns.
const LARGE: (u32, u16) = (16, 1536);
const LIMIT: Duration = Duration::from_secs(600);
/// What a process may take to end.
const LONGEST_END: Duration = Duration::from_secs(30);

/// What was sent and answered with success: where it lies at the gateway, and digests of all of it and of its pixels.
pub(crate) type Oracle = BTreeMap<String, Stored>;

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    study: String,
    whole: Digest,
    pixels: Digest,
}

#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) stored: Oracle,
    pub(crate) requests: u64,
    pub(crate) unanswered: u64,
}

/// Kills `victim` so many times while four senders send, and compares.
///
/// # Errors
/// When a part does not start again, or the queue never drains.
pub async fn run(victim: Victim, kills: u32, seed: u64) -> anyhow::Result<Verdict> {
    end(victim, How::Kill, kills, seed).await
}

/// The same, ended as told.
///
/// # Errors
/// When a part does not end as it should or does not start again, or the queue never drains.
pub async fn end(victim: Victim, how: How, kills: u32, seed: u64) -> anyhow::Result<Verdict> {
    let mut hospital = Hospital::redialling_at_once(Behaviour::default()).await?;
    let over = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for number in 0..SENDERS {
        let (over, address) = (over.clone(), hospital.stack.dicom());
        senders.spawn(async move { send(number, &address, PAUSE, &over).await });
    }
    let (mut random, mut slowest) = (seed, Duration::ZERO);
    for number in 1..=kills {
        let wait = Duration::from_micros(next(&mut random) % (LONGEST * 1000));
        tokio::time::sleep(wait).await;
        let ended = end_once(&mut hospital, victim, how).await;
        let took = ended
            .with_context(|| format!("the {number}th time, seed {seed}\n{}", hospital.logs()))?;
        slowest = slowest.max(took);
    }
    over.store(true, Ordering::Relaxed);
    let last = Instant::now();
    let mut verdict = Verdict {
        kills,
        slowest,
        ..Verdict::default()
    };
    let mut oracle = Oracle::new();
    while let Some(told) = senders.join_next().await {
        let told = told.context("a sender was dropped")??;
        verdict.requests += told.requests;
        verdict.unanswered += told.unanswered;
        oracle.extend(told.stored);
    }
    wait_empty(&hospital).await?;
    verdict.drained = last.elapsed();
    judge(&hospital, &oracle, &mut verdict).await?;
    hospital.close().await?;
    Ok(verdict)
}

/// Ends it once and waits until it works again; answers how long a SIGTERM took.
async fn end_once(hospital: &mut Hospital, victim: Victim, how: How) -> anyhow::Result<Duration> {
    let stack = &mut hospital.stack;
    let took = match (victim, how) {
        (Victim::Agent, How::Kill) => stack.restart_agent().await.map(|()| Duration::ZERO)?,
        (Victim::Agent, How::Term) => stack.drain_agent().await?,
        (Victim::Gateway, How::Kill) => stack.restart_gateway().await.map(|()| Duration::ZERO)?,
        (Victim::Gateway, How::Term) => stack.drain_gateway().await?,
    };
    if victim == Victim::Gateway {
        wait_linked(hospital).await?;
    }
    Ok(took)
}

/// Waits until the link is up.
pub(crate) async fn wait_linked(hospital: &Hospital) -> anyhow::Result<()> {
    wait_status(hospital, "/link/state", "up".into()).await
}

/// Waits until nothing waits at the agent.
pub(crate) async fn wait_empty(hospital: &Hospital) -> anyhow::Result<()> {
    wait_status(hospital, "/queue/instances", 0.into()).await
}

async fn wait_status(hospital: &Hospital, pointer: &str, wanted: Value) -> anyhow::Result<()> {
    let mut last = None;
    let reached = wait_until(pointer, LIMIT, async || {
        // an agent that is too busy to answer in ten seconds is asked again
        let said = status(hospital, pointer).await;
        let reached = said.as_ref().is_ok_and(|said| *said == wanted);
        last = Some(said);
        Ok(reached.then_some(()))
    })
    .await;
    reached.with_context(|| format!("it said {last:?}\n{}", hospital.logs()))
}

/// What the agent's `status` says at a place.
pub(crate) async fn status(hospital: &Hospital, pointer: &str) -> anyhow::Result<Value> {
    let said = hospital.stack.agent_cli(&["status", "--json"]).await?;
    let status: Value = serde_json::from_str(&said)?;
    Ok(status.pointer(pointer).cloned().unwrap_or_default())
}

/// SplitMix64: a seed is a run.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// From 0 to 1, of the same.
pub(crate) fn share(state: &mut u64) -> f64 {
    f64::from(u32::try_from(next(state) >> 40).unwrap_or_default()) / f64::from(1_u32 << 24)
}

/// Sends study after study until told to stop, and each until all of it is stored; every fifth once more. One begins each `pause`.
pub(crate) async fn send(
    sender: u32,
    address: &str,
    pause: Duration,
    over: &AtomicBool,
) -> anyhow::Result<Told> {
    let folder = tempfile::tempdir()?;
    let mut told = Told::default();
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let begun = Instant::now();
        let files = write(folder.path(), sender * 1_000_000 + number)?;
        for _ in 0..1 + u32::from(number % 5 == 0) {
            store(&files, address, &mut told).await?;
        }
        for file in files {
            std::fs::remove_file(file)?;
        }
        tokio::time::sleep_until(begun + pause).await;
    }
    Ok(told)
}

pub(crate) fn write(folder: &Path, study: u32) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (instance, mut side) in (0..).zip(SIDES) {
        if instance == 7 && study.is_multiple_of(LARGE.0) {
            side = LARGE.1;
        }
        let path = folder.join(format!("{instance}.dcm"));
        long::write_small(&path, study, instance, side)?;
        files.push(path);
    }
    Ok(files)
}

pub(crate) async fn store(files: &[PathBuf], address: &str, told: &mut Told) -> anyhow::Result<()> {
    store_at(files, address, "CAUSEWAY", told).await
}

/// Sends files to a title until all are stored.
pub(crate) async fn store_at(
    files: &[PathBuf],
    address: &str,
    called: &str,
    told: &mut Told,
) -> anyhow::Result<()> {
    let mut rest = files.to_vec();
    let start = Instant::now();
    while !rest.is_empty() {
        ensure!(
            start.elapsed() < LIMIT,
            "a study was not taken for ten minutes"
        );
        // an association that is refused is one with an agent that is not there
        let answers = sender::send(&rest, address, "PACS", called).await;
        let Ok(answers) = answers else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        told.requests += answers.len() as u64;
        for answer in &answers {
            match answer.stored() {
                true => note(&answer.path, &mut told.stored)?,
                false => told.unanswered += 1,
            }
        }
        rest = answers
            .into_iter()
            .filter(|answer| !Answer::stored(answer))
            .map(|answer| answer.path)
            .collect();
    }
    Ok(())
}

/// Notes an object that was answered with success.
pub(crate) fn note(path: &Path, stored: &mut Oracle) -> anyhow::Result<()> {
    let sent = file::read(path, 0)?;
    let (study, _) = sent.instance.rsplit_once(".3.").context("no UID of ours")?;
    let facts = Stored {
        study: study.to_owned(),
        whole: Digest::of(&sent.bytes),
        pixels: Digest::of(pixels(&sent.bytes)),
    };
    stored.insert(sent.instance, facts);
    Ok(())
}

/// What stands behind the head of the pixels.
fn pixels(dataset: &[u8]) -> &[u8] {
    let tag = [0xE0, 0x7F, 0x10, 0x00];
    let at = memchr::memmem::find(dataset, &tag).map(|at| at + 12);
    at.and_then(|at| dataset.get(at..)).unwrap_or_default()
}

/// Asks for everything that was answered with success. Where identities stay at home only the pixels arrive as they were.
pub(crate) async fn judge(
    hospital: &Hospital,
    oracle: &Oracle,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    verdict.acknowledged = oracle.len() as u64;
    let identified = hospital.stack.options.identified;
    let asked = oracle.iter().map(|(instance, stored)| async move {
        let study = &stored.study;
        let path = format!("/dicomweb/studies/{study}/series/{study}.2/instances/{instance}");
        let object = hospital.reader.object(&path).await?;
        anyhow::Ok((object, instance, stored))
    });
    let mut answers = futures::stream::iter(asked).buffer_unordered(4);
    while let Some(answer) = answers.next().await {
        let (object, instance, stored) = answer?;
        match object {
            None => {
                verdict.lost += 1;
                verdict.which.get_or_insert_with(|| instance.clone());
            }
            Some(object) => {
                let bytes = file::of(&object, 0)?.bytes;
                let same = match identified {
                    true => Digest::of(&bytes) == stored.whole,
                    false => Digest::of(pixels(&bytes)) == stored.pixels,
                };
                if !same {
                    verdict.altered += 1;
                    verdict.which.get_or_insert_with(|| instance.clone());
                }
            }
        }
    }
    let mut rows = hospital.gateway_rows().await?;
    let count = async |rows: &mut _, query: &'static str| -> anyhow::Result<u64> {
        let count: i64 = sqlx::query_scalar(query).fetch_one(rows).await?;
        Ok(u64::try_from(count)?)
    };
    verdict.doubled = count(
        &mut rows,
        "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM instance GROUP BY sop_uid HAVING COUNT(*) > 1)) \
         + (SELECT COUNT(*) FROM quarantine)",
    )
    .await?;
    verdict.tasks_wrong = count(
        &mut rows,
        "SELECT COUNT(*) FROM study WHERE 1 <> (SELECT COUNT(*) FROM workitem_study \
         WHERE workitem_study.study_uid = study.study_uid)",
    )
    .await?;
    Ok(())
}
