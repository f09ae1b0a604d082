//! A PACS that answers C-FIND corrects the name between sending and signing (P24, P3): the report is filed as the PACS spells it then.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::phantom::{self, Identity};
use causeway_tests::reader::{self, Reader};
use causeway_tests::stack::{Stack, wait_until};
use causeway_tests::tools::Orthanc;
use dicom_dictionary_std::tags;
use serde_json::json;

use crate::{orthanc, verdicts};

const A_MINUTE: Duration = Duration::from_secs(60);

/// Orthanc holds the study under this header from now on, and under no other.
async fn hold(orthanc: &Orthanc, study: &Identity, folder: &Path) -> anyhow::Result<()> {
    let query = json!({ "StudyInstanceUID": study.study() });
    for old in orthanc.find("Study", query).await? {
        orthanc.delete(&format!("/studies/{old}")).await?;
    }
    for file in phantom::write_slices(folder, study, 0..2)? {
        orthanc.put(&file).await?;
    }
    Ok(())
}

/// The one report of the study that Orthanc holds, as a file.
async fn report(orthanc: &Orthanc, study: &str, to: &Path) -> anyhow::Result<()> {
    let query = json!({ "StudyInstanceUID": study, "Modality": "SR" });
    let found = wait_until("the report to stand in Orthanc", A_MINUTE, async || {
        let found = orthanc.find("Instance", query.clone()).await?;
        Ok((!found.is_empty()).then_some(found))
    })
    .await?;
    let [report] = found.as_slice() else {
        anyhow::bail!("{} reports", found.len());
    };
    let bytes = orthanc.bytes(&format!("/instances/{report}/file")).await?;
    Ok(std::fs::write(to, bytes)?)
}

/// Claims the study and signs it; in between the hospital corrects who it is: once by sending it again, once without a word.
async fn signed_meanwhile(
    orthanc: &Orthanc,
    stack: &Stack,
    study: &mut Identity,
    folder: &Path,
) -> anyhow::Result<()> {
    let rita = Reader::sign_in(&stack.url(), "reader", &stack.password).await?;
    let task = rita.wait_ready(&study.study(), A_MINUTE * 2).await?;
    rita.claim(&task).await?;
    rita.write_draft(&task.case, reader::sample_report())
        .await?;
    let preview = rita.preview(&task.case, "final").await?;
    study.patient_name = "CORRECTED^NAME".to_owned();
    hold(orthanc, study, folder).await?;
    orthanc.send(&study.study(), "causeway").await?;
    study.patient_name = "Corrected-Later^Nora".to_owned();
    hold(orthanc, study, folder).await?;

    let signed = rita.sign(&task.case, "final", &preview).await?;
    signed.ok().context("a name is no reason to read again")?;
    rita.wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    let page = rita.get(&format!("/api/v1/cases/{}", task.case)).await?;
    let of = &page["studies"][0];
    ensure!(of["quarantined"] == json!([]), "{}", of["quarantined"]);
    ensure!(of["remarks"] == json!([]), "{}", of["remarks"]);
    let status = stack.agent_cli(&["status", "--json"]).await?;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    let queue = &status["queue"];
    ensure!(queue["corrections"] == 2, "{queue}");
    ensure!(queue["conflicts"] == 0, "{queue}");
    Ok(())
}

#[tokio::test]
async fn a_name_corrected_before_signing_is_filed_as_the_pacs_spells_it() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let folder = tempfile::tempdir()?;
    let orthanc = Orthanc::start(&folder.path().join("orthanc")).await?;
    let stack = orthanc::start(folder.path(), &orthanc).await?;
    orthanc
        .add_modality("causeway", "CAUSEWAY", &stack.dicom())
        .await?;
    let mut study = Identity::sample("2.25.4711.24", "20261121", "093000");
    study.patient_id = "CW-4711".to_owned();
    study.patient_name = "MISSPELT^NAME".to_owned();
    let files = folder.path().join("study");
    hold(&orthanc, &study, &files).await?;
    orthanc.send(&study.study(), "causeway").await?;
    signed_meanwhile(&orthanc, &stack, &mut study, &files).await?;

    let file = folder.path().join("report.dcm");
    report(&orthanc, &study.study(), &file).await?;
    let object = dicom_object::open_file(&file)?;
    let text = |tag| -> anyhow::Result<String> {
        let value = object.element(tag)?.to_str()?;
        Ok(value.trim_matches([' ', '\0']).to_owned())
    };
    assert_eq!(text(tags::PATIENT_NAME)?, "Corrected-Later^Nora");
    assert_eq!(text(tags::PATIENT_ID)?, "CW-4711");
    let ca = folder.path().join("gateway-data/keys/signer-ca.pem");
    verdicts::signature_holds(&file, &ca, folder.path()).await?;
    stack.stop().await?;
    orthanc.stop().await
}
