//! Every malformed file offered to the agent: both processes stay alive, memory stays bounded, each file gets an answer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::sender::Outcome;
use causeway_tests::shared;

/// More than the agent may ever need for one bad file.
const PEAK_KIB: u64 = 256 * 1024;

#[tokio::test]
async fn every_bad_file_gets_an_answer_and_breaks_nothing() -> anyhow::Result<()> {
    let Some(folder) = shared::dicom("bad") else {
        return Ok(());
    };
    let hospital = Hospital::start(Behaviour::default()).await?;
    let mut answers = BTreeMap::<String, Vec<String>>::new();
    for file in shared::files(&folder) {
        let answer = offer(&hospital, &file).await;
        let name = file
            .strip_prefix(&folder)
            .unwrap_or(&file)
            .display()
            .to_string();
        answers.entry(answer).or_default().push(name);
    }
    for (answer, files) in &answers {
        println!("{:4}  {answer}\n      such as {}", files.len(), files[0]);
    }
    for (what, process) in [
        ("agent", &hospital.stack.agent),
        ("gateway", &hospital.stack.gateway),
    ] {
        let peak = process.peak_kib()?;
        println!("{what}: peak memory {} MiB", peak / 1024);
        assert!(peak < PEAK_KIB, "{what} used {peak} KiB");
    }
    let study = hospital.study(1);
    assert!(
        hospital
            .send(&study, 0..1, "CAUSEWAY")
            .await?
            .iter()
            .all(causeway_tests::sender::Answer::stored)
    );
    hospital.close().await
}

async fn offer(hospital: &Hospital, file: &PathBuf) -> String {
    match hospital
        .send_files(std::slice::from_ref(file), "CW_PRIOR")
        .await
    {
        Ok(answers) => match answers.first().map(|answer| &answer.outcome) {
            Some(Outcome::Status(status, comment)) => format!("{status:04X} {comment}"),
            Some(other) => format!("{other:?}"),
            None => "nothing was sent".to_owned(),
        },
        Err(error) => format!("not sendable: {:#}", error.root_cause()),
    }
}
