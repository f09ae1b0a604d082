//! The look that every received dataset gets before anything recursive sees it: depth, counts and lengths under bounds
//! (reliability of the parsers behind it depends on this), and the few attributes by which an instance is filed.
//!
//! It streams: memory is one buffer and one small frame per level. Nothing is believed: a length that does not fit what
//! encloses it, or the end of the data inside an element, is an error with its reason. A deflated dataset is inflated only as
//! far as its header needs.

use std::fmt;
use std::io::{self, Read};

use dicom_core::Tag;
use thiserror::Error;

use crate::digest::Digest;
use crate::element::Encoding;
use crate::ids::{SeriesUid, SopClassUid, SopInstanceUid, StudyUid, TransferSyntaxUid};
use crate::patient::PatientText;

mod named;
mod source;
mod walk;

/// What a dataset may be. The default is what Causeway accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of sequences within sequences.
    pub depth: usize,
    /// Elements in all, nested ones counted.
    pub elements: u64,
    /// Items in all, fragments of pixel data counted.
    pub items: u64,
    /// How many bytes of a deflated dataset are inflated to find its header.
    pub inflated_bytes: u64,
    /// How many bytes the reader will give, when that is known: a value that announces more is then refused at once instead
    /// of at the end of the data.
    pub total_bytes: Option<u64>,
    /// Whether SHA-256 of the value of Pixel Data is wanted (fragments and their item headers included).
    pub digest_pixels: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            elements: 1_000_000,
            items: 200_000,
            inflated_bytes: 1 << 20,
            total_bytes: None,
            digest_pixels: false,
        }
    }
}

/// Where Pixel Data stands at the top level of a dataset, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelData {
    /// Where its element header begins: the dataset up to here is the header of the image.
    pub offset: u64,
    /// Where its value begins.
    pub value_offset: u64,
    /// The declared length of the value; `None` when it is encapsulated.
    pub length: Option<u32>,
}

/// Something against the standard that loses no framing: the dataset is taken, and the fault is worth a line in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A component of a UID by which the instance is filed begins with a zero (PS3.5 9.1).
    LeadingZeros,
    /// Elements of the command group or the file group (PS3.7 6.3, PS3.10 7.1).
    ForeignGroup,
    /// A VR that is none (PS3.5 6.2).
    UnknownVr,
    /// A value of odd length (PS3.5 7.1.1) whose VR is not UN.
    OddLength,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeadingZeros => "a component of a UID begins with a zero",
            Self::ForeignGroup => "elements of group 0000 or 0002 stand in the dataset",
            Self::UnknownVr => "a VR is none of the standard's",
            Self::OddLength => "a value has an odd length",
        })
    }
}

/// What the prescan learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// (0020,000D), when present and not empty.
    pub study: Option<StudyUid>,
    /// (0020,000E).
    pub series: Option<SeriesUid>,
    /// (0008,0018).
    pub instance: Option<SopInstanceUid>,
    /// (0008,0016).
    pub class: Option<SopClassUid>,
    /// (0008,0060), trimmed; empty when absent.
    pub modality: String,
    /// (0010,0020), in Unicode, trimmed; empty when absent.
    pub patient_id: PatientText,
    /// (0010,0021), in Unicode, trimmed; empty when absent.
    pub issuer: PatientText,
    /// (0010,0010), in Unicode, trimmed; empty when absent or longer than any name.
    pub patient_name: PatientText,
    /// (0008,0050), as above.
    pub accession: PatientText,
    /// (0008,1030), as above.
    pub description: PatientText,
    /// (0020,0013), when it is a number.
    pub number: Option<i64>,
    /// (0008,0008) calls it a localiser.
    pub localizer: bool,
    /// (0008,0005) as it stands; empty when absent.
    pub character_set: String,
    /// Pixel Data at the top level.
    pub pixel_data: Option<PixelData>,
    /// SHA-256 of the value of Pixel Data, when [`Limits::digest_pixels`] asked for it and the dataset is not deflated.
    pub pixel_digest: Option<Digest>,
    /// Elements met.
    pub elements: u64,
    /// Items and fragments met.
    pub items: u64,
    /// Deepest level of sequences met.
    pub depth: usize,
    /// Bytes read: the length of the dataset, unless it is opaque.
    pub bytes: u64,
    /// The dataset is deflated: what follows the header was not looked at, and nothing may parse it without limits of its own.
    pub opaque: bool,
    /// What is against the standard and does no harm, each once.
    pub remarks: Vec<Remark>,
    /// Where the first element stands whose VR is UN, as written, and whose value has an odd length: nobody can tell how such a
    /// value is to be read.
    pub odd_unknown: Option<u64>,
    /// Parsers differ on how this dataset is to be read (VR UN of undefined length, nested encapsulated pixels that are not
    /// OB): the bounds were checked in our reading only, so do not hand it to a recursive parser.
    pub ambiguous: bool,
}

impl Scan {
    fn remark(&mut self, remark: Remark) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }
}

/// Why a dataset is refused. The sentences hold no received text and fit an Error Comment (0000,0902).
#[derive(Debug, Error)]
pub enum PrescanError {
    /// The reader failed; says nothing about the dataset.
    #[error("reading the dataset failed")]
    Read(#[source] io::Error),
    /// The data end inside an element.
    #[error("the dataset ends inside an element at byte {at}")]
    Truncated {
        /// Where the element that does not fit begins.
        at: u64,
    },
    /// A value reaches beyond the item or sequence that holds it.
    #[error("the length of {tag} at byte {at} reaches beyond what encloses it")]
    Length {
        /// The element.
        tag: Tag,
        /// Where its header begins.
        at: u64,
    },
    /// A delimiter or an item where none may stand, or none where one must.
    #[error("item or delimiter out of place at byte {at}")]
    Delimiter {
        /// Where.
        at: u64,
    },
    /// One of the bounds of [`Limits`].
    #[error("nesting or size limit: more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// A UID by which the instance is filed is not one (PS3.5 9.1).
    #[error("{0} is not a UID")]
    Uid(&'static str),
    /// An attribute by which the instance is filed stands twice with different values.
    #[error("{0} stands twice with different values")]
    Twice(&'static str),
    /// A deflated dataset that does not inflate.
    #[error("the deflated dataset is damaged")]
    Deflate,
}

impl PrescanError {
    /// Whether the bytes are at fault (and the sender should be told), not the disk they were read from.
    #[must_use]
    pub fn is_about_the_data(&self) -> bool {
        !matches!(self, Self::Read(_))
    }
}

/// Looks through a dataset (without group 0002) under the bounds of `limits`. The reader is read to its end, unless the
/// dataset is deflated or [`Limits::total_bytes`] already proves that the last value fits.
///
/// # Errors
/// [`PrescanError`] with the reason for which the dataset is refused; [`PrescanError::Read`] when `read` itself fails.
pub fn prescan(
    read: impl Read,
    syntax: &TransferSyntaxUid,
    limits: &Limits,
) -> Result<Scan, PrescanError> {
    let (encoding, deflated) = Encoding::of(syntax);
    if !deflated {
        return walk::walk(read, encoding, limits);
    }
    let bounded = Limits {
        total_bytes: None,
        digest_pixels: false,
        ..*limits
    };
    let inflated = flate2::read::DeflateDecoder::new(read).take(limits.inflated_bytes);
    walk::walk_header(inflated, encoding, &bounded)
}

/// [`prescan`] for a dataset whose encoding is known and that is not deflated.
///
/// # Errors
/// As [`prescan`].
pub(crate) fn prescan_encoded(
    read: impl Read,
    encoding: Encoding,
    limits: &Limits,
) -> Result<Scan, PrescanError> {
    walk::walk(read, encoding, limits)
}

#[cfg(test)]
mod tests;
