//! The newest session of each site's agent: the link fences older ones by it.

use causeway_proto::ids::SiteId;
use causeway_proto::link::session::Known;
use causeway_proto::time::Clock;
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

/// Remembers an admitted session. What is odd about it is audited.
///
/// # Errors
/// When the database refuses or the act cannot be audited.
pub async fn session_admitted(
    rows: &Rows,
    clock: &Clock,
    site: &SiteId,
    session: &Known,
    remark: Option<&'static str>,
) -> Result<(), DirectoryError> {
    let mut tx = rows.begin().await?;
    sqlx::query("UPDATE site SET session_spool = $1, session_counter = $2 WHERE id = $3")
        .bind(&session.spool)
        .bind(i64::try_from(session.session).unwrap_or(i64::MAX))
        .bind(site.as_str())
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
