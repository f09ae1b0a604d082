//! The rows of restoration: what is to be decided, what was decided, and what a person at the site sees of it. Both sets stand in
//! this table and in no message that leaves the site.

use causeway_proto::dataset::{Dataset, MAX_BYTES};
use causeway_proto::ids::{AgreementId, CaseCode, StudyUid, TransferSyntaxUid};
use causeway_proto::text::CharacterSet;
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::home::Home;
use crate::rows::{Rows, from_row};
use crate::spool::{Handle, Spool};

/// So many of the newest headers of a study are looked at for one of its own patient.
const HEADERS: i64 = 8;

/// A report whose patient is to be found.
#[derive(Clone, Debug)]
pub struct Due {
    /// Its row.
    pub report: i64,
    /// (0020,000D).
    pub study: StudyUid,
    /// Under which it was sent.
    pub agreement: AgreementId,
    /// Of the bytes.
    pub syntax: TransferSyntaxUid,
    /// The signed bytes.
    pub handle: Handle,
    /// Their length.
    pub length: i64,
    /// `due`, or `done` when the decision has grown old.
    pub state: String,
    /// How often it was tried to find out.
    pub attempts: i64,
    /// How often the PACS has refused to say.
    pub refusals: i64,
}

/// What is written down about a report.
#[derive(Debug, Default)]
pub struct Decision<'a> {
    /// `due`, `done`, `held` or `refused`.
    pub state: &'static str,
    /// Why, without patient data.
    pub sentence: &'a str,
    /// The patient, when it is `done`.
    pub home: Option<&'a Home>,
    /// What the site knows.
    pub ours: Option<&'a Home>,
    /// What the PACS says.
    pub theirs: &'a [Home],
    /// `pacs`, `original` or `person`.
    pub by: &'static str,
    /// What of the patient stands in the report's own words.
    pub names: &'a str,
    /// Refusals of the PACS so far.
    pub refusals: i64,
    /// When it is tried again.
    pub due: Option<Timestamp>,
}

/// A report as a person at the site sees it who has to decide about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The number by which it is decided.
    pub report: i64,
    /// The case it answers.
    pub case: String,
    /// `held`, `refused`, or `done` when only its words are in question.
    pub state: String,
    /// Why.
    pub sentence: String,
    /// What of the patient stands in the report's own words (P33); empty when nothing does.
    pub names: String,
    /// What the site knows.
    pub ours: Option<Home>,
    /// What the PACS says.
    pub theirs: Vec<Home>,
}

/// Whether a report of a study has to get its patient back: the study left under a pseudonym, whatever agreement the gateway names, or
/// the agreement is one under which studies do.
pub(crate) async fn is_pseudonymous(
    tx: &mut SqliteConnection,
    study: &StudyUid,
    agreement: &AgreementId,
) -> Result<bool, sqlx::Error> {
    let found: i64 = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM agreement WHERE id = $2 AND identity = 'pseudonymous') \
         OR EXISTS (SELECT 1 FROM study s LEFT JOIN agreement a ON a.id = s.agreement LEFT JOIN sealed_set t ON t.study_id = s.id \
         WHERE s.study_uid = $1 AND (a.identity = 'pseudonymous' OR t.study_id IS NOT NULL) \
         AND (s.agreement = $2 OR NOT EXISTS (SELECT 1 FROM study o WHERE o.study_uid = $1 AND o.agreement = $2)))",
    )
    .bind(study.as_str())
    .bind(agreement.as_str())
    .fetch_one(tx)
    .await?;
    Ok(found != 0)
}

/// A new report waits for its patient. One whose bytes have come again is the same: what was decided about it stands.
pub(crate) async fn insert(
    tx: &mut SqliteConnection,
    report: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO restoration (report_id, state, due_us, since_us) VALUES ($1, 'due', $2, $2) \
         ON CONFLICT (report_id) DO NOTHING",
    )
    .bind(report)
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// A person wants the reports of a case offered again: whose they are is asked anew where nobody has decided it.
pub(crate) async fn ask_again(
    tx: &mut SqliteConnection,
    case: &CaseCode,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE restoration SET state = 'due', refusals = 0, due_us = $2, since_us = $2, attempts = attempts + 1 \
         WHERE state IN ('due', 'held') AND report_id IN (SELECT id FROM report WHERE case_code = $1)",
    )
    .bind(case.as_str())
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// What has been due the longest; or a decision of the PACS from before `stale` whose report is to be offered now. What is due
/// after `farthest`, or was decided after `now`, was written under a clock that was set back since. What was lost waits for its bytes, and
/// what is being offered for the end of that.
/// `passed_over` are reports that are not meant.
pub(crate) async fn next(
    rows: &Rows,
    now: Timestamp,
    stale: Timestamp,
    farthest: Timestamp,
    passed_over: &[i64],
) -> Result<Option<Due>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT x.report_id, r.study_uid, r.agreement, r.syntax, o.handle, o.length, x.state, x.attempts, x.refusals \
         FROM restoration x JOIN report r ON r.id = x.report_id JOIN own_report o ON o.sop_uid = r.sop_uid \
         WHERE o.lost = 0 AND x.report_id NOT IN (SELECT value FROM json_each($4)) AND ((x.state = 'due' AND (x.due_us <= $1 OR x.due_us > $3)) \
         OR (x.state = 'done' AND x.decided_by = 'pacs' AND (x.since_us <= $2 OR x.since_us > $1) AND EXISTS (SELECT 1 FROM delivery d \
         WHERE d.report_id = x.report_id AND d.state IN ('at-site', 'waiting') AND (d.due_us <= $1 OR d.due_us > $3)) \
         AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.report_id = x.report_id AND d.lease_until_us > $1 AND d.lease_until_us <= $3))) \
         ORDER BY r.status <> 'withdrawn', x.due_us LIMIT 1",
    )
    .bind(now.0)
    .bind(stale.0)
    .bind(farthest.0)
    .bind(json(passed_over)?)
    .fetch_optional(rows.read())
    .await?;
    row.map(|row| due(&row)).transpose()
}

fn due(row: &SqliteRow) -> Result<Due, sqlx::Error> {
    let text = |index: usize| row.try_get::<String, _>(index);
    let (Ok(study), Ok(agreement), Ok(syntax)) =
        (text(1)?.parse(), text(2)?.parse(), text(3)?.parse())
    else {
        return Err(sqlx::Error::Decode("an identifier of a report".into()));
    };
    Ok(Due {
        report: row.try_get(0)?,
        study,
        agreement,
        syntax,
        handle: Handle::from_row(text(4)?),
        length: row.try_get(5)?,
        state: text(6)?,
        attempts: row.try_get(7)?,
        refusals: row.try_get(8)?,
    })
}

/// Writes a decision down, unless something has changed since `due` was read. Answers whether it was written.
pub(crate) async fn decided(
    tx: &mut SqliteConnection,
    due: &Due,
    decision: &Decision<'_>,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let theirs = json(&decision.theirs)?;
    let changed = sqlx::query(
        "UPDATE restoration SET state = $4, sentence = $5, home = $6, ours = $7, theirs = $8, decided_by = $9, names = $10, \
         refusals = $11, due_us = $12, since_us = $13, attempts = attempts + 1 \
         WHERE report_id = $1 AND state = $2 AND attempts = $3",
    )
    .bind(due.report)
    .bind(&due.state)
    .bind(due.attempts)
    .bind(decision.state)
    .bind(decision.sentence)
    .bind(decision.home.map(json).transpose()?)
    .bind(decision.ours.map(json).transpose()?)
    .bind(theirs)
    .bind(decision.by)
    .bind(decision.names)
    .bind(decision.refusals)
    .bind(decision.due.map(|at| at.0))
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// A person's word: `home` none refuses the report. Answers whether there was anything to decide.
pub(crate) async fn ruled(
    tx: &mut SqliteConnection,
    report: i64,
    home: Option<&Home>,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE restoration SET state = CASE WHEN $2 IS NULL THEN 'refused' ELSE 'done' END, home = $2, \
         decided_by = 'person', sentence = 'a person at the site has decided', due_us = NULL, since_us = $3, \
         attempts = attempts + 1 WHERE report_id = $1 AND state IN ('due', 'held', 'refused')",
    )
    .bind(report)
    .bind(home.map(json).transpose()?)
    .bind(now.0)
    .execute(tx)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// The patient whose name a report gets; none when it needs none.
pub(crate) async fn home(
    connection: &mut SqliteConnection,
    report: i64,
) -> Result<Option<Home>, sqlx::Error> {
    let text: Option<Option<String>> =
        sqlx::query_scalar("SELECT home FROM restoration WHERE report_id = $1")
            .bind(report)
            .fetch_optional(connection)
            .await?;
    match text {
        None => Ok(None),
        // a report that needs a name and has none must not go as it is
        Some(None) => Err(sqlx::Error::Decode(
            "a restoration without a patient".into(),
        )),
        Some(Some(text)) => parsed(&text).map(Some),
    }
}

/// What a person may have to decide or look at, newest first, at most 200; one report alone when it is named.
pub(crate) async fn mismatches(
    rows: &Rows,
    only: Option<i64>,
) -> Result<Vec<Mismatch>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT x.report_id, r.case_code, x.state, x.sentence, x.names, x.ours, x.theirs FROM restoration x \
         JOIN report r ON r.id = x.report_id WHERE ($1 IS NULL AND (x.state IN ('held', 'refused') OR x.names <> '')) \
         OR x.report_id = $1 ORDER BY x.state = 'done', x.since_us DESC LIMIT 200",
    )
    .bind(only)
    .fetch_all(rows.read())
    .await?;
    found.iter().map(mismatch).collect()
}

fn mismatch(row: &SqliteRow) -> Result<Mismatch, sqlx::Error> {
    let ours: Option<String> = row.try_get(5)?;
    Ok(Mismatch {
        report: row.try_get(0)?,
        case: row.try_get(1)?,
        state: row.try_get(2)?,
        sentence: row.try_get(3)?,
        names: row.try_get(4)?,
        ours: ours.as_deref().map(parsed).transpose()?,
        theirs: parsed(&row.try_get::<String, _>(6)?)?,
    })
}

/// What was received of a study: its row, which has the newest names (P24), and what else the newest header says.
pub(crate) async fn received(
    spool: &Spool,
    study: &StudyUid,
    agreement: &AgreementId,
) -> Result<Option<Home>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id, patient_id, patient_issuer, patient_name, accession, description FROM study WHERE study_uid = $1 \
         ORDER BY agreement = $2 DESC, id DESC LIMIT 1",
    )
    .bind(study.as_str())
    .bind(agreement.as_str())
    .fetch_optional(spool.rows().read())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let text = |index: usize| row.try_get::<String, _>(index);
    let home = Home {
        id: text(1)?.into(),
        issuer: text(2)?.into(),
        name: text(3)?.into(),
        accessions: Some(text(4)?)
            .filter(|one| !one.is_empty())
            .map(Into::into)
            .into_iter()
            .collect(),
        description: text(5)?.into(),
        ..Home::default()
    };
    Ok(Some(
        match newest_header(spool, row.try_get(0)?, &home).await? {
            Some(header) => home.with_requests_of(&header).completed_by(&header),
            None => home,
        },
    ))
}

/// The newest header of the study's own patient whose bytes are still there and short enough to be read whole: corrections first.
/// An object of somebody else may lie in the study, kept back; nothing of it belongs in a report.
async fn newest_header(
    spool: &Spool,
    study: i64,
    patient: &Home,
) -> Result<Option<Home>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT handle, syntax, length FROM (\
         SELECT a.handle, a.syntax, a.length, 1 AS later, a.seen_us FROM aside a JOIN instance i ON i.id = a.instance_id \
           WHERE i.study_id = $1 AND a.kind = 'correction' \
         UNION ALL SELECT handle, syntax, length, 0, seen_us FROM instance \
           WHERE study_id = $1 AND handle IS NOT NULL AND lost = 0) \
         WHERE length <= $2 ORDER BY later DESC, seen_us DESC LIMIT $3",
    )
    .bind(study)
    .bind(i64::try_from(MAX_BYTES).unwrap_or(i64::MAX))
    .bind(HEADERS)
    .fetch_all(spool.rows().read())
    .await?;
    for row in &rows {
        let header = header(spool, row).await?;
        if let Some(header) = header.filter(|header| patient.is_same_patient(header)) {
            return Ok(Some(header));
        }
    }
    Ok(None)
}

/// What one received header says; none when it cannot be read.
async fn header(spool: &Spool, row: &SqliteRow) -> Result<Option<Home>, sqlx::Error> {
    let handle = Handle::from_row(row.try_get(0)?);
    let Ok(syntax) = row.try_get::<String, _>(1)?.parse::<TransferSyntaxUid>() else {
        return Ok(None);
    };
    let length = usize::try_from(from_row(row.try_get(2)?)).unwrap_or(0);
    let Ok(bytes) = spool.read(&handle, 0, length).await else {
        return Ok(None);
    };
    let read = tokio::task::spawn_blocking(move || {
        let dataset = Dataset::read(&bytes, &syntax).ok()?;
        Some(Home::of(&dataset, &CharacterSet::default()))
    });
    Ok(read.await.ok().flatten())
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn parsed<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
