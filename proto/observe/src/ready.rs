//! Whether a process takes work, and why not: what both programs answer at `/readyz`.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

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
    /// A look that is answered under `code` when it takes longer than five seconds.
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

    /// With another patience.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
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

/// What is to be said of a process that is ready, or why it is not.
type Answer = Result<Vec<Cause>, Cause>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Open,
    Draining,
}

/// Whether the process takes work; shared between `app` and the health port. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    who: &'static str,
    probes: Vec<Probe>,
    phase: Mutex<Phase>,
    last: tokio::sync::Mutex<Option<(Instant, Answer)>>,
}

impl Readiness {
    /// Not ready yet. `who` is `the agent` or `the gateway`. Looks are made in their order; the first that fails is the answer.
    #[must_use]
    pub fn new(who: &'static str, probes: Vec<Probe>) -> Self {
        Self(Arc::new(Inner {
            who,
            probes,
            phase: Mutex::new(Phase::Starting),
            last: tokio::sync::Mutex::default(),
        }))
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
        let who = self.0.who;
        match self.phase() {
            Phase::Starting => return Err(Cause::new("starting", format!("{who} is not up yet"))),
            Phase::Draining => {
                let sentence = format!("{who} finishes what it has begun and ends");
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
            tracing::warn!(%cause, "{who} is not ready");
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

    /// The text of `/readyz`: `ready`, and in further lines what is to be said all the same.
    ///
    /// # Errors
    /// The text of the first cause why not: a word, a colon and a sentence.
    pub async fn text(&self) -> Result<String, String> {
        match self.ask().await {
            Ok(notes) => {
                let lines = notes.iter().map(|note| format!("{note}\n"));
                Ok(std::iter::once("ready\n".to_owned()).chain(lines).collect())
            }
            Err(cause) => Err(format!("{cause}\n")),
        }
    }
}
