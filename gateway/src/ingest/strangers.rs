//! What this room reads of an instance: for proofs that no bytes break it.

use bytes::Bytes;
use causeway_proto::ids::TransferSyntaxUid;

use super::index::{Content, index};

/// The index of a dataset. What comes of it is JSON.
pub fn dataset(bytes: &[u8], syntax: &TransferSyntaxUid) {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let bytes = Bytes::copy_from_slice(bytes);
    let open = || Ok(Content::Memory(bytes.clone()));
    if let Ok(indexed) = index(open, length, syntax) {
        let parsed = serde_json::from_str::<serde_json::Value>(&indexed.metadata);
        assert!(parsed.is_ok(), "metadata that are no JSON");
    }
}
