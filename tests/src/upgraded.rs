//! What an older version has taken, a newer one takes over; and either works with the other at the far end. A stack of the older programs
//! has studies and a report under way; each of its programs is killed, and the newer one is started on its folder.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::hospital::Hospital;
use crate::killed::{self, Told, Verdict};
use crate::stack::build::Binaries;

/// What two programs did together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage {
    /// Whether the agent is the newer one.
    pub new_agent: bool,
    /// Whether the gateway is the newer one.
    pub new_gateway: bool,
    /// Instances that an older agent had taken before, and that reached the gateway only now.
    pub taken_over: u64,
    /// Instances that came and reached the gateway.
    pub came: u64,
    /// Reports that were signed and reached the PACS.
    pub reports: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The four pairs, in the order in which they worked.
    pub stages: Vec<Stage>,
    /// What was sent in all of them, and whether it is there.
    pub verdict: Verdict,
}

impl Found {
    /// Every pair worked, and nothing is lost, doubled or altered.
    #[must_use]
    pub fn holds(&self) -> bool {
        let worked = |it: &Stage| it.came > 0 && it.reports > 0;
        let handed = |it: &&Stage| it.taken_over > 0;
        self.stages.iter().all(worked)
            && self.stages.iter().filter(handed).count() == 3
            && self.verdict.holds()
    }
}

/// The two programs of a folder.
#[must_use]
pub fn binaries(folder: &Path) -> Binaries {
    Binaries {
        gateway: folder.join("causeway-gateway"),
        agent: folder.join("causeway-agent"),
    }
}

const LIMIT: Duration = Duration::from_secs(120);

/// Lets the older programs work, and the newer ones take over from them; each pair gets so many studies of eight instances.
///
/// # Errors
/// When a program does not start on what the older one has left, or something never arrives.
pub async fn run(old: &Binaries, new: &Binaries, studies: u32) -> anyhow::Result<Found> {
    let mut found = Found::default();
    both(old, new, studies, &mut found).await?;
    only_the_agent(old, new, studies, &mut found).await?;
    Ok(found)
}

/// The gateway first, as an operator would, then the agent.
async fn both(
    old: &Binaries,
    new: &Binaries,
    studies: u32,
    found: &mut Found,
) -> anyhow::Result<()> {
    let mut going = Going::start(old, studies).await?;
    let first = going.work(Stage::default()).await.context("old and old")?;
    found.stages.push(first);

    going.hospital.stack.gateway.kill().await?;
    let taken_over = going.waiting().await?;
    going.hospital.stack.options.binaries.gateway = new.gateway.clone();
    going.hospital.stack.start_gateway_again().await?;
    let stage = Stage {
        new_gateway: true,
        taken_over,
        ..Stage::default()
    };
    let second = going.work(stage).await;
    found
        .stages
        .push(second.context("an old agent, a new gateway")?);

    // a report is signed, and its site's PACS does not take it yet
    going.hospital.pacs.set_away(true);
    going.store().await?;
    let (case, study) = going.sign().await?;
    going.hospital.stack.gateway.kill().await?;
    let taken_over = going.waiting().await?;
    going.hospital.stack.agent.kill().await?;
    going.hospital.stack.options.binaries.agent = new.agent.clone();
    going.hospital.stack.start_gateway_again().await?;
    going.hospital.stack.start_agent_again().await?;
    going.hospital.pacs.set_away(false);
    going.delivered(&case, &study).await?;
    let stage = Stage {
        new_gateway: true,
        new_agent: true,
        taken_over,
        reports: 1,
        ..Stage::default()
    };
    let third = going.work(stage).await;
    found
        .stages
        .push(third.context("a new agent, a new gateway")?);
    going.close(&mut found.verdict).await
}

/// A site that is ahead of the reading centre.
async fn only_the_agent(
    old: &Binaries,
    new: &Binaries,
    studies: u32,
    found: &mut Found,
) -> anyhow::Result<()> {
    let mut going = Going::start(old, studies).await?;
    going.store().await?;
    going.hospital.stack.gateway.kill().await?;
    let taken_over = going.waiting().await?;
    going.hospital.stack.agent.kill().await?;
    going.hospital.stack.options.binaries.agent = new.agent.clone();
    going.hospital.stack.start_gateway_again().await?;
    going.hospital.stack.start_agent_again().await?;
    let stage = Stage {
        new_agent: true,
        taken_over,
        ..Stage::default()
    };
    let fourth = going.work(stage).await;
    found
        .stages
        .push(fourth.context("a new agent, an old gateway")?);
    going.close(&mut found.verdict).await
}

/// A stack, and what it was given.
struct Going {
    hospital: Hospital,
    told: Told,
    studies: u32,
    /// The number of the next study.
    next: u32,
    folder: tempfile::TempDir,
}

impl Going {
    async fn start(binaries: &Binaries, studies: u32) -> anyhow::Result<Self> {
        Ok(Self {
            hospital: Hospital::of(binaries.clone()).await?,
            told: Told::default(),
            studies,
            next: 1,
            folder: tempfile::tempdir()?,
        })
    }

    /// Sends studies and waits until they are at the gateway; reads and signs one of them, and waits for its report.
    async fn work(&mut self, mut stage: Stage) -> anyhow::Result<Stage> {
        let before = self.told.stored.len();
        self.store().await?;
        killed::wait_empty(&self.hospital).await?;
        stage.came = (self.told.stored.len() - before) as u64;
        let (case, study) = self.sign().await?;
        self.delivered(&case, &study).await?;
        stage.reports += 1;
        Ok(stage)
    }

    async fn store(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.studies {
            let files = killed::write(self.folder.path(), self.next)?;
            self.next += 1;
            killed::store(&files, &self.hospital.stack.dicom(), &mut self.told).await?;
        }
        Ok(())
    }

    /// Sends studies to an agent whose gateway is away; answers how many instances wait there.
    async fn waiting(&mut self) -> anyhow::Result<u64> {
        self.store().await?;
        let waiting = killed::status(&self.hospital, "/queue/instances").await?;
        let waiting = waiting.as_u64().context("no count of what waits")?;
        ensure!(waiting > 0, "nothing waits");
        Ok(waiting)
    }

    /// Signs the newest study; answers its case and its UID.
    async fn sign(&self) -> anyhow::Result<(String, String)> {
        let study = format!("2.25.8801.{}", self.next - 1);
        let signed = self.hospital.read_and_sign(&study).await;
        let task = signed.with_context(|| self.hospital.logs())?;
        Ok((task.case, study))
    }

    async fn delivered(&self, case: &str, study: &str) -> anyhow::Result<()> {
        let reader = &self.hospital.reader;
        let delivered = reader.wait_delivery(case, "delivered", LIMIT).await;
        delivered.with_context(|| self.hospital.logs())?;
        let reports = self.hospital.reports(study).len();
        ensure!(reports == 1, "{reports} reports in the PACS");
        Ok(())
    }

    async fn close(self, all: &mut Verdict) -> anyhow::Result<()> {
        killed::wait_empty(&self.hospital).await?;
        let mut verdict = Verdict::default();
        killed::judge(&self.hospital, &self.told.stored, &mut verdict).await?;
        all.acknowledged += verdict.acknowledged;
        all.lost += verdict.lost;
        all.doubled += verdict.doubled;
        all.altered += verdict.altered;
        all.tasks_wrong += verdict.tasks_wrong;
        all.which = all.which.take().or(verdict.which);
        self.hospital.close().await
    }
}
