//! A picture with a name burned in waits at the site until somebody has drawn over the name in a browser; then it leaves, black there
//! and unchanged everywhere else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_proto::dataset::Dataset;
use causeway_tests::hospital::Hospital;
use causeway_tests::reader::{find_task, only_part};
use causeway_tests::sender::file;
use causeway_tests::shared;
use causeway_tests::stack::wait_until;
use dicom_core::Tag;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};

/// What the browser draws: so many rows from the top, over the whole width.
const BLACK_ROWS: usize = 23;

const A_MINUTE: Duration = Duration::from_secs(60);

/// The picture with the banner, and a drawing that a scanned request could be.
pub(crate) fn samples() -> Option<[PathBuf; 2]> {
    let of = |folder: &str| {
        let folder = shared::dicom(folder)?;
        shared::files(&folder).into_iter().next()
    };
    Some([
        of("studies/us-burned-in-fake-identity")?,
        of("studies/sc-smiley-fake-identity")?,
    ])
}

/// Sends both, and waits until both are withheld. Answers their case codes.
pub(crate) async fn withheld(
    hospital: &Hospital,
    files: &[PathBuf; 2],
) -> anyhow::Result<[String; 2]> {
    for answer in hospital.send_files(files, "CAUSEWAY").await? {
        ensure!(answer.stored(), "{answer:?}");
    }
    let studies = [study(&files[0])?, study(&files[1])?];
    wait_until("both to be withheld", A_MINUTE, async || {
        let mut codes = Vec::new();
        let mut rows = rows(hospital).await?;
        for study in &studies {
            let sql = "SELECT s.case_code FROM study s JOIN instance i ON i.study_id = s.id WHERE s.study_uid = $1 AND i.state = 'withheld'";
            let found = sqlx::query(sql).bind(study).fetch_optional(&mut rows).await?;
            let Some(row) = found else { return Ok(None) };
            codes.push(row.try_get::<String, _>(0)?);
        }
        rows.close().await?;
        Ok(<[String; 2]>::try_from(codes).ok())
    })
    .await
}

async fn rows(hospital: &Hospital) -> anyhow::Result<SqliteConnection> {
    let folder = &hospital.stack.options.folder;
    let options = SqliteConnectOptions::new()
        .filename(folder.join("agent-spool/agent.sqlite"))
        .read_only(true)
        .busy_timeout(Duration::from_secs(10));
    Ok(SqliteConnection::connect_with(&options).await?)
}

fn dataset(path: &Path) -> anyhow::Result<Dataset> {
    let read = file::read(path, 0)?;
    Ok(Dataset::read(&read.bytes, &read.syntax.parse()?)?)
}

fn study(path: &Path) -> anyhow::Result<String> {
    Ok(dataset(path)?.code(Tag(0x0020, 0x000D)))
}

/// What the gateway has of the picture after somebody has drawn: black where it was drawn, and nowhere else.
pub(crate) async fn left_masked(hospital: &Hospital, sent: &Path) -> anyhow::Result<()> {
    let original = dataset(sent)?;
    let study = original.code(Tag(0x0020, 0x000D));
    wait_until("the masked picture at the gateway", A_MINUTE, async || {
        let list = hospital.reader.get("/api/v1/worklist").await?;
        Ok(find_task(&list, &study))
    })
    .await?;
    let path = format!(
        "/dicomweb/studies/{study}/series/{}/instances/{}",
        original.code(Tag(0x0020, 0x000E)),
        original.code(Tag(0x0008, 0x0018)),
    );
    let accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
    let (status, kind, body) = hospital.reader.bytes(&path, accept).await?;
    ensure!(status.is_success(), "{status}");
    let fetched = hospital.stack.options.folder.join("masked.dcm");
    std::fs::write(&fetched, only_part(&kind, &body).context("no part")?)?;
    let fetched = dataset(&fetched)?;
    let (before, after) = (pixels(&original), pixels(&fetched));
    ensure!(before.len() == after.len(), "another length");
    let columns = usize::from(u16::from_le_bytes(
        *original
            .bytes(Tag(0x0028, 0x0011))
            .first_chunk()
            .context("no columns")?,
    ));
    let edge = columns * BLACK_ROWS;
    ensure!(
        after.iter().take(edge).all(|byte| *byte == 0),
        "something is left of the banner"
    );
    ensure!(
        before.iter().take(edge).any(|byte| *byte != 0),
        "there was a banner"
    );
    ensure!(
        before.iter().skip(edge).eq(after.iter().skip(edge)),
        "something else was changed"
    );
    ensure!(fetched.code(Tag(0x0028, 0x0301)) == "NO");
    on_record(hospital).await
}

fn pixels(of: &Dataset) -> &[u8] {
    of.bytes(Tag(0x7FE0, 0x0010))
}

/// The agent's trail knows who looked and who drew, in this order.
async fn on_record(hospital: &Hospital) -> anyhow::Result<()> {
    let mut rows = rows(hospital).await?;
    let events: Vec<String> = sqlx::query_scalar(
        "SELECT event FROM audit_event WHERE actor = 'radiographer' AND event IN ('withheld-viewed', 'mask-drawn') ORDER BY seq",
    )
    .fetch_all(&mut rows)
    .await?;
    rows.close().await?;
    let drawn = events.iter().position(|event| event == "mask-drawn");
    ensure!(
        events
            .first()
            .is_some_and(|event| event == "withheld-viewed")
            && drawn.is_some(),
        "{events:?}"
    );
    Ok(())
}
