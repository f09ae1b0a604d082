//! Who may write on a connection: what is urgent goes first, and one of what is not goes on beside it, so that nothing waits for ever.
//!
//! The priority of a QUIC stream decides which of the bytes go that were given to it. It cannot take back room that bytes of others
//! hold, nor a place among the streams that the gateway allows: so what is less urgent holds back before it takes either.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use bytes::Bytes;
use causeway_proto::ids::Priority;
use causeway_proto::link::close::Code;
use quinn::{Connection, SendStream, WriteError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// So much is written before a stream looks whether something more urgent has come: what all streams are in the middle of has to go first.
const SLICE_BYTES: usize = 32 * 1024;
/// Words go before all images: without OPEN nothing of a study is taken.
const WORDS: i32 = 4;
/// Of the images those of the most urgent come first.
const FIRST: i32 = 3;

/// The control stream goes before all others.
pub(super) fn words_first(control: &SendStream) {
    if control.set_priority(WORDS).is_err() {
        tracing::trace!("the connection has ended before it began");
    }
}

/// How urgent a stream is: what may hold it up has a lower number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Level(usize);

/// Levels that others hold back for.
const URGENT_LEVELS: usize = 2;

impl Level {
    fn of(priority: Priority) -> Self {
        match priority {
            Priority::Stat => Self(0),
            Priority::Urgent => Self(1),
            Priority::Routine | Priority::Unstated => Self(URGENT_LEVELS),
        }
    }

    fn is_urgent(self) -> bool {
        self.0 < URGENT_LEVELS
    }

    /// As a priority of QUIC, of the stream that was opened as the `number`th. What is not urgent goes in the order in which it was
    /// opened: of many that go side by side all are late, and the gateway has to hold the half of each.
    fn order(self, number: i32) -> i32 {
        match i32::try_from(self.0) {
            Ok(level) if self.is_urgent() => FIRST - level,
            _ => number.saturating_neg(),
        }
    }
}

/// The streams of one connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Streams of each urgent level that have something to write.
    writing: watch::Sender<[usize; URGENT_LEVELS]>,
    /// The right to write beside something more urgent.
    beside: Arc<Semaphore>,
    /// Streams that are not urgent, until the gateway has all of them.
    open: Arc<Semaphore>,
    /// How many were opened.
    opened: AtomicI32,
}

impl Lanes {
    /// `streams` are written at the same time; of those that are not urgent four times as many may be on their way, which is half of
    /// what a gateway allows.
    pub(super) fn new(streams: usize) -> Self {
        let open = streams.saturating_mul(4).max(1);
        Self(Arc::new(Inner {
            writing: watch::Sender::new([0; URGENT_LEVELS]),
            beside: Arc::new(Semaphore::new(1)),
            open: Arc::new(Semaphore::new(open.min(Semaphore::MAX_PERMITS))),
            opened: AtomicI32::new(0),
        }))
    }

    /// Opens a stream in its turn, with the first bytes on it: one that is open and silent the gateway takes for one that has stalled.
    /// None when the connection has ended.
    pub(super) async fn open(
        &self,
        connection: &Connection,
        priority: Priority,
        first: Bytes,
    ) -> Option<Lane> {
        let place = Place::take(self, Level::of(priority));
        let open = if place.level.is_urgent() {
            None
        } else {
            Some(self.0.open.clone().acquire_owned().await.ok()?)
        };
        let beside = place.turn().await;
        let stream = connection.open_uni().await.ok()?;
        let number = self.0.opened.fetch_add(1, Ordering::Relaxed);
        let mut lane = Lane {
            place,
            beside,
            open,
            stream,
            number: number.max(0),
        };
        lane.order(lane.beside.as_ref().map_or(lane.place.level, |_| Level(0)));
        lane.stream.write_chunk(first).await.ok()?;
        Some(lane)
    }
}

/// A stream's place among the others.
#[derive(Debug)]
struct Place {
    lanes: Lanes,
    level: Level,
}

impl Place {
    fn take(lanes: &Lanes, level: Level) -> Self {
        lanes.0.writing.send_modify(|writing| {
            if let Some(count) = writing.get_mut(level.0) {
                *count += 1;
            }
        });
        Self {
            lanes: lanes.clone(),
            level,
        }
    }

    /// Returns when nothing more urgent has anything to write, or with the right to write beside it.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let mut writing = self.lanes.0.writing.subscribe();
        let is_free = |writing: &[usize; URGENT_LEVELS]| {
            writing.iter().take(self.level.0).all(|count| *count == 0)
        };
        tokio::select! {
            biased;
            _ = writing.wait_for(is_free) => None,
            beside = self.lanes.0.beside.clone().acquire_owned() => beside.ok(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lanes.0.writing.send_modify(|writing| {
            if let Some(count) = writing.get_mut(self.level.0) {
                *count = count.saturating_sub(1);
            }
        });
    }
}

/// One stream.
#[derive(Debug)]
pub(super) struct Lane {
    place: Place,
    /// The right to write beside something more urgent, once it was needed.
    beside: Option<OwnedSemaphorePermit>,
    open: Option<OwnedSemaphorePermit>,
    stream: SendStream,
    number: i32,
}

impl Lane {
    fn order(&self, level: Level) {
        if self.stream.set_priority(level.order(self.number)).is_err() {
            tracing::trace!("the stream has ended before it began");
        }
    }

    /// Writes all of it, holding back for what is more urgent.
    pub(super) async fn write(&mut self, mut bytes: Bytes) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            if self.beside.is_none() {
                self.beside = self.place.turn().await;
                if self.beside.is_some() {
                    // beside the most urgent, and in turn with it: else its bytes would wait for as long as that has any
                    self.order(Level(0));
                }
            }
            let slice = bytes.split_to(bytes.len().min(SLICE_BYTES));
            self.stream.write_chunk(slice).await?;
        }
        Ok(())
    }

    /// All is written: the stream ends when the gateway has it.
    pub(super) fn finish(self) -> Closing {
        let Self {
            beside,
            open,
            mut stream,
            ..
        } = self;
        if stream.finish().is_err() {
            tracing::trace!("the gateway has stopped the stream");
        }
        Closing {
            stream,
            _held: (beside, open),
        }
    }

    /// Ends it before its end.
    pub(super) fn reset(mut self, code: quinn::VarInt) {
        if self.stream.reset(code).is_err() {
            tracing::trace!("the gateway has stopped the stream");
        }
    }
}

/// A stream that is written to its end, of which the gateway has not all. It keeps its rights until then.
#[derive(Debug)]
pub(super) struct Closing {
    stream: SendStream,
    _held: (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>),
}

impl Closing {
    /// Waits until the gateway has all of it or has stopped it. Whether it was stopped before its end.
    pub(super) async fn was_cut(self) -> bool {
        let stopped = self.stream.stopped().await;
        matches!(stopped, Ok(Some(code)) if code.into_inner() != u64::from(Code::Done.number()))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_writes_beside_the_urgent_and_the_others_when_it_has_nothing_to_write() {
        let lanes = Lanes::new(4);
        let place = |priority| Place::take(&lanes, Level::of(priority));
        let (first, second) = (place(Priority::Routine), place(Priority::Unstated));
        assert!(first.turn().await.is_none(), "nothing is more urgent");
        let stat = place(Priority::Stat);
        let urgent = place(Priority::Urgent);
        assert!(stat.turn().await.is_none());
        let beside = first.turn().await;
        assert!(beside.is_some());
        assert!(second.turn().now_or_never().is_none());
        assert!(urgent.turn().now_or_never().is_none());
        drop(stat);
        assert!(urgent.turn().await.is_none());
        assert!(second.turn().now_or_never().is_none());
        drop(beside);
        assert!(second.turn().await.is_some(), "in its turn");
        drop(urgent);
        assert!(second.turn().await.is_none());
    }
}
