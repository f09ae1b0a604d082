//! A whole Causeway on loopback as real processes: a gateway, an enrolled agent, a reader's account, and a PACS to answer to.

mod again;
pub mod build;
pub mod configs;
pub mod facts;
pub mod process;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use build::Binaries;
use process::Running;

use crate::tools::free_port;

/// Where the hospital's PACS listens.
#[derive(Clone, Debug)]
pub struct PacsAddress {
    /// Its AE title.
    pub ae_title: String,
    /// `host:port`.
    pub address: String,
}

impl std::str::FromStr for PacsAddress {
    type Err = anyhow::Error;

    /// Reads `AET@HOST:PORT`.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (ae_title, address) = text
            .split_once('@')
            .context("a PACS is named as AET@HOST:PORT")?;
        Ok(Self {
            ae_title: ae_title.to_owned(),
            address: address.to_owned(),
        })
    }
}

/// What a stack is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// An empty folder that the stack may fill.
    pub folder: PathBuf,
    /// The programs.
    pub binaries: Binaries,
    /// Whom the agent answers to and returns reports to.
    pub pacs: PacsAddress,
    /// `ohif.tar`, when it has been packaged.
    pub viewer: Option<PathBuf>,
    /// Headings as PixelMed's validator of 2022 knows them.
    pub legacy_headings: bool,
    /// Identities leave the site: for tests that compare what was sent with what is there.
    pub identified: bool,
    /// The site shifts the dates of what leaves.
    pub shifts_dates: bool,
    /// No UID of the site leaves, as its own configuration asks.
    pub replaces_uids: bool,
    /// The PACS answers C-FIND, and is asked whose a report is; otherwise the received header is trusted (P3).
    pub asks_pacs: bool,
    /// When the PACS gets the page image of a report: `if-refused`, `always` or `never` (P8).
    pub page_image: &'static str,
    /// The addresses of the two ends, when there is a line between them; otherwise both are on loopback.
    pub far: Option<Far>,
    /// More lines of the agent's `[gateway]`.
    pub gateway_lines: String,
    /// Lines of the agent's `[disk]` and of the gateway's `[archive.disk]`, which are alike.
    pub floors: &'static str,
}

/// Two ends with a line between them.
#[derive(Clone, Copy, Debug)]
pub struct Far {
    /// Where the agent's DICOM node listens.
    pub site: IpAddr,
    /// Where the gateway's link and enrolment listen.
    pub centre: IpAddr,
}

/// The reading organisation of every stack.
pub const ORGANISATION: &str = "Causeway TEST reading";

/// The account on every stack's site page.
pub const RADIOGRAPHER: &str = "radiographer";

/// A running stack. Dropping it kills both processes.
#[derive(Debug)]
pub struct Stack {
    /// What it was started with.
    pub options: Options,
    /// The gateway.
    pub gateway: Running,
    /// The agent.
    pub agent: Running,
    /// The gateway's addresses: `http`, `link`, `enrolment`, `health`.
    pub gateway_ports: Value,
    /// The agent's addresses: `dicom`, `page`.
    pub agent_ports: Value,
    /// The site's identifier.
    pub site: String,
    /// The agreement's identifier.
    pub agreement: String,
    /// The reader's password; the user is `reader`.
    pub password: String,
    /// The radiographer's password on the site page; the user is [`RADIOGRAPHER`].
    pub page_password: String,
}

impl Stack {
    /// Starts everything, enrols the agent, makes the reader's account, and returns when both processes are ready.
    ///
    /// # Errors
    /// When a program does not start, enrol or become ready; the message says which step and where its log is.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let (gateway, gateway_ports) = start_gateway(&options).await?;
        let (site, agreement, code) = add_site(&options).await?;
        let password = add_reader(&options, "reader").await?;
        let (agent, agent_ports) = start_agent(&options, &agreement, &gateway_ports, &code).await?;
        let page_password = add_radiographer(&options).await?;
        Ok(Self {
            options,
            gateway,
            agent,
            gateway_ports,
            agent_ports,
            site,
            agreement,
            password,
            page_password,
        })
    }

    /// Makes one more reader and returns the password.
    ///
    /// # Errors
    /// When the gateway's command line refuses.
    pub async fn add_reader(&self, name: &str) -> anyhow::Result<String> {
        add_reader(&self.options, name).await
    }

    /// Runs the gateway's command line beside the running gateway and returns what it printed.
    ///
    /// # Errors
    /// When it ends with anything but 0; the message carries what it said.
    pub async fn gateway_cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        gateway_cli(&self.options, arguments).await
    }

    /// Runs the agent's command line beside the running agent and returns what it printed.
    ///
    /// # Errors
    /// When it ends with anything but 0; the message carries what it said.
    pub async fn agent_cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        agent_cli(&self.options, arguments).await
    }

    /// Base of the gateway's pages, such as `http://127.0.0.1:4000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "http://{}",
            self.gateway_ports
                .get("http")
                .and_then(Value::as_str)
                .unwrap_or_default()
        )
    }

    /// Where the agent's DICOM node listens.
    #[must_use]
    pub fn dicom(&self) -> String {
        self.agent_ports
            .get("dicom")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// Base of the site page, such as `http://127.0.0.1:4001`.
    #[must_use]
    pub fn page(&self) -> String {
        let address = self.agent_ports.get("page").and_then(Value::as_str);
        format!("http://{}", address.unwrap_or_default())
    }

    /// Ends both processes with SIGTERM and waits for them.
    ///
    /// # Errors
    /// When one does not end within its time or ends with an error.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.agent.end("the agent").await?;
        self.gateway.end("the gateway").await?;
        Ok(())
    }
}

async fn start_gateway(options: &Options) -> anyhow::Result<(Running, Value)> {
    let folder = &options.folder;
    configs::write_gateway(options, &configs::GatewayPorts::any(options.far)?)?;
    let mut gateway = Running::start(
        &options.binaries.gateway,
        &config_argument(folder, "gateway", "serve"),
        &log(folder, "gateway"),
    )
    .await?;
    let ports = gateway
        .ports(&folder.join("gateway-data/ports.json"), "the gateway")
        .await?;
    configs::write_gateway(options, &configs::GatewayPorts::read(&ports)?)?;
    wait_ready(&ports).await?;
    Ok((gateway, ports))
}

async fn add_site(options: &Options) -> anyhow::Result<(String, String, String)> {
    let mut arguments = vec![
        "site",
        "add",
        "--json",
        "--name",
        "TEST hospital",
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
    if options.identified {
        arguments.push("--identified");
    }
    if options.legacy_headings {
        arguments.push("--legacy-headings");
    }
    let said: Value = serde_json::from_str(&gateway_cli(options, &arguments).await?)
        .context("reading what `site add --json` printed")?;
    let field = |name: &str| {
        said.get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| anyhow!("`site add --json` printed no {name}"))
    };
    Ok((field("site")?, field("agreement")?, field("code")?))
}

/// Makes the account of a reader who may verify, and returns its password.
async fn add_reader(options: &Options, name: &str) -> anyhow::Result<String> {
    let password = process::random_password()?;
    let file = options.folder.join(format!("{name}-password"));
    process::write_secret(&file, &password)?;
    let file = file.display().to_string();
    let person = [
        "--given",
        "Rita",
        "--family",
        "Reader",
        "--title",
        "Dr",
        "--registration",
        "TEST-12345",
    ];
    let place = [
        "--organisation",
        ORGANISATION,
        "--country",
        "SE",
        "--phone",
        "+46 8 000 00 00",
    ];
    let mut arguments = vec!["user", "add", "--name", name];
    arguments.extend(person);
    arguments.extend(place);
    arguments.extend([
        "--role",
        "reader,verifier,operator",
        "--password-file",
        &file,
    ]);
    gateway_cli(options, &arguments).await?;
    Ok(password)
}

async fn start_agent(
    options: &Options,
    agreement: &str,
    gateway: &Value,
    code: &str,
) -> anyhow::Result<(Running, Value)> {
    let folder = &options.folder;
    let enrolment = gateway
        .get("enrolment")
        .and_then(Value::as_str)
        .context("the gateway has no enrolment address")?;
    let link = gateway
        .get("link")
        .and_then(Value::as_str)
        .context("the gateway has no link address")?;
    let site = options.far.map(|far| far.site.to_string());
    let dicom = format!(
        "{}:{}",
        site.as_deref().unwrap_or("127.0.0.1"),
        free_port()?
    );
    let page = format!("127.0.0.1:{}", free_port()?);
    configs::write_agent(options, agreement, link, &dicom, &page)?;
    agent_cli(options, &["enrol", "--gateway", enrolment, "--code", code]).await?;
    let mut agent = Running::start(
        &options.binaries.agent,
        &config_argument(folder, "agent", "run"),
        &log(folder, "agent"),
    )
    .await?;
    let ports = agent
        .ports(&folder.join("agent-spool/ports.json"), "the agent")
        .await?;
    let dicom = ports
        .get("dicom")
        .and_then(Value::as_str)
        .context("the agent has no DICOM address")?;
    let page = ports
        .get("page")
        .and_then(Value::as_str)
        .context("the agent has no address of its site page")?;
    configs::write_agent(options, agreement, link, dicom, page)?;
    wait_listening("the agent's DICOM port", dicom).await?;
    Ok((agent, ports))
}

/// Makes an account of the site page, and returns its password.
async fn add_radiographer(options: &Options) -> anyhow::Result<String> {
    let password = process::random_password()?;
    let file = options.folder.join("radiographer-password");
    process::write_secret(&file, &password)?;
    let file = file.display().to_string();
    let arguments = [
        "page",
        "user",
        "add",
        RADIOGRAPHER,
        "--role",
        "radiographer",
        "--password-file",
        &file,
    ];
    agent_cli(options, &arguments).await?;
    Ok(password)
}

/// Runs the gateway's command line, whether it runs or not.
///
/// # Errors
/// When it ends with anything but 0; the message carries what it said.
pub async fn gateway_cli(options: &Options, arguments: &[&str]) -> anyhow::Result<String> {
    process::run(
        &options.binaries.gateway,
        &options.folder.join("gateway.toml"),
        arguments,
    )
    .await
}

async fn agent_cli(options: &Options, arguments: &[&str]) -> anyhow::Result<String> {
    process::run(
        &options.binaries.agent,
        &options.folder.join("agent.toml"),
        arguments,
    )
    .await
}

fn config_argument(folder: &Path, which: &str, verb: &str) -> Vec<String> {
    vec![
        "--config".to_owned(),
        folder.join(format!("{which}.toml")).display().to_string(),
        verb.to_owned(),
    ]
}

/// Where the process called `which` writes its log.
#[must_use]
pub fn log(folder: &Path, which: &str) -> PathBuf {
    folder.join(format!("{which}.log"))
}

async fn wait_ready(ports: &Value) -> anyhow::Result<()> {
    let health = ports
        .get("health")
        .and_then(Value::as_str)
        .context("the gateway has no health address")?;
    let url = format!("http://{health}/readyz");
    wait_until(
        "the gateway to be ready",
        Duration::from_secs(30),
        async || {
            Ok(reqwest::get(&url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(()))
        },
    )
    .await
}

async fn wait_listening(what: &str, address: &str) -> anyhow::Result<()> {
    wait_until(what, Duration::from_secs(30), async || {
        Ok(tokio::net::TcpStream::connect(address)
            .await
            .ok()
            .map(|_| ()))
    })
    .await
}

/// The most that one question counts while something is waited for.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// Asks again and again until `ask` has an answer; says what it waited for when `limit` is over.
///
/// # Errors
/// When `ask` fails for good or the time is over.
pub async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let mut waited = Duration::ZERO;
    let mut pause = Duration::from_millis(10);
    loop {
        let begun = tokio::time::Instant::now();
        if let Some(answer) = ask().await.with_context(|| format!("waiting for {what}"))? {
            return Ok(answer);
        }
        if waited > limit {
            bail!("waited {} s for {what}, in vain", limit.as_secs());
        }
        tokio::time::sleep(pause).await;
        // while the machine stood still nobody waited
        waited += begun.elapsed().min(LONGEST_STEP);
        pause = (pause * 3 / 2).min(Duration::from_millis(250));
    }
}
