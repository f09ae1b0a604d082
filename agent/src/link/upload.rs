//! What goes out on one connection: studies are opened, instances sent in parallel in their protected form, manifests said.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use causeway_proto::ids::{AgreementId, Priority, StudyUid};
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{CHUNK_MAX_BYTES, Message, chunk_header};
use causeway_proto::link::message::{
    Deleted, DeletedNoted, Have, InstanceKey, Manifest, Open, Progress, Query, Recalled, Receipt,
    Refused, Sealed, Trailer,
};
use causeway_proto::link::session::Farewell;
use causeway_proto::link::upload::{Bounds, CODING_NONE, Job, Step, Uploader};
use causeway_proto::time::Timestamp;
use quinn::{Connection, SendStream, WriteError};
use serde_json::json;
use tokio::task::JoinSet;

use super::alias::{Alias, AliasError, Leaving};
use super::dial::VarIntOf;
use super::session::Done;
use crate::audit::{Look, Trail};
use crate::protect::{ProtectError, Protector};
use crate::spool::{Outgoing, Spool, SpoolError};

type StudyOf = (AgreementId, StudyUid);

/// After so many reads in a row that failed the bytes of an instance count as lost.
const READS: u32 = 20;

/// What has been said on this connection, and what is under way.
#[derive(Debug)]
pub(super) struct Upload {
    spool: Spool,
    protector: Protector,
    alias: Alias,
    trail: Trail,
    uploader: Uploader,
    outgoing: HashMap<InstanceKey, Outgoing>,
    opened: BTreeMap<StudyOf, (Open, Progress)>,
    recalled: BTreeMap<StudyOf, String>,
    /// What the gateway has deleted and we have kept, to be said so.
    heard: Vec<Message>,
    sealing: BTreeMap<StudyOf, u32>,
    /// Instances whose bytes could not be read, and how often.
    unread: HashMap<InstanceKey, u32>,
    /// The spool gave all that it was asked for: there is more.
    more: bool,
}

impl Upload {
    pub(super) fn new(spool: Spool, protector: Protector, alias: Alias, bounds: Bounds) -> Self {
        Self {
            trail: Trail::new(spool.rows().clone()),
            spool,
            protector,
            alias,
            uploader: Uploader::new(bounds),
            outgoing: HashMap::new(),
            opened: BTreeMap::new(),
            recalled: BTreeMap::new(),
            heard: Vec::new(),
            sealing: BTreeMap::new(),
            unread: HashMap::new(),
            more: false,
        }
    }

    /// Whether the spool has more that there is room for.
    pub(super) fn is_hungry(&self) -> bool {
        self.more && self.uploader.is_hungry()
    }

    /// Whether everything that was offered has its answer.
    pub(super) fn is_idle(&self) -> bool {
        self.uploader.is_idle()
    }

    /// Looks at the spool: appends to `say` what has to be said of studies, and takes instances.
    ///
    /// # Errors
    /// When the spool refuses.
    pub(super) async fn look(&mut self, say: &mut Vec<Message>) -> Result<(), SpoolError> {
        say.append(&mut self.heard);
        for recall in self.spool.recalls().await? {
            let study = (recall.agreement.clone(), recall.study.clone());
            if self.recalled.get(&study) != Some(&recall.reason) {
                self.recalled.insert(study, recall.reason.clone());
                say.push(recall.into());
            }
        }
        for study in self.spool.studies_to_open().await? {
            self.open(study.open, study.progress, say);
        }
        self.take().await
    }

    fn open(&mut self, open: Open, progress: Progress, say: &mut Vec<Message>) {
        let study = (open.agreement.clone(), open.study.clone());
        let said = self.opened.get(&study);
        if said.map(|(open, _)| open) != Some(&open) {
            say.push(open.clone().into());
        }
        if said.map(|(_, progress)| progress) != Some(&progress) {
            say.push(progress.clone().into());
        }
        self.opened.insert(study, (open, progress));
    }

    /// Takes instances from the spool as far as there is room. One whose study has not been opened waits for the next look.
    ///
    /// # Errors
    /// When the spool refuses.
    pub(super) async fn take(&mut self) -> Result<(), SpoolError> {
        let room = self.uploader.room();
        let offered = self
            .spool
            .next_to_send(room, &self.uploader.under_way())
            .await?;
        self.more = offered.len() >= room;
        let mut jobs = Vec::with_capacity(offered.len());
        let mut all = !self.more;
        for instance in offered {
            let study = (instance.key.agreement.clone(), instance.study.clone());
            if !self.opened.contains_key(&study) {
                all = false;
                continue;
            }
            jobs.push(Job {
                key: instance.key.clone(),
                priority: instance.priority,
                length: instance.sent.length,
            });
            self.outgoing.insert(instance.key.clone(), instance);
        }
        self.uploader.offered(jobs, all);
        let uploader = &self.uploader;
        self.outgoing.retain(|key, _| uploader.holds(key));
        Ok(())
    }

    /// Does what the machine says: appends questions to `say`, begins streams in `tasks`.
    pub(super) fn step(
        &mut self,
        now: Duration,
        connection: &Connection,
        say: &mut Vec<Message>,
        tasks: &mut JoinSet<Done>,
    ) {
        while let Some(step) = self.uploader.step(now) {
            match step {
                Step::Ask(keys) => say.push(Query { keys }.into()),
                Step::Send { key, offset } => {
                    let Some(instance) = self.outgoing.get(&key) else {
                        self.uploader.sent(now, &key);
                        continue;
                    };
                    let study = (key.agreement.clone(), instance.study.clone());
                    let case = self.opened.get(&study).map(|(open, _)| open.case.as_str());
                    let sending = Sending {
                        trail: self.trail.clone(),
                        at: self.spool.now(),
                        look: look(instance, case.unwrap_or_default()),
                        connection: connection.clone(),
                        instance: instance.clone(),
                        protector: self.protector.clone(),
                        alias: self.alias.clone(),
                        offset,
                    };
                    tasks.spawn(sending.run());
                }
            }
        }
    }

    /// Sends the manifests that are due and not under way, each on a stream of its own.
    ///
    /// # Errors
    /// When the spool refuses.
    pub(super) async fn seal(
        &mut self,
        connection: &Connection,
        tasks: &mut JoinSet<Done>,
    ) -> Result<(), SpoolError> {
        for manifest in self.spool.manifests_due().await? {
            let study = (manifest.agreement.clone(), manifest.study.clone());
            let under_way = self.sealing.get(&study) == Some(&manifest.version);
            if under_way || !self.opened.contains_key(&study) {
                continue;
            }
            self.sealing.insert(study, manifest.version);
            tasks.spawn(send_manifest(
                connection.clone(),
                self.alias.clone(),
                manifest,
            ));
        }
        Ok(())
    }

    pub(super) fn sent(&mut self, now: Duration, key: &InstanceKey) {
        self.uploader.sent(now, key);
    }

    /// The bytes of an instance could not be read. They are lost when they are gone, or when it was tried often enough: it is then not
    /// offered any more until they come again. A disk or a database that refuses once has lost nothing.
    pub(super) async fn unread(&mut self, key: &InstanceKey, gone: bool) -> Result<(), SpoolError> {
        let tries = self.unread.entry(key.clone()).or_default();
        *tries += 1;
        if gone || *tries >= READS {
            self.unread.remove(key);
            self.spool.lost(key).await?;
        }
        self.withdrawn(key);
        Ok(())
    }

    /// An instance is not sent now; the spool offers it again when its form is decided.
    pub(super) fn withdrawn(&mut self, key: &InstanceKey) {
        self.uploader.withdrawn(key);
        self.outgoing.remove(key);
    }

    /// A manifest did not reach the gateway: it is due again.
    pub(super) fn not_sealed(&mut self, study: &StudyOf) {
        self.sealing.remove(study);
    }

    pub(super) async fn have(&mut self, have: &Have) -> Result<(), Refusing> {
        let receipts = self.uploader.have(have)?;
        for receipt in &receipts {
            let ours = self.spool.had(receipt).await?;
            self.note(receipt, ours);
        }
        Ok(())
    }

    pub(super) async fn receipt(&mut self, receipt: &Receipt) -> Result<(), SpoolError> {
        let ours = self.spool.receipted(receipt).await?;
        self.note(receipt, ours);
        self.uploader.receipt(receipt);
        if !ours {
            self.uploader.doubted(&receipt.key);
        }
        Ok(())
    }

    fn note(&mut self, receipt: &Receipt, ours: bool) {
        if !ours {
            tracing::error!(
                instance = %receipt.key.instance,
                "the gateway receipted other content than was sent"
            );
        }
        self.outgoing.remove(&receipt.key);
        self.unread.remove(&receipt.key);
    }

    pub(super) async fn refused(&mut self, refused: Refused) -> Result<(), SpoolError> {
        let study = (refused.agreement.clone(), refused.study.clone());
        if refused.code == Code::NotOpen.number() {
            self.opened.remove(&study);
        }
        if refused.key.is_none() {
            self.sealing.remove(&study);
        }
        let refused = self.uploader.refused(refused);
        tracing::warn!(
            code = Code::of(u64::from(refused.code)).map_or("unknown", Code::name),
            sentence = %refused.sentence,
            again_ms = refused.retry_after_ms,
            "the gateway refused an object"
        );
        self.spool.refused(&refused).await
    }

    pub(super) async fn sealed(&mut self, sealed: &Sealed) -> Result<(), SpoolError> {
        self.sealing
            .remove(&(sealed.agreement.clone(), sealed.study.clone()));
        self.spool.sealed(sealed).await
    }

    pub(super) async fn recall_confirmed(&mut self, recalled: &Recalled) -> Result<(), SpoolError> {
        self.spool.recalled(recalled).await
    }

    /// What the gateway has deleted is kept here, and only then answered.
    pub(super) async fn deleted(&mut self, deleted: Deleted) -> Result<(), SpoolError> {
        self.spool.deleted(&deleted).await?;
        let noted = DeletedNoted {
            study: deleted.study,
            agreement: deleted.agreement,
            at: deleted.at,
        };
        self.heard.push(noted.into());
        Ok(())
    }
}

/// Why an answer of the gateway could not be taken.
#[derive(Debug)]
pub(super) enum Refusing {
    Farewell(Farewell),
    Spool(SpoolError),
}

impl From<Farewell> for Refusing {
    fn from(farewell: Farewell) -> Self {
        Self::Farewell(farewell)
    }
}

impl From<SpoolError> for Refusing {
    fn from(error: SpoolError) -> Self {
        Self::Spool(error)
    }
}

/// One instance on its way.
struct Sending {
    trail: Trail,
    at: Timestamp,
    look: Look,
    connection: Connection,
    instance: Outgoing,
    protector: Protector,
    alias: Alias,
    offset: u64,
}

/// Why a stream ended early. The answer on the control stream decides; this is for the log.
enum Cut {
    Link,
    Spool(SpoolError),
    /// The form could not be made again: it is decided anew, and nothing of it has left.
    Form(ProtectError),
    /// Nobody can say under which UID it leaves, so that nothing of it has left.
    Alias(AliasError),
}

impl From<AliasError> for Cut {
    fn from(error: AliasError) -> Self {
        Self::Alias(error)
    }
}

impl From<ProtectError> for Cut {
    fn from(error: ProtectError) -> Self {
        match error {
            ProtectError::Spool(error) => Self::Spool(error),
            ProtectError::Other => Self::Form(error),
        }
    }
}

impl From<WriteError> for Cut {
    fn from(_: WriteError) -> Self {
        Self::Link
    }
}

impl Sending {
    async fn run(self) -> Done {
        let key = self.instance.key.clone();
        // what is not written down does not leave
        if self.trail.looked(self.at, self.look.clone()).await.is_err() {
            return Done::Withdrawn(key);
        }
        let Ok(mut stream) = self.connection.open_uni().await else {
            return Done::Instance(key);
        };
        match self.write(&mut stream).await {
            Ok(()) | Err(Cut::Link) => Done::Instance(key),
            Err(Cut::Spool(error)) => {
                tracing::error!(%error, instance = %key.instance, "the spool cannot be read");
                end_early(&mut stream);
                match error.of_the_bytes() {
                    Some(gone) => Done::Unread { key, gone },
                    None => Done::Withdrawn(key),
                }
            }
            Err(Cut::Form(error)) => {
                tracing::warn!(%error, instance = %key.instance, "an object is not sent now");
                end_early(&mut stream);
                Done::Withdrawn(key)
            }
            Err(Cut::Alias(error)) => {
                tracing::error!(%error, instance = %key.instance, "an object is not sent now");
                end_early(&mut stream);
                Done::Withdrawn(key)
            }
        }
    }

    async fn write(&self, stream: &mut SendStream) -> Result<(), Cut> {
        let form = self.protector.form(&self.instance).await?;
        urgency(stream, self.instance.priority);
        let head = self.instance.instance(CODING_NONE, self.offset);
        let head = self.alias.out(head.into()).await?;
        stream.write_all(&frame(&head)).await?;
        let most = usize::try_from(CHUNK_MAX_BYTES).unwrap_or(usize::MAX);
        let mut offset = self.offset;
        let whole = self.instance.sent.length;
        while offset < whole {
            let piece = form.read(offset, most).await.map_err(Cut::Spool)?;
            if piece.is_empty() {
                return Err(Cut::Spool(SpoolError::Short));
            }
            offset = offset.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            stream.write_all(&chunk_header(piece.len())).await?;
            stream.write_chunk(piece).await?;
        }
        let trailer = Trailer {
            length: whole,
            digest: self.instance.sent.digest,
        };
        let mut end = chunk_header(0).to_vec();
        end.extend_from_slice(&frame(&self.alias.out(trailer.into()).await?));
        stream.write_all(&end).await?;
        finish(stream);
        Ok(())
    }
}

/// What the trail says of a study that leaves.
fn look(instance: &Outgoing, case: &str) -> Look {
    let agreement = instance.key.agreement.as_str();
    Look {
        event: "images-sent",
        actor: "gateway".into(),
        subject: instance.study.as_str().to_owned(),
        detail: json!({ "agreement": agreement, "case": case }),
    }
}

async fn send_manifest(connection: Connection, alias: Alias, manifest: Manifest) -> Done {
    let study = (manifest.agreement.clone(), manifest.study.clone());
    let mut bytes = Vec::new();
    let leaving = match alias.out(manifest.into()).await {
        Ok(leaving) => leaving,
        Err(error) => {
            tracing::error!(%error, "a manifest is not said now");
            return Done::Manifest { study, sent: false };
        }
    };
    if let Err(error) = leaving.encode(&mut bytes) {
        tracing::error!(%error, "a manifest is larger than the protocol allows");
        return Done::Manifest { study, sent: true };
    }
    let sent = match connection.open_uni().await {
        Ok(mut stream) => {
            urgency(&stream, Priority::Stat);
            let sent = stream.write_all(&bytes).await.is_ok();
            finish(&mut stream);
            sent
        }
        Err(_) => false,
    };
    Done::Manifest { study, sent }
}

/// Frames of our own making stay within their bounds; should one not, the empty frame is answered MALFORMED.
fn frame(message: &Leaving) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(error) = message.encode(&mut out) {
        tracing::error!(%error, "a message breaks its own bounds");
    }
    out
}

/// More urgent streams take the line first.
fn urgency(stream: &SendStream, priority: Priority) {
    let order = match priority {
        Priority::Stat => 3,
        Priority::Urgent => 2,
        Priority::Routine => 1,
        Priority::Unstated => 0,
    };
    if stream.set_priority(order).is_err() {
        tracing::trace!("the stream has ended before it began");
    }
}

fn finish(stream: &mut SendStream) {
    if stream.finish().is_err() {
        tracing::trace!("the gateway has stopped the stream");
    }
}

fn end_early(stream: &mut SendStream) {
    if stream.reset(VarIntOf(Code::Truncated).into()).is_err() {
        tracing::trace!("the gateway has stopped the stream");
    }
}
