//! Sites, their agreements, enrolment codes and certificates: who may connect, and under what terms.
//!
//! | enrolment code | becomes | by |
//! |---|---|---|
//! | open | used | the right secret, within its hour and before its fifth wrong one |
//! | open | spent | the fifth wrong secret |
//! | open | expired | an hour |
//!
//! | site certificate | becomes | by |
//! |---|---|---|
//! | issued | revoked | `site revoke`, a new enrolment of the site, the first link with its successor |
//! | lost, since the rows were put back to a backup | issued | its first link, when it begins between backup and restore |

mod adopted;
mod agreement;
mod certificate;
mod code;
mod enrol;
mod session;
mod site;

use causeway_proto::ids::{AgreementId, IdError};
use thiserror::Error;

use crate::audit::AuditError;

pub use adopted::{last_restore, oldest_taken, restored};
pub use agreement::{
    Agreement, NewAgreement, add_agreement, agreement, agreements, agreements_of, end_agreement,
    reach,
};
pub use certificate::{
    Denied, IssuedCertificate, admit, certificates, revocations, revoke_site, revoked,
    revoked_since,
};
pub use code::{Wanted, issue_code, wanted};
pub use enrol::{Authorities, enrol, renew};
pub use session::{came_from, newest_session, session_admitted, site_refused};
pub use site::{NewSite, Site, add_site, site, sites};

#[cfg(test)]
pub(crate) mod tests;

/// The directory could not be read or changed.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// The database refused.
    #[error("the directory could not be read or written")]
    Database(#[from] sqlx::Error),
    /// The act could not be audited, so it was not done.
    #[error("the act could not be audited")]
    Audit(#[from] AuditError),
    /// There is no such site.
    #[error("there is no site {0}: `site list` shows them")]
    NoSite(String),
    /// There is no such agreement.
    #[error("there is no agreement {0}: `agreement list` shows them")]
    NoAgreement(AgreementId),
    /// It was ended before.
    #[error("agreement {0} has ended already")]
    Ended(AgreementId),
    /// A value that a site or agreement cannot have.
    #[error("{what}: {right}")]
    Value {
        /// Which value.
        what: &'static str,
        /// What would be right.
        right: &'static str,
    },
    /// The identifier is taken.
    #[error("{0} exists already")]
    Exists(String),
    /// A row that this program cannot have written.
    #[error("a row of the directory holds an identifier that is none")]
    Row(#[from] IdError),
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Authority(#[from] causeway_certs::authority::AuthorityError),
}

fn value(what: &'static str, right: &'static str, holds: bool) -> Result<(), DirectoryError> {
    if holds {
        Ok(())
    } else {
        Err(DirectoryError::Value { what, right })
    }
}

/// A readable identifier: the ASCII letters and digits of a name, and four random ones.
fn readable_id(name: &str, random: &causeway_proto::random::Random) -> String {
    let mut out = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        if out.len() >= 24 {
            break;
        }
        if character.is_ascii_alphanumeric() {
            out.push(character);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    if !out.is_empty() && !out.ends_with('-') {
        out.push('-');
    }
    out.push_str(&hex::encode(random.bytes::<3>()));
    out
}
