//! Power that is lost at any moment (R2). What the agent asks of its disk is written down call by call, what SQLite asks included; of the
//! calls that no sync has made durable any may be missing and any write be torn. Each such state is laid out in a folder of its own, a
//! spool is opened on it, and everything that was answered with success by then has to be in it, byte for byte.

pub(crate) mod layout;
mod record;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_agent::app::open_spool;
use causeway_agent::config::Config;
use causeway_agent::spool::{OpenError, Spool};
use causeway_proto::digest::Digest;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tokio::time::Instant;

use crate::killed::next;
use layout::{Choice, Layout};
pub use record::{Plan, Recorded, record};

/// For longer nobody is the copy of another.
const LOCKED: Duration = Duration::from_secs(10);

/// What was found in the states of some recordings.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Recordings: from a start of the agent to its end.
    pub recordings: u64,
    /// Calls in them that change what is on the disk.
    pub changes: u64,
    /// C-STORE answered with success in them.
    pub answers: u64,
    /// Different states, or the same with more owed.
    pub states: u64,
    /// Of these, with something that no sync had made durable.
    pub unsynced: u64,
    /// Of these, in which a write was torn.
    pub torn: u64,
    /// Objects that had to be there, over all states.
    pub owed: u64,
    /// Of these, not there.
    pub lost: u64,
    /// States from which a spool did not start, or started only in safe mode.
    pub refused: u64,
    /// The first that was wrong.
    pub which: Option<String>,
}

impl Found {
    /// Nothing lost, no start refused.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.owed > 0 && self.lost + self.refused == 0
    }
}

/// How many tries without a new state mean that there are no more.
const STALE: u32 = 2000;

/// Opens a spool on so many states of a recording; fewer when it has no more.
///
/// # Errors
/// When a state cannot be laid out.
pub async fn enumerate(
    recorded: &Recorded,
    states: u64,
    seed: u64,
    found: &mut Found,
) -> anyhow::Result<()> {
    let layout = Layout::of(&recorded.base, &recorded.asked)?;
    found.recordings += 1;
    found.changes += layout.changes.len() as u64;
    found.answers += layout.answers.len() as u64;
    let mut seen = HashSet::new();
    let (mut random, mut stale) = (seed, 0);
    let room = Room::make()?;
    while (seen.len() as u64) < states && stale < STALE {
        let at = draw(&mut random, layout.moments + 1);
        let choice = Choice::draw(&layout, at, &mut random);
        let owed = recorded.owed(&layout.answers, at);
        let mut hasher = DefaultHasher::new();
        (owed.len(), &choice).hash(&mut hasher);
        if !seen.insert(hasher.finish()) {
            stale += 1;
            continue;
        }
        stale = 0;
        found.states += 1;
        found.unsynced += u64::from(choice.leaves_out);
        found.torn += u64::from(!choice.torn.is_empty());
        found.owed += owed.len() as u64;
        let spool = room.path().join("agent-spool");
        layout.lay_out(&choice, &spool)?;
        let wrong = match open(&spool, recorded).await {
            Ok(there) => {
                let lost = owed.iter().filter(|one| !there.contains(one)).count() as u64;
                found.lost += lost;
                (lost > 0).then(|| format!("{lost} of {} not there", owed.len()))
            }
            Err(error) => {
                found.refused += 1;
                Some(format!("{error:#}"))
            }
        };
        if let Some(wrong) = wrong.filter(|_| found.which.is_none()) {
            found.which = Some(format!("moment {at} of seed {seed}: {wrong}; {choice:?}"));
        }
        std::fs::remove_dir_all(&spool)?;
    }
    Ok(())
}

/// A number below this one; 0 when that is 0.
fn draw(random: &mut u64, below: usize) -> usize {
    usize::try_from(next(random) % below.max(1) as u64).unwrap_or(0)
}

/// A folder in memory: what is proved here is what a state means, and not that this disk keeps it.
struct Room(tempfile::TempDir);

impl Room {
    fn make() -> anyhow::Result<Self> {
        let memory = Path::new("/dev/shm");
        let made = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        Ok(Self(made?))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Opens a spool. A program that somebody else here begins is for a moment a copy of this process, with the lock of the start before.
async fn open_alone(config: &Config) -> anyhow::Result<Spool> {
    let until = Instant::now() + LOCKED;
    loop {
        match open_spool(config).await {
            Err(error)
                if matches!(error.downcast_ref(), Some(OpenError::Locked))
                    && Instant::now() < until =>
            {
                tokio::task::yield_now().await;
            }
            opened => return opened,
        }
    }
}

/// Opens a spool on a state, twice: the second start finds nothing to do. Answers the digests of everything that its rows name.
async fn open(spool: &Path, recorded: &Recorded) -> anyhow::Result<HashSet<Digest>> {
    let mut config: Config = recorded.config()?;
    spool.clone_into(&mut config.spool);
    for start in 1..=2 {
        let opened = open_alone(&config).await?;
        let recovery = opened.recovery().clone();
        opened.close().await;
        ensure!(!recovery.safe_mode(), "start {start}: {recovery:?}");
        ensure!(
            start == 1 || recovery.partial_removed + recovery.replayed == 0,
            "start {start}: {recovery:?}"
        );
    }
    let mut rows = SqliteConnection::connect(&format!(
        "sqlite://{}?mode=ro",
        spool.join("agent.sqlite").display()
    ))
    .await?;
    let named = sqlx::query(
        "SELECT handle FROM instance WHERE handle IS NOT NULL \
         UNION ALL SELECT handle FROM aside WHERE handle IS NOT NULL",
    )
    .fetch_all(&mut rows)
    .await?;
    rows.close().await?;
    let mut there = HashSet::new();
    for row in named {
        let handle: String = row.try_get(0)?;
        there.insert(Digest::of(&bytes(spool, &handle)?));
    }
    Ok(there)
}

/// The bytes of a handle, read past the spool.
fn bytes(spool: &Path, handle: &str) -> anyhow::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let mut parts = handle.split(':');
    let (Some(segment), Some(offset), Some(length)) = (parts.next(), parts.next(), parts.next())
    else {
        let path: PathBuf = spool.join("kept").join(handle);
        return std::fs::read(&path).context("a file that a row names");
    };
    let mut bytes = vec![0; length.parse()?];
    let file = std::fs::File::open(spool.join("packed").join(segment))?;
    file.read_exact_at(&mut bytes, offset.parse()?)
        .context("a frame that a row names")?;
    Ok(bytes)
}
