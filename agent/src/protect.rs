//! What may leave the site, and in which form: a decision per instance, and the form as bytes (PS3.15 Annex E).
//!
//! Under an agreement that is pseudonymous, which every agreement is unless the site itself allows otherwise, nothing leaves before
//! its identity was taken out, sealed for the hospital alone, and the form that leaves was named in a row. Under an identified one
//! everything leaves as it was received.

mod age;
mod choice;
mod clean;
mod coded;
mod documents;
mod form;
mod frames;
mod identifiers;
mod masked;
mod original;
mod overlays;
mod passing;
mod picture;
mod pieces;
mod pixels;
mod prepare;
pub mod preview;
mod private;
mod profile;
mod remembered;
pub mod seal;
mod shift;
mod source;
mod table;
mod transform;
pub mod typed;
mod uids;
mod worker;

use thiserror::Error;
use tokio::runtime::Handle;

use crate::keys::Keys;
use crate::mask::child::Decoder;
use crate::spool::{Outgoing, Spool, SpoolError};
pub use form::Form;
pub use identifiers::{Identifiers, identifiers};
pub(crate) use identifiers::{folded, spellings};
pub use masked::Masked;
pub use original::put_back;
pub use picture::{Place, Shown};
pub use pieces::Piece;
pub use profile::{Options, PROFILE, UidRule};
use remembered::Remembered;
pub use shift::Shift;
pub use source::Unreadable;
pub use transform::{Outcome, Plan, Stand, transform};
pub(crate) use uids::in_text as uids_in;

/// Protecting an instance, or making its form again, failed.
#[derive(Debug, Error)]
pub enum ProtectError {
    /// The spool refused.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The form is not the one that was decided; it is decided anew.
    #[error("an object could not be protected again as it was before; it is protected anew")]
    Other,
}

/// Decides what may leave, and makes the forms that do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Protector {
    spool: Spool,
    keys: Keys,
    decoder: Option<Decoder>,
    threads: Option<Handle>,
    remembered: Remembered,
}

impl Protector {
    /// Protects what `spool` keeps, with its keys.
    #[must_use]
    pub fn new(spool: Spool) -> Self {
        let keys = spool.keys().clone();
        Self {
            spool,
            keys,
            decoder: None,
            threads: None,
            remembered: Remembered::default(),
        }
    }

    /// With threads for its own work, which is much and may wait, while receiving may not. The transactions stay with the caller's.
    #[must_use]
    pub fn with_threads(self, threads: Handle) -> Self {
        Self {
            threads: Some(threads),
            ..self
        }
    }

    /// With a way to decode what cannot be masked as it is coded; without one such objects stay.
    #[must_use]
    pub fn with_decoder(self, decoder: Decoder) -> Self {
        Self {
            decoder: Some(decoder),
            ..self
        }
    }

    /// The form in which `instance` leaves.
    ///
    /// # Errors
    /// When it cannot be made again as it was decided; nothing of it may leave then.
    pub async fn form(&self, instance: &Outgoing) -> Result<Form, ProtectError> {
        if instance.profile == 0 {
            return Ok(Form::as_received(&self.spool, &instance.source));
        }
        worker::decided(self, instance).await
    }
}

#[cfg(test)]
pub(crate) mod tests;
