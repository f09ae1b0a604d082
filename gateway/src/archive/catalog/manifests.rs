//! Manifests as rows: one for each version that a site has sealed.

use causeway_proto::ids::StudyKey;
use causeway_proto::time::Timestamp;
use sqlx::{Any, FromRow, Transaction};

/// A manifest's row.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub(crate) struct ManifestRow {
    pub(crate) basis: String,
    pub(crate) entries: String,
    pub(crate) withheld: String,
    pub(crate) sealed_us: i64,
}

/// A manifest that is there already.
pub(crate) async fn manifest(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    version: i64,
) -> Result<Option<ManifestRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT basis, entries, withheld, sealed_us FROM manifest
         WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND version = $4",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(version)
    .fetch_optional(&mut **tx)
    .await
}

/// Writes a manifest, over one of the same version that never sealed the study.
pub(crate) async fn put_manifest(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    version: i64,
    row: &ManifestRow,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO manifest (site_id, agreement_id, study_uid, version, basis, entries, withheld, sealed_us, received_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (site_id, agreement_id, study_uid, version) DO UPDATE SET basis = excluded.basis, entries = excluded.entries,
             withheld = excluded.withheld, sealed_us = excluded.sealed_us, received_us = excluded.received_us",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(version)
    .bind(row.basis.as_str())
    .bind(row.entries.as_str())
    .bind(row.withheld.as_str())
    .bind(row.sealed_us)
    .bind(at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
