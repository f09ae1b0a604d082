//! Signed reports and their documents. Rows are added and read here; nothing changes one.

use causeway_proto::time::Timestamp;
use sqlx::{Any, AnyConnection, FromRow, Transaction};

/// A signed report's row.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct Signed {
    /// Our identifier.
    pub id: String,
    /// The case it answers.
    pub case_id: String,
    /// 1 for the first of the case.
    pub version: i64,
    /// The one before.
    pub predecessor_id: Option<String>,
    /// `preliminary` or `final`.
    pub status: String,
    /// Who wrote it.
    pub author_id: String,
    /// Who verified it, when final.
    pub verifier_id: Option<String>,
    /// The draft it was signed from; below zero for a withdrawal, which is signed from none.
    pub draft_version: i64,
    /// The text as typed, JSON of `Content`.
    pub content: String,
    /// What was signed, JSON of the model, one entry for each study.
    pub model: String,
    /// When it was signed.
    pub signed_us: i64,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed({} version {})", self.id, self.version)
    }
}

impl Signed {
    /// When it was signed.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp(self.signed_us)
    }

    /// When a report that takes its place `now` was signed: after it, although the clock may have been set back. By this a site knows
    /// which of two a withdrawal takes back.
    #[must_use]
    pub fn replaced_at(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp(self.signed_us.saturating_add(1)))
    }
}

/// A signed document of a report.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct SignedDocument {
    /// (0008,0018).
    pub sop_uid: String,
    /// The site.
    pub site_id: String,
    /// The agreement.
    pub agreement_id: String,
    /// (0020,000D).
    pub study_uid: String,
    /// (0020,000E).
    pub series_uid: String,
    /// (0008,0016).
    pub sop_class: String,
    /// Its transfer syntax.
    pub transfer_syntax: String,
    /// Where its bytes are.
    pub blob_key: String,
    /// Their digest.
    pub digest: String,
    /// Their length, in bytes.
    pub length: i64,
}

/// A report about to be stored.
#[derive(Debug)]
pub struct NewReport<'a> {
    /// Its row; the version was chosen while the case was held.
    pub row: &'a Signed,
    /// The task it answers.
    pub workitem: &'a str,
    /// Its language.
    pub language: &'a str,
    /// What was read.
    pub manifest_version: &'a str,
    /// Whose images they were.
    pub identity_version: &'a str,
    /// The certificate.
    pub signing_serial: &'a str,
    /// One for each study.
    pub documents: &'a [SignedDocument],
}

/// Stores a report and its documents.
///
/// # Errors
/// When the database refuses, as it does for a second report of one task from one draft version with one status.
pub async fn insert(tx: &mut Transaction<'_, Any>, new: &NewReport<'_>) -> Result<(), sqlx::Error> {
    let row = new.row;
    sqlx::query(
        "INSERT INTO report (id, case_id, workitem_uid, version, predecessor_id, status, author_id, verifier_id, draft_version, language, content, model,
         manifest_version, identity_version, signing_serial, signed_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(&row.id)
    .bind(&row.case_id)
    .bind(new.workitem)
    .bind(row.version)
    .bind(&row.predecessor_id)
    .bind(&row.status)
    .bind(&row.author_id)
    .bind(&row.verifier_id)
    .bind(row.draft_version)
    .bind(new.language)
    .bind(&row.content)
    .bind(&row.model)
    .bind(new.manifest_version)
    .bind(new.identity_version)
    .bind(new.signing_serial)
    .bind(row.signed_us)
    .execute(&mut **tx)
    .await?;
    for document in new.documents {
        insert_document(tx, &row.id, document).await?;
    }
    sqlx::query(
        "INSERT INTO report_request (report_id, request_id)
         SELECT DISTINCT p.id, sr.request_id FROM report p JOIN case_study cs ON cs.case_id = p.case_id
         JOIN study_request sr ON sr.site_id = cs.site_id AND sr.agreement_id = cs.agreement_id AND sr.study_uid = cs.study_uid
         WHERE p.id = $1",
    )
    .bind(&row.id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_document(
    tx: &mut Transaction<'_, Any>,
    report: &str,
    document: &SignedDocument,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO report_document (sop_uid, report_id, site_id, agreement_id, study_uid, series_uid, sop_class, transfer_syntax, blob_key, digest, length)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&document.sop_uid)
    .bind(report)
    .bind(&document.site_id)
    .bind(&document.agreement_id)
    .bind(&document.study_uid)
    .bind(&document.series_uid)
    .bind(&document.sop_class)
    .bind(&document.transfer_syntax)
    .bind(&document.blob_key)
    .bind(&document.digest)
    .bind(document.length)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The signed reports of a case, oldest first.
///
/// # Errors
/// When the database refuses.
pub async fn of_case(
    connection: &mut AnyConnection,
    case: &str,
) -> Result<Vec<Signed>, sqlx::Error> {
    sqlx::query_as("SELECT * FROM report WHERE case_id = $1 ORDER BY version")
        .bind(case)
        .fetch_all(connection)
        .await
}

/// One signed report.
///
/// # Errors
/// When the database refuses.
pub async fn one(connection: &mut AnyConnection, id: &str) -> Result<Option<Signed>, sqlx::Error> {
    sqlx::query_as("SELECT * FROM report WHERE id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await
}

/// The documents of a report.
///
/// # Errors
/// When the database refuses.
pub async fn documents(
    connection: &mut AnyConnection,
    report: &str,
) -> Result<Vec<SignedDocument>, sqlx::Error> {
    sqlx::query_as("SELECT * FROM report_document WHERE report_id = $1 ORDER BY study_uid")
        .bind(report)
        .fetch_all(connection)
        .await
}
