//! The header of an instance as rows and as DICOM JSON, made once, at ingest.

mod facts;
mod json;
mod pick;
mod pixels;
mod protection;
mod source;
mod text;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

use std::io;

use causeway_proto::element::Encoding;
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::link::message::Instance;
use causeway_proto::prescan::{Limits, PrescanError, prescan};
use causeway_proto::report::model::Protection;
use thiserror::Error;

use crate::archive::frames::Frames;
pub(crate) use facts::Facts;
pub(crate) use json::little_endian;

pub(crate) use source::Content;

/// A deflated dataset is inflated to at most this, and to at most 200 times its own length and 1 MiB.
pub(crate) const MAX_INFLATED: u64 = 512 << 20;

/// Why a dataset could not be indexed. Such an instance is kept in quarantine with this sentence.
#[derive(Debug, Error)]
pub(crate) enum IndexError {
    /// The disk failed; says nothing about the dataset.
    #[error("reading the dataset failed")]
    Read(#[source] io::Error),
    /// The prescan refused it.
    #[error(transparent)]
    Prescan(PrescanError),
    /// The data end inside an element.
    #[error("the dataset ends inside an element")]
    Truncated,
    /// An item or delimiter out of place.
    #[error("item or delimiter out of place")]
    Delimiter,
    /// Too much of something.
    #[error("more {0} than a header may have")]
    Limit(&'static str),
    /// Inflates to more than may be.
    #[error("the deflated dataset inflates to more than {0} bytes")]
    Inflates(u64),
    /// Does not inflate.
    #[error("the deflated dataset is damaged")]
    Deflate,
    /// The dataset calls itself something else than the message that brought it.
    #[error("the {0} in the dataset is not the one that was announced")]
    Differs(&'static str),
    /// Indexing itself failed.
    #[error("the dataset could not be indexed")]
    Failed,
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::Deflate,
            _ => Self::Read(error),
        }
    }
}

/// What indexing found.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) facts: Facts,
    /// DICOM JSON without bulk data.
    pub(crate) metadata: String,
    pub(crate) frames: Frames,
    /// What the header says of its de-identification.
    pub(crate) protection: Option<Protection>,
    /// Places in the text that have no meaning in the character sets that the header names.
    pub(crate) undecodable: usize,
}

impl Indexed {
    /// Checks that the dataset is what `message` announced.
    pub(crate) fn of(self, message: &Instance) -> Result<Self, IndexError> {
        let facts = &self.facts;
        for (name, found, announced) in [
            ("Study Instance UID", &facts.study, message.study.as_str()),
            (
                "Series Instance UID",
                &facts.series,
                message.series.as_str(),
            ),
            (
                "SOP Instance UID",
                &facts.instance,
                message.instance.as_str(),
            ),
            ("SOP Class UID", &facts.class, message.class.as_str()),
        ] {
            if found != announced {
                return Err(IndexError::Differs(name));
            }
        }
        Ok(self)
    }
}

/// How far a deflated dataset of this length may be inflated.
pub(crate) fn inflated_limit(length: u64) -> u64 {
    length
        .saturating_mul(200)
        .saturating_add(1 << 20)
        .min(MAX_INFLATED)
}

/// Indexes a dataset of `length` bytes. `open` gives its content, from the beginning, each time.
///
/// # Errors
/// See [`IndexError`].
pub(crate) fn index(
    open: impl Fn() -> io::Result<Content>,
    length: u64,
    syntax: &TransferSyntaxUid,
) -> Result<Indexed, IndexError> {
    let limits = Limits {
        total_bytes: Some(length),
        ..Limits::default()
    };
    match prescan(open().map_err(IndexError::Read)?, syntax, &limits) {
        Ok(_) => {}
        Err(PrescanError::Read(error)) => return Err(IndexError::Read(error)),
        Err(error) => return Err(IndexError::Prescan(error)),
    }
    let (encoding, deflated) = Encoding::of(syntax);
    let content = open().map_err(IndexError::Read)?;
    let limit = inflated_limit(length);
    let source = if deflated {
        source::Source::deflated(content, limit)
    } else {
        source::Source::plain(content)
    };
    let walked = walk::walk(source, encoding).map_err(|error| match error {
        IndexError::Truncated if deflated => IndexError::Inflates(limit),
        other => other,
    })?;
    let Ok(root) = pick::pick(&walked.json) else {
        return Err(IndexError::Failed);
    };
    let facts = Facts::of(&root);
    let frames = pixels::frames(walked.pixels, &walked.extended, &facts);
    let protection = protection::of(&root, walked.sealed);
    Ok(Indexed {
        facts,
        metadata: walked.json,
        frames,
        protection,
        undecodable: walked.undecodable,
    })
}
