//! The command line: what may be asked, how it is answered, and with which exit code.
//!
//! Exit codes: 0 done, 1 another fault, 2 usage, 3 configuration, 4 identity, 5 the other side, 6 storage, 7 conflict.

mod alarms;
mod audit;
mod held;
mod keyring;
mod masks;
mod originals;
mod reports;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use causeway_certs::enrol::{Code, CredentialsError};
use causeway_proto::ids::CaseCode;
use clap::{Parser, Subcommand};

use super::{clock, doctor, keys, look, make_folder, people, random};
use crate::config::{Config, ConfigError};
use crate::keys::KeysError;
use crate::link::enrol::{EnrolError, Enrolling, enrolled};
use crate::observe::control::{self, Answer, Ask, ControlError};
use crate::observe::status::{self, Status};
use crate::observe::{downtime, log, show};
use crate::rows::RowsError;
use crate::spool::OpenError;

/// The agent of a hospital: receives studies, forwards them, brings signed reports home.
#[derive(Debug, Parser)]
#[command(name = "causeway-agent", version)]
pub struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = "/etc/causeway/agent.toml")]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run until told to end.
    Run,
    /// Check the configuration: names file, line, key, and what would be right.
    CheckConfig,
    /// Get a certificate from the gateway with a one-time code.
    Enrol {
        /// Where the gateway takes enrolments, host:port.
        #[arg(long)]
        gateway: String,
        /// The code that the gateway's operator read out.
        #[arg(long)]
        code: Code,
        /// Replace the identity that this agent has.
        #[arg(long)]
        replace: bool,
    },
    /// Show the link, the queue, the reports and the last error.
    Status {
        /// As JSON, for scripts.
        #[arg(long)]
        json: bool,
        /// Refresh until everything is handed off.
        #[arg(long)]
        follow: bool,
    },
    /// Name the patient of a case and tell what has happened to it.
    Where {
        /// A case code, an accession number, a patient ID or a pseudonym.
        what: String,
        /// As JSON, for scripts.
        #[arg(long)]
        json: bool,
    },
    /// End the wait for more images, for one case or for all.
    SendNow {
        /// The case code.
        case: Option<CaseCode>,
    },
    /// List what is held at the site, or decide about it.
    Held {
        #[command(subcommand)]
        what: Option<held::Verb>,
    },
    /// Alarms that were told and stand; or say that a person knows of them.
    Alarms {
        #[command(subcommand)]
        verb: Option<alarms::Verb>,
    },
    /// Take a study back: nothing more of it is sent, and the gateway withdraws and deletes it.
    Recall {
        /// The case code.
        case: CaseCode,
        /// Why. Without it nothing is taken back: what became of a recall is told, and who had opened the study.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Accept that bytes found missing are lost, so that the agent receives again after its next start.
    AcceptLoss {
        /// Type the spool folder's path, so that nobody does this to the wrong agent.
        #[arg(long, value_name = "PATH")]
        of: PathBuf,
    },
    /// Export, import or rotate the keys of this site.
    Keys {
        #[command(subcommand)]
        verb: keyring::Verb,
    },
    /// Open the originals of a pseudonymous object (a Part 10 file) with the hospital's key: print them, or put them back.
    Open {
        /// The file, as fetched from the gateway.
        file: PathBuf,
        /// Write the object with its originals in their places into this new file, instead of printing them.
        #[arg(long, conflicts_with = "json")]
        to: Option<PathBuf>,
        /// As JSON, for scripts.
        #[arg(long)]
        json: bool,
    },
    /// The signed reports that are kept here.
    Reports {
        #[command(subcommand)]
        verb: reports::Verb,
    },
    /// What is black on the pictures of which device.
    Masks {
        #[command(subcommand)]
        verb: masks::Verb,
    },
    /// The site's audit trail.
    Audit {
        #[command(subcommand)]
        verb: audit::Verb,
    },
    /// The page for people at the site.
    #[command(subcommand)]
    Page(people::Verb),
    /// Print the open cases by their codes, whom to call, and what to do instead. Works while no agent runs.
    DowntimeSheet,
    /// Check disk, spool, certificate, clock, link, and what the destinations take.
    Doctor {
        /// Only print what the network team has to let through, and what passes now.
        #[arg(long)]
        firewall: bool,
        /// Only send one message through each channel of alarms, and print what each made of it.
        #[arg(long, conflicts_with = "firewall")]
        test_alarm: bool,
    },
}

/// Threads for work that blocks: the disk, pixels, a name that is looked up. A thread that was needed once is woken in its turn and never
/// ends, so that without a bound the most that ever waited together would be there for good.
const BLOCKING: usize = 24;

/// Does what was asked.
#[must_use]
pub fn main(arguments: Arguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error.into()),
    };
    match runtime.block_on(act(arguments)) {
        Ok(code) => code,
        Err(error) => refuse(&error),
    }
}

/// Says on standard error what went wrong, with all its causes, and answers the exit code of its kind.
fn refuse(error: &anyhow::Error) -> ExitCode {
    let (code, exit) = kind(error);
    let mut said = writeln!(io::stderr(), "error[{code}]: {error}");
    for cause in error.chain().skip(1) {
        said = said.and_then(|()| writeln!(io::stderr(), "  because: {cause}"));
    }
    match said {
        Ok(()) => ExitCode::from(exit),
        Err(_) => ExitCode::FAILURE,
    }
}

/// The name and exit code of an error.
fn kind(error: &anyhow::Error) -> (&'static str, u8) {
    for cause in error.chain() {
        if cause.is::<ConfigError>() {
            return ("AG-003", 3);
        }
        if cause.is::<CredentialsError>() {
            return ("AG-004", 4);
        }
        match cause.downcast_ref::<EnrolError>() {
            Some(EnrolError::Connect { .. } | EnrolError::Silent | EnrolError::Cut(_)) => {
                return ("AG-005", 5);
            }
            Some(_) => return ("AG-004", 4),
            None => {}
        }
        match cause.downcast_ref::<OpenError>() {
            Some(OpenError::Locked) => return ("AG-007", 7),
            Some(_) => return ("AG-006", 6),
            None => {}
        }
        match cause.downcast_ref::<KeysError>() {
            Some(KeysError::Exposed(_)) => return ("AG-003", 3),
            Some(KeysError::Sealed | KeysError::Bundle | KeysError::Passphrase(_)) => {
                return ("AG-004", 4);
            }
            Some(KeysError::Different(_)) => return ("AG-007", 7),
            Some(_) => return ("AG-006", 6),
            None => {}
        }
        if cause.is::<RowsError>() {
            return ("AG-006", 6);
        }
        if cause.is::<ControlError>() {
            return ("AG-005", 5);
        }
    }
    ("AG-001", 1)
}

async fn act(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(&arguments.config)?;
    match arguments.verb {
        Verb::Run => {
            log::begin(&config.log);
            Box::pin(super::run(config)).await?;
        }
        Verb::CheckConfig => check_config(&arguments.config, &config)?,
        Verb::Enrol {
            gateway,
            code,
            replace,
        } => enrol(&config, gateway, &code, replace).await?,
        Verb::Status { json, follow } => show_status(&config, json, follow).await?,
        Verb::Where { what, json } => return tell_where(&config, what, json).await,
        Verb::SendNow { case } => {
            change(&config, Ask::SendNow { case }, "no longer waited for").await?
        }
        Verb::Held { what: None } => held::list(&config).await?,
        Verb::Held { what: Some(verb) } => held::rule(&config, verb).await?,
        Verb::Alarms { verb } => alarms::act(&config, verb).await?,
        Verb::Recall { case, reason: None } => {
            return tell_where(&config, case.to_string(), false).await;
        }
        Verb::Recall {
            case,
            reason: Some(reason),
        } => {
            change(&config, Ask::Recall { case, reason }, "recalled").await?;
        }
        Verb::AcceptLoss { of } => accept_loss(&config, &of).await?,
        Verb::Keys { verb } => {
            let (event, subject) = verb.event();
            keyring::act(&config, verb)?;
            audit::note(&config, event, &subject, &serde_json::json!({})).await?;
        }
        Verb::Reports { verb } => reports::act(&config, verb).await?,
        Verb::Masks { verb } => masks::act(&config, verb).await?,
        Verb::Audit { verb } => audit::act(&config, verb).await?,
        Verb::Open { file, to, json } => {
            // written down before anything is shown; the file's name may name somebody and is not
            let nothing = serde_json::json!({});
            audit::note(&config, "original-opened", "originals", &nothing).await?;
            originals::open(&config, &file, to.as_deref(), json)?;
        }
        Verb::Page(verb) => people::act(&config, verb).await?,
        Verb::DowntimeSheet => {
            let rows = look(&config).await?;
            let sheet = downtime::sheet(&config.downtime, &rows, clock().now()).await?;
            write!(io::stdout(), "{sheet}")?;
        }
        Verb::Doctor {
            firewall,
            test_alarm,
        } => {
            let out = &mut io::stdout();
            let healthy = match (firewall, test_alarm) {
                (true, _) => doctor::firewall(&config, out).await?,
                (_, true) => doctor::test_alarm(&config, out).await?,
                _ => doctor::examine(&config, out).await?,
            };
            return Ok(if healthy {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(5)
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check_config(file: &Path, config: &Config) -> anyhow::Result<()> {
    let mut out = io::stdout();
    for remark in config.remarks() {
        writeln!(out, "{}: remark: {remark}", file.display())?;
    }
    writeln!(out, "{}: good", file.display())?;
    Ok(())
}

async fn enrol(config: &Config, gateway: String, code: &Code, replace: bool) -> anyhow::Result<()> {
    let folder = keys(&config.spool);
    if enrolled(&folder) && !replace {
        anyhow::bail!("this agent is enrolled already; `--replace` gives it another identity");
    }
    make_folder(&config.spool)?;
    let enrolling = Enrolling {
        gateway,
        server_name: config.gateway.server_name.clone(),
        proxy: config.gateway.proxy.clone(),
        folder,
        clock: clock(),
        random: random(),
    };
    let welcome = enrolling.enrol(code).await?;
    let (site, detail) = (welcome.site.to_string(), serde_json::json!({}));
    audit::note(config, "enrolled", &site, &detail).await?;
    let mut out = io::stdout();
    writeln!(out, "enrolled as {} ({})", welcome.site, welcome.name)?;
    for organisation in welcome.organisations {
        writeln!(out, "read by {organisation}")?;
    }
    Ok(())
}

/// From the running process, else from the rows.
async fn status_of(config: &Config) -> anyhow::Result<Status> {
    match control::ask(&config.spool, &Ask::Status).await {
        Ok(Answer::Status(status)) => Ok(*status),
        Ok(other) => refused_answer(other),
        Err(ControlError::NotRunning) => {
            Ok(status::of_rows(&look(config).await?, clock().now()).await?)
        }
        Err(error) => Err(error.into()),
    }
}

fn refused_answer<T>(answer: Answer) -> anyhow::Result<T> {
    match answer {
        Answer::Failed(sentence) => anyhow::bail!(sentence),
        _ => anyhow::bail!("the running agent answered something else"),
    }
}

async fn show_status(config: &Config, json: bool, follow: bool) -> anyhow::Result<()> {
    let mut out = io::stdout();
    loop {
        let status = status_of(config).await?;
        if json {
            writeln!(out, "{}", serde_json::to_string(&status)?)?;
        } else {
            show::status(&mut out, &status)?;
            if out.is_terminal() {
                show::bars(&status);
            }
        }
        let done = status
            .queue
            .studies
            .iter()
            .all(|study| study.state == "handed-off");
        if !follow || done {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn tell_where(config: &Config, what: String, json: bool) -> anyhow::Result<ExitCode> {
    let ask = Ask::Where { what: what.clone() };
    let cases = match control::ask(&config.spool, &ask).await {
        Ok(Answer::Cases(cases)) => cases,
        Ok(other) => return refused_answer(other),
        Err(ControlError::NotRunning) => status::find(&look(config).await?, &what).await?,
        Err(error) => return Err(error.into()),
    };
    let mut out = io::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string(&cases)?)?;
    } else if cases.is_empty() {
        writeln!(
            out,
            "nothing here has this case code, accession number, patient ID or pseudonym"
        )?;
    } else {
        show::cases(&mut out, &cases)?;
    }
    Ok(if cases.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Only while no process runs: the start after it judges anew.
async fn accept_loss(config: &Config, of: &Path) -> anyhow::Result<()> {
    if of != config.spool {
        anyhow::bail!(
            "the spool folder is {}, not {}",
            config.spool.display(),
            of.display()
        );
    }
    let spool = super::open_spool(config).await?;
    let lost = spool.accept_loss().await?;
    spool.close().await;
    writeln!(
        io::stdout(),
        "{lost} instance(s) given up; start the agent and have the PACS send them again"
    )?;
    Ok(())
}

/// Changes something in the running process.
async fn change(config: &Config, ask: Ask, done: &str) -> anyhow::Result<()> {
    match control::ask(&config.spool, &ask).await? {
        Answer::Changed(0) => anyhow::bail!("there is nothing that this could change"),
        Answer::Changed(count) => Ok(writeln!(io::stdout(), "{count} {done}")?),
        other => refused_answer(other),
    }
}
