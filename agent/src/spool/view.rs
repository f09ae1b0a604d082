//! What people ask of the spool: how the queue stands, which case is whose, and what has happened to it. Works on the rows alone, so
//! that it answers when the agent is not running. Names of patients leave this file only towards a person at the site (P10).

use causeway_proto::ids::CaseCode;
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::entry::Private;
use super::erasure::{self, Erasure};
use super::{SpoolError, parsed, refused_row};
use crate::rows::{Rows, from_row};

/// How the queue stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Instances without a receipt that may be sent.
    pub instances: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Instances whose bytes were found missing.
    pub lost: u64,
    /// Instances that wait because no agreement is known for them.
    pub without_agreement: u64,
    /// Conflicts kept aside (P24).
    pub conflicts: u64,
    /// Corrections kept aside (P24).
    pub corrections: u64,
    /// Objects that were received and are refused their rows; kept, and tried again.
    #[serde(default)]
    pub unentered: u64,
    /// Studies that are not handed off, or were in the last day; newest last, at most 200.
    pub studies: Vec<StudyLine>,
}

/// One study, without anything that names a patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyLine {
    /// The word for the case.
    pub case: String,
    /// `read` or `comparison`.
    pub purpose: String,
    /// How urgent.
    pub priority: String,
    /// `arriving`, `complete`, `handed-off` or `recalled`.
    pub state: String,
    /// Modalities, comma-separated.
    pub modalities: String,
    /// Instances received.
    pub at_site: u64,
    /// Of these, with a receipt.
    pub receipted: u64,
    /// Of these, kept back at the site.
    pub withheld: u64,
    /// Versions sealed.
    pub manifest_version: u64,
    /// When the first instance came.
    pub first_received: Timestamp,
    /// When the last one came.
    pub last_received: Timestamp,
}

/// Something that happened to a case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What, in words.
    pub what: String,
}

/// A case as a person at the site may see it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The word for it.
    pub case: String,
    /// (0010,0010).
    pub patient_name: String,
    /// (0010,0020).
    pub patient_id: String,
    /// (0008,0050).
    pub accession: String,
    /// (0008,1030).
    pub description: String,
    /// (0020,000D).
    pub study: String,
    /// How urgent.
    pub priority: String,
    /// `arriving`, `complete`, `handed-off` or `recalled`.
    pub state: String,
    /// What it waits for, in words; empty when for nothing.
    pub waits_for: String,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// What of it is gone at the gateway.
    #[serde(default)]
    pub erasure: Option<Erasure>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Case({})", self.case)
    }
}

/// The queue, as the rows have it at `now`.
///
/// # Errors
/// When the rows refuse.
pub async fn queue(rows: &Rows, now: Timestamp) -> Result<Queue, SpoolError> {
    let totals = sqlx::query(
        "SELECT COALESCE(SUM(lost = 0), 0), COALESCE(SUM(CASE WHEN lost = 0 THEN length ELSE 0 END), 0), \
         COALESCE(SUM(lost), 0), COALESCE(SUM(agreement = ''), 0), \
         (SELECT COUNT(*) FROM aside WHERE kind = 'conflict'), (SELECT COUNT(*) FROM aside WHERE kind = 'correction'), \
         (SELECT COUNT(*) FROM unentered) \
         FROM instance WHERE state = 'waiting'",
    )
    .fetch_one(rows.read())
    .await
    .map_err(refused_row("counting the queue"))?;
    let count = |index| -> Result<u64, sqlx::Error> { Ok(from_row(totals.try_get(index)?)) };
    let read = || -> Result<Queue, sqlx::Error> {
        Ok(Queue {
            instances: count(0)?,
            bytes: count(1)?,
            lost: count(2)?,
            without_agreement: count(3)?,
            conflicts: count(4)?,
            corrections: count(5)?,
            unentered: count(6)?,
            studies: Vec::new(),
        })
    };
    let mut queue = read().map_err(refused_row("reading the queue"))?;
    let day = std::time::Duration::from_secs(24 * 3600);
    let studies = sqlx::query(
        "SELECT s.case_code, s.purpose, s.priority, s.state, (SELECT GROUP_CONCAT(DISTINCT modality) FROM instance i \
         WHERE i.study_id = s.id AND modality <> ''), COUNT(*), SUM(i.state = 'receipted'), SUM(i.state = 'withheld'), \
         s.manifest_version, s.first_us, s.last_us FROM study s JOIN instance i ON i.study_id = s.id \
         WHERE s.state IN ('arriving', 'complete') OR s.last_us > $1 GROUP BY s.id ORDER BY s.id DESC LIMIT 200",
    )
    .bind(now.minus(day).0)
    .fetch_all(rows.read())
    .await
    .map_err(refused_row("listing the studies"))?;
    queue.studies = studies
        .iter()
        .rev()
        .map(line)
        .collect::<Result<_, _>>()
        .map_err(refused_row("reading the studies"))?;
    Ok(queue)
}

fn line(row: &SqliteRow) -> Result<StudyLine, sqlx::Error> {
    let count = |index| -> Result<u64, sqlx::Error> { Ok(from_row(row.try_get(index)?)) };
    Ok(StudyLine {
        case: row.try_get(0)?,
        purpose: row.try_get(1)?,
        priority: row.try_get(2)?,
        state: row.try_get(3)?,
        modalities: row.try_get::<Option<String>, _>(4)?.unwrap_or_default(),
        at_site: count(5)?,
        receipted: count(6)?,
        withheld: count(7)?,
        manifest_version: count(8)?,
        first_received: Timestamp(row.try_get(9)?),
        last_received: Timestamp(row.try_get(10)?),
    })
}

/// The cases with this code, accession number, patient ID or pseudonym, newest first, at most 50.
///
/// # Errors
/// When the rows refuse.
pub async fn find(rows: &Rows, what: &str) -> Result<Vec<Case>, SpoolError> {
    let found = sqlx::query(
        "SELECT id, case_code, patient_name, patient_id, accession, description, study_uid, state, priority FROM study \
         WHERE case_code = UPPER($1) OR accession = $1 OR patient_id = $1 \
         OR id IN (SELECT study_id FROM sealed_set WHERE pseudonym = UPPER($1)) ORDER BY id DESC LIMIT 50",
    )
    .bind(what)
    .fetch_all(rows.read())
    .await
    .map_err(refused_row("looking for a case"))?;
    let mut cases = Vec::with_capacity(found.len());
    for row in found {
        cases.push(
            case(rows, &row)
                .await
                .map_err(refused_row("reading a case"))?,
        );
    }
    Ok(cases)
}

/// A case as it stands in a list for people at the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lately {
    /// The word for it.
    pub case: CaseCode,
    /// (0010,0010).
    pub patient_name: Private,
    /// (0010,0020).
    pub patient_id: Private,
    /// (0008,1030).
    pub description: Private,
    /// How urgent.
    pub priority: String,
    /// `arriving`, `complete`, `handed-off` or `recalled`.
    pub state: String,
    /// When the first instance came.
    pub first_received: Timestamp,
}

/// The cases that came last, newest first.
///
/// # Errors
/// When the rows refuse.
pub async fn lately(rows: &Rows, most: u32) -> Result<Vec<Lately>, SpoolError> {
    let found = sqlx::query(
        "SELECT case_code, patient_name, patient_id, description, priority, state, first_us FROM study ORDER BY id DESC LIMIT $1",
    )
    .bind(i64::from(most))
    .fetch_all(rows.read())
    .await
    .map_err(refused_row("listing the last cases"))?;
    let read = |row: &SqliteRow| -> Result<Lately, sqlx::Error> {
        let private = |index| row.try_get::<String, _>(index).map(Private::new);
        Ok(Lately {
            case: parsed(row, 0, "a case code")?,
            patient_name: private(1)?,
            patient_id: private(2)?,
            description: private(3)?,
            priority: row.try_get(4)?,
            state: row.try_get(5)?,
            first_received: Timestamp(row.try_get(6)?),
        })
    };
    found
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(refused_row("reading the last cases"))
}

async fn case(rows: &Rows, row: &SqliteRow) -> Result<Case, sqlx::Error> {
    let id: i64 = row.try_get(0)?;
    let mut events = arrivals(rows, id).await?;
    events.extend(seals(rows, id).await?);
    events.extend(decisions(rows, id).await?);
    events.sort();
    Ok(Case {
        case: row.try_get(1)?,
        patient_name: row.try_get(2)?,
        patient_id: row.try_get(3)?,
        accession: row.try_get(4)?,
        description: row.try_get(5)?,
        study: row.try_get(6)?,
        state: row.try_get(7)?,
        priority: row.try_get(8)?,
        waits_for: waits_for(rows, id).await?,
        events,
        erasure: erasure::of_study(rows, id).await?,
    })
}

/// Received, corrected, withheld, sent, back from the PACS.
async fn arrivals(rows: &Rows, id: i64) -> Result<Vec<Event>, sqlx::Error> {
    let told: Vec<(Option<i64>, String)> = sqlx::query_as(
        "SELECT MIN(received_us), 'received the first of ' || COUNT(*) || ' instances from ' || calling \
           FROM instance WHERE study_id = $1 GROUP BY calling \
         UNION ALL SELECT MAX(received_us), 'received the last' FROM instance WHERE study_id = $1 HAVING COUNT(*) > 1 \
         UNION ALL SELECT MAX(a.seen_us), COUNT(*) || ' ' || a.kind || '(s) kept aside' FROM aside a \
           JOIN instance i ON i.id = a.instance_id WHERE i.study_id = $1 GROUP BY a.kind \
         UNION ALL SELECT MAX(received_us), COUNT(*) || ' withheld: ' || reason FROM instance \
           WHERE study_id = $1 AND state = 'withheld' GROUP BY reason \
         UNION ALL SELECT MIN(receipt_us), 'the gateway confirmed the first instance' FROM instance \
           WHERE study_id = $1 AND receipt_us IS NOT NULL HAVING COUNT(*) > 0 \
         UNION ALL SELECT MAX(receipt_us), 'the gateway has confirmed ' || COUNT(*) FROM instance \
           WHERE study_id = $1 AND receipt_us IS NOT NULL HAVING COUNT(*) > 0",
    )
    .bind(id)
    .fetch_all(rows.read())
    .await?;
    Ok(events(told))
}

/// Sealed, handed off, recalled; and reports that the PACS sent back.
async fn seals(rows: &Rows, id: i64) -> Result<Vec<Event>, sqlx::Error> {
    let told: Vec<(Option<i64>, String)> = sqlx::query_as(
        "SELECT sealed_us, 'complete, version ' || version || CASE basis WHEN 'person' THEN ', a person said so' \
           WHEN 'silence' THEN ', the sender is silent' ELSE ', the PACS has counted' END FROM manifest WHERE study_id = $1 \
         UNION ALL SELECT confirmed_us, 'handed off, version ' || version FROM manifest WHERE study_id = $1 \
         UNION ALL SELECT recalled_us, 'recalled by the site: ' || COALESCE(recall_reason, '') FROM study WHERE id = $1 \
         UNION ALL SELECT recall_heard_us, 'the gateway has confirmed the recall' FROM study WHERE id = $1 \
         UNION ALL SELECT at_us, 'the gateway has deleted ' || objects || ' object(s), ' || bytes || ' bytes' || \
           CASE why WHEN 'recalled' THEN '' ELSE ': their time under the agreement is over' END FROM erasure WHERE study_id = $1 \
         UNION ALL SELECT o.noted_us, 'the PACS sent our report back ' || o.returned || ' time(s); dropped' \
           FROM own_report o JOIN study s ON s.study_uid = o.study_uid WHERE s.id = $1 AND o.returned > 0 \
         UNION ALL SELECT MAX(o.noted_us), 'the PACS sent pages of our report back ' || SUM(o.returned) || ' time(s); dropped' \
           FROM own_page o JOIN study s ON s.study_uid = o.study_uid WHERE s.id = $1 AND o.returned > 0 GROUP BY o.report_uid",
    )
    .bind(id)
    .fetch_all(rows.read())
    .await?;
    Ok(events(told))
}

/// What people at the site decided; many objects decided in one go are one event. A recall stands among the seals.
async fn decisions(rows: &Rows, id: i64) -> Result<Vec<Event>, sqlx::Error> {
    let told: Vec<(Option<i64>, String)> = sqlx::query_as(
        "SELECT MAX(at_us), CASE what WHEN 'release' THEN COUNT(*) || ' released' WHEN 'keep' THEN COUNT(*) || ' kept back for good' \
           WHEN 'mask' THEN COUNT(*) || ' masked' \
           WHEN 'unblock' THEN 'signing allowed again' WHEN 'keep-blocked' THEN 'stays blocked' WHEN 'raise' THEN 'made more urgent' \
           WHEN 'send-now' THEN 'wait for more ended' WHEN 'recall' THEN 'recall asked for' WHEN 'retry' THEN 'reports offered again' \
           WHEN 'context' THEN 'clinical context typed' WHEN 'print' THEN 'report opened' \
           WHEN 'file-ours' THEN 'report filed under the names received' WHEN 'file-pacs' THEN 'report filed under the names of the PACS' \
           ELSE 'report not to be filed' END || ' by ' || who || CASE reason WHEN '' THEN '' ELSE ': ' || reason END \
         FROM decision WHERE study_id = $1 GROUP BY what, who, reason, at_us / 1000000",
    )
    .bind(id)
    .fetch_all(rows.read())
    .await?;
    Ok(events(told))
}

fn events(told: Vec<(Option<i64>, String)>) -> Vec<Event> {
    told.into_iter()
        .filter_map(|(at, what)| {
            Some(Event {
                at: Timestamp(at?),
                what,
            })
        })
        .collect()
}

/// Why the gateway does not hear of a study at all.
const NOT_ANNOUNCED: &str = "not announced: its study UID holds an identifier of the patient";
/// The same, where no header could be read.
const NOT_KNOWN: &str =
    "not announced: whether its study UID holds an identifier of the patient cannot be read";

/// The gateway's answers to a recall, in their order.
async fn recall_waits_for(rows: &Rows, id: i64) -> Result<String, sqlx::Error> {
    let (heard, gone): (i64, i64) = sqlx::query_as(
        "SELECT s.recall_heard_us IS NOT NULL, (SELECT COUNT(*) FROM erasure e WHERE e.study_id = s.id AND e.why = 'recalled') \
         FROM study s WHERE s.id = $1",
    )
    .bind(id)
    .fetch_one(rows.read())
    .await?;
    Ok(match (heard, gone) {
        (0, _) => "the gateway, which has not heard of the recall yet".to_owned(),
        (_, 0) => "the gateway's receipt for what it deletes".to_owned(),
        _ => String::new(),
    })
}

async fn waits_for(rows: &Rows, id: i64) -> Result<String, sqlx::Error> {
    let row = sqlx::query(
        "SELECT s.state, s.agreement, s.silent_from_us IS NULL, SUM(i.state = 'waiting'), \
         SUM(i.lost = 1 AND i.state = 'waiting'), (SELECT COUNT(*) FROM agreement a WHERE a.id = s.agreement AND a.in_force = 1), \
         s.named, s.named = 'may' OR (SELECT COUNT(*) FROM agreement a WHERE a.id = s.agreement AND a.identity = 'identified') > 0, \
         SUM(i.state = 'waiting' AND i.sent_digest IS NULL) \
         FROM study s JOIN instance i ON i.study_id = s.id WHERE s.id = $1",
    )
    .bind(id)
    .fetch_one(rows.read())
    .await?;
    let state: String = row.try_get(0)?;
    let agreement: String = row.try_get(1)?;
    let open: i64 = row.try_get(2)?;
    let (waiting, lost): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
    let in_force: i64 = row.try_get(5)?;
    let (named, said): (String, bool) = (row.try_get(6)?, row.try_get::<i64, _>(7)? != 0);
    let undecided: i64 = row.try_get(8)?;
    Ok(match state.as_str() {
        _ if lost > 0 => {
            format!("{lost} instance(s) whose bytes are missing or damaged at the site")
        }
        "recalled" if agreement.is_empty() => String::new(),
        _ if agreement.is_empty() => "an agreement: the gateway has not named one yet".to_owned(),
        "recalled" if !said => String::new(),
        _ if named == "must-not" && !said => format!("a person at the site; {NOT_ANNOUNCED}"),
        _ if !said && state != "arriving" && undecided == 0 => {
            format!("a person at the site; {NOT_KNOWN}")
        }
        "recalled" => recall_waits_for(rows, id).await?,
        _ if in_force == 0 && waiting > 0 => {
            format!("the agreement {agreement}, which is not in force at the gateway")
        }
        "arriving" if open != 0 => "the sender, whose association is open".to_owned(),
        "arriving" => "the sender's silence".to_owned(),
        _ if waiting > 0 => format!("the link: {waiting} instance(s) to send"),
        "complete" => "the gateway's confirmation of the manifest".to_owned(),
        _ => String::new(),
    })
}

/// How much of what is here waits for the link: objects that may be sent, recalls and words that the gateway has not heard, and what
/// became of reports.
///
/// # Errors
/// When the rows refuse.
pub async fn waits_for_link(rows: &Rows) -> Result<u64, SpoolError> {
    let count: i64 = sqlx::query_scalar(
        "SELECT (SELECT COUNT(*) FROM instance WHERE state = 'waiting' AND lost = 0 AND agreement <> '') \
         + (SELECT COUNT(*) FROM study WHERE state = 'recalled' AND recall_heard_us IS NULL AND agreement <> '') \
         + (SELECT COUNT(*) FROM letter WHERE from_site = 1 AND heard_us IS NULL) \
         + (SELECT COUNT(*) FROM delivery WHERE revision > told_revision)",
    )
    .fetch_one(rows.read())
    .await
    .map_err(refused_row("counting what waits for the link"))?;
    Ok(from_row(count))
}

/// How many objects are lost until they are sent again, and how many are refused their rows.
///
/// # Errors
/// When the rows refuse.
pub async fn lost(rows: &Rows) -> Result<(u64, u64), SpoolError> {
    let (lost, unentered): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM instance WHERE state = 'waiting' AND lost = 1), (SELECT COUNT(*) FROM unentered)",
    )
    .fetch_one(rows.read())
    .await
    .map_err(refused_row("counting what is lost"))?;
    Ok((from_row(lost), from_row(unentered)))
}

/// Something at the site that a person may have to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The word for the case.
    pub case: String,
    /// How many instances.
    pub count: u64,
    /// Why, in words.
    pub why: String,
}

/// Everything that is withheld, kept aside as a conflict, missing, refused its row, or without an agreement, by case.
///
/// # Errors
/// When the rows refuse.
pub async fn held(rows: &Rows) -> Result<Vec<Held>, SpoolError> {
    let found: Vec<(String, i64, String)> = sqlx::query_as(
        "SELECT s.case_code, COUNT(*), 'withheld: ' || i.reason AS why FROM instance i JOIN study s ON s.id = i.study_id \
           WHERE i.state = 'withheld' GROUP BY s.id, i.reason \
         UNION ALL SELECT s.case_code, COUNT(*), 'kept apart at the gateway: it has other content under the same UID' \
           FROM instance i JOIN study s ON s.id = i.study_id WHERE i.quarantined = 1 GROUP BY s.id \
         UNION ALL SELECT s.case_code, COUNT(*), 'kept aside: other pixels or another study under a UID that was received before' \
           FROM aside a JOIN instance i ON i.id = a.instance_id JOIN study s ON s.id = i.study_id \
           WHERE a.kind = 'conflict' GROUP BY s.id \
         UNION ALL SELECT s.case_code, COUNT(*), 'the bytes are missing or damaged at the site: have the PACS send it again; while nothing is received, after `accept-loss` and a restart' \
           FROM instance i JOIN study s ON s.id = i.study_id WHERE i.lost = 1 AND i.state = 'waiting' GROUP BY s.id \
         UNION ALL SELECT COALESCE(s.case_code, '(no case)'), COUNT(*), 'received and kept, but refused its row, and tried again: ' || u.why \
           FROM unentered u LEFT JOIN study s ON s.id = (SELECT MAX(id) FROM study WHERE study_uid = u.study_uid) GROUP BY s.id, u.why \
         UNION ALL SELECT s.case_code, COUNT(*), 'not announced: its study UID holds an identifier of the patient' \
           FROM study s JOIN instance i ON i.study_id = s.id JOIN agreement a ON a.id = s.agreement \
           WHERE s.named = 'must-not' AND a.identity <> 'identified' AND s.state <> 'recalled' GROUP BY s.id \
         UNION ALL SELECT s.case_code, COUNT(*), 'no agreement is known for it' \
           FROM instance i JOIN study s ON s.id = i.study_id WHERE i.agreement = '' GROUP BY s.id",
    )
    .fetch_all(rows.read())
    .await
    .map_err(refused_row("listing what is held"))?;
    Ok(found
        .into_iter()
        .map(|(case, count, why)| Held {
            case,
            count: from_row(count),
            why,
        })
        .collect())
}
