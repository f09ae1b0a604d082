//! Dates that are shifted (P11): no true date of a patient reaches the gateway, none is signed, and the report comes home with its own.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use causeway_proto::dataset::Dataset;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom::{self, Identity};
use causeway_tests::reader::sample_report;
use causeway_tests::sender::file;
use causeway_tests::stack::{log, wait_until};
use dicom_core::Tag;
use memchr::memmem;
use reqwest::StatusCode;

use crate::protected::files_under;

const A_MINUTE: Duration = Duration::from_secs(60);
const STUDY_DATE: Tag = Tag(0x0008, 0x0020);

/// Two studies of one patient, so far apart that no shift makes one day of the other.
fn studies() -> [Identity; 2] {
    ["20130301", "20240312"].map(|day| {
        let number = &day[6..];
        let mut identity = Identity::sample(&format!("2.25.4711.{number}"), day, "093000");
        identity.accession = format!("TEST-ACC-{number}");
        identity
    })
}

#[tokio::test]
async fn no_true_date_reaches_the_gateway_and_the_report_comes_home_with_its_own()
-> anyhow::Result<()> {
    let hospital = Hospital::shifting_dates(Behaviour::default()).await?;
    let folder = hospital.stack.options.folder.clone();
    let [prior, current] = studies();
    let mut sent = Vec::new();
    for (identity, called) in [(&prior, "CW_PRIOR"), (&current, "CAUSEWAY")] {
        let at = folder.join(format!("sent-{called}"));
        let files = phantom::write_slices(&at, identity, 0..3)?;
        for answer in hospital.send_files(&files, called).await? {
            assert!(answer.stored(), "{answer:?}");
        }
        sent.extend(files);
    }
    let task = hospital.claimed_with_draft(&current.study()).await?;
    the_prior_is_named_by_its_interval(&hospital, &task.case).await?;
    a_date_is_not_signed(&hospital, &task.case).await?;
    let preview = hospital.reader.preview(&task.case, "final").await?;
    let text = preview["text"].as_str().context("no text")?;
    let remark = "dates are shifted; intervals within this patient are true";
    assert!(text.contains(remark), "{text}");
    let signed = hospital.reader.sign(&task.case, "final", &preview).await?;
    signed.ok().context("signing")?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;

    let reports = hospital.reports(&current.study());
    let [report] = reports.as_slice() else {
        anyhow::bail!("one report, not {}: {}", reports.len(), hospital.logs());
    };
    let report = file::read(report, 0)?;
    let report = Dataset::read(&report.bytes, &report.syntax.parse()?)?;
    assert_eq!(report.code(STUDY_DATE), "20240312");
    assert!(report.get(Tag(0x0012, 0x0064)).is_none());

    let dates = dates_of(&sent)?;
    assert!(dates.len() >= 3, "{dates:?}");
    let places = [folder.join("gateway-data"), log(&folder, "gateway")];
    let files = files_under(&places)?;
    for path in files {
        let bytes = std::fs::read(&path)?;
        for date in &dates {
            assert!(
                memmem::find(&bytes, date.as_bytes()).is_none(),
                "{date} in {}",
                path.display()
            );
        }
    }
    hospital.close().await
}

/// Every day in DA and DT of what was sent, as DICOM and as people write it.
fn dates_of(files: &[std::path::PathBuf]) -> anyhow::Result<BTreeSet<String>> {
    let mut days = BTreeSet::new();
    for path in files {
        let object = file::read(path, 0)?;
        let object = Dataset::read(&object.bytes, &object.syntax.parse()?)?;
        for (tag, element) in object.iter() {
            if ["DA", "DT"].contains(&element.vr.to_string()) {
                days.extend(object.code(tag).get(..8).map(str::to_owned));
            }
        }
    }
    let mut out = BTreeSet::new();
    for day in days {
        let (year, month, date) = (&day[..4], &day[4..6], &day[6..]);
        out.insert(format!("{year}-{month}-{date}"));
        out.insert(format!("{date}.{month}.{year}"));
        out.insert(day.clone());
    }
    Ok(out)
}

async fn the_prior_is_named_by_its_interval(hospital: &Hospital, case: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/cases/{case}");
    let page = wait_until(
        "the prior to stand on the case page",
        A_MINUTE,
        async || {
            let page = hospital.reader.get(&path).await?;
            let studies = page["studies"].as_array().map_or(0, Vec::len);
            Ok((studies == 2).then_some(page))
        },
    )
    .await?;
    let interval = &page["studies"][1]["interval"];
    assert_eq!(interval, "4029 days before this study, about 11 years");
    assert_eq!(page["studies"][0]["interval"], "dates shifted");
    assert_eq!(page["studies"][0]["date"], "");
    Ok(())
}

async fn a_date_is_not_signed(hospital: &Hospital, case: &str) -> anyhow::Result<()> {
    let mut text = sample_report();
    text["comparison"] = "CT of 1 March 2013.".into();
    hospital.reader.write_draft(case, text).await?;
    let preview = hospital.reader.preview(case, "final").await?;
    let refused = hospital.reader.sign(case, "final", &preview).await?;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert!(
        refused.body.to_string().contains("comparison"),
        "{}",
        refused.body
    );
    let mut text = sample_report();
    text["comparison"] = "Prior 1, 4029 days before this study.".into();
    hospital.reader.write_draft(case, text).await?;
    Ok(())
}
