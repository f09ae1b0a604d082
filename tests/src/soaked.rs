//! Mixed load and faults drawn from a seed for a long time: studies come, are looked at, read and signed, and reports go home, while
//! either program is killed, the line is cut and the PACS is away. What was promised has to be kept, and neither program may grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::hospital::Hospital;
use crate::killed::{self, Load, Oracle, Verdict, next, share};
use crate::reader::{Reader, sample_report};
use crate::relay::Relay;
use crate::sampled::{Sample, Slope, slope};
use crate::stack::build;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL of the agent.
    Agent,
    /// SIGKILL of the gateway.
    Gateway,
    /// The line carries nothing for a while.
    Line,
    /// The PACS hangs up on everybody for a while.
    Pacs,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Gateway, Self::Line, Self::Pacs];
}

/// How it goes.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// How long.
    pub length: Duration,
    /// Between the end of a fault and the next: up to twice as long.
    pub between: Duration,
    /// Between two studies of one sender.
    pub pace: Duration,
    /// What the faults come from.
    pub seed: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What was sent, and whether it is there.
    pub verdict: Verdict,
    /// How many of each of [`Fault::ALL`].
    pub faults: [u32; 4],
    /// Answers to searches and to requests for objects, and how many of them failed.
    pub looks: [u64; 2],
    /// Reports whose signing was answered with success.
    pub signed: u64,
    /// Of these, not in the PACS.
    pub reports_lost: u64,
    /// Studies with more reports in the PACS than one.
    pub reports_doubled: u64,
    /// Memory and open files of the agent, then of the gateway, after the first quarter.
    pub slopes: [Option<Slope>; 4],
}

impl Found {
    /// Nothing lost, doubled or altered, and everything was done at all.
    #[must_use]
    pub fn holds(&self) -> bool {
        let done = self.signed > 0 && self.looks[0] > self.looks[1];
        done && self.reports_lost + self.reports_doubled == 0 && self.verdict.holds()
    }

    /// Whether those who looked were answered: where faults are rare one in a hundred may fail.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.looks[1] * 100 <= self.looks[0]
    }

    /// Whether memory and open files grow by less than a tenth in an hour.
    #[must_use]
    pub fn flat(&self) -> bool {
        let level = |it: &Option<Slope>| it.is_some_and(|it| it.per_hour <= it.mean / 10.0);
        self.slopes.iter().all(level)
    }
}

/// Senders and those who look, each at the same time.
const EACH: u32 = 2;
/// What a process may take after its start until its figures count.
const WARM: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(300);

/// Lets everything go on for as long as told, and compares.
///
/// # Errors
/// When a part does not start again, or something never arrives.
pub async fn run(soak: Soak) -> anyhow::Result<Found> {
    let mut hospital = Hospital::of(build::binaries().await?).await?;
    let relay = behind_a_relay(&mut hospital).await?;
    let load = Arc::new(Load::default());
    let (mut senders, mut lookers, mut signers) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for number in 0..EACH {
        let (ends, address) = (load.clone(), hospital.stack.dicom());
        senders.spawn(async move { killed::send(number, &address, soak.pace, &ends).await });
        let (ends, reader) = (load.clone(), hospital.reader.clone());
        let seed = soak.seed.wrapping_add(u64::from(number));
        lookers.spawn(async move { look(&reader, seed, &ends.over).await });
    }
    let (ends, reader) = (load.clone(), hospital.reader.clone());
    let (signs, mut signed) = watch::channel(0);
    signers.spawn(async move { sign(&reader, soak.pace, &ends.over, &signs).await });
    let mut going = Going {
        begun: Instant::now(),
        soak,
        lives: [vec![], vec![]],
    };
    let mut found = Found::default();
    going
        .through(&mut hospital, &relay, &mut found.faults)
        .await?;
    // in a short one on a busy machine there may have been no time for any
    let one = signed.wait_for(|count| *count > 0);
    timeout(LIMIT, one)
        .await
        .context("nothing could be signed")??;
    load.over.store(true, Ordering::Relaxed);

    let mut oracle = Oracle::new();
    while let Some(told) = senders.join_next().await {
        let told = told.context("a sender was dropped")??;
        found.verdict.requests += told.requests;
        found.verdict.unanswered += told.unanswered;
        oracle.extend(told.stored);
    }
    while let Some(looks) = lookers.join_next().await {
        let looks = looks.context("who looks was dropped")?;
        found.looks[0] += looks[0];
        found.looks[1] += looks[1];
    }
    let signed = signers.join_next().await.context("nobody signs")??;
    found.slopes = going.slopes();
    home(&hospital, &signed, &mut found).await?;
    killed::wait_empty(&hospital).await?;
    killed::judge(&hospital, &oracle, &mut found.verdict).await?;
    hospital.close().await?;
    relay.stop().await;
    Ok(found)
}

/// Puts a line between the two that can be cut.
async fn behind_a_relay(hospital: &mut Hospital) -> anyhow::Result<Relay> {
    let link = hospital.stack.gateway_ports.get("link");
    let link = link.and_then(Value::as_str).context("no link")?.to_owned();
    let relay = Relay::start(link.parse()?).await?;
    let config = hospital.stack.options.folder.join("agent.toml");
    let address = relay.address;
    let before = killed::status(hospital, "/link").await?;
    hospital
        .stack
        .restart_agent_after(|| {
            let text = std::fs::read_to_string(&config)?;
            let (from, to) = (format!("address = \"{link}\""), "transport = \"udp\"");
            ensure!(text.contains(&from), "the agent does not name the link");
            let text = text.replace(&from, &format!("address = \"{address}\"\n{to}"));
            Ok(std::fs::write(&config, text)?)
        })
        .await?;
    killed::wait_linked(hospital, &before).await?;
    Ok(relay)
}

/// What goes on, and what both programs held meanwhile.
struct Going {
    begun: Instant,
    soak: Soak,
    /// The figures of each life of the agent, and of the gateway: after so many seconds.
    lives: [Vec<Vec<(f64, Sample)>>; 2],
}

impl Going {
    async fn through(
        &mut self,
        hospital: &mut Hospital,
        relay: &Relay,
        counts: &mut [u32; 4],
    ) -> anyhow::Result<()> {
        let mut random = self.soak.seed;
        self.lives = [vec![vec![]], vec![vec![]]];
        while self.begun.elapsed() < self.soak.length {
            let calm = self.soak.between.mul_f64(share(&mut random) * 2.0);
            self.watch(hospital, calm).await?;
            let fault = self.draw(&mut random);
            // a line that is silent for longer than fifteen seconds is lost, others are not
            let lasts = self.soak.between.mul_f64(share(&mut random));
            let faults = Fault::ALL.iter().zip(counts.iter_mut());
            faults
                .filter(|(one, _)| **one == fault)
                .for_each(|(_, count)| *count += 1);
            match fault {
                Fault::Agent => {
                    hospital.stack.restart_agent().await?;
                    self.lives[0].push(vec![]);
                }
                Fault::Gateway => {
                    hospital.stack.restart_gateway().await?;
                    self.lives[1].push(vec![]);
                }
                Fault::Line => {
                    relay.cut_after(0);
                    self.watch(hospital, lasts).await?;
                    relay.mend();
                }
                Fault::Pacs => {
                    hospital.pacs.set_away(true);
                    self.watch(hospital, lasts).await?;
                    hospital.pacs.set_away(false);
                }
            }
        }
        Ok(())
    }

    /// In the first quarter all alike; then kills are rare, for a life to be long enough to show whether it grows. It never is in a
    /// short soak.
    fn draw(&self, random: &mut u64) -> Fault {
        let length = self.soak.length;
        let early = length < WARM * 8 || self.begun.elapsed() < length / 4;
        match (early, next(random) % 40) {
            (true, 0..10) | (false, 0) => Fault::Agent,
            (true, 10..20) | (false, 1) => Fault::Gateway,
            (_, 20..30) | (false, 2..11) => Fault::Line,
            _ => Fault::Pacs,
        }
    }

    /// Notes what both hold each second for so long.
    async fn watch(&mut self, hospital: &Hospital, length: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + length;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            sleep(left.min(Duration::from_secs(1))).await;
            let at = self.begun.elapsed().as_secs_f64();
            let both = [&hospital.stack.agent, &hospital.stack.gateway];
            for (process, lives) in both.into_iter().zip(&mut self.lives) {
                let life = lives.last_mut().context("a life")?;
                life.push((at, Sample::of(process)?));
            }
            if left <= Duration::from_secs(1) {
                return Ok(());
            }
        }
    }

    fn slopes(&self) -> [Option<Slope>; 4] {
        let [agent, gateway] = &self.lives;
        let from = self.soak.length.as_secs_f64() / 4.0;
        let of = |lives: &[Vec<(f64, Sample)>], what: fn(&Sample) -> f64| {
            let counting = |life: &Vec<(f64, Sample)>| {
                let begun = life.first().map_or(0.0, |it| it.0) + WARM.as_secs_f64();
                let counts = life.iter().filter(|it| it.0 >= begun.max(from));
                counts.map(|(at, it)| (*at, what(it))).collect::<Vec<_>>()
            };
            slope(&lives.iter().map(counting).collect::<Vec<_>>())
        };
        [
            of(agent, |it| it.mebibytes),
            of(agent, |it| it.files),
            of(gateway, |it| it.mebibytes),
            of(gateway, |it| it.files),
        ]
    }
}

/// Searches, and asks for what is found, until told to stop; answers how often, and how often that failed.
async fn look(reader: &Reader, seed: u64, over: &AtomicBool) -> [u64; 2] {
    let (mut random, mut looks) = (seed, [0, 0]);
    while !over.load(Ordering::Relaxed) {
        let looked = look_once(reader, &mut random).await;
        looks[0] += 1;
        if looked.is_err() {
            looks[1] += 1;
        }
        sleep(Duration::from_millis(100)).await;
    }
    looks
}

async fn look_once(reader: &Reader, random: &mut u64) -> anyhow::Result<()> {
    let found = reader.get("/dicomweb/studies?limit=50").await?;
    let found = found.as_array().context("no list")?;
    let Some(count) = u64::try_from(found.len()).ok().filter(|count| *count > 0) else {
        return Ok(());
    };
    let study = found.get(usize::try_from(next(random) % count)?);
    let study = study.and_then(|study| study.pointer("/0020000D/Value/0"));
    let study = study.and_then(Value::as_str).context("no study")?;
    let series = format!("/dicomweb/studies/{study}/series/{study}.2");
    reader.get(&format!("{series}/metadata")).await?;
    let object = reader
        .object(&format!("{series}/instances/{study}.3.0"))
        .await?;
    object.map(|_| ()).context("no object")
}

/// Reads and signs what is ready, one study each `pace`, until told to stop; says how many there are, and answers the case and the study of what was signed.
async fn sign(
    reader: &Reader,
    pace: Duration,
    over: &AtomicBool,
    signs: &watch::Sender<usize>,
) -> Vec<(String, String)> {
    let mut signed = Vec::new();
    while !over.load(Ordering::Relaxed) {
        // what failed is still there, or another is
        if let Ok(Some(one)) = sign_one(reader).await {
            signed.push(one);
            signs.send_replace(signed.len());
        }
        sleep(pace).await;
    }
    signed
}

async fn sign_one(reader: &Reader) -> anyhow::Result<Option<(String, String)>> {
    let list = reader.get("/api/v1/worklist").await?;
    let items = list.get("items").and_then(Value::as_array);
    let open = |item: &&Value| {
        let is = |name: &str, word: &str| item.get(name).and_then(Value::as_str) == Some(word);
        is("readiness", "READY") && is("state", "SCHEDULED")
    };
    let Some(item) = items.into_iter().flatten().find(open) else {
        return Ok(None);
    };
    let study = item.pointer("/studies/0/uid").and_then(Value::as_str);
    let study = study.context("a task without study")?;
    let task = crate::reader::find_open_task(&list, study).context("no task")?;
    reader.claim(&task).await?;
    reader.write_draft(&task.case, sample_report()).await?;
    let preview = reader.preview(&task.case, "final").await?;
    reader.sign(&task.case, "final", &preview).await?.ok()?;
    Ok(Some((task.case, study.to_owned())))
}

/// Waits until each report that was signed is at home, and counts them there.
async fn home(
    hospital: &Hospital,
    signed: &[(String, String)],
    found: &mut Found,
) -> anyhow::Result<()> {
    for (case, _) in signed {
        let delivered = hospital
            .reader
            .wait_delivery(case, "delivered", LIMIT)
            .await;
        delivered.with_context(|| hospital.logs())?;
    }
    let reports = hospital.reports_by_study();
    let lost = signed
        .iter()
        .filter(|(_, study)| !reports.contains_key(study));
    found.signed = signed.len() as u64;
    found.reports_lost = lost.count() as u64;
    found.reports_doubled = reports.values().filter(|count| **count > 1).count() as u64;
    Ok(())
}
