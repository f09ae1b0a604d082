//! What goes out on one connection: studies are opened, instances sent in parallel in their protected form, manifests said.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use causeway_proto::ids::{AgreementId, StudyUid};
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Message, sentence};
use causeway_proto::link::message::{
    Again, Deleted, DeletedNoted, Have, InstanceKey, NotKept, Open, Progress, Query, Recalled,
    Receipt, Refused, Sealed,
};
use causeway_proto::link::session::Farewell;
use causeway_proto::link::upload::{Bounds, Job, STRIKES, Step, Uploader};
use quinn::Connection;
use tokio::task::JoinSet;

use super::alias::Alias;
use super::coded::{Coder, Coders};
use super::judging::{Judging, Question};
use super::lanes::Lanes;
use super::sending::{Sending, look, send_manifest};
use super::session::Done;
use crate::audit::Trail;
use crate::protect::Protector;
use crate::spool::{Handle, Outgoing, Spool, SpoolError};

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
    coders: Coders,
    lanes: Lanes,
    outgoing: HashMap<InstanceKey, Outgoing>,
    opened: BTreeMap<StudyOf, (Open, Progress)>,
    recalled: BTreeMap<StudyOf, String>,
    /// What the gateway has deleted and we have kept, to be said so.
    heard: Vec<Message>,
    sealing: BTreeMap<StudyOf, u32>,
    /// Instances whose bytes could not be read, and how often.
    unread: HashMap<InstanceKey, u32>,
    /// What is read again, to see whose fault it is.
    judging: Judging,
    /// What the gateway cuts again and again, for the spool.
    parked: Vec<Refused>,
    /// The spool gave all that it was asked for: there is more.
    more: bool,
}

impl Upload {
    pub(super) fn new(
        spool: Spool,
        protector: Protector,
        alias: Alias,
        bounds: Bounds,
        coders: Coders,
    ) -> Self {
        Self {
            trail: Trail::new(spool.rows().clone()),
            spool,
            protector,
            alias,
            uploader: Uploader::new(bounds),
            coders,
            lanes: Lanes::new(bounds.streams),
            outgoing: HashMap::new(),
            opened: BTreeMap::new(),
            recalled: BTreeMap::new(),
            heard: Vec::new(),
            sealing: BTreeMap::new(),
            unread: HashMap::new(),
            judging: Judging::new(),
            parked: Vec::new(),
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
        let recalls = self.spool.recalls().await?;
        let recalling: HashSet<StudyOf> = recalls
            .iter()
            .map(|recall| (recall.agreement.clone(), recall.study.clone()))
            .collect();
        self.recalled.retain(|study, _| recalling.contains(study));
        for recall in recalls {
            let study = (recall.agreement.clone(), recall.study.clone());
            if self.recalled.get(&study) != Some(&recall.reason) {
                self.recalled.insert(study, recall.reason.clone());
                say.push(recall.into());
            }
        }
        let mut open: HashSet<StudyOf> = HashSet::new();
        for study in self.spool.studies_to_open().await? {
            open.insert((study.open.agreement.clone(), study.open.study.clone()));
            self.open(study.open, study.progress, say);
        }
        self.take().await?;
        self.forget(open);
        Ok(())
    }

    /// Forgets what was said of studies of which nothing is left to say: a connection may last for months. Of one that comes again it is
    /// said again.
    fn forget(&mut self, mut open: HashSet<StudyOf>) {
        let under_way = self.outgoing.values();
        open.extend(under_way.map(|it| (it.key.agreement.clone(), it.study.clone())));
        self.opened.retain(|study, _| open.contains(study));
        self.sealing.retain(|study, _| open.contains(study));
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
        let mut under_way = self.uploader.under_way();
        under_way.extend(self.judging.keys().cloned());
        let offered = self.spool.next_to_send(room, &under_way).await?;
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
                place: instance.place,
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
                Step::Park(key) => {
                    if let Some(instance) = self.outgoing.remove(&key) {
                        self.parked.push(cut_off(instance));
                    }
                }
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
                        lanes: self.lanes.clone(),
                        instance: instance.clone(),
                        protector: self.protector.clone(),
                        alias: self.alias.clone(),
                        coder: self.coder(connection, &key, instance),
                        offset,
                    };
                    tasks.spawn(sending.run());
                }
            }
        }
    }

    /// Tells the spool what is parked because the gateway cuts it again and again.
    ///
    /// # Errors
    /// When the spool refuses.
    pub(super) async fn park(&mut self) -> Result<(), SpoolError> {
        for refused in self.parked.drain(..) {
            tracing::warn!(sentence = %refused.sentence, "an object is parked");
            self.spool.refused(&refused).await?;
        }
        Ok(())
    }

    /// What codes this instance, if it is to be coded. One that was refused before goes as it is: no mistake of the coding keeps it here.
    fn coder(
        &self,
        connection: &Connection,
        key: &InstanceKey,
        instance: &Outgoing,
    ) -> Option<Coder> {
        let coder = self.coders.coder(&instance.sent.syntax, connection)?;
        (!self.uploader.was_refused(key)).then_some(coder)
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
                self.lanes.clone(),
                connection.clone(),
                self.alias.clone(),
                manifest,
            ));
        }
        Ok(())
    }

    /// The stream of an instance is written to its end.
    pub(super) fn written(&mut self, key: &InstanceKey) {
        self.uploader.written(key);
    }

    /// The gateway has all of an instance, or its stream was `cut`.
    pub(super) fn sent(&mut self, now: Duration, key: &InstanceKey, cut: bool) {
        if cut {
            self.uploader.cut(now, key);
        } else {
            self.uploader.sent(now, key);
        }
    }

    /// The bytes of an instance could not be read. They are lost when they are gone, or when it was tried often enough: it is then not
    /// offered any more until they come again. A disk or a database that refuses once has lost nothing.
    ///
    /// # Errors
    /// When the spool refuses.
    pub(super) async fn unread(
        &mut self,
        key: &InstanceKey,
        handle: Handle,
        gone: bool,
        tasks: &mut JoinSet<Done>,
    ) -> Result<(), SpoolError> {
        self.withdrawn(key);
        let tries = self.unread.entry(key.clone()).or_default();
        *tries += 1;
        if gone || *tries >= READS {
            self.unread.remove(key);
            let question = Question::Unread(handle);
            self.judging
                .begin(&self.spool, key.clone(), question, tasks)
                .await?;
        }
        Ok(())
    }

    /// What was received of an instance has been read again.
    pub(super) fn judged(&mut self, key: &InstanceKey) {
        self.judging.ended(key);
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

    pub(super) async fn receipts(&mut self, receipts: &[Receipt]) -> Result<(), SpoolError> {
        let taken = self.spool.receipted(receipts).await?;
        for (receipt, ours) in receipts.iter().zip(taken) {
            self.note(receipt, ours);
            self.uploader.receipt(receipt);
            if !ours {
                self.uploader.doubted(&receipt.key);
            }
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

    pub(super) async fn refused(
        &mut self,
        mut refused: Refused,
        tasks: &mut JoinSet<Done>,
    ) -> Result<(), SpoolError> {
        refused.sentence = sentence(refused.sentence);
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
        match refused.key.clone() {
            Some(key) if refused.code == Code::DigestMismatch.number() => {
                let question = Question::Refused(refused);
                self.judging.begin(&self.spool, key, question, tasks).await
            }
            _ => self.spool.refused(&refused).await,
        }
    }

    pub(super) async fn sealed(&mut self, sealed: &Sealed) -> Result<(), SpoolError> {
        self.sealing
            .remove(&(sealed.agreement.clone(), sealed.study.clone()));
        self.spool.sealed(sealed).await
    }

    pub(super) async fn recall_confirmed(&mut self, recalled: &Recalled) -> Result<(), SpoolError> {
        self.spool.recalled(recalled).await
    }

    /// What the gateway has lost is offered again; what is not kept any more is said.
    pub(super) async fn again(&mut self, again: Again) -> Result<(), SpoolError> {
        let gone = self.spool.offer_again(&again).await?;
        let asked = again.instances.len();
        tracing::warn!(
            asked,
            gone = gone.len(),
            "the gateway has lost bytes that it had receipted, and asks for them again"
        );
        if !gone.is_empty() {
            let said = NotKept {
                study: again.study,
                agreement: again.agreement,
                instances: gone,
            };
            self.heard.push(said.into());
        }
        Ok(())
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

/// What the spool is told of an instance that the gateway does not let come to its end.
fn cut_off(instance: Outgoing) -> Refused {
    Refused {
        study: instance.study,
        agreement: instance.key.agreement.clone(),
        key: Some(instance.key),
        code: Code::Truncated.number(),
        sentence: format!("The gateway stopped it {STRIKES} times in a row and did not say why."),
        retry_after_ms: None,
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

#[cfg(test)]
mod tests;
