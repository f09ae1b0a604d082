//! Reports on their way home: what is due for the site is leased, sent, and kept under way until the site says where it stands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_proto::ids::SiteId;
use causeway_proto::link::close::Code;
use causeway_proto::link::codec::{CHUNK_MAX_BYTES, Message, chunk_header, encode};
use causeway_proto::link::download::{Bounds, Outbox};
use causeway_proto::link::message::Trailer;
use futures::StreamExt;
use quinn::{Connection, SendStream, VarInt, WriteError};
use tokio::time::Instant;

use super::Rooms;
use super::session::Session;
use crate::archive::{BlobError, BlobKey};
use crate::delivery::{self, Due};
use crate::parts::{Parts, Wake};
use crate::sign;

/// How often the rows are looked at when nothing rings.
const LOOK: Duration = Duration::from_secs(10);
/// How long a lease holds when neither a word of the site nor the end of the connection ends it.
const LEASE: Duration = Duration::from_secs(120);

/// The reports under way on one connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct Delivering {
    owner: String,
    started: Instant,
    outbox: Arc<Mutex<Outbox>>,
    /// Rings when a stream has ended or a word has come.
    changed: Wake,
}

impl Delivering {
    pub(super) fn new(parts: &Parts) -> Self {
        Self {
            owner: parts.random.token(),
            started: Instant::now(),
            outbox: Arc::new(Mutex::new(Outbox::new(Bounds::default()))),
            changed: Wake::default(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Outbox) -> T) -> T {
        act(&mut self.outbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The site has said where a report stands.
    pub(super) fn told(&self, delivery: &str) {
        self.with(|outbox| outbox.told(delivery));
        self.changed.ring();
    }

    /// Sends what is due until the connection ends.
    pub(super) async fn run(&self, session: &Session) {
        let parts = &session.rooms.parts;
        let mut wakes = parts.wakes.delivery.listen();
        let mut changed = self.changed.listen();
        let mut due = BTreeMap::new();
        let mut taken_over = false;
        loop {
            if !taken_over {
                let taken = delivery::take_over(&parts.rows, &session.peer.site).await;
                taken_over = taken
                    .inspect_err(|error| {
                        tracing::error!(%error, "leases of an earlier connection stay; tried again")
                    })
                    .is_ok();
            }
            if taken_over {
                self.lease(session, &mut due).await;
            }
            while let Some(id) = self.with(|outbox| outbox.step(self.started.elapsed())) {
                let Some(found) = due.get(&id) else {
                    self.told(&id);
                    continue;
                };
                let sending = Sending {
                    rooms: session.rooms.clone(),
                    connection: session.connection.clone(),
                    site: session.peer.site.clone(),
                    due: Due::clone(found),
                };
                let this = self.clone();
                session.streams.spawn(async move {
                    sending.run().await;
                    this.with(|outbox| outbox.ended(this.started.elapsed(), &id));
                    this.changed.ring();
                });
            }
            tokio::select! {
                () = wakes.wait(LOOK) => {}
                () = changed.wait(LOOK) => {}
            }
        }
    }

    async fn lease(&self, session: &Session, due: &mut BTreeMap<String, Due>) {
        due.retain(|id, _| self.with(|outbox| outbox.under_way().any(|held| held == id)));
        let room = self.with(|outbox| outbox.room());
        if room == 0 {
            return;
        }
        let parts = &session.rooms.parts;
        let now = parts.clock.now();
        let (site, owner) = (&session.peer.site, &self.owner);
        match delivery::due(&parts.rows, site, owner, room, (now, LEASE)).await {
            Ok(found) => {
                for one in found {
                    let id = one.message.delivery.clone();
                    self.with(|outbox| outbox.offered(id.clone()));
                    due.insert(id, one);
                }
            }
            Err(error) => tracing::error!(%error, "the reports due for a site cannot be read"),
        }
    }

    /// Gives the leases back, so that the next connection need not wait for them.
    pub(super) async fn release(&self, rooms: &Rooms) {
        if let Err(error) = delivery::release(&rooms.parts.rows, &self.owner).await {
            tracing::error!(%error, "leases of reports were not given back; they run out");
        }
    }
}

/// One report on its way.
struct Sending {
    rooms: Rooms,
    connection: Connection,
    site: SiteId,
    due: Due,
}

/// Why a report was not sent whole.
enum Cut {
    /// The agent stopped it, or the connection has ended.
    Link,
    Blob(BlobError),
    /// There is no list of revoked readers to send with it, and the agent would not take it without one.
    List,
}

impl From<WriteError> for Cut {
    fn from(_: WriteError) -> Self {
        Self::Link
    }
}

impl Sending {
    async fn run(self) {
        let Ok(mut stream) = self.connection.open_uni().await else {
            return;
        };
        match self.write(&mut stream).await {
            Ok(()) => {
                tracing::info!(site = %self.site, delivery = %self.due.message.delivery, "a report was sent")
            }
            Err(Cut::Link) => {
                tracing::warn!(site = %self.site, delivery = %self.due.message.delivery, "a report was not taken")
            }
            Err(Cut::Blob(error)) => {
                tracing::error!(%error, delivery = %self.due.message.delivery, "a report cannot be read");
                reset(&mut stream);
            }
            Err(Cut::List) => {
                tracing::error!(site = %self.site, delivery = %self.due.message.delivery, "a report was not sent: no list of revoked readers; it comes again");
                reset(&mut stream);
            }
        }
    }

    async fn write(&self, stream: &mut SendStream) -> Result<(), Cut> {
        let mut message = self.due.message.clone();
        message.signer_crl = Some(self.signer_list().await.ok_or(Cut::List)?.into());
        stream.write_all(&frame(message.into())).await?;
        let key: BlobKey = self.due.blob_key.parse().map_err(Cut::Blob)?;
        let mut pieces = self.rooms.archive.blobs.stream(&key, 0..self.due.length);
        let most = usize::try_from(CHUNK_MAX_BYTES).unwrap_or(usize::MAX);
        while let Some(piece) = pieces.next().await {
            let mut piece = piece.map_err(Cut::Blob)?;
            while !piece.is_empty() {
                let chunk = piece.split_to(piece.len().min(most));
                stream.write_all(&chunk_header(chunk.len())).await?;
                stream.write_chunk(chunk).await?;
            }
        }
        let trailer = Trailer {
            length: self.due.length,
            digest: self.due.digest,
        };
        let mut end = chunk_header(0).to_vec();
        end.extend_from_slice(&frame(trailer.into()));
        stream.write_all(&end).await?;
        if stream.finish().is_err() {
            return Err(Cut::Link);
        }
        match stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(Cut::Link),
        }
    }

    /// The list by which the agent judges the reader's certificate; without one no report leaves.
    async fn signer_list(&self) -> Option<Vec<u8>> {
        let parts = &self.rooms.parts;
        let revoked = match sign::revoked_signers(&parts.rows).await {
            Ok(revoked) => revoked,
            Err(error) => {
                tracing::error!(%error, "revoked readers cannot be read");
                return None;
            }
        };
        let list = parts
            .signer_authority
            .revocation_list(&revoked, parts.clock.now());
        list.map(|list| list.to_vec())
            .inspect_err(
                |error| tracing::error!(%error, "the list of revoked readers cannot be signed"),
            )
            .ok()
    }
}

fn reset(stream: &mut SendStream) {
    let code = VarInt::from_u32(Code::Internal.number());
    if stream.reset(code).is_err() {
        tracing::trace!("the agent has stopped the stream");
    }
}

/// Frames of our own making stay within their bounds; should one not, the empty frame is answered MALFORMED.
fn frame(message: Message) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(error) = encode(&message, &mut out) {
        tracing::error!(%error, "a message breaks its own bounds");
    }
    out
}
