//! Site certificates after they are issued: who may connect with one, and which are revoked.

use causeway_certs::authority::SiteCertificate;
use causeway_certs::identity::{Peer, Serial};
use causeway_certs::revoke::Revoked;
use causeway_proto::ids::SiteId;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;
use sqlx::{Any, Transaction};
use thiserror::Error;

use super::{DirectoryError, Site, adopted, site};
use crate::audit;
use crate::rows::Rows;

/// A certificate as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its site.
    pub site: SiteId,
    /// Its last second.
    pub not_after: Timestamp,
    /// When it was issued.
    pub issued: Timestamp,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
}

/// Why a site with a verified certificate is not let in.
#[derive(Debug, Error)]
pub enum Denied {
    /// The directory could not be asked.
    #[error("the directory could not be asked")]
    Directory(#[from] DirectoryError),
    /// No such site, or closed.
    #[error("site {0} is not known here, or closed")]
    Site(SiteId),
    /// The certificate is not in the directory: the rows are older than the certificate.
    #[error("certificate {1} of site {0} is not in this gateway's directory")]
    Certificate(SiteId, Serial),
    /// The certificate is revoked.
    #[error("certificate {1} of site {0} is revoked")]
    Revoked(SiteId, Serial),
}

impl From<sqlx::Error> for Denied {
    fn from(error: sqlx::Error) -> Self {
        Self::Directory(error.into())
    }
}

impl From<audit::AuditError> for Denied {
    fn from(error: audit::AuditError) -> Self {
        Self::Directory(error.into())
    }
}

/// Lets a verified peer in, or says why not. The first time that a renewed certificate is used, its predecessors are revoked: the
/// agent has it, and nobody else needs the old ones.
///
/// # Errors
/// When the site or certificate is not known, is revoked, or the database refuses.
pub async fn admit(rows: &Rows, clock: &Clock, peer: &Peer) -> Result<Site, Denied> {
    let unknown = |_| Denied::Site(peer.site.clone());
    let found = match site(rows, &peer.site).await {
        Err(DirectoryError::NoSite(_)) => Err(unknown(())),
        other => other.map_err(Denied::from),
    }?;
    if found.closed.is_some() {
        return Err(unknown(()));
    }
    let row: Option<(i64, Option<i64>)> = sqlx::query_as(
        "SELECT issued_us, revoked_us FROM site_certificate WHERE serial = $1 AND site_id = $2",
    )
    .bind(peer.serial.as_str())
    .bind(peer.site.as_str())
    .fetch_optional(rows.read())
    .await?;
    let issued = match row {
        None => match adopted::adopt(rows, clock, peer).await? {
            Some(issued) => issued,
            None => return Err(Denied::Certificate(peer.site.clone(), peer.serial.clone())),
        },
        Some((_, Some(_))) => return Err(Denied::Revoked(peer.site.clone(), peer.serial.clone())),
        Some((issued, None)) => issued,
    };
    retire_older(rows, clock, peer, issued).await?;
    Ok(found)
}

async fn retire_older(rows: &Rows, clock: &Clock, peer: &Peer, issued: i64) -> Result<(), Denied> {
    let (older,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM site_certificate WHERE site_id = $1 AND issued_us < $2 AND revoked_us IS NULL",
    )
    .bind(peer.site.as_str())
    .bind(issued)
    .fetch_one(rows.read())
    .await?;
    if older == 0 {
        return Ok(());
    }
    let now = clock.now();
    let mut tx = rows.begin().await?;
    revoke_older(&mut tx, &peer.site, issued, now, "renewed").await?;
    let detail = json!({ "reason": "renewed" });
    audit::record(
        &mut tx,
        now,
        "certificates-retired",
        "gateway",
        peer.site.as_str(),
        peer.serial.as_str(),
        &detail,
    )
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Revokes what the site got before `issued`; returns how many.
pub(super) async fn revoke_older(
    tx: &mut Transaction<'_, Any>,
    site: &SiteId,
    issued: i64,
    now: Timestamp,
    reason: &str,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE site_certificate SET revoked_us = $1, revoked_reason = $2 WHERE site_id = $3 AND issued_us < $4 AND revoked_us IS NULL",
    )
    .bind(now.0)
    .bind(reason)
    .bind(site.as_str())
    .bind(issued)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn remember(
    tx: &mut Transaction<'_, Any>,
    site: &SiteId,
    certificate: &SiteCertificate,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO site_certificate (serial, site_id, not_before_us, not_after_us, issued_us) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(certificate.serial.as_str())
    .bind(site.as_str())
    .bind(certificate.validity.not_before.0)
    .bind(certificate.validity.not_after.0)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Revokes every certificate of a site and ends its outstanding codes; returns how many certificates. The link room closes a standing
/// connection when it sees this, by [`revoked_since`] or the directory's wake.
///
/// # Errors
/// When there is no such site or the database refuses.
pub async fn revoke_site(
    rows: &Rows,
    clock: &Clock,
    actor: &str,
    id: &SiteId,
    reason: &str,
) -> Result<u64, DirectoryError> {
    let site = site(rows, id).await?;
    let mut tx = rows.begin().await?;
    let count = revoke_in(&mut tx, clock, actor, &site.id, reason).await?;
    tx.commit().await?;
    Ok(count)
}

pub(super) async fn revoke_in(
    tx: &mut Transaction<'_, Any>,
    clock: &Clock,
    actor: &str,
    site: &SiteId,
    reason: &str,
) -> Result<u64, DirectoryError> {
    hold_site(tx, site).await?;
    let now = clock.now();
    let count = revoke_older(tx, site, i64::MAX, now, reason).await?;
    sqlx::query("UPDATE enrolment_code SET expires_us = $1 WHERE site_id = $2 AND used_us IS NULL AND expires_us > $1")
        .bind(now.0)
        .bind(site.as_str())
        .execute(&mut **tx)
        .await?;
    let detail = json!({ "reason": reason, "certificates": count });
    audit::record(
        tx,
        now,
        "site-revoked",
        actor,
        site.as_str(),
        site.as_str(),
        &detail,
    )
    .await?;
    Ok(count)
}

/// Takes the lock of a site's row, first of all in every transaction that gives or takes a certificate: what one of them has read
/// of the site's certificates and codes stays true until it commits. The time is read after it.
pub(super) async fn hold_site(
    tx: &mut Transaction<'_, Any>,
    site: &SiteId,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET closed_us = closed_us WHERE id = $1")
        .bind(site.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What the revocation list names: everything revoked whose time is not long over.
///
/// # Errors
/// When the database refuses.
pub async fn revocations(rows: &Rows, now: Timestamp) -> Result<Vec<Revoked>, DirectoryError> {
    let since = now.minus(std::time::Duration::from_secs(90 * 24 * 60 * 60));
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT serial, revoked_us FROM site_certificate WHERE revoked_us IS NOT NULL AND not_after_us > $1 ORDER BY serial",
    )
    .bind(since.0)
    .fetch_all(rows.read())
    .await?;
    Ok(found
        .into_iter()
        .filter_map(|(serial, since)| {
            Some(Revoked {
                serial: serial.parse().ok()?,
                since: Timestamp(since),
            })
        })
        .collect())
}

/// What was revoked at or after `since`. Commits may lag behind their time stamp: ask from a minute before the last look.
///
/// # Errors
/// When the database refuses.
pub async fn revoked_since(
    rows: &Rows,
    since: Timestamp,
) -> Result<Vec<(Serial, SiteId)>, DirectoryError> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT serial, site_id FROM site_certificate WHERE revoked_us IS NOT NULL AND revoked_us >= $1 ORDER BY serial",
    )
    .bind(since.0)
    .fetch_all(rows.read())
    .await?;
    found
        .into_iter()
        .filter_map(|(serial, site)| Some((serial.parse().ok()?, site)))
        .map(|(serial, site)| Ok((serial, site.parse()?)))
        .collect()
}

/// Whether this certificate is revoked, or unknown.
///
/// # Errors
/// When the database refuses.
pub async fn revoked(rows: &Rows, serial: &Serial) -> Result<bool, DirectoryError> {
    let row: Option<(Option<i64>,)> =
        sqlx::query_as("SELECT revoked_us FROM site_certificate WHERE serial = $1")
            .bind(serial.as_str())
            .fetch_optional(rows.read())
            .await?;
    Ok(row.is_none_or(|(since,)| since.is_some()))
}

type CertificateRow = (String, String, i64, i64, Option<i64>, Option<String>);

/// Every certificate, the newest first.
///
/// # Errors
/// When the database refuses.
pub async fn certificates(rows: &Rows) -> Result<Vec<IssuedCertificate>, DirectoryError> {
    let found: Vec<CertificateRow> = sqlx::query_as(
        "SELECT serial, site_id, not_after_us, issued_us, revoked_us, revoked_reason FROM site_certificate ORDER BY issued_us DESC, serial",
    )
    .fetch_all(rows.read())
    .await?;
    found
        .into_iter()
        .map(|(serial, site, not_after, issued, revoked, reason)| {
            Ok(IssuedCertificate {
                serial,
                site: site.parse()?,
                not_after: Timestamp(not_after),
                issued: Timestamp(issued),
                revoked: revoked.map(Timestamp),
                reason,
            })
        })
        .collect()
}
