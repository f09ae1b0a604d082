//! A CT comes with a dose page that may show who the patient is, and nobody is at the site (P1): the study is complete without it,
//! the reader says that he knows, signs, and asks the site; what is released later comes as a late image.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_proto::report::outline::outline;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom::{DOSE_PAGE, Identity, write_dose_page};
use causeway_tests::reader::{Task, find_open_task};
use causeway_tests::sender::file;
use causeway_tests::site_page::{SitePage, field};
use causeway_tests::stack::wait_until;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const A_MINUTE: Duration = Duration::from_secs(60);

/// Signs without saying that what is withheld is known.
async fn unknowing(hospital: &Hospital, task: &Task, preview: &Value) -> anyhow::Result<()> {
    let unlock = json!({ "password": hospital.stack.password });
    hospital
        .reader
        .post("/api/v1/signing-key/unlock", unlock)
        .await?;
    let body = json!({
        "status": "final",
        "draft_version": preview["draft_version"],
        "manifest_version": preview["manifest_version"],
        "identity_version": preview["identity_version"],
    });
    let path = format!("/api/v1/cases/{}/sign", task.case);
    let refused = hospital
        .reader
        .send(Method::POST, &path, None, Some(body))
        .await?;
    ensure!(refused.status == StatusCode::CONFLICT, "{}", refused.body);
    ensure!(
        refused.body.to_string().contains("withheld"),
        "{}",
        refused.body
    );
    Ok(())
}

/// The one report of a study in the PACS, as text.
fn report(hospital: &Hospital, study: &str) -> anyhow::Result<String> {
    let reports = hospital.reports(study);
    let [report] = reports.as_slice() else {
        anyhow::bail!("{} reports", reports.len());
    };
    let report = file::read(report, 0)?;
    let lines = outline(&report.bytes, &report.syntax.parse()?)?;
    let lines: Vec<String> = lines.iter().map(|line| line.text.clone()).collect();
    Ok(lines.join("\n"))
}

#[tokio::test]
async fn a_study_is_signed_without_its_dose_page_which_comes_when_it_is_released()
-> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    let page = hospital.stack.options.folder.join("dose-page.dcm");
    write_dose_page(&page, &study)?;
    hospital.send(&study, 0..4, "CAUSEWAY").await?;
    let answers = hospital.send_files(&[page], "CAUSEWAY").await?;
    ensure!(answers.iter().all(|one| one.stored()), "{answers:?}");

    let task = hospital.claimed_with_draft(&study.study()).await?;
    let path = format!("/api/v1/cases/{}", task.case);
    let case = hospital.reader.get(&path).await?;
    let [withheld] = case["studies"][0]["withheld"]
        .as_array()
        .context("withheld")?
        .as_slice()
    else {
        anyhow::bail!("one kind of object is withheld: {case}");
    };
    assert_eq!(
        (&withheld["count"], &withheld["class_name"]),
        (&json!(1), &json!("secondary capture"))
    );
    let reason = withheld["reason"].as_str().context("a reason")?;
    assert!(reason.contains("a secondary capture"), "{reason}");
    let preview = hospital.reader.preview(&task.case, "final").await?;
    unknowing(&hospital, &task, &preview).await?;
    let signed = hospital.reader.sign(&task.case, "final", &preview).await?;
    signed.ok().context("signing, knowing it")?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    let said = report(&hospital, &study.study())?;
    let named = format!("Withheld at the site and not seen: 1 × CT ({reason}).");
    assert!(said.contains(&named), "{said}");

    asked_and_released(&hospital, &study, &task).await?;
    hospital.close().await
}

/// The reader asks; a person at the site reads it where the object is, answers, and lets it go: one more task for what is late.
async fn asked_and_released(
    hospital: &Hospital,
    study: &Identity,
    task: &Task,
) -> anyhow::Result<()> {
    let (reader, path) = (&hospital.reader, format!("/api/v1/cases/{}", task.case));
    // the button on the page begins a letter with these words
    let words = "About what is withheld: 1 × CT secondary capture. Does it show the dose alone?";
    reader
        .post(&format!("{path}/letters"), json!({ "text": words }))
        .await?;
    let site = SitePage::sign_in(&hospital.stack).await?;
    let asked = wait_until("the question to be at the site", A_MINUTE, async || {
        let work = site.open("/work").await?;
        Ok(work
            .contains("Does it show the dose alone?")
            .then_some(work))
    });
    let work = asked.await.with_context(|| hospital.logs())?;
    assert!(work.contains("Questions from readers"));
    let of = format!("/case/{}", task.code);
    let case = site.open(&of).await?;
    let object = field(&case, "object").context("no object to tick")?;
    let form = [
        ("object", object),
        ("reason", "looked at, the dose alone"),
        ("act", "release"),
    ];
    site.send(&of, &format!("{of}/withheld"), &form).await?;
    let answer = [("text", "Yes. It is on its way to you.")];
    site.send(&of, &format!("{of}/letter"), &answer).await?;

    let here = wait_until("the dose page to be at the gateway", A_MINUTE, async || {
        let case = reader.get(&path).await?;
        let one = &case["studies"][0];
        let series = one["series"].as_array().cloned().unwrap_or_default();
        let shown = series.iter().any(|one| one["class"] == DOSE_PAGE);
        let answered = case["letters"].to_string().contains("on its way to you");
        let told = one["withheld"] == json!([]);
        Ok((shown && told && answered).then_some(case))
    });
    let case = here.await.with_context(|| hospital.logs())?;
    assert_eq!(case["reports"].as_array().map(Vec::len), Some(1));
    let late = wait_until("a task for the late image", A_MINUTE, async || {
        let list = reader.get("/api/v1/worklist").await?;
        Ok(find_open_task(&list, &study.study()))
    });
    let late = late.await.with_context(|| format!("{case}"))?;
    assert_eq!(late.case, task.case, "the same case");
    assert_eq!(late.line["code"], json!(task.code));
    Ok(())
}
