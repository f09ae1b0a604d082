//! What site and reader say to each other of a case: the context that a person at the site gives (P9), and letters both ways.
//!
//! None of these is critical: a program that does not know them ignores them, and the other one goes on saying that they are not heard.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{AgreementId, CaseCode, StudyUid};
use crate::time::Timestamp;

/// The site says what the reader of a study should know. The highest version counts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Context {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// Rises with each word about this study: the site's clock in microseconds, or one more than the last.
    #[n(2)]
    pub version: u64,
    /// All of it; what is left out no longer stands.
    #[n(3)]
    pub facts: Facts,
}

/// The context of a study, in the words of the site; empty where it said nothing. Printing shows none of it.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(default)]
pub struct Facts {
    /// What the clinician wants to know.
    #[n(0)]
    pub question: String,
    /// Which contrast medium was given, if any.
    #[n(1)]
    pub contrast: String,
    /// eGFR or creatinine, with its unit.
    #[n(2)]
    pub renal: String,
    /// When that was measured.
    #[n(3)]
    pub renal_date: String,
    /// Known allergies.
    #[n(4)]
    pub allergy: String,
    /// Pregnant, not pregnant, not known.
    #[n(5)]
    pub pregnancy: String,
    /// In kilograms.
    #[n(6)]
    pub weight_kg: String,
    /// Whom to call: a role.
    #[n(7)]
    pub call_role: String,
    /// Under which number.
    #[n(8)]
    pub call_number: String,
}

impl Facts {
    /// Every field with its name, the question first.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, &str); 9] {
        [
            ("question", &self.question),
            ("contrast", &self.contrast),
            ("renal", &self.renal),
            ("renal_date", &self.renal_date),
            ("allergy", &self.allergy),
            ("pregnancy", &self.pregnancy),
            ("weight_kg", &self.weight_kg),
            ("call_role", &self.call_role),
            ("call_number", &self.call_number),
        ]
    }

    /// The same with each field changed.
    #[must_use]
    pub fn map(&self, mut change: impl FnMut(&'static str, &str) -> String) -> Self {
        Self {
            question: change("question", &self.question),
            contrast: change("contrast", &self.contrast),
            renal: change("renal", &self.renal),
            renal_date: change("renal_date", &self.renal_date),
            allergy: change("allergy", &self.allergy),
            pregnancy: change("pregnancy", &self.pregnancy),
            weight_kg: change("weight_kg", &self.weight_kg),
            call_role: change("call_role", &self.call_role),
            call_number: change("call_number", &self.call_number),
        }
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields().iter().all(|(_, text)| text.is_empty())
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Facts")
    }
}

/// The gateway holds a context durably, or a newer one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ContextHeld {
    /// The study.
    #[n(0)]
    pub study: StudyUid,
    /// The agreement.
    #[n(1)]
    pub agreement: AgreementId,
    /// The version that was said.
    #[n(2)]
    pub version: u64,
}

/// One person writes to the other end about a case. Said in the order of writing, on each connection until it is answered.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Letter {
    /// Made of chance by its writer's end: the same letter said again has one effect.
    #[n(0)]
    pub id: String,
    /// The agreement of the case.
    #[n(1)]
    pub agreement: AgreementId,
    /// The case.
    #[n(2)]
    pub case: CaseCode,
    /// When it was written, by the clock of that end.
    #[n(3)]
    pub written: Timestamp,
    /// Who writes, as the other end may show it.
    #[n(4)]
    pub who: String,
    /// What.
    #[n(5)]
    pub text: String,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letter({} about {})", self.id, self.case)
    }
}

/// What has become of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LetterState {
    /// Which.
    #[n(0)]
    pub id: String,
    /// What.
    #[n(1)]
    pub step: LetterStep,
    /// Since when.
    #[n(2)]
    pub at: Timestamp,
}

/// The steps of a letter after it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum LetterStep {
    /// Its reader's end holds it durably.
    #[n(0)]
    Held,
    /// A person there has read it.
    #[n(1)]
    Read,
    /// Its writer's end knows that it was read, and need not be told again.
    #[n(2)]
    Known,
}
