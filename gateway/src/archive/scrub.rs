//! The scrub: every blob that a row names is read again, slowly, and its digest compared with what its key says.
//!
//! One pass goes through the keys in their order and remembers in the rows how far it came, so that a restart goes on there. It reads so
//! many bytes a second at most, waits while readers read, and leaves what it had to fetch from the disk out of the kernel's memory.
//!
//! A blob that cannot be read is not judged, and nothing happens to it: the disk may read it again. It ends the turn; when the next one
//! cannot read it either, it is counted, and the pass goes on behind it.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_proto::time::{Clock, Timestamp};
use serde::Deserialize;
use tokio::time::Instant;

use super::fault::FaultError;
use super::named::{NamedError, named};
use super::{Archive, BlobError, BlobKey, Named, State};

/// How much is read at once.
const PIECE: u64 = 256 << 10;
/// After so many bytes it is noted how far it came.
const NOTED: u64 = 64 << 20;
/// So many keys are fetched at a time.
const AT_ONCE: i64 = 256;
/// Facts: the last key that was looked at, and when the pass began.
const AFTER: &str = "scrub_after";
const BEGUN: &str = "scrub_begun_us";
/// Fact: how many blobs of the pass could not be read or judged.
const UNREAD: &str = "scrub_unread";
/// Fact: when a pass last came to its end.
pub const ENDED: &str = "scrub_ended_us";
/// After a read of somebody else the disk is his for so long.
const QUIET: Duration = Duration::from_millis(200);
/// However much is read, after so long the scrub takes its piece.
const PATIENCE: Duration = Duration::from_secs(20);

/// `[archive.scrub]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many bytes a second are read again at most; 0: none are.
    pub max_bytes_per_s: u64,
    /// How many hours after the beginning of one pass the next one begins.
    pub every_h: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_bytes_per_s: 16 << 20,
            every_h: 168,
        }
    }
}

/// The scrub could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// The blobs could not be listed.
    #[error("the blobs that rows name could not be listed")]
    Named(#[from] NamedError),
    /// What was found could not be noted.
    #[error("a damaged blob could not be noted")]
    Fault(#[from] FaultError),
    /// How far it came could not be noted.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// A blob could not be read for a reason that says nothing about its bytes.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// One who reads everything again.
#[derive(Clone, Debug)]
pub struct Scrub {
    archive: Archive,
    clock: Clock,
    config: Config,
    /// What could not be read in the last turn.
    failed: Arc<Mutex<Option<BlobKey>>>,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is not time for a pass.
    Idle,
    /// So many blobs were read, and so many of them are damaged.
    Went {
        /// Read.
        blobs: u64,
        /// Damaged, and noted.
        damaged: u64,
        /// Whether the turn ended at one that could not be read or judged: the next one is better not at once.
        failed: bool,
    },
    /// The pass is over.
    Ended,
}

impl Scrub {
    /// Of an archive.
    #[must_use]
    pub fn new(archive: Archive, clock: Clock, config: Config) -> Self {
        Self {
            archive,
            clock,
            config,
            failed: Arc::default(),
        }
    }

    /// Reads the next blobs of a pass; begins one when its time has come.
    ///
    /// # Errors
    /// When the database refuses; the next turn goes on where this one was.
    pub async fn turn(&self) -> Result<Turn, ScrubError> {
        if self.config.max_bytes_per_s == 0 {
            return Ok(Turn::Idle);
        }
        let after = match self.fact(AFTER).await? {
            Some(after) => after,
            None if self.is_due().await? => {
                self.note(&[
                    (BEGUN, Some(self.clock.now().0.to_string())),
                    (AFTER, Some(String::new())),
                    (UNREAD, None),
                ])
                .await?;
                String::new()
            }
            None => return Ok(Turn::Idle),
        };
        let page = named(&self.archive.rows, &after, AT_ONCE).await?;
        if page.is_empty() {
            let ended = self.clock.now().0.to_string();
            self.note(&[(AFTER, None), (ENDED, Some(ended))]).await?;
            return Ok(Turn::Ended);
        }
        let (mut blobs, mut damaged, mut bytes, mut last) = (0, 0, 0_u64, after);
        let mut failed = None;
        for one in &page {
            if bytes > NOTED {
                break;
            }
            match self.judge(one).await {
                Ok(is_damaged) => damaged += u64::from(is_damaged),
                Err(error) => {
                    failed = Some((one, error));
                    break;
                }
            }
            blobs += 1;
            bytes = bytes.saturating_add(one.length);
            one.key.as_str().clone_into(&mut last);
        }
        let mut facts = Vec::new();
        if let Some((one, error)) = &failed
            && self.goes_on_behind(one, error)
        {
            one.key.as_str().clone_into(&mut last);
            let unread = unread(&self.archive.rows).await?.saturating_add(1);
            facts.push((UNREAD, Some(unread.to_string())));
        }
        facts.push((AFTER, Some(last)));
        self.note(&facts).await?;
        let failed = failed.is_some();
        Ok(Turn::Went {
            blobs,
            damaged,
            failed,
        })
    }

    /// Reads a blob; says whether it is damaged and that is new.
    async fn judge(&self, one: &Named) -> Result<bool, ScrubError> {
        Ok(self.read(one).await? != State::Whole
            && self.archive.fault(one, self.clock.now()).await?)
    }

    /// Remembers that a blob could not be read or judged; whether that is so for the second time.
    fn goes_on_behind(&self, one: &Named, error: &ScrubError) -> bool {
        let mut last = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let again = last.as_ref() == Some(&one.key);
        *last = (!again).then(|| one.key.clone());
        drop(last);
        let (blob, cause) = (one.key.as_str(), error as &dyn std::error::Error);
        let next = if again {
            "in the next pass"
        } else {
            "in a minute"
        };
        tracing::error!(
            blob,
            cause,
            next,
            "a blob could not be read again: it stays as it is, and is tried again"
        );
        again
    }

    async fn is_due(&self) -> Result<bool, ScrubError> {
        let begun = self.fact(BEGUN).await?;
        let Some(begun) = begun.and_then(|it| it.parse().ok()).map(Timestamp) else {
            return Ok(true);
        };
        let (now, every) = (
            self.clock.now(),
            Duration::from_secs(self.config.every_h.saturating_mul(3600)),
        );
        // a clock that was set back holds nothing up for ever
        Ok(now.since(begun) >= every || begun.since(now) >= every)
    }

    /// Reads a blob piece by piece and judges it. What was found wrong before is not read again.
    async fn read(&self, one: &Named) -> Result<State, ScrubError> {
        let blobs = &self.archive.blobs;
        let open = blobs.clone();
        let (key, named) = (one.key.clone(), one.clone());
        let file = match waiting(move || open.file_of(&key)).await {
            Ok(file) => Arc::new(file),
            Err(BlobError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(State::Missing);
            }
            Err(error) => return Err(error.into()),
        };
        let mut judge = Some(named.judge());
        let mut at = 0_u64;
        loop {
            self.wait_for_readers().await;
            let begun = Instant::now();
            let (file, mut taken) = (file.clone(), judge.take().unwrap_or_else(|| named.judge()));
            let piece = waiting(move || {
                let read = again(&file, at)?;
                taken.update(&read);
                Ok((taken, read.len()))
            });
            // a disk that does not read says nothing about the bytes
            let (taken, read) = piece.await?;
            if read == 0 {
                return Ok(taken.verdict());
            }
            judge = Some(taken);
            let read = u64::try_from(read).unwrap_or(PIECE);
            at = at.saturating_add(read);
            let nanos = read.saturating_mul(1_000_000_000) / self.config.max_bytes_per_s.max(1);
            let pause = Duration::from_nanos(nanos).saturating_sub(begun.elapsed());
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn wait_for_readers(&self) {
        let given_up = Instant::now() + PATIENCE;
        while Instant::now() < given_up {
            let Some(left) = self.archive.blobs.quiet_for(QUIET) else {
                return;
            };
            tokio::time::sleep(left).await;
        }
    }

    async fn fact(&self, name: &str) -> Result<Option<String>, sqlx::Error> {
        fact(&self.archive.rows, name).await
    }

    async fn note(&self, facts: &[(&str, Option<String>)]) -> Result<(), sqlx::Error> {
        // nobody remembers how far it came: readers keep what they remember
        let mut tx = self.archive.rows.begin_quietly().await?;
        for (name, value) in facts {
            match value {
                Some(value) => {
                    sqlx::query("INSERT INTO gateway_fact (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
                        .bind(*name)
                        .bind(value.as_str())
                        .execute(&mut **tx)
                        .await?
                }
                None => {
                    sqlx::query("DELETE FROM gateway_fact WHERE name = $1")
                        .bind(*name)
                        .execute(&mut **tx)
                        .await?
                }
            };
        }
        tx.commit().await
    }
}

/// When a pass last came to its end; none when none has.
///
/// # Errors
/// When the database refuses.
pub async fn last_pass(rows: &crate::rows::Rows) -> Result<Option<Timestamp>, sqlx::Error> {
    let ended = fact(rows, ENDED).await?;
    Ok(ended.and_then(|it| it.parse().ok()).map(Timestamp))
}

/// How many blobs of the pass that is under way, or was the last, could not be read or judged.
///
/// # Errors
/// When the database refuses.
pub async fn unread(rows: &crate::rows::Rows) -> Result<u64, sqlx::Error> {
    let unread = fact(rows, UNREAD).await?;
    Ok(unread.and_then(|it| it.parse().ok()).unwrap_or(0))
}

/// The next turn begins a pass from the first key, as after a restore. Called in the transaction that makes it count.
///
/// # Errors
/// When the database refuses.
pub async fn begin_anew(tx: &mut sqlx::Transaction<'_, sqlx::Any>) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM gateway_fact WHERE name IN ($1, $2, $3, $4)")
        .bind(AFTER)
        .bind(BEGUN)
        .bind(ENDED)
        .bind(UNREAD)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn fact(rows: &crate::rows::Rows, name: &str) -> Result<Option<String>, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
        .bind(name)
        .fetch_optional(rows.read())
        .await?;
    Ok(found.map(|(value,)| value))
}

async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(BlobError::Short),
    }
}

fn again(file: &File, at: u64) -> Result<Vec<u8>, BlobError> {
    super::blobs::read_quietly(file, at, PIECE).map_err(|source| BlobError::File {
        tried: "reading a blob again",
        source,
    })
}
