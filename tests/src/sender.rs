//! A byte-faithful sender: each file's dataset leaves as it lies on disk, in its own transfer syntax. Shares no code with the agent.

pub mod command;
pub mod file;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use dicom_ul::ClientAssociationOptions;
use dicom_ul::association::client::AsyncClientAssociation;
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu, PresentationContextResultReason};
use tokio::net::TcpStream;

use file::Dataset;

/// What became of one file.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The file.
    pub path: PathBuf,
    /// What the agent did with it.
    pub outcome: Outcome,
}

/// The agent's answer to one C-STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A status (PS3.4 B.2.3) and its Error Comment.
    Status(u16, String),
    /// No presentation context for this class and syntax.
    NotNegotiated,
    /// The association ended before an answer came; the words say how.
    Broken(String),
}

impl Answer {
    /// Whether the agent said that it has it: success or a warning.
    #[must_use]
    pub fn stored(&self) -> bool {
        matches!(self.outcome, Outcome::Status(0 | 0xB000..=0xBFFF, _))
    }
}

/// Presentation contexts of one association (PS3.8 9.3.2.2: odd numbers from 1 to 255).
const CONTEXTS: usize = 128;

/// Sends files in order, on as few associations as their classes and syntaxes allow.
///
/// # Errors
/// When a file cannot be read or an association is refused. What happens to single files is in their answers.
pub async fn send(
    files: &[PathBuf],
    address: &str,
    calling: &str,
    called: &str,
) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let mut rest = files;
    while !rest.is_empty() {
        let (batch, later) = next_batch(rest)?;
        let at_once = async || Ok(());
        answers.extend(associate(&batch, address, (calling, called), at_once).await?);
        rest = later;
    }
    Ok(answers)
}

/// Sends files of one association, and does something before each while the association stays open.
///
/// # Errors
/// As [`send`], when that fails, and for files that do not fit into one association.
pub async fn send_slowly(
    files: &[PathBuf],
    address: &str,
    titles: (&str, &str),
    before: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Answer>> {
    let (batch, later) = next_batch(files)?;
    ensure!(later.is_empty(), "too many files for one association");
    associate(&batch, address, titles, before).await
}

type Batch = Vec<(PathBuf, Dataset)>;

/// As many files from the front as have room in the contexts of one association and in memory.
fn next_batch(files: &[PathBuf]) -> anyhow::Result<(Batch, &[PathBuf])> {
    let mut contexts: Vec<(String, String)> = Vec::new();
    let (mut batch, mut bytes) = (Batch::new(), 0);
    for (index, path) in files.iter().enumerate() {
        let dataset =
            file::read(path, index).with_context(|| format!("reading {}", path.display()))?;
        let context = (dataset.class.clone(), dataset.syntax.clone());
        if !contexts.contains(&context) {
            contexts.push(context);
        }
        bytes += dataset.bytes.len();
        if !batch.is_empty() && (contexts.len() > CONTEXTS || bytes > 256 << 20) {
            return Ok((batch, files.get(index..).unwrap_or_default()));
        }
        batch.push((path.clone(), dataset));
    }
    Ok((batch, &[]))
}

async fn associate(
    batch: &[(PathBuf, Dataset)],
    address: &str,
    (calling, called): (&str, &str),
    mut before: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Answer>> {
    let mut options = ClientAssociationOptions::new()
        .calling_ae_title(calling.to_owned())
        .called_ae_title(called.to_owned())
        .max_pdu_length(131_072)
        .read_timeout(Duration::from_secs(120))
        .connection_timeout(Duration::from_secs(10));
    let mut contexts: Vec<(&str, &str)> = Vec::new();
    for (_, dataset) in batch {
        let context = (dataset.class.as_str(), dataset.syntax.as_str());
        if !contexts.contains(&context) {
            contexts.push(context);
            options = options
                .with_presentation_context(dataset.class.clone(), vec![dataset.syntax.clone()]);
        }
    }
    let mut association = options
        .establish_async(address)
        .await
        .with_context(|| format!("associating with {called} at {address}"))?;
    association.inner_stream().set_nodelay(true)?;
    let mut answers = Vec::new();
    let mut broken = None;
    for (number, (path, dataset)) in (1_u16..).zip(batch) {
        before().await?;
        let outcome = match &broken {
            Some(words) => Outcome::Broken(format!("not sent: {words}")),
            None => match store(&mut association, &contexts, dataset, number).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    let words = format!("{error:#}");
                    broken = Some(words.clone());
                    Outcome::Broken(words)
                }
            },
        };
        answers.push(Answer {
            path: path.clone(),
            outcome,
        });
    }
    if broken.is_none() {
        // what was answered stays answered, however the association ends
        association.release().await.ok();
    }
    Ok(answers)
}

async fn store(
    association: &mut AsyncClientAssociation<TcpStream>,
    contexts: &[(&str, &str)],
    dataset: &Dataset,
    number: u16,
) -> anyhow::Result<Outcome> {
    let proposed = contexts
        .iter()
        .position(|context| *context == (dataset.class.as_str(), dataset.syntax.as_str()));
    let id = proposed
        .and_then(|index| u8::try_from(index * 2 + 1).ok())
        .context("the file has no context")?;
    let accepted = association.presentation_contexts().iter().any(|context| {
        context.id == id && context.reason == PresentationContextResultReason::Acceptance
    });
    if !accepted {
        return Ok(Outcome::NotNegotiated);
    }
    let room = usize::try_from(association.acceptor_max_pdu_length())
        .unwrap_or(16_384)
        .clamp(1024, 131_072)
        - 12;
    let request = command::store_request(&dataset.class, &dataset.instance, number)?;
    put(association, id, PDataValueType::Command, &request, room).await?;
    put(association, id, PDataValueType::Data, &dataset.bytes, room).await?;
    let answer = command::receive(association).await?;
    Ok(Outcome::Status(
        command::status(&answer)?,
        command::comment(&answer),
    ))
}

async fn put(
    association: &mut AsyncClientAssociation<TcpStream>,
    id: u8,
    kind: PDataValueType,
    bytes: &[u8],
    room: usize,
) -> anyhow::Result<()> {
    let mut chunks = bytes.chunks(room).peekable();
    if chunks.peek().is_none() {
        bail!("there is nothing to send");
    }
    while let Some(chunk) = chunks.next() {
        let value = PDataValue {
            presentation_context_id: id,
            value_type: kind.clone(),
            is_last: chunks.peek().is_none(),
            data: chunk.to_vec(),
        };
        association
            .send(&Pdu::PData { data: vec![value] })
            .await
            .context("sending a PDU")?;
    }
    Ok(())
}

/// Verifies a DICOM node (C-ECHO, PS3.4 A).
///
/// # Errors
/// When the association or the echo is refused.
pub async fn echo(address: &str, calling: &str, called: &str) -> anyhow::Result<u16> {
    let options = ClientAssociationOptions::new()
        .calling_ae_title(calling.to_owned())
        .called_ae_title(called.to_owned());
    let options = options
        .with_presentation_context("1.2.840.10008.1.1", vec!["1.2.840.10008.1.2"])
        .read_timeout(Duration::from_secs(30));
    let mut association = options.establish_async(address).await?;
    put(
        &mut association,
        1,
        PDataValueType::Command,
        &command::echo_request()?,
        16_000,
    )
    .await?;
    let answer = command::receive(&mut association).await?;
    association.release().await?;
    command::status(&answer)
}

/// The dataset of a Part 10 file as it lies on disk, for comparison with what comes out at the other end.
///
/// # Errors
/// When the file cannot be read.
pub fn dataset(path: &Path) -> anyhow::Result<Dataset> {
    file::read(path, 0)
}
