//! One more site at the gateway of a stack: an agent of its own, with its own certificate.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::stack::process::{self, Running};
use crate::stack::{ORGANISATION, Options, Stack, configs};

/// A site with an agent that runs.
#[derive(Debug)]
pub struct Site {
    /// Its agent. Dropping it kills it.
    pub agent: Running,
    /// Where the agent's DICOM node listens.
    pub dicom: String,
    /// The site's identifier.
    pub id: String,
    program: PathBuf,
    config: PathBuf,
}

impl Site {
    /// Adds a site to the gateway, enrols its agent, and starts it in `folder`.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn start(stack: &Stack, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let name = format!("TEST site {}", folder.display());
        let arguments = [
            "site",
            "add",
            "--json",
            "--name",
            &name,
            "--country",
            "GR",
            "--time-zone",
            "Europe/Athens",
            "--language",
            "el",
            "--phone",
            "+30 210 0000000",
            "--organisation",
            ORGANISATION,
        ];
        let said: Value = serde_json::from_str(&stack.gateway_cli(&arguments).await?)?;
        let field = |name: &str| said.get(name).and_then(Value::as_str).context("no field");
        let port = |name: &str| {
            let port = stack.gateway_ports.get(name).and_then(Value::as_str);
            port.context("no port")
        };
        let tcp = format!("tcp_address = \"{}\"\n", port("enrolment")?);
        let options = Options {
            folder: folder.to_owned(),
            gateway_lines: stack.options.gateway_lines.clone() + &tcp,
            ..stack.options.clone()
        };
        let any = "127.0.0.1:0";
        configs::write_agent(&options, field("agreement")?, port("link")?, any, any)?;
        let config = folder.join("agent.toml");
        let enrol = [
            "enrol",
            "--gateway",
            port("enrolment")?,
            "--code",
            field("code")?,
        ];
        process::run(&options.binaries.agent, &config, &enrol).await?;
        let arguments = [
            "--config".to_owned(),
            config.display().to_string(),
            "run".to_owned(),
        ];
        let log = folder.join("agent.log");
        let mut agent = Running::start(&options.binaries.agent, &arguments, &log).await?;
        let ports = agent
            .ports(&folder.join("agent-spool/ports.json"), "the agent")
            .await?;
        let dicom = ports.get("dicom").and_then(Value::as_str);
        Ok(Self {
            dicom: dicom.context("no DICOM address")?.to_owned(),
            id: field("site")?.to_owned(),
            agent,
            program: options.binaries.agent,
            config,
        })
    }

    /// What the agent's `status` says at a place.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self, pointer: &str) -> anyhow::Result<Value> {
        let said = process::run(&self.program, &self.config, &["status", "--json"]).await?;
        let status: Value = serde_json::from_str(&said)?;
        Ok(status.pointer(pointer).cloned().unwrap_or_default())
    }
}
