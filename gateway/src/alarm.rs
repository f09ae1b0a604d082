//! Looks whether something is so that must not be, and tells it: into the log, and by the channels of `[alarms]` out of the building
//! (practice.md P19). What was told stands in rows until it is over.

mod book;
mod find;
mod queue;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use causeway_observe::{Book, Bounds, Config, Judged, Source, Teller, Telling};
use causeway_proto::time::Timestamp;

use crate::archive::Archive;
use crate::link::Sites;
use crate::parts::Parts;

pub use book::{acknowledge, channels, standing};
pub use rules::RULES;

/// A word for a certificate, and when it ends; none when that cannot be read.
type End = (&'static str, Option<Timestamp>);

/// Which certificates there are, and when each ends.
#[derive(Clone)]
pub struct Certificates(Arc<dyn Fn() -> Vec<End> + Send + Sync>);

impl Certificates {
    /// Wraps a function that tells it.
    pub fn new(
        ends: impl Fn() -> Vec<(&'static str, Option<Timestamp>)> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(ends))
    }

    fn ends(&self) -> Vec<End> {
        (self.0)()
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates")
    }
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Rows and clock.
    pub parts: Parts,
    /// The disk.
    pub archive: Archive,
    /// Who is connected.
    pub sites: Sites,
    /// What ends when.
    pub certificates: Certificates,
}

/// Looks, and tells.
#[derive(Debug)]
pub struct Watch {
    watched: Watched,
    teller: Teller,
    bounds: Bounds,
    source: Source,
    config: Config,
    since: find::Since,
    book: Book,
    /// What the rows have refused: until they take it, they are behind the book.
    owed: Judged,
}

impl Watch {
    /// Watches from now on. `name` is who tells: how browsers reach this gateway.
    #[must_use]
    pub fn new(watched: Watched, config: &Config, name: &str) -> Self {
        let clock = watched.parts.clock.clone();
        Self {
            since: find::Since::new(clock.now()),
            teller: Teller::open(config, clock),
            bounds: config.bounds(RULES),
            source: source(name),
            config: config.clone(),
            book: Book::default(),
            owed: Judged::default(),
            watched,
        }
    }

    /// Looks and tells until the process is to end.
    pub async fn run(mut self) {
        let (teller, every) = (self.teller.clone(), self.config.look());
        let cancel = self.watched.parts.cancel.clone();
        let looking = async {
            while !cancel.is_cancelled() {
                self.look().await;
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = cancel.cancelled() => {}
                }
            }
        };
        tokio::join!(looking, teller.run(&cancel));
    }

    /// One look; answers what it told. What the rows do not take is told all the same.
    async fn look(&mut self) -> Vec<Telling> {
        let parts = &self.watched.parts;
        let now = parts.clock.now();
        if self.owed.is_written() {
            match standing(&parts.rows).await {
                Ok(entries) => self.book = Book::of(entries),
                Err(error) => tracing::error!(%error, "which alarms stand could not be read"),
            }
        }
        let states = self.teller.states();
        let looked = find::all(&self.watched, &mut self.since, &self.bounds, &states).await;
        let judged = self.book.judge(&looked, &self.bounds, &self.source, now);
        for telling in &judged.tellings {
            self.teller.tell(telling);
        }
        self.owed.owe(&judged);
        match book::keep(&parts.rows, &self.owed).await {
            Ok(()) => self.owed = Judged::default(),
            Err(error) => {
                tracing::error!(%error, "which alarms were told could not be written");
            }
        }
        if let Err(error) = book::keep_channels(&parts.rows, &self.teller.states()).await {
            tracing::error!(%error, "how the channels of alarms stand could not be written");
        }
        judged.tellings
    }
}

/// Who tells.
#[must_use]
pub fn source(name: &str) -> Source {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    Source {
        program: "causeway-gateway",
        name: name.to_owned(),
    }
}
