//! A disk that refuses: the n-th open, write, fsync or rename of the agent or of the gateway fails under load, for every n up to what
//! the whole way of a study takes. Senders go on as a PACS does; what was answered with success has to be at the gateway, byte for byte.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::io::Errno;
use tokio::time::Instant;

use crate::calls::{Call, Calls};
use crate::hospital::Hospital;
use crate::killed::{self, Oracle, Verdict, Victim};
use crate::long::write_small;
use crate::sender::{self, Answer};
use crate::stack::wait_until;

/// What was found for one kind of call and one error.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The highest n.
    pub highest: u64,
    /// How many n were tried, and failed a call.
    pub swept: u64,
    /// How many were tried.
    pub tried: u64,
    /// Calls that failed.
    pub failed: u64,
    /// C-STORE requests that were not answered with success; each was sent again.
    pub refused: u64,
    /// Processes that had to be started again, for one that had ended or took nothing any more.
    pub restarts: u64,
    /// What became of what was answered with success.
    pub verdict: Verdict,
}

/// How much is swept.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// Every so many n.
    pub step: u64,
    /// No n beyond this.
    pub most: u64,
    /// So many calls fail, one behind the other.
    pub many: u64,
}

/// Rows and columns of what a study is made of: frames of a segment, and a file of its own.
const SIDES: [u16; 4] = [16, 64, 256, 1100];
/// For so long nothing may be taken before a process counts as one that has to be started again.
const PATIENCE: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(120);
/// Instances without a receipt beyond which nothing more is sent.
const QUEUED: u64 = 60;
/// Studies by which the calls of one are counted.
const COUNTED: u64 = 8;

/// One run: a hospital of which one process can be told what fails.
#[derive(Debug)]
pub struct Failing {
    whose: Victim,
    hospital: Hospital,
    calls: Calls,
    folder: tempfile::TempDir,
    studies: u32,
    /// What was answered with success since the last verdict.
    oracle: Oracle,
    /// What was judged last.
    judged: Oracle,
    /// How many calls of each kind a study takes on its whole way.
    each: [u64; 4],
}

impl Failing {
    /// Starts everything; nothing fails yet.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(whose: Victim) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let calls = Calls::build(folder.path()).await?;
        let hospital = match whose {
            Victim::Agent => Hospital::with_both_under(&calls.words("/agent-spool/"), &[]).await?,
            Victim::Gateway => {
                Hospital::with_both_under(&[], &calls.words("/gateway-data/")).await?
            }
        };
        let mut it = Self {
            whose,
            hospital,
            calls,
            folder,
            studies: 0,
            oracle: Oracle::new(),
            judged: Oracle::new(),
            each: [0; 4],
        };
        it.count().await?;
        Ok(it)
    }

    async fn count(&mut self) -> anyhow::Result<()> {
        let mut row = Row::default();
        self.study(&mut row).await?;
        self.drained(&mut row).await?;
        let before = Call::ALL.map(|call| self.calls.seen(call).unwrap_or(0));
        for _ in 0..COUNTED {
            self.study(&mut row).await?;
        }
        self.drained(&mut row).await?;
        for ((call, before), each) in Call::ALL.into_iter().zip(before).zip(&mut self.each) {
            *each = (self.calls.seen(call)? - before) / COUNTED;
        }
        Ok(())
    }

    /// Fails one kind of call in one way, n after n.
    ///
    /// # Errors
    /// When what is to go on does not go on, not even after a restart.
    pub async fn sweep(&mut self, call: Call, errno: Errno, sweep: Sweep) -> anyhow::Result<Row> {
        let mut row = Row::default();
        let mut kinds = Call::ALL.into_iter().zip(self.each);
        let each = kinds.find(|(kind, _)| *kind == call).map_or(0, |it| it.1);
        // half as much again, for nothing comes in the same order twice
        row.highest = (each + each / 2 + 2).min(sweep.most);
        let mut nth = 1;
        while nth <= row.highest {
            self.calls.fail(call, errno, nth, sweep.many)?;
            let begun = Instant::now();
            while self.calls.hits()? == 0 && begun.elapsed() < LIMIT {
                if self.is_behind().await {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                } else {
                    self.study(&mut row).await?;
                }
            }
            // what fails may be in the hands of a later study
            self.study(&mut row).await?;
            let hits = self.calls.hits()?;
            self.calls.mend()?;
            row.tried += 1;
            row.swept += u64::from(hits > 0);
            row.failed += hits;
            nth += sweep.step;
        }
        self.study(&mut row).await?;
        Ok(row)
    }

    /// What became of what was answered with success since the last time.
    ///
    /// # Errors
    /// When it does not leave the agent, not even after a restart.
    pub async fn judge(&mut self, row: &mut Row) -> anyhow::Result<()> {
        self.drained(row).await?;
        self.judged = std::mem::take(&mut self.oracle);
        killed::judge(&self.hospital, &self.judged, &mut row.verdict).await
    }

    /// As if the disk said that it had synced what it forgets, so many times.
    ///
    /// # Errors
    /// When nothing is taken.
    pub async fn lie(&mut self, times: u64) -> anyhow::Result<Row> {
        let mut row = Row::default();
        self.calls.lie(times)?;
        while self.calls.hits()? < times {
            self.study(&mut row).await?;
        }
        self.calls.mend()?;
        Ok(row)
    }

    /// Kills the process whose calls failed, starts it again, takes one more study through, and asks once more for what was judged last.
    ///
    /// # Errors
    /// When it does not start, takes nothing, or a start has lost something.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.start_again().await?;
        let mut row = Row::default();
        self.study(&mut row).await?;
        self.drained(&mut row).await?;
        ensure!(row.restarts == 0, "one start was not enough");
        let mut verdict = Verdict::default();
        killed::judge(&self.hospital, &self.judged, &mut verdict).await?;
        let holds = self.judged.is_empty() || verdict.holds();
        ensure!(holds, "after a start: {verdict:?}");
        Ok(())
    }

    async fn start_again(&mut self) -> anyhow::Result<()> {
        match self.whose {
            Victim::Agent => self.hospital.stack.restart_agent().await,
            Victim::Gateway => self.hospital.stack.restart_gateway().await,
        }
    }

    /// Ends everything.
    ///
    /// # Errors
    /// When a process does not end as it should.
    pub async fn close(self) -> anyhow::Result<()> {
        self.hospital.close().await
    }

    /// Whether the link has enough to do, or the agent, one of whose calls may fail just then, does not say.
    async fn is_behind(&self) -> bool {
        let queued = killed::status(&self.hospital, "/queue/instances").await;
        queued.map_or(true, |it| it.as_u64().is_some_and(|it| it > QUEUED))
    }

    /// Sends one more study until all of it is answered with success.
    async fn study(&mut self, row: &mut Row) -> anyhow::Result<()> {
        self.studies += 1;
        let mut rest = Vec::new();
        for (number, side) in (0..).zip(SIDES) {
            let path: PathBuf = self.folder.path().join(format!("{number}.dcm"));
            write_small(&path, self.studies, number, side)?;
            rest.push(path);
        }
        let (mut begun, mut tries) = (Instant::now(), 0);
        while !rest.is_empty() {
            let address = self.hospital.stack.dicom();
            let answers = sender::send(&rest, &address, "PACS", "CAUSEWAY").await;
            for answer in answers.iter().flatten() {
                row.verdict.requests += 1;
                match answer.stored() {
                    true => killed::note(&answer.path, &mut self.oracle)?,
                    false => row.refused += 1,
                }
            }
            if let Ok(answers) = answers {
                let refused = answers.into_iter().filter(|one| !Answer::stored(one));
                rest = refused.map(|answer| answer.path).collect();
            }
            tries += 1;
            if !rest.is_empty() && tries > 20 && begun.elapsed() > PATIENCE {
                ensure!(
                    row.restarts < 20,
                    "nothing is taken: {}",
                    self.hospital.logs()
                );
                self.again(row).await?;
                (begun, tries) = (Instant::now(), 0);
            }
            if !rest.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    async fn again(&mut self, row: &mut Row) -> anyhow::Result<()> {
        self.calls.mend()?;
        row.restarts += 1;
        self.start_again().await
    }

    /// Waits until everything that was sent has its receipt, if need be by a restart.
    async fn drained(&mut self, row: &mut Row) -> anyhow::Result<()> {
        for _ in 0..2 {
            let empty = wait_until("the queue to be empty", LIMIT, async || {
                let queued = killed::status(&self.hospital, "/queue/instances").await;
                Ok(queued.is_ok_and(|it| it == 0).then_some(()))
            });
            if empty.await.is_ok() {
                return Ok(());
            }
            self.again(row).await?;
        }
        Err(anyhow::anyhow!("the queue does not drain")).with_context(|| self.hospital.logs())
    }
}
