//! The terms of an agreement between a site and a reading organisation, as the gateway announces them.

use minicbor::{Decode, Encode};

use crate::ids::AgreementId;
use crate::time::Timestamp;

/// [`Agreement::identity`]: identity travels as it is.
pub const IDENTIFIED: &str = "identified";
/// [`Agreement::identity`]: identity stays at the site.
pub const PSEUDONYMOUS: &str = "pseudonymous";
/// The profile of de-identification that there is today; see [`Agreement::profile`].
pub const PROFILE_READING: &str = "reading-1";
/// The words of [`Agreement::options`] that both ends know.
pub const OPTIONS: &[&str] = &[
    "device",
    "institution",
    "documents",
    "accept-uids",
    "headshots",
    MODIFIED_DATES,
    REPLACE_UIDS,
];
/// The option by which every date is shifted by a constant of its patient (P11). It takes away: either side may ask for it.
pub const MODIFIED_DATES: &str = "modified-dates";
/// The option by which every UID of the site is replaced by another. It takes away: either side may ask for it.
pub const REPLACE_UIDS: &str = "replace-uids";
/// [`super::Open::identity`]: the site could not tell whose study it is (P2).
pub const NOT_ESTABLISHED: &str = "not-established";

/// What the agent needs to know of an agreement.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Agreement {
    /// Its identifier.
    #[n(0)]
    pub id: AgreementId,
    /// The reading organisation's name, for people.
    #[n(1)]
    pub organisation: String,
    /// How identity travels: [`IDENTIFIED`] or [`PSEUDONYMOUS`].
    #[n(2)]
    pub identity: String,
    /// How the site de-identifies, such as [`PROFILE_READING`]; empty when identity travels as it is.
    #[n(3)]
    pub profile: String,
    /// What the profile does beyond what it does for everybody: words of [`OPTIONS`]. A word that the agent does not know is ignored,
    /// because each allows more than none; those that take away, [`MODIFIED_DATES`] and [`REPLACE_UIDS`], every agent knows.
    #[n(4)]
    pub options: Vec<String>,
    /// The language of its reports, as a tag.
    #[n(5)]
    pub language: String,
    /// In force from here on; none: since it was made.
    #[n(6)]
    pub from: Option<Timestamp>,
    /// In force until here; none: until it is ended.
    #[n(7)]
    pub until: Option<Timestamp>,
    /// How long the gateway keeps images after the report, in days; 0: not agreed.
    #[n(8)]
    pub retention_days: u32,
}

impl Agreement {
    /// One under which identity travels as it is, with nothing else agreed.
    #[must_use]
    pub fn identified(id: AgreementId, organisation: impl Into<String>) -> Self {
        Self {
            id,
            organisation: organisation.into(),
            identity: IDENTIFIED.to_owned(),
            profile: String::new(),
            options: Vec::new(),
            language: String::new(),
            from: None,
            until: None,
            retention_days: 0,
        }
    }
}
