//! The bytes of one instance on their way from its stream to `ingest`, in pieces; records are undone on the way.

use bytes::BytesMut;
use causeway_proto::coding::Decoder;
use causeway_proto::link::upload::Landing;

use super::{Cut, Why};
use crate::ingest::{Incoming, IngestError};

/// How much is collected before a file is touched, in bytes: one packet at a time would cost four fifths of the speed.
pub(super) const COLLECT_BYTES: usize = 256 * 1024;
/// From so many on they are collected as one piece: shorter objects take no more memory than they have bytes.
const SHORT_BYTES: usize = 64 * 1024;
/// How much more than [`COLLECT_BYTES`] a piece may become before it has to be moved.
const SLACK_BYTES: usize = 16 * 1024;

pub(super) async fn append(incoming: &mut Incoming, collected: &mut BytesMut) -> Result<(), Cut> {
    let full = collected.split().freeze();
    Ok(incoming.append(full).await?)
}

/// Takes bytes of a stream: as they are, or for [`undo`].
pub(super) fn take_data(
    bytes: &[u8],
    decoder: &mut Option<Decoder>,
    landing: &mut Landing,
    collected: &mut BytesMut,
) -> Result<(), Cut> {
    match decoder {
        Some(decoder) => decoder.push(bytes),
        None => {
            counted(landing, bytes.len())?;
            let length = collected.len().saturating_add(bytes.len());
            if length > SHORT_BYTES {
                let whole = COLLECT_BYTES + SLACK_BYTES;
                collected.reserve(whole.max(length) - collected.len());
            }
            collected.extend_from_slice(bytes);
        }
    }
    Ok(())
}

fn counted(landing: &mut Landing, bytes: usize) -> Result<(), Cut> {
    let text = "more bytes than any instance has".to_owned();
    landing
        .data(bytes)
        .map_err(|code| Cut::Refused(Why::Stream(code, text)))
}

/// Appends what the records that have come stand for, and stops when that is enough to be written: a few bytes may stand for very many.
/// Answers whether it stopped for that.
pub(super) fn undo(
    decoder: &mut Option<Decoder>,
    landing: &mut Landing,
    collected: &mut BytesMut,
) -> Result<bool, Cut> {
    let Some(decoder) = decoder else {
        return Ok(false);
    };
    let garbled = |_| Cut::from(IngestError::Garbled);
    // a record is undone within a millisecond or two: shorter than handing it to another thread would pay for
    while let Some(undone) = decoder.next_bytes().map_err(garbled)? {
        counted(landing, undone.len())?;
        match undone.try_into_mut() {
            // most records are a whole piece
            Ok(undone) if collected.is_empty() => *collected = undone,
            Ok(undone) => collected.extend_from_slice(&undone),
            Err(undone) => collected.extend_from_slice(&undone),
        }
        if collected.len() >= COLLECT_BYTES {
            return Ok(true);
        }
    }
    Ok(false)
}
