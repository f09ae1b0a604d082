//! What a reader types: six sections and the language, checked and bounded when they come in.

use causeway_proto::dates::dates;
use causeway_proto::report::model::{Language, Section, SectionKind};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// A section has at most this many bytes of UTF-8.
const LONGEST: usize = 64 * 1024;

/// The text of a report.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Content {
    /// A tag of RFC 5646; empty for the language of the site.
    pub language: String,
    /// What was done.
    pub procedure: String,
    /// Why, and what is known.
    pub history: String,
    /// What it was compared with.
    pub comparison: String,
    /// What is seen.
    pub findings: String,
    /// What it means.
    pub impression: String,
    /// What to do.
    pub recommendation: String,
}

/// Lengths only: the text is about a patient.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lengths: Vec<usize> = self.parts().iter().map(|(_, _, text)| text.len()).collect();
        write!(f, "Content(lengths {lengths:?})")
    }
}

/// A text that a report may not hold.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ContentError {
    /// A section is too long.
    #[error("{0} is longer than 64 KiB")]
    TooLong(&'static str),
    /// A section holds a control character.
    #[error("{0} holds a control character")]
    Control(&'static str),
    /// The language is no tag.
    #[error("the language is a tag such as el or pt-BR")]
    Language,
    /// No section holds anything.
    #[error("the report is empty")]
    Empty,
}

impl Content {
    /// The sections in the order in which they are read.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, SectionKind, &str); 6] {
        [
            ("procedure", SectionKind::Procedure, &self.procedure),
            ("history", SectionKind::History, &self.history),
            ("comparison", SectionKind::Comparison, &self.comparison),
            ("findings", SectionKind::Findings, &self.findings),
            ("impression", SectionKind::Impression, &self.impression),
            (
                "recommendation",
                SectionKind::Recommendation,
                &self.recommendation,
            ),
        ]
    }

    /// Whether it may be kept.
    ///
    /// # Errors
    /// Names the first section that may not.
    pub fn check(&self) -> Result<(), ContentError> {
        for (name, _, text) in self.parts() {
            if text.len() > LONGEST {
                return Err(ContentError::TooLong(name));
            }
            let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
            if text.chars().any(control) {
                return Err(ContentError::Control(name));
            }
        }
        if self.language.is_empty() || self.language.parse::<Language>().is_ok() {
            Ok(())
        } else {
            Err(ContentError::Language)
        }
    }

    /// The sections in which an absolute date stands.
    #[must_use]
    pub fn dated(&self) -> Vec<&'static str> {
        let parts = self.parts().into_iter();
        let dated = parts.filter(|(_, _, text)| !dates(text).is_empty());
        dated.map(|(name, _, _)| name).collect()
    }

    /// The sections that hold something.
    ///
    /// # Errors
    /// When none does.
    pub fn sections(&self) -> Result<Vec<Section>, ContentError> {
        let sections: Vec<Section> = self
            .parts()
            .into_iter()
            .filter_map(|(_, kind, text)| Section::typed(kind, text))
            .collect();
        if sections.is_empty() {
            Err(ContentError::Empty)
        } else {
            Ok(sections)
        }
    }
}
