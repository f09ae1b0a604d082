//! A site with something to decide: what its page shows is set up in the agent's rows, and then decided in a browser.

use std::time::Duration;

use anyhow::Context as _;
use causeway_tests::hospital::Hospital;
use causeway_tests::stack::wait_until;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

/// The password of the account `administrator`.
pub(crate) const PASSWORD: &str = "a password for this test";

/// Two cases: `held` has withheld objects and is blocked, `read` has come home.
pub(crate) struct Site {
    pub(crate) held: String,
    pub(crate) read: String,
}

/// Sends two studies, has one read, and makes of the other what waits for a person.
pub(crate) async fn prepare(hospital: &Hospital) -> anyhow::Result<Site> {
    let (read, held) = (hospital.study(1), hospital.study(2));
    hospital.send(&read, 20..24, "CAUSEWAY").await?;
    hospital.read_and_sign(&read.study()).await?;
    hospital.send(&held, 30..36, "CAUSEWAY").await?;
    hospital
        .reader
        .wait_ready(&held.study(), Duration::from_secs(60))
        .await?;
    wait_until("the report", Duration::from_secs(60), async || {
        Ok((!hospital.reports(&read.study()).is_empty()).then_some(()))
    })
    .await?;
    let folder = &hospital.stack.options.folder;
    let options = SqliteConnectOptions::new()
        .filename(folder.join("agent-spool/agent.sqlite"))
        .busy_timeout(Duration::from_secs(10));
    let mut rows = SqliteConnection::connect_with(&options).await?;
    let mut code = async |study: String| -> anyhow::Result<String> {
        sqlx::query_scalar("SELECT case_code FROM study WHERE study_uid = $1")
            .bind(study)
            .fetch_one(&mut rows)
            .await
            .context("looking for a case")
    };
    let site = Site {
        held: code(held.study()).await?,
        read: code(read.study()).await?,
    };
    for sql in [
        "UPDATE instance SET state = 'withheld', modality = 'OT', sop_class = '1.2.840.10008.5.1.4.1.1.7', \
         reason = 'a secondary capture: names may be burned into its pixels' WHERE id IN \
         (SELECT i.id FROM instance i JOIN study s ON s.id = i.study_id WHERE s.case_code = $1 ORDER BY i.id LIMIT 2)",
        "UPDATE instance SET state = 'withheld', reason = 'the dataset could not be read to its end' WHERE id = \
         (SELECT MAX(i.id) FROM instance i JOIN study s ON s.id = i.study_id WHERE s.case_code = $1)",
        "UPDATE study SET blocked = 'the site has been sent this study again under another patient ID; a person there must decide' \
         WHERE case_code = $1",
    ] {
        sqlx::query(sql).bind(&site.held).execute(&mut rows).await?;
    }
    rows.close().await?;
    let file = folder.join("administrator-password");
    std::fs::write(&file, PASSWORD)?;
    let file = file.display().to_string();
    let arguments = [
        "page",
        "user",
        "add",
        "administrator",
        "--role",
        "administrator",
        "--password-file",
        &file,
    ];
    hospital.stack.agent_cli(&arguments).await?;
    Ok(site)
}

/// Waits until the gateway's worklist says STAT for the case that was made so in the browser, after it had been handed off.
pub(crate) async fn raised(hospital: &Hospital) -> anyhow::Result<()> {
    wait_until(
        "the gateway to say STAT",
        Duration::from_secs(30),
        async || {
            let list = hospital.reader.get("/api/v1/worklist").await?;
            let items = list.get("items").and_then(|items| items.as_array());
            let stat = |item: &serde_json::Value| {
                item.get("priority").and_then(|word| word.as_str()) == Some("stat")
            };
            Ok(items
                .is_some_and(|items| items.iter().any(stat))
                .then_some(()))
        },
    )
    .await
}
