//! A recording: a real agent with its gateway, whose calls on the spool's folder are written down while objects come.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_agent::config::Config;
use causeway_proto::digest::Digest;
use rustix::io::Errno;

use super::draw;
use super::layout::{Choice, Layout};
use crate::calls;
use crate::calls::log::{self, Asked};
use crate::calls::{Call, Calls, Copies};
use crate::hospital::Hospital;
use crate::long::write_small;
use crate::sender::{Answer, file};
use crate::stack::wait_until;

/// What is sent while it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Studies.
    pub studies: u32,
    /// Some syncs fail.
    pub fails: bool,
    /// What the lengths and the order of the objects come from.
    pub seed: u64,
}

/// A recording: from a start of the agent to its end.
#[derive(Debug)]
pub struct Recorded {
    pub(super) base: PathBuf,
    pub(super) asked: Vec<Asked>,
    config: PathBuf,
    /// What was answered with success under each UID, in order.
    sent: HashMap<String, Vec<Digest>>,
    /// What was answered with success in an earlier one.
    before: Vec<Digest>,
    _folder: std::sync::Arc<tempfile::TempDir>,
}

/// Rows and columns of objects: frames of a segment but for the last, which has a file of its own.
const SIDES: [u16; 6] = [16, 16, 64, 128, 256, 1100];
const BELOW: &str = "/agent-spool";

/// Records an agent until it is killed, and the one that is started behind it.
///
/// # Errors
/// When something is not stored, or what was written down is not what the folder holds.
pub async fn record(plan: Plan) -> anyhow::Result<Vec<Recorded>> {
    let folder = std::sync::Arc::new(tempfile::tempdir()?);
    let library = calls::library(folder.path()).await?;
    let calls = Calls::of(folder.path(), library.clone())?;
    let page = format!("CALLS_PAGE={} CALLS_KEEP=1", calls.page().display());
    let spool = ("agent-spool", Copies::Before);
    let words = calls::words_of_each_start(folder.path(), &library, spool, &page);
    let mut hospital = Hospital::with_both_under(&words, &[]).await?;
    let config = folder.path().join("agent.toml");
    std::fs::copy(hospital.stack.options.folder.join("agent.toml"), &config)?;
    let spool = hospital.stack.options.folder.join("agent-spool");
    let mut random = plan.seed;
    let (mut all, mut before) = (Vec::new(), Vec::new());
    // the first start is not recorded: commands of the operator write beside it
    for number in 1..=2 {
        hospital.stack.restart_agent().await?;
        let part = (&calls, number);
        let sent = send(&hospital, plan, part, &mut random, folder.path()).await?;
        calls.mend()?;
        let part = |name: &str| folder.path().join(format!("{name}.{number}"));
        quiet(&part("log")).await?;
        hospital.stack.agent.kill().await?;
        let recorded = Recorded {
            base: part("base"),
            asked: log::read(&part("log"), BELOW)?,
            config: config.clone(),
            before: before.clone(),
            sent,
            _folder: folder.clone(),
        };
        let layout = Layout::of(&recorded.base, &recorded.asked)?;
        let owed = recorded.owed(&layout.answers, layout.moments).len();
        let answered = before.len() + recorded.sent.values().map(Vec::len).sum::<usize>();
        ensure!(
            plan.fails || owed == answered,
            "{owed} answers were seen leaving, {answered} arrived"
        );
        before.extend(recorded.sent.values().flatten().copied());
        compare(&layout, &spool)?;
        all.push(recorded);
    }
    hospital.close().await?;
    Ok(all)
}

/// Waits until nothing is written down for a moment: who is killed in the middle of a call does not write it down.
async fn quiet(log: &Path) -> anyhow::Result<()> {
    let mut last = 0;
    wait_until("a quiet moment", Duration::from_secs(60), async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = std::mem::replace(&mut last, std::fs::metadata(log)?.len());
        Ok((before == last).then_some(()))
    })
    .await
}

/// Sends studies, some objects twice and some UIDs with other bytes.
async fn send(
    hospital: &Hospital,
    plan: Plan,
    (calls, part): (&Calls, u32),
    random: &mut u64,
    folder: &Path,
) -> anyhow::Result<HashMap<String, Vec<Digest>>> {
    let mut sent: HashMap<String, Vec<Digest>> = HashMap::new();
    for study in 0..plan.studies {
        let mut files = Vec::new();
        for instance in 0..2 + u32::try_from(draw(random, 5))? {
            let side = SIDES.get(draw(random, SIDES.len())).copied();
            let side = side.unwrap_or(16);
            let path = folder.join(format!("{part}-{study}-{instance}.dcm"));
            write_small(&path, part * 1000 + study, instance, side)?;
            files.push(path.clone());
            if draw(random, 4) == 0 {
                files.push(path);
            }
        }
        if draw(random, 3) == 0 {
            let path = folder.join(format!("{part}-{study}-again.dcm"));
            write_small(&path, part * 1000 + study, 0, 32)?;
            files.push(path);
        }
        if plan.fails {
            calls.fail(Call::Sync, Errno::IO, 1 + draw(random, 8) as u64, 1)?;
        }
        while !files.is_empty() {
            let answers = match hospital.send_files(&files, "CAUSEWAY").await {
                Err(_) if plan.fails => continue,
                answers => answers?,
            };
            ensure!(
                plan.fails || answers.iter().all(Answer::stored),
                "{answers:?}"
            );
            for answer in answers.iter().filter(|one| one.stored()) {
                let read = file::read(&answer.path, 0)?;
                let digest = Digest::of(&read.bytes);
                sent.entry(read.instance).or_default().push(digest);
            }
            let refused = answers.into_iter().filter(|one| !one.stored());
            files = refused.map(|one| one.path).collect();
        }
        // the rows, the protection, the link and the seals have their turns in between
        let pause = Duration::from_millis(draw(random, 400) as u64);
        tokio::time::sleep(pause).await;
    }
    Ok(sent)
}

/// Whether what was written down, all of it, is what lies in the folder.
fn compare(layout: &Layout, spool: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let laid = folder.path().join("agent-spool");
    layout.lay_out(&Choice::whole(layout), &laid)?;
    let mut left = vec![PathBuf::new()];
    let mut files = 0;
    while let Some(inside) = left.pop() {
        for entry in std::fs::read_dir(spool.join(&inside))? {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_file() && !path.to_string_lossy().ends_with("-shm") {
                files += 1;
                let is = std::fs::read(entry.path())?;
                let would = std::fs::read(laid.join(&path));
                let would = would.with_context(|| format!("{} was missed", path.display()))?;
                let same = is_room(&is, &would, path.starts_with("packed"));
                ensure!(same, "{} is not what was recorded", path.display());
            }
        }
    }
    ensure!(files > 3, "the spool is empty");
    Ok(())
}

/// Whether they differ in room alone, which the kernel is asked for and given back by calls that do not go through libc: a file has more
/// of it than was seen, or what nobody needs any more in a segment has gone.
fn is_room(is: &[u8], would: &[u8], punched: bool) -> bool {
    let empty = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let (Some(begins), Some(more)) = (is.get(..would.len()), is.get(would.len()..)) else {
        return false;
    };
    let mut blocks = begins.chunks(4096).zip(would.chunks(4096));
    empty(more) && blocks.all(|(is, would)| is == would || punched && empty(is))
}

impl Recorded {
    /// The configuration of the agent.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config)?)
    }

    /// As if the agent had never asked for a sync.
    pub fn forget_syncs(&mut self) {
        self.asked
            .retain(|asked| !matches!(asked, Asked::SyncBegins { .. } | Asked::SyncEnds { .. }));
    }

    /// What was answered with success when so many calls had been made.
    pub(super) fn owed(&self, answers: &[(usize, Vec<u8>)], moment: usize) -> Vec<Digest> {
        let mut owed = self.before.clone();
        let mut times: HashMap<&str, usize> = HashMap::new();
        let heard = answers.iter().take_while(|(at, _)| *at <= moment);
        for (_, bytes) in heard.filter(|(_, bytes)| is_success(bytes)) {
            let text = String::from_utf8_lossy(bytes);
            let Some((uid, digests)) = self.sent.iter().find(|(uid, _)| names(&text, uid)) else {
                continue;
            };
            let time = times.entry(uid).or_default();
            owed.extend(digests.get(*time).copied());
            *time += 1;
        }
        owed
    }
}

/// Status 0000 (0000,0900) in a command set.
fn is_success(bytes: &[u8]) -> bool {
    let status = [0, 0, 0, 9, 2, 0, 0, 0, 0, 0];
    bytes.windows(status.len()).any(|there| there == status)
}

/// Whether a message names this UID, and not one that only begins with it.
fn names(text: &str, uid: &str) -> bool {
    text.match_indices(uid).any(|(at, _)| {
        let behind = text.get(at + uid.len()..).unwrap_or_default();
        !behind.starts_with(|next: char| next.is_ascii_digit() || next == '.')
    })
}
