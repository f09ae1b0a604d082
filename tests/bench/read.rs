//! The reading side: the same study of 500 slices among 200 others at our gateway and at Orthanc with its DICOMweb plugin, asked in
//! turn for the same things. Latency of one kept connection and of eight, processor time of the server for each request, and MB/s.

mod ask;
pub(crate) mod catalogue;
mod line;
pub(crate) mod server;

use causeway_tests::phantom::Identity;

use crate::rig::{ROUNDS, Report};
use ask::{Kind, Taken};
use server::{OTHERS, SLICES, Server, Servers};

const CLIENTS: usize = 8;

const JSON: &str = "application/dicom+json";
const FRAMES: &str = "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*";
const OBJECTS: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
const CODED: &str = "multipart/related; type=\"image/jls\"; transfer-syntax=1.2.840.10008.1.2.4.80";

/// A kind of request, how often each server is asked in a round, and what is asked of it.
struct Row {
    kind: Kind,
    ours: usize,
    theirs: usize,
    goal: Goal,
}

#[derive(Clone, Copy)]
enum Goal {
    /// Orthanc's processor time : ours.
    Cpu(&'static str),
    /// Our MB/s : Orthanc's.
    Rate(&'static str),
    /// Orthanc's p99 : ours.
    Late(&'static str),
    /// Our requests a second : Orthanc's.
    Often(&'static str),
    /// Orthanc has no such thing.
    Alone,
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let servers = Servers::start(OTHERS).await?;
    let both = [servers.ours()?, servers.theirs()?];
    let study = servers.study.clone();
    let report = tokio::task::spawn_blocking(move || measure(&both, &study)).await?;
    servers.close().await?;
    report?.close()
}

fn measure([ours, theirs]: &[Server; 2], study: &Identity) -> anyhow::Result<Report> {
    let rows = rows(study);
    let new = |row: &Row| [ours, theirs].map(|one| Taken::new(one.name, &row.kind));
    let mut taken: Vec<[Taken; 2]> = rows.iter().map(new).collect();
    for (number, round) in (0..=ROUNDS).enumerate() {
        for (row, [our, their]) in rows.iter().zip(&mut taken) {
            // the first round warms both
            let mut spare = [our.clone(), their.clone()];
            let [our, their] = if round == 0 {
                spare.each_mut()
            } else {
                [our, their]
            };
            our.round(ours, &row.kind, row.ours, number * row.ours)?;
            if !matches!(row.goal, Goal::Alone) {
                their.round(theirs, &row.kind, row.theirs, number * row.theirs)?;
            }
        }
    }
    let title =
        format!("Reading {SLICES} slices of CT among {OTHERS} other studies, over loopback");
    let mut report = Report::new("read", &title);
    let full = || {
        let all = taken.iter().flatten();
        all.filter(|one| !one.p50.values.is_empty())
    };
    report.part(
        "server's CPU, ms a request",
        full().map(|one| one.cpu.clone()),
    );
    report.part("p50, ms", full().map(|one| one.p50.clone()));
    report.part("p99, ms", full().map(|one| one.p99.clone()));
    report.part(
        "requests a second",
        full().map(|one| one.per_second.clone()),
    );
    report.part("MB/s", full().map(|one| one.megabytes.clone()));
    for (row, [our, their]) in rows.iter().zip(&taken) {
        let name = row.kind.name;
        match row.goal {
            Goal::Cpu(goal) => {
                report.ratio(
                    &format!("{name}: CPU, Orthanc : ours"),
                    their.cpu.ratio(&our.cpu),
                    goal,
                );
            }
            Goal::Rate(goal) => {
                let ratio = our.megabytes.ratio(&their.megabytes);
                report.ratio(&format!("{name}: MB/s, ours : Orthanc"), ratio, goal);
            }
            Goal::Late(goal) => {
                report.ratio(
                    &format!("{name}: p99, Orthanc : ours"),
                    their.p99.ratio(&our.p99),
                    goal,
                );
            }
            Goal::Often(goal) => {
                let ratio = our.per_second.ratio(&their.per_second);
                report.ratio(&format!("{name}: a second, ours : Orthanc"), ratio, goal);
            }
            Goal::Alone => {}
        }
    }
    Ok(report)
}

fn row(
    name: &'static str,
    paths: &[String],
    accept: &'static str,
    clients: usize,
    [ours, theirs]: [usize; 2],
    goal: Goal,
) -> Row {
    let paths = paths.to_vec();
    let kind = Kind {
        name,
        paths,
        accept,
        clients,
    };
    Row {
        kind,
        ours,
        theirs,
        goal,
    }
}

fn rows(study: &Identity) -> Vec<Row> {
    let of_study = format!("/studies/{}", study.study());
    let of_series = format!("{of_study}/series/{}", study.series());
    let mut rows = searches(&of_study);
    let instances: Vec<String> = (0..SLICES)
        .map(|slice| format!("{of_series}/instances/{}", study.instance(slice)))
        .collect();
    let frames: Vec<String> = instances
        .iter()
        .map(|one| format!("{one}/frames/1"))
        .collect();
    let (metadata, study) = ([format!("{of_series}/metadata")], [of_study]);
    let (cpu, often) = (Goal::Cpu, Goal::Often("≥ 8"));
    let some = [800, 320];
    rows.extend([
        row("metadata of 500", &metadata, JSON, 1, [40, 1], cpu("≥ 50")),
        row("frame", &frames, FRAMES, 1, [500, 200], cpu("≥ 10")),
        row("frame, coded", &frames, CODED, 1, [500, 0], Goal::Alone),
        row("instance", &instances, OBJECTS, 1, [250, 100], cpu("")),
        row("whole study", &study, OBJECTS, 1, [4, 2], Goal::Rate("≥ 2")),
        row("frame, 8 clients", &frames, FRAMES, CLIENTS, some, often),
    ]);
    rows
}

fn searches(of_study: &str) -> Vec<Row> {
    // another study each time; and once so that the same is never asked twice, so that no answer can be remembered
    let accession = |number| format!("/studies?AccessionNumber=OTHER-{}", number % OTHERS);
    let again: Vec<String> = (0..OTHERS).map(accession).collect();
    let fresh: Vec<String> = (0..20_000)
        .map(|number| format!("{}&limit={}", accession(number), 2 + number))
        .collect();
    let (fifty, series) = (
        ["/studies?limit=50".to_owned()],
        [format!("{of_study}/series")],
    );
    let (cpu, late) = (Goal::Cpu, Goal::Late("≥ 10"));
    let (one, many) = ([1000, 100], [1600, 160]);
    vec![
        row("QIDO, never asked", &fresh, JSON, 1, one, cpu("≥ 20")),
        row("QIDO, asked before", &again, JSON, 1, one, cpu("≥ 20")),
        row("QIDO 50 studies", &fifty, JSON, 1, [100, 6], cpu("")),
        row("QIDO series", &series, JSON, 1, [500, 50], cpu("")),
        row(
            "QIDO, never asked, 8 clients",
            &fresh,
            JSON,
            CLIENTS,
            many,
            late,
        ),
        row(
            "QIDO, asked before, 8 clients",
            &again,
            JSON,
            CLIENTS,
            many,
            late,
        ),
    ]
}
