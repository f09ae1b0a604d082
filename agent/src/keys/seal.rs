//! Originals sealed for the hospital alone: AES-256-CBC under a fresh key, which RSA carries (RFC 5652, PKCS #1 v1.5, the forms that
//! PS3.15 E.1 and its readers know).
//!
//! Nothing in this form proves where it came from: what opens is believed only together with what it belongs to.

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use causeway_certs::record::RecordKey;
use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::random::Random;
use dicom_dictionary_std::{tags, uids};
use zeroize::Zeroizing;

use super::KeysError;
use super::cms::{self, Envelope, Recipient};

/// The hospital's key, ready for use.
pub(super) struct Hospital {
    key: RecordKey,
    private: Pkcs1PrivateDecryptingKey,
    public: Pkcs1PublicEncryptingKey,
}

impl Hospital {
    pub(super) fn new(key: RecordKey) -> Result<Self, KeysError> {
        let refused = |_| KeysError::Library("reading the hospital's key");
        let private = PrivateDecryptingKey::from_pkcs8(&key.private)
            .ok()
            .and_then(|private| Pkcs1PrivateDecryptingKey::new(private).ok())
            .ok_or(KeysError::Library("reading the hospital's key"))?;
        let public = PublicEncryptingKey::from_der(&key.public).map_err(refused)?;
        let public = Pkcs1PublicEncryptingKey::new(public)
            .ok()
            .ok_or(KeysError::Library("reading the hospital's key"))?;
        Ok(Self {
            key,
            private,
            public,
        })
    }

    pub(super) fn seal(&self, plain: &[u8], random: &Random) -> Result<Vec<u8>, KeysError> {
        if !is_attributes(plain) {
            return Err(KeysError::NotAttributes);
        }
        let content_key = Zeroizing::new(random.bytes::<32>());
        let iv = random.bytes::<16>();
        let (content, carried) = self
            .encrypt(plain, &content_key, iv)
            .ok_or(KeysError::Library("sealing"))?;
        Ok(cms::write(&Envelope {
            recipients: vec![Recipient {
                issuer: self.key.issuer.clone(),
                serial: self.key.serial.clone(),
                carried,
            }],
            iv,
            content,
        }))
    }

    fn encrypt(&self, plain: &[u8], key: &[u8; 32], iv: [u8; 16]) -> Option<(Vec<u8>, Vec<u8>)> {
        let cipher = UnboundCipherKey::new(&AES_256, key).ok()?;
        let mut content = plain.to_vec();
        PaddedBlockEncryptingKey::cbc_pkcs7(cipher)
            .ok()?
            .less_safe_encrypt(
                &mut content,
                EncryptionContext::Iv128(FixedLength::from(iv)),
            )
            .ok()?;
        let mut carried = vec![0; self.public.ciphertext_size()];
        let length = self.public.encrypt(key, &mut carried).ok()?.len();
        carried.truncate(length);
        Some((content, carried))
    }

    /// A carried key that does not come out is replaced by a random one and the content is decrypted all the same (RFC 3218 2.3.2):
    /// neither the answer nor the time it takes tells which part was wrong.
    pub(super) fn open(&self, sealed: &[u8], random: &Random) -> Result<Vec<u8>, KeysError> {
        let envelope = cms::read(sealed).ok_or(KeysError::Sealed)?;
        let ours = |recipient: &&Recipient| {
            recipient.issuer == self.key.issuer && recipient.serial == self.key.serial
        };
        let recipients = &envelope.recipients;
        // a certificate made anew for the same key has another serial number
        let recipient = recipients.iter().find(ours).or_else(|| recipients.first());
        let recipient = recipient.ok_or(KeysError::Sealed)?;
        let mut content_key = Zeroizing::new(random.bytes::<32>());
        let mut room = Zeroizing::new(vec![0; self.private.min_output_size()]);
        if let Ok(key) = self.private.decrypt(&recipient.carried, &mut room)
            && key.len() == content_key.len()
        {
            content_key.copy_from_slice(key);
        }
        decrypt(envelope.content, &content_key, envelope.iv)
            .filter(|plain| is_attributes(plain))
            .ok_or(KeysError::Sealed)
    }
}

fn decrypt(mut content: Vec<u8>, key: &[u8; 32], iv: [u8; 16]) -> Option<Vec<u8>> {
    let cipher = UnboundCipherKey::new(&AES_256, key).ok()?;
    let length = PaddedBlockDecryptingKey::cbc_pkcs7(cipher)
        .ok()?
        .decrypt(
            &mut content,
            DecryptionContext::Iv128(FixedLength::from(iv)),
        )
        .ok()?
        .len();
    content.truncate(length);
    Some(content)
}

/// PS3.3 C.12.1.1.4: what is sealed holds the Modified Attributes Sequence. Padding alone would let one wrong key in 256 pass.
fn is_attributes(plain: &[u8]) -> bool {
    let Ok(syntax) = uids::EXPLICIT_VR_LITTLE_ENDIAN.parse::<TransferSyntaxUid>() else {
        return false;
    };
    let dataset = Dataset::read(plain, &syntax).ok();
    let modified = dataset
        .as_ref()
        .and_then(|dataset| dataset.get(tags::MODIFIED_ATTRIBUTES_SEQUENCE));
    modified
        .is_some_and(|element| matches!(&element.value, Value::Items(items) if items.len() == 1))
}
