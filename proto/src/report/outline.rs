//! Any structured report or key object selection as lines of plain text, for objects that a viewer does not show (P18).
//!
//! Tolerant: an item that is not understood is named, never dropped in silence, and the lines are bounded in number, length
//! and depth.

use std::fmt;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::dataset::{Dataset, ReadError};
use crate::ids::TransferSyntaxUid;
use crate::text::CharacterSet;

mod value;

/// Lines beyond this are not written; a last line says so.
const LINES: usize = 5_000;
/// Characters of a line beyond this are not written; an ellipsis stands for them.
const CHARACTERS: usize = 2_000;

/// One line, and how far it is indented.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// 0 for the title.
    pub depth: usize,
    /// The text, without control characters.
    pub text: String,
}

/// The depth only: the text is about a patient.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line at depth {}", self.depth)
    }
}

/// The outline of the bytes of a dataset without group 0002.
///
/// # Errors
/// [`ReadError`] when the dataset is too large, breaks a bound or is malformed.
pub fn outline(bytes: &[u8], syntax: &TransferSyntaxUid) -> Result<Vec<Line>, ReadError> {
    Ok(lines(&Dataset::read(bytes, syntax)?))
}

/// The outline of a dataset. A dataset without a content tree gives one line that says so.
#[must_use]
pub fn lines(dataset: &Dataset) -> Vec<Line> {
    let mut page = Page {
        set: dataset.character_set(),
        lines: Vec::new(),
    };
    if dataset.get(tags::VALUE_TYPE).is_none() && dataset.items(tags::CONTENT_SEQUENCE).is_empty() {
        page.put(0, "This object has no content tree.");
        return page.lines;
    }
    let title = page.concept(dataset, tags::CONCEPT_NAME_CODE_SEQUENCE);
    page.put(0, title.as_deref().unwrap_or("Document without a title"));
    let flags = [
        tags::PRELIMINARY_FLAG,
        tags::COMPLETION_FLAG,
        tags::VERIFICATION_FLAG,
    ];
    let flags: Vec<String> = flags
        .into_iter()
        .map(|flag| dataset.code(flag))
        .filter(|flag| !flag.is_empty())
        .collect();
    if !flags.is_empty() {
        page.put(0, &flags.join(", "));
    }
    page.items(dataset, 1);
    page.lines
}

/// The page as it fills.
struct Page {
    set: CharacterSet,
    lines: Vec<Line>,
}

impl Page {
    /// Writes a text, one line for each of its own.
    fn put(&mut self, depth: usize, text: &str) {
        for line in text.split(['\n', '\r']) {
            let line: String = line.chars().filter(|c| !c.is_control()).collect();
            let line = line.trim_end();
            if line.is_empty() || self.lines.len() > LINES {
                continue;
            }
            let text = if self.lines.len() == LINES {
                "… the rest is not shown here".to_owned()
            } else {
                shortened(line)
            };
            self.lines.push(Line { depth, text });
        }
    }

    fn full(&self) -> bool {
        self.lines.len() > LINES
    }

    /// The content items of an item. Deeper than the reader of datasets goes there are none.
    fn items(&mut self, parent: &Dataset, depth: usize) {
        for item in parent.items(tags::CONTENT_SEQUENCE) {
            if self.full() {
                return;
            }
            let name = self.concept(item, tags::CONCEPT_NAME_CODE_SEQUENCE);
            let value = value::value(self, item);
            match (name, value) {
                (Some(name), Some(value)) => self.put(depth, &format!("{name}: {value}")),
                (Some(text), None) | (None, Some(text)) => self.put(depth, &text),
                (None, None) => self.put(depth, "(an item without name or value)"),
            }
            self.items(item, depth + 1);
        }
    }

    /// The meaning of a code sequence, or its value when it has no meaning.
    fn concept(&self, item: &Dataset, sequence: Tag) -> Option<String> {
        let code = item.items(sequence).first()?;
        let texts = [tags::CODE_MEANING, tags::CODE_VALUE, tags::LONG_CODE_VALUE];
        texts
            .into_iter()
            .map(|tag| self.text(code, tag))
            .find(|text| !text.is_empty())
    }

    fn text(&self, item: &Dataset, tag: Tag) -> String {
        item.text(tag, &self.set).trim().to_owned()
    }
}

fn shortened(line: &str) -> String {
    if line.chars().nth(CHARACTERS).is_none() {
        return line.to_owned();
    }
    let mut text: String = line.chars().take(CHARACTERS).collect();
    text.push('…');
    text
}

#[cfg(test)]
mod tests;
