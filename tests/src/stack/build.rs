//! Builds both programs with the cargo that runs us, in our own profile, and takes the paths that cargo reports.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::process::Command;

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `causeway-gateway`.
    pub gateway: PathBuf,
    /// `causeway-agent`.
    pub agent: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The project's root: where the workspace's `Cargo.toml` is.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Builds the whole workspace's programs, so that features are unified as everywhere else and nothing is built twice.
///
/// # Errors
/// When cargo fails or does not report one of the programs.
pub async fn binaries() -> anyhow::Result<Binaries> {
    let mut command = Command::new(cargo());
    command.args([
        "build",
        "--workspace",
        "--bins",
        "--message-format=json-render-diagnostics",
    ]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("running cargo build")?;
    if !output.status.success() {
        bail!("cargo build failed; its words are above");
    }
    let mut found = HashMap::new();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        if let Ok(Message {
            executable: Some(path),
            target: Some(target),
        }) = serde_json::from_slice(line)
        {
            found.insert(target.name, path);
        }
    }
    let mut take = |name: &str| {
        found
            .remove(name)
            .with_context(|| format!("cargo built no {name}"))
    };
    Ok(Binaries {
        gateway: take("causeway-gateway")?,
        agent: take("causeway-agent")?,
    })
}

/// The cargo that runs us.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo names itself to the programs it runs in this variable"
)]
#[must_use]
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
