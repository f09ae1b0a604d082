//! Runs one connection until it ends: reads the control stream, wakes for the spool and the deliveries, and says what is due.

use std::pin::pin;
use std::time::Duration;

use causeway_proto::ids::{AgreementId, StudyUid};
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Message, Part, Reader, sentence};
use causeway_proto::link::message::{AuditHead, InstanceKey};
use causeway_proto::link::session::Farewell;
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::alias::{Alias, AliasError};
use super::coded::Coders;
use super::dial::{Dialled, READ_BYTES, explain, farewell};
use super::download::{self, Download};
use super::lanes::{Closing, words_first};
use super::leave::Leave;
use super::path::{Gauge, Meter};
use super::talking::{Heard, Talking};
use super::tunnel::udp_passes_again;
use super::upload::Upload;
use super::way::{self, Ways};
use super::{Ended, Link, State};
use crate::audit::witness;
use crate::spool::{Handle, SpoolError};

/// How often the spool and the deliveries are looked at when no wake-up comes.
const TICK: Duration = Duration::from_secs(2);
/// Wake-ups closer than this are one: while a study arrives, each instance makes one.
const CALM: Duration = Duration::from_millis(20);
/// So many times as long as a look took nothing is looked at again: with thousands of studies in the queue it must leave the time to send.
const REST: u32 = 4;
/// And never for longer than this.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// A connection that lasted so long was a success: the pause after its end is the first again.
const LASTING: Duration = Duration::from_secs(10);
/// How far apart the heads are that each end holds of the other's audit trail.
const CHECKPOINT: Duration = Duration::from_secs(300);
/// How long the gateway may leave our control messages unread.
const UNREAD: Duration = Duration::from_secs(60);

/// A task of the connection has ended.
#[derive(Debug)]
pub(super) enum Done {
    /// An instance is written to the end of its stream.
    Written(InstanceKey, Closing),
    /// The gateway has all of an instance; or its stream was cut.
    Instance {
        /// Which.
        key: InstanceKey,
        /// The gateway has stopped it, and says why on the control stream.
        cut: bool,
    },
    /// The bytes of an instance could not be read; whether they are gone.
    Unread {
        /// Whose.
        key: InstanceKey,
        /// Where they lie.
        handle: Handle,
        /// They are not in the spool as their row says.
        gone: bool,
    },
    /// What was received of an instance has been read again, and the spool knows what came of it.
    Judged {
        /// Whose.
        key: InstanceKey,
        outcome: Result<(), SpoolError>,
    },
    /// The form of an instance is decided anew before it is sent.
    Withdrawn(InstanceKey),
    /// A manifest was sent, or not.
    Manifest {
        study: (AgreementId, StudyUid),
        sent: bool,
    },
    /// A report was taken, or refused.
    Report,
    /// Whether UDP passes again.
    Udp(bool),
}

/// What wakes the connection.
enum Event {
    Bytes(bytes::Bytes),
    Task(Done),
    Report(RecvStream),
    Look,
    Nothing,
    Lost,
    Cancelled,
}

struct Session<'a> {
    link: &'a Link,
    connection: Connection,
    to_gateway: SendStream,
    reader: Reader,
    upload: Upload,
    download: Download,
    talking: Talking,
    alias: Alias,
    tasks: JoinSet<Done>,
    started: Instant,
    /// When spool and deliveries were looked at last, and when they are next.
    looked: Instant,
    look_at: Instant,
    /// How long wake-ups wait behind a look.
    calm: Duration,
    /// When to say the head of the audit trail next.
    head_at: Instant,
    ways: &'a Ways,
    /// When to ask whether UDP passes again.
    udp_at: Option<Instant>,
    serial: causeway_certs::identity::Serial,
    state: &'a watch::Sender<State>,
    gauge: Gauge,
    asked: Option<Duration>,
}

/// Runs a connection until it ends.
pub(super) async fn run(
    link: &Link,
    ways: &Ways,
    meter: &Meter,
    dialled: Dialled,
    state: &watch::Sender<State>,
    cancel: &CancellationToken,
) -> Ended {
    let Dialled {
        connection,
        to_gateway,
        from_gateway,
        reader,
        greeted,
        way,
        carrying: _carrying,
        ..
    } = dialled;
    let remark = way::remark(link, way, greeted.skew_sentence());
    tracing::info!(gateway = %greeted.software, ?way, remark, "the link is up");
    state.send_replace(State::Up {
        since: link.clock.now(),
        gateway: greeted.software,
        address: way::reached_at(link, way, &connection),
        way,
        remark,
        traffic: meter.read(&connection),
    });
    let (now, alias) = (Instant::now(), Alias::new(link.spool.clone()));
    let coders = Coders::new(link.config.coding, &greeted.half.codings);
    words_first(&to_gateway);
    let mut session = Session {
        link,
        connection: connection.clone(),
        to_gateway,
        reader,
        upload: Upload::new(
            link.spool.clone(),
            link.protector.clone(),
            alias.clone(),
            link.config.bounds(),
            coders,
        ),
        download: Download::new(link.deliveries.clone()),
        talking: Talking::new(link.spool.clone()),
        alias,
        tasks: JoinSet::new(),
        started: now,
        looked: now,
        look_at: now,
        calm: CALM,
        head_at: now,
        ways,
        udp_at: None,
        gauge: Gauge::new(meter.clone(), way),
        serial: link.tls.live.credentials().serial().clone(),
        state,
        asked: None,
    };
    let Err(leave) = session.talk(from_gateway, cancel).await;
    session.tasks.abort_all();
    let heard = leave.heard();
    let (reason, at_once) = match leave {
        Leave::Lost => (explain(link, &connection.closed().await), false),
        Leave::With(reason) => (farewell(&connection, reason), false),
        Leave::Done { at_once } => (farewell(&connection, Farewell::from(Code::Done)), at_once),
        Leave::UdpPasses => (farewell(&connection, Farewell::from(Code::Done)), true),
    };
    Ended {
        farewell: reason,
        asked: session.asked,
        was_up: session.started.elapsed() >= LASTING,
        at_once,
        heard,
    }
}

enum Never {}

impl Session<'_> {
    async fn talk(
        &mut self,
        mut from_gateway: RecvStream,
        cancel: &CancellationToken,
    ) -> Result<Never, Leave> {
        let link = self.link;
        let mut spool = pin!(link.spool.changed());
        let mut deliveries = pin!(link.deliveries.changed());
        let asks = self.ways.asks_for_udp(&link.config);
        self.udp_at = asks.map(|(first, _)| self.started + first);
        self.answer_all().await?;
        loop {
            self.pump().await?;
            let event = tokio::select! {
                () = cancel.cancelled() => Event::Cancelled,
                chunk = from_gateway.read_chunk(READ_BYTES, true) => match chunk {
                    Ok(Some(chunk)) => Event::Bytes(chunk.bytes),
                    Ok(None) | Err(_) => Event::Lost,
                },
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => Event::Task(done),
                    Err(error) => {
                        tracing::error!(%error, "a task of the link failed");
                        Event::Nothing
                    }
                },
                stream = self.connection.accept_uni() => match stream {
                    Ok(stream) => Event::Report(stream),
                    Err(_) => Event::Lost,
                },
                () = tokio::time::sleep_until(self.look_at) => Event::Look,
                () = spool.as_mut() => {
                    spool.set(link.spool.changed());
                    self.soon();
                    Event::Nothing
                }
                () = deliveries.as_mut() => {
                    deliveries.set(link.deliveries.changed());
                    self.soon();
                    Event::Nothing
                }
            };
            self.take(event).await?;
        }
    }

    /// Looks again at once, or shortly after the last look, unless a look is due sooner anyway.
    fn soon(&mut self) {
        let next = (self.looked + self.calm).max(Instant::now());
        self.look_at = self.look_at.min(next);
    }

    async fn take(&mut self, event: Event) -> Result<(), Leave> {
        match event {
            Event::Bytes(bytes) => {
                self.reader.push(&bytes);
                self.answer_all().await?;
            }
            Event::Task(Done::Written(key, closing)) => {
                self.upload.written(&key);
                self.tasks.spawn(async move {
                    let cut = closing.was_cut().await;
                    Done::Instance { key, cut }
                });
            }
            Event::Task(Done::Instance { key, cut }) => {
                self.upload.sent(self.started.elapsed(), &key, cut);
            }
            Event::Task(Done::Unread { key, handle, gone }) => {
                let tasks = &mut self.tasks;
                self.upload.unread(&key, handle, gone, tasks).await?;
            }
            Event::Task(Done::Judged { key, outcome }) => {
                self.upload.judged(&key);
                outcome?;
                self.soon();
            }
            Event::Task(Done::Withdrawn(key)) => self.upload.withdrawn(&key),
            Event::Task(Done::Manifest { study, sent }) => {
                if !sent {
                    self.upload.not_sealed(&study);
                }
            }
            Event::Report(stream) => {
                let deliveries = self.link.deliveries.clone();
                let alias = self.alias.clone();
                self.tasks
                    .spawn(download::receive(stream, deliveries, alias));
            }
            Event::Look => self.look().await?,
            Event::Task(Done::Udp(true)) => return Err(Leave::UdpPasses),
            Event::Task(Done::Udp(false)) => {
                let waits = self.ways.asks_for_udp(&self.link.config);
                self.udp_at = waits.map(|(_, then)| Instant::now() + then);
            }
            Event::Task(Done::Report) | Event::Nothing => {}
            Event::Lost => return Err(Leave::Lost),
            Event::Cancelled => return Err(Leave::Done { at_once: false }),
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), Leave> {
        let begun = Instant::now();
        self.look_at = begun + TICK;
        let looked = self.look_everywhere().await;
        self.looked = Instant::now();
        self.calm = ((self.looked - begun) * REST).clamp(CALM, LONGEST_REST);
        self.look_at = self.look_at.max(self.looked + self.calm);
        looked
    }

    async fn look_everywhere(&mut self) -> Result<(), Leave> {
        if *self.link.tls.live.credentials().serial() != self.serial {
            return Err(Leave::Done { at_once: true });
        }
        if self.udp_at.is_some_and(|at| at <= Instant::now()) {
            self.udp_at = None;
            let link = self.link.clone();
            self.tasks
                .spawn(async move { Done::Udp(udp_passes_again(&link).await) });
        }
        let (link, state) = (self.link, self.state);
        self.gauge.read(link, &self.connection, state).await;
        let mut say = Vec::new();
        if self.asked.is_none() {
            self.upload.look(&mut say).await?;
            // behind the OPENs: the gateway knows the studies by then
            self.talking.look(self.started.elapsed(), &mut say).await?;
        }
        self.download.look(&mut say).await?;
        self.heads(&mut say).await;
        self.say(&say).await?;
        if self.asked.is_none() {
            self.upload.seal(&self.connection, &mut self.tasks).await?;
        }
        Ok(())
    }

    /// Says where our audit trail ends, at once and then every five minutes. It must not end a connection when it cannot.
    async fn heads(&mut self, say: &mut Vec<Message>) {
        if self.head_at > Instant::now() {
            return;
        }
        self.head_at = Instant::now() + CHECKPOINT;
        let (rows, now) = (self.link.spool.rows(), self.link.clock.now());
        match witness::say(rows, now, None).await {
            Ok(message) => say.push(message.into()),
            Err(error) => tracing::error!(%error, "the head of the audit trail was not said"),
        }
    }

    /// Holds where the gateway's audit trail ends. A trail in doubt is for people; the connection goes on.
    async fn hear(&mut self, said: &AuditHead) -> Result<(), Leave> {
        let (rows, now) = (self.link.spool.rows(), self.link.clock.now());
        match witness::hear(rows, said, now).await {
            Ok(Some(answer)) => self.say(&[answer.into()]).await,
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::error!(%error, "the head of the gateway's audit trail was not held");
                Ok(())
            }
        }
    }

    /// Begins what the machine allows. After GOAWAY nothing new is begun.
    async fn pump(&mut self) -> Result<(), Leave> {
        if self.asked.is_some() {
            return Ok(());
        }
        if self.upload.is_hungry() {
            self.upload.take().await?;
        }
        let mut say = Vec::new();
        let now = self.started.elapsed();
        self.upload
            .step(now, &self.connection, &mut say, &mut self.tasks);
        self.upload.park().await?;
        self.say(&say).await
    }

    async fn say(&mut self, messages: &[Message]) -> Result<(), Leave> {
        let mut bytes = Vec::new();
        for message in messages {
            let said = bytes.len();
            let leaving = match self.alias.out(message.clone()).await {
                Ok(leaving) => leaving,
                Err(AliasError::Spool(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(%error, message = message.kind().name, "a message is not said");
                    continue;
                }
            };
            if let Err(error) = leaving.encode(&mut bytes) {
                // one message that breaks a bound must not end every connection
                tracing::error!(%error, "a message cannot be said");
                bytes.truncate(said);
            }
        }
        if bytes.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout(UNREAD, self.to_gateway.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Leave::Lost),
            Err(_) => Err(Leave::With(Farewell::new(
                Code::Silent,
                "The gateway reads no control messages.",
            ))),
        }
    }

    /// Receipts that came together are kept together: each by itself would wait for the disk.
    async fn answer_all(&mut self) -> Result<(), Leave> {
        let mut receipts = Vec::new();
        loop {
            let next = match self.reader.next_part() {
                Ok(Some(Part::Message(message))) => self
                    .alias
                    .home(message)
                    .await
                    .map(Some)
                    .map_err(Leave::from),
                Ok(Some(Part::Data(_)) | None) => Ok(None),
                Err(error) => Err(Leave::With(error.into())),
            };
            if let Ok(Some(Message::Receipt(receipt))) = next {
                receipts.push(receipt);
                continue;
            }
            if !receipts.is_empty() {
                self.upload.receipts(&std::mem::take(&mut receipts)).await?;
                self.soon_when_idle();
            }
            match next? {
                Some(message) => self.answer(message).await?,
                None => return Ok(()),
            }
        }
    }

    async fn answer(&mut self, message: Message) -> Result<(), Leave> {
        let message = match self.talking.hear(message).await? {
            Heard::Taken(answer) => return self.say(answer.as_slice()).await,
            Heard::Other(message) => message,
        };
        match message {
            Message::Have(have) => self.upload.have(&have).await?,
            Message::Receipt(receipt) => self.upload.receipts(&[receipt]).await?,
            Message::Refused(refused) => {
                self.upload.refused(refused, &mut self.tasks).await?;
                self.soon();
            }
            Message::Sealed(sealed) => {
                self.upload.sealed(&sealed).await?;
                self.soon();
            }
            Message::Recalled(recalled) => self.upload.recall_confirmed(&recalled).await?,
            Message::Deleted(deleted) => {
                self.upload.deleted(deleted).await?;
                self.soon();
            }
            Message::Again(again) => {
                self.upload.again(again).await?;
                self.soon();
            }
            Message::Noted(noted) => self.download.noted(&noted).await?,
            Message::AuditHead(said) => self.hear(&said).await?,
            Message::GoAway(goaway) => {
                self.asked = Some(Duration::from_millis(goaway.retry_after_ms));
                self.state.send_modify(|state| {
                    if let State::Up { remark, .. } = state {
                        *remark = Some(sentence(goaway.sentence));
                    }
                });
            }
            _ => {
                return Err(Leave::With(Farewell::new(
                    Code::ProtocolError,
                    "The gateway said HELLO twice.",
                )));
            }
        }
        self.soon_when_idle();
        Ok(())
    }

    fn soon_when_idle(&mut self) {
        if self.upload.is_idle() {
            self.soon();
        }
    }
}
