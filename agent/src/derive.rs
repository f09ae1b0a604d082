//! Other forms of a verified report, made from the document as it is filed and never from anything else: its page image (P8), for a
//! PACS that takes no structured reports or hides them.
//!
//! A page image is one Secondary Capture for each page, under the study and the patient of the document. Its UIDs are derived from
//! the document's, so that a second try stores the same objects again. A page never shows less than the document says: a character
//! that no font has, or a text that needs too many pages, is an error and no page.

mod capture;
mod fonts;
mod ink;
mod paper;
mod words;

use bytes::Bytes;
use causeway_proto::dataset::Dataset;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{CaseCode, SopInstanceUid};
use causeway_proto::report::sr::{self, DecodeError};
use thiserror::Error;

pub use capture::{CLASS, instance};
pub use fonts::{Config, Fonts};

/// Pages beyond this are not made.
pub const MOST_PAGES: usize = 24;

/// Characters beyond this are not set: they would not find room on [`MOST_PAGES`].
const MOST_CHARACTERS: usize = 150_000;

/// A page image was not made; in words that may leave the site.
#[derive(Debug, Error)]
pub enum DeriveError {
    /// The document is none that this program can lay out.
    #[error("the report cannot be laid out as pages; print it from the site page")]
    Document(#[from] DecodeError),
    /// A UID that was derived is none.
    #[error("the page image has no legal UID")]
    Uid,
    /// Too long.
    #[error("the report needs more than {MOST_PAGES} pages; print it from the site page")]
    TooLong,
    /// No font can be read.
    #[error("no font can be read at the site: install one, or name its file in page_image.fonts")]
    NoFont,
    /// Characters that no font has, or of a script that is not drawn.
    #[error(
        "not every character of {place} can be drawn ({scripts}): install a font that has them, or name its file in page_image.fonts; \
         scripts that join their letters or run from the right are printed from the site page"
    )]
    Characters {
        /// Where they stand.
        place: &'static str,
        /// Of which scripts, or that this is not said: the patient's own are nobody else's business.
        scripts: String,
    },
}

/// What a page image is made from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The document as it is filed, under its patient's name.
    pub document: &'a Dataset,
    /// Content digest (transfer syntax UID, then dataset) of the document as it was signed and came to the site.
    pub digest: Digest,
    /// The case that it answers.
    pub case: &'a CaseCode,
}

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    /// (0008,0018).
    pub instance: SopInstanceUid,
    /// The dataset without group 0002, in explicit VR little endian.
    pub dataset: Bytes,
}

/// The pages of a report, in their order.
///
/// # Errors
/// [`DeriveError`]; then there is none.
pub fn pages(source: &Source<'_>, fonts: &Fonts) -> Result<Vec<Page>, DeriveError> {
    let report = sr::decode(source.document)?;
    let text = words::words(&report, source);
    if text.characters() > MOST_CHARACTERS {
        return Err(DeriveError::TooLong);
    }
    let pictures = paper::pictures(&text, fonts)?;
    let count = pictures.len();
    pictures
        .into_iter()
        .zip(1..)
        .map(|(pixels, number)| capture::page(source, &report, pixels, (number, count)))
        .collect()
}

#[cfg(test)]
mod tests;
