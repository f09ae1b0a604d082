//! The report as DICOM Enhanced SR (PS3.3 A.35.2) by TID 2000, in explicit VR little endian and UTF-8.

use dicom_core::Tag;
use thiserror::Error;

use super::model::{Code, Report};
use crate::dataset::{Dataset, ReadError};
use crate::ids::{SopClassUid, SopInstanceUid, TransferSyntaxUid};

mod decode;
mod header;
mod item;
mod tree;

/// Enhanced SR Storage.
pub const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.88.22";
/// The syntax of [`to_bytes`] and [`from_bytes`].
pub const TRANSFER_SYNTAX: &str = "1.2.840.10008.1.2.1";
/// Implementation Class UID of files that Causeway writes, made once from random bits (PS3.5 B.2).
pub const IMPLEMENTATION_CLASS: &str = "2.25.111603436711711926477584754389754057355";
/// Implementation Version Name of files that Causeway writes.
pub const IMPLEMENTATION_VERSION: &str = "CAUSEWAY_1";

/// Why a dataset is not a report that this program wrote.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not readable at all.
    #[error("the document is not readable")]
    Read(#[from] ReadError),
    /// An attribute or content item that every report has is missing or not legal.
    #[error("the document is not a report of ours: {0}")]
    NotOurs(&'static str),
}

/// The dataset of a report, unsigned.
#[must_use]
pub fn encode(report: &Report) -> Dataset {
    let mut dataset = Dataset::new();
    header::put(&mut dataset, report);
    tree::put(&mut dataset, report);
    dataset
}

/// The report of a dataset that [`encode`] made, signed or not, and re-identified or not.
///
/// # Errors
/// [`DecodeError::NotOurs`] names what is missing.
pub fn decode(dataset: &Dataset) -> Result<Report, DecodeError> {
    decode::report(dataset)
}

/// The dataset as bytes without group 0002, in [`TRANSFER_SYNTAX`].
#[must_use]
pub fn to_bytes(dataset: &Dataset) -> Vec<u8> {
    dataset.write()
}

/// Reads what [`to_bytes`] wrote.
///
/// # Errors
/// [`ReadError`] when it is malformed or breaks a bound.
pub fn from_bytes(bytes: &[u8]) -> Result<Dataset, ReadError> {
    read_in(bytes, TRANSFER_SYNTAX)
}

/// A code sequence of one item, for the signature's purpose.
pub(super) fn code_item(code: &Code) -> Vec<Dataset> {
    item::code(code)
}

/// Reads a dataset in a syntax given by a literal.
fn read_in(bytes: &[u8], syntax: &str) -> Result<Dataset, ReadError> {
    let Ok(syntax) = syntax.parse::<TransferSyntaxUid>() else {
        return Err(ReadError::Malformed);
    };
    Dataset::read(bytes, &syntax)
}

/// A file (PS3.10 7.1) around a dataset of [`to_bytes`], whose class and instance it reads from the dataset.
///
/// # Errors
/// [`ReadError`] when the bytes are no dataset or name no instance.
pub fn part10(bytes: &[u8]) -> Result<Vec<u8>, ReadError> {
    let dataset = from_bytes(bytes)?;
    let class: SopClassUid = dataset
        .code(Tag(0x0008, 0x0016))
        .parse()
        .ok()
        .ok_or(ReadError::Malformed)?;
    let instance: SopInstanceUid = dataset
        .code(Tag(0x0008, 0x0018))
        .parse()
        .ok()
        .ok_or(ReadError::Malformed)?;
    let mut file = header::file_head(class.as_str(), instance.as_str(), TRANSFER_SYNTAX);
    file.extend(bytes);
    Ok(file)
}

#[cfg(test)]
mod tests;
