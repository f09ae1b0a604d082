//! The identity stays at home: a study full of names goes out, a signed report comes back to the real patient.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use causeway_certs::keep;
use causeway_proto::dataset::Dataset;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::planted::{self, SECRETS, spellings};
use causeway_tests::sender::file;
use causeway_tests::stack::log;
use causeway_tests::tools::{Said, run};
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
    originals_come_back(&hospital, &files).await?;
    let found = found(&places, &SECRETS)?;
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

/// From an object at the gateway and the hospital's key alone, by our program and by openssl; never with a key of the gateway.
async fn originals_come_back(hospital: &Hospital, files: &[PathBuf]) -> anyhow::Result<()> {
    let folder = &hospital.stack.options.folder;
    let sent = file::read(&files[0], 0)?;
    let received = Dataset::read(&sent.bytes, &sent.syntax.parse()?)?;
    let series = received.code(Tag(0x0020, 0x000E));
    let path = format!(
        "/dicomweb/studies/{}/series/{series}/instances/{}",
        planted::STUDY,
        sent.instance
    );
    let part = hospital.reader.object(&path).await?.context("not there")?;
    let fetched = folder.join("fetched.dcm");
    std::fs::write(&fetched, part)?;
    let (from, to) = (fetched.display().to_string(), folder.join("rebuilt.dcm"));
    let arguments = ["open", &from, "--to", &to.display().to_string()];
    hospital.stack.agent_cli(&arguments).await?;
    let rebuilt = file::read(&to, 0)?;
    let rebuilt = Dataset::read(&rebuilt.bytes, &rebuilt.syntax.parse()?)?;
    assert!(rebuilt == received, "not the object that was received");

    let protected = file::read(&fetched, 0)?;
    let protected = Dataset::read(&protected.bytes, &protected.syntax.parse()?)?;
    let item = &protected.items(Tag(0x0400, 0x0500))[0];
    let sealed = folder.join("sealed.der");
    std::fs::write(&sealed, item.bytes(Tag(0x0400, 0x0520)))?;
    let key = folder.join("agent-spool/keys/hospital.key");
    let said = decrypt(&sealed, &key).await?;
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(said.text.contains(planted::PATIENT_ID), "{}", said.text);
    let mut tried = 0;
    for entry in std::fs::read_dir(folder.join("gateway-data/keys"))? {
        let said = decrypt(&sealed, &entry?.path()).await?;
        assert!(
            !said.text.contains(planted::PATIENT_ID),
            "a key of the gateway opens it"
        );
        tried += 1;
    }
    assert!(tried > 1, "the gateway has keys");
    keys_are_exported_once(hospital).await
}

/// Beside the running agent keys are exported, into a new file for its owner alone; they are taken in or rotated only without it.
async fn keys_are_exported_once(hospital: &Hospital) -> anyhow::Result<()> {
    let folder = &hospital.stack.options.folder;
    let (words, to) = (folder.join("passphrase"), folder.join("keys.export"));
    keep::create(&words, "new", "a passphrase that is long enough\n")?;
    let words = words.display().to_string();
    let file = to.display().to_string();
    let export = ["keys", "export", "--to", &file, "--passphrase-file", &words];
    hospital.stack.agent_cli(&export).await?;
    assert_eq!(std::fs::metadata(&to)?.permissions().mode() & 0o777, 0o600);
    assert!(
        hospital.stack.agent_cli(&export).await.is_err(),
        "written over"
    );
    let import = [
        "keys",
        "import",
        "--from",
        &file,
        "--passphrase-file",
        &words,
    ];
    assert!(hospital.stack.agent_cli(&import).await.is_err());
    let rotate = ["keys", "rotate", "--agreement", "a1"];
    assert!(hospital.stack.agent_cli(&rotate).await.is_err());
    Ok(())
}

async fn decrypt(sealed: &Path, key: &Path) -> anyhow::Result<Said> {
    let (sealed, key) = (sealed.display().to_string(), key.display().to_string());
    let arguments = [
        "cms", "-decrypt", "-binary", "-inform", "DER", "-in", &sealed, "-inkey", &key,
    ];
    run("openssl", &arguments).await
}

/// Which of `words`, in every spelling, stand in a file below `places`, with the file.
pub(crate) fn found(places: &[impl AsRef<Path>], words: &[&str]) -> anyhow::Result<Vec<String>> {
    let words: Vec<(&str, Vec<Vec<u8>>)> =
        words.iter().map(|word| (*word, spellings(word))).collect();
    let files = files_under(places)?;
    let mut hits = Vec::new();
    for path in files {
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        for (word, spellings) in &words {
            if holds(&bytes, spellings) {
                hits.push(format!("{word} in {}", path.display()));
            }
        }
    }
    Ok(hits)
}

/// Every file of the gateway's folder and log.
pub(crate) fn files_under(places: &[impl AsRef<Path>]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for place in places {
        walk(place.as_ref(), &mut files)?;
    }
    anyhow::ensure!(files.len() > 3, "the gateway's folder is nearly empty");
    Ok(files)
}

/// Whether one of `words` stands in the bytes.
pub(crate) fn holds(bytes: &[u8], words: &[Vec<u8>]) -> bool {
    words.iter().any(|one| memmem::find(bytes, one).is_some())
}

pub(crate) fn walk(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        walk(&entry?.path(), files)?;
    }
    Ok(())
}
