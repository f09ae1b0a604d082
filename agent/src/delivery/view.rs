//! What people ask of the deliveries: where each report stands, and what has happened to those of a study.

use causeway_proto::ids::{CaseCode, SopInstanceUid, TransferSyntaxUid};
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::work::parsed;
use super::{DeliveryError, refused};
use crate::restore::{self, rows::Mismatch};
use crate::rows::{Rows, from_row};
use crate::spool::Handle;
use crate::spool::view::Event;

/// The state of row `d`, as people see it.
const STATE: &str = "CASE WHEN d.state = 'waiting' AND d.unknown <> 0 AND (d.unknown = 1 OR d.attempts > 0) THEN 'unknown' ELSE d.state END";

/// One report towards one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The case it answers.
    pub case: String,
    /// `preliminary` or `final`.
    pub status: String,
    /// Where to; `site` for the agent itself.
    pub destination: String,
    /// `sr` or `image`.
    pub form: String,
    /// See the table of states.
    pub state: String,
    /// In words.
    pub sentence: String,
    /// How often it was offered.
    pub attempts: i64,
    /// Since when it stands there.
    pub since: Timestamp,
    /// When it is tried next.
    pub next_try: Option<Timestamp>,
}

/// Where the last 200 rows stand, those that want attention first.
///
/// # Errors
/// When the rows refuse.
pub async fn standing(rows: &Rows) -> Result<Vec<Line>, DeliveryError> {
    let found = sqlx::query(
        sqlx::AssertSqlSafe(format!("SELECT r.case_code, r.status, d.destination, d.form, {STATE}, d.sentence, d.attempts, d.since_us, \
         CASE WHEN d.state = 'waiting' THEN d.due_us END FROM delivery d JOIN report r ON r.id = d.report_id \
         WHERE (d.destination <> 'site' OR d.state <> 'at-site') AND d.form <> 'acknowledged' \
         ORDER BY d.state = 'delivered', d.since_us DESC LIMIT 200")),
    )
    .fetch_all(rows.read())
    .await
    .map_err(refused("listing the deliveries"))?;
    found
        .iter()
        .map(line)
        .collect::<Result<_, _>>()
        .map_err(refused("reading the deliveries"))
}

fn line(row: &SqliteRow) -> Result<Line, sqlx::Error> {
    Ok(Line {
        case: row.try_get(0)?,
        status: row.try_get(1)?,
        destination: row.try_get(2)?,
        form: row.try_get(3)?,
        state: row.try_get(4)?,
        sentence: row.try_get(5)?,
        attempts: row.try_get(6)?,
        since: Timestamp(row.try_get(7)?),
        next_try: row.try_get::<Option<i64>, _>(8)?.map(Timestamp),
    })
}

/// A withdrawal that nobody here has seen yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The report's row.
    pub report: i64,
    /// The case.
    pub case: CaseCode,
    /// When it was signed.
    pub signed: Timestamp,
    /// By whom.
    pub signer: String,
    /// Whether the hospital's systems got what it takes back, or may have.
    pub was_delivered: bool,
}

/// Withdrawals that wait for a person's word, the oldest first.
///
/// # Errors
/// When the rows refuse.
pub async fn withdrawals(rows: &Rows) -> Result<Vec<Open>, DeliveryError> {
    let found = sqlx::query(
        "SELECT w.id, w.case_code, w.signed_us, w.signer, EXISTS (SELECT 1 FROM report r JOIN delivery e ON e.report_id = r.id \
           WHERE r.case_code = w.case_code AND r.id <> w.id AND r.signed_us < w.signed_us AND e.destination <> 'site' \
           AND (e.state = 'delivered' OR e.unknown <> 0 OR e.lease_until_us <> 0)) FROM report w JOIN delivery d ON d.report_id = w.id \
         WHERE d.destination = 'site' AND d.form = 'acknowledged' AND d.state = 'held' ORDER BY w.signed_us LIMIT 200",
    )
    .fetch_all(rows.read())
    .await
    .map_err(refused("listing withdrawals"))?;
    let open = |row: &SqliteRow| {
        Ok(Open {
            report: row.try_get(0)?,
            case: parsed(row, 1)?,
            signed: Timestamp(row.try_get(2)?),
            signer: row.try_get(3)?,
            was_delivered: row.try_get(4)?,
        })
    };
    let all: Result<Vec<Open>, sqlx::Error> = found.iter().map(open).collect();
    all.map_err(refused("reading withdrawals"))
}

/// Reports whose patient is in question, or whose own words name one: for a person at the site alone.
///
/// # Errors
/// When the rows refuse.
pub async fn mismatches(rows: &Rows) -> Result<Vec<Mismatch>, DeliveryError> {
    restore::rows::mismatches(rows, None)
        .await
        .map_err(refused("listing what is held"))
}

/// What happened to the reports of a study.
///
/// # Errors
/// When the rows refuse.
pub async fn events(rows: &Rows, study: &str) -> Result<Vec<Event>, DeliveryError> {
    let told: Vec<(i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "SELECT signed_us, 'signed (' || status || ') by ' || signer FROM report WHERE study_uid = $1 AND signer <> '' \
         UNION ALL SELECT d.since_us, CASE d.form WHEN 'image' THEN 'page image ' WHEN 'acknowledged' THEN 'withdrawal ' ELSE 'report ' END || CASE d.destination WHEN 'site' THEN 'at the site' \
           ELSE 'for ' || d.destination END || ': ' || {STATE} || ', ' || d.sentence \
           FROM delivery d JOIN report r ON r.id = d.report_id WHERE r.study_uid = $1 \
         UNION ALL SELECT x.since_us, 'the report''s patient: ' || x.sentence || CASE x.decided_by WHEN '' THEN '' \
           ELSE ' (by ' || x.decided_by || ')' END || CASE x.names WHEN '' THEN '' \
           ELSE '; its own words hold the patient''s ' || x.names END \
           FROM restoration x JOIN report r ON r.id = x.report_id WHERE r.study_uid = $1",
    )))
    .bind(study)
    .fetch_all(rows.read())
    .await
    .map_err(refused("listing what happened to a report"))?;
    Ok(told
        .into_iter()
        .map(|(at, what)| Event {
            at: Timestamp(at),
            what,
        })
        .collect())
}

/// A signed report that is kept at the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its row.
    pub id: i64,
    /// The case it answers.
    pub case: CaseCode,
    /// `preliminary` or `final`.
    pub status: String,
    /// When it was signed.
    pub signed: Timestamp,
    /// By whom.
    pub signer: String,
    /// Where the bytes are, how many, and in which syntax.
    pub bytes: (Handle, u64, TransferSyntaxUid),
}

/// What [`kept`] reads.
const KEPT: &str = "SELECT r.id, r.case_code, r.status, r.signed_us, r.signer, o.handle, o.length, r.syntax \
     FROM report r JOIN own_report o ON o.sop_uid = r.sop_uid WHERE ";

/// The reports of a study, newest first.
///
/// # Errors
/// When the rows refuse.
pub async fn reports(rows: &Rows, study: &str) -> Result<Vec<Kept>, DeliveryError> {
    let found = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{KEPT} r.study_uid = $1 ORDER BY r.id DESC"
    )))
    .bind(study)
    .fetch_all(rows.read())
    .await
    .map_err(refused("listing the reports of a study"))?;
    found
        .iter()
        .map(kept)
        .collect::<Result<_, _>>()
        .map_err(refused("reading the reports of a study"))
}

/// One report.
///
/// # Errors
/// When the rows refuse.
pub async fn report(rows: &Rows, id: i64) -> Result<Option<Kept>, DeliveryError> {
    let found = sqlx::query(sqlx::AssertSqlSafe(format!("{KEPT} r.id = $1")))
        .bind(id)
        .fetch_optional(rows.read())
        .await
        .map_err(refused("looking for a report"))?;
    found
        .as_ref()
        .map(kept)
        .transpose()
        .map_err(refused("reading a report"))
}

/// A signed report by its SOP Instance UID, or by that of the document of the site that was filed in its place.
///
/// # Errors
/// When the rows refuse.
pub async fn signed(rows: &Rows, uid: &SopInstanceUid) -> Result<Option<Kept>, DeliveryError> {
    let found = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{KEPT} o.lost = 0 AND r.id IN (SELECT id FROM report WHERE sop_uid = $1 \
         UNION SELECT report_id FROM home_report WHERE sop_uid = $1)"
    )))
    .bind(uid.as_str())
    .fetch_optional(rows.read())
    .await
    .map_err(refused("looking for a signed report"))?;
    found
        .as_ref()
        .map(kept)
        .transpose()
        .map_err(refused("reading a signed report"))
}

fn kept(row: &SqliteRow) -> Result<Kept, sqlx::Error> {
    Ok(Kept {
        id: row.try_get(0)?,
        case: parsed(row, 1)?,
        status: row.try_get(2)?,
        signed: Timestamp(row.try_get(3)?),
        signer: row.try_get(4)?,
        bytes: (
            Handle::from_row(row.try_get(5)?),
            from_row(row.try_get(6)?),
            parsed(row, 7)?,
        ),
    })
}
