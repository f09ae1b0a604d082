//! The newest session of each site's agent: the link fences older ones by it.

use causeway_proto::ids::SiteId;
use causeway_proto::link::session::Known;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;

use super::DirectoryError;
use crate::audit;
use crate::rows::Rows;

/// The newest session that was ever admitted; none before the first.
///
/// # Errors
/// When the database refuses.
pub async fn newest_session(rows: &Rows, site: &SiteId) -> Result<Option<Known>, DirectoryError> {
    let row: Option<(String, i64)> =
        sqlx::query_as("SELECT session_spool, session_counter FROM site WHERE id = $1")
            .bind(site.as_str())
            .fetch_optional(rows.read())
            .await?;
    Ok(row
        .filter(|(spool, _)| !spool.is_empty())
        .map(|(spool, counter)| Known {
            spool,
            session: u64::try_from(counter).unwrap_or(0),
        }))
}

/// From where each site came last, as [`session_admitted`] was told; of those alone that have a certificate with which they may come.
///
/// # Errors
/// When the database refuses.
pub async fn came_from(
    rows: &Rows,
    now: Timestamp,
) -> Result<Vec<(SiteId, String)>, DirectoryError> {
    let all: Vec<(String, String)> = sqlx::query_as(
        "SELECT id, came_from FROM site WHERE came_from <> '' AND closed_us IS NULL AND EXISTS \
         (SELECT 1 FROM site_certificate c WHERE c.site_id = site.id AND c.revoked_us IS NULL AND c.not_after_us > $1)",
    )
    .bind(now.0)
    .fetch_all(rows.read())
    .await?;
    let parsed = all.into_iter().filter_map(|(site, came_from)| {
        let site = site.parse().ok()?;
        Some((site, came_from))
    });
    Ok(parsed.collect())
}

/// Remembers an admitted session, and from where the site came: what is known of that already stays when this says nothing. What is odd
/// about it is audited.
///
/// # Errors
/// When the database refuses or the act cannot be audited.
pub async fn session_admitted(
    rows: &Rows,
    clock: &Clock,
    site: &SiteId,
    session: &Known,
    came_from: &str,
    remark: Option<&'static str>,
) -> Result<(), DirectoryError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "UPDATE site SET session_spool = $1, session_counter = $2, \
         came_from = CASE WHEN $4 = '' THEN came_from ELSE $4 END WHERE id = $3",
    )
    .bind(&session.spool)
    .bind(i64::try_from(session.session).unwrap_or(i64::MAX))
    .bind(site.as_str())
    .bind(came_from)
    .execute(&mut *tx)
    .await?;
    if let Some(remark) = remark {
        let detail = json!({ "remark": remark, "session": session.session });
        let now = clock.now();
        audit::record(
            &mut tx,
            now,
            "session-remarked",
            "gateway",
            site.as_str(),
            site.as_str(),
            &detail,
        )
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Audits a session or message of a site that was refused: a second machine with its certificate, or what is not its own.
///
/// # Errors
/// When the database refuses or the act cannot be audited.
pub async fn site_refused(
    rows: &Rows,
    clock: &Clock,
    site: &SiteId,
    code: &'static str,
    sentence: &str,
) -> Result<(), DirectoryError> {
    let mut tx = rows.begin().await?;
    let detail = json!({ "code": code, "sentence": sentence });
    audit::record(
        &mut tx,
        clock.now(),
        "site-refused",
        "gateway",
        site.as_str(),
        site.as_str(),
        &detail,
    )
    .await?;
    tx.commit().await?;
    Ok(())
}
