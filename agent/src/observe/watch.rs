//! Looks whether something is so that must not be, and tells it: into the log, and by the channels of `[alarms]` out of the building
//! (practice.md P19). What was told stands in rows until it is over.

mod book;
mod find;
#[cfg(test)]
mod tests;

use causeway_observe::{Config, Rule, Source, Teller};
use causeway_proto::time::{Clock, Timestamp};
use tokio::sync::watch;

use crate::link;
use crate::spool::Spool;

pub use book::{acknowledge, standing};
pub use find::Looking;

/// What the agent is shipped with.
pub const RULES: &[Rule] = &[
    Rule::new(
        "link-down",
        300,
        "the link is down or does not hold, and something waits for it",
    ),
    Rule::new("urgent-held", 0, "objects of an urgent study are withheld"),
    Rule::new("object-held", 60, "objects of a study are withheld"),
    Rule::new(
        "object-lost",
        0,
        "bytes of received objects are missing, or their rows are refused",
    ),
    Rule::new(
        "report-late",
        900,
        "a signed report is not in the PACS, counted from its signature",
    ),
    Rule::new("disk", 0, "the disk is filling"),
    Rule::ahead(
        "certificate",
        14 * 24 * 3600,
        "the certificate of the link ends, counted back from its end",
    ),
    Rule::new(
        "audit-doubt",
        0,
        "the audit trail of either end is in doubt",
    ),
    Rule::new(
        "untried",
        900,
        "something in a queue is due, and nobody tries anything of that queue for so long, or this one for 4 h",
    ),
    Rule::ROWS,
    Rule::CHANNEL,
];

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
pub type Watch = causeway_observe::Watch<Looking>;

impl Watched {
    /// Watches from now on. `site` is who tells.
    #[must_use]
    pub fn watch(self, teller: Teller, config: &Config, site: &str) -> Watch {
        let clock = self.clock.clone();
        let looking = Looking::new(self);
        Watch::new(looking, RULES, config, teller, source(site), clock)
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
