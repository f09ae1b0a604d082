//! Decoding of pixels in a child process: this program, started again as `render-frame`, under limits of memory and time, so
//! that hostile pixels can harm nothing but the child.

mod child;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

pub use child::{render_child, render_frame};

/// The hidden word on the command line.
pub const SUBCOMMAND: &str = "render-frame";

/// What the child is to do. Travels as one line of JSON before the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The frame, from 1.
    pub frame: u64,
    /// The dataset's pixel data are this frame alone.
    #[serde(default)]
    pub alone: bool,
    /// What is wanted.
    pub form: Form,
    /// The image is made to fit into this width.
    pub width: Option<u32>,
    /// And this height.
    pub height: Option<u32>,
    /// Centre and width of the window instead of the object's own.
    pub window: Option<(f64, f64)>,
}

impl Job {
    /// The samples of a frame, uncompressed.
    pub(super) fn samples(frame: u64) -> Self {
        Self {
            frame,
            alone: false,
            form: Form::Samples,
            width: None,
            height: None,
            window: None,
        }
    }
}

/// How the child's allocator behaves: what it frees does not count against its limit of memory, as a buffer that grows does otherwise
/// once for each of its sizes; and it has no second thread.
const ALLOCATOR: &str = "retain:false,dirty_decay_ms:0,muzzy_decay_ms:0,background_thread:false";

/// What a child makes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// Uncompressed samples, little endian.
    Samples,
    /// A JPEG file.
    Jpeg,
    /// A PNG file.
    Png,
}

/// Why a frame was not decoded.
#[derive(Debug, Error)]
pub enum RenderError {
    /// No decoder for this transfer syntax.
    #[error("there is no decoder for this transfer syntax")]
    Unsupported,
    /// The pixel data do not hold together, or need more memory or time than they may.
    #[error("the pixel data could not be decoded within the limits")]
    Invalid,
    /// Too many are waiting.
    #[error("too many images are being decoded")]
    Busy,
    /// The child could not be started or spoken to.
    #[error("the decoding process could not be used")]
    Failed(#[source] std::io::Error),
}

/// Bounds of a child.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest file it is given, in bytes.
    pub max_input_bytes: u64,
    /// The longest answer taken from it, in bytes.
    pub max_output_bytes: u64,
    /// Wall time, in seconds.
    pub timeout_s: u64,
    /// How many run at a time; as many deflated datasets are held inflated at a time.
    pub parallel: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_input_bytes: 192 << 20,
            max_output_bytes: 192 << 20,
            timeout_s: 20,
            parallel: 2,
        }
    }
}

/// Starts children.
#[derive(Debug)]
pub struct Renderer {
    program: PathBuf,
    limits: Limits,
    slots: Arc<Semaphore>,
    inflating: Arc<Semaphore>,
}

impl Renderer {
    /// Children are `program render-frame`.
    #[must_use]
    pub fn new(program: PathBuf, limits: Limits) -> Self {
        Self {
            program,
            slots: Arc::new(Semaphore::new(limits.parallel.max(1))),
            inflating: Arc::new(Semaphore::new(limits.parallel.max(1))),
            limits,
        }
    }

    /// Children are this program started again.
    #[must_use]
    pub fn of_this_program() -> Self {
        // where the system cannot say what this program is, no child starts and every answer is an honest failure
        let program = std::env::current_exe().unwrap_or_default();
        Self::new(program, Limits::default())
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Waits for the right to run one child. To be had before the file is taken into memory.
    ///
    /// # Errors
    /// [`RenderError::Busy`] when too many go before.
    pub async fn slot(&self) -> Result<SemaphorePermit<'_>, RenderError> {
        let wait = Duration::from_secs(self.limits.timeout_s);
        match tokio::time::timeout(wait, self.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(RenderError::Busy),
        }
    }

    /// Waits for the right to inflate one dataset, which is held for as long as the inflated bytes are.
    ///
    /// # Errors
    /// [`RenderError::Busy`] when too many go before.
    pub(super) async fn inflating(&self) -> Result<OwnedSemaphorePermit, RenderError> {
        let wait = Duration::from_secs(self.limits.timeout_s);
        match tokio::time::timeout(wait, self.inflating.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(RenderError::Busy),
        }
    }

    /// Has one frame decoded. The file comes in two pieces, head and dataset.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub async fn run(
        &self,
        _slot: SemaphorePermit<'_>,
        job: &Job,
        head: Bytes,
        dataset: Bytes,
    ) -> Result<Bytes, RenderError> {
        let wait = Duration::from_secs(self.limits.timeout_s);
        match tokio::time::timeout(wait, self.child(job, head, dataset)).await {
            Ok(done) => done,
            // the child is killed as it is dropped
            Err(_) => Err(RenderError::Invalid),
        }
    }

    async fn child(&self, job: &Job, head: Bytes, dataset: Bytes) -> Result<Bytes, RenderError> {
        let mut child = Command::new(&self.program)
            .arg(SUBCOMMAND)
            .env_clear()
            .env("MALLOC_CONF", ALLOCATOR)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(RenderError::Failed)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(RenderError::Invalid);
        };
        let mut line = serde_json::to_vec(job).unwrap_or_default();
        line.push(b'\n');
        let feed = async move {
            for piece in [&line[..], &head, &dataset] {
                // a child that has given up reads no further; its exit says why
                if stdin.write_all(piece).await.is_err() {
                    break;
                }
            }
        };
        let limit = self.limits.max_output_bytes;
        let mut out = Vec::new();
        let mut answer = stdout.take(limit + 1);
        let (read, ()) = tokio::join!(answer.read_to_end(&mut out), feed);
        read.map_err(RenderError::Failed)?;
        if u64::try_from(out.len()).unwrap_or(u64::MAX) > limit {
            return Err(RenderError::Invalid);
        }
        let status = child.wait().await.map_err(RenderError::Failed)?;
        match status.code() {
            Some(0) if !out.is_empty() => Ok(out.into()),
            Some(code) if code == i32::from(child::UNSUPPORTED) => Err(RenderError::Unsupported),
            _ => Err(RenderError::Invalid),
        }
    }
}
