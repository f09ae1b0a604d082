//! Wrapping with AES-256-GCM: `nonce ‖ ciphertext ‖ tag`, in hexadecimal, bound to a context so that nothing can be moved.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use causeway_proto::random::Random;
use zeroize::Zeroizing;

use super::SignError;

/// 256 bits that open something.
pub(super) type Key = Zeroizing<[u8; 32]>;

fn key(bytes: &Key) -> Result<LessSafeKey, SignError> {
    UnboundKey::new(&AES_256_GCM, bytes.as_slice())
        .map(LessSafeKey::new)
        .or(Err(SignError::Failed))
}

pub(super) fn wrap(
    with: &Key,
    context: &str,
    secret: &[u8],
    random: &Random,
) -> Result<String, SignError> {
    let nonce: [u8; NONCE_LEN] = random.bytes();
    let mut sealed = secret.to_vec();
    key(with)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context.as_bytes()),
            &mut sealed,
        )
        .or(Err(SignError::Failed))?;
    let mut out = nonce.to_vec();
    out.extend(sealed);
    Ok(hex::encode(out))
}

/// None: the key is another, or the text was changed or belongs elsewhere.
pub(super) fn unwrap(with: &Key, context: &str, wrapped: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = hex::decode(wrapped).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
    let mut open = Zeroizing::new(sealed.to_vec());
    let length = key(with)
        .ok()?
        .open_in_place(
            Nonce::try_assume_unique_for_key(nonce).ok()?,
            Aad::from(context.as_bytes()),
            &mut open,
        )
        .ok()?
        .len();
    open.truncate(length);
    Some(open)
}
