//! What agents send, into `ingest`: studies are opened, instances taken from parallel streams, manifests sealed; each is answered
//! when its effect is durable.

mod collect;
mod refuse;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use causeway_proto::coding::Decoder;
use causeway_proto::ids::{AgreementId, StudyUid};
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{
    CodecError, HEAD_MAX_BYTES, Message, Part, Reader, SEALED_MAX_MISSING, Speaker,
};
use causeway_proto::link::download::noted;
use causeway_proto::link::message::{
    Delivery, Instance, InstanceKey, Manifest, Open, Query, Recall, Trailer,
};
use causeway_proto::link::session::Farewell;
use causeway_proto::link::upload::{CODING_RECORDS, Landing};
use quinn::{RecvStream, VarInt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::accept::READ_BYTES;
use super::again;
use super::deleted;
use super::session::Session;
use super::talking;
use super::witness;
use crate::delivery;
use crate::ingest::{Begun, Disposition, Incoming, IngestError};
use collect::{COLLECT_BYTES, append, take_data, undo};
use refuse::{Why, forbid, refuse};

/// How much is read at once while a stream has not said what it is, in bytes: so many streams may wait for their turn.
const HEAD_READ_BYTES: usize = 16 * 1024;
/// A head that is longer is large: only a manifest may be.
const LARGE_BYTES: usize = HEAD_MAX_BYTES as usize;
/// How many times as long a stream may bring nothing while others of its connection do: it waits for its turn.
const PATIENCE: u32 = 10;
/// How long an instance or manifest that overtook its OPEN waits for it: as long as a line may be silent, and no longer than
/// its connection lives.
const OVERTAKEN: Duration = Duration::from_secs(15);

/// Reads the control stream until it ends; gives the reason when this side ends the connection.
pub(super) async fn control(
    session: &Session,
    mut from_agent: RecvStream,
    mut reader: Reader,
) -> Option<Farewell> {
    loop {
        loop {
            let message = match reader.next_part() {
                Ok(Some(Part::Message(message))) => message,
                Ok(Some(Part::Data(_)) | None) => break,
                Err(error) => return Some(error.into()),
            };
            if let Err(farewell) = take(session, message).await {
                return Some(farewell);
            }
        }
        match from_agent.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => reader.push(&chunk.bytes),
            Ok(None) => return Some(Farewell::from(Code::Done)),
            Err(_) => return None,
        }
    }
}

async fn take(session: &Session, message: Message) -> Result<(), Farewell> {
    let site = &session.peer.site;
    let ingest = &session.rooms.ingest;
    match message {
        Message::Open(open) => open_study(session, open).await,
        Message::Progress(progress) => {
            if let Err(error) = ingest.progress(site, &progress).await {
                tracing::warn!(%error, %site, "the progress of a study was not noted");
            }
            Ok(())
        }
        Message::Query(query) => have(session, query).await,
        Message::Recall(recall) => recall_study(session, recall).await,
        Message::Delivery(word) => record(session, word).await,
        Message::DeletedNoted(said) => {
            deleted::hear(session, &said).await;
            Ok(())
        }
        Message::NotKept(said) => {
            again::hear(session, &said).await;
            Ok(())
        }
        Message::AuditHead(said) => {
            witness::hear(session, &said).await;
            Ok(())
        }
        Message::Context(context) => talking::context(session, context).await,
        Message::Letter(letter) => talking::letter(session, letter).await,
        Message::LetterState(said) => talking::state(session, said).await,
        Message::GoAway(_) => Ok(()),
        _ => Err(Farewell::new(
            Code::ProtocolError,
            "The agent said HELLO twice.",
        )),
    }
}

fn trouble(error: &IngestError) -> Farewell {
    tracing::error!(%error, "a message of an agent could not be taken");
    Farewell::new(error.code(), error.to_string())
}

async fn open_study(session: &Session, open: Open) -> Result<(), Farewell> {
    let site = &session.peer.site;
    match session.rooms.ingest.open(site, &open).await {
        Ok(()) => {
            session.opened.notify_waiters();
            Ok(())
        }
        Err(error) if error.disposition() == Disposition::Reject => {
            let why = Why::from(error);
            if let Some(farewell) = why.farewell() {
                forbid(session, &farewell).await;
                return Err(farewell);
            }
            refuse(session, why.refused(None, open.study, open.agreement)).await;
            Ok(())
        }
        Err(error) => Err(trouble(&error)),
    }
}

async fn have(session: &Session, query: Query) -> Result<(), Farewell> {
    let have = session.rooms.ingest.have(&session.peer.site, &query).await;
    session.say(have.map_err(|error| trouble(&error))?).await;
    Ok(())
}

async fn recall_study(session: &Session, recall: Recall) -> Result<(), Farewell> {
    let site = &session.peer.site;
    let recalled = session.rooms.ingest.recall(site, &recall).await;
    session
        .say(recalled.map_err(|error| trouble(&error))?)
        .await;
    session.rooms.parts.wakes.deletion.ring();
    Ok(())
}

async fn record(session: &Session, word: Delivery) -> Result<(), Farewell> {
    let parts = &session.rooms.parts;
    let now = parts.clock.now();
    let changed = delivery::record(&parts.rows, &session.peer.site, &word, now)
        .await
        .map_err(|error| {
            tracing::error!(%error, "what a site says of a delivery could not be recorded");
            Farewell::from(Code::Internal)
        })?;
    session.rooms.events.announce(&changed);
    session.delivering.told(&word.delivery);
    session.say(noted(&word)).await;
    Ok(())
}

/// Takes streams until the connection ends. Each runs as its own task and is finished even when the session is not.
pub(super) async fn streams(session: &Session) {
    while let Ok(stream) = session.connection.accept_uni().await {
        let task = Stream {
            session: session.clone(),
            stream,
            reader: Reader::stream(Speaker::Agent),
            large: None,
        };
        session.streams.spawn(task.run());
    }
}

/// One stream of an agent.
struct Stream {
    session: Session,
    stream: RecvStream,
    reader: Reader,
    /// The right to hold a large head: one of a session at a time, until it is done with.
    large: Option<OwnedSemaphorePermit>,
}

/// What one stream began with.
enum Head {
    Instance(Instance),
    Manifest(Manifest),
}

impl Stream {
    async fn run(mut self) {
        match self.head().await {
            Ok(Head::Instance(instance)) => self.instance(instance).await,
            Ok(Head::Manifest(manifest)) => self.manifest(manifest).await,
            // without its first message nothing can be named in an answer: only the stream is stopped
            Err(code) => self.stop(code),
        }
    }

    fn stop(&mut self, code: Code) {
        if self.stream.stop(VarInt::from_u32(code.number())).is_err() {
            tracing::trace!("the agent has ended the stream");
        }
    }

    /// Reads more bytes; false at the end of the stream. A stream that brings none for too long is given up: it holds what others wait
    /// for. While others of its connection bring some it waits for its turn.
    async fn more(&mut self, most: usize) -> Result<bool, Idle> {
        let limit = self.session.rooms.config.stalled();
        let moves = self.session.moves.clone();
        for _ in 0..PATIENCE {
            let seen = moves.load(Ordering::Relaxed);
            let read = self.stream.read_chunk(most, true);
            match tokio::time::timeout(limit, read).await {
                Ok(Ok(Some(chunk))) => {
                    moves.fetch_add(1, Ordering::Relaxed);
                    self.reader.push(&chunk.bytes);
                    return Ok(true);
                }
                Ok(Ok(None)) => return Ok(false),
                Ok(Err(_)) => return Err(Idle::Lost),
                Err(_) if moves.load(Ordering::Relaxed) == seen => break,
                Err(_) => {}
            }
        }
        Err(Idle::Stalled)
    }

    /// What the stream begins with. However it comes, it comes within a time.
    async fn head(&mut self) -> Result<Head, Code> {
        let limit = self.session.rooms.config.stalled().saturating_mul(PATIENCE);
        let head = tokio::time::timeout(limit, self.read_head()).await;
        head.unwrap_or(Err(Code::Truncated))
    }

    async fn read_head(&mut self) -> Result<Head, Code> {
        loop {
            match self.reader.next_part().map_err(|error| error.code())? {
                Some(Part::Message(Message::Instance(instance))) => {
                    return Ok(Head::Instance(instance));
                }
                Some(Part::Message(Message::Manifest(manifest))) => {
                    return Ok(Head::Manifest(manifest));
                }
                Some(_) => return Err(Code::ProtocolError),
                None => {}
            }
            if self.large.is_none() && self.reader.held() > LARGE_BYTES {
                // never closed
                self.large = self.session.large.clone().acquire_owned().await.ok();
            }
            if !matches!(self.more(HEAD_READ_BYTES).await, Ok(true)) {
                return Err(Code::Truncated);
            }
        }
    }

    async fn instance(mut self, instance: Instance) {
        let outcome = match self.begin(&instance).await {
            Ok(Begun::Held(receipt)) => {
                self.session.say(receipt).await;
                self.stop(Code::Done);
                return;
            }
            Ok(Begun::Incoming(incoming)) => self.body(&instance, *incoming).await,
            Err(error) => Err(error.into()),
        };
        let Err(why) = outcome else { return };
        let key = Some(key_of(&instance));
        self.refuse(&why, key, instance.study, instance.agreement)
            .await;
    }

    /// Says why an object is not taken, and stops its stream; or ends the connection.
    async fn refuse(
        &mut self,
        why: &Why,
        key: Option<InstanceKey>,
        study: StudyUid,
        agreement: AgreementId,
    ) {
        match why.farewell() {
            Some(farewell) => {
                forbid(&self.session, &farewell).await;
                self.session.end(farewell).await;
            }
            None => refuse(&self.session, why.refused(key, study, agreement)).await,
        }
        self.stop(why.code());
    }

    /// Begins an instance; one that overtook the OPEN of its study waits for it while the connection lives.
    async fn begin(&self, instance: &Instance) -> Result<Begun, IngestError> {
        let site = &self.session.peer.site;
        let deadline = Instant::now() + OVERTAKEN;
        loop {
            let opened = self.session.opened.notified();
            let begun = self
                .session
                .rooms
                .ingest
                .begin_instance(site, instance)
                .await;
            if !matches!(begun, Err(IngestError::NotOpen)) {
                return begun;
            }
            if !self.may_still_open(opened, deadline).await {
                return begun;
            }
        }
    }

    /// Waits for the next OPEN; false when there will be none in time.
    async fn may_still_open(&self, opened: Notified<'_>, deadline: Instant) -> bool {
        tokio::select! {
            () = opened => true,
            () = tokio::time::sleep_until(deadline) => false,
            _ = self.session.connection.closed() => false,
        }
    }

    async fn body(&mut self, instance: &Instance, mut incoming: Incoming) -> Result<(), Why> {
        let mut collected = BytesMut::new();
        let landing = Landing::begin(instance, u64::MAX);
        let mut landing = landing.or(Err(IngestError::CodingUnknown(instance.coding)))?;
        let mut decoder = (instance.coding == CODING_RECORDS).then(Decoder::default);
        let trailer = match self
            .collect(&mut incoming, &mut collected, &mut landing, &mut decoder)
            .await
        {
            Ok(trailer) => trailer,
            Err(Cut::Refused(why @ Why::Ingest(IngestError::Full(_)))) => {
                self.keep(incoming, BytesMut::new()).await;
                return Err(why);
            }
            Err(Cut::Refused(why)) => return Err(why),
            Err(Cut::Broken(why)) => {
                self.keep(incoming, collected).await;
                return Err(why);
            }
            // the agent has cut it off, or the connection has ended
            Err(Cut::Lost) => {
                self.keep(incoming, collected).await;
                return Ok(());
            }
            // the connection lives: only an answer makes the agent offer the instance again
            Err(Cut::Stalled) => {
                let held = u64::try_from(collected.len()).unwrap_or(0);
                let received = incoming.offset().saturating_add(held);
                self.keep(incoming, collected).await;
                return Err(IngestError::Stalled { received }.into());
            }
        };
        let last = incoming.append(collected.freeze()).await;
        if let Err(error @ IngestError::Full(_)) = last {
            self.keep(incoming, BytesMut::new()).await;
            return Err(error.into());
        }
        last?;
        let receipt = incoming.finish(&trailer).await?;
        self.session.say(receipt).await;
        Ok(())
    }

    /// Takes the bytes up to the trailer. All of what came before the last 256 KiB has then been appended.
    async fn collect(
        &mut self,
        incoming: &mut Incoming,
        collected: &mut BytesMut,
        landing: &mut Landing,
        decoder: &mut Option<Decoder>,
    ) -> Result<Trailer, Cut> {
        loop {
            while let Some(part) = self.reader.next_part().map_err(Cut::broken)? {
                match part {
                    Part::Data(bytes) => {
                        take_data(bytes, decoder, landing, collected)?;
                        while undo(decoder, landing, collected)? {
                            append(incoming, collected).await?;
                        }
                    }
                    Part::Message(Message::Trailer(trailer)) => {
                        if decoder.as_ref().is_some_and(|it| !it.is_between()) {
                            return Err(Cut::from(IngestError::Garbled));
                        }
                        return ended(landing, &trailer).map(|()| trailer);
                    }
                    // only a TRAILER is let through here
                    Part::Message(_) => return Err(Cut::Lost),
                }
            }
            if collected.len() >= COLLECT_BYTES {
                append(incoming, collected).await?;
            }
            match self.more(READ_BYTES).await {
                Ok(true) => incoming.moved(),
                Ok(false) => return Err(Cut::broken(CodecError::Truncated)),
                Err(Idle::Lost) => return Err(Cut::Lost),
                Err(Idle::Stalled) => return Err(Cut::Stalled),
            }
        }
    }

    /// The stream was cut: what has arrived need not be sent again.
    async fn keep(&self, mut incoming: Incoming, collected: BytesMut) {
        let kept = match incoming.append(collected.freeze()).await {
            // there was no room for these last ones, which changes nothing for those before
            Ok(()) | Err(IngestError::Full(_)) => incoming.keep().await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, site = %self.session.peer.site, "part of an instance was not kept");
        }
    }

    async fn manifest(mut self, manifest: Manifest) {
        let site = self.session.peer.site.clone();
        let deadline = Instant::now() + OVERTAKEN;
        let sealed = loop {
            let opened = self.session.opened.notified();
            let sealed = self.session.rooms.ingest.manifest(&site, &manifest).await;
            if !matches!(sealed, Err(IngestError::NotOpen))
                || !self.may_still_open(opened, deadline).await
            {
                break sealed;
            }
        };
        match sealed {
            Ok(mut sealed) => {
                sealed.missing.truncate(SEALED_MAX_MISSING);
                self.session.say(sealed).await;
            }
            Err(error) => {
                self.refuse(&error.into(), None, manifest.study, manifest.agreement)
                    .await;
            }
        }
    }
}

/// Why there is nothing more to read although the stream has not ended.
enum Idle {
    Lost,
    Stalled,
}

/// Why the bytes of an instance ended early.
enum Cut {
    /// The stream was reset, or its connection has ended; what came is kept.
    Lost,
    /// Nothing came for too long; what came is kept.
    Stalled,
    /// The stream broke the protocol, or ended before its object did; what came is kept.
    Broken(Why),
    /// The bytes are not taken.
    Refused(Why),
}

impl Cut {
    fn broken(error: CodecError) -> Self {
        Self::Broken(error.into())
    }
}

impl From<IngestError> for Cut {
    fn from(error: IngestError) -> Self {
        Self::Refused(error.into())
    }
}

/// Whether as many bytes came as were announced.
fn ended(landing: &Landing, trailer: &Trailer) -> Result<(), Cut> {
    landing.trailer(trailer).map_err(|code| {
        let (received, announced) = (landing.received(), trailer.length);
        let text = format!("{received} bytes arrived and {announced} were announced");
        Cut::Refused(Why::Stream(code, text))
    })
}

fn key_of(instance: &Instance) -> InstanceKey {
    InstanceKey {
        agreement: instance.agreement.clone(),
        instance: instance.instance.clone(),
        source_tag: instance.source_tag,
    }
}
