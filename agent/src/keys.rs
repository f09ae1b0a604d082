//! The keys of the site: one for each agreement, and the hospital's own. Pseudonyms are made with them and originals sealed; no
//! key ever leaves the site but in an export under a passphrase.

mod agreement;
mod bundle;
mod cms;
mod error;
mod placeholder;
mod proof;
mod seal;
mod sign;

use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_certs::keep;
use causeway_certs::record::RecordKey;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{AgreementId, Pseudonym};
use causeway_proto::random::Random;
use causeway_proto::time::Clock;

use agreement::AgreementKey;

pub use agreement::UidPurpose;
pub use bundle::MIN_PASSPHRASE;
pub use error::KeysError;
pub use placeholder::is_placeholder;

/// Whether bytes are an envelope of sealed originals: for proofs that none break its decoder.
#[doc(hidden)]
#[must_use]
pub fn is_envelope(bytes: &[u8]) -> bool {
    cms::read(bytes).is_some()
}

#[cfg(test)]
mod tests;

/// The keys of this site. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    random: Random,
    clock: Clock,
    agreements: Mutex<HashMap<AgreementId, Arc<AgreementKey>>>,
    hospital: Mutex<Option<Arc<seal::Hospital>>>,
    signing: Mutex<Option<Arc<sign::Signing>>>,
}

impl Keys {
    /// The keys in `folder`, which is made when it is missing. Each key is made when it is first needed.
    ///
    /// # Errors
    /// When the folder cannot be used, or others than its owner can read a secret in it.
    pub fn open(folder: &Path, random: Random, clock: Clock) -> Result<Self, KeysError> {
        keep::folder(folder)?;
        if let Some(path) = exposed(folder).map_err(KeysError::Folder)? {
            return Err(KeysError::Exposed(path));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                folder: folder.to_owned(),
                random,
                clock,
                agreements: Mutex::default(),
                hospital: Mutex::default(),
                signing: Mutex::default(),
            }),
        })
    }

    /// What the gateway may know of received content: a digest that it cannot confirm a guess with. The same through every rotation,
    /// so that an object on its way when the key is rotated stays the same object to the gateway.
    ///
    /// # Errors
    /// When the agreement's key cannot be read or made.
    pub fn source_tag(
        &self,
        agreement: &AgreementId,
        source: &Digest,
    ) -> Result<Digest, KeysError> {
        Ok(self.agreement(agreement)?.source_tag(source))
    }

    /// What stands for a patient under this agreement: always the same for one issuer and ID, until the key is rotated. Ask once for a
    /// study and keep the answer in its row, or a rotation would part its objects.
    ///
    /// # Errors
    /// When the agreement's key cannot be read or made.
    pub fn pseudonym(
        &self,
        agreement: &AgreementId,
        issuer: &str,
        patient_id: &str,
    ) -> Result<Pseudonym, KeysError> {
        Ok(self.agreement(agreement)?.pseudonym(issuer, patient_id))
    }

    /// What stands for the patient of a study whose identity is not established (P2): no other study has it.
    ///
    /// # Errors
    /// When the agreement's key cannot be read or made.
    pub fn study_pseudonym(
        &self,
        agreement: &AgreementId,
        study_uid: &str,
    ) -> Result<Pseudonym, KeysError> {
        Ok(self.agreement(agreement)?.study_pseudonym(study_uid))
    }

    /// By how many days the dates of a patient are put back under this agreement (P11), 1 to 3,650: as constant as his pseudonym, and
    /// to be kept as it is.
    ///
    /// # Errors
    /// When the agreement's key cannot be read or made.
    pub fn date_shift(
        &self,
        agreement: &AgreementId,
        issuer: &str,
        patient_id: &str,
    ) -> Result<u16, KeysError> {
        Ok(self.agreement(agreement)?.date_shift(issuer, patient_id))
    }

    /// The same for a study whose identity is not established (P2).
    ///
    /// # Errors
    /// When the agreement's key cannot be read or made.
    pub fn study_date_shift(
        &self,
        agreement: &AgreementId,
        study_uid: &str,
    ) -> Result<u16, KeysError> {
        Ok(self.agreement(agreement)?.study_date_shift(study_uid))
    }

    /// What stands for another identifier: 15 characters, `CX` first. Values of another kind never share one.
    ///
    /// # Errors
    /// When the agreement's key cannot be read or made.
    pub fn token(
        &self,
        agreement: &AgreementId,
        kind: &str,
        value: &str,
    ) -> Result<String, KeysError> {
        Ok(self.agreement(agreement)?.token(kind, value))
    }

    /// What stands for a UID of the site, or at home for one of the gateway's: the same through every rotation, because what is here and
    /// what is there refer to one another by it.
    ///
    /// # Errors
    /// When the agreement's key cannot be read or made.
    pub fn uid(
        &self,
        agreement: &AgreementId,
        purpose: UidPurpose,
        uid: &str,
    ) -> Result<String, KeysError> {
        Ok(self.agreement(agreement)?.uid(purpose, uid))
    }

    /// Gives an agreement a new key; answers its generation. From then on patients have other pseudonyms, so that new studies find none
    /// of their priors at the gateway; what left before stays restorable from the rows and from its sealed originals.
    /// Only while no agent runs on this folder: a running one keeps the key that it has read.
    ///
    /// # Errors
    /// When the agreement has no key here, or the new one cannot be written.
    pub fn rotate(&self, agreement: &AgreementId) -> Result<usize, KeysError> {
        let mut known = self.agreements();
        let rotated = AgreementKey::rotate(&self.inner.folder, agreement, &self.inner.random)?;
        let generation = rotated.generations();
        known.insert(agreement.clone(), Arc::new(rotated));
        Ok(generation)
    }

    fn agreement(&self, agreement: &AgreementId) -> Result<Arc<AgreementKey>, KeysError> {
        let mut known = self.agreements();
        if let Some(key) = known.get(agreement) {
            return Ok(Arc::clone(key));
        }
        let key = AgreementKey::open_or_make(&self.inner.folder, agreement, &self.inner.random)?;
        let key = Arc::new(key);
        known.insert(agreement.clone(), Arc::clone(&key));
        Ok(key)
    }

    fn agreements(&self) -> MutexGuard<'_, HashMap<AgreementId, Arc<AgreementKey>>> {
        self.inner
            .agreements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The hospital's certificate, PEM; makes it and its key when there are none, which takes a good part of a second: not for an
    /// async thread.
    ///
    /// # Errors
    /// When they cannot be read or made.
    pub fn hospital_certificate(&self) -> Result<String, KeysError> {
        self.hospital_made()?;
        let path = self.inner.folder.join(causeway_certs::record::CERTIFICATE);
        Ok(keep::read(&path)?.unwrap_or_default())
    }

    /// Seals an Encrypted Attributes Data Set (explicit VR little endian, Modified Attributes Sequence) for this hospital alone:
    /// CMS EnvelopedData, DER.
    ///
    /// # Errors
    /// When the bytes are no such dataset, or the hospital's key cannot be read or made.
    pub fn seal(&self, attributes: &[u8]) -> Result<Vec<u8>, KeysError> {
        self.hospital_made()?.seal(attributes, &self.inner.random)
    }

    /// Opens what [`Self::seal`] or `openssl cms -encrypt` made for this hospital. A padding byte after it, as an element of even
    /// length may have, is let be.
    ///
    /// # Errors
    /// [`KeysError::Sealed`] whatever is wrong with it; others when the hospital's key is missing or cannot be read.
    pub fn open_sealed(&self, sealed: &[u8]) -> Result<Vec<u8>, KeysError> {
        let hospital = self.hospital()?.ok_or(KeysError::NoHospital)?;
        hospital.open(sealed, &self.inner.random)
    }

    /// Seals the originals of a study as [`Self::seal`] does, with a proof beside them that this site sealed them, for this study and
    /// under this agreement: the gateway holds the sealed sets of all studies, and whoever knows the hospital's certificate can seal.
    ///
    /// # Errors
    /// Those of [`Self::seal`], and when the agreement's key cannot be read or made.
    pub fn seal_study(
        &self,
        agreement: &AgreementId,
        study_uid: &str,
        attributes: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        let proof = self.agreement(agreement)?.proof(study_uid, attributes);
        self.seal(&proof::with(attributes, &proof))
    }

    /// Opens what [`Self::seal_study`] sealed for this study, and nothing else.
    ///
    /// # Errors
    /// [`KeysError::Sealed`] when it does not open or is not proved; others when a key is missing or cannot be read.
    pub fn open_study(
        &self,
        agreement: &AgreementId,
        study_uid: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        let mut plain = self.open_sealed(sealed)?;
        let (attributes, proof) = proof::parts(&plain).ok_or(KeysError::Sealed)?;
        if !self
            .agreement(agreement)?
            .proves(study_uid, attributes, proof)
        {
            return Err(KeysError::Sealed);
        }
        plain.truncate(attributes.len());
        Ok(plain)
    }

    /// Every key of agreements and of the hospital, under a passphrase. The agent's own certificate is not among them: a new agent
    /// enrols anew. Takes a good part of a second.
    ///
    /// # Errors
    /// When the passphrase is short, there is no hospital's key yet, or a key cannot be read.
    pub fn export(&self, passphrase: &str) -> Result<Vec<u8>, KeysError> {
        self.hospital()?.ok_or(KeysError::NoHospital)?;
        bundle::export(&self.inner.folder, passphrase, &self.inner.random)
    }

    /// Takes in what [`Self::export`] gave; answers how many files it wrote. Only while no agent runs on this folder.
    ///
    /// # Errors
    /// When passphrase or bytes are wrong, or another key stands here already: nothing is then written.
    pub fn import(&self, bytes: &[u8], passphrase: &str) -> Result<usize, KeysError> {
        let written = bundle::import(&self.inner.folder, bytes, passphrase, &self.inner.random)?;
        self.agreements().clear();
        *self.hospital_slot() = None;
        *self.signing_slot() = None;
        Ok(written)
    }

    /// The hospital's key, when there is one: nothing but sealing makes it, or an import would find another in its place.
    fn hospital(&self) -> Result<Option<Arc<seal::Hospital>>, KeysError> {
        let mut slot = self.hospital_slot();
        if slot.is_none() {
            let key = RecordKey::open(&self.inner.folder)?;
            *slot = key.map(seal::Hospital::new).transpose()?.map(Arc::new);
        }
        Ok(slot.clone())
    }

    fn hospital_made(&self) -> Result<Arc<seal::Hospital>, KeysError> {
        if let Some(hospital) = self.hospital()? {
            return Ok(hospital);
        }
        let mut slot = self.hospital_slot();
        let Inner {
            folder,
            clock,
            random,
            ..
        } = &*self.inner;
        let key = RecordKey::open_or_create(folder, clock, random)?;
        let hospital = Arc::new(seal::Hospital::new(key)?);
        *slot = Some(Arc::clone(&hospital));
        Ok(hospital)
    }

    fn hospital_slot(&self) -> MutexGuard<'_, Option<Arc<seal::Hospital>>> {
        self.inner
            .hospital
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first secret of the folder, or the folder itself, that others than its owner can read.
fn exposed(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    if std::fs::metadata(folder)?.permissions().mode() & 0o077 != 0 {
        return Ok(Some(folder.to_owned()));
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let secret = entry.path().extension().is_some_and(|e| e == "key");
        if secret && entry.metadata()?.permissions().mode() & 0o077 != 0 {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}
