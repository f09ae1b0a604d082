//! A stand-in PACS: keeps what it is given, and can be told to behave as PACS do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use causeway_proto::dataset::Dataset;
use causeway_proto::digest::Digest;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_ul::association::server::{AsyncServerAssociation, ServerAssociationOptions};
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sender::{command, file};

/// How a PACS behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behaviour {
    /// Accepts no presentation context of a structured report.
    pub refuse_sr: bool,
    /// The status of every C-STORE answer.
    pub status: u16,
    /// How many stores get `first_status` before `status` is given.
    pub first: usize,
    /// See `first`.
    pub first_status: u16,
    /// How many times the connection is cut after an instance was kept and before it was answered; of each instance.
    pub unanswered: usize,
    /// Answers C-FIND for an instance; others refuse it with status 0122.
    pub finds: bool,
}

/// One C-STORE that the PACS kept.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The file it was written to.
    pub path: PathBuf,
    /// Its SOP Instance UID as the command named it.
    pub instance: String,
    /// Of its dataset as it came.
    pub digest: Digest,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    folder: PathBuf,
    arrivals: Mutex<Vec<Arrival>>,
    stores: Mutex<usize>,
    unanswered: AtomicU64,
    away: AtomicBool,
}

/// A running stand-in. Stopping it waits for its associations.
#[derive(Debug)]
pub struct Pacs {
    address: SocketAddr,
    state: Arc<State>,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl Pacs {
    /// Listens on `address` (port 0 for any) and writes what arrives into `folder`, one Part 10 file an instance.
    ///
    /// # Errors
    /// When the folder cannot be made or the address not be bound.
    pub async fn start(behaviour: Behaviour, folder: &Path, address: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address}"))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            behaviour,
            folder: folder.to_owned(),
            arrivals: Mutex::default(),
            stores: Mutex::default(),
            unanswered: AtomicU64::default(),
            away: AtomicBool::new(false),
        });
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        tracker.spawn(accept(listener, state.clone(), cancel.clone()));
        Ok(Self {
            address,
            state,
            cancel,
            tracker,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every store it kept, repetitions included.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.state
            .arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many answers were lost, as told.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.state.unanswered.load(Ordering::Relaxed)
    }

    /// Goes away, or comes back: while it is away it hangs up on everybody.
    pub fn set_away(&self, away: bool) {
        self.state.away.store(away, Ordering::Relaxed);
    }

    /// Stops listening and ends every association.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, cancel: CancellationToken) {
    let mut associations = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = associations.join_next() => {}
            Ok((socket, _)) = listener.accept() => {
                associations.spawn(serve(socket, state.clone()));
            }
        }
    }
    associations.shutdown().await;
}

async fn serve(socket: TcpStream, state: Arc<State>) -> anyhow::Result<()> {
    ensure!(!state.away.load(Ordering::Relaxed), "away");
    socket.set_nodelay(true)?;
    let options = ServerAssociationOptions::new()
        .accept_any()
        .ae_title("PACS")
        .read_timeout(Duration::from_secs(60));
    let mut association = if state.behaviour.refuse_sr {
        let taken = [
            uids::VERIFICATION,
            uids::CT_IMAGE_STORAGE,
            uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
            uids::ENCAPSULATED_PDF_STORAGE,
        ];
        taken
            .into_iter()
            .fold(options, ServerAssociationOptions::with_abstract_syntax)
            .establish_async(socket)
            .await?
    } else {
        options.promiscuous(true).establish_async(socket).await?
    };
    let (mut command, mut dataset) = (Vec::new(), Vec::new());
    loop {
        let received = association.receive().await?;
        ensure!(!state.away.load(Ordering::Relaxed), "away");
        match received {
            Pdu::PData { data } => {
                for value in data {
                    let whole = match value.value_type {
                        PDataValueType::Command => &mut command,
                        PDataValueType::Data => &mut dataset,
                    };
                    whole.extend_from_slice(&value.data);
                    if value.is_last {
                        answer(
                            &mut association,
                            &state,
                            value.presentation_context_id,
                            &mut command,
                            &mut dataset,
                        )
                        .await?;
                    }
                }
            }
            Pdu::ReleaseRQ => return Ok(association.send(&Pdu::ReleaseRP).await?),
            other => bail!("the PACS met {}", other.short_description()),
        }
    }
}

/// Answers what is complete: an echo at once, a store when its dataset is there.
async fn answer(
    association: &mut AsyncServerAssociation<TcpStream>,
    state: &State,
    context: u8,
    command: &mut Vec<u8>,
    dataset: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let request = command::decode(command)?;
    let has_dataset = request
        .element(tags::COMMAND_DATA_SET_TYPE)?
        .to_int::<u16>()?
        != 0x0101;
    if has_dataset && dataset.is_empty() {
        return Ok(());
    }
    let mut status = 0;
    let syntax = association
        .presentation_contexts()
        .iter()
        .find(|one| one.id == context)
        .map(|one| one.transfer_syntax.clone());
    if command::is_find(&request) {
        status = if state.behaviour.finds { 0 } else { 0x0122 };
        if status == 0
            && holds(
                state,
                &syntax.context("a question without context")?,
                dataset,
            )?
        {
            let data = vec![
                value(
                    context,
                    PDataValueType::Command,
                    command::pending(&request)?,
                ),
                value(context, PDataValueType::Data, dataset.clone()),
            ];
            association.send(&Pdu::PData { data }).await?;
        }
    } else if has_dataset {
        let count = count_store(state);
        status = if count <= state.behaviour.first {
            state.behaviour.first_status
        } else {
            state.behaviour.status
        };
        if !(0xA000..0xB000).contains(&status) {
            let syntax = syntax.context("a dataset without context")?;
            let times = keep(state, &request, &syntax, dataset)?;
            if times <= state.behaviour.unanswered {
                state.unanswered.fetch_add(1, Ordering::Relaxed);
                bail!("cutting the connection before the answer, as told");
            }
        }
    }
    let data = command::response(&request, status)?;
    let data = vec![value(context, PDataValueType::Command, data)];
    association.send(&Pdu::PData { data }).await?;
    command.clear();
    dataset.clear();
    Ok(())
}

fn value(presentation_context_id: u8, value_type: PDataValueType, data: Vec<u8>) -> PDataValue {
    PDataValue {
        presentation_context_id,
        value_type,
        is_last: true,
        data,
    }
}

/// Whether the instance that is asked for was kept.
fn holds(state: &State, syntax: &str, identifier: &[u8]) -> anyhow::Result<bool> {
    let asked = Dataset::read(identifier, &syntax.parse()?)?;
    let instance = asked.code(tags::SOP_INSTANCE_UID);
    let arrivals = state
        .arrivals
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    Ok(arrivals.iter().any(|one| one.instance == instance))
}

fn count_store(state: &State) -> usize {
    let mut stores = state.stores.lock().unwrap_or_else(PoisonError::into_inner);
    *stores += 1;
    *stores
}

/// Answers how often it has been kept.
fn keep(
    state: &State,
    request: &InMemDicomObject,
    syntax: &str,
    dataset: &[u8],
) -> anyhow::Result<usize> {
    let uid = |tag| -> anyhow::Result<String> {
        Ok(request
            .element(tag)?
            .to_str()?
            .trim_end_matches('\0')
            .to_owned())
    };
    let (class, instance) = (
        uid(tags::AFFECTED_SOP_CLASS_UID)?,
        uid(tags::AFFECTED_SOP_INSTANCE_UID)?,
    );
    let name = Digest::of(instance.as_bytes()).to_string();
    let path = state
        .folder
        .join(format!("{}.dcm", name.get(..24).unwrap_or("unnamed")));
    std::fs::write(&path, file::part10(&class, &instance, syntax, dataset)?)
        .with_context(|| format!("writing {}", path.display()))?;
    let mut arrivals = state
        .arrivals
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let before = arrivals.iter().filter(|one| one.instance == instance);
    let times = before.count() + 1;
    arrivals.push(Arrival {
        path,
        instance,
        digest: Digest::of(dataset),
    });
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{self, Identity};
    use crate::sender::{self, Outcome};

    async fn store(
        behaviour: Behaviour,
    ) -> (tempfile::TempDir, Vec<PathBuf>, Vec<Outcome>, Vec<Arrival>) {
        let folder = tempfile::tempdir().unwrap();
        let files = phantom::write_slices(
            &folder.path().join("out"),
            &Identity::sample("2.25.5", "20261121", "120000"),
            0..2,
        )
        .unwrap();
        let pacs = Pacs::start(behaviour, &folder.path().join("in"), "127.0.0.1:0")
            .await
            .unwrap();
        let answers = sender::send(&files, &pacs.address().to_string(), "A", "PACS")
            .await
            .unwrap();
        let arrivals = pacs.arrivals();
        pacs.stop().await;
        (
            folder,
            files,
            answers.into_iter().map(|answer| answer.outcome).collect(),
            arrivals,
        )
    }

    #[tokio::test]
    async fn what_is_sent_lies_in_the_pacs_byte_for_byte() {
        let (_folder, files, answers, arrivals) = store(Behaviour::default()).await;
        assert_eq!(
            answers,
            [
                Outcome::Status(0, String::new()),
                Outcome::Status(0, String::new())
            ]
        );
        for (file, arrival) in files.iter().zip(arrivals) {
            assert_eq!(
                sender::dataset(file).unwrap().bytes,
                sender::dataset(&arrival.path).unwrap().bytes
            );
        }
    }

    #[tokio::test]
    async fn it_refuses_first_and_cuts_when_told() {
        let (_folder, _, answers, arrivals) = store(Behaviour {
            first: 1,
            first_status: 0xA700,
            ..Behaviour::default()
        })
        .await;
        assert!(
            matches!(
                answers[..],
                [Outcome::Status(0xA700, _), Outcome::Status(0, _)]
            ),
            "{answers:?}"
        );
        assert_eq!(arrivals.len(), 1);
        let (_folder, _, answers, arrivals) = store(Behaviour {
            unanswered: 1,
            ..Behaviour::default()
        })
        .await;
        assert!(
            matches!(answers[..], [Outcome::Broken(_), Outcome::Broken(_)]),
            "{answers:?}"
        );
        assert_eq!(arrivals.len(), 1);
    }
}
