//! The bytes of an instance on their way, piece by piece: as they are, or coded while the piece before is being written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use causeway_proto::coding::{Encoder, Finder, Geometry, Piece, Rows};
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::link::codec::CHUNK_MAX_BYTES;
use causeway_proto::link::upload::CODING_RECORDS;
use quinn::Connection;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::config::Coding;
use crate::protect::Form;
use crate::spool::SpoolError;

/// Pieces coded at the same time on one connection. Each takes some megabytes while it lasts.
const AT_ONCE: usize = 2;
/// How fast one piece is coded before any was, in bytes a second.
const UNMEASURED: u64 = 200_000_000;
/// Pieces shorter than this say nothing about the speed.
const TELLING_BYTES: usize = 64 * 1024;
/// So much is read at once while pixels are looked for: the headers of most objects.
const HEAD_BYTES: usize = 16 * 1024;
/// Headers longer than this are not looked through again for each try.
const HEADS_MAX: u32 = 256;

/// What codes the pieces of one connection.
#[derive(Clone, Debug)]
pub(super) struct Coders {
    choice: Coding,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    room: Semaphore,
    /// Encoders that nobody uses now: they keep their memory.
    idle: Mutex<Vec<Encoder>>,
    /// How fast one piece is coded, in bytes a second.
    speed: AtomicU64,
}

impl Coders {
    /// `codings` are those that the gateway undoes.
    pub(super) fn new(choice: Coding, codings: &[u16]) -> Self {
        let undone = codings.contains(&CODING_RECORDS);
        Self {
            choice: if undone { choice } else { Coding::Off },
            shared: Arc::new(Shared {
                room: Semaphore::new(AT_ONCE),
                idle: Mutex::default(),
                speed: AtomicU64::new(UNMEASURED),
            }),
        }
    }

    /// What codes an instance of this syntax, if it is to be coded now.
    pub(super) fn coder(
        &self,
        syntax: &TransferSyntaxUid,
        connection: &Connection,
    ) -> Option<Coder> {
        let finder = Finder::new(syntax)?;
        let pays = match self.choice {
            Coding::Off => false,
            Coding::Always => true,
            Coding::Auto => self.pays(line(connection)),
        };
        pays.then(|| Coder {
            shared: self.shared.clone(),
            finder,
        })
    }

    /// Whether pieces are coded faster than a line of so many bytes a second takes them as they are. Coding goes on beside sending, so
    /// that on any slower line only its ratio counts.
    fn pays(&self, line: u64) -> bool {
        let speed = self.shared.speed.load(Ordering::Relaxed);
        line < speed.saturating_mul(AT_ONCE as u64) / 2
    }
}

/// What the line takes, in bytes a second: what may be on it at once, over its round trip.
fn line(connection: &Connection) -> u64 {
    let path = connection.stats().path;
    let trips = u64::try_from(path.rtt.as_micros()).unwrap_or(u64::MAX);
    path.cwnd.saturating_mul(1_000_000) / trips.max(1)
}

/// What codes one instance. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Coder {
    shared: Arc<Shared>,
    finder: Finder,
}

impl Coder {
    /// Where the pixels of a form of `whole` bytes lie.
    async fn geometry(&self, form: &Form, whole: u64) -> Result<Option<Geometry>, SpoolError> {
        let mut finder = self.finder.clone();
        for _ in 0..HEADS_MAX {
            let Some(at) = finder.wants() else { break };
            let bytes = gather(form, at, HEAD_BYTES).await?;
            finder.take(&bytes, whole);
            if bytes.is_empty() {
                break;
            }
        }
        Ok(finder.found())
    }

    /// Reads a piece and codes it, once there is room.
    async fn record(&self, form: &Form, at: u64, piece: Piece) -> Result<Bytes, SpoolError> {
        let shared = self.shared.clone();
        // the room is never closed
        let _room = shared.room.acquire().await.ok();
        let bytes = gather(form, at, piece.length).await?;
        if bytes.len() < piece.length {
            return Err(SpoolError::Short);
        }
        let mut encoder = shared.idle().pop().unwrap_or_default();
        let coding = tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let record = encoder.record(&bytes, piece.rows);
            (encoder, bytes.len(), record, started.elapsed())
        });
        let (encoder, length, record, took) = coding.await.or(Err(SpoolError::Ending))?;
        shared.idle().push(encoder);
        shared.took(piece.rows, length, took);
        Ok(record)
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Encoder>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn took(&self, rows: Option<Rows>, length: usize, took: Duration) {
        if rows.is_none() || length < TELLING_BYTES {
            return;
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let now = (length as u64).saturating_mul(1_000_000) / micros;
        let before = self.speed.load(Ordering::Relaxed);
        let next = before.saturating_mul(7).saturating_add(now) / 8;
        self.speed.store(next.max(1), Ordering::Relaxed);
    }
}

/// Bytes of a form from `at` on, fewer only at its end: it gives them stretch by stretch.
async fn gather(form: &Form, at: u64, length: usize) -> Result<Bytes, SpoolError> {
    let first = form.read(at, length).await?;
    if first.len() == length || first.is_empty() {
        return Ok(first);
    }
    let mut bytes = BytesMut::with_capacity(length);
    bytes.extend_from_slice(&first);
    while bytes.len() < length {
        let at = at.saturating_add(bytes.len() as u64);
        let more = form.read(at, length.saturating_sub(bytes.len())).await?;
        if more.is_empty() {
            break;
        }
        bytes.extend_from_slice(&more);
    }
    Ok(bytes.freeze())
}

/// The pieces of one instance, in order, as they go on the stream.
pub(super) struct Pieces {
    form: Form,
    at: u64,
    whole: u64,
    coder: Option<Coder>,
    geometry: Option<Option<Geometry>>,
    /// At most one, which is coded while the one before is written.
    ahead: JoinSet<Result<Bytes, SpoolError>>,
}

impl Pieces {
    pub(super) fn new(form: Form, at: u64, whole: u64, coder: Option<Coder>) -> Self {
        Self {
            form,
            at,
            whole,
            coder,
            geometry: None,
            ahead: JoinSet::new(),
        }
    }

    /// The next bytes to write; none behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        let Some(coder) = self.coder.clone() else {
            return self.as_it_is().await;
        };
        if self.ahead.is_empty() {
            self.begin(&coder).await?;
        }
        let Some(done) = self.ahead.join_next().await else {
            return Ok(None);
        };
        let record = done.or(Err(SpoolError::Ending))??;
        self.begin(&coder).await?;
        Ok(Some(record))
    }

    /// Begins to code the next piece, if there is one.
    async fn begin(&mut self, coder: &Coder) -> Result<(), SpoolError> {
        if self.at >= self.whole {
            return Ok(());
        }
        let geometry = match self.geometry {
            Some(geometry) => geometry,
            None => *self
                .geometry
                .insert(coder.geometry(&self.form, self.whole).await?),
        };
        let (form, at, coder) = (self.form.clone(), self.at, coder.clone());
        let piece = Piece::at(at, self.whole, geometry.as_ref());
        self.at = at.saturating_add(piece.length as u64);
        self.ahead
            .spawn(async move { coder.record(&form, at, piece).await });
        Ok(())
    }

    async fn as_it_is(&mut self) -> Result<Option<Bytes>, SpoolError> {
        if self.at >= self.whole {
            return Ok(None);
        }
        let most = usize::try_from(CHUNK_MAX_BYTES).unwrap_or(usize::MAX);
        let bytes = self.form.read(self.at, most).await?;
        if bytes.is_empty() {
            return Err(SpoolError::Short);
        }
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(Some(bytes))
    }
}
