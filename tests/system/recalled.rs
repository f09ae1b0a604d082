//! A site takes a study back while readers have it open: the images are gone from every window, the bytes from the gateway, and the
//! record of who had opened it is at the site (P17).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::reader::{Reader, Task};
use causeway_tests::stack::wait_until;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

const A_MINUTE: Duration = Duration::from_secs(60);

/// A reader's window without an event stream: it asks for the case by the clock, and for images.
struct Window {
    reader: Reader,
    case: String,
    image: String,
}

impl Window {
    /// Opens the case and looks at an image.
    async fn open(reader: &Reader, case: &str, study: &str) -> anyhow::Result<Self> {
        reader.get(&format!("/api/v1/cases/{case}")).await?;
        let path = format!("/dicomweb/studies/{study}/instances");
        let found = reader.get(&path).await?;
        let uid = |tag: &str| {
            let value = found.pointer(&format!("/0/{tag}/Value/0"));
            value.and_then(Value::as_str).map(str::to_owned)
        };
        let (series, sop) = uid("0020000E").zip(uid("00080018")).context("no image")?;
        let image = format!("/dicomweb/studies/{study}/series/{series}/instances/{sop}/frames/1");
        let window = Self {
            reader: reader.clone(),
            case: case.to_owned(),
            image,
        };
        let (status, ..) = window.looks().await?;
        anyhow::ensure!(status.is_success(), "the image is not shown: {status}");
        Ok(window)
    }

    async fn looks(&self) -> anyhow::Result<(StatusCode, String, Vec<u8>)> {
        self.reader.bytes(&self.image, "*/*").await
    }

    /// Asks until the case says that it is withdrawn; how long that took since `since`, in seconds.
    async fn withdrawn(&self, since: Instant) -> anyhow::Result<f64> {
        let path = format!("/api/v1/cases/{}", self.case);
        wait_until("the window to say withdrawn", A_MINUTE, async || {
            let page = self.reader.get(&path).await?;
            Ok((page["recalled"] == json!(true)).then_some(()))
        })
        .await?;
        Ok(since.elapsed().as_secs_f64())
    }
}

/// What the site knows of a case.
async fn told(hospital: &Hospital, code: &str) -> anyhow::Result<Value> {
    let said = hospital.stack.agent_cli(&["where", code, "--json"]).await?;
    let said: Value = serde_json::from_str(&said)?;
    said.get(0).cloned().context("the site knows no such case")
}

/// Waits for the gateway's receipt at the site.
async fn receipt(hospital: &Hospital, code: &str) -> anyhow::Result<Value> {
    let waited = wait_until("the receipt", A_MINUTE, async || {
        let of = told(hospital, code).await?;
        Ok(of.get("erasure").filter(|it| !it.is_null()).cloned())
    });
    waited.await.with_context(|| hospital.logs())
}

async fn recall(hospital: &Hospital, task: &Task) -> anyhow::Result<()> {
    let arguments = ["recall", &task.code, "--reason", "wrong patient"];
    hospital.stack.agent_cli(&arguments).await.map(drop)
}

#[tokio::test]
async fn a_study_that_is_taken_back_is_gone_from_every_window_and_from_the_gateway()
-> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let (stays, goes) = (hospital.study(1), hospital.study(2));
    hospital.send(&stays, 0..2, "CAUSEWAY").await?;
    hospital.reader.wait_ready(&stays.study(), A_MINUTE).await?;
    let before = hospital.images().len();
    hospital.send(&goes, 0..4, "CAUSEWAY").await?;
    let task = hospital.claimed_with_draft(&goes.study()).await?;
    let preview = hospital.reader.preview(&task.case, "final").await?;
    let password = hospital.stack.add_reader("second").await?;
    let second = Reader::sign_in(&hospital.stack.url(), "second", &password).await?;
    let mut windows = Vec::new();
    for reader in [&hospital.reader, &second] {
        windows.push(Window::open(reader, &task.case, &goes.study()).await?);
    }
    let all = format!("/dicomweb/studies/{}", goes.study());
    let (status, ..) = second.bytes(&all, "*/*").await?;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(hospital.images().len(), before + 4);

    let since = Instant::now();
    recall(&hospital, &task).await?;
    let mut slowest: f64 = 0.0;
    for window in &windows {
        slowest = slowest.max(window.withdrawn(since).await?);
        let (status, _, said) = window.looks().await?;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(status, StatusCode::GONE, "{said}");
        assert!(said.contains("taken this study back"), "{said}");
    }
    let receipt = receipt(&hospital, &task.code).await?;
    let seconds = since.elapsed().as_secs_f64();
    println!("both windows: {slowest:.2} s; bytes gone and receipt at the site: {seconds:.2} s");
    assert!(slowest < 60.0);
    assert_eq!(hospital.images().len(), before, "only that study goes");
    assert_eq!(
        (&receipt["objects"], &receipt["reports"]),
        (&json!(4), &json!(0))
    );
    let opened: Vec<_> = receipt["opened"].as_array().context("opened")?.clone();
    let people: Vec<&Value> = opened.iter().map(|one| &one["account"]).collect();
    assert_eq!(people, [&json!("reader"), &json!("second")]);
    let what = |of: usize| opened[of]["what"].to_string();
    assert_eq!(what(0), r#"["case","images","report"]"#);
    assert_eq!(what(1), r#"["case","download","images"]"#);
    let record = hospital.stack.agent_cli(&["recall", &task.code]).await?;
    assert!(record.contains("opened by"), "{record}");

    not_signed_and_not_back(&hospital, &task, &preview).await?;
    hospital.reader.wait_ready(&stays.study(), A_MINUTE).await?;
    hospital.close().await
}

/// Nothing is signed about it any more, it is recalled once, and the PACS may send what it likes.
async fn not_signed_and_not_back(
    hospital: &Hospital,
    task: &Task,
    preview: &Value,
) -> anyhow::Result<()> {
    let held = hospital.images().len();
    let refused = hospital.reader.sign(&task.case, "final", preview).await?;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    let draft = format!("/api/v1/cases/{}/draft", task.case);
    let draft = hospital
        .reader
        .send(Method::GET, &draft, None, None)
        .await?;
    assert!(
        !draft.status.is_success(),
        "the draft stays: {}",
        draft.body
    );
    assert!(recall(hospital, task).await.is_err(), "recalled twice");
    let goes = hospital.study(2);
    for answer in hospital.send(&goes, 0..6, "CAUSEWAY").await? {
        assert!(answer.stored(), "{answer:?}");
    }
    let of = told(hospital, &task.code).await?;
    let withheld = of["events"].to_string();
    assert!(
        withheld.contains("withheld: the site has recalled the study"),
        "{withheld}"
    );
    assert_eq!(hospital.images().len(), held);
    Ok(())
}

#[tokio::test]
async fn a_recall_that_the_gateway_hears_late_is_carried_out_and_a_signed_report_stays()
-> anyhow::Result<()> {
    let mut hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..3, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    hospital.stack.gateway.kill().await?;
    recall(&hospital, &task).await?;
    let waits = told(&hospital, &task.code).await?["waits_for"].to_string();
    assert!(waits.contains("has not heard"), "{waits}");
    hospital.stack.agent.kill().await?;
    hospital.stack.restart_gateway().await?;
    hospital.stack.restart_agent().await?;
    let receipt = receipt(&hospital, &task.code).await?;
    assert_eq!(
        (&receipt["objects"], &receipt["reports"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(hospital.images(), Vec::<PathBuf>::new());
    let page = hospital
        .reader
        .get(&format!("/api/v1/cases/{}", task.case))
        .await?;
    assert_eq!(page["reports"].as_array().map(Vec::len), Some(1));
    assert_eq!(hospital.reports(&study.study()).len(), 1);
    hospital.close().await
}
