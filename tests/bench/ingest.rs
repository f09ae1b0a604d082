//! C-STORE over loopback, peers in turn: our agent, which answers when the bytes are synced, beside DCMTK's storescp, which does not
//! sync, and Orthanc as it is installed; then from senders as they are installed, and our own sender beside DCMTK's.
//!
//! The agent is a process that was greeted by a gateway which is not there any more; its protection runs as always. Each round begins
//! with an empty spool, so that every object is new to it.

mod contender;
mod namespace;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_agent::delivery::{Destination, PageImage, Parcel, SendOutcome};
use causeway_agent::dicom::send::Line;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom;
use causeway_tests::sender::file;
use tokio::process::Command;
use tokio::time::Instant;

use crate::rig::{ROUNDS, Report, Series};
use contender::{Agent, Contender, Kind, Take};

/// Studies of the sample: 504 slices.
const STUDIES: u32 = 7;
/// So many slices for senders and receivers that wait 40 ms for each.
const FEW: usize = 72;

pub(crate) async fn run() -> anyhow::Result<()> {
    if namespace::entered("ingest").await? {
        return Ok(());
    }
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let folder = tempfile::tempdir()?;
    let mut files = Vec::new();
    for number in 0..STUDIES {
        let study = hospital.study(9000 + number);
        let into = folder.path().join(format!("study-{number}"));
        files.extend(phantom::write(&into, &study)?);
    }
    let mut agent = Agent::alone(hospital).await?;
    let few = files.get(..FEW).context("too few slices")?;
    let mut all: Vec<(Case, Vec<Take>)> = CASES.iter().map(|case| (*case, Vec::new())).collect();
    let mut ours = Series::new("our SCU > stock storescp");
    let mut theirs = Series::new("stock storescu > stock storescp");
    for _ in 0..ROUNDS {
        for (case, takes) in &mut all {
            let files = if case.stock { few } else { &files };
            takes.push(once(*case, files, folder.path(), &mut agent).await?);
        }
        let mut peer = Contender::start(Kind::Writing, true, folder.path()).await?;
        theirs.values.push(per_second(
            few.len(),
            send(few, &peer.address, "ANY", 1, true).await?,
        ));
        ours.values
            .push(per_second(few.len(), ours_to(few, &peer.address).await?));
        peer.end().await?;
    }
    report(&all, ours, theirs, namespace::said().await)?;
    agent.close().await
}

/// Who receives, over how many associations, and whether DCMTK's sender is left as it is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    name: &'static str,
    kind: Kind,
    associations: usize,
    stock: bool,
}

const fn case(name: &'static str, kind: Kind, associations: usize, stock: bool) -> Case {
    Case {
        name,
        kind,
        associations,
        stock,
    }
}

const CASES: [Case; 9] = [
    case("storescp, writing", Kind::Writing, 1, false),
    case("storescp +B", Kind::Bits, 1, false),
    case("our agent", Kind::Ours, 1, false),
    case("Orthanc", Kind::Orthanc, 1, false),
    case("storescp +B, 4 associations", Kind::Bits, 4, false),
    case("our agent, 4 associations", Kind::Ours, 4, false),
    case("Orthanc, 4 associations", Kind::Orthanc, 4, false),
    case("stock storescu > stock storescp", Kind::Writing, 1, true),
    case("stock storescu > our agent", Kind::Ours, 1, true),
];

async fn once(
    case: Case,
    files: &[PathBuf],
    folder: &Path,
    agent: &mut Agent,
) -> anyhow::Result<Take> {
    if case.kind == Kind::Ours {
        agent.afresh().await?;
        let before = agent.used()?;
        let took = send(
            files,
            &agent.address(),
            "CAUSEWAY",
            case.associations,
            case.stock,
        )
        .await?;
        return agent.take(files, took, before);
    }
    let mut peer = Contender::start(case.kind, case.stock, folder).await?;
    let before = peer.used()?;
    let took = send(files, &peer.address, "ANY", case.associations, case.stock).await?;
    let take = peer.take(files, took, before).await?;
    peer.end().await?;
    Ok(take)
}

/// Sends with DCMTK's storescu; from the first connection to the end of the last sender.
async fn send(
    files: &[PathBuf],
    address: &str,
    called: &str,
    associations: usize,
    stock: bool,
) -> anyhow::Result<Duration> {
    let (host, port) = address.rsplit_once(':').context("an address")?;
    let start = Instant::now();
    let mut senders = Vec::new();
    for part in files.chunks(files.len().div_ceil(associations)) {
        let mut command = Command::new("storescu");
        command.args(["-aet", "PACS", "-aec", called, "-xe"]);
        if !stock {
            command.args(["-pdu", "131072"]).env("TCP_NODELAY", "1");
        }
        command.args([host, port]).args(part).kill_on_drop(true);
        let sender = command.spawn();
        senders.push(sender.context("storescu could not be started; make test installs it")?);
    }
    for mut sender in senders {
        let ended = tokio::time::timeout(Duration::from_secs(120), sender.wait()).await??;
        ensure!(ended.success(), "storescu ended with {ended} at {called}");
    }
    Ok(start.elapsed())
}

/// Sends with our own C-STORE SCU, over one association.
async fn ours_to(files: &[PathBuf], address: &str) -> anyhow::Result<Duration> {
    let destination = Destination {
        name: "peer".to_owned(),
        ae_title: "ANY".parse()?,
        address: address.to_owned(),
        calling_ae_title: "CAUSEWAY".parse()?,
        page_image: PageImage::Never,
    };
    let mut parcels = Vec::new();
    for (index, path) in files.iter().enumerate() {
        let read = file::read(path, index)?;
        parcels.push(Parcel {
            study: "2.25.1".parse()?,
            class: read.class.parse()?,
            instance: read.instance.parse()?,
            syntax: read.syntax.parse()?,
            dataset: read.bytes.into(),
        });
    }
    let first = parcels.first().context("nothing to send")?;
    let start = Instant::now();
    let line = Line::open(&destination, &first.class, &first.syntax).await?;
    let mut line = line.context("storescp takes no CT images")?;
    for parcel in &parcels {
        let outcome = line.store(parcel).await;
        ensure!(matches!(outcome, SendOutcome::Stored(_)), "{outcome:?}");
    }
    line.close().await;
    Ok(start.elapsed())
}

fn per_second(count: usize, took: Duration) -> f64 {
    u32::try_from(count).map_or(0.0, f64::from) / took.as_secs_f64()
}

/// What is compared: our case, the peer's, and what their rates are to be.
const RATIOS: [(&str, &str, &str, &str); 5] = [
    (
        "1 association, ours : storescp writing",
        "our agent",
        "storescp, writing",
        "≥ 1.4",
    ),
    (
        "1 association, ours : storescp +B",
        "our agent",
        "storescp +B",
        "≥ 1.1",
    ),
    (
        "4 associations, ours : storescp +B",
        "our agent, 4 associations",
        "storescp +B, 4 associations",
        "≥ 1.0",
    ),
    (
        "4 associations, ours : Orthanc",
        "our agent, 4 associations",
        "Orthanc, 4 associations",
        "≥ 3.5",
    ),
    (
        "stock sender, ours : stock storescp",
        "stock storescu > our agent",
        "stock storescu > stock storescp",
        "≥ 18",
    ),
];

fn report(
    all: &[(Case, Vec<Take>)],
    ours: Series,
    theirs: Series,
    loopback: &str,
) -> anyhow::Result<()> {
    let series = |of: fn(&Take) -> f64| {
        move |(case, takes): &(Case, Vec<Take>)| Series {
            name: case.name.to_owned(),
            values: takes.iter().map(of).collect(),
        }
    };
    let rates: Vec<Series> = all.iter().map(series(|take| take.rate)).collect();
    let cpus: Vec<Series> = all.iter().map(series(|take| take.cpu)).collect();
    let find = |from: &[Series], name: &str| {
        let found = from.iter().find(|one| one.name == name).cloned();
        found.unwrap_or_else(|| Series::new(name))
    };
    let title = "C-STORE into an agent that syncs before it answers, beside peers; CT slices of 526 kB, loopback";
    let mut report = Report::new("ingest", title);
    for (what, ours, theirs, goal) in RATIOS {
        report.ratio(what, find(&rates, ours).ratio(&find(&rates, theirs)), goal);
    }
    let cpu = find(&cpus, "our agent").ratio(&find(&cpus, "storescp +B"));
    report.ratio("CPU per GB of receiving, ours : storescp +B", cpu, "≤ 0.7");
    report.ratio(
        "our SCU : storescu, into a stock storescp",
        ours.ratio(&theirs),
        "≥ 13",
    );
    report.part("instances per second", rates);
    report.part("CPU seconds per GB, receiving", cpus);
    let agents = || all.iter().filter(|(case, _)| case.kind == Kind::Ours);
    report.part(
        "CPU seconds per GB, protection meanwhile",
        agents().map(series(|take| take.protecting)),
    );
    report.part("peak MiB", agents().map(series(|take| take.peak_mib)));
    report.part("instances per second, sending", [ours, theirs]);
    report.note(loopback);
    report.note("The agent's CPU is that of all its threads but those of the protection, from the first connection to the last answer.");
    report.close()
}
