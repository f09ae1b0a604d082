//! A bit flips on the gateway's disk: it is found before a reader sees it, refused, fetched again from the agent, and served as it was.

use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::stack::wait_until;
use serde_json::Value;

const A_MINUTE: Duration = Duration::from_secs(60);

/// Flips one bit in the middle of a file, in its place.
fn flip(path: &Path) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)?;
    let middle = file.metadata()?.len() / 2;
    let mut byte = [0];
    file.seek(std::io::SeekFrom::Start(middle))?;
    file.read_exact(&mut byte)?;
    file.seek(std::io::SeekFrom::Start(middle))?;
    file.write_all(&[byte[0] ^ 0x10])?;
    Ok(file.sync_all()?)
}

/// What the health port says.
async fn health(hospital: &Hospital, page: &str) -> anyhow::Result<String> {
    let port = hospital.stack.gateway_ports["health"]
        .as_str()
        .context("no health port")?;
    Ok(reqwest::get(format!("http://{port}/{page}"))
        .await?
        .text()
        .await?)
}

#[tokio::test]
async fn a_bit_that_flips_is_found_refused_fetched_again_and_served_as_it_was() -> anyhow::Result<()>
{
    let mut hospital = Hospital::redialling_at_once(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..4, "CAUSEWAY").await?;
    let uid = study.study();
    hospital.reader.wait_ready(&uid, A_MINUTE).await?;
    let found = hospital
        .reader
        .get(&format!("/dicomweb/studies/{uid}/instances"))
        .await?;
    let mut rows = hospital.gateway_rows().await?;
    let (sop, series, key): (String, String, String) = sqlx::query_as(
        "SELECT sop_uid, series_uid, blob_key FROM instance ORDER BY sop_uid LIMIT 1",
    )
    .fetch_one(&mut rows)
    .await?;
    ensure!(
        found.as_array().is_some_and(|all| all.len() == 4),
        "{found}"
    );
    let address = format!("/dicomweb/studies/{uid}/series/{series}/instances/{sop}");
    let whole = hospital
        .reader
        .object(&address)
        .await?
        .context("no image")?;

    // the agent is away, and the gateway reads all the time
    hospital.stack.agent.kill().await?;
    let restarted = hospital.stack.restart_gateway_after(async |options| {
        let path = options.folder.join("gateway.toml");
        let text = std::fs::read_to_string(&path)? + "\n[archive.scrub]\nevery_h = 0\n";
        Ok(std::fs::write(path, text)?)
    });
    restarted.await?;
    let blob = hospital
        .stack
        .options
        .folder
        .join("gateway-data/blobs")
        .join(&key);
    flip(&blob)?;
    let asked = wait_until("the flip to be found", A_MINUTE, async || {
        let (status, _, body) = hospital.reader.bytes(&address, "*/*").await?;
        Ok((status == 503).then_some(body))
    });
    let said: Value = serde_json::from_slice(&asked.await.with_context(|| hospital.logs())?)?;
    let words = said["detail"].as_str().unwrap_or_default();
    assert!(
        words.contains("damaged on the disk of the gateway"),
        "{said}"
    );
    let frame = format!("{address}/frames/1");
    assert_eq!(hospital.reader.bytes(&frame, "*/*").await?.0, 503);
    // what they say is measured once a second
    for (page, words) in [
        ("readyz", "blobs-damaged"),
        ("metrics", "causeway_blobs_damaged{state=\"asked\"} 1"),
    ] {
        let what = format!("{page} to say {words}");
        wait_until(&what, A_MINUTE, async || {
            let said = health(&hospital, page).await?;
            Ok(said.contains(words).then_some(()))
        })
        .await?;
    }
    let doctor = hospital
        .stack
        .gateway_cli(&["doctor"])
        .await
        .err()
        .context("doctor is content")?;
    assert!(doctor.to_string().contains("PROBLEM  blobs"), "{doctor:#}");

    hospital.stack.restart_agent().await?;
    let back = wait_until("the image to be back", A_MINUTE, async || {
        let (status, ..) = hospital.reader.bytes(&address, "*/*").await?;
        Ok((status == 200).then_some(()))
    });
    back.await.with_context(|| hospital.logs())?;
    let again = hospital
        .reader
        .object(&address)
        .await?
        .context("no image")?;
    assert!(again == whole, "other bytes came back");
    let counted: (i64, i64) =
        sqlx::query_as("SELECT (SELECT COUNT(*) FROM instance), (SELECT COUNT(*) FROM quarantine)")
            .fetch_one(&mut rows)
            .await?;
    assert_eq!(counted, (4, 0));
    wait_until("readyz to say nothing of it", A_MINUTE, async || {
        let ready = health(&hospital, "readyz").await?;
        Ok((!ready.contains("blobs-damaged")).then_some(()))
    })
    .await?;
    hospital.close().await
}
