//! What the site signs itself: the document that it files at home in the place of a signed one that names other UIDs.

use std::sync::{Arc, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use causeway_certs::record::RecordKey;

use super::{Keys, KeysError};

/// The site's signing key.
pub(super) struct Signing {
    pair: RsaKeyPair,
    certificate: Vec<u8>,
}

impl Keys {
    /// The certificate of the site's signing key, DER. Makes both when there are none, which takes a good part of a second: not for an
    /// async thread.
    ///
    /// # Errors
    /// When they cannot be read or made.
    pub fn signing_certificate(&self) -> Result<Vec<u8>, KeysError> {
        Ok(self.signing()?.certificate.clone())
    }

    /// Signs by RSA PKCS#1 v1.5 with SHA-256, as the site and never as a person.
    ///
    /// # Errors
    /// When the key cannot be read or made, or fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        let signing = self.signing()?;
        let mut out = vec![0; signing.pair.public_modulus_len()];
        signing
            .pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out)
            .ok()
            .ok_or(KeysError::Library("signing"))?;
        Ok(out)
    }

    fn signing(&self) -> Result<Arc<Signing>, KeysError> {
        let mut slot = self.signing_slot();
        if let Some(signing) = &*slot {
            return Ok(Arc::clone(signing));
        }
        let inner = &*self.inner;
        let key = RecordKey::signing(&inner.folder, &inner.clock, &inner.random)?;
        let pair = RsaKeyPair::from_pkcs8(&key.private)
            .ok()
            .ok_or(KeysError::Library("reading the signing key"))?;
        let signing = Arc::new(Signing {
            pair,
            certificate: key.certificate.to_vec(),
        });
        *slot = Some(Arc::clone(&signing));
        Ok(signing)
    }

    pub(super) fn signing_slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Signing>>> {
        self.inner
            .signing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
