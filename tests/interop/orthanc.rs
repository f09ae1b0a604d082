//! Orthanc is the hospital's PACS: it sends a prior and a current study by its own REST call, and the signed report comes back.

use std::path::Path;
use std::time::Duration;

use causeway_tests::reader::{Reader, find_task};
use causeway_tests::stack::{Options, PacsAddress, Stack, build, wait_until};
use causeway_tests::tools::Orthanc;
use causeway_tests::{reader, shared};
use serde_json::json;

use crate::verdicts;

const STUDIES: &str = "studies/ct-head-phantom-philips";

#[tokio::test]
async fn orthanc_sends_a_prior_and_a_study_and_gets_one_signed_report_that_every_judge_accepts()
-> anyhow::Result<()> {
    let Some(studies) = shared::dicom(STUDIES) else {
        return Ok(());
    };
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let folder = tempfile::tempdir()?;
    let orthanc = Orthanc::start(&folder.path().join("orthanc")).await?;
    let stack = start(folder.path(), &orthanc).await?;
    let (prior, current) = send_both(&orthanc, &stack, &studies).await?;

    let rita = Reader::sign_in(&stack.url(), "reader", &stack.password).await?;
    let task = rita.wait_ready(&current, Duration::from_secs(120)).await?;
    let list = rita.get("/api/v1/worklist").await?;
    assert!(find_task(&list, &prior).is_none(), "the prior made a task");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    let page = rita.get(&format!("/api/v1/cases/{}", task.case)).await?;
    let role = |uid: &str| {
        page["studies"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|study| study["uid"] == uid)
            .map(|study| study["role"].clone())
    };
    assert_eq!(
        (role(&current), role(&prior)),
        (Some(json!("current")), Some(json!("prior")))
    );

    rita.claim(&task).await?;
    rita.write_draft(&task.case, reader::sample_report())
        .await?;
    let preview = rita.preview(&task.case, "final").await?;
    let signed = rita.sign(&task.case, "final", &preview).await?.ok()?;
    gateways_own(&rita, &signed["report"], folder.path()).await?;
    rita.wait_delivery(&task.case, "delivered", Duration::from_secs(60))
        .await?;

    let found = wait_until(
        "the report to stand in Orthanc",
        Duration::from_secs(30),
        async || {
            let found = orthanc
                .find(
                    "Instance",
                    json!({"StudyInstanceUID": current, "Modality": "SR"}),
                )
                .await?;
            Ok((!found.is_empty()).then_some(found))
        },
    )
    .await?;
    assert_eq!(found.len(), 1, "one report, not {}", found.len());
    let report = folder.path().join("report.dcm");
    std::fs::write(
        &report,
        orthanc
            .bytes(&format!("/instances/{}/file", found[0]))
            .await?,
    )?;
    verdicts::all_accept(
        &report,
        &folder.path().join("gateway-data/keys/signer-ca.pem"),
        folder.path(),
    )
    .await?;
    stack.stop().await?;
    orthanc.stop().await
}

/// The gateway's document, as a reader gets it, is under a pseudonym and holds before `dcmsign`; the restored one, under the
/// patient's name, does so below.
async fn gateways_own(
    rita: &Reader,
    report: &serde_json::Value,
    folder: &Path,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/reports/{}/sr", report.as_str().unwrap_or_default());
    let (status, _, body) = rita.bytes(&path, "application/dicom").await?;
    assert!(status.is_success(), "{status}");
    let file = folder.join("gateway-report.dcm");
    std::fs::write(&file, body)?;
    let object = dicom_object::open_file(&file)?;
    let removed = object.element(dicom_dictionary_std::tags::PATIENT_IDENTITY_REMOVED)?;
    assert_eq!(removed.to_str()?.trim(), "YES");
    let ca = folder.join("gateway-data/keys/signer-ca.pem");
    verdicts::signature_holds(&file, &ca, folder).await
}

/// Fills Orthanc with both studies and has it send them, the older one to be compared with.
async fn send_both(
    orthanc: &Orthanc,
    stack: &Stack,
    studies: &Path,
) -> anyhow::Result<(String, String)> {
    orthanc
        .add_modality("causeway", "CAUSEWAY", &stack.dicom())
        .await?;
    orthanc
        .add_modality("causeway-prior", "CW_PRIOR", &stack.dicom())
        .await?;
    let prior = fill(orthanc, &studies.join("study1-prior")).await?;
    let current = fill(orthanc, &studies.join("study2-current")).await?;
    orthanc.send(&prior, "causeway-prior").await?;
    orthanc.send(&current, "causeway").await?;
    Ok((prior, current))
}

/// A stack whose PACS is Orthanc, which is asked whose a report is.
pub(crate) async fn start(folder: &Path, orthanc: &Orthanc) -> anyhow::Result<Stack> {
    let pacs = PacsAddress {
        ae_title: Orthanc::AE_TITLE.to_owned(),
        address: orthanc.dicom().to_owned(),
    };
    Stack::start(Options {
        folder: folder.to_owned(),
        binaries: build::binaries().await?,
        pacs,
        viewer: None,
        legacy_headings: true,
        identified: false,
        shifts_dates: false,
        replaces_uids: false,
        asks_pacs: true,
        page_image: "always",
        far: None,
        gateway_lines: String::new(),
        floors: "",
    })
    .await
}

/// Fills Orthanc with every file of a folder and returns the study's UID.
async fn fill(orthanc: &Orthanc, folder: &Path) -> anyhow::Result<String> {
    let mut study = String::new();
    for file in shared::files(folder) {
        orthanc.put(&file).await?;
        let object = dicom_object::OpenFileOptions::new()
            .read_until(dicom_dictionary_std::tags::PIXEL_DATA)
            .open_file(&file)?;
        study = object
            .element(dicom_dictionary_std::tags::STUDY_INSTANCE_UID)?
            .to_str()?
            .trim_end_matches('\0')
            .to_owned();
    }
    Ok(study)
}
