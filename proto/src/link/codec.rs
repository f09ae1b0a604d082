//! Frames: type (u16, top bit = critical), length (u32), CBOR body; bodies of datasets as chunks; an incremental reader of both.

mod kind;
mod reader;
mod shape;
#[cfg(test)]
mod tests;

use minicbor::Encode;
use thiserror::Error;

pub use kind::{
    AGAIN_MAX, AGREEMENTS_MAX, KINDS, Kind, Message, NAME_MAX_BYTES, OPENED_MAX, OPTIONS_MAX,
    Place, QUERY_MAX_KEYS, REMARKS_MAX, REPORTS_MAX, SEALED_MAX_MISSING, SENTENCE_MAX_BYTES,
    Speaker, WORDS_MAX_BYTES, sentence,
};
pub use reader::{Part, Reader};

use super::close::Code;

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 6;
/// Set in the type of a message that its receiver must understand.
pub const CRITICAL: u16 = 0x8000;
/// Largest body of a message of the control stream, and of any message whose type is unknown.
pub const CONTROL_MAX_BYTES: u32 = 256 * 1024;
/// Largest body of the frame that begins or ends a stream with a dataset.
pub const HEAD_MAX_BYTES: u32 = 256 * 1024;
/// Largest body of a MANIFEST: more than 100,000 instances.
pub const MANIFEST_MAX_BYTES: u32 = 16 * 1024 * 1024;
/// Largest chunk of a dataset.
pub const CHUNK_MAX_BYTES: u32 = 256 * 1024;

/// What came is not this protocol, or not within its bounds.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum CodecError {
    /// A frame or chunk is longer than its bound. Found before any of it is kept.
    #[error("a {what} of {length} bytes, where {bound} are allowed")]
    TooLarge {
        /// The message, or "chunk".
        what: &'static str,
        /// What was announced, in bytes.
        length: u64,
        /// What is allowed, in bytes.
        bound: u64,
    },
    /// A critical message of a type that this version does not know.
    #[error("a message of the unknown critical type 0x{0:04x}")]
    UnknownCritical(u16),
    /// A stream began with a message of a type that this version does not know.
    #[error("a stream that begins with the unknown type 0x{0:04x}")]
    UnknownStream(u16),
    /// The body is not the CBOR of its message.
    #[error("a {0} that cannot be decoded")]
    Malformed(&'static str),
    /// A field is longer than its bound.
    #[error("a {message} whose field {field} is longer than its bound")]
    Field {
        /// The message.
        message: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A message that does not belong on this stream, or not from this side.
    #[error("a {0} where it has no place")]
    Misplaced(&'static str),
    /// Bytes after the end of a stream's content.
    #[error("bytes after the end of the stream's content")]
    Surplus,
    /// The stream ended in the middle of its content.
    #[error("the stream ended before its content was complete")]
    Truncated,
}

impl CodecError {
    /// The code with which the stream or connection is closed.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge { .. } | Self::Field { .. } => Code::TooLarge,
            Self::UnknownCritical(_) => Code::VersionUnsupported,
            Self::UnknownStream(_) => Code::UnknownType,
            Self::Malformed(_) => Code::Malformed,
            Self::Misplaced(_) | Self::Surplus => Code::ProtocolError,
            Self::Truncated => Code::Truncated,
        }
    }
}

/// Appends a message as one frame.
///
/// # Errors
/// When the message breaks a bound of its own; nothing is appended then.
pub fn encode(message: &Message, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let kind = message.kind();
    message.check()?;
    let start = out.len();
    out.extend_from_slice(&kind.code.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    let body = start.saturating_add(HEADER_BYTES);
    message.encode_body(out);
    let length = u32::try_from(out.len().saturating_sub(body)).unwrap_or(u32::MAX);
    if length > kind.max_bytes {
        out.truncate(start);
        return Err(CodecError::TooLarge {
            what: kind.name,
            length: u64::from(length),
            bound: u64::from(kind.max_bytes),
        });
    }
    let field = start.saturating_add(2)..body;
    if let Some(slot) = out.get_mut(field) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// The length word before a chunk of a dataset; 0 ends the dataset. The caller keeps chunks within [`CHUNK_MAX_BYTES`].
#[must_use]
pub fn chunk_header(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .unwrap_or(CHUNK_MAX_BYTES)
        .min(CHUNK_MAX_BYTES)
        .to_be_bytes()
}

/// Writing CBOR to memory does not fail; should an implementation ever say so, the body stays empty and the other side
/// answers MALFORMED.
fn append<T: Encode<()>>(value: &T, out: &mut Vec<u8>) {
    let start = out.len();
    let failed = minicbor::Encoder::new(&mut *out).encode(value).is_err();
    if failed {
        out.truncate(start);
    }
}
