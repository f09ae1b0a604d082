//! Whether the process takes work, why not, and how much it holds for how long.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_proto::time::Clock;
use tokio::time::Instant;

use super::counts::{AGES, COUNTS};
use crate::rows::Rows;

/// What was found holds for so long: whoever asks more often hears it again.
const FRESH: Duration = Duration::from_secs(1);
/// What has not been found out after so long is a cause by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// A word that scripts may rely on.
    pub code: &'static str,
    /// What is wrong, for a person.
    pub sentence: String,
}

impl Cause {
    /// A cause.
    pub fn new(code: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.sentence)
    }
}

/// What a look at one thing finds: nothing, something to be said, or why no work can be taken.
pub type Found = Result<Option<Cause>, Cause>;

/// A look at one thing.
pub struct Probe {
    code: &'static str,
    patience: Duration,
    look: Box<dyn Fn() -> Pin<Box<dyn Future<Output = Found> + Send>> + Send + Sync>,
}

impl Probe {
    /// A look that is answered under `code` when it takes too long.
    pub fn new<F>(code: &'static str, look: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Found> + Send + 'static,
    {
        Self {
            code,
            patience: PATIENCE,
            look: Box::new(move || Box::pin(look())),
        }
    }

    /// With another patience than five seconds.
    #[cfg(test)]
    pub(super) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn look(&self) -> Found {
        let found = tokio::time::timeout(self.patience, (self.look)()).await;
        found.unwrap_or_else(|_| {
            let seconds = self.patience.as_secs();
            Err(Cause::new(
                self.code,
                format!("it did not answer within {seconds} s"),
            ))
        })
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({})", self.code)
    }
}

/// A number at this moment: its name, what it is, and its value.
pub type Gauge = (&'static str, &'static str, u64);

/// Reads numbers that are not in rows.
pub type Gauges = Box<dyn Fn() -> Vec<Gauge> + Send + Sync>;

/// What is to be said of a process that is ready, or why it is not.
type Answer = Result<Vec<Cause>, Cause>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Open,
    Draining,
}

/// Whether the process takes work; shared between `app` and the health port. Cheap to clone.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    rows: Rows,
    clock: Clock,
    probes: Vec<Probe>,
    gauges: Gauges,
    phase: Mutex<Phase>,
    last: tokio::sync::Mutex<Option<(Instant, Answer)>>,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("phase", &self.phase())
            .field("probes", &self.0.probes)
            .finish_non_exhaustive()
    }
}

impl Readiness {
    /// Not ready yet. Looks are made in their order; the first that fails is the answer.
    #[must_use]
    pub fn new(rows: Rows, clock: Clock, probes: Vec<Probe>, gauges: Gauges) -> Self {
        Self(Arc::new(Inner {
            rows,
            clock,
            probes,
            gauges,
            phase: Mutex::new(Phase::Starting),
            last: tokio::sync::Mutex::default(),
        }))
    }

    /// Of rows alone, which nothing else is asked about.
    #[cfg(test)]
    pub(crate) fn bare(rows: &Rows) -> Self {
        let clock = Clock::new(|| causeway_proto::time::Timestamp(2_000_000_000_000_000));
        Self::new(rows.clone(), clock, Vec::new(), Box::new(Vec::new))
    }

    fn phase(&self) -> Phase {
        *self.0.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.0.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Everything is up.
    pub fn open(&self) {
        self.set(Phase::Open);
    }

    /// The process finishes what it has begun and ends.
    pub fn drain(&self) {
        self.set(Phase::Draining);
    }

    /// Whether there is work to be given to this process, with what is to be said of it; or the first cause why not.
    ///
    /// # Errors
    /// The cause.
    pub async fn ask(&self) -> Result<Vec<Cause>, Cause> {
        match self.phase() {
            Phase::Starting => return Err(Cause::new("starting", "the gateway is not up yet")),
            Phase::Draining => {
                let sentence = "the gateway finishes what it has begun and ends";
                return Err(Cause::new("draining", sentence));
            }
            Phase::Open => {}
        }
        // one looks, all others wait for what he finds
        let mut last = self.0.last.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < FRESH
        {
            return found.clone();
        }
        let found = self.look().await;
        if let Err(cause) = &found {
            tracing::warn!(%cause, "the gateway is not ready");
        }
        *last = Some((Instant::now(), found.clone()));
        found
    }

    async fn look(&self) -> Answer {
        let mut notes = Vec::new();
        for probe in &self.0.probes {
            notes.extend(probe.look().await?);
        }
        Ok(notes)
    }

    /// Counts and ages in the text form of Prometheus, without identifiers.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn metrics(&self) -> Result<String, sqlx::Error> {
        let mut out = String::new();
        let gauge = |out: &mut String, name, help| {
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        };
        gauge(&mut out, "causeway_up", "the process answers");
        out.push_str("causeway_up 1\n");
        let ready = u8::from(self.ask().await.is_ok());
        gauge(&mut out, "causeway_ready", "what /readyz says");
        out.push_str(&format!("causeway_ready {ready}\n"));
        for (name, help, value) in (self.0.gauges)() {
            gauge(&mut out, name, help);
            out.push_str(&format!("{name} {value}\n"));
        }
        for &(name, help, label, sql) in COUNTS {
            let rows = self.0.rows.read();
            let found: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(rows).await?;
            gauge(&mut out, name, help);
            for (value, count) in found {
                let labels = if label.is_empty() {
                    String::new()
                } else {
                    format!("{{{label}=\"{value}\"}}")
                };
                out.push_str(&format!("{name}{labels} {count}\n"));
            }
        }
        let name = "causeway_queue_oldest_seconds";
        let help = "for how long the oldest of each queue has been waiting; 0 where nothing waits";
        gauge(&mut out, name, help);
        let now = self.0.clock.now();
        for &(queue, sql) in AGES {
            let rows = self.0.rows.read();
            let (oldest,): (Option<i64>,) = sqlx::query_as(sql).fetch_one(rows).await?;
            let age = oldest.map_or(0, |since| now.0.saturating_sub(since).max(0) / 1_000_000);
            out.push_str(&format!("{name}{{queue=\"{queue}\"}} {age}\n"));
        }
        Ok(out)
    }
}
