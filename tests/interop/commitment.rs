//! Storage commitment with pynetdicom as the modality: over the association on which it asked, and over one that the agent asks for.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_agent::spool::Spool;
use causeway_proto::link::message::Receipt;
use causeway_tests::stack::wait_until;
use causeway_tests::{shared, tools};
use serde_json::{Value, json};

use super::agent::Site;

const LIMIT: Duration = Duration::from_secs(60);

/// Gives every instance its receipt as soon as it is there.
async fn receipting(spool: &Spool) -> anyhow::Result<()> {
    let mut number = 0;
    loop {
        for out in spool.next_to_send(100, &HashSet::new()).await? {
            number += 1;
            let receipt = Receipt {
                key: out.key.clone(),
                sent_digest: out.sent.digest,
                length: out.sent.length,
                number,
                epoch: 1,
                quarantined: false,
            };
            spool.receipted(&[receipt]).await?;
        }
        spool.changed().await;
    }
}

#[tokio::test]
async fn pynetdicom_hears_what_is_committed_to() -> anyhow::Result<()> {
    let root = causeway_tests::stack::build::root();
    let python = root.join("target/venv/bin/python");
    if !shared::installed(&python) {
        return Ok(());
    }
    let script = root.join("tests/interop/commitment.py");
    for mode in ["same", "new"] {
        let own = tools::free_port()?.to_string();
        let site = Site::open_with(&format!(
            "[[calling]]\nae_title = \"CT1\"\naddresses = [\"127.0.0.1\"]\nkind = \"modality\"\ncommitment = \"127.0.0.1:{own}\""
        ))
        .await?;
        let (_, port) = site.address.split_once(':').context("no port")?;
        let (python, script) = (python.display().to_string(), script.display().to_string());
        let folder = tempfile::tempdir()?;
        let released = folder.path().join("released");
        let told = released.display().to_string();
        let arguments = [script.as_str(), port, own.as_str(), mode, told.as_str()];
        let committing = async {
            // until all is receipted there is nothing to report, however long the modality takes to release
            if mode == "new" {
                let there = async || Ok(released.exists().then_some(()));
                wait_until("the release", LIMIT, there).await?;
            }
            receipting(&site.spool).await
        };
        let said = tokio::select! {
            said = tools::run(&python, &arguments) => said?,
            refused = committing => {
                refused?;
                anyhow::bail!("no more receipts");
            }
        };
        ensure!(said.code == Some(0), "{mode}: {}", said.text);
        let heard: Value = serde_json::from_str(said.text.lines().last().unwrap_or_default())
            .with_context(|| said.text.clone())?;
        let expected = json!({
            "statuses": [0, 0, 0],
            "events": [{
                "type": 2,
                "theirs": mode == "new",
                "transaction": "2.25.4711",
                "committed": [["2.25.1000.1", 0], ["2.25.1000.2", 0]],
                "failed": [["2.25.1000.3", 0x0112]],
            }],
        });
        ensure!(heard == expected, "{mode}: {heard}");
        site.close().await?;
    }
    Ok(())
}
