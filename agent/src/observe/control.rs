//! The socket in the spool folder by which the command line asks the running process: one line of JSON each way. Only the owner of
//! the folder can reach it; the link cannot.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use causeway_observe::Teller;
use causeway_proto::ids::CaseCode;
use causeway_proto::time::Clock;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::status::{self, Status};
use super::watch::{self as alarms, CertificateEnd};
use crate::delivery::{self, Deliveries, Ruling};
use crate::link;
use crate::mask::{Device, Rectangle};
use crate::restore::rows::Mismatch;
use crate::spool::decision::By;
use crate::spool::masks::{self, Drawn, Met};
use crate::spool::view::{self, Case, Held};
use crate::spool::{Admission, Spool};

const NAME: &str = "agent.sock";

/// Longest question, in bytes.
const LONGEST_ASK: u64 = 4096;

/// Longest answer, in bytes.
const LONGEST_ANSWER: u64 = 16 << 20;

/// Who asks at the socket: whoever may use it.
const OPERATOR: &str = "operator";

/// A path of a socket may have at most 108 bytes.
const LONGEST_PATH: usize = 100;

/// What may be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// How the agent stands.
    Status,
    /// Who and where (P10).
    Where {
        /// Case code, accession number or patient ID.
        what: String,
    },
    /// Ends the wait for more (P30).
    SendNow {
        /// For one case; none: for all.
        case: Option<CaseCode>,
    },
    /// What a person may have to decide.
    Held,
    /// Offers the reports of a case again.
    Retry {
        /// Which.
        case: CaseCode,
    },
    /// Decides about a report whose patient is in question (P3).
    Rule {
        /// Which, as the list of what is held numbers it.
        report: i64,
        /// What.
        ruling: Ruling,
    },
    /// The devices whose pictures may carry a banner (P6).
    Masks,
    /// Says what is black on the pictures of a device.
    DrawMask {
        /// Which.
        which: Which,
        /// What; nothing where nothing is burned in.
        rectangles: Vec<Rectangle>,
        /// Hiding a declared scan area is meant.
        confirmed: bool,
        /// Why.
        reason: String,
    },
    /// Takes the mask of a device away.
    DropMask {
        /// Which, as the list numbers it.
        device: i64,
        /// Why.
        reason: String,
    },
    /// Takes a study back (P17).
    Recall {
        /// Which.
        case: CaseCode,
        /// Why.
        reason: String,
    },
    /// Says that a person knows of alarms: they are not told again.
    Acknowledge {
        /// Of which rule; none: of all.
        rule: Option<String>,
        /// About what; none: about everything.
        about: Option<String>,
    },
}

/// A device.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// As the list numbers it.
    Met(i64),
    /// By what its headers will say.
    New(Device),
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", content = "of", rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Ask::Status`].
    Status(Box<Status>),
    /// To [`Ask::Where`].
    Cases(Vec<Case>),
    /// To [`Ask::Held`].
    Held {
        /// Objects.
        instances: Vec<Held>,
        /// Reports whose patient is in question.
        reports: Vec<Mismatch>,
    },
    /// To [`Ask::Masks`].
    Masks(Vec<Met>),
    /// To [`Ask::DrawMask`].
    Drawn(Drawn),
    /// How many things were changed.
    Changed(u64),
    /// It did not work, and why.
    Failed(String),
}

/// The socket could not be opened or asked.
#[derive(Debug, Error)]
pub enum ControlError {
    /// No process answers at the socket.
    #[error("causeway-agent is not running on this spool folder")]
    NotRunning,
    /// The socket failed.
    #[error("asking the running agent")]
    Socket(#[from] io::Error),
    /// The answer makes no sense to this version.
    #[error("the running agent answered in a way that this version does not know")]
    Answer(#[source] serde_json::Error),
}

/// What the running process answers from.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The spool.
    pub spool: Spool,
    /// The deliveries.
    pub deliveries: Deliveries,
    /// How the link stands.
    pub link: watch::Receiver<link::State>,
    /// When the site's certificate ends.
    pub certificate: CertificateEnd,
    /// By which alarms leave.
    pub teller: Teller,
    /// The wall clock.
    pub clock: Clock,
}

/// The socket's path, by way of an open folder when it would be too long.
fn path(folder: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let direct = folder.join(NAME);
    if direct.as_os_str().len() <= LONGEST_PATH {
        return Ok((direct, None));
    }
    let open = File::open(folder)?;
    let through = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd())).join(NAME);
    Ok((through, Some(open)))
}

/// Opens the socket. The spool's lock says that no other process uses it.
///
/// # Errors
/// As the system says.
pub fn open(folder: &Path) -> io::Result<UnixListener> {
    let (path, _folder) = path(folder)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until `cancel` fires, one question at a time.
pub async fn serve(listener: UnixListener, desk: Desk, cancel: CancellationToken) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = cancel.cancelled() => return,
        };
        let outcome = match stream {
            Ok((stream, _)) => {
                let limit = Duration::from_secs(10);
                match tokio::time::timeout(limit, answer(stream, &desk)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "a question at the socket was not answered");
        }
    }
}

async fn answer(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(LONGEST_ASK).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(ask) => desk.answer(ask).await,
        Err(error) => Answer::Failed(format!("the question is not understood: {error}")),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    stream.shutdown().await
}

impl Desk {
    async fn answer(&self, ask: Ask) -> Answer {
        // what was acknowledged is told, too
        if let Err(error) = self.spool.settle().await {
            tracing::warn!(%error, "what was received last is not told yet");
        }
        let rows = self.spool.rows();
        let answered = match ask {
            Ask::Status => self.status().await.map(|s| Answer::Status(Box::new(s))),
            Ask::Where { what } => status::find(rows, &what).await.map(Answer::Cases),
            Ask::SendNow { case } => {
                let sent = self.spool.send_now(case.as_ref(), OPERATOR).await;
                sent.map(Answer::Changed).map_err(Into::into)
            }
            Ask::Held => self.held().await,
            Ask::Rule { report, ruling } => {
                let ruled = self.deliveries.rule(report, ruling, OPERATOR).await;
                ruled.map(Answer::Changed).map_err(Into::into)
            }
            Ask::Retry { case } => {
                let again = self.deliveries.retry(&case, OPERATOR).await;
                again.map(Answer::Changed).map_err(Into::into)
            }
            Ask::Masks => masks::met(rows)
                .await
                .map(Answer::Masks)
                .map_err(Into::into),
            Ask::DrawMask {
                which,
                rectangles,
                confirmed,
                reason,
            } => self.draw(which, &rectangles, confirmed, &reason).await,
            Ask::DropMask { device, reason } => {
                let dropped = self.spool.drop_mask(device, by(&reason)).await;
                dropped
                    .map(|done| Answer::Changed(u64::from(done)))
                    .map_err(Into::into)
            }
            Ask::Recall { case, reason } => {
                let recalled = self.spool.recall(&case, by(&reason)).await;
                recalled
                    .map(|done| Answer::Changed(u64::from(done)))
                    .map_err(Into::into)
            }
            Ask::Acknowledge { rule, about } => {
                let which = (rule.as_deref(), about.as_deref());
                let known = alarms::acknowledge(rows, self.clock.now(), which, OPERATOR).await;
                known.map(Answer::Changed).map_err(Into::into)
            }
        };
        answered.unwrap_or_else(|error| Answer::Failed(error.to_string()))
    }

    async fn draw(
        &self,
        which: Which,
        rectangles: &[Rectangle],
        confirmed: bool,
        reason: &str,
    ) -> Result<Answer, status::ViewError> {
        let device = match which {
            Which::Met(number) => number,
            Which::New(device) => self.spool.know_device(&device).await?,
        };
        let drawn = self
            .spool
            .draw_mask(device, rectangles, confirmed, by(reason));
        Ok(Answer::Drawn(drawn.await?))
    }

    async fn held(&self) -> Result<Answer, status::ViewError> {
        let rows = self.spool.rows();
        Ok(Answer::Held {
            instances: view::held(rows).await?,
            reports: delivery::view::mismatches(rows).await?,
        })
    }

    /// How the agent stands, as the running process knows it.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn status(&self) -> Result<Status, status::ViewError> {
        let mut status = status::of_rows(self.spool.rows(), self.clock.now()).await?;
        let link = self.link.borrow().clone();
        status.running = true;
        status.last_error = trouble(&link).or(status.last_error);
        status.link = serde_json::to_value(&link).ok();
        let admission = match self.spool.admission() {
            Admission::Open => "open",
            Admission::Congested => "congested",
            Admission::Full => "full",
        };
        status.admission = Some(admission.to_owned());
        status.certificate_until = Some(self.certificate.get());
        status.channels = self.teller.states();
        Ok(status)
    }
}

/// Whoever may use the socket.
fn by(reason: &str) -> By<'_> {
    By {
        who: OPERATOR,
        reason,
    }
}

/// What keeps the link down.
fn trouble(link: &link::State) -> Option<String> {
    match link {
        link::State::Connecting { last_error } => last_error.clone(),
        link::State::Up { remark, .. } => remark.clone(),
        link::State::Down { sentence, .. } => Some(sentence.clone()),
    }
}

/// Asks the process that runs on a spool folder.
///
/// # Errors
/// When none runs, or it does not answer.
pub async fn ask(folder: &Path, ask: &Ask) -> Result<Answer, ControlError> {
    let (path, _folder) = path(folder)?;
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Err(ControlError::NotRunning);
        }
        Err(error) => return Err(error.into()),
    };
    let mut stream = BufReader::new(stream);
    let mut text = serde_json::to_vec(ask).map_err(ControlError::Answer)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut line = String::new();
    stream.take(LONGEST_ANSWER).read_line(&mut line).await?;
    serde_json::from_str(&line).map_err(ControlError::Answer)
}
