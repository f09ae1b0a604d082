//! dicomweb-client, an independent program, searches, pages, retrieves, and renders from the gateway.

use std::time::Duration;

use anyhow::ensure;
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::stack::build::root;
use causeway_tests::{shared, tools};

#[tokio::test]
async fn dicomweb_client_finds_and_fetches_everything() -> anyhow::Result<()> {
    let python = root().join("target/venv/bin/python");
    if !shared::installed(&python) {
        return Ok(());
    }
    let hospital = Hospital::start(Behaviour::default()).await?;
    let study = hospital.study(1);
    hospital.send(&study, 0..6, "CAUSEWAY").await?;
    hospital
        .reader
        .wait_ready(&study.study(), Duration::from_secs(60))
        .await?;
    let script = root()
        .join("tests/interop/dicomweb.py")
        .display()
        .to_string();
    let base = format!("{}/dicomweb", hospital.stack.url());
    let arguments = [script.as_str(), &base, hospital.reader.token()];
    let said = tools::run(&python.display().to_string(), &arguments).await?;
    ensure!(
        said.text.contains("every service answered"),
        "{}",
        said.text
    );
    hospital.close().await
}
