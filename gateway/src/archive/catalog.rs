//! The catalogue: rows of studies, series, instances, manifests and requests, all under (site, agreement, UID).

mod manifests;
mod protection;
mod said;

use causeway_proto::ids::{CaseCode, Priority, Purpose, StudyKey};
use causeway_proto::time::Timestamp;
use sqlx::{Any, FromRow, Transaction};

use super::name::folded;
pub(crate) use manifests::{ManifestRow, manifest, put_manifest};
pub(crate) use protection::{protection, put_protection};
pub(crate) use said::{Said, say};

/// One study's row as a writer needs it.
#[derive(Clone, FromRow)]
pub(crate) struct StudyRow {
    pub(crate) patient_id: String,
    pub(crate) patient_issuer: String,
    pub(crate) patient_name: String,
    pub(crate) birth_date: String,
    pub(crate) sex: String,
    pub(crate) manifest_version: i64,
    pub(crate) sealed_us: Option<i64>,
    pub(crate) recalled_us: Option<i64>,
    /// How many sealed sets are kept for it: one at most.
    pub(crate) sealed_sets: i64,
}

/// The study's row; none when it was never opened.
pub(crate) async fn study(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
) -> Result<Option<StudyRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT patient_id, patient_issuer, patient_name, birth_date, sex, manifest_version, sealed_us, recalled_us,
             (SELECT count(*) FROM study_protection p WHERE p.site_id = $1 AND p.agreement_id = $2 AND p.study_uid = $3 AND p.sealed_set <> '') AS sealed_sets
         FROM study WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_optional(&mut **tx)
    .await
}

/// How a study stands before another OPEN.
#[derive(Clone, FromRow)]
pub(crate) struct Standing {
    pub(crate) purpose: String,
    pub(crate) sealed_us: Option<i64>,
    pub(crate) recalled_us: Option<i64>,
    pub(crate) blocked: String,
}

/// How the study stands; none when it was never opened.
pub(crate) async fn standing(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as(
        "SELECT purpose, sealed_us, recalled_us, blocked FROM study WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_optional(&mut **tx)
    .await
}

/// The SOP classes held of a study.
pub(crate) async fn classes(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
) -> Result<Vec<String>, sqlx::Error> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT DISTINCT sop_class FROM instance WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(class,)| class).collect())
}

/// Makes the study's row, or takes what the site now says of it. A purpose is only raised, from comparison to read; a priority
/// follows the site; the case code and the first time stay.
pub(crate) async fn open_study(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    purpose: Purpose,
    priority: Priority,
    case: &CaseCode,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO study (site_id, agreement_id, study_uid, purpose, priority, case_code, first_us, last_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (site_id, agreement_id, study_uid) DO UPDATE SET priority = excluded.priority,
             purpose = CASE WHEN study.purpose = 'read' THEN 'read' ELSE excluded.purpose END",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(purpose.as_str())
    .bind(priority.as_str())
    .bind(case.as_str())
    .bind(at.0)
    .bind(at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Who a study is of.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Demographics {
    pub(crate) id: String,
    pub(crate) issuer: String,
    pub(crate) name: String,
    pub(crate) birth_date: String,
    pub(crate) sex: String,
    pub(crate) age: String,
}

/// Writes who the study is of; `changed` counts it as a change that a reader must see before he signs (P24).
pub(crate) async fn set_demographics(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    who: &Demographics,
    changed: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE study SET patient_id = $1, patient_issuer = $2, patient_name = $3, name_folded = $4, birth_date = $5, sex = $6,
             age = CASE WHEN $7 = '' THEN age ELSE $8 END, identity_version = identity_version + $9
         WHERE site_id = $10 AND agreement_id = $11 AND study_uid = $12",
    )
    .bind(who.id.as_str())
    .bind(who.issuer.as_str())
    .bind(who.name.as_str())
    .bind(folded(&who.name))
    .bind(who.birth_date.as_str())
    .bind(who.sex.as_str())
    .bind(who.age.as_str())
    .bind(who.age.as_str())
    .bind(i64::from(changed))
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a header says of the study itself.
#[derive(Clone, Default)]
pub(crate) struct StudyText {
    pub(crate) date: String,
    pub(crate) time: String,
    pub(crate) utc_offset: String,
    /// The site shifts dates: those of the study are true among themselves only.
    pub(crate) shifted_dates: bool,
    pub(crate) accession: String,
    pub(crate) study_id: String,
    pub(crate) description: String,
    pub(crate) referrer: String,
}

/// Fills what is still empty in the study's row, and notes the time.
pub(crate) async fn fill_study(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    text: &StudyText,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE study SET
             study_date = CASE WHEN study_date = '' THEN $1 ELSE study_date END,
             study_time = CASE WHEN study_time = '' THEN $2 ELSE study_time END,
             utc_offset = CASE WHEN utc_offset = '' THEN $3 ELSE utc_offset END,
             accession = CASE WHEN accession = '' THEN $4 ELSE accession END,
             study_id = CASE WHEN study_id = '' THEN $5 ELSE study_id END,
             description = CASE WHEN description = '' THEN $6 ELSE description END,
             referrer = CASE WHEN referrer = '' THEN $7 ELSE referrer END,
             last_us = $8, deleted_us = NULL, shifted_dates = shifted_dates | $9
         WHERE site_id = $10 AND agreement_id = $11 AND study_uid = $12",
    )
    .bind(text.date.as_str())
    .bind(text.time.as_str())
    .bind(text.utc_offset.as_str())
    .bind(text.accession.as_str())
    .bind(text.study_id.as_str())
    .bind(text.description.as_str())
    .bind(text.referrer.as_str())
    .bind(at.0)
    .bind(i64::from(text.shifted_dates))
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The study has grown after its seal: it is open again, and a new version of its content.
pub(crate) async fn unseal(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE study SET sealed_us = NULL, content_version = content_version + 1
         WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The study is whole under this version of its manifest.
pub(crate) async fn seal(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    version: i64,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE study SET sealed_us = $1, manifest_version = $2, last_us = $3
         WHERE site_id = $4 AND agreement_id = $5 AND study_uid = $6",
    )
    .bind(at.0)
    .bind(version)
    .bind(at.0)
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How far the study has come at the site.
pub(crate) async fn set_progress(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    at_site: i64,
    held: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE study SET at_site = $1, held_at_site = $2
         WHERE site_id = $3 AND agreement_id = $4 AND study_uid = $5 AND (at_site <> $6 OR held_at_site <> $7)",
    )
    .bind(at_site)
    .bind(held)
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(at_site)
    .bind(held)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// The site has taken the study back. Says whether that is new.
pub(crate) async fn recall(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    reason: &str,
    at: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE study SET recalled_us = $1, recall_reason = $2, content_version = content_version + 1
         WHERE site_id = $3 AND agreement_id = $4 AND study_uid = $5 AND recalled_us IS NULL",
    )
    .bind(at.0)
    .bind(reason)
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// One series' row.
#[derive(Clone, Default)]
pub(crate) struct SeriesRow {
    pub(crate) uid: String,
    pub(crate) modality: String,
    pub(crate) number: Option<i64>,
    pub(crate) description: String,
    pub(crate) body_part: String,
    pub(crate) laterality: String,
    pub(crate) date: String,
    pub(crate) time: String,
}

/// Adds one instance to its series, making the series when it is the first.
pub(crate) async fn grow_series(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    series: &SeriesRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO series (site_id, agreement_id, study_uid, series_uid, modality, number, description, body_part, laterality, series_date, series_time, instances)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1)
         ON CONFLICT (site_id, agreement_id, study_uid, series_uid) DO UPDATE SET instances = series.instances + 1",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(series.uid.as_str())
    .bind(series.modality.as_str())
    .bind(series.number)
    .bind(series.description.as_str())
    .bind(series.body_part.as_str())
    .bind(series.laterality.as_str())
    .bind(series.date.as_str())
    .bind(series.time.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One instance's row.
#[derive(Clone)]
pub(crate) struct InstanceRow {
    pub(crate) sop: String,
    pub(crate) series: String,
    pub(crate) class: String,
    pub(crate) syntax: String,
    pub(crate) number: Option<i64>,
    pub(crate) frames: i64,
    pub(crate) rows: Option<i64>,
    pub(crate) columns: Option<i64>,
    pub(crate) bits_allocated: Option<i64>,
    pub(crate) pixels: String,
    pub(crate) metadata: String,
    pub(crate) content: ContentRow,
}

/// What is held under a key, and the receipt for it.
#[derive(Clone, FromRow)]
pub(crate) struct ContentRow {
    pub(crate) length: i64,
    pub(crate) sent_digest: String,
    pub(crate) source_tag: String,
    pub(crate) blob_key: String,
    pub(crate) receipt_number: i64,
    pub(crate) receipt_epoch: i64,
}

/// What is held of an instance; none when nothing is.
pub(crate) async fn held(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    sop: &str,
) -> Result<Option<ContentRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT length, sent_digest, source_tag, blob_key, receipt_number, receipt_epoch FROM instance
         WHERE site_id = $1 AND agreement_id = $2 AND sop_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(sop)
    .fetch_optional(&mut **tx)
    .await
}

/// What was held of an instance until its time was over; none when nothing was.
pub(crate) async fn deleted(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    sop: &str,
) -> Result<Option<ContentRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT length, sent_digest, source_tag, '' AS blob_key, receipt_number, receipt_epoch FROM deleted_instance
         WHERE site_id = $1 AND agreement_id = $2 AND sop_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(sop)
    .fetch_optional(&mut **tx)
    .await
}

/// Adds an instance.
pub(crate) async fn add_instance(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    row: &InstanceRow,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO instance (site_id, agreement_id, sop_uid, study_uid, series_uid, sop_class, transfer_syntax, number, frames,
             image_rows, image_columns, bits_allocated, length, sent_digest, source_tag, blob_key, pixels, metadata, receipt_number, receipt_epoch, received_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(row.sop.as_str())
    .bind(key.study.as_str())
    .bind(row.series.as_str())
    .bind(row.class.as_str())
    .bind(row.syntax.as_str())
    .bind(row.number)
    .bind(row.frames)
    .bind(row.rows)
    .bind(row.columns)
    .bind(row.bits_allocated)
    .bind(row.content.length)
    .bind(row.content.sent_digest.as_str())
    .bind(row.content.source_tag.as_str())
    .bind(row.content.blob_key.as_str())
    .bind(row.pixels.as_str())
    .bind(row.metadata.as_str())
    .bind(row.content.receipt_number)
    .bind(row.content.receipt_epoch)
    .bind(at.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// One order.
#[derive(Clone, Default)]
pub(crate) struct RequestRow {
    pub(crate) accession: String,
    pub(crate) issuer: String,
    pub(crate) placer: String,
    pub(crate) filler: String,
    pub(crate) procedure: String,
    pub(crate) description: String,
}

/// Links a study to an order, making the order the first time (P15).
pub(crate) async fn link_request(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    request: &RequestRow,
    id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO request (id, site_id, agreement_id, accession, issuer, placer_number, filler_number, requested_procedure_id, description)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(request.accession.as_str())
    .bind(request.issuer.as_str())
    .bind(request.placer.as_str())
    .bind(request.filler.as_str())
    .bind(request.procedure.as_str())
    .bind(request.description.as_str())
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "INSERT INTO study_request (site_id, agreement_id, study_uid, request_id)
         SELECT $1, $2, $3, id FROM request
         WHERE site_id = $4 AND agreement_id = $5 AND accession = $6 AND issuer = $7 AND placer_number = $8 AND requested_procedure_id = $9
         ON CONFLICT DO NOTHING",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(request.accession.as_str())
    .bind(request.issuer.as_str())
    .bind(request.placer.as_str())
    .bind(request.procedure.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The UIDs and digests held of a study, quarantined content and what was held until its time was over included. What is damaged is not.
pub(crate) async fn contents(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT sop_uid, sent_digest FROM instance WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3
             AND NOT EXISTS (SELECT 1 FROM blob_fault f WHERE f.blob_key = instance.blob_key)
         UNION ALL SELECT sop_uid, sent_digest FROM quarantine WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3
             AND NOT EXISTS (SELECT 1 FROM blob_fault f WHERE f.blob_key = quarantine.blob_key)
         UNION ALL SELECT sop_uid, sent_digest FROM deleted_instance WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3",
    )
    .bind(key.site.as_str())
    .bind(key.agreement.as_str())
    .bind(key.study.as_str())
    .fetch_all(&mut **tx)
    .await
}
