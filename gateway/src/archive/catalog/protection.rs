//! How the identity in a study's images was removed, and the originals sealed for its site: from the headers, for those of reports.

use causeway_proto::ids::StudyKey;
use causeway_proto::report::model::{Protection, Sealed};
use sqlx::{Any, AnyConnection, Transaction};

/// Keeps what the first image says, and the first sealed set.
pub(crate) async fn put_protection(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    said: &Protection,
) -> Result<(), sqlx::Error> {
    let marks = serde_json::to_string(said).unwrap_or_default();
    let sealed = said.sealed.as_ref();
    sqlx::query(
        "INSERT INTO study_protection (site_id, agreement_id, study_uid, marks, sealed_syntax, sealed_set) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (site_id, agreement_id, study_uid) DO UPDATE SET sealed_syntax = excluded.sealed_syntax, sealed_set = excluded.sealed_set
         WHERE study_protection.sealed_set = ''",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(marks)
    .bind(sealed.map_or("", |sealed| sealed.syntax.as_str()))
    .bind(sealed.map(|sealed| hex::encode(&sealed.content)).unwrap_or_default())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What is kept; none when no image says anything.
pub(crate) async fn protection(
    connection: &mut AnyConnection,
    key: &StudyKey,
) -> Result<Option<Protection>, sqlx::Error> {
    let found: Option<(String, String, String)> = sqlx::query_as(
        "SELECT marks, sealed_syntax, sealed_set FROM study_protection WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_optional(connection)
    .await?;
    let Some((marks, syntax, sealed)) = found else {
        return Ok(None);
    };
    let mut said: Protection = serde_json::from_str(&marks).unwrap_or_default();
    said.sealed = hex::decode(sealed)
        .ok()
        .filter(|content| !content.is_empty())
        .map(|content| Sealed { syntax, content });
    Ok(Some(said))
}
