//! Looks whether something is so that must not be, and tells it: into the log, and by the channels of `[alarms]` out of the building
//! (practice.md P19). What was told stands in rows until it is over.

mod book;
mod find;
mod queue;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use causeway_observe::{Config, Source, Teller};
use causeway_proto::time::Timestamp;

use crate::archive::Archive;
use crate::link::Sites;
use crate::parts::Parts;

pub use book::{acknowledge, channels, standing};
pub use find::Looking;
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
pub type Watch = causeway_observe::Watch<Looking>;

impl Watched {
    /// Watches from now on. `name` is who tells: how browsers reach this gateway.
    #[must_use]
    pub fn watch(self, config: &Config, name: &str) -> Watch {
        let clock = self.parts.clock.clone();
        let teller = Teller::open(config, clock.clone());
        let looking = Looking::new(self);
        Watch::new(looking, RULES, config, teller, source(name), clock)
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
