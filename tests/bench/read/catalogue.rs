//! Searching among 10,000 and among 1,000,000 instances: the rows are made beside the gateway, copies of one that came through its door,
//! 500 to a study, in five series, with names, dates and accession numbers as a hospital of some years has them.

use anyhow::Context as _;
use causeway_gateway::archive::name::folded;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use sqlx::{Connection as _, SqliteConnection};
use std::time::Duration;

use super::JSON;
use super::ask::{Kind, Taken};
use super::line::Place;
use super::server::Server;
use crate::rig::{ROUNDS, Report};

const SIZES: [u32; 2] = [20, 2000];
const NAMES: [&str; 20] = [
    "SMITH",
    "MUELLER",
    "PAPADOPOULOS",
    "ROSSI",
    "GARCIA",
    "DUBOIS",
    "NOVAK",
    "KOWALSKI",
    "JANSEN",
    "SILVA",
    "POPESCU",
    "HORVAT",
    "NIELSEN",
    "KORHONEN",
    "NAGY",
    "IVANOV",
    "WEBER",
    "LEFEVRE",
    "MORENO",
    "LINDBERG",
];
const GIVEN: [&str; 25] = [
    "ANNA", "JOHN", "MARIA", "GEORG", "ELENA", "PIERRE", "INGRID", "PEDRO", "KATRIN", "LUCA",
    "SOFIA", "JAN", "OLGA", "MARK", "IRINA", "PAUL", "EMMA", "NIKOS", "CLARA", "ERIK", "LAURA",
    "VIKTOR", "ALICE", "TOMAS", "RUTH",
];
const MODALITIES: [&str; 4] = ["CT", "MR", "PT", "XA"];

pub(crate) async fn run() -> anyhow::Result<()> {
    let mut taken: Vec<Vec<Taken>> = Vec::new();
    let kinds = [kinds(20), kinds(2000)];
    for (studies, kinds) in SIZES.into_iter().zip(&kinds) {
        let hospital = filled(studies).await?;
        let server = Server {
            name: if studies == 20 { "10,000" } else { "1,000,000" },
            pid: hospital
                .stack
                .gateway
                .pid()
                .context("the gateway has ended")?,
            place: Place {
                address: hospital.stack.url().replace("http://", ""),
                root: "/dicomweb".to_owned(),
                token: Some(hospital.reader.token().to_owned()),
            },
        };
        let kinds = kinds.clone();
        taken.push(tokio::task::spawn_blocking(move || measure(&server, &kinds)).await??);
        hospital.close().await?;
    }
    let mut report = Report::new(
        "catalogue",
        "Searching among 10,000 and 1,000,000 instances, 500 a study",
    );
    let all = || taken.iter().flatten();
    report.part("p99, ms", all().map(|one| one.p99.clone()));
    report.part("p50, ms", all().map(|one| one.p50.clone()));
    report.part(
        "server's CPU, ms a request",
        all().map(|one| one.cpu.clone()),
    );
    let [few, many] = taken.as_slice() else {
        return Ok(());
    };
    for (kind, (few, many)) in kinds[1].iter().zip(few.iter().zip(many)) {
        report.ratio(
            &format!("{}, p99 at 1,000,000, ms", kind.name),
            many.p99.median(),
            "≤ 50",
        );
        let rows = kind.name.contains("rows");
        if rows {
            report.ratio(
                &format!("{}: CPU, 1,000,000 : 10,000", kind.name),
                many.cpu.ratio(&few.cpu),
                "≤ 1.5",
            );
        }
    }
    report.close()
}

fn measure(server: &Server, kinds: &[Kind]) -> anyhow::Result<Vec<Taken>> {
    let mut taken: Vec<Taken> = kinds
        .iter()
        .map(|kind| Taken::new(server.name, kind))
        .collect();
    for (round, _) in (0..ROUNDS).enumerate() {
        for (kind, taken) in kinds.iter().zip(&mut taken) {
            taken.round(server, kind, 200, round * 200)?;
        }
    }
    Ok(taken)
}

fn kinds(studies: u32) -> Vec<Kind> {
    // never the same twice, so that no answer can be remembered
    let each = |make: &dyn Fn(u32) -> String| -> Vec<String> {
        let unlike = |n: u32| {
            let path = make(n % 20 * studies / 20);
            let mark = if path.contains('?') { '&' } else { '?' };
            format!("{path}{mark}accept=n{n}")
        };
        (0..2000).map(unlike).collect()
    };
    let kind = |name, paths| Kind {
        name,
        paths,
        accept: JSON,
        clients: 1,
    };
    let day = |n| date(n, studies);
    vec![
        kind(
            "accession number",
            each(&|n| format!("/studies?AccessionNumber=A{n:07}")),
        ),
        kind(
            "whole name",
            each(&|n| format!("/studies?PatientName={}", name(n))),
        ),
        kind(
            "beginning of a name",
            each(&|n| {
                format!(
                    "/studies?PatientName={}*&limit=20",
                    name(n).get(..4).unwrap_or("S")
                )
            }),
        ),
        kind(
            "middle of a name",
            each(&|n| {
                let name = name(n);
                let (_, given) = name.split_once("%5E").unwrap_or_default();
                format!("/studies?PatientName=*{given}*&limit=20")
            }),
        ),
        kind(
            "one day",
            each(&|n| format!("/studies?StudyDate={}", day(n))),
        ),
        kind(
            "20 rows of studies since a day",
            each(&|n| format!("/studies?StudyDate={}-&limit=20", day(n / 2))),
        ),
        kind(
            "modality and year",
            each(&|n| {
                format!(
                    "/studies?ModalitiesInStudy=MR&StudyDate={}-&limit=20",
                    day(n / 2)
                )
            }),
        ),
        kind("the latest 20", each(&|_| "/studies?limit=20".to_owned())),
        kind(
            "100 rows of a series",
            each(&|n| format!("/studies/2.25.9.{n}/series/2.25.9.{n}.1/instances")),
        ),
        kind(
            "instances by accession number",
            each(&|n| format!("/instances?AccessionNumber=A{n:07}&limit=20")),
        ),
    ]
}

fn name(number: u32) -> String {
    let number = number as usize;
    let family = NAMES.get(number % NAMES.len()).unwrap_or(&"SMITH");
    let given = GIVEN
        .get(number / NAMES.len() % GIVEN.len())
        .unwrap_or(&"ANNA");
    format!("{family}%5E{given}")
}

/// Days of five years, spread over all studies; months of 28 days.
fn date(number: u32, studies: u32) -> String {
    let day = u64::from(number) * 1680 / u64::from(studies);
    let (year, rest) = (2021 + day / 336, day % 336);
    format!("{year}{:02}{:02}", rest / 28 + 1, rest % 28 + 1)
}

/// A hospital whose gateway has so many studies more than the one that came through its door.
async fn filled(studies: u32) -> anyhow::Result<Hospital> {
    let hospital = Hospital::start(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 30..31, "CAUSEWAY").await?;
    hospital
        .reader
        .wait_ready(&study.study(), Duration::from_secs(60))
        .await?;
    let mut rows = hospital.gateway_rows().await?;
    sqlx::raw_sql("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000")
        .execute(&mut rows)
        .await?;
    for number in 0..studies {
        add(&mut rows, number, studies).await?;
    }
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut rows)
        .await?;
    rows.close().await?;
    Ok(hospital)
}

async fn add(rows: &mut SqliteConnection, number: u32, studies: u32) -> anyhow::Result<()> {
    let who = name(number).replace("%5E", "^");
    let uid = format!("2.25.9.{number}");
    let mut tx = rows.begin().await?;
    sqlx::query(
        "INSERT INTO study (site_id, agreement_id, study_uid, purpose, priority, case_code, patient_id, patient_name, name_folded,
             birth_date, sex, study_date, study_time, accession, study_id, description, referrer, first_us, last_us)
         SELECT site_id, agreement_id, $1, 'comparison', 'routine', case_code, $2, $3, $4, birth_date, sex, $5, '093000', $6, study_id,
             description, referrer, first_us, last_us FROM study WHERE study_uid NOT LIKE '2.25.9.%'",
    )
    .bind(&uid)
    .bind(format!("P{:06}", number / 3))
    .bind(&who)
    .bind(folded(&who))
    .bind(date(number, studies))
    .bind(format!("A{number:07}"))
    .execute(&mut *tx)
    .await?;
    for (series, modality) in (0..5).zip(MODALITIES.iter().cycle().skip(number as usize % 4)) {
        sqlx::query(
            "INSERT INTO series (site_id, agreement_id, study_uid, series_uid, modality, number, description, body_part, instances)
             SELECT site_id, agreement_id, $1, $1 || '.' || $2, $3, $2, description, body_part, 100 FROM series WHERE study_uid NOT LIKE '2.25.9.%'",
        )
        .bind(&uid)
        .bind(series)
        .bind(modality)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             INSERT INTO instance (site_id, agreement_id, sop_uid, study_uid, series_uid, sop_class, transfer_syntax, number, frames,
                 image_rows, image_columns, bits_allocated, length, sent_digest, source_tag, blob_key, pixels, metadata, received_us)
             SELECT site_id, agreement_id, $1 || '.' || $2 || '.' || i, $1, $1 || '.' || $2, sop_class, transfer_syntax, i, frames,
                 image_rows, image_columns, bits_allocated, length, sent_digest, source_tag, blob_key, pixels, metadata, received_us
             FROM n, (SELECT * FROM instance WHERE study_uid NOT LIKE '2.25.9.%' LIMIT 1)",
        )
        .bind(&uid)
        .bind(series)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(())
}
