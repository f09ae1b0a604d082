//! Every real file comes out of the gateway as it went into the agent: WADO-RS returns the identical dataset.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_proto::prescan::{Limits, prescan};
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::sender::file::Dataset;
use causeway_tests::stack::wait_until;
use causeway_tests::{sender, shared};

/// One file and where WADO-RS has it.
struct Sample {
    path: PathBuf,
    dataset: Dataset,
    wado: String,
}

/// The files of the four collections, in rounds in which no UID stands twice; and files that name no legal UIDs.
fn rounds() -> Option<(Vec<Vec<Sample>>, Vec<PathBuf>)> {
    let (mut rounds, mut nameless) = (Vec::<(BTreeSet<String>, Vec<Sample>)>::new(), Vec::new());
    for collection in ["studies", "syntaxes", "charsets", "sr"] {
        for path in shared::files(&shared::dicom(collection)?) {
            let Some(sample) = sample(&path) else {
                nameless.push(path);
                continue;
            };
            let uid = sample.dataset.instance.clone();
            match rounds.iter_mut().find(|(uids, _)| !uids.contains(&uid)) {
                Some((uids, samples)) => {
                    uids.insert(uid);
                    samples.push(sample);
                }
                None => rounds.push((BTreeSet::from([uid]), vec![sample])),
            }
        }
    }
    Some((
        rounds.into_iter().map(|(_, samples)| samples).collect(),
        nameless,
    ))
}

/// Reads what a file is filed under; none when it lacks one of the UIDs or one is not legal.
fn sample(path: &Path) -> Option<Sample> {
    let dataset = sender::dataset(path).ok().filter(|dataset| dataset.named)?;
    let syntax = dataset.syntax.parse().ok()?;
    let scan = prescan(dataset.bytes.as_slice(), &syntax, &Limits::default()).ok()?;
    scan.class?;
    let (study, series, instance) = (scan.study?, scan.series?, scan.instance?);
    let wado = format!("/dicomweb/studies/{study}/series/{series}/instances/{instance}");
    Some(Sample {
        path: path.to_owned(),
        dataset,
        wado,
    })
}

#[tokio::test]
async fn every_real_file_comes_out_as_it_went_in() -> anyhow::Result<()> {
    let Some((rounds, nameless)) = rounds() else {
        return Ok(());
    };
    let mut table = BTreeMap::<String, (usize, usize)>::new();
    let mut differences = Vec::new();
    for (number, samples) in rounds.iter().enumerate() {
        let hospital = Hospital::start(Behaviour::default()).await?;
        let files: Vec<PathBuf> = samples.iter().map(|sample| sample.path.clone()).collect();
        for answer in hospital.send_files(&files, "CW_PRIOR").await? {
            if !answer.stored() {
                differences.push(format!("{}: {:?}", answer.path.display(), answer.outcome));
            }
        }
        for sample in samples {
            let same = fetch(&hospital, sample).await.with_context(|| {
                format!(
                    "round {number}, {}\n{}",
                    sample.path.display(),
                    hospital.logs()
                )
            })?;
            let row = table.entry(sample.dataset.syntax.clone()).or_default();
            row.0 += 1;
            row.1 += usize::from(!same);
            if !same {
                differences.push(format!("{}: other bytes came back", sample.path.display()));
            }
        }
        hospital.close().await?;
    }
    for (syntax, (files, different)) in &table {
        println!("{syntax:24} {files:4} files, {different} differences");
    }
    let total: usize = table.values().map(|row| row.0).sum();
    println!(
        "{total} files in {} rounds, {} differences; {} files without legal UIDs",
        rounds.len(),
        differences.len(),
        nameless.len()
    );
    ensure!(differences.is_empty(), "{differences:#?}");
    ensure!(total > 400, "only {total} files were found");
    answers_of_nameless(&nameless).await
}

/// Waits for an instance to arrive and compares it with the file.
async fn fetch(hospital: &Hospital, sample: &Sample) -> anyhow::Result<bool> {
    let part = wait_until(
        "the instance to be at the gateway",
        Duration::from_secs(60),
        async || hospital.reader.object(&sample.wado).await,
    )
    .await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("returned.dcm");
    std::fs::write(&file, part)?;
    let returned = sender::dataset(&file)?;
    Ok(returned.bytes == sample.dataset.bytes && returned.syntax == sample.dataset.syntax)
}

/// Files without UIDs get an answer of the standard's, one each, and nothing breaks.
async fn answers_of_nameless(nameless: &[PathBuf]) -> anyhow::Result<()> {
    let hospital = Hospital::start(Behaviour::default()).await?;
    for path in nameless {
        match hospital
            .send_files(std::slice::from_ref(path), "CW_PRIOR")
            .await
        {
            Ok(answers) => println!(
                "{}: {:?}",
                path.display(),
                answers.first().map(|answer| &answer.outcome)
            ),
            Err(error) => println!("{}: {error:#}", path.display()),
        }
    }
    hospital.close().await
}
