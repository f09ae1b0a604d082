//! Agreement keys: made at the site, kept 0600, and used to tag content so that the gateway cannot confirm a guess of it.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use aws_lc_rs::hmac;
use causeway_proto::digest::Digest;
use causeway_proto::ids::AgreementId;
use causeway_proto::random::Random;

/// The keys of this site's agreements.
pub(super) struct AgreementKeys {
    folder: PathBuf,
    random: Random,
    loaded: Mutex<HashMap<AgreementId, hmac::Key>>,
}

impl AgreementKeys {
    /// Keys in `folder`, which is made when it is missing.
    pub(super) fn open(folder: PathBuf, random: Random) -> io::Result<Self> {
        if !folder.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)?;
        }
        Ok(Self {
            folder,
            random,
            loaded: Mutex::default(),
        })
    }

    /// HMAC-SHA256(agreement key, source digest); makes the key at its first use.
    pub(super) fn tag(&self, agreement: &AgreementId, source: &Digest) -> io::Result<Digest> {
        let mut loaded = self
            .loaded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !loaded.contains_key(agreement) {
            loaded.insert(agreement.clone(), self.load_or_make(agreement)?);
        }
        let key = loaded
            .get(agreement)
            .ok_or_else(|| io::Error::other("the agreement key is gone"))?;
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(key, &source.0).as_ref());
        Ok(Digest(out))
    }

    /// The name is a digest: what the gateway calls an agreement never becomes part of a path (house.md rule 6).
    fn path(&self, agreement: &AgreementId) -> PathBuf {
        let name = Digest::of(agreement.as_str().as_bytes());
        self.folder.join(format!("agreement-{name}.key"))
    }

    fn load_or_make(&self, agreement: &AgreementId) -> io::Result<hmac::Key> {
        let path = self.path(agreement);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes = self.random.bytes::<32>().to_vec();
                write_secret(&self.folder, &path, &bytes)?;
                bytes
            }
            Err(error) => return Err(error),
        };
        if bytes.len() != 32 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an agreement key is not 32 bytes long",
            ));
        }
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }
}

fn write_secret(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(folder)?.sync_all()
}

/// The first file of the keys folder that others than its owner can read.
pub(super) fn exposed(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let secret = entry.path().extension().is_some_and(|e| e == "key");
        if secret && entry.metadata()?.permissions().mode() & 0o077 != 0 {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

impl fmt::Debug for AgreementKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementKeys")
    }
}
