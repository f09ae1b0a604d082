//! A real study goes out, a signed report comes home; and what each kind of PACS does with it.

use std::path::Path;
use std::time::Duration;

use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom::Identity;
use causeway_tests::tools;
use dicom_dictionary_std::tags;

const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_study_goes_out_and_one_signed_report_comes_home() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    let answers = hospital.send(&study, 0..6, "CAUSEWAY").await?;
    assert!(
        answers.iter().all(causeway_tests::sender::Answer::stored),
        "{answers:?}"
    );
    let task = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    assert_eq!(hospital.reports(&study.study()).len(), 1);
    hospital.close().await
}

/// More reports wait than a connection holds at a time: each goes as soon as there is a place, and none waits for the lease (two
/// minutes) of one that had none.
#[tokio::test]
async fn what_waits_for_a_site_goes_home_without_a_pause() -> anyhow::Result<()> {
    const REPORTS: u32 = 80;
    const WITHOUT_A_PAUSE: Duration = Duration::from_secs(100);
    let mut hospital = Hospital::redialling_at_once(Behaviour::default()).await?;
    let mut cases = Vec::new();
    for number in 1..=REPORTS {
        let mut study = hospital.study(number);
        study.patient_id = format!("PHANTOM-{number}");
        hospital.send(&study, 0..1, "CAUSEWAY").await?;
    }
    for number in 1..=REPORTS {
        let study = hospital.study(number).study();
        let task = hospital.claimed_with_draft(&study).await?;
        let preview = hospital.reader.preview(&task.case, "final").await?;
        cases.push((task.case, preview));
    }
    hospital.stack.agent.kill().await?;
    for (case, preview) in &cases {
        hospital.reader.sign(case, "final", preview).await?.ok()?;
    }
    hospital.stack.start_agent_again().await?;
    let all = async {
        for (case, _) in &cases {
            let reader = &hospital.reader;
            reader
                .wait_delivery(case, "delivered", WITHOUT_A_PAUSE)
                .await?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(WITHOUT_A_PAUSE, all).await??;
    let reports = hospital.reports_by_study();
    assert_eq!(reports.len(), cases.len());
    assert!(reports.values().all(|count| *count == 1), "{reports:?}");
    hospital.close().await
}

#[tokio::test]
async fn a_pacs_without_structured_reports_gets_the_page_image_and_no_retry() -> anyhow::Result<()>
{
    let hospital = Hospital::pseudonymous(Behaviour {
        refuse_sr: true,
        ..Behaviour::default()
    })
    .await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    let delivery = hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    let said = delivery.to_string();
    assert!(said.contains("takes no structured reports"), "{said}");
    let state = |form: &str| {
        let forms = delivery["forms"].as_array().into_iter().flatten();
        let mut of = forms.filter(|one| one["form"] == form);
        of.next().map(|one| one["state"].clone())
    };
    assert_eq!(state("sr"), Some("not-taken".into()), "{said}");
    assert_eq!(state("image"), Some("delivered".into()), "{said}");
    assert_eq!(hospital.reports(&study.study()).len(), 0);
    let pages = hospital.page_images(&study.study());
    assert_eq!(pages.len(), 1);
    page_of(&pages[0], &study, hospital.stack.options.folder.as_path()).await?;
    hospital.close().await
}

/// A page image is one of this patient and study, legal, and a picture with something on it.
async fn page_of(page: &Path, of: &Identity, folder: &Path) -> anyhow::Result<()> {
    let object = dicom_object::open_file(page)?;
    let text = |tag| -> anyhow::Result<String> {
        let text = object.element(tag)?.to_str()?;
        Ok(text.trim_end_matches(['\0', ' ']).to_owned())
    };
    assert_eq!(text(tags::PATIENT_ID)?, of.patient_id);
    assert_eq!(text(tags::PATIENT_NAME)?, of.patient_name);
    assert_eq!(text(tags::ACCESSION_NUMBER)?, of.accession);
    assert!(object.element(tags::PATIENT_IDENTITY_REMOVED).is_err());
    let said = tools::run("dciodvfy", &[&page.display().to_string()]).await?;
    let errors = said.text.lines().filter(|line| line.starts_with("Error"));
    assert_eq!(
        errors.collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "{}",
        said.text
    );
    let picture = folder.join("page.png");
    let shown = [
        "+on",
        &page.display().to_string(),
        &picture.display().to_string(),
    ]
    .map(str::to_owned);
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let said = tools::run("dcm2pnm", &shown).await?;
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(std::fs::metadata(&picture)?.len() > 20_000, "an empty page");
    Ok(())
}

#[tokio::test]
async fn a_pacs_that_hides_structured_reports_gets_both_and_both_come_back_to_nobody()
-> anyhow::Result<()> {
    let hospital = Hospital::with_page_images(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    let delivery = hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    assert_eq!(
        delivery["forms"].as_array().map(Vec::len),
        Some(2),
        "{delivery}"
    );
    let (reports, pages) = (
        hospital.reports(&study.study()),
        hospital.page_images(&study.study()),
    );
    assert_eq!((reports.len(), pages.len()), (1, 1));
    // the PACS forwards everything new
    let back = [reports, pages].concat();
    let answers = hospital.send_files(&back, "CAUSEWAY").await?;
    assert!(
        answers.iter().all(causeway_tests::sender::Answer::stored),
        "{answers:?}"
    );
    let told = hospital.stack.agent_cli(&["where", &task.code]).await?;
    assert!(told.contains("pages of our report back 1 time"), "{told}");
    hospital.close().await
}

#[tokio::test]
async fn a_warning_status_counts_as_delivered_and_is_named() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour {
        status: 0xB000,
        ..Behaviour::default()
    })
    .await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    let delivery = hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    assert!(
        delivery.to_string().to_uppercase().contains("B000"),
        "{delivery}"
    );
    hospital.close().await
}

#[tokio::test]
async fn a_pacs_that_forwards_everything_new_back_makes_no_new_task() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    let reports = hospital.reports(&study.study());
    assert_eq!(reports.len(), 1);
    let answers = hospital.send_files(&reports, "CAUSEWAY").await?;
    assert!(
        answers.iter().all(causeway_tests::sender::Answer::stored),
        "{answers:?}"
    );
    let other = hospital.study(2);
    hospital.send(&other, 0..2, "CAUSEWAY").await?;
    hospital.reader.wait_ready(&other.study(), A_MINUTE).await?;
    let list = hospital.reader.get("/api/v1/worklist").await?;
    assert!(
        causeway_tests::reader::find_open_task(&list, &study.study()).is_none(),
        "the report that came back made a task: {list}"
    );
    let page = hospital
        .reader
        .get(&format!("/api/v1/cases/{}", task.case))
        .await?;
    assert_eq!(page["reports"].as_array().map(Vec::len), Some(1));
    hospital.close().await
}

#[tokio::test]
async fn an_acknowledgement_that_is_lost_still_ends_as_one_report() -> anyhow::Result<()> {
    lost_twice(false, 3).await
}

#[tokio::test]
async fn a_pacs_that_says_that_it_has_a_report_is_sent_it_once() -> anyhow::Result<()> {
    lost_twice(true, 1).await
}

/// The PACS cuts two connections after it has kept what came over them; it keeps the report so many times, each time the same.
async fn lost_twice(finds: bool, kept: usize) -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour {
        unanswered: 2,
        finds,
        ..Behaviour::default()
    })
    .await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", Duration::from_secs(120))
        .await?;
    assert_eq!(hospital.reports(&study.study()).len(), 1);
    let arrivals = hospital.pacs.arrivals();
    assert_eq!(arrivals.len(), kept);
    assert!(
        arrivals
            .iter()
            .all(|one| one.instance == arrivals[0].instance && one.digest == arrivals[0].digest)
    );
    hospital.close().await
}
