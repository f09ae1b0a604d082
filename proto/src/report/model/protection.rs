//! What the site did to the identity in the images of a study, as their headers say it. It stands in the header of a report on them,
//! so that the site can restore the report from itself alone.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Code;

/// De-identification of the images (PS3.3 C.7.1.1, C.12.1.1.4.1). Never signed: the site removes it when it restores the identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// (0012,0063), its values.
    pub methods: Vec<String>,
    /// (0012,0064).
    pub codes: Vec<Code>,
    /// The first item of (0400,0500). The rows of a report do not hold it: it stands in the document.
    #[serde(skip)]
    pub sealed: Option<Sealed>,
}

/// The originals, for the site alone: one item of the Encrypted Attributes Sequence.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// (0400,0510).
    pub syntax: String,
    /// (0400,0520), with its padding.
    pub content: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.content.len())
    }
}
