//! The system's own clock, randomness, file systems and threads: the only place where they come in.

use std::num::NonZero;
use std::path::Path;

use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use tokio::runtime::{Handle, Runtime};
use tokio_util::sync::CancellationToken;

/// The system's clock.
#[must_use]
pub fn clock() -> Clock {
    Clock::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the clock comes in"
        )]
        let now = std::time::SystemTime::now();
        let since = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

/// The system's randomness. A system without any ends the process: nothing here is safe without.
#[must_use]
pub fn random() -> Random {
    Random::new(|out| {
        aws_lc_rs::rand::fill(out).expect("the system gives random bytes");
    })
}

/// Threads that receive: what runs on one of them may block for a sync of the disk, and holds up its own associations and no other.
#[derive(Debug)]
pub(super) struct Receiving {
    handles: Vec<Handle>,
    end: CancellationToken,
}

/// Of each receiving thread, for what must not hold up its other associations.
const BLOCKING: usize = 4;

impl Receiving {
    /// As many as the machine does at once, at least two and at most eight.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn new() -> std::io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(2, NonZero::get);
        let mut handles = Vec::new();
        let end = CancellationToken::new();
        for _ in 0..count.clamp(2, 8) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING)
                .build()?;
            handles.push(runtime.handle().clone());
            let ends = end.clone();
            std::thread::Builder::new()
                .name("receiving".to_owned())
                .spawn(move || runtime.block_on(ends.cancelled()))?;
        }
        Ok(Self { handles, end })
    }

    /// One of each thread.
    pub(super) fn handles(&self) -> Vec<Handle> {
        self.handles.clone()
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Threads for work that may wait: the kernel gives them what others leave, and a tenth of a core when they leave nothing.
#[derive(Debug)]
pub(super) struct Patient(Option<Runtime>);

/// How much less than others they are worth to the kernel.
const NICE: i32 = 10;

impl Patient {
    /// Starts none before it is needed.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn new() -> std::io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.max_blocking_threads(4).thread_name("patient");
        builder.on_thread_start(|| {
            // of this thread alone, on Linux; where it is refused it is a thread like any other
            if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                tracing::debug!(%error, "a thread could not be made patient");
            }
        });
        Ok(Self(Some(builder.build()?)))
    }

    /// To have work done there.
    pub(super) fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The kind of file system, when it keeps nothing through a power cut or may vanish.
#[must_use]
pub(super) fn unsafe_file_system(folder: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(folder).ok()?;
    // magic numbers of statfs(2)
    match found.f_type {
        0x0102_1994 => Some("tmpfs, which is memory"),
        0x6969 => Some("NFS"),
        0x517B | 0xFF53_4D42 => Some("a Windows share"),
        _ => None,
    }
}
