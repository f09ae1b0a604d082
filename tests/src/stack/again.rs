//! Ends a process of a running stack, and starts it again on the same addresses.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::process::Running;
use super::{Options, Stack, config_argument, log, wait_listening, wait_ready};

impl Stack {
    /// Kills the gateway with SIGKILL and starts it again on the same addresses.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn restart_gateway(&mut self) -> anyhow::Result<()> {
        self.restart_gateway_after(async |_| Ok(())).await
    }

    /// The same, with something that happens while it does not run.
    ///
    /// # Errors
    /// When that fails, or the gateway does not come up again.
    pub async fn restart_gateway_after(
        &mut self,
        between: impl AsyncFnOnce(&Options) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.gateway.kill().await?;
        between(&self.options).await?;
        self.start_gateway_again().await
    }

    /// The same with SIGTERM; answers how long it took to end.
    ///
    /// # Errors
    /// When it does not end in its time, ends with anything but 0, or does not come up again.
    pub async fn drain_gateway(&mut self) -> anyhow::Result<Duration> {
        let took = self.gateway.end("the gateway").await?;
        self.start_gateway_again().await?;
        Ok(took)
    }

    /// Starts the gateway, which does not run, with the programs of its options as they are now.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn start_gateway_again(&mut self) -> anyhow::Result<()> {
        let folder = self.options.folder.clone();
        self.gateway = Running::start(
            &self.options.binaries.gateway,
            &config_argument(&folder, "gateway", "serve"),
            &log(&folder, "gateway"),
        )
        .await?;
        wait_ready(&self.gateway_ports).await
    }

    /// Kills the agent with SIGKILL and starts it again on the same addresses.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn restart_agent(&mut self) -> anyhow::Result<()> {
        self.restart_agent_after(|| Ok(())).await
    }

    /// The same, with something that happens while it does not run.
    ///
    /// # Errors
    /// When that fails, or the agent does not come up again.
    pub async fn restart_agent_after(
        &mut self,
        between: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.agent.kill().await?;
        between()?;
        self.start_agent_again().await
    }

    /// The same with SIGTERM; answers how long it took to end.
    ///
    /// # Errors
    /// When it does not end in its time, ends with anything but 0, or does not come up again.
    pub async fn drain_agent(&mut self) -> anyhow::Result<Duration> {
        let took = self.agent.end("the agent").await?;
        self.start_agent_again().await?;
        Ok(took)
    }

    /// Starts the agent, which does not run, with the programs of its options as they are now.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn start_agent_again(&mut self) -> anyhow::Result<()> {
        let folder = self.options.folder.clone();
        self.agent = Running::start(
            &self.options.binaries.agent,
            &config_argument(&folder, "agent", "run"),
            &log(&folder, "agent"),
        )
        .await?;
        let dicom = self
            .agent_ports
            .get("dicom")
            .and_then(Value::as_str)
            .context("the agent has no DICOM address")?
            .to_owned();
        wait_listening("the agent's DICOM port", &dicom).await
    }
}
