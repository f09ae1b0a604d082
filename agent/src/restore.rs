//! The real patient put back: whose study it is, told by the PACS or by what was received, and the signed report under that name.
//!
//! A report under a pseudonym is offered to nobody before its row says `done` (P3):
//!
//! | State | Reached by | Left by |
//! |---|---|---|
//! | `due` | the report's arrival, a failed question, a decision of the PACS that has grown old | the answer |
//! | `done` | one answer of the PACS with the same patient ID; the original where the site trusts it; a person | a question anew |
//! | `held` | another patient ID, none, several, undecodable text, nobody to ask | a person |
//! | `refused` | a person, who does not want it filed | a person |
//!
//! What the signature covers is never touched; it is verified before and after. Only where the study left under other UIDs the site
//! files a document of its own, which names the signed one ([`rehomed`]).

mod decide;
mod find;
mod home;
mod names;
mod rehome;
mod rewrite;
pub mod rows;
mod sealed;

use std::fmt;
use std::sync::Arc;

use causeway_proto::ids::AeTitle;
use serde::Deserialize;

pub use decide::{Ours, Verdict, decide};
pub use find::{Asked, Find};
pub use home::Home;
pub use names::named_in;
pub use rehome::{Filing, Rehomed, home_uid, rehomed, uids_of};
pub use rewrite::{RestoreError, is_pseudonymous, restored};
pub use sealed::{Unseal, originals};

/// `[restore]`: how a report gets its patient back.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is done where no PACS can be asked.
    pub truth: Truth,
    /// Whom to ask by C-FIND just before delivery; left out: nobody.
    pub pacs: Option<Peer>,
}

/// Who the patient is when no PACS can be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truth {
    /// Nobody else knows: the report is held for a person.
    #[default]
    Pacs,
    /// What was received with the images is trusted.
    Original,
}

/// A PACS that answers C-FIND, Study Root, at the study level.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its AE title for queries.
    pub ae_title: AeTitle,
    /// `host:port`.
    pub address: String,
    /// The title with which we call it.
    pub calling_ae_title: AeTitle,
}

/// What finding out needs from elsewhere, handed in by `app`.
#[derive(Clone)]
pub struct Restoring {
    /// What the site has chosen.
    pub config: Config,
    /// Asks the PACS.
    pub find: Find,
    /// Opens what was sealed for this hospital.
    pub unseal: Unseal,
    /// Whether a patient ID stands for no identity (P2).
    pub is_placeholder: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl fmt::Debug for Restoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Restoring")
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
