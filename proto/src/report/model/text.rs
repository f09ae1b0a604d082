//! The text of a report in the form in which it can be stored and read back unchanged, and the language it is in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::patient::PatientText;

/// One part of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its heading.
    pub kind: SectionKind,
    /// Its paragraphs; a section without any is not written.
    pub paragraphs: Vec<Paragraph>,
}

impl Section {
    /// A section from text as it was typed, or `None` when that is blank.
    #[must_use]
    pub fn typed(kind: SectionKind, text: &str) -> Option<Self> {
        let paragraphs = Paragraph::split(text);
        (!paragraphs.is_empty()).then_some(Self { kind, paragraphs })
    }

    /// The text with a blank line between paragraphs.
    #[must_use]
    pub fn text(&self) -> String {
        let paragraphs: Vec<&str> = self.paragraphs.iter().map(Paragraph::as_str).collect();
        paragraphs.join("\n\n")
    }
}

/// The sections that a reader fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SectionKind {
    /// What was done.
    Procedure,
    /// Why, and what is known.
    History,
    /// What it was compared with.
    Comparison,
    /// What is seen.
    Findings,
    /// What it means.
    Impression,
    /// What to do.
    Recommendation,
}

/// Text without blank lines in the form in which it can be stored and read back unchanged: lines end with LF, no control
/// characters, no blanks at the end of a line, no blank line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Paragraph(PatientText);

impl Paragraph {
    /// The paragraphs of a text; blank lines stand between them.
    #[must_use]
    pub fn split(text: &str) -> Vec<Self> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut paragraphs: Vec<String> = Vec::new();
        let mut within = false;
        for line in text.split('\n') {
            let line: String = line
                .chars()
                .filter(|c| !c.is_control() || *c == '\t')
                .collect();
            let line = line.trim_end();
            match paragraphs.last_mut() {
                _ if line.is_empty() => within = false,
                Some(last) if within => {
                    last.push('\n');
                    last.push_str(line);
                }
                _ => {
                    paragraphs.push(line.to_owned());
                    within = true;
                }
            }
        }
        paragraphs
            .into_iter()
            .map(|text| Self(text.into()))
            .collect()
    }

    /// A text as one paragraph, blank lines closed up; empty when it is blank.
    #[must_use]
    pub fn joined(text: &str) -> Self {
        let parts = Self::split(text);
        let parts: Vec<&str> = parts.iter().map(Self::as_str).collect();
        Self(parts.join("\n").into())
    }

    /// The text, lines ended by LF.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.reveal()
    }
}

impl From<String> for Paragraph {
    fn from(text: String) -> Self {
        Self::joined(&text)
    }
}

impl From<Paragraph> for String {
    fn from(paragraph: Paragraph) -> Self {
        paragraph.as_str().to_owned()
    }
}

/// A language tag of RFC 5646, as far as a code value holds it: at most 16 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(String);

/// Text that is no language tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a language is a tag of RFC 5646 of at most 16 characters, such as el or pt-BR")]
pub struct LanguageError;

impl Language {
    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Language {
    type Err = LanguageError;

    fn from_str(text: &str) -> Result<Self, LanguageError> {
        let mut parts = text.split('-');
        let first = parts.next().unwrap_or_default();
        let letters =
            (2..=3).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic());
        let rest = parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        });
        if letters && rest && text.len() <= 16 {
            Ok(Self(text.to_owned()))
        } else {
            Err(LanguageError)
        }
    }
}

impl TryFrom<String> for Language {
    type Error = LanguageError;

    fn try_from(text: String) -> Result<Self, LanguageError> {
        text.parse()
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
