//! A person's part in masking devices (P6), by the agent's command line; and an independent look at what left: DCMTK sends, WADO-RS
//! fetches, pydicom compares.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_proto::dataset::Dataset;
use dicom_core::Tag;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::hospital::Hospital;
use crate::sender::file;
use crate::shared;
use crate::stack::build::root;
use crate::stack::wait_until;
use crate::tools::run;

/// What the reader is told.
pub const REMARK: &str = "banner masked at the site";

/// One number from the agent's rows.
///
/// # Errors
/// When they cannot be read.
pub async fn counted(hospital: &Hospital, sql: &'static str) -> anyhow::Result<i64> {
    let mut rows = hospital.agent_rows().await?;
    let count = sqlx::query_scalar(sql).fetch_one(&mut rows).await?;
    rows.close().await?;
    Ok(count)
}

/// Everything that people have decided at the site until now.
///
/// # Errors
/// When the agent's rows cannot be read.
pub async fn actions(hospital: &Hospital) -> anyhow::Result<i64> {
    // what a rule of a device brings about for each object is noted beside it, and is nobody's further act
    let sql = "SELECT (SELECT COUNT(*) FROM mask_rule) + (SELECT COUNT(*) FROM decision d \
        WHERE NOT EXISTS (SELECT 1 FROM mask_rule r WHERE d.what = 'mask' AND r.who = d.who AND r.reason = d.reason))";
    counted(hospital, sql).await
}

/// The dataset of a file.
///
/// # Errors
/// When it cannot be read.
pub fn dataset(path: &Path) -> anyhow::Result<Dataset> {
    let file = file::read(path, 0)?;
    Ok(Dataset::read(&file.bytes, &file.syntax.parse()?)?)
}

/// Sends files with DCMTK's storescu, as a modality would.
///
/// # Errors
/// When it is not installed, or not everything was stored.
pub async fn storescu(hospital: &Hospital, files: &[PathBuf], more: &[&str]) -> anyhow::Result<()> {
    let address = hospital.stack.dicom();
    let (host, port) = address.rsplit_once(':').context("no port")?;
    let names: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
    let mut arguments = vec!["-aet", "PACS", "-aec", "CAUSEWAY"];
    arguments.extend(more);
    arguments.extend([host, port]);
    arguments.extend(names.iter().map(String::as_str));
    let said = run("storescu", &arguments).await?;
    ensure!(said.code == Some(0), "storescu: {}", said.text);
    Ok(())
}

/// The devices that the agent has met, as its command line tells them.
///
/// # Errors
/// When it does not.
pub async fn devices(hospital: &Hospital) -> anyhow::Result<Vec<Value>> {
    let said = hospital.stack.agent_cli(&["masks", "list", "--json"]);
    Ok(serde_json::from_str(&said.await?)?)
}

/// Waits until so many objects of one maker's device wait for a rule, and answers the number of the device.
///
/// # Errors
/// When they do not.
pub async fn waiting(hospital: &Hospital, maker: &str, count: usize) -> anyhow::Result<String> {
    let what = format!("{count} objects of {maker} to wait for a mask");
    let found = wait_until(&what, Duration::from_secs(60), async || {
        let all = devices(hospital).await?;
        let said = |one: &Value, name| one.pointer(name).cloned().unwrap_or_default();
        let of = |one: &&Value| {
            said(one, "/device/manufacturer") == maker && said(one, "/waiting") == count
        };
        Ok(all.iter().find(of).map(|one| said(one, "/id").to_string()))
    });
    found.await.with_context(|| hospital.logs())
}

/// One person says what is black on a device: one act.
///
/// # Errors
/// When the agent refuses.
pub async fn draw(
    hospital: &Hospital,
    device: &str,
    black: &str,
    more: &[&str],
) -> anyhow::Result<()> {
    let mut arguments = vec!["masks", "add", "--device", device, "--rectangle", black];
    arguments.extend(["--reason", "the banner, looked at in the PACS"]);
    arguments.extend(more);
    hospital.stack.agent_cli(&arguments).await.map(drop)
}

/// Waits until the gateway holds so many objects of a study and the site withholds none, and answers its case.
///
/// # Errors
/// When it takes longer than `limit`; the message says how far it came.
pub async fn arrived(
    hospital: &Hospital,
    study: &str,
    count: usize,
    limit: Duration,
) -> anyhow::Result<Value> {
    let task = hospital.reader.wait_ready(study, limit).await;
    let task = task.with_context(|| hospital.logs())?;
    let path = format!("/api/v1/cases/{}", task.case);
    let mut last = Value::Null;
    let here = wait_until("everything to be at the gateway", limit, async || {
        let page = hospital.reader.get(&path).await?;
        last = page.get("arriving").cloned().unwrap_or_default();
        let whole = json!({ "at_site": count, "held": 0, "here": count });
        let told = page.pointer("/studies/0/withheld") == Some(&json!([]));
        Ok((last == whole && told).then_some(page))
    });
    let here = here.await;
    here.with_context(|| format!("{last}\n{}", hospital.logs()))
}

/// Fetches an object by WADO-RS, and keeps it and the file that it was made of as a pair for [`compared`].
///
/// # Errors
/// When it is not there.
pub async fn fetch(hospital: &Hospital, path: &Path, pair: &str) -> anyhow::Result<Dataset> {
    let folder = hospital.stack.options.folder.join("pairs");
    std::fs::create_dir_all(&folder)?;
    let sent = dataset(path)?;
    let wado = format!(
        "/dicomweb/studies/{}/series/{}/instances/{}",
        sent.code(Tag(0x0020, 0x000D)),
        sent.code(Tag(0x0020, 0x000E)),
        sent.code(Tag(0x0008, 0x0018))
    );
    let object = hospital.reader.object(&wado).await?;
    let after = folder.join(format!("{pair}-after.dcm"));
    std::fs::write(&after, object.context("the object is not there")?)?;
    std::fs::copy(path, folder.join(format!("{pair}-before.dcm")))?;
    dataset(&after)
}

/// A header says that its pixels were cleaned (PS3.15 E.3.1).
#[must_use]
pub fn says_so(masked: &Dataset) -> bool {
    let methods = masked.items(Tag(0x0012, 0x0064));
    let cleaned = |item: &Dataset| item.code(Tag(0x0008, 0x0100)) == "113101";
    masked.code(Tag(0x0028, 0x0301)) == "NO" && methods.iter().any(cleaned)
}

/// Has pydicom compare every pair: black above `rows`, and equal from there on. Answers its words; the pairs are gone afterwards.
///
/// # Errors
/// When they are not.
pub async fn compared(hospital: &Hospital, rows: u32) -> anyhow::Result<String> {
    let folder = hospital.stack.options.folder.join("pairs");
    let python = root().join("target/venv/bin/python");
    let mut words = "not compared: pydicom is not installed".to_owned();
    if shared::installed(&python) {
        let script = root().join("tests/src/masks.py").display().to_string();
        let (rows, pairs) = (rows.to_string(), folder.display().to_string());
        let said = run(&python.display().to_string(), &[&script, &rows, &pairs]).await?;
        words = said.text.trim().to_owned();
        ensure!(words.contains("only the banner is gone"), "{words}");
    }
    std::fs::remove_dir_all(folder)?;
    Ok(words)
}
