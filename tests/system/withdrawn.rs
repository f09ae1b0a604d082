//! A signed report is withdrawn (P17): the new version is home before all else, and open until a person at the site has seen it.

use std::time::Duration;

use anyhow::Context as _;
use causeway_proto::report::closing::WITHDRAWN;
use causeway_proto::report::sr;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::reader::Task;
use causeway_tests::sender;
use causeway_tests::stack::{RADIOGRAPHER, wait_until};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

const A_MINUTE: Duration = Duration::from_secs(60);

/// Withdraws the newest report of a case.
async fn withdraw(hospital: &Hospital, task: &Task) -> anyhow::Result<Value> {
    let page = hospital
        .reader
        .get(&format!("/api/v1/cases/{}", task.case))
        .await?;
    let report = page["reports"].as_array().and_then(|all| all.last());
    let report = report.context("nothing was signed")?["id"].clone();
    let body = json!({ "report": report, "reason": "The images are of another patient." });
    let path = format!("/api/v1/cases/{}/withdraw", task.case);
    hospital.reader.post(&path, body).await
}

/// What stands on the reader's list.
async fn listed(hospital: &Hospital) -> anyhow::Result<Vec<Value>> {
    let list = hospital.reader.get("/api/v1/worklist").await?;
    let open = list["withdrawals"].as_array().cloned();
    open.context("the list names no withdrawals")
}

/// The hidden word of a form.
fn word(page: &str) -> anyhow::Result<String> {
    let (_, after) = page
        .split_once("name=\"form\" value=\"")
        .context("no form on the page")?;
    Ok(after.chars().take_while(|c| *c != '"').collect())
}

/// A radiographer signs in to the site page and says that the withdrawal was seen.
async fn acknowledge(hospital: &Hospital) -> anyhow::Result<()> {
    let base = hospital.stack.page();
    let client = Client::builder().cookie_store(true).build()?;
    let get = async |path: &str| -> anyhow::Result<String> {
        Ok(client
            .get(format!("{base}{path}"))
            .send()
            .await?
            .text()
            .await?)
    };
    let form = word(&get("/sign-in").await?)?;
    let fields = [
        ("form", form.as_str()),
        ("to", "/work"),
        ("name", RADIOGRAPHER),
        ("password", &hospital.stack.page_password),
    ];
    let post = async |path: String, fields: &[(&str, &str)]| {
        let fields: Vec<String> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let kind = "application/x-www-form-urlencoded";
        let request = client.post(path).header("Content-Type", kind);
        request.body(fields.join("&")).send().await
    };
    let signed_in = post(format!("{base}/sign-in"), &fields).await?;
    let work = signed_in.text().await?;
    assert!(work.contains("Withdrawn: do not use"), "{work}");
    let (_, after) = work.split_once("/report/").context("no report is named")?;
    let report: String = after.chars().take_while(char::is_ascii_digit).collect();
    let form = word(&work)?;
    let path = format!("{base}/report/{report}/acknowledge");
    let said = post(path, &[("form", form.as_str())]).await?;
    assert_eq!(said.status(), StatusCode::OK);
    let work = said.text().await?;
    assert!(!work.contains("Withdrawn: do not use"), "{work}");
    Ok(())
}

#[tokio::test]
async fn a_withdrawn_report_is_replaced_at_home_and_open_until_somebody_has_seen_it()
-> anyhow::Result<()> {
    let hospital = Hospital::with_page_images(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..2, "CAUSEWAY").await?;
    let task = hospital.read_and_sign(&study.study()).await?;
    hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    let first = hospital.reports(&study.study());
    // the study goes back as well: what was signed is withdrawn all the same
    let arguments = ["recall", &task.code, "--reason", "wrong patient"];
    hospital.stack.agent_cli(&arguments).await?;
    wait_until("the reader to be asked", A_MINUTE, async || {
        let open = listed(&hospital).await?;
        Ok(open
            .iter()
            .any(|one| one["status"] == "final")
            .then_some(()))
    })
    .await?;
    withdraw(&hospital, &task).await?;
    let delivery = hospital
        .reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await
        .with_context(|| hospital.logs())?;
    assert_eq!(delivery["forms"].as_array().map(Vec::len), Some(2));
    let both = hospital.reports(&study.study());
    assert_eq!((first.len(), both.len()), (1, 2));
    assert_eq!(hospital.page_images(&study.study()).len(), 2);
    let new = both.iter().find(|path| !first.contains(path));
    let bytes = sender::dataset(new.context("no new report")?)?.bytes;
    let report = sr::decode(&sr::from_bytes(&bytes)?)?;
    let begins = report.notices.first().context("no notice")?.as_str();
    assert!(begins.starts_with(WITHDRAWN), "{begins}");
    assert_eq!(report.patient.id.reveal(), study.patient_id);
    assert_eq!(report.predecessors.len(), 1);

    let open = listed(&hospital).await?;
    assert_eq!(open[0]["status"], "withdrawn", "{open:?}");
    acknowledge(&hospital).await?;
    wait_until("the list to be empty", A_MINUTE, async || {
        Ok(listed(&hospital).await?.is_empty().then_some(()))
    })
    .await?;
    let page = hospital
        .reader
        .get(&format!("/api/v1/cases/{}", task.case))
        .await?;
    assert!(page["reports"][1]["acknowledged"].is_string(), "{page}");
    // once is enough
    let path = format!("/api/v1/cases/{}/withdraw", task.case);
    let body = json!({ "report": page["reports"][1]["id"], "reason": "again" });
    let again = hospital
        .reader
        .send(Method::POST, &path, None, Some(body))
        .await?;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.body);
    hospital.close().await
}
