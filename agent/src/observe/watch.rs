//! Looks whether something is so that must not be, and tells it: into the log, and by the channels of `[alarms]` out of the building
//! (practice.md P19). What was told stands in rows until it is over.

mod book;
mod find;
#[cfg(test)]
mod tests;

use causeway_observe::{Bounds, Config, Rule, Source, Teller, Telling};
use causeway_proto::time::{Clock, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::link;
use crate::spool::Spool;

pub use book::{acknowledge, standing};

/// What the agent is shipped with.
pub const RULES: &[Rule] = &[
    rule(
        "link-down",
        300,
        "the link is down, and something waits for it",
    ),
    rule("urgent-held", 0, "objects of an urgent study are withheld"),
    rule("object-held", 60, "objects of a study are withheld"),
    rule(
        "object-lost",
        0,
        "bytes of received objects are missing, or their rows are refused",
    ),
    rule(
        "report-late",
        900,
        "a signed report is not in the PACS, counted from its signature",
    ),
    rule("disk", 0, "the disk is filling"),
    Rule {
        name: "certificate",
        bound_s: 14 * 24 * 3600,
        ahead: true,
        meaning: "the certificate of the link ends, counted back from its end",
    },
    rule(
        "audit-doubt",
        0,
        "the audit trail of either end is in doubt",
    ),
    rule(
        "untried",
        0,
        "something in a queue is due, and nobody tries it: 15 min of standing still, or 4 h of being passed over",
    ),
    rule("rows", 60, "the rows cannot be read"),
    rule("channel", 300, "alarms do not leave by one of the channels"),
];

const fn rule(name: &'static str, bound_s: u64, meaning: &'static str) -> Rule {
    Rule {
        name,
        bound_s,
        ahead: false,
        meaning,
    }
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What is received, and the rows.
    pub spool: Spool,
    /// How the link stands.
    pub link: watch::Receiver<link::State>,
    /// When the certificate of the link ends, as it is now.
    pub certificate: CertificateEnd,
    /// The wall clock.
    pub clock: Clock,
}

/// Tells when the certificate of the link ends: it is renewed while the agent runs.
#[derive(Clone)]
pub struct CertificateEnd(std::sync::Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl CertificateEnd {
    /// Wraps a function that tells it.
    pub fn new(end: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(std::sync::Arc::new(end))
    }

    /// When it ends.
    #[must_use]
    pub fn get(&self) -> Timestamp {
        (self.0)()
    }
}

impl std::fmt::Debug for CertificateEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CertificateEnd")
    }
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
    book: causeway_observe::Book,
    /// What the rows have refused: until they take it, they are behind the book.
    owed: causeway_observe::Judged,
}

impl Watch {
    /// Watches from now on. `site` is who tells.
    #[must_use]
    pub fn new(watched: Watched, teller: Teller, config: Config, site: &str) -> Self {
        Self {
            watched,
            teller,
            bounds: config.bounds(RULES),
            source: source(site),
            config,
            since: find::Since::default(),
            book: causeway_observe::Book::default(),
            owed: causeway_observe::Judged::default(),
        }
    }

    /// Looks and tells until `cancel` fires.
    pub async fn run(mut self, cancel: CancellationToken) {
        let (teller, every) = (self.teller.clone(), self.config.look());
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
        let now = self.watched.clock.now();
        let rows = self.watched.spool.rows().clone();
        if self.owed.is_written() {
            match book::kept(&rows).await {
                Ok(book) => self.book = book,
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
        match book::keep(&rows, &self.owed).await {
            Ok(()) => self.owed = causeway_observe::Judged::default(),
            Err(error) => {
                tracing::error!(%error, "which alarms were told could not be written");
            }
        }
        judged.tellings
    }
}

/// Who tells.
#[must_use]
pub fn source(site: &str) -> Source {
    Source {
        program: "causeway-agent",
        name: site.to_owned(),
    }
}
