//! Enrolment codes: made for a site, shown once, stored hashed.

use std::time::Duration;

use causeway_certs::authority::{Fingerprint, RENEW_AFTER, RENEW_BEFORE};
use causeway_certs::enrol::{CODE_LIFE, Code};
use causeway_proto::ids::SiteId;
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;

use super::{DirectoryError, site};
use crate::audit;
use crate::rows::Rows;

/// Makes a code for a site. Earlier codes of the site stay as they are.
///
/// # Errors
/// When there is no such site or the database refuses.
pub async fn issue_code(
    rows: &Rows,
    clock: &Clock,
    random: &Random,
    actor: &str,
    authority: &Fingerprint,
    id: &SiteId,
) -> Result<Code, DirectoryError> {
    let site = site(rows, id).await?;
    let code = Code::draw(authority, random);
    let now = clock.now();
    let mut tx = rows.begin().await?;
    sqlx::query(
        "INSERT INTO enrolment_code (id, site_id, secret_hash, created_us, expires_us) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(code.id())
    .bind(site.id.as_str())
    .bind(code.secret().hash())
    .bind(now.0)
    .bind(now.plus(CODE_LIFE).0)
    .execute(&mut *tx)
    .await?;
    audit::record(
        &mut tx,
        now,
        "enrolment-code-issued",
        actor,
        site.id.as_str(),
        code.id(),
        &json!({}),
    )
    .await?;
    tx.commit().await?;
    Ok(code)
}

/// After a code is used, spent or expired, whoever tries it is told so for this long; then the door closes.
const EXPLAINED: Duration = Duration::from_secs(60);

/// For whom the enrolment listener must be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A code is outstanding, or was spent within the last minute and is answered with the reason: whoever has it comes without a
    /// certificate.
    pub codes: bool,
    /// A certificate may be renewed: its agent comes with it, nobody else gets in.
    pub renewals: bool,
}

impl Wanted {
    /// Whether it must be open at all.
    #[must_use]
    pub fn any(self) -> bool {
        self.codes || self.renewals
    }
}

/// Whether codes are outstanding and certificates are in their time of renewal, day 60 to day 120.
///
/// # Errors
/// When the database refuses.
pub async fn wanted(rows: &Rows, now: Timestamp) -> Result<Wanted, DirectoryError> {
    let (codes,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM enrolment_code WHERE expires_us > $1 AND (used_us IS NULL OR used_us > $1)",
    )
    .bind(now.minus(EXPLAINED).0)
    .fetch_one(rows.read())
    .await?;
    let (renewals,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM site_certificate WHERE revoked_us IS NULL AND not_after_us < $1 AND not_after_us > $2",
    )
    .bind(now.plus(RENEW_BEFORE).0)
    .bind(now.minus(RENEW_AFTER).0)
    .fetch_one(rows.read())
    .await?;
    Ok(Wanted {
        codes: codes > 0,
        renewals: renewals > 0,
    })
}
