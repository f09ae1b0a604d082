//! The person in a reader's certificate: name, title, organisation, country and registration number (X.520).

use rcgen::string::PrintableString;
use rcgen::{DistinguishedName, DnType, DnValue};
use thiserror::Error;

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Family name.
    pub family: String,
    /// Given name.
    pub given: String,
    /// Title, may be empty.
    pub title: String,
    /// The reading organisation.
    pub organisation: String,
    /// The country of the organisation, two letters of ISO 3166.
    pub country: String,
    /// The number under which the profession's register lists the person.
    pub registration: String,
}

/// A person that a certificate cannot name.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SubjectError {
    /// A field is empty.
    #[error("{0} is empty: a signing certificate names it")]
    Empty(&'static str),
    /// A field is longer than X.520 allows.
    #[error("{0} is longer than 64 characters, which a certificate does not hold")]
    TooLong(&'static str),
    /// The country is not two letters.
    #[error("the country is written with two letters (ISO 3166), such as GR")]
    Country,
}

const SERIAL_NUMBER: &[u64] = &[2, 5, 4, 5];
const SURNAME: &[u64] = &[2, 5, 4, 4];
const TITLE: &[u64] = &[2, 5, 4, 12];
const GIVEN_NAME: &[u64] = &[2, 5, 4, 42];

impl Person {
    pub(super) fn name(&self) -> Result<DistinguishedName, SubjectError> {
        let country = self.country.trim().to_ascii_uppercase();
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(SubjectError::Country);
        }
        let family = bounded("the family name", &self.family)?;
        let given = bounded("the given name", &self.given)?;
        let organisation = bounded("the organisation", &self.organisation)?;
        let registration = bounded("the registration number", &self.registration)?;
        let common = bounded("the full name", &format!("{given} {family}"))?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CountryName, printable(&country));
        name.push(DnType::OrganizationName, organisation);
        name.push(DnType::CommonName, common);
        name.push(DnType::CustomDnType(SURNAME.to_vec()), family);
        name.push(DnType::CustomDnType(GIVEN_NAME.to_vec()), given);
        if !self.title.trim().is_empty() {
            name.push(
                DnType::CustomDnType(TITLE.to_vec()),
                bounded("the title", &self.title)?,
            );
        }
        name.push(
            DnType::CustomDnType(SERIAL_NUMBER.to_vec()),
            printable(&registration),
        );
        Ok(name)
    }
}

/// Country and serial number are printable strings where their characters allow it (RFC 5280 A.1).
fn printable(text: &str) -> DnValue {
    PrintableString::try_from(text).map_or_else(
        |_| DnValue::Utf8String(text.to_owned()),
        DnValue::PrintableString,
    )
}

fn bounded(what: &'static str, text: &str) -> Result<String, SubjectError> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(SubjectError::Empty(what)),
        1..=64 => Ok(text.to_owned()),
        _ => Err(SubjectError::TooLong(what)),
    }
}
