//! Audit trails over a real link: whose rows are put back to an old copy is found by the other end, and by himself.

use std::path::Path;

use causeway_agent::audit::witness as at_site;
use causeway_agent::rows::Rows;
use causeway_gateway::audit::witness as at_centre;
use causeway_tests::stack::wait_until;

use super::centre::Centre;
use super::hospital::Hospital;
use super::{INSTANCES, LIMIT, SEALED, wait_count};

/// The database of a program that has ended; all of it stands in the one file then.
fn copied(file: &Path) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(!log_of(file).exists(), "the log was not folded in");
    Ok(std::fs::read(file)?)
}

/// Puts an old copy back, as a restore by hand does: database and log together.
fn put_back(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    anyhow::ensure!(!log_of(file).exists(), "the log was not folded in");
    Ok(std::fs::write(file, bytes)?)
}

fn log_of(file: &Path) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

async fn doubts_at_site(folder: &Path) -> anyhow::Result<Vec<String>> {
    let rows = Rows::look(folder).await?;
    let doubts = at_site::standing(&rows).await?;
    rows.close().await;
    Ok(doubts)
}

async fn wait_heads(centre: &Centre, more_than: i64) -> anyhow::Result<i64> {
    let newest = "SELECT COALESCE(max(seq), 0) FROM audit_witness";
    wait_until(newest, LIMIT, async || {
        let seq = centre.count(newest).await?;
        Ok((seq > more_than).then_some(seq))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_put_back_to_an_old_copy_is_found_by_both_ends() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let mut hospital = Hospital::start(&tls, centre.address).await?;
    hospital.wait_up().await?;
    hospital.store(1, 1, 64).await?;
    wait_count(&centre, SEALED, 1).await?;
    let folder = hospital.restart().await?.stop().await?;
    let file = folder.path().join("agent.sqlite");
    let old = copied(&file)?;

    let mut hospital = Hospital::on(folder, &tls, centre.address).await?;
    hospital.wait_up().await?;
    let seen = wait_heads(&centre, 0).await?;
    hospital.store(1, 2, 64).await?;
    wait_count(&centre, INSTANCES, 2).await?;
    let mut hospital = hospital.restart().await?;
    hospital.wait_up().await?;
    wait_heads(&centre, seen).await?;
    assert_eq!(at_centre::standing(&centre.parts.rows).await?, []);
    assert_eq!(doubts_at_site(hospital.folder.path()).await?, [""; 0]);
    let folder = hospital.stop().await?;

    put_back(&file, &old)?;
    let mut hospital = Hospital::on(folder, &tls, centre.address).await?;
    hospital.wait_up().await?;
    let theirs = "SELECT count(*) FROM audit_doubt WHERE whose = 'theirs'";
    wait_count(&centre, theirs, 1).await?;
    let doubts = at_centre::standing(&centre.parts.rows).await?;
    assert!(doubts[0].sentence.contains("site north"), "{doubts:?}");
    let folder = hospital.folder.path().to_owned();
    let own = wait_until("the agent's own doubt", LIMIT, async || {
        Ok(doubts_at_site(&folder).await?.pop())
    })
    .await?;
    assert!(own.starts_with("this agent"), "{own}");
    hospital.stop().await?;
    centre.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_put_back_to_an_old_copy_is_found_by_both_ends() -> anyhow::Result<()> {
    let centre = Centre::start().await?;
    let (_, tls) = centre.site("north").await?;
    let address = centre.address;
    let folder = centre.stop().await?;
    let file = folder.path().join("gateway.sqlite");
    let old = copied(&file)?;

    let listen = address.to_string();
    let centre = Centre::on(folder, &listen, |_| ()).await?;
    let mut hospital = Hospital::start(&tls, address).await?;
    hospital.wait_up().await?;
    hospital.store(1, 1, 64).await?;
    wait_count(&centre, SEALED, 1).await?;
    // on the next connection the agent hears of the head behind the seal
    let mut hospital = hospital.restart().await?;
    hospital.wait_up().await?;
    let site = hospital.folder.path().to_owned();
    let head = "SELECT count(*) FROM audit_event";
    let reached = u64::try_from(centre.count(head).await?)?;
    wait_until("the agent's witness", LIMIT, async || {
        let rows = Rows::look(&site).await?;
        let held = at_site::held(&rows).await?;
        rows.close().await;
        let far = held.is_some_and(|(head, _)| head.sequence >= reached);
        Ok(far.then_some(()))
    })
    .await?;
    assert_eq!(doubts_at_site(&site).await?, [""; 0]);
    let folder = centre.stop().await?;

    put_back(&file, &old)?;
    let centre = Centre::on(folder, &listen, |_| ()).await?;
    let found = wait_until("the agent's doubt", LIMIT, async || {
        Ok(doubts_at_site(&site).await?.pop())
    })
    .await?;
    assert!(found.starts_with("the gateway: "), "{found}");
    let ours = "SELECT count(*) FROM audit_doubt WHERE whose = 'ours'";
    wait_count(&centre, ours, 1).await?;
    hospital.stop().await?;
    centre.stop().await?;
    Ok(())
}
