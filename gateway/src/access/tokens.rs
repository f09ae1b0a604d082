//! Bearer tokens for scripts: a JWT signed with Ed25519 by a key of this gateway's own. Everything in it is checked, and nothing in
//! it is followed: header and claims are closed sets, so `jku`, `x5u`, `jwk`, `kid` and `crit` refuse the token.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_proto::digest::Digest;
use causeway_proto::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{Access, AccessError, Account};

const ISSUER: &str = "causeway";
const AUDIENCE: &str = "causeway-api";
/// RFC 9068 2.1: an access token and nothing else.
const TYPE: &str = "at+jwt";
const LONGEST: usize = 4096;
/// So many tokens are remembered as right; then the memory begins anew.
const MOST_HELD: usize = 1000;

/// Signs and checks tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    signing: Arc<EncodingKey>,
    checking: Arc<DecodingKey>,
    life: Duration,
    held: Arc<Mutex<HashMap<Digest, Held>>>,
}

/// What a token that was found right says. Right it stays: of all that was checked only the time goes on.
#[derive(Clone)]
struct Held {
    account: String,
    credentials: i64,
    from: u64,
    until: u64,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    /// The account's `credentials` at issue: a changed password ends the token.
    ver: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    typ: String,
}

impl Tokens {
    /// Opens the key, or makes one (mode 0600) the first time.
    ///
    /// # Errors
    /// When the file cannot be made or read, or holds no Ed25519 key.
    pub fn open_or_create(file: &Path, life_s: u64) -> Result<Self, AccessError> {
        let broken = |e: &dyn fmt::Display| AccessError::TokenKey(e.to_string());
        if !file.exists() {
            let pair =
                rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|e| broken(&e))?;
            write_private(file, pair.serialize_pem().as_bytes()).map_err(|e| broken(&e))?;
        }
        let pem = std::fs::read_to_string(file).map_err(|e| broken(&e))?;
        let pair = rcgen::KeyPair::from_pem(&pem).map_err(|e| broken(&e))?;
        if !pair.is_compatible(&rcgen::PKCS_ED25519) {
            return Err(AccessError::TokenKey("it is not an Ed25519 key".to_owned()));
        }
        let public = URL_SAFE_NO_PAD.encode(rcgen::PublicKeyData::der_bytes(&pair));
        Ok(Self {
            signing: Arc::new(EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|e| broken(&e))?),
            checking: Arc::new(DecodingKey::from_ed_components(&public).map_err(|e| broken(&e))?),
            life: Duration::from_secs(life_s),
            held: Arc::default(),
        })
    }

    fn issue(&self, account: &Account, now: Timestamp) -> Result<(String, Timestamp), AccessError> {
        let expires = now.plus(self.life);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: account.id.clone(),
            iat: seconds(now),
            exp: seconds(expires),
            ver: account.credentials,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        let token = jsonwebtoken::encode(&header, &claims, &self.signing)
            .map_err(|e| AccessError::TokenKey(e.to_string()))?;
        Ok((token, expires))
    }

    /// The account and credentials number that a token names, if everything about it is right. The signature of one is checked once.
    pub(super) fn holder(&self, token: &str, now: Timestamp) -> Option<(String, i64)> {
        let (name, at) = (Digest::of(token.as_bytes()), seconds(now));
        let known = self.memory().get(&name).cloned();
        if let Some(held) = known {
            return held.at(at);
        }
        let found = self.check(token)?;
        let mut memory = self.memory();
        if memory.len() >= MOST_HELD {
            memory.clear();
        }
        memory.insert(name, found.clone());
        drop(memory);
        found.at(at)
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<Digest, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, token: &str) -> Option<Held> {
        if token.len() > LONGEST {
            return None;
        }
        let (header, _) = token.split_once('.')?;
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let header: StrictHeader = serde_json::from_slice(&header).ok()?;
        if header.alg != "EdDSA" || header.typ != TYPE {
            return None;
        }
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&[ISSUER]);
        rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // our own clock decides, below
        rules.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &rules)
            .ok()?
            .claims;
        let ours = claims.iss == ISSUER && claims.aud == AUDIENCE;
        ours.then_some(Held {
            account: claims.sub,
            credentials: claims.ver,
            from: claims.iat,
            until: claims.exp,
        })
    }
}

impl Held {
    fn at(self, now: u64) -> Option<(String, i64)> {
        let holds = self.from <= now.saturating_add(60) && now < self.until;
        holds.then_some((self.account, self.credentials))
    }
}

fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.0 / 1_000_000).unwrap_or(0)
}

fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    out.write_all(bytes)?;
    out.sync_all()
}

impl Access {
    /// A bearer token for an account, and when it expires.
    ///
    /// # Errors
    /// When signing fails.
    pub fn token(&self, account: &Account) -> Result<(String, Timestamp), AccessError> {
        self.tokens.issue(account, self.clock.now())
    }
}
