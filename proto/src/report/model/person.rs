//! Who answers for a report (P29).

use serde::{Deserialize, Serialize};

/// A reader, as he answers for the report (P29).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Family name.
    pub family: String,
    /// Given names.
    pub given: String,
    /// Title before the name, such as `Dr. med.`; may be empty.
    pub title: String,
    /// The organisation for which he reads.
    pub organisation: String,
    /// His registration as a physician, with the register when there is more than one.
    pub registration: String,
    /// The country he reads in, ISO 3166-1 alpha-2.
    pub country: String,
    /// A number that is answered day and night.
    pub phone: String,
    /// What he is.
    pub role: Role,
}

impl Person {
    /// Title, given and family name as one reads them.
    #[must_use]
    pub fn full_name(&self) -> String {
        [&self.title, &self.given, &self.family]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Organisational role, CID 7452.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A physician.
    #[default]
    Physician,
    /// Attending or consultant.
    Consultant,
    /// Fellow.
    Fellow,
    /// Registrar.
    Registrar,
    /// Resident.
    Resident,
}
