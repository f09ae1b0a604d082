//! A gateway that is away while its sites work on: each an agent process of its own, which takes studies all the while. When it is back,
//! everything reaches it without a person, the sites do not come all at once, and urgent studies come first.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use tokio::time::{Instant, sleep_until};

use crate::hospital::Hospital;
use crate::killed::{self, Oracle, Told, Verdict, share};
use crate::pacs::Behaviour;
use crate::sampled::Sample;
use crate::site::Site;
use crate::stack::{log, process, wait_until};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How long the gateway was away.
    pub away: Duration,
    /// What was sent before and meanwhile, and whether it is there.
    pub verdict: Verdict,
    /// Instances that came while the gateway was away.
    pub waiting: u64,
    /// When each site's link was up again, from the gateway's start on; the soonest first.
    pub back: Vec<Duration>,
    /// Sites.
    pub sites: u32,
    /// Sites whose urgent study, the last that came, was whole at the gateway no later than the last of the others.
    pub urgent_first: u32,
    /// From the gateway's start until it had everything.
    pub drained: Duration,
    /// Before the outage: from the first byte until the gateway had all that was sent at once, and how many instances that were.
    pub steady: (Duration, u64),
    /// The gateway's memory in MiB: the most before the outage, the most after it, and what it is at the end.
    pub gateway: [f64; 3],
    /// The most memory of any agent in MiB.
    pub agent: f64,
}

/// An outage beyond this has made the pauses of the sites long.
const LONG: Duration = Duration::from_secs(180);

impl Found {
    /// Everything is there, every site came by itself; and after a long outage what is urgent first, and not all at once.
    #[must_use]
    pub fn holds(&self) -> bool {
        let all = self.back.len() == self.sites as usize;
        // a short one ends before everything is protected
        let ordered = self.away < LONG || self.urgent_first == self.sites;
        let spread = self.away < LONG || self.spread() >= Duration::from_secs(30);
        all && ordered
            && spread
            && self.verdict.holds()
            && self.gateway.iter().all(|mib| *mib <= 512.0)
    }

    /// Between the first and the last that came back.
    #[must_use]
    pub fn spread(&self) -> Duration {
        let last = self.back.last().copied().unwrap_or_default();
        last - self.back.first().copied().unwrap_or_default()
    }
}

/// Studies that each site sends at once while the gateway is there, and one by one while it is not; then one that is urgent.
const BEFORE: u32 = 2;
const MEANWHILE: u32 = 4;
/// Numbers of studies of one site.
const NUMBERS: u32 = 100;
const LIMIT: Duration = Duration::from_secs(900);

/// So many sites, and a gateway that is killed and comes back after so long.
///
/// # Errors
/// When a part does not start, or what was taken never arrives.
pub async fn run(sites: u32, away: Duration, seed: u64) -> anyhow::Result<Found> {
    let mut hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let folder = tempfile::tempdir()?;
    let mut all = Vec::new();
    for number in 1..=sites {
        let folder = folder.path().join(number.to_string());
        all.push(One {
            number,
            site: Site::start(&hospital.stack, &folder).await?,
            folder,
        });
    }
    let mut rows = hospital.gateway_rows().await?;
    let mut found = Found {
        sites,
        ..Found::default()
    };
    let begun = Instant::now();
    let sending = try_join_all(all.iter().map(One::before)).await?;
    let mut oracle: Oracle = sending.into_iter().flatten().collect();
    whole(&mut rows, &oracle)
        .await
        .with_context(|| hospital.logs())?;
    found.steady = (begun.elapsed(), oracle.len() as u64);
    found.gateway[0] = peak(&hospital)?;

    hospital.stack.gateway.kill().await?;
    let down = Instant::now();
    let sending = all.iter().map(|one| one.meanwhile(down, away, seed));
    let waiting = try_join_all(sending).await?.into_iter().flatten();
    oracle.extend(waiting.inspect(|_| found.waiting += 1));
    sleep_until(down + away).await;
    found.away = down.elapsed();

    let names = all.iter().map(|one| one.site.id.clone()).collect();
    returned(&mut hospital, &mut rows, (&oracle, &names), &mut found).await?;
    for One { site, .. } in &all {
        wait_until("a site to have nothing left", LIMIT, async || {
            Ok((site.status("/queue/instances").await? == 0).then_some(()))
        })
        .await?;
        found.agent = found.agent.max(mebibytes(site.agent.peak_kib()?)?);
    }
    found.gateway[2] = Sample::of(&hospital.stack.gateway)?.mebibytes;
    killed::judge(&hospital, &oracle, &mut found.verdict).await?;
    for mut one in all {
        one.site.agent.end("an agent").await?;
        process::fell_nowhere(&one.folder.join("agent.log"))?;
    }
    hospital.close().await?;
    Ok(found)
}

/// One of the sites.
struct One {
    number: u32,
    site: Site,
    folder: PathBuf,
}

impl One {
    /// What it sends at once while the gateway is there.
    async fn before(&self) -> anyhow::Result<Oracle> {
        let mut told = Told::default();
        for study in 0..BEFORE {
            self.send(study, "CAUSEWAY", &mut told).await?;
        }
        Ok(told.stored)
    }

    /// What it sends while the gateway is away: in the last tenth of that time what is urgent.
    async fn meanwhile(&self, down: Instant, away: Duration, seed: u64) -> anyhow::Result<Oracle> {
        let mut random = seed
            .wrapping_mul(1_000_003)
            .wrapping_add(self.number.into());
        let mut told = Told::default();
        let moments = (0..MEANWHILE).map(|_| away.mul_f64(share(&mut random) * 0.9));
        let mut moments: Vec<_> = moments.collect();
        moments.sort_unstable();
        for (study, moment) in (BEFORE..).zip(moments) {
            sleep_until(down + moment).await;
            self.send(study, "CAUSEWAY", &mut told).await?;
        }
        sleep_until(down + away.mul_f64(share(&mut random).mul_add(0.1, 0.9))).await;
        self.send(BEFORE + MEANWHILE, "CW_STAT", &mut told).await?;
        Ok(told.stored)
    }

    async fn send(&self, study: u32, called: &str, told: &mut Told) -> anyhow::Result<()> {
        let files = killed::write(&self.folder, self.number * NUMBERS + study)?;
        killed::store_at(&files, &self.site.dicom, called, told).await?;
        for file in files {
            std::fs::remove_file(file)?;
        }
        Ok(())
    }
}

/// Starts the gateway again and waits until it has everything.
async fn returned(
    hospital: &mut Hospital,
    rows: &mut SqliteConnection,
    (oracle, sites): (&Oracle, &BTreeSet<String>),
    found: &mut Found,
) -> anyhow::Result<()> {
    let log = log(&hospital.stack.options.folder, "gateway");
    let written = std::fs::metadata(&log)?.len();
    let begun = Instant::now();
    hospital.stack.start_gateway_again().await?;
    whole(rows, oracle).await.with_context(|| hospital.logs())?;
    found.drained = begun.elapsed();
    found.gateway[1] = peak(hospital)?;
    // a site with nothing left may still be about to come
    let mut since = Timestamp::UNIX_EPOCH;
    wait_until("every site to be back", LIMIT, async || {
        (since, found.back) = connected(&log, written, sites)?;
        Ok((found.back.len() == sites.len()).then_some(()))
    })
    .await?;
    let since = since.as_microsecond();
    let first: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM study AS urgent WHERE priority = 'stat' AND first_us >= ? AND last_us <= (SELECT MAX(last_us) FROM study \
         WHERE study.site_id = urgent.site_id AND study.priority <> 'stat' AND study.first_us >= ?)",
    )
    .bind(since)
    .bind(since)
    .fetch_one(rows)
    .await?;
    found.urgent_first = u32::try_from(first)?;
    Ok(())
}

/// When the gateway began by its log, behind what was written before; and when after that each of the sites was connected first.
fn connected(
    log: &Path,
    written: u64,
    sites: &BTreeSet<String>,
) -> anyhow::Result<(Timestamp, Vec<Duration>)> {
    let text = std::fs::read(log)?;
    let text = text.get(usize::try_from(written)?..).unwrap_or_default();
    let (mut began, mut seen, mut back) = (None, BTreeSet::new(), Vec::new());
    for line in String::from_utf8_lossy(text).lines() {
        let time = line.split_whitespace().next().map(str::parse::<Timestamp>);
        let Some(Ok(at)) = time else {
            continue;
        };
        let began = *began.get_or_insert(at);
        let Some((_, site)) = line.split_once("a site is connected site=") else {
            continue;
        };
        let site = site.split_whitespace().next().unwrap_or_default();
        if sites.contains(site) && seen.insert(site.to_owned()) {
            back.push(Duration::try_from(at.duration_since(began))?);
        }
    }
    back.sort_unstable();
    Ok((began.context("the gateway's log says nothing")?, back))
}

/// Waits until the gateway has every instance.
async fn whole(rows: &mut SqliteConnection, oracle: &Oracle) -> anyhow::Result<()> {
    let all = i64::try_from(oracle.len())?;
    wait_until("everything to be at the gateway", LIMIT, async || {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM instance");
        let count: i64 = count.fetch_one(&mut *rows).await?;
        Ok((count >= all).then_some(()))
    })
    .await
}

fn peak(hospital: &Hospital) -> anyhow::Result<f64> {
    mebibytes(hospital.stack.gateway.peak_kib()?)
}

fn mebibytes(kib: u64) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(kib)?) / 1024.0)
}
