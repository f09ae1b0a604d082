//! The key of one agreement, with its generations, and everything that is derived from it.
//!
//! The file has one line for each generation, the newest last: 64 hexadecimal digits.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use causeway_certs::keep;
use causeway_proto::digest::Digest;
use causeway_proto::ids::{AgreementId, Pseudonym, spoken};
use causeway_proto::random::Random;
use zeroize::Zeroizing;

use super::KeysError;

/// More were never meant, and a file that has more is not ours.
const MAX_GENERATIONS: usize = 1_000;
/// Dates are put back by ten years at most: devices and guidelines still fit the time that they seem to be of.
const MOST_DAYS: u64 = 3_650;

/// The keys of one agreement.
pub(super) struct AgreementKey {
    generations: usize,
    tag: hmac::Key,
    pseudonym: hmac::Key,
    study: hmac::Key,
    token: hmac::Key,
    shift: hmac::Key,
    study_shift: hmac::Key,
    proof: hmac::Key,
    uid: hmac::Key,
}

impl AgreementKey {
    /// The key in `folder`, made when it is missing.
    pub(super) fn open_or_make(
        folder: &Path,
        agreement: &AgreementId,
        random: &Random,
    ) -> Result<Self, KeysError> {
        let path = path(folder, agreement);
        let text = match read(&path)? {
            Some(text) => text,
            None => {
                // another process may be first: whoever names the file wins, and everybody reads that one
                keep::create(&path, &random.token(), &draw(random))?;
                read(&path)?.unwrap_or_default()
            }
        };
        Self::parse(&text).ok_or(KeysError::Malformed(path))
    }

    /// Adds a generation to the key in `folder`.
    pub(super) fn rotate(
        folder: &Path,
        agreement: &AgreementId,
        random: &Random,
    ) -> Result<Self, KeysError> {
        let path = path(folder, agreement);
        let mut text = read(&path)?.ok_or(KeysError::NoAgreement)?;
        if Self::parse(&text).is_none() {
            return Err(KeysError::Malformed(path));
        }
        text.push_str(&draw(random));
        let rotated = Self::parse(&text).ok_or_else(|| KeysError::Malformed(path.clone()))?;
        keep::replace(&path, &random.token(), &text)?;
        Ok(rotated)
    }

    /// From the text of its file.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut keys = Vec::new();
        for line in text.lines() {
            let mut key = Zeroizing::new([0; 32]);
            hex::decode_to_slice(line, &mut *key).ok()?;
            keys.push(key);
        }
        let (first, newest) = (keys.first()?, keys.last()?);
        if keys.len() > MAX_GENERATIONS || !text.ends_with('\n') {
            return None;
        }
        Some(Self {
            generations: keys.len(),
            tag: hmac::Key::new(hmac::HMAC_SHA256, &**first),
            pseudonym: derived(newest, "pseudonym"),
            study: derived(newest, "study pseudonym"),
            token: derived(newest, "token"),
            shift: derived(newest, "date shift"),
            study_shift: derived(newest, "study date shift"),
            // what was proved once stays proved: no rotation changes it
            proof: derived(first, "sealed originals"),
            // an object on its way, and what refers to it, stays the same through a rotation
            uid: derived(first, "uid"),
        })
    }

    /// How many generations there are.
    pub(super) fn generations(&self) -> usize {
        self.generations
    }

    /// HMAC-SHA256(first agreement key, source digest). Derived keys are made from labels, never 32 bytes long, so the two never meet.
    pub(super) fn source_tag(&self, source: &Digest) -> Digest {
        Digest(mac(&self.tag, &source.0))
    }

    pub(super) fn pseudonym(&self, issuer: &str, patient_id: &str) -> Pseudonym {
        let parts = [significant(issuer), significant(patient_id)];
        Pseudonym::of(&mac(&self.pseudonym, &prefixed(&parts)))
    }

    pub(super) fn study_pseudonym(&self, study_uid: &str) -> Pseudonym {
        Pseudonym::of(&mac(&self.study, &prefixed(&[significant(study_uid)])))
    }

    /// In days, never none.
    pub(super) fn date_shift(&self, issuer: &str, patient_id: &str) -> u16 {
        let parts = [significant(issuer), significant(patient_id)];
        days(mac(&self.shift, &prefixed(&parts)))
    }

    pub(super) fn study_date_shift(&self, study_uid: &str) -> u16 {
        days(mac(&self.study_shift, &prefixed(&[significant(study_uid)])))
    }

    /// What stands for a UID, by its purpose: a UUID as a UID (PS3.5 B.2), of version 8 (RFC 9562 5.8), whose other 122 bits nobody
    /// can tell from chance without the key.
    pub(super) fn uid(&self, purpose: UidPurpose, uid: &str) -> String {
        let mac = mac(&self.uid, &prefixed(&[purpose.label(), significant(uid)]));
        let mut half = [0; 16];
        half.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        half[6] = half[6] & 0x0F | 0x80;
        half[8] = half[8] & 0x3F | 0x80;
        format!("2.25.{}", u128::from_be_bytes(half))
    }

    pub(super) fn token(&self, kind: &str, value: &str) -> String {
        let parts = [kind, significant(value)];
        spoken("CX", &mac(&self.token, &prefixed(&parts)))
    }
}

impl AgreementKey {
    /// Shows that originals were sealed here, and of which study.
    pub(super) fn proof(&self, study_uid: &str, originals: &[u8]) -> [u8; PROOF] {
        mac(&self.proof, &proved(study_uid, originals))
    }

    /// Whether `proof` is the one of [`Self::proof`].
    pub(super) fn proves(&self, study_uid: &str, originals: &[u8], proof: &[u8]) -> bool {
        hmac::verify(&self.proof, &proved(study_uid, originals), proof).is_ok()
    }
}

/// What a UID of ours is for; those of one purpose never meet those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UidPurpose {
    /// Leaves in the place of a UID of the site.
    Leaves,
    /// Names at home what a signed report, its series or its signature is named elsewhere.
    Home,
}

impl UidPurpose {
    fn label(self) -> &'static str {
        match self {
            Self::Leaves => "leaves",
            Self::Home => "home",
        }
    }
}

/// Length of a proof.
pub(super) const PROOF: usize = 32;

fn proved(study_uid: &str, originals: &[u8]) -> Vec<u8> {
    let mut bytes = prefixed(&[significant(study_uid)]);
    bytes.extend(originals);
    bytes
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementKey")
    }
}

/// The name is a digest: what the gateway calls an agreement never becomes part of a path (house.md rule 6).
fn path(folder: &Path, agreement: &AgreementId) -> PathBuf {
    let name = Digest::of(agreement.as_str().as_bytes());
    folder.join(format!("agreement-{name}.key"))
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, KeysError> {
    Ok(keep::read_secret(path)?.map(Zeroizing::new))
}

fn draw(random: &Random) -> Zeroizing<String> {
    let key = Zeroizing::new(random.bytes::<32>());
    let mut line = Zeroizing::new(hex::encode(*key));
    line.push('\n');
    line
}

fn derived(key: &[u8; 32], label: &str) -> hmac::Key {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let derived = Zeroizing::new(mac(&key, label.as_bytes()));
    hmac::Key::new(hmac::HMAC_SHA256, &*derived)
}

fn mac(key: &hmac::Key, bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(key, bytes).as_ref());
    out
}

/// One of 3,650 days, all as likely to one part in 2^52.
fn days(mac: [u8; 32]) -> u16 {
    let [a, b, c, d, e, f, g, h, ..] = mac;
    let drawn = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % MOST_DAYS;
    u16::try_from(drawn + 1).unwrap_or(1)
}

/// Each part after its length, so that no two lists of parts give the same bytes.
fn prefixed(parts: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend((part.len() as u64).to_be_bytes());
        out.extend(part.as_bytes());
    }
    out
}

/// PS3.5 6.2: spaces at both ends of LO and SH carry no meaning; nor does padding.
fn significant(text: &str) -> &str {
    text.trim_matches([' ', '\0'])
}
