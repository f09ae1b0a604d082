//! Instances and studies as received, durable before anybody is told so, and kept until well after the gateway's receipt.

mod adopt;
mod again;
mod asked;
mod association;
pub mod choice;
mod corrected;
pub mod decision;
mod digests;
pub mod disk;
pub mod entry;
pub mod erasure;
mod error;
pub mod floor;
mod greet;
mod group;
mod heads;
mod insert;
pub mod leaving;
mod loss;
mod manifest;
mod masked;
pub mod masks;
mod outgoing;
mod own;
mod pending;
mod pressure;
mod protection;
mod recall;
mod receive;
mod recover;
mod replay;
mod retain;
pub mod shown;
mod store;
pub mod study;
mod there;
mod told;
mod uids;
mod unentered;
pub mod view;
pub mod vouched;
pub mod withheld;
mod writer;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use causeway_proto::ids::CaseCode;
use causeway_proto::link::message::{
    Deleted, HelloAgent, HelloGateway, InstanceKey, Manifest, Recall, Recalled, Receipt, Refused,
    Sealed,
};
use causeway_proto::random::Random;
use causeway_proto::time::Clock;
use serde::Deserialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio_util::sync::CancellationToken;

use crate::keys::Keys;
use crate::rows::{Rows, Write};

pub use disk::Handle;
pub use disk::checked::{Checked, is_rotten};
pub use entry::{
    AeTitle, AeTitleError, Arrival, AssociationId, CallingKind, Header, Kept, Looked, MaskedPixels,
    Outgoing, Private, Sent, Stored, Turn, Unprotected, Verdict,
};
pub use error::{OpenError, SpoolError, StoreError};
pub use floor::Admission;
pub use masked::Masking;
pub use protection::Seals;
pub use recover::{Recovery, lock};
pub use study::ToOpen;
pub use writer::{Reader, Writer};

/// Bounds and waits of the spool.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bounds of the disk.
    pub disk: floor::Config,
    /// When a study counts as complete.
    pub complete: study::Config,
    /// Under which agreement what leaves.
    pub agreement: choice::Config,
    /// Which patient IDs establish nobody's identity.
    pub identity: choice::Identity,
}

/// The spool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    rows: Rows,
    disk: disk::Disk,
    clock: Clock,
    random: Random,
    keys: Keys,
    recovery: Recovery,
    associations: Mutex<HashMap<AssociationId, association::Association>>,
    next_association: AtomicU64,
    groups: group::Groups,
    pending: pending::Pendings,
    pressure: Arc<pressure::Pressure>,
    changed: Notify,
    /// Rings the one who protects.
    arrived: Notify,
    tick: Notify,
    _lock: File,
}

impl Spool {
    /// Opens the spool in `folder`; when it returns, what the last process left behind has been put in order.
    ///
    /// # Errors
    /// When the folder or its rows cannot be used, or another agent uses them.
    pub async fn open(
        config: Config,
        folder: &Path,
        keys: Keys,
        clock: Clock,
        random: Random,
        seam: Arc<dyn disk::Seam>,
    ) -> Result<Self, OpenError> {
        let lock = lock(folder)?;
        let rows = Rows::open(folder).await?;
        let rows = rows.with_reserve(config.disk.reserve_bytes);
        let disk = disk::Disk::new(seam, random.clone());
        let mut recovery = recover::recover(&rows, &disk).await?;
        let mut spool = Self {
            inner: Arc::new(Inner {
                config,
                rows,
                disk,
                clock,
                random,
                keys,
                recovery: recovery.clone(),
                associations: Mutex::default(),
                next_association: AtomicU64::new(1),
                groups: group::Groups::default(),
                pending: pending::Pendings::default(),
                pressure: Arc::default(),
                changed: Notify::new(),
                arrived: Notify::new(),
                tick: Notify::new(),
                _lock: lock,
            }),
        };
        replay::replay(&spool, &mut recovery).await?;
        let unentered = unentered::try_again(&spool).await?;
        if unentered > 0 {
            tracing::error!(
                unentered,
                "received objects are still refused their rows: see `held`"
            );
        }
        recover::quieten(spool.rows(), spool.now().0).await?;
        if recovery.safe_mode() {
            tracing::error!(
                lost = recovery.lost,
                "bytes that were promised are missing: safe mode, nothing is received"
            );
        }
        if let Some(inner) = Arc::get_mut(&mut spool.inner) {
            inner.recovery = recovery;
        }
        Ok(spool)
    }

    /// What the start found.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// The rows, for the rooms to the right.
    #[must_use]
    pub(crate) fn rows(&self) -> &Rows {
        &self.inner.rows
    }

    /// The keys of the site, for the rooms to the right.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// The time, for the rooms to the right.
    pub(crate) fn now(&self) -> causeway_proto::time::Timestamp {
        self.inner.clock.now()
    }

    /// Something has changed that the link may want to look at: new instances, a seal, a recall. Wake-ups may be missed or come
    /// for nothing: look again every few seconds as well.
    pub fn changed(&self) -> Notified<'_> {
        self.inner.changed.notified()
    }

    /// Whether a patient ID establishes an identity (P2).
    #[must_use]
    pub fn is_established(&self, patient_id: &str) -> bool {
        let choice::Identity {
            placeholders,
            ignore_leading_zeros,
        } = &self.inner.config.identity;
        !crate::keys::is_placeholder(patient_id, placeholders, *ignore_leading_zeros)
    }

    /// Something has arrived that may have to be protected. Wake-ups may be missed or come for nothing: look again every few
    /// seconds as well.
    pub fn arrived(&self) -> Notified<'_> {
        self.inner.arrived.notified()
    }

    /// What the agent says in HELLO; counts this connection durably.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn hello(&self) -> Result<HelloAgent, SpoolError> {
        greet::hello(self).await
    }

    /// Takes the gateway's HELLO: its agreements, and whether it has forgotten receipts, in which case everything still kept is
    /// offered again.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn greeted(&self, hello: &HelloGateway) -> Result<(), SpoolError> {
        greet::greeted(self, hello).await
    }

    /// Every study under an agreement that is not handed off yet, or about which a person has decided since: blocked, allowed again,
    /// more urgent. The link says OPEN for those that it has not said on this
    /// connection, or that differ from what it said, and PROGRESS likewise.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn studies_to_open(&self) -> Result<Vec<ToOpen>, SpoolError> {
        outgoing::studies_to_open(self).await
    }

    /// Up to `limit` instances without a receipt that are not in flight: most urgent study first, then in order of arrival.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn next_to_send(
        &self,
        limit: usize,
        in_flight: &HashSet<InstanceKey>,
    ) -> Result<Vec<Outgoing>, SpoolError> {
        outgoing::next_to_send(self, limit, in_flight).await
    }

    /// Up to `max` bytes of kept content from `offset`; fewer only at the end. The link reads through [`crate::protect`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn read(
        &self,
        handle: &Handle,
        offset: u64,
        max: usize,
    ) -> Result<Bytes, SpoolError> {
        let (disk, handle) = (self.inner.disk.clone(), handle.clone());
        off_runtime(move || disk.read(&handle, offset, max))
            .await?
            .map_err(|source| SpoolError::Disk {
                tried: "reading kept bytes",
                source,
            })
    }

    /// Kept content, to be read from the beginning on a blocking thread. Wrap it in a `BufReader`.
    #[must_use]
    pub fn reader(&self, kept: &Kept) -> Reader {
        Reader::of_kept(self.inner.disk.clone(), kept)
    }

    /// Takes receipts, with one sync. One that names other content than ours, or another epoch, changes nothing: false in its place.
    ///
    /// # Errors
    /// When the rows refuse; none is taken then.
    pub async fn receipted(&self, receipts: &[Receipt]) -> Result<Vec<bool>, SpoolError> {
        outgoing::receipted(self, receipts, false).await
    }

    /// Takes a receipt for what the gateway had before it was sent on this connection: it may be of an earlier protected form of
    /// the same content, which then stands.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn had(&self, receipt: &Receipt) -> Result<bool, SpoolError> {
        let taken = outgoing::receipted(self, std::slice::from_ref(receipt), true).await?;
        Ok(taken.contains(&true))
    }

    /// Takes a refusal of an instance or of a manifest: tried again when the gateway says so, else withheld with its sentence.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn refused(&self, refused: &Refused) -> Result<(), SpoolError> {
        outgoing::refused(self, refused).await
    }

    /// Manifests of complete studies, all of whose instances have receipts, that the gateway has not confirmed.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn manifests_due(&self) -> Result<Vec<Manifest>, SpoolError> {
        manifest::manifests_due(self).await
    }

    /// Takes the gateway's answer to a manifest. What it misses is offered again.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn sealed(&self, sealed: &Sealed) -> Result<(), SpoolError> {
        manifest::sealed(self, sealed).await
    }

    /// Ends the wait for more, for one case or for everything that is arriving (P30), as `who` says. Answers for how many studies.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn send_now(&self, case: Option<&CaseCode>, who: &str) -> Result<u64, SpoolError> {
        study::send_now(self, case, who).await
    }

    /// Takes a study back (P17): nothing more of it is sent. Answers whether there was such a case.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn recall(&self, case: &CaseCode, by: decision::By<'_>) -> Result<bool, SpoolError> {
        recall::recall(self, case, by).await
    }

    /// Recalls that the gateway has not confirmed (P17).
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn recalls(&self) -> Result<Vec<Recall>, SpoolError> {
        recall::recalls(self).await
    }

    /// Keeps what the gateway says it has deleted. A study that is not known here is none of ours any more.
    ///
    /// # Errors
    /// When the rows refuse: then it may not be answered.
    pub async fn deleted(&self, deleted: &Deleted) -> Result<(), SpoolError> {
        erasure::deleted(self, deleted).await
    }

    /// Takes the gateway's confirmation of a recall.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn recalled(&self, recalled: &Recalled) -> Result<(), SpoolError> {
        recall::recalled(self, recalled).await
    }

    /// Writes rows as instances come, seals what is complete and removes what has had its time, until `cancel` fires.
    pub async fn run(&self, cancel: CancellationToken) {
        let (rows, house) = (pending::run(self, &cancel), self.keep_house(&cancel));
        tokio::join!(rows, house, self.keep_reserve(&cancel));
    }

    async fn keep_house(&self, cancel: &CancellationToken) {
        let mut last = tokio::time::Instant::now();
        loop {
            if let Err(error) = study::seal_complete(self).await {
                tracing::error!(%error, "sealing complete studies failed; tried again");
            }
            if last.elapsed() >= Duration::from_secs(60) {
                if let Err(error) = self.prune(last.elapsed()).await {
                    tracing::error!(%error, "removing old bytes failed; tried again");
                }
                if let Err(error) = unentered::try_again(self).await {
                    tracing::error!(%error, "what is refused its rows was not tried again");
                }
                last = tokio::time::Instant::now();
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.inner.tick.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
    }

    /// Counts `elapsed` as time of running and removes the bytes whose time is over. Answers how many files.
    async fn prune(&self, elapsed: Duration) -> Result<usize, SpoolError> {
        retain::prune(self, elapsed).await
    }

    /// A person accepts that bytes found missing are lost: the manifests name them as withheld, and from the next start on the
    /// spool receives again. Sent again by their PACS, they take their places. Answers how many instances.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn accept_loss(&self) -> Result<u64, SpoolError> {
        recover::accept_loss(self).await
    }

    /// Ends what is under way with the rows. Nothing may be asked of the spool afterwards.
    pub async fn close(&self) {
        if let Err(error) = pending::settle(self).await {
            tracing::error!(%error, "the next start writes the rows of what was received last");
        }
        self.inner.rows.close().await;
    }

    /// A random word.
    pub(crate) fn token(&self) -> String {
        self.inner.random.token()
    }

    /// Rings the link and the protection: something waits for them.
    pub(crate) fn wake(&self) {
        self.inner.changed.notify_waiters();
        self.inner.arrived.notify_one();
    }

    async fn begin_rows(&self) -> Result<Write, SpoolError> {
        self.inner
            .rows
            .begin()
            .await
            .map_err(refused_row("beginning a write"))
    }

    /// Removes bytes that no row names any more; what cannot be removed now is collected after the next start.
    async fn remove_bytes(&self, handle: &Handle) {
        self.remove_all(vec![handle.clone()]).await;
    }

    /// As [`Self::remove_bytes`]; once begun it goes on whether or not anybody waits for it.
    async fn remove_all(&self, handles: Vec<Handle>) {
        if handles.is_empty() {
            return;
        }
        let disk = self.inner.disk.clone();
        let removing = move || {
            for error in handles.iter().filter_map(|one| disk.remove(one).err()) {
                tracing::warn!(%error, "a file stays until the next start");
            }
        };
        if off_runtime(removing).await.is_err() {
            tracing::warn!("files stay until the next start: the agent is ending");
        }
    }
}

/// Runs something that blocks where it may.
async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SpoolError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(_) => Err(SpoolError::Ending),
    }
}

/// Says what was tried when the rows refused.
fn refused_row(tried: &'static str) -> impl FnOnce(sqlx::Error) -> SpoolError {
    move |source| SpoolError::Rows { tried, source }
}

/// A column as an identifier; an error names `what` when this program would not have written it.
fn parsed<T: std::str::FromStr>(
    row: &SqliteRow,
    index: usize,
    what: &'static str,
) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(index)?;
    match text.parse() {
        Ok(value) => Ok(value),
        Err(_) => Err(sqlx::Error::Decode(what.into())),
    }
}

#[cfg(test)]
pub(crate) mod tests;
