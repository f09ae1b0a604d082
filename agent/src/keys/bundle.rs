//! All keys in one file under a passphrase: a dead disk must not make signed reports unfileable.
//!
//! `causeway keys 1\n`, 16 bytes of salt, 12 bytes of nonce, then JSON under AES-256-GCM with a key that Argon2id made of the
//! passphrase (RFC 9106: 64 MiB, 3 passes). What stands before the JSON is authenticated with it.

use std::collections::BTreeMap;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use causeway_certs::keep;
use causeway_certs::record::{CERTIFICATE, KEY, RecordKey, SIGNING_CERTIFICATE, SIGNING_KEY};
use causeway_proto::digest::Digest;
use causeway_proto::random::Random;
use zeroize::Zeroizing;

use super::KeysError;
use super::agreement::AgreementKey;

/// A shorter passphrase is refused.
pub const MIN_PASSPHRASE: usize = 12;

const MAGIC: &[u8; 16] = b"causeway keys 1\n";
const SALT: usize = 16;
const NONCE: usize = 12;
const HEAD: usize = MAGIC.len() + SALT + NONCE;
/// Thousands of agreements are far below this.
const MAX_BYTES: usize = 16 << 20;
/// Which files, by name; the text of each.
type Files = BTreeMap<String, Zeroizing<String>>;

pub(super) fn export(
    folder: &Path,
    passphrase: &str,
    random: &Random,
) -> Result<Vec<u8>, KeysError> {
    if passphrase.chars().count() < MIN_PASSPHRASE {
        return Err(KeysError::Passphrase(MIN_PASSPHRASE));
    }
    let files = files(folder)?;
    let plain: BTreeMap<&str, &str> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let mut body = Zeroizing::new(serde_json::to_vec(&plain).unwrap_or_default());
    let mut out = MAGIC.to_vec();
    out.extend(random.bytes::<SALT>());
    out.extend(random.bytes::<NONCE>());
    let (key, nonce) = opener(&out, passphrase).ok_or(KeysError::Library("exporting keys"))?;
    key.seal_in_place_append_tag(nonce, Aad::from(&out), &mut *body)
        .ok()
        .ok_or(KeysError::Library("exporting keys"))?;
    out.extend(body.iter());
    Ok(out)
}

pub(super) fn import(
    folder: &Path,
    bytes: &[u8],
    passphrase: &str,
    random: &Random,
) -> Result<usize, KeysError> {
    let files = open(bytes, passphrase).ok_or(KeysError::Bundle)?;
    let mut fresh = Vec::new();
    for (name, text) in &files {
        let path = folder.join(name);
        let present = keep::read(&path)?.map(Zeroizing::new);
        match present.as_deref() {
            None => fresh.push((path, text)),
            // a generation more or less of the same key: the longer one has everything
            Some(present) if present.starts_with(text.as_str()) => {}
            Some(present) if text.starts_with(present.as_str()) => fresh.push((path, text)),
            Some(_) => return Err(KeysError::Different(path)),
        }
    }
    for (path, text) in &fresh {
        keep::replace(path, &random.token(), text)?;
    }
    Ok(fresh.len())
}

/// Every key and the certificate as they stand in the folder.
fn files(folder: &Path) -> Result<Files, KeysError> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).map_err(KeysError::Folder)? {
        let path = entry.map_err(KeysError::Folder)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if !is_ours(name) {
            continue;
        }
        let text = if [CERTIFICATE, SIGNING_CERTIFICATE].contains(&name) {
            keep::read(&path)?
        } else {
            keep::read_secret(&path)?
        };
        files.insert(name.to_owned(), Zeroizing::new(text.unwrap_or_default()));
    }
    if !are_good(&files) {
        return Err(KeysError::Malformed(folder.to_owned()));
    }
    Ok(files)
}

fn open(bytes: &[u8], passphrase: &str) -> Option<Files> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let (head, body) = bytes.split_at_checked(HEAD)?;
    let (key, nonce) = opener(head, passphrase)?;
    let mut body = Zeroizing::new(body.to_vec());
    let plain = key.open_in_place(nonce, Aad::from(head), &mut body).ok()?;
    let files: BTreeMap<String, String> = serde_json::from_slice(plain).ok()?;
    let files: Files = files
        .into_iter()
        .map(|(name, text)| (name, Zeroizing::new(text)))
        .collect();
    are_good(&files).then_some(files)
}

fn opener(head: &[u8], passphrase: &str) -> Option<(LessSafeKey, Nonce)> {
    let rest = head.strip_prefix(MAGIC)?;
    let (salt, nonce) = rest.split_at_checked(SALT)?;
    let params = Params::new(64 << 10, 3, 1, Some(32)).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .ok()?;
    let key = UnboundKey::new(&AES_256_GCM, &*key).ok()?;
    Some((
        LessSafeKey::new(key),
        Nonce::try_assume_unique_for_key(nonce).ok()?,
    ))
}

/// Names that this room gives to files, and nothing else: an imported name becomes part of a path.
fn is_ours(name: &str) -> bool {
    let agreement = name
        .strip_prefix("agreement-")
        .and_then(|rest| rest.strip_suffix(".key"))
        .and_then(|digest| digest.parse::<Digest>().ok().map(|d| (d, digest)));
    agreement.is_some_and(|(parsed, written)| parsed.to_string() == written)
        || [KEY, CERTIFICATE, SIGNING_KEY, SIGNING_CERTIFICATE].contains(&name)
}

fn are_good(files: &Files) -> bool {
    let hospital = match (files.get(KEY), files.get(CERTIFICATE)) {
        (Some(key), Some(certificate)) => RecordKey::parse(key, certificate).is_some(),
        _ => false,
    };
    // a site that has signed nothing has no key for it
    let signing = match (files.get(SIGNING_KEY), files.get(SIGNING_CERTIFICATE)) {
        (Some(key), Some(certificate)) => RecordKey::parse(key, certificate).is_some(),
        (None, Some(_)) => false,
        (_, None) => true,
    };
    hospital
        && signing
        && files.iter().all(|(name, text)| {
            is_ours(name)
                && (!name.starts_with("agreement-") || AgreementKey::parse(text).is_some())
        })
}
