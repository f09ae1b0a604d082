//! Agreements: one site, one reading organisation, how identity travels between them, and from when until when.

use causeway_proto::ids::{AgreementId, SiteId};
use causeway_proto::link::message::{self, terms};
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use jiff::civil::Date;
use serde_json::json;
use sqlx::FromRow;

use super::{DirectoryError, readable_id, site, value};
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
    /// Identity travels as it is; otherwise it stays at the site.
    pub identified: bool,
    /// What the profile may keep beyond what it keeps for everybody: words of [`terms::OPTIONS`].
    pub options: Vec<String>,
    /// The language of its reports; the site's when none is given.
    pub language: Option<String>,
    /// Its first day, at the site.
    pub from: Option<Date>,
    /// Its last day, at the site.
    pub until: Option<Date>,
    /// For how many days after the report the images are kept; 0: not agreed.
    pub retention_days: u32,
}

impl NewAgreement {
    /// One in which identity stays at the site, with nothing else agreed.
    #[must_use]
    pub fn between(site: SiteId, organisation: impl Into<String>) -> Self {
        Self {
            id: None,
            site,
            organisation: organisation.into(),
            identified: false,
            options: Vec::new(),
            language: None,
            from: None,
            until: None,
            retention_days: 0,
        }
    }

    fn check(&self) -> Result<(), DirectoryError> {
        let length = self.organisation.trim().chars().count();
        let length = (1..=64).contains(&length);
        value("--organisation", "1 to 64 characters", length)?;
        let known = |word: &String| terms::OPTIONS.contains(&word.as_str());
        let right = "device, institution, documents, accept-uids, headshots, modified-dates or replace-uids";
        value("--option", right, self.options.iter().all(known))?;
        let right = "nothing beside --identified, which keeps everything";
        let fitting = !self.identified || self.options.is_empty();
        value("--option", right, fitting)?;
        let ordered = match (self.from, self.until) {
            (Some(from), Some(until)) => from <= until,
            _ => true,
        };
        value("--until", "no day before --from", ordered)?;
        let days = self.retention_days <= 36_525;
        value("--retention-days", "at most 36525", days)
    }
}

/// An agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The site.
    pub site: SiteId,
    /// What both ends know of it.
    pub terms: message::Agreement,
    /// Since when it is in the directory.
    pub created: Timestamp,
    /// Ended since.
    pub ended: Option<Timestamp>,
}

impl Agreement {
    /// How it stands: `in force`, `ended`, `not yet in force` or `run out`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.ended.is_some() {
            "ended"
        } else if self.terms.from.is_some_and(|from| from > now) {
            "not yet in force"
        } else if self.terms.until.is_some_and(|until| until <= now) {
            "run out"
        } else {
            "in force"
        }
    }
}

#[derive(FromRow)]
struct AgreementRow {
    id: String,
    site_id: String,
    organisation: String,
    identity: String,
    profile: String,
    options: String,
    language: String,
    from_us: Option<i64>,
    until_us: Option<i64>,
    retention_days: i64,
    created_us: i64,
    ended_us: Option<i64>,
}

impl AgreementRow {
    fn read(self) -> Result<Agreement, DirectoryError> {
        let words = self.options.split_whitespace();
        Ok(Agreement {
            site: self.site_id.parse()?,
            terms: message::Agreement {
                id: self.id.parse()?,
                organisation: self.organisation,
                identity: self.identity,
                profile: self.profile,
                options: words.map(str::to_owned).collect(),
                language: self.language,
                from: self.from_us.map(Timestamp),
                until: self.until_us.map(Timestamp),
                retention_days: u32::try_from(self.retention_days).unwrap_or(0),
            },
            created: Timestamp(self.created_us),
            ended: self.ended_us.map(Timestamp),
        })
    }
}

/// Adds an agreement, in the site's language when none is said.
///
/// # Errors
/// When a value is not one an agreement can have, there is no such site, the identifier is taken, or the database refuses.
pub async fn add_agreement(
    rows: &Rows,
    clock: &Clock,
    random: &Random,
    actor: &str,
    new: &NewAgreement,
) -> Result<Agreement, DirectoryError> {
    new.check()?;
    let site = site(rows, &new.site).await?;
    let organisation = new.organisation.trim();
    let id: AgreementId = match &new.id {
        Some(id) => id.clone(),
        None => readable_id(organisation, random).parse()?,
    };
    let language = new.language.clone().unwrap_or(site.language);
    site::language(&language)?;
    let zone = jiff::tz::TimeZone::get(&site.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let begins = |day: Date| day.to_zoned(zone.clone()).map(|at| at.timestamp());
    let from = new.from.and_then(|day| begins(day).ok());
    let until = new.until.and_then(|day| begins(day.tomorrow().ok()?).ok());
    let (identity, profile) = if new.identified {
        (terms::IDENTIFIED, "")
    } else {
        (terms::PSEUDONYMOUS, terms::PROFILE_READING)
    };
    let now = clock.now();
    let mut tx = rows.begin().await?;
    let added = sqlx::query(
        "INSERT INTO agreement (id, site_id, organisation, identity, profile, options, language, from_us, until_us, retention_days, created_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
    )
    .bind(id.as_str())
    .bind(site.id.as_str())
    .bind(organisation)
    .bind(identity)
    .bind(profile)
    .bind(new.options.join(" "))
    .bind(&language)
    .bind(from.map(|at| Timestamp::from(at).0))
    .bind(until.map(|at| Timestamp::from(at).0))
    .bind(i64::from(new.retention_days))
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    if added.rows_affected() == 0 {
        return Err(DirectoryError::Exists(format!("agreement {id}")));
    }
    let detail = json!({
        "organisation": organisation, "identity": identity, "profile": profile, "options": new.options, "language": language,
        "from": new.from.map(|day| day.to_string()), "until": new.until.map(|day| day.to_string()),
        "retention_days": new.retention_days,
    });
    let (site, subject) = (site.id.as_str(), id.as_str());
    audit::record(
        &mut tx,
        now,
        "agreement-added",
        actor,
        site,
        subject,
        &detail,
    )
    .await?;
    tx.commit().await?;
    agreement(rows, &id).await
}

/// Ends an agreement: it is no longer announced, nothing more is taken or shown under it, and what was signed still goes home.
///
/// # Errors
/// When there is no such agreement, it has ended already, or the database refuses.
pub async fn end_agreement(
    rows: &Rows,
    clock: &Clock,
    actor: &str,
    id: &AgreementId,
    reason: &str,
) -> Result<Agreement, DirectoryError> {
    let before = agreement(rows, id).await?;
    let now = clock.now();
    let mut tx = rows.begin().await?;
    let ended =
        sqlx::query("UPDATE agreement SET ended_us = $1 WHERE id = $2 AND ended_us IS NULL")
            .bind(now.0)
            .bind(id.as_str())
            .execute(&mut *tx)
            .await?;
    if ended.rows_affected() == 0 {
        return Err(DirectoryError::Ended(id.clone()));
    }
    let detail = json!({ "reason": reason });
    let (site, subject) = (before.site.as_str(), id.as_str());
    audit::record(
        &mut tx,
        now,
        "agreement-ended",
        actor,
        site,
        subject,
        &detail,
    )
    .await?;
    tx.commit().await?;
    agreement(rows, id).await
}

/// One agreement.
///
/// # Errors
/// When there is none, or the database refuses.
pub async fn agreement(rows: &Rows, id: &AgreementId) -> Result<Agreement, DirectoryError> {
    let found: Option<AgreementRow> = sqlx::query_as("SELECT * FROM agreement WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(rows.read())
        .await?;
    match found {
        Some(row) => row.read(),
        None => Err(DirectoryError::NoAgreement(id.clone())),
    }
}

/// All agreements, those that ended too.
///
/// # Errors
/// When the database refuses.
pub async fn agreements(rows: &Rows) -> Result<Vec<Agreement>, DirectoryError> {
    let found: Vec<AgreementRow> =
        sqlx::query_as("SELECT * FROM agreement ORDER BY site_id, created_us, id")
            .fetch_all(rows.read())
            .await?;
    found.into_iter().map(AgreementRow::read).collect()
}

/// The agreements of a site that are in force, the oldest first: that one is the site's default.
///
/// # Errors
/// When the database refuses.
pub async fn agreements_of(
    rows: &Rows,
    site: &SiteId,
    now: Timestamp,
) -> Result<Vec<Agreement>, DirectoryError> {
    let found: Vec<AgreementRow> = sqlx::query_as(
        "SELECT * FROM agreement WHERE site_id = $1 AND ended_us IS NULL
         AND (from_us IS NULL OR from_us <= $2) AND (until_us IS NULL OR until_us > $2) ORDER BY created_us, id",
    )
    .bind(site.as_str())
    .bind(now.0)
    .fetch_all(rows.read())
    .await?;
    found.into_iter().map(AgreementRow::read).collect()
}

/// The agreements in force with a reading organisation, for [`crate::eligibility::Subject::reach`].
///
/// # Errors
/// When the database refuses.
pub async fn reach(
    rows: &Rows,
    organisation: &str,
    now: Timestamp,
) -> Result<Vec<(SiteId, AgreementId)>, DirectoryError> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT site_id, id FROM agreement WHERE organisation = $1 AND ended_us IS NULL
         AND (from_us IS NULL OR from_us <= $2) AND (until_us IS NULL OR until_us > $2) ORDER BY site_id, id",
    )
    .bind(organisation)
    .bind(now.0)
    .fetch_all(rows.read())
    .await?;
    found
        .into_iter()
        .map(|(site, agreement)| Ok((site.parse()?, agreement.parse()?)))
        .collect()
}
