//! UIDs stay at home as well: none of the site reaches the gateway, objects still refer to one another there, and the report is filed
//! under the study of the site, by a document of the site that names the signed one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use causeway_proto::dataset::{Dataset, Value};
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::planted;
use causeway_tests::reader::Task;
use causeway_tests::sender::Answer;
use causeway_tests::sender::file;
use causeway_tests::stack::{log, wait_until};
use causeway_tests::tools::run;
use dicom_core::{Tag, VR};
use memchr::memmem;
use serde_json::json;

use crate::protected::walk;
use causeway_tests::reader::only_part;

const A_MINUTE: Duration = Duration::from_secs(60);
const STUDY: Tag = Tag(0x0020, 0x000D);
const SERIES: Tag = Tag(0x0020, 0x000E);
const INSTANCE: Tag = Tag(0x0008, 0x0018);
const REFERENCED: Tag = Tag(0x0008, 0x1155);
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

#[tokio::test]
async fn no_uid_of_the_site_reaches_the_gateway_and_the_report_is_filed_under_its_study()
-> anyhow::Result<()> {
    let hospital = Hospital::renaming(Behaviour::default()).await?;
    let folder = hospital.stack.options.folder.clone();
    let (mut files, _) = planted::write(&folder.join("planted"))?;
    sent(&hospital, &files).await?;
    let first = ready(&hospital, &[]).await?;
    let page = hospital
        .reader
        .get(&format!("/api/v1/cases/{}", first.case))
        .await?;
    let withheld = page["studies"][0]["withheld"].to_string();
    assert!(!withheld.contains("UID"), "withheld: {withheld}");

    let later = referring(&folder, &files[0])?;
    sent(&hospital, std::slice::from_ref(&later)).await?;
    files.push(later);
    let second = ready(&hospital, &[&first]).await?;
    refers(&hospital, &second, &first).await?;

    let report = signed(&hospital, &first).await?;
    both_verify(&hospital, &report).await?;
    let homes = homes(&files)?;
    assert!(homes.len() > 10, "{homes:?}");
    let found = found(
        &homes,
        &[folder.join("gateway-data"), log(&folder, "gateway")],
    )?;
    assert!(found.is_empty(), "at the gateway: {found:#?}");
    hospital.close().await
}

async fn sent(hospital: &Hospital, files: &[PathBuf]) -> anyhow::Result<()> {
    let answers = hospital.send_files(files, "CAUSEWAY").await?;
    anyhow::ensure!(answers.iter().all(Answer::stored), "{answers:?}");
    Ok(())
}

/// The one task that is ready beside the known ones: nobody but the site knows under which UID to look for it.
async fn ready(hospital: &Hospital, known: &[&Task]) -> anyhow::Result<Task> {
    wait_until("another task to be ready", A_MINUTE, async || {
        let list = hospital.reader.get("/api/v1/worklist").await?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let uids = items
            .iter()
            .filter_map(|item| item["studies"][0]["uid"].as_str());
        let tasks = uids.filter_map(|uid| causeway_tests::reader::find_task(&list, uid));
        let mut others = tasks.filter(|task| !known.iter().any(|it| it.case == task.case));
        Ok(others.next().filter(|task| task.readiness == "READY"))
    })
    .await
    .with_context(|| hospital.logs())
}

fn study_of(task: &Task) -> String {
    let uid = task.line["studies"][0]["uid"].as_str();
    uid.unwrap_or_default().to_owned()
}

/// Another study of the same patient, which refers to an image of the first and names it in its comments.
fn referring(folder: &Path, first: &Path) -> anyhow::Result<PathBuf> {
    let read = file::read(first, 0)?;
    let mut dataset = Dataset::read(&read.bytes, &read.syntax.parse()?)?;
    let reference = |class: &str, uid: &str| {
        let mut item = Dataset::new();
        item.put_text(Tag(0x0008, 0x1150), VR::UI, class);
        item.put_text(REFERENCED, VR::UI, uid);
        item
    };
    let (study, instance) = (dataset.code(STUDY), dataset.code(INSTANCE));
    let image = reference(&read.class, &instance);
    dataset.put_items(Tag(0x0008, 0x1140), vec![image]);
    let of = reference("1.2.840.10008.3.1.2.3.1", &study);
    dataset.put_items(Tag(0x0008, 0x1110), vec![of]);
    let comment = format!("compared with {study}");
    dataset.put(
        Tag(0x0020, 0x4000),
        VR::LT,
        Value::Bytes(comment.into_bytes()),
    );
    for (tag, uid) in [
        (STUDY, "2.25.993322.1"),
        (SERIES, "2.25.993322.2"),
        (INSTANCE, "2.25.993322.3"),
    ] {
        dataset.put_text(tag, VR::UI, uid);
    }
    let bytes = file::part10(&read.class, "2.25.993322.3", EXPLICIT, &dataset.write())?;
    let path = folder.join("referring.dcm");
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// What the gateway has of a study refers to what it has of another.
async fn refers(hospital: &Hospital, from: &Task, to: &Task) -> anyhow::Result<()> {
    let found = hospital
        .reader
        .get(&format!("/dicomweb/studies/{}/instances", study_of(from)))
        .await?;
    let uid = |tag: &str| {
        let value = found.pointer(&format!("/0/{tag}/Value/0"));
        value.and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let (series, instance) = uid("0020000E").zip(uid("00080018")).context("no image")?;
    let path = format!(
        "/dicomweb/studies/{}/series/{series}/instances/{instance}",
        study_of(from)
    );
    let accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
    let (status, kind, body) = hospital.reader.bytes(&path, accept).await?;
    anyhow::ensure!(status.is_success(), "{status}");
    let fetched = hospital.stack.options.folder.join("fetched.dcm");
    std::fs::write(&fetched, only_part(&kind, &body).context("no part")?)?;
    let read = file::read(&fetched, 0)?;
    let dataset = Dataset::read(&read.bytes, &read.syntax.parse()?)?;
    let study = study_of(to);
    // Table E.1-1 takes this one out when UIDs are not retained
    assert!(dataset.items(Tag(0x0008, 0x1110)).is_empty());
    let image = dataset.items(Tag(0x0008, 0x1140))[0].code(REFERENCED);
    let there = format!("/dicomweb/studies/{study}/instances?SOPInstanceUID={image}");
    let found = hospital.reader.get(&there).await?;
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    let comment = dataset.code(Tag(0x0020, 0x4000));
    assert_eq!(comment, format!("compared with {study}"));
    let methods = dataset.items(Tag(0x0012, 0x0064));
    let retained = |item: &Dataset| item.code(Tag(0x0008, 0x0100)) == "113110";
    assert!(!methods.iter().any(retained), "says that UIDs are retained");
    Ok(())
}

/// Reads and signs, and waits until the PACS has the report. Answers its name at the gateway.
async fn signed(hospital: &Hospital, task: &Task) -> anyhow::Result<String> {
    hospital.reader.claim(task).await?;
    let draft = causeway_tests::reader::sample_report();
    hospital.reader.write_draft(&task.case, draft).await?;
    let preview = hospital.reader.preview(&task.case, "final").await?;
    let signed = hospital
        .reader
        .sign(&task.case, "final", &preview)
        .await?
        .ok()?;
    let delivered = hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE);
    delivered.await.with_context(|| hospital.logs())?;
    let report = signed["report"].as_str().context("no report")?;
    Ok(report.to_owned())
}

/// The document of the site in the PACS, and the signed one at the gateway and in the archive of the site.
async fn both_verify(hospital: &Hospital, report: &str) -> anyhow::Result<()> {
    let folder = &hospital.stack.options.folder;
    let (status, _, body) = hospital
        .reader
        .bytes(&format!("/api/v1/reports/{report}/sr"), "application/dicom")
        .await?;
    anyhow::ensure!(status.is_success(), "{status}");
    let gateways = folder.join("gateway-report.dcm");
    std::fs::write(&gateways, body)?;
    let signers = folder.join("gateway-data/keys/signer-ca.pem");
    holds(&gateways, &signers).await?;

    let filed = hospital.reports(planted::STUDY);
    let [filed] = filed.as_slice() else {
        anyhow::bail!("one report, not {}: {}", filed.len(), hospital.logs());
    };
    holds(filed, &folder.join("agent-spool/keys/signing.crt")).await?;
    let home = dataset(filed)?;
    let signed = dataset(&gateways)?;
    let set = home.character_set();
    let text = |group, element| home.text(Tag(group, element), &set);
    assert_eq!(text(0x0010, 0x0010), planted::NAME);
    assert_eq!(text(0x0010, 0x0020), planted::PATIENT_ID);
    assert_eq!(text(0x0008, 0x0050), planted::ACCESSION);
    assert_ne!(home.code(INSTANCE), signed.code(INSTANCE));
    assert_ne!(signed.code(STUDY), planted::STUDY);
    let before = home
        .items(Tag(0x0040, 0xA360))
        .last()
        .context("no predecessor")?;
    assert_eq!(before.code(STUDY), signed.code(STUDY));
    let series = &before.items(Tag(0x0008, 0x1115))[0];
    let named = series.items(Tag(0x0008, 0x1199))[0].code(REFERENCED);
    assert_eq!(named, signed.code(INSTANCE));

    let archived = folder.join("archived.dcm");
    let (uid, to) = (home.code(INSTANCE), archived.display().to_string());
    let export = ["reports", "export", "--report", &uid, "--to", &to];
    hospital.stack.agent_cli(&export).await?;
    assert!(dataset(&archived)? == signed, "not the signed document");
    holds(&archived, &signers).await?;
    let again = hospital
        .send_files(std::slice::from_ref(filed), "CAUSEWAY")
        .await?;
    assert!(again.iter().all(Answer::stored), "{again:?}");
    Ok(())
}

fn dataset(path: &Path) -> anyhow::Result<Dataset> {
    let read = file::read(path, 0)?;
    Ok(Dataset::read(&read.bytes, &read.syntax.parse()?)?)
}

async fn holds(report: &Path, trusted: &Path) -> anyhow::Result<()> {
    let (file, trusted) = (report.display().to_string(), trusted.display().to_string());
    let arguments = ["-v", "--verify", "+rs", "+cf", &trusted, &file];
    let said = run("dcmsign", &arguments).await?;
    anyhow::ensure!(said.code == Some(0), "{file}: {}", said.text);
    let good = "1 signatures verified in dataset, 0 corrupted";
    anyhow::ensure!(said.text.contains(good), "{file}: {}", said.text);
    Ok(())
}

/// The UIDs by which the site names what it sent: of studies, series, instances, frames of reference, and whatever is referred to.
fn homes(files: &[PathBuf]) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for file in files {
        collect(&dataset(file)?, &mut found);
    }
    Ok(found)
}

fn collect(dataset: &Dataset, found: &mut BTreeSet<String>) {
    for (tag, element) in dataset.iter() {
        match &element.value {
            Value::Items(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Bytes(_) if element.vr == VR::UI => {
                let uid = dataset.code(tag);
                if !uid.is_empty() && !uid.starts_with("1.2.840.10008.") {
                    found.insert(uid);
                }
            }
            Value::Bytes(_) | Value::Fragments(_) => {}
        }
    }
}

/// Every UID that stands in a file, with the file.
fn found(uids: &BTreeSet<String>, places: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for place in places {
        walk(place, &mut files)?;
    }
    anyhow::ensure!(files.len() > 3, "the gateway's folder is nearly empty");
    let mut hits = Vec::new();
    for path in files {
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        for uid in uids {
            let wide: Vec<u8> = uid.encode_utf16().flat_map(u16::to_le_bytes).collect();
            if [uid.as_bytes(), &wide]
                .iter()
                .any(|it| memmem::find(&bytes, it).is_some())
            {
                hits.push(format!("{uid} in {}", path.display()));
            }
        }
    }
    Ok(hits)
}

#[tokio::test]
async fn what_is_cut_goes_on_and_letters_and_recalls_find_their_case() -> anyhow::Result<()> {
    let mut hospital = Hospital::renaming(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..12, "CAUSEWAY").await?;
    hospital.stack.restart_gateway().await?;
    hospital.send(&study, 12..20, "CAUSEWAY").await?;
    hospital.stack.restart_agent().await?;
    let task = ready(&hospital, &[]).await?;
    let path = format!("/dicomweb/studies/{}/instances", study_of(&task));
    wait_until("all images to be there", A_MINUTE, async || {
        let found = hospital.reader.get(&path).await?;
        Ok((found.as_array().map(Vec::len) == Some(20)).then_some(()))
    })
    .await
    .with_context(|| hospital.logs())?;
    let list = hospital.reader.get("/api/v1/worklist").await?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");

    let case = format!("/api/v1/cases/{}", task.case);
    let words = format!("Are there more images of {}?", study_of(&task));
    hospital
        .reader
        .post(&format!("{case}/letters"), json!({ "text": words }))
        .await?;
    wait_until("the letter to be at the site", A_MINUTE, async || {
        let page = hospital.reader.get(&case).await?;
        let state = page["letters"][0]["state"].clone();
        Ok((state == json!("at-site")).then_some(()))
    })
    .await
    .with_context(|| hospital.logs())?;

    let recall = ["recall", &task.code, "--reason", "wrong patient"];
    hospital.stack.agent_cli(&recall).await?;
    let erased = wait_until("the receipt of the recall", A_MINUTE, async || {
        let said = hospital
            .stack
            .agent_cli(&["where", &task.code, "--json"])
            .await?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        Ok(said
            .pointer("/0/erasure")
            .filter(|it| !it.is_null())
            .cloned())
    })
    .await
    .with_context(|| hospital.logs())?;
    assert_eq!(erased["objects"], json!(20));
    let folder = hospital.stack.options.folder.clone();
    let homes = BTreeSet::from([study.study(), study.instance(0), study.instance(19)]);
    let found = found(
        &homes,
        &[folder.join("gateway-data"), log(&folder, "gateway")],
    )?;
    assert!(found.is_empty(), "at the gateway: {found:#?}");
    hospital.close().await
}
