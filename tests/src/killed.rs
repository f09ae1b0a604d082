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

use crate::cut::Disk;
use crate::hospital::Hospital;
use crate::long;
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
    /// With its power: of what it asked of its disk, what no sync has made durable may be gone.
    Cut {
        /// Whether the syncs of its blobs count. One whose syncs do not has to be found out; a gateway that forgets its rows as well
        /// is told by its sites.
        syncs: bool,
    },
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How often it was ended.
    pub kills: u32,
    /// Cuts of its power after which something that it had asked of its disk was missing.
    pub forgot: u64,
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
/// While either is ended again and again less leaves than comes: from so many waiting instances on no study is begun.
const MOST_WAITING: u64 = 800;
const LIMIT: Duration = Duration::from_secs(600);
/// What a process may take to end.
const LONGEST_END: Duration = Duration::from_secs(30);

/// What the senders are told.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// No new study until this is false again.
    held: AtomicBool,
    /// No new study any more.
    pub(crate) over: AtomicBool,
}

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
    let mut disk = match how {
        How::Cut { syncs } => Some(Disk::of(victim, syncs, seed).await?),
        How::Kill | How::Term => None,
    };
    let words = disk.as_ref().map(Disk::words).unwrap_or_default();
    let (agent, gateway): (&[String], &[String]) = match victim {
        Victim::Agent => (&words, &[]),
        Victim::Gateway => (&[], &words),
    };
    let mut hospital = Hospital::with_both_under(agent, gateway).await?;
    let load = Arc::new(Load::default());
    let mut senders = JoinSet::new();
    for number in 0..SENDERS {
        let (load, address) = (load.clone(), hospital.stack.dicom());
        senders.spawn(async move { send(number, &address, PAUSE, &load).await });
    }
    let (mut random, mut slowest) = (seed, Duration::ZERO);
    for number in 1..=kills {
        if disk.is_some() && victim == Victim::Gateway {
            // what is missing of any other study the next manifest tells
            wait_handed_off(&hospital).await?;
        }
        let wait = Duration::from_micros(next(&mut random) % (LONGEST * 1000));
        tokio::time::sleep(wait).await;
        let ended = end_once(&mut hospital, victim, how, disk.as_mut()).await;
        let took = ended
            .with_context(|| format!("the {number}th time, seed {seed}\n{}", hospital.logs()))?;
        slowest = slowest.max(took);
        // asking takes the first moments of a life, in which kills are to fall, too
        if number.is_multiple_of(8) {
            let waiting = status(&hospital, "/queue/instances").await.ok();
            let waiting = waiting.and_then(|waiting| waiting.as_u64());
            let many = waiting.is_none_or(|waiting| waiting > MOST_WAITING);
            load.held.store(many, Ordering::Relaxed);
        }
    }
    load.over.store(true, Ordering::Relaxed);
    let last = Instant::now();
    let mut verdict = Verdict {
        kills,
        slowest,
        forgot: disk.map_or(0, |disk| disk.forgot),
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
async fn end_once(
    hospital: &mut Hospital,
    victim: Victim,
    how: How,
    disk: Option<&mut Disk>,
) -> anyhow::Result<Duration> {
    let before = match victim {
        Victim::Gateway => status(hospital, "/link").await.ok(),
        Victim::Agent => None,
    };
    let stack = &mut hospital.stack;
    let folder = stack.options.folder.clone();
    let cut = || disk.map_or(Ok(()), |disk| disk.cut(&folder));
    let took = match (victim, how) {
        (Victim::Agent, How::Term) => stack.drain_agent().await?,
        (Victim::Gateway, How::Term) => stack.drain_gateway().await?,
        (Victim::Agent, How::Kill | How::Cut { .. }) => {
            stack.restart_agent_after(cut).await?;
            Duration::ZERO
        }
        (Victim::Gateway, How::Kill | How::Cut { .. }) => {
            stack.restart_gateway_after(async |_| cut()).await?;
            Duration::ZERO
        }
    };
    if let Some(before) = before {
        wait_linked(hospital, &before).await?;
    }
    Ok(took)
}

/// Waits until a link is up that is not this one: for a while the agent does not notice that the gateway is gone.
pub(crate) async fn wait_linked(hospital: &Hospital, before: &Value) -> anyhow::Result<()> {
    let is_new = |link: &Value| link["state"] == "up" && link["since"] != before["since"];
    wait_status(hospital, "/link", is_new).await
}

/// Waits until the gateway has confirmed one more study as complete.
async fn wait_handed_off(hospital: &Hospital) -> anyhow::Result<()> {
    let mut rows = hospital.agent_rows().await?;
    let mut first = None;
    wait_until("a study to be handed off", LIMIT, async || {
        let count = "SELECT COUNT(*) FROM study WHERE handed_off_us IS NOT NULL";
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut rows).await?;
        Ok((count > *first.get_or_insert(count)).then_some(()))
    })
    .await
    .with_context(|| hospital.logs())
}

/// Waits until nothing waits at the agent; one of an older version does not say what was refused its rows.
pub(crate) async fn wait_empty(hospital: &Hospital) -> anyhow::Result<()> {
    wait_status(hospital, "/queue", |queue| {
        queue["instances"] == 0 && queue["unentered"].as_u64().is_none_or(|them| them == 0)
    })
    .await
}

async fn wait_status(
    hospital: &Hospital,
    pointer: &str,
    wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let mut last = None;
    let reached = wait_until(pointer, LIMIT, async || {
        // an agent that is too busy to answer in ten seconds is asked again
        let said = status(hospital, pointer).await;
        let reached = said.as_ref().is_ok_and(&wanted);
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
    load: &Load,
) -> anyhow::Result<Told> {
    let folder = tempfile::tempdir()?;
    let mut told = Told::default();
    for number in 0.. {
        while load.held.load(Ordering::Relaxed) && !load.over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if load.over.load(Ordering::Relaxed) {
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
