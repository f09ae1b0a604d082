//! Sixteen writers of one SOP instance at the same time, again and again, while the gateway is killed: one row, one blob, and nobody
//! ever removes a blob. Where one of them brings other bytes under that UID, both are kept and a person sees it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sqlx::{Connection as _, SqliteConnection};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::calls::{self, Copies, log};
use crate::hospital::Hospital;
use crate::killed::{self, Oracle, Verdict, next};
use crate::long::write_small;
use crate::sender::{self, Answer};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// SIGKILLs of the gateway.
    pub kills: u64,
    /// C-STORE requests.
    pub sends: u64,
    /// Of these, not answered with success; each was sent again.
    pub refused: u64,
    /// SOP instances.
    pub instances: u64,
    /// Rows of instances at the gateway.
    pub rows: u64,
    /// Blobs at the gateway.
    pub blobs: u64,
    /// Blobs that a killed gateway had begun and not named; they go after four days.
    pub begun: u64,
    /// Blobs that were removed.
    pub removed: u64,
    /// UIDs that came with other bytes as well.
    pub others: u64,
    /// Of these, where a person sees both.
    pub shown: u64,
    /// Whether what was answered with success is there.
    pub verdict: Verdict,
}

impl Found {
    /// One row and one blob each, none removed, both kept.
    #[must_use]
    pub fn holds(&self) -> bool {
        let one = self.rows == self.instances && self.blobs == self.instances;
        one && self.removed == 0 && self.others == self.shown && self.verdict.holds()
    }
}

/// Writers at the same time.
const WRITERS: u32 = 16;
/// Sends on one association.
const BATCH: u32 = 20;
/// The longest time between a start of the gateway and the next kill.
const LONGEST: u64 = 400;
const LIMIT: Duration = Duration::from_secs(300);
const BELOW: &str = "/gateway-data/";

/// So many rounds; in each, each writer sends one SOP instance so often.
///
/// # Errors
/// When a part does not start again, or the queue never drains.
pub async fn run(rounds: u32, sends: u32, seed: u64) -> anyhow::Result<Found> {
    let folder = tempfile::tempdir()?;
    let library = calls::library(folder.path()).await?;
    let data = ("gateway-data/", Copies::None);
    let words = calls::words_of_each_start(folder.path(), &library, data, "");
    let mut hospital = Hospital::with_both_under(&[], &words).await?;
    let (mut found, mut random, mut oracle) = (Found::default(), seed, Oracle::new());
    for round in 0..rounds {
        let file = folder.path().join(format!("{round}.dcm"));
        write_small(&file, round, 0, 16)?;
        killed::note(&file, &mut oracle)?;
        found.instances += 1;
        let other = round.is_multiple_of(4).then(|| {
            let other = folder.path().join(format!("{round}-other.dcm"));
            write_small(&other, round, 0, 32).map(|_| other)
        });
        let other = other.transpose()?;
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let (file, address) = (file.clone(), hospital.stack.dicom());
            writers.spawn(async move { write(&file, &address, sends).await });
        }
        loop {
            let wait = Duration::from_micros(next(&mut random) % (LONGEST * 1000));
            tokio::time::sleep(wait).await;
            hospital.stack.restart_gateway().await?;
            found.kills += 1;
            while let Some(written) = writers.try_join_next() {
                let (sent, refused) = written.context("a writer was dropped")??;
                found.sends += sent;
                found.refused += refused;
            }
            if writers.is_empty() {
                break;
            }
        }
        // the first that came stands; what comes behind is the other one
        if let Some(other) = other {
            found.others += 1;
            found.refused += write(&other, &hospital.stack.dicom(), 1).await?.1;
            std::fs::remove_file(other)?;
        }
        std::fs::remove_file(file)?;
    }
    killed::wait_empty(&hospital).await?;
    count(&hospital, folder.path(), &mut found).await?;
    killed::judge(&hospital, &oracle, &mut found.verdict).await?;
    hospital.close().await?;
    Ok(found)
}

async fn count(hospital: &Hospital, logs: &Path, found: &mut Found) -> anyhow::Result<()> {
    let mut rows = hospital.gateway_rows().await?;
    found.rows = number(&mut rows, "SELECT COUNT(*) FROM instance").await?;
    rows.close().await?;
    let conflicts = killed::status(hospital, "/queue/conflicts").await?;
    found.shown = conflicts.as_u64().context("no count of conflicts")?;
    for path in hospital.images() {
        let path = path.to_string_lossy();
        match (path.contains("/blobs/"), path.contains('#')) {
            (true, false) => found.blobs += 1,
            (true, true) => found.begun += 1,
            (false, _) => {}
        }
    }
    let mut named = 0;
    for entry in std::fs::read_dir(logs)? {
        let path = entry?.path();
        if !path.to_string_lossy().contains("/log.") {
            continue;
        }
        for asked in log::read(&path, BELOW)? {
            match asked {
                // a name of the store's own, under which a blob begins, goes when the blob has its name
                log::Asked::Removed { path } => {
                    let is_blob = path.starts_with("blobs/") && !path.contains('#');
                    found.removed += u64::from(is_blob);
                }
                log::Asked::Linked { to, .. } | log::Asked::Renamed { to, .. } => {
                    named += u64::from(to.starts_with("blobs/"));
                }
                _ => {}
            }
        }
    }
    ensure!(named >= found.instances, "the blobs were not seen coming");
    Ok(())
}

async fn number(rows: &mut SqliteConnection, query: &'static str) -> anyhow::Result<u64> {
    let count: i64 = sqlx::query_scalar(query).fetch_one(rows).await?;
    Ok(u64::try_from(count)?)
}

/// Sends the same file until so many were answered with success; answers how many were sent, and how many refused.
async fn write(file: &Path, address: &str, sends: u32) -> anyhow::Result<(u64, u64)> {
    let (mut left, mut sent, mut refused) = (sends, 0, 0);
    let begun = Instant::now();
    while left > 0 {
        ensure!(begun.elapsed() < LIMIT * 10, "nothing is taken");
        let files = vec![file.to_owned(); usize::try_from(left.min(BATCH))?];
        let Ok(answers) = sender::send(&files, address, "PACS", "CAUSEWAY").await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let stored = answers.iter().filter(|one| Answer::stored(one)).count() as u64;
        sent += answers.len() as u64;
        refused += answers.len() as u64 - stored;
        left -= u32::try_from(stored)?.min(left);
    }
    Ok((sent, refused))
}
