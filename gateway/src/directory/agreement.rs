//! Agreements: one site, one reading organisation, and how identity travels between them.

use causeway_proto::ids::{AgreementId, SiteId};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;

use super::{DirectoryError, readable_id, site};
use crate::audit;
use crate::rows::Rows;

/// What an operator says of a new agreement.
#[derive(Clone, Debug)]
pub struct NewAgreement {
    /// Its identifier; made from the organisation's name when none is given.
    pub id: Option<AgreementId>,
    /// The site.
    pub site: SiteId,
    /// The reading organisation, as it stands in its readers' accounts.
    pub organisation: String,
}

/// An agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Its identifier.
    pub id: AgreementId,
    /// The site.
    pub site: SiteId,
    /// The reading organisation.
    pub organisation: String,
    /// `identified` or `pseudonymous`.
    pub identity: String,
    /// The language of its reports.
    pub language: String,
    /// Ended since.
    pub ended: Option<Timestamp>,
}

type AgreementRow = (String, String, String, String, String, Option<i64>);

fn from_row(row: AgreementRow) -> Result<Agreement, DirectoryError> {
    let (id, site, organisation, identity, language, ended) = row;
    Ok(Agreement {
        id: id.parse()?,
        site: site.parse()?,
        organisation,
        identity,
        language,
        ended: ended.map(Timestamp),
    })
}

/// Adds an agreement, in the site's language and with identity as it is, the one profile there is today.
///
/// # Errors
/// When there is no such site, the identifier is taken, or the database refuses.
pub async fn add_agreement(
    rows: &Rows,
    clock: &Clock,
    random: &Random,
    actor: &str,
    new: &NewAgreement,
) -> Result<Agreement, DirectoryError> {
    let organisation = new.organisation.trim();
    if organisation.is_empty() || organisation.chars().count() > 64 {
        return Err(DirectoryError::Value {
            what: "--organisation",
            right: "1 to 64 characters",
        });
    }
    let site = site(rows, &new.site).await?;
    let id: AgreementId = match &new.id {
        Some(id) => id.clone(),
        None => readable_id(organisation, random).parse()?,
    };
    let now = clock.now();
    let mut tx = rows.begin().await?;
    let added = sqlx::query(
        "INSERT INTO agreement (id, site_id, organisation, identity, language, created_us) VALUES ($1, $2, $3, 'identified', $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(id.as_str())
    .bind(site.id.as_str())
    .bind(organisation)
    .bind(&site.language)
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    if added.rows_affected() == 0 {
        return Err(DirectoryError::Exists(format!("agreement {id}")));
    }
    let detail = json!({ "organisation": organisation, "identity": "identified" });
    audit::record(
        &mut tx,
        now,
        "agreement-added",
        actor,
        site.id.as_str(),
        id.as_str(),
        &detail,
    )
    .await?;
    tx.commit().await?;
    Ok(Agreement {
        id,
        site: site.id,
        organisation: organisation.to_owned(),
        identity: "identified".to_owned(),
        language: site.language,
        ended: None,
    })
}

/// All agreements, those that ended too.
///
/// # Errors
/// When the database refuses.
pub async fn agreements(rows: &Rows) -> Result<Vec<Agreement>, DirectoryError> {
    let found: Vec<AgreementRow> = sqlx::query_as(
        "SELECT id, site_id, organisation, identity, language, ended_us FROM agreement ORDER BY site_id, created_us, id",
    )
    .fetch_all(rows.read())
    .await?;
    found.into_iter().map(from_row).collect()
}

/// The agreements of a site that are in force, the oldest first: that one is the site's default.
///
/// # Errors
/// When the database refuses.
pub async fn agreements_of(rows: &Rows, site: &SiteId) -> Result<Vec<Agreement>, DirectoryError> {
    let found: Vec<AgreementRow> = sqlx::query_as(
        "SELECT id, site_id, organisation, identity, language, ended_us FROM agreement WHERE site_id = $1 AND ended_us IS NULL ORDER BY created_us, id",
    )
    .bind(site.as_str())
    .fetch_all(rows.read())
    .await?;
    found.into_iter().map(from_row).collect()
}

/// The agreements in force with a reading organisation, for [`crate::eligibility::Subject::reach`].
///
/// # Errors
/// When the database refuses.
pub async fn reach(
    rows: &Rows,
    organisation: &str,
) -> Result<Vec<(SiteId, AgreementId)>, DirectoryError> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT site_id, id FROM agreement WHERE organisation = $1 AND ended_us IS NULL ORDER BY site_id, id",
    )
    .bind(organisation)
    .fetch_all(rows.read())
    .await?;
    found
        .into_iter()
        .map(|(site, agreement)| Ok((site.parse()?, agreement.parse()?)))
        .collect()
}
