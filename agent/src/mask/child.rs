//! The parent's side of decoding: a child for each frame, with limits of time and output, and few at a time. A child that is killed,
//! hangs or lies is an error for the one object whose frame it had.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::coded::{self, LONGEST_FRAME};
use super::decode::{Job, Refusal, VERB, View};
use super::native::Layout;

/// A picture for a person is at most so long, in bytes.
const LONGEST_PICTURE: u64 = 32 << 20;

/// How the child's allocator behaves: what it frees does not count against its limit of memory, as a buffer that grows does otherwise
/// once for each of its sizes; and it has no second thread.
const ALLOCATOR: &str = "retain:false,dirty_decay_ms:0,muzzy_decay_ms:0,background_thread:false";

/// Why a frame was not decoded.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// No decoder for this transfer syntax, or for what is in it.
    #[error("there is no decoder for its pixel data")]
    Unsupported,
    /// The frame does not hold together, or needs more memory or time than it may.
    #[error("its pixel data could not be decoded within the limits")]
    Invalid,
    /// Too many are waiting.
    #[error("too many frames are being decoded")]
    Busy,
    /// The child could not be started or spoken to.
    #[error("the decoding process could not be used")]
    Failed(#[source] std::io::Error),
}

/// Bounds of a child.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From its start to its end.
    pub run: Duration,
    /// How long a frame waits for its turn.
    pub wait: Duration,
    /// How many run at a time.
    pub parallel: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            run: Duration::from_secs(30),
            wait: Duration::from_secs(120),
            parallel: 2,
        }
    }
}

/// One frame that was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// How its samples lie; its photometric interpretation may be another than the object's.
    pub layout: Layout,
    /// Little endian.
    pub bytes: Bytes,
}

/// One frame as it lies in its object.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// (0002,0010).
    pub syntax: &'a str,
    /// Of the object.
    pub layout: &'a Layout,
    /// Red, green and blue of each entry of the palette, if it has one.
    pub palette: &'a [u8],
    /// Coded or native.
    pub bytes: Bytes,
}

/// Starts children. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Decoder {
    program: Arc<PathBuf>,
    arguments: Arc<[String]>,
    limits: Limits,
    turns: Arc<Semaphore>,
}

impl Decoder {
    /// Children are `program decode`.
    #[must_use]
    pub fn new(program: PathBuf, limits: Limits) -> Self {
        Self::of(program, &[VERB], limits)
    }

    fn of(program: PathBuf, arguments: &[&str], limits: Limits) -> Self {
        Self {
            program: Arc::new(program),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            turns: Arc::new(Semaphore::new(limits.parallel.max(1))),
            limits,
        }
    }

    /// Decodes one coded frame.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub async fn frame(&self, frame: Frame<'_>) -> Result<Native, DecodeError> {
        let layout = coded::decoded(frame.syntax, frame.layout);
        let bits = coded::frame_bits(&layout).ok_or(DecodeError::Invalid)?;
        let bytes = self.run(frame, None, bits / 8).await?;
        if bytes.len() as u64 != bits / 8 {
            return Err(DecodeError::Invalid);
        }
        Ok(Native { layout, bytes })
    }

    /// A frame as a PNG file of 8 bits.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub async fn picture(&self, frame: Frame<'_>, view: View) -> Result<Bytes, DecodeError> {
        let bytes = self.run(frame, Some(view), LONGEST_PICTURE).await?;
        match bytes.starts_with(b"\x89PNG\r\n\x1A\n") {
            true => Ok(bytes),
            false => Err(DecodeError::Invalid),
        }
    }

    async fn run(
        &self,
        frame: Frame<'_>,
        view: Option<View>,
        most: u64,
    ) -> Result<Bytes, DecodeError> {
        if frame.bytes.len() as u64 > LONGEST_FRAME {
            return Err(DecodeError::Invalid);
        }
        let job = Job {
            syntax: frame.syntax.to_owned(),
            layout: frame.layout.clone(),
            palette: frame.palette.len() as u64,
            length: frame.bytes.len() as u64,
            view,
        };
        let mut head = serde_json::to_vec(&job).or(Err(DecodeError::Invalid))?;
        head.push(b'\n');
        head.extend(frame.palette);
        let turn = tokio::time::timeout(self.limits.wait, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(DecodeError::Busy);
        };
        let child = self.child(&head, &frame.bytes, most);
        match tokio::time::timeout(self.limits.run, child).await {
            Ok(done) => done,
            // the child is killed as it is dropped
            Err(_) => Err(DecodeError::Invalid),
        }
    }

    async fn child(&self, head: &[u8], frame: &[u8], most: u64) -> Result<Bytes, DecodeError> {
        let mut child = Command::new(self.program.as_path())
            .args(&*self.arguments)
            .env_clear()
            .env("MALLOC_CONF", ALLOCATOR)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(DecodeError::Failed)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(DecodeError::Invalid);
        };
        let feed = async move {
            for piece in [head, frame] {
                // a child that has given up reads no further; its exit says why
                if stdin.write_all(piece).await.is_err() {
                    break;
                }
            }
        };
        let read = async move {
            let mut out = Vec::new();
            let read = stdout.take(most + 1).read_to_end(&mut out).await;
            // the pipe is closed here: a child with more to say ends
            read.map(|_| out)
        };
        let (read, ()) = tokio::join!(read, feed);
        let out = read.map_err(DecodeError::Failed)?;
        if out.len() as u64 > most {
            return Err(DecodeError::Invalid);
        }
        let status = child.wait().await.map_err(DecodeError::Failed)?;
        match status.code() {
            Some(0) => Ok(out.into()),
            Some(code) if code == i32::from(Refusal::Unsupported.code()) => {
                Err(DecodeError::Unsupported)
            }
            _ => Err(DecodeError::Invalid),
        }
    }
}

#[cfg(test)]
mod tests;
