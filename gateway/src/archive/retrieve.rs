//! Finding what is to be served: instances of a study, of a series, or one, with where their bytes and frames are.

use causeway_proto::ids::{AgreementId, SeriesUid, SiteId, SopInstanceUid, StudyUid};
use serde_json::json;
use sqlx::{AssertSqlSafe, FromRow};

use crate::rows::Rows;

/// What is asked for: a study, one of its series, or one instance of that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// (0020,000D).
    pub study: StudyUid,
    /// (0020,000E).
    pub series: Option<SeriesUid>,
    /// (0008,0018).
    pub instance: Option<SopInstanceUid>,
}

/// Where an instance's bytes are.
#[derive(Clone, Debug, FromRow)]
#[expect(missing_docs, reason = "the columns' names say it")]
pub struct Served {
    pub site_id: String,
    pub agreement_id: String,
    pub study_uid: String,
    pub series_uid: String,
    pub sop_uid: String,
    pub sop_class: String,
    pub transfer_syntax: String,
    pub length: i64,
    pub blob_key: String,
    pub pixels: String,
    pub image_rows: Option<i64>,
    pub image_columns: Option<i64>,
    pub bits_allocated: Option<i64>,
    /// What is wrong with its bytes: `missing`, `altered`, or `gone` when its site does not have them either. None of them is served then.
    pub fault: Option<String>,
}

const ORDER: &str = "ORDER BY i.series_uid, COALESCE(i.number, 2147483648), i.sop_uid";

/// A study as one site sent it under one agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Whose it is.
    pub owner: (SiteId, AgreementId),
    /// The site has taken it back.
    pub recalled: bool,
    /// It comes from the backup that the gateway was put back to, and its site has not said since that it still stands.
    pub unheard: bool,
    /// Why it has no images any more, in words.
    pub gone: Option<String>,
}

#[derive(FromRow)]
struct OwnedRow {
    site_id: String,
    agreement_id: String,
    recalled_us: Option<i64>,
    deleted_us: Option<i64>,
    deleted_days: i64,
    unheard: i64,
}

/// Columns of [`OwnedRow`]. What came only after the restore is unheard too where it may have been reported before it, but is what its site has.
const OWNED: &str = "s.site_id, s.agreement_id, s.recalled_us, s.deleted_us, s.deleted_days,
    CAST(CASE WHEN s.restored = 'unheard' AND EXISTS (SELECT 1 FROM gateway_fact WHERE name = 'restored_us' AND CAST(value AS BIGINT) > s.first_us)
        THEN 1 ELSE 0 END AS BIGINT) AS unheard";

/// Whether a study `s` may be shown: not taken back, and not of a backup whose site was not heard since. As [`OWNED`] says it.
pub(crate) const STANDS: &str =
    "s.recalled_us IS NULL AND (s.restored <> 'unheard' OR NOT EXISTS (SELECT 1 FROM gateway_fact
    WHERE name = 'restored_us' AND CAST(value AS BIGINT) > s.first_us))";

/// Under which sites and agreements a study is known, whoever may see them: more than one where two sites sent the same UID. Those that
/// were taken back are among them.
///
/// # Errors
/// When the database refuses.
pub async fn owners(rows: &Rows, study: &StudyUid) -> Result<Vec<Owned>, sqlx::Error> {
    let sql = format!(
        "SELECT {OWNED} FROM study s WHERE s.study_uid = $1 ORDER BY s.site_id, s.agreement_id"
    );
    let found: Vec<OwnedRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(study.as_str())
        .fetch_all(rows.read())
        .await?;
    Ok(found.iter().filter_map(Owned::read).collect())
}

impl Owned {
    fn read(row: &OwnedRow) -> Option<Self> {
        Some(Self {
            owner: (row.site_id.parse().ok()?, row.agreement_id.parse().ok()?),
            recalled: row.recalled_us.is_some(),
            unheard: row.unheard != 0,
            gone: images_gone(row.deleted_us, row.deleted_days),
        })
    }
}

/// The site and the agreement of a case.
///
/// # Errors
/// When the database refuses.
pub async fn owner_of_case(
    rows: &Rows,
    case: &str,
) -> Result<Option<(SiteId, AgreementId)>, sqlx::Error> {
    let found: Option<(String, String)> =
        sqlx::query_as("SELECT site_id, agreement_id FROM reading_case WHERE id = $1")
            .bind(case)
            .fetch_optional(rows.read())
            .await?;
    Ok(found.and_then(|(site, agreement)| Some((site.parse().ok()?, agreement.parse().ok()?))))
}

/// Why a study has no images any more, in words; none while it has.
#[must_use]
pub fn images_gone(deleted_us: Option<i64>, days: i64) -> Option<String> {
    deleted_us?;
    let unit = if days == 1 { "day" } else { "days" };
    Some(format!(
        "images deleted {days} {unit} after the report, under the agreement"
    ))
}

/// What the audit trail says of a study beside its UID: the pseudonym where there is one, else the word for the case; no name or number
/// of a patient ever.
///
/// # Errors
/// When the database refuses.
pub async fn told(
    rows: &Rows,
    (site, agreement): &(SiteId, AgreementId),
    study: &StudyUid,
) -> Result<serde_json::Value, sqlx::Error> {
    let found: Option<(String, String, String)> = sqlx::query_as(
        "SELECT a.identity, s.patient_id, s.case_code FROM study s JOIN agreement a ON a.id = s.agreement_id \
         WHERE s.site_id = $1 AND s.agreement_id = $2 AND s.study_uid = $3",
    )
    .bind(site.as_str())
    .bind(agreement.as_str())
    .bind(study.as_str())
    .fetch_optional(rows.read())
    .await?;
    let agreement = agreement.as_str();
    Ok(match found {
        Some((identity, pseudonym, case)) if identity == "pseudonymous" => {
            json!({ "agreement": agreement, "case": case, "patient": pseudonym })
        }
        Some((_, _, case)) => json!({ "agreement": agreement, "case": case }),
        None => json!({ "agreement": agreement }),
    })
}

/// What there is at a target: whose it is, and its instances, those of every owner together, by series and number.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// Under which sites and agreements the study is known, whoever may see them.
    pub owners: Vec<Owned>,
    /// Their instances.
    pub served: Vec<Served>,
}

/// What the short texts of a row, or of a name for it, come to at most, in bytes.
const TEXTS: usize = 512;

impl Opened {
    /// How many bytes it takes to remember this, with its name.
    #[must_use]
    pub fn weight(&self) -> usize {
        let owners = self.owners.len() * (size_of::<Owned>() + TEXTS);
        let served = self.served.iter();
        let served = served.map(|one| size_of::<Served>() + TEXTS + one.pixels.len());
        size_of::<Self>() + TEXTS + owners + served.sum::<usize>()
    }
}

#[derive(FromRow)]
struct OpenedRow {
    #[sqlx(flatten)]
    owner: OwnedRow,
    series_uid: Option<String>,
    sop_uid: Option<String>,
    sop_class: Option<String>,
    transfer_syntax: Option<String>,
    length: Option<i64>,
    blob_key: Option<String>,
    pixels: Option<String>,
    image_rows: Option<i64>,
    image_columns: Option<i64>,
    bits_allocated: Option<i64>,
    fault: Option<String>,
}

impl OpenedRow {
    fn served(self, study: &StudyUid) -> Option<Served> {
        Some(Served {
            site_id: self.owner.site_id,
            agreement_id: self.owner.agreement_id,
            study_uid: study.as_str().to_owned(),
            series_uid: self.series_uid?,
            sop_uid: self.sop_uid?,
            sop_class: self.sop_class?,
            transfer_syntax: self.transfer_syntax?,
            length: self.length?,
            blob_key: self.blob_key?,
            pixels: self.pixels?,
            image_rows: self.image_rows,
            image_columns: self.image_columns,
            bits_allocated: self.bits_allocated,
            fault: self.fault,
        })
    }
}

/// Looks at a target once: whose study it is and where its instances' bytes are. A report that was signed here is not among them; see
/// [`report`].
///
/// # Errors
/// When the database refuses.
pub async fn opened(rows: &Rows, target: &Target) -> Result<Opened, sqlx::Error> {
    let mut join = String::new();
    let mut next = 2;
    for (given, condition) in [
        (target.series.is_some(), " AND i.series_uid = $"),
        (target.instance.is_some(), " AND i.sop_uid = $"),
    ] {
        if given {
            join.push_str(&format!("{condition}{next}"));
            next += 1;
        }
    }
    let sql = format!(
        "SELECT {OWNED}, i.series_uid, i.sop_uid, i.sop_class,
             i.transfer_syntax, i.length, i.blob_key, i.pixels, i.image_rows, i.image_columns, i.bits_allocated,
             CASE WHEN f.gone_us IS NULL THEN f.kind ELSE 'gone' END AS fault
         FROM study s LEFT JOIN instance i ON i.site_id = s.site_id AND i.agreement_id = s.agreement_id AND i.study_uid = s.study_uid
             AND s.recalled_us IS NULL{join} LEFT JOIN blob_fault f ON f.blob_key = i.blob_key
         WHERE s.study_uid = $1 ORDER BY s.site_id, s.agreement_id, i.series_uid, COALESCE(i.number, 2147483648), i.sop_uid"
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(target.study.as_str());
    if let Some(series) = &target.series {
        query = query.bind(series.as_str());
    }
    if let Some(instance) = &target.instance {
        query = query.bind(instance.as_str());
    }
    let found: Vec<OpenedRow> = query.fetch_all(rows.read()).await?;
    let mut opened = Opened::default();
    for row in found {
        let Some(owned) = Owned::read(&row.owner) else {
            continue;
        };
        if opened
            .owners
            .last()
            .is_none_or(|last| last.owner != owned.owner)
        {
            opened.owners.push(owned);
        }
        opened.served.extend(row.served(&target.study));
    }
    Ok(opened)
}

/// The report that was signed here and is named by a target; none where the target names none.
///
/// # Errors
/// When the database refuses.
pub async fn report(
    rows: &Rows,
    owner: &(SiteId, AgreementId),
    target: &Target,
) -> Result<Option<Served>, sqlx::Error> {
    if target.series.is_none() || target.instance.is_none() {
        return Ok(None);
    }
    bind(sqlx::query_as(REPORT), owner, target)
        .fetch_optional(rows.read())
        .await
}

const REPORT: &str = "SELECT site_id, agreement_id, study_uid, series_uid, sop_uid, sop_class, transfer_syntax, length, blob_key, '' AS pixels,
        CAST(NULL AS BIGINT) AS image_rows, CAST(NULL AS BIGINT) AS image_columns, CAST(NULL AS BIGINT) AS bits_allocated,
        (SELECT 'gone' FROM blob_fault f WHERE f.blob_key = report_document.blob_key) AS fault
    FROM report_document WHERE site_id = $1 AND agreement_id = $2 AND study_uid = $3 AND series_uid = $4 AND sop_uid = $5";

/// One instance's metadata and what its addresses are made of.
#[derive(Clone, FromRow)]
#[expect(missing_docs, reason = "the columns' names say it")]
pub struct Metadata {
    pub series_uid: String,
    pub sop_uid: String,
    pub transfer_syntax: String,
    pub metadata: String,
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Metadata({})", self.sop_uid)
    }
}

/// The metadata of a target's instances, at most `limit` after `offset`.
///
/// # Errors
/// When the database refuses.
pub async fn metadata(
    rows: &Rows,
    owner: &(SiteId, AgreementId),
    target: &Target,
    limit: i64,
    offset: i64,
) -> Result<Vec<Metadata>, sqlx::Error> {
    let sql = format!(
        "SELECT i.series_uid, i.sop_uid, i.transfer_syntax, i.metadata {} {ORDER} LIMIT {limit} OFFSET {offset}",
        from(target)
    );
    bind(sqlx::query_as(AssertSqlSafe(sql)), owner, target)
        .fetch_all(rows.read())
        .await
}

type Query<'q, T> = sqlx::query::QueryAs<'q, sqlx::Any, T, sqlx::any::AnyArguments>;

/// Only what is asked for is a condition, so that one instance is found by its key.
fn from(target: &Target) -> String {
    let mut from = "FROM instance i JOIN study s ON s.site_id = i.site_id AND s.agreement_id = i.agreement_id AND s.study_uid = i.study_uid
        WHERE s.recalled_us IS NULL AND i.site_id = $1 AND i.agreement_id = $2 AND i.study_uid = $3"
        .to_owned();
    let mut next = 4;
    for (given, condition) in [
        (target.series.is_some(), " AND i.series_uid = $"),
        (target.instance.is_some(), " AND i.sop_uid = $"),
    ] {
        if given {
            from.push_str(&format!("{condition}{next}"));
            next += 1;
        }
    }
    from
}

fn bind<'q, T>(
    query: Query<'q, T>,
    owner: &'q (SiteId, AgreementId),
    target: &'q Target,
) -> Query<'q, T> {
    let mut query = query
        .bind(owner.0.as_str())
        .bind(owner.1.as_str())
        .bind(target.study.as_str());
    if let Some(series) = &target.series {
        query = query.bind(series.as_str());
    }
    if let Some(instance) = &target.instance {
        query = query.bind(instance.as_str());
    }
    query
}
