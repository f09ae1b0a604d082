//! The proof that stands behind the originals of a study where they are sealed: a private block of two elements (PS3.5 7.8), of fixed length.

use super::agreement::PROOF;

/// (0401,0010), the creator, then (0401,1001), up to its value: explicit VR little endian.
const HEAD: &[u8] =
    b"\x01\x04\x10\x00LO\x0e\x00CAUSEWAY PROOF\x01\x04\x01\x10OB\x00\x00\x20\x00\x00\x00";

/// Attributes whose last tag is (0400,0550), with their proof.
pub(super) fn with(attributes: &[u8], proof: &[u8; PROOF]) -> Vec<u8> {
    [attributes, HEAD, proof].concat()
}

/// The attributes, and their proof; none where none stands.
pub(super) fn parts(plain: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, proof) = plain.split_at_checked(plain.len().checked_sub(PROOF)?)?;
    Some((rest.strip_suffix(HEAD)?, proof))
}
