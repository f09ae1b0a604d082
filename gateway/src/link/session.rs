//! One admitted session: everything that runs beside each other on it, and how it ends.
//!
//! | Ends by | What the agent hears |
//! |---|---|
//! | the agent or the way between | nothing |
//! | a message that breaks the protocol | its code |
//! | an object under another site's agreement | FORBIDDEN; audited |
//! | revocation, end of the certificate, closed site | REVOKED, EXPIRED, SITE_CLOSED, within 15 s of the act |
//! | a newer session of the site | DUPLICATE_SITE |
//! | other agreements of the site are in force than HELLO said | GOAWAY, within 15 s; the agent comes back and hears them |
//! | the gateway drains | GOAWAY, then the receipts of what was under way, then the close |

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_certs::identity::Peer;
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{Message, encode};
use causeway_proto::link::message::{Agreement, GoAway};
use causeway_proto::link::session::Farewell;
use causeway_proto::link::talk::Saying;
use quinn::SendStream;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use super::Rooms;
use super::accept::{Greeting, announced, denial, explain};
use super::again;
use super::deleted;
use super::deliver::Delivering;
use super::receive;
use super::sites::close;
use super::talking;
use super::witness;
use crate::directory::{self, Denied};

/// Messages that may wait to be written to the control stream.
const WAITING: usize = 1024;
/// Messages written at once.
const BATCH: usize = 256;
/// How long the agent may leave our control messages unread.
const UNREAD: Duration = Duration::from_secs(60);
/// How often the directory may fail to answer before a live connection is closed.
const BLIND: u32 = 3;

/// What the tasks of one session share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) rooms: Rooms,
    pub(super) peer: Peer,
    pub(super) connection: quinn::Connection,
    /// To the control stream.
    pub(super) say: mpsc::Sender<Message>,
    /// Rings when a study was opened: instances that overtook their OPEN try again.
    pub(super) opened: Arc<Notify>,
    /// Counts up whenever a stream brings bytes.
    pub(super) moves: Arc<AtomicU64>,
    /// The right to hold a large head of a stream: a site never has more than one of them in memory.
    pub(super) large: Arc<Semaphore>,
    /// To end the connection from one of its streams.
    pub(super) ends: mpsc::Sender<Farewell>,
    /// Streams under way.
    pub(super) streams: TaskTracker,
    pub(super) delivering: Delivering,
    /// Letters and readings that wait for their answer.
    pub(super) saying: Arc<Mutex<Saying>>,
}

impl Session {
    /// Says something to the agent, unless the connection has ended.
    pub(super) async fn say(&self, message: impl Into<Message>) {
        if self.say.send(message.into()).await.is_err() {
            tracing::trace!("the connection has ended before its answer");
        }
    }

    /// Ends the connection.
    pub(super) async fn end(&self, farewell: Farewell) {
        if self.ends.send(farewell).await.is_err() {
            tracing::trace!("the connection has ended already");
        }
    }
}

/// How a session ends.
enum End {
    Lost,
    With(Farewell),
    Drain,
}

/// Runs a session until it ends.
pub(super) async fn run(rooms: &Rooms, greeting: Greeting) {
    let (say, said) = mpsc::channel(WAITING);
    let (ends, mut ended) = mpsc::channel(1);
    let Greeting {
        connection,
        peer,
        to_agent,
        from_agent,
        reader,
        agreements,
    } = greeting;
    let session = Session {
        rooms: rooms.clone(),
        peer,
        connection: connection.clone(),
        say,
        opened: Arc::new(Notify::new()),
        moves: Arc::default(),
        large: Arc::new(Semaphore::new(1)),
        ends,
        streams: TaskTracker::new(),
        delivering: Delivering::new(&rooms.parts),
        saying: Arc::default(),
    };
    let site = session.peer.site.clone();
    let streams = session.streams.clone();
    let delivering = session.delivering.clone();
    let writer = rooms.parts.tracker.spawn(write(to_agent, said));
    let mut control = Box::pin(receive::control(&session, from_agent, reader));
    let end = tokio::select! {
        farewell = &mut control => farewell.map_or(End::Lost, End::With),
        () = receive::streams(&session) => End::Lost,
        () = session.delivering.run(&session) => End::Lost,
        () = witness::run(&session) => End::Lost,
        () = deleted::run(&session) => End::Lost,
        () = again::run(&session) => End::Lost,
        () = talking::run(&session) => End::Lost,
        farewell = guard(&session, &agreements) => End::With(farewell),
        Some(farewell) = ended.recv() => End::With(farewell),
        _ = connection.closed() => End::Lost,
        () = rooms.parts.cancel.cancelled() => End::Drain,
    };
    drop(ended);
    match &end {
        End::Lost => {
            // nothing watches the site's certificate any more: a connection that still lives, as after a reset of the control
            // stream, must not outlive its session
            if connection.close_reason().is_none() {
                let sentence = "The control stream of this connection has ended.";
                close(&connection, &Farewell::new(Code::ProtocolError, sentence));
            }
            let reason = explain(&connection.closed().await);
            tracing::info!(%site, %reason, "a site is no longer connected");
        }
        End::With(farewell) => {
            tracing::warn!(%site, code = farewell.code.name(), sentence = %farewell.sentence, "the connection of a site is ended");
            close(&connection, farewell);
        }
        End::Drain => drain(&session, &mut control).await,
    }
    drop(control);
    streams.close();
    streams.wait().await;
    drop(session);
    if writer.await.is_err() {
        tracing::error!(%site, "the writer of the control stream failed");
    }
    close(&connection, &Farewell::from(Code::GoAway));
    delivering.release(rooms).await;
}

/// Nothing new is begun; what is under way is finished and receipted. What the agent still says is heard, for an instance may have
/// overtaken the OPEN of its study.
async fn drain(session: &Session, control: impl Future<Output = Option<Farewell>>) {
    let config = &session.rooms.config;
    let goaway = GoAway {
        retry_after_ms: config.come_back_ms,
        sentence: "The gateway is shutting down or restarting.".to_owned(),
    };
    session.say(goaway).await;
    session.streams.close();
    let limit = Duration::from_secs(config.drain_s);
    let hearing = async {
        control.await;
        // the agent has nothing more to say; its streams may still bring something
        std::future::pending::<()>().await;
    };
    let done = async {
        tokio::select! {
            () = receive::streams(session) => {}
            () = session.streams.wait() => {}
            () = hearing => {}
        }
    };
    if tokio::time::timeout(limit, done).await.is_err() {
        tracing::warn!(site = %session.peer.site, "an instance under way is cut by the drain");
        close(&session.connection, &Farewell::from(Code::GoAway));
    }
}

/// Writes what the session says, as much at once as there is: receipts of instances that became durable together go together.
async fn write(mut to_agent: SendStream, mut said: mpsc::Receiver<Message>) {
    // before reports, which have streams of their own: receipts and answers are waited for
    if to_agent.set_priority(1).is_err() {
        return;
    }
    let mut messages = Vec::with_capacity(BATCH);
    let mut bytes = Vec::new();
    while said.recv_many(&mut messages, BATCH).await > 0 {
        bytes.clear();
        for message in messages.drain(..) {
            if let Err(error) = encode(&message, &mut bytes) {
                tracing::error!(%error, "a message breaks its own bounds");
            }
        }
        let written = tokio::time::timeout(UNREAD, to_agent.write_all(&bytes)).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
    // the last words reach the agent before the connection is closed
    if to_agent.finish().is_ok() {
        let limit = Duration::from_secs(2);
        let heard = tokio::time::timeout(limit, to_agent.stopped()).await;
        tracing::trace!(heard = heard.is_ok(), "the control stream has ended");
    }
}

/// Looks the site and its certificate up again for as long as the connection lives: TLS asked only once.
async fn guard(session: &Session, agreements: &[Agreement]) -> Farewell {
    let parts = &session.rooms.parts;
    let mut wake = parts.wakes.directory.listen();
    let mut blind = 0;
    loop {
        let left = session.peer.validity.not_after.since(parts.clock.now());
        wake.wait(
            session
                .rooms
                .config
                .recheck()
                .min(left.saturating_add(Duration::from_millis(50))),
        )
        .await;
        if !session.peer.validity.holds(parts.clock.now()) {
            return Farewell::from(Code::Expired);
        }
        let admitted = directory::admit(&parts.rows, &parts.clock, &session.peer).await;
        let found = announced(parts, &session.peer.site).await;
        match admitted.and_then(|_| found.map_err(Denied::Directory)) {
            Ok(now) if now != agreements => {
                let sentence = "The agreements of this site have changed.";
                return Farewell::new(Code::GoAway, sentence);
            }
            Ok(_) => blind = 0,
            Err(Denied::Directory(error)) => {
                tracing::error!(%error, "the directory could not be asked about a live connection");
                blind += 1;
                if blind >= BLIND {
                    return Farewell::from(Code::Internal);
                }
            }
            Err(denied) => {
                let farewell = denial(&denied);
                super::accept::audit_refusal(parts, &session.peer.site, &farewell).await;
                return farewell;
            }
        }
    }
}
