//! A disk of its own under the agent's spool or under the gateway's data, which another program fills step by step: what is refused
//! first, what goes on, what the reserve is for, and how long it takes once there is room again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use causeway_disk::SmallDisk;
use tokio::time::Instant;

use crate::hospital::Hospital;
use crate::killed::{self, Oracle, Verdict, Victim};
use crate::long::write_small;
use crate::sender::{self, Outcome};
use crate::stack::wait_until;

/// What the other program takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// Bytes.
    Bytes,
    /// Names for files.
    Files,
}

/// How much is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Enough.
    Room,
    /// Less than the soft floor.
    Low,
    /// Less than the hard floor.
    Full,
    /// Nothing at all.
    Nothing,
}

/// What happened with so much left.
#[derive(Clone, Debug)]
pub struct Step {
    /// How much.
    pub left: Left,
    /// What a new association was answered: it, or its object.
    pub new: Answered,
    /// What an association was answered that has been open since there was room.
    pub open: Answered,
    /// Whether the new object was at the gateway: soon, where there is no room.
    pub arrived: bool,
    /// Whether the reserve was held when this step had ended.
    pub held: bool,
    /// Whether a report was signed and in the PACS soon, or what stood in its way; it is not tried without any name for a file.
    pub reported: Option<Result<(), String>>,
}

/// The answer to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is kept.
    Stored,
    /// The association was turned away, for now (PS3.8 9.3.4: transient, temporary congestion).
    TurnedAway,
    /// With this status.
    Status(u16),
    /// Otherwise.
    Other(String),
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// In order.
    pub steps: Vec<Step>,
    /// From the moment at which there was room until an object was taken from a new association.
    pub taken_after: Duration,
    /// Until the agent had nothing left for the gateway, which has told it when to come back.
    pub drained_after: Duration,
    /// Until the reserve was held again.
    pub held_after: Duration,
    /// Whether SQLite finds its file whole.
    pub whole: bool,
    /// What became of what was answered with success.
    pub verdict: Verdict,
}

impl Found {
    /// Whether everything was refused in its order, nothing was lost, and all went on when there was room.
    #[must_use]
    pub fn holds(&self, whose: Victim, scarce: Scarce) -> bool {
        let in_order = self.steps.iter().all(|step| step.holds(whose, scarce));
        in_order && self.steps.len() == LEVELS.len() && self.whole && self.verdict.holds()
    }

    /// Whether it went on as soon as it has to on a quiet machine.
    #[must_use]
    pub fn soon(&self) -> bool {
        self.taken_after.max(self.held_after) <= SOON && self.drained_after <= BACK
    }
}

impl Step {
    fn holds(&self, whose: Victim, scarce: Scarce) -> bool {
        let full = matches!(self.left, Left::Full | Left::Nothing);
        let (new, open) = match whose {
            Victim::Agent => (
                match self.left {
                    Left::Room => Answered::Stored,
                    Left::Low => Answered::TurnedAway,
                    Left::Full | Left::Nothing => Answered::Status(0xA700),
                },
                match full {
                    true => Answered::Status(0xA700),
                    false => Answered::Stored,
                },
            ),
            // what it does not take stays at the agent
            Victim::Gateway => (Answered::Stored, Answered::Stored),
        };
        let names = scarce == Scarce::Bytes || self.left != Left::Nothing;
        self.new == new
            && self.open == open
            && self.arrived == (self.left == Left::Room)
            && self.held == (scarce == Scarce::Files || self.left != Left::Nothing)
            && self.reported == names.then_some(Ok(()))
    }
}

const LEVELS: [Left; 4] = [Left::Room, Left::Low, Left::Full, Left::Nothing];
/// Reliability.md R23.
const SOON: Duration = Duration::from_secs(5);
/// A gateway asks what it does not take to come back within a minute.
const BACK: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;
/// A segment of the spool takes 64 MiB when it is begun.
const DISK: &str = "size=512m,nr_inodes=4000,mode=700";
const FLOORS: &str = "soft_floor_bytes = 134217728\nhard_floor_bytes = 67108864\nsoft_floor_files = 1000\nhard_floor_files = 500\nreserve_bytes = 16777216\n";

struct Run {
    whose: Victim,
    scarce: Scarce,
    // gone before the folder that it lies in
    disk: SmallDisk,
    hospital: Hospital,
    folder: tempfile::TempDir,
    oracle: Oracle,
    steps: Vec<Step>,
}

/// Fills the disk under one of them.
///
/// # Errors
/// When it cannot be mounted, which needs root, or something does not go on when there is room again.
pub async fn run(whose: Victim, scarce: Scarce) -> anyhow::Result<Found> {
    let (hospital, disk) = Hospital::over_a_small_disk(whose, DISK, FLOORS).await?;
    let mut run = Run {
        whose,
        scarce,
        hospital,
        disk,
        folder: tempfile::tempdir()?,
        oracle: Oracle::new(),
        steps: Vec::new(),
    };
    run.fill().await?;
    run.recover().await
}

impl Run {
    fn file(&self, study: u32) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(format!("{study}.dcm"));
        write_small(&path, study, 0, 64)?;
        Ok(path)
    }

    /// Studies to be reported on, one a step, and then the steps, beside one association that stays open.
    async fn fill(&mut self) -> anyhow::Result<()> {
        let mut cases = Vec::new();
        for (study, _) in (100..).zip(LEVELS) {
            let sent = self.send(study).await?;
            anyhow::ensure!(sent == Answered::Stored, "{sent:?} at the beginning");
            let uid = format!("2.25.8801.{study}");
            cases.push(self.hospital.claimed_with_draft(&uid).await?.case);
        }
        let files: Vec<PathBuf> = (200..)
            .zip(LEVELS)
            .map(|(study, _)| self.file(study))
            .collect::<anyhow::Result<_>>()?;
        let address = self.hospital.stack.dicom();
        let mut left = LEVELS.into_iter().zip(cases);
        let answers = sender::send_slowly(&files, &address, ("PACS", "CAUSEWAY"), async || {
            let (left, case) = left.next().context("more files than steps")?;
            self.step(left, &case).await
        })
        .await?;
        for (step, answer) in self.steps.iter_mut().zip(answers) {
            step.open = answered(&answer.outcome);
            if answer.stored() {
                killed::note(&answer.path, &mut self.oracle)?;
            }
        }
        Ok(())
    }

    async fn step(&mut self, left: Left, case: &str) -> anyhow::Result<()> {
        match (self.scarce, left) {
            (_, Left::Room) => {}
            (Scarce::Bytes, Left::Low) => self.disk.leave(96 * MIB)?,
            (Scarce::Bytes, Left::Full) => self.disk.leave(48 * MIB)?,
            (Scarce::Bytes, Left::Nothing) => self.disk.leave(0)?,
            (Scarce::Files, Left::Low) => self.disk.leave_files(750)?,
            (Scarce::Files, Left::Full) => self.disk.leave_files(250)?,
            (Scarce::Files, Left::Nothing) => self.disk.leave_files(0)?,
        }
        let number = u32::try_from(self.steps.len())?;
        let new = self.send(300 + number).await?;
        // where there is room it arrives, however long that takes; elsewhere it does not, however long one waits
        let limit = match left {
            Left::Room => LIMIT,
            _ => SOON,
        };
        let arrived = new == Answered::Stored && self.drained(limit).await;
        let reported = match (self.scarce, left) {
            (Scarce::Files, Left::Nothing) => None,
            _ => Some(self.report(case).await),
        };
        self.steps.push(Step {
            left,
            new,
            open: Answered::Other("not sent".to_owned()),
            arrived,
            held: self.is_held(),
            reported,
        });
        Ok(())
    }

    /// Sends the one object of a study on an association of its own.
    async fn send(&mut self, study: u32) -> anyhow::Result<Answered> {
        let path = self.file(study)?;
        let address = self.hospital.stack.dicom();
        let sent = sender::send(std::slice::from_ref(&path), &address, "PACS", "CAUSEWAY").await;
        Ok(match sent {
            Ok(answers) => {
                let answer = answers.first().context("no answer")?;
                if answer.stored() {
                    killed::note(&path, &mut self.oracle)?;
                }
                answered(&answer.outcome)
            }
            Err(error) => {
                let words = format!("{error:#}");
                match words.contains("temporary congestion") {
                    true => Answered::TurnedAway,
                    false => Answered::Other(words),
                }
            }
        })
    }

    async fn drained(&self, limit: Duration) -> bool {
        let empty = wait_until("the queue to be empty", limit, async || {
            let queued = killed::status(&self.hospital, "/queue/instances").await;
            Ok(queued.is_ok_and(|it| it == 0).then_some(()))
        });
        empty.await.is_ok()
    }

    async fn report(&self, case: &str) -> Result<(), String> {
        let reader = &self.hospital.reader;
        let home = async {
            let preview = reader.preview(case, "final").await?;
            reader.sign(case, "final", &preview).await?.ok()?;
            reader.wait_delivery(case, "delivered", LIMIT).await
        };
        let home = home.await.map(drop);
        home.map_err(|error| format!("{error:#}"))
    }

    fn is_held(&self) -> bool {
        self.disk.path().join("reserve").exists()
    }

    async fn recover(mut self) -> anyhow::Result<Found> {
        let begun = Instant::now();
        self.disk.clear()?;
        while self.send(400).await? != Answered::Stored {
            anyhow::ensure!(begun.elapsed() < LIMIT, "nothing is taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let taken_after = begun.elapsed();
        while !self.is_held() {
            anyhow::ensure!(begun.elapsed() < LIMIT, "the reserve is not held again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let held_after = begun.elapsed();
        anyhow::ensure!(self.drained(LIMIT).await, "{}", self.hospital.logs());
        let drained_after = begun.elapsed();
        let mut rows = match self.whose {
            Victim::Agent => self.hospital.agent_rows().await?,
            Victim::Gateway => self.hospital.gateway_rows().await?,
        };
        let said: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(&mut rows)
            .await?;
        drop(rows);
        let mut verdict = Verdict::default();
        killed::judge(&self.hospital, &self.oracle, &mut verdict).await?;
        let (steps, disk) = (self.steps, self.disk);
        self.hospital.close_over(disk).await?;
        Ok(Found {
            steps,
            taken_after,
            drained_after,
            held_after,
            whole: said == "ok",
            verdict,
        })
    }
}

fn answered(outcome: &Outcome) -> Answered {
    match outcome {
        Outcome::Status(0 | 0xB000..=0xBFFF, _) => Answered::Stored,
        Outcome::Status(status, _) => Answered::Status(*status),
        other => Answered::Other(format!("{other:?}")),
    }
}
