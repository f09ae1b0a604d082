//! The TCP connection of one association: bounded reads with a patience, prompt acknowledgements, an orderly parting.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use dicom_ul::Pdu;
/// Reason of an A-ABORT by the service provider (PS3.8 9.3.8).
pub(super) use dicom_ul::pdu::AbortRQServiceProviderReason as Fault;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::pdu;

/// How much is asked of the socket at once.
const READ_BYTES: usize = 256 * 1024;
/// Room below which the buffer is tidied before the next read.
const LEAST_ROOM: usize = 16 * 1024;
/// A peer in the middle of a message must keep up [`PACE_BYTES`] a second over each such stretch of waiting.
const PACE_WINDOW: Duration = Duration::from_secs(60);
/// 1 KiB/s.
const PACE_BYTES: u64 = 1024;
/// How long a peer may take to read an answer of ours.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// What is still read and thrown away after our last word, so that the peer's kernel does not discard that word.
const PARTING_BYTES: usize = 4 * 1024 * 1024;

/// Why an association or a connection ends.
#[derive(Debug, Error)]
pub(super) enum Stop {
    /// The peer asked for release.
    #[error("released by the peer")]
    Released,
    /// The peer sent A-ABORT.
    #[error("aborted by the peer")]
    Aborted,
    /// The connection ended without a word.
    #[error("connection closed by the peer")]
    Closed,
    /// The peer broke PS3.8 or PS3.7; it is told by A-ABORT.
    #[error("{1}")]
    Violation(Fault, &'static str),
    /// The connection failed.
    #[error("connection failed")]
    Io(#[from] io::Error),
    /// The peer did not say in time what it had to say, or did not read what we said: closed without a word.
    #[error("silent for too long")]
    Silent,
    /// The peer was silent between messages for longer than it may.
    #[error("idle for too long")]
    Idle,
    /// We are shutting down.
    #[error("shutting down")]
    Draining,
}

/// How long a read may wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// Until a fixed time: ARTIM, or the time limit of an answer.
    Until(Instant),
    /// Between messages.
    Idle(Duration),
    /// Within a message: as long as the peer keeps up 1 KiB/s.
    Pace,
}

impl Patience {
    /// With a peer that has begun to say something: idle it is no more.
    pub(super) fn begun(self) -> Self {
        match self {
            Self::Idle(_) => Self::Pace,
            other => other,
        }
    }
}

/// The connection and what has been read of it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
    window: Duration,
    waited: Duration,
    brought: u64,
}

impl Wire {
    /// Takes a connected stream and switches Nagle's algorithm off.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        Self::paced(stream, PACE_WINDOW)
    }

    /// As [`Self::new`], where the pace within a message is judged over each `window` of waiting.
    pub(super) fn paced(stream: TcpStream, window: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: BytesMut::new(),
            window,
            waited: Duration::ZERO,
            brought: 0,
        })
    }

    /// What has been read and not yet consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Drops the first `n` bytes of [`Self::bytes`].
    pub(super) fn consume(&mut self, n: usize) {
        self.buffer.advance(n.min(self.buffer.len()));
    }

    /// The first `N` bytes, consumed.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let out = self.buffer.first_chunk::<N>().copied()?;
        self.buffer.advance(N);
        Some(out)
    }

    /// Reads until at least `need` bytes are there.
    ///
    /// # Errors
    /// [`Stop`] when the peer closes, fails, or exhausts the patience.
    pub(super) async fn fill(&mut self, need: usize, patience: Patience) -> Result<(), Stop> {
        while self.buffer.len() < need {
            let missing = need - self.buffer.len();
            if self.buffer.capacity() - self.buffer.len() < LEAST_ROOM {
                self.buffer.reserve(READ_BYTES.max(missing));
            }
            if self.read(patience).await? == 0 {
                return Err(Stop::Closed);
            }
        }
        Ok(())
    }

    async fn read(&mut self, patience: Patience) -> Result<usize, Stop> {
        let began = Instant::now();
        let deadline = match patience {
            Patience::Until(at) => at,
            Patience::Idle(limit) => began + limit,
            Patience::Pace => began + self.window.saturating_sub(self.waited),
        };
        let read = timeout_at(deadline, self.stream.read_buf(&mut self.buffer)).await;
        let n = match (read, patience) {
            (Ok(n), _) => n?,
            (Err(_), Patience::Pace) => return self.judge_pace(began.elapsed()).map(|()| 1),
            (Err(_), Patience::Idle(_)) => return Err(Stop::Idle),
            (Err(_), Patience::Until(_)) => return Err(Stop::Silent),
        };
        self.acknowledge_at_once();
        if matches!(patience, Patience::Pace) {
            self.brought = self.brought.saturating_add(u64::try_from(n).unwrap_or(0));
            self.judge_pace(began.elapsed())?;
        }
        Ok(n)
    }

    /// Only time spent waiting for the peer counts, not the time that our own disk takes.
    fn judge_pace(&mut self, waited: Duration) -> Result<(), Stop> {
        self.waited = self.waited.saturating_add(waited);
        if self.waited < self.window {
            return Ok(());
        }
        if self.brought < PACE_BYTES.saturating_mul(self.window.as_secs()) {
            return Err(Stop::Violation(
                Fault::ReasonNotSpecified,
                "slower than 1 KiB/s in the middle of a message",
            ));
        }
        self.waited = Duration::ZERO;
        self.brought = 0;
        Ok(())
    }

    /// The kernel falls back to delayed acknowledgements by itself, so this is said again after each read and each write: a peer
    /// that leaves Nagle on would otherwise wait 40 ms for each message.
    fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::net::sockopt::set_tcp_quickack(&self.stream, true) {
            tracing::trace!(%error, "quick acknowledgement not set");
        }
    }

    /// Writes all of `bytes` in as few segments as the kernel allows.
    ///
    /// # Errors
    /// [`Stop`] when the connection fails or the peer does not read.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let written = timeout(WRITE_PATIENCE, self.stream.write_all(bytes)).await;
        // what we say is taken for a conversation, in which the kernel would acknowledge the answer with our next word
        self.acknowledge_at_once();
        match written {
            Ok(done) => Ok(done?),
            Err(_) => Err(Stop::Silent),
        }
    }

    /// Writes one PDU.
    ///
    /// # Errors
    /// As [`Self::write`], and when the PDU cannot be encoded.
    pub(super) async fn say(&mut self, word: &Pdu) -> Result<(), Stop> {
        self.write(&pdu::encode(word)?).await
    }

    /// Writes a command set and the data set that follows it, in PDUs that the peer takes: the two in one write when they fit.
    ///
    /// # Errors
    /// As [`Self::say`].
    pub(super) async fn message(
        &mut self,
        context: u8,
        set: &[u8],
        dataset: &[u8],
        peer_pdu: u32,
    ) -> Result<(), Stop> {
        let mut out = pdu::command_set(context, set, peer_pdu)?;
        let room = pdu::room(peer_pdu);
        let mut rest = dataset;
        loop {
            let (head, tail) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
            out.extend(pdu::data_header(context, tail.is_empty(), length));
            out.extend_from_slice(head);
            self.write(&out).await?;
            out.clear();
            rest = tail;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Says a last word and waits, within bounds, for the peer to close (PS3.8 9.2, state 13): closing with unread bytes in
    /// the kernel would reset the connection and lose the word.
    pub(super) async fn part(mut self, last_word: &Pdu, artim: Duration) {
        let parting = async {
            self.say(last_word).await?;
            self.stream.shutdown().await?;
            let mut seen = 0;
            while seen < PARTING_BYTES {
                self.buffer.clear();
                self.buffer.reserve(READ_BYTES);
                match self.stream.read_buf(&mut self.buffer).await? {
                    0 => break,
                    n => seen += n,
                }
            }
            Ok::<(), Stop>(())
        };
        match timeout(artim, parting).await {
            Ok(Ok(())) => {}
            Ok(Err(stop)) => tracing::debug!(%stop, "parting cut short"),
            Err(_) => tracing::debug!("the peer did not close"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wire() -> Wire {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        Wire::new(stream.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_trickle_is_judged_by_the_minute_of_waiting() {
        let mut wire = wire().await;
        let second = Duration::from_secs(1);
        for _ in 0..59 {
            wire.judge_pace(second).unwrap();
        }
        let stop = wire.judge_pace(second).unwrap_err();
        assert!(
            matches!(stop, Stop::Violation(Fault::ReasonNotSpecified, _)),
            "{stop}"
        );
    }

    #[tokio::test]
    async fn one_kibibyte_a_second_is_enough_and_each_minute_counts_anew() {
        let mut wire = wire().await;
        wire.brought = 60 * 1024;
        wire.judge_pace(PACE_WINDOW).unwrap();
        assert!(wire.judge_pace(PACE_WINDOW).is_err());
    }
}
