//! Text that may name a patient: whoever prints it by mistake prints nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Text about a patient. `Debug` and `Display` show nothing of it; whoever needs it asks for it by [`PatientText::reveal`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PatientText(String);

impl PatientText {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for PatientText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for PatientText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for PatientText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PatientText")
    }
}

impl fmt::Display for PatientText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(withheld)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_shows_nothing() {
        let text = PatientText::from("Muster^Erika");
        assert!(!format!("{text:?} {text} {text:#?}").contains("Muster"));
        assert_eq!(text.reveal(), "Muster^Erika");
    }
}
