//! The identity stays at home: a study full of names goes out, a signed report comes back to the real patient.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use causeway_proto::dataset::Dataset;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::planted::{self, SECRETS, spellings};
use causeway_tests::sender::file;
use causeway_tests::stack::log;
use dicom_core::Tag;
use memchr::memmem;

const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn no_word_of_an_identity_reaches_the_gateway_and_the_report_is_filed_under_the_patient()
-> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let folder = hospital.stack.options.folder.clone();
    let (files, places) = planted::write(&folder.join("planted"))?;
    assert!(places >= 40, "planted in {places} places");
    for answer in hospital.send_files(&files, "CAUSEWAY").await? {
        assert!(answer.stored(), "{answer:?}");
    }
    let task = hospital.read_and_sign(planted::STUDY).await?;
    let page = hospital
        .reader
        .get(&format!("/api/v1/cases/{}", task.case))
        .await?;
    let withheld = page["studies"][0]["withheld"].clone();
    assert!(
        withheld.to_string().contains("UID"),
        "the object whose UID holds the patient's number is named as withheld: {withheld}"
    );
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;

    let places = [folder.join("gateway-data"), log(&folder, "gateway")];
    let found = found(&places)?;
    assert!(found.is_empty(), "at the gateway: {found:#?}");

    let reports = hospital.reports(planted::STUDY);
    let [report] = reports.as_slice() else {
        anyhow::bail!("one report, not {}: {}", reports.len(), hospital.logs());
    };
    let report = file::read(report, 0)?;
    let report = Dataset::read(&report.bytes, &report.syntax.parse()?)?;
    let set = report.character_set();
    let text = |group, element| report.text(Tag(group, element), &set);
    assert_eq!(text(0x0010, 0x0010), planted::NAME);
    assert_eq!(text(0x0010, 0x0020), planted::PATIENT_ID);
    assert_eq!(text(0x0010, 0x0030), planted::BIRTH_DATE);
    assert_eq!(text(0x0008, 0x0050), planted::ACCESSION);
    assert_eq!(text(0x0008, 0x0090), planted::REFERRER);
    for mark in [
        (0x0012, 0x0062),
        (0x0012, 0x0063),
        (0x0012, 0x0064),
        (0x0400, 0x0500),
    ] {
        assert!(report.get(Tag(mark.0, mark.1)).is_none(), "{mark:x?} stays");
    }
    hospital.close().await
}

/// Every word of [`SECRETS`] in every spelling that stands in a file, with the file.
fn found(places: &[impl AsRef<Path>]) -> anyhow::Result<Vec<String>> {
    let words: Vec<(&str, Vec<Vec<u8>>)> = SECRETS
        .iter()
        .map(|word| (*word, spellings(word)))
        .collect();
    let mut files = Vec::new();
    for place in places {
        walk(place.as_ref(), &mut files)?;
    }
    anyhow::ensure!(files.len() > 3, "the gateway's folder is nearly empty");
    let mut hits = Vec::new();
    for path in files {
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        for (word, spellings) in &words {
            if spellings
                .iter()
                .any(|one| memmem::find(&bytes, one).is_some())
            {
                hits.push(format!("{word} in {}", path.display()));
            }
        }
    }
    Ok(hits)
}

fn walk(path: &Path, files: &mut Vec<std::path::PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        walk(&entry?.path(), files)?;
    }
    Ok(())
}
