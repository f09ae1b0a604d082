//! What can go wrong with the site's keys.

use std::path::PathBuf;

use causeway_certs::authority::AuthorityError;
use causeway_certs::keep::KeepError;
use thiserror::Error;

/// The site's keys could not be used. No text of these names a key, an identifier or a passphrase.
#[derive(Debug, Error)]
pub enum KeysError {
    /// A file could not be read or kept.
    #[error("keeping the site's keys")]
    Keep(#[from] KeepError),
    /// The folder could not be listed.
    #[error("listing the site's keys")]
    Folder(#[source] std::io::Error),
    /// A secret, or the folder of secrets, that others than its owner can read.
    #[error(
        "{0} can be read by others than its owner; `chmod go-rwx` it, and enrol again if others may have read it"
    )]
    Exposed(PathBuf),
    /// A key file that is not what this program writes.
    #[error("{0} is no key file of this version: put it back from a backup")]
    Malformed(PathBuf),
    /// The hospital's key, or the one with which it signs, could not be read or made.
    #[error("the hospital's own keys")]
    Hospital(#[from] AuthorityError),
    /// There is none yet.
    #[error(
        "this site has no record key: it is made when the agent first runs, or comes by `keys import`"
    )]
    NoHospital,
    /// The library refused; it does not say more.
    #[error("the cryptographic library refused: {0}")]
    Library(&'static str),
    /// An agreement without a key here.
    #[error("this site has no key for this agreement")]
    NoAgreement,
    /// The bytes to seal are no Encrypted Attributes Data Set.
    #[error("what is to be sealed is no dataset with Modified Attributes")]
    NotAttributes,
    /// The one answer to everything that does not open, so that nobody learns from it how it failed.
    #[error("this cannot be opened with the hospital's key")]
    Sealed,
    /// A passphrase that is too easy to guess.
    #[error("the passphrase has fewer than {0} characters")]
    Passphrase(usize),
    /// An exported file that does not open.
    #[error("the file of keys does not open: another passphrase, or it is damaged")]
    Bundle,
    /// Another key stands where one is to be imported.
    #[error(
        "another key stands in {0}: nothing was imported; import before the first start of a new agent, or move the file away when nothing was sent with it"
    )]
    Different(PathBuf),
}
