//! What the site gets when a study is gone: how much it was, when, and who had opened what of it (P17), from the audit trail.

use std::collections::BTreeMap;

use causeway_proto::ids::{AgreementId, SiteId, StudyKey, StudyUid};
use causeway_proto::link::codec::{NAME_MAX_BYTES, OPENED_MAX};
use causeway_proto::link::message::{Deleted, DeletedNoted, Opened};
use causeway_proto::time::Timestamp;
use serde_json::{Value, json};
use sqlx::{Any, FromRow, Transaction};

use super::DeletionError;
use crate::rows::Rows;

/// So many receipts are said at a time.
const AT_ONCE: i64 = 64;

/// What somebody did, in the trail's word, and what that opened.
const OPENED: [(&str, &str); 7] = [
    ("case-opened", "case"),
    // what a browser has fetched ahead has left the gateway for that person, seen or not
    ("case-prefetched", "case"),
    ("images-viewed", "images"),
    ("images-prefetched", "images"),
    ("images-downloaded", "download"),
    ("report-previewed", "report"),
    ("report-read", "report"),
];

#[derive(FromRow)]
struct LookRow {
    actor: String,
    event: String,
    first_us: i64,
    last_us: i64,
    user_name: Option<String>,
    given_name: Option<String>,
    family_name: Option<String>,
    organisation: Option<String>,
}

/// Who has opened what, as JSON: `[account, name, organisation, first, last, [what…]]` for each person, the first who did first.
pub(super) async fn opened(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    cases: &[String],
) -> Result<Value, sqlx::Error> {
    let mut found: BTreeMap<String, (LookRow, Vec<&'static str>)> = BTreeMap::new();
    let subjects = std::iter::once(key.study.as_str()).chain(cases.iter().map(String::as_str));
    for subject in subjects {
        let rows: Vec<LookRow> = sqlx::query_as(
            "SELECT e.actor, e.event, min(e.at_us) AS first_us, max(e.at_us) AS last_us, a.user_name, a.given_name, a.family_name, a.organisation
             FROM audit_event e LEFT JOIN account a ON a.id = e.actor WHERE e.subject = $1 AND e.site_id = $2
             AND e.event IN ('case-opened', 'case-prefetched', 'images-viewed', 'images-prefetched', 'images-downloaded', 'report-previewed', 'report-read')
             GROUP BY e.actor, e.event, a.user_name, a.given_name, a.family_name, a.organisation ORDER BY e.actor, e.event",
        )
        .bind(subject)
        .bind(key.site.as_str())
        .fetch_all(&mut **tx)
        .await?;
        for row in rows {
            let Some((_, word)) = OPENED.iter().find(|(event, _)| *event == row.event) else {
                continue;
            };
            let (first, last) = (row.first_us, row.last_us);
            let (known, words) = found
                .entry(row.actor.clone())
                .or_insert_with(|| (row, Vec::new()));
            known.first_us = known.first_us.min(first);
            known.last_us = known.last_us.max(last);
            if !words.contains(word) {
                words.push(word);
            }
        }
    }
    let mut people: Vec<(LookRow, Vec<&str>)> = found.into_values().collect();
    people.sort_by_key(|(row, _)| row.first_us);
    let people = people.into_iter().map(|(row, mut words)| {
        words.sort_unstable();
        let (given, family) = (
            row.given_name.unwrap_or_default(),
            row.family_name.unwrap_or_default(),
        );
        let name = format!("{given} {family}");
        json!([
            row.user_name.unwrap_or(row.actor),
            name.trim(),
            row.organisation.unwrap_or_default(),
            row.first_us,
            row.last_us,
            words
        ])
    });
    Ok(people.collect())
}

#[derive(FromRow)]
struct DoneRow {
    agreement_id: String,
    study_uid: String,
    why: String,
    objects: i64,
    bytes: i64,
    parts: i64,
    reports: i64,
    opened: String,
    done_us: i64,
}

/// Receipts that the site has not heard, the oldest first.
///
/// # Errors
/// When the database refuses or a row cannot be read.
pub async fn of_site(rows: &Rows, site: &SiteId) -> Result<Vec<Deleted>, DeletionError> {
    let done: Vec<DoneRow> = sqlx::query_as(
        "SELECT agreement_id, study_uid, why, objects, bytes, parts, reports, opened, done_us FROM deletion
         WHERE site_id = $1 AND state = 'done' AND heard_us IS NULL ORDER BY done_us, study_uid LIMIT $2",
    )
    .bind(site.as_str())
    .bind(AT_ONCE)
    .fetch_all(rows.read())
    .await?;
    done.into_iter().map(DoneRow::said).collect()
}

type Person = (String, String, String, i64, i64, Vec<String>);

impl DoneRow {
    fn said(self) -> Result<Deleted, DeletionError> {
        let row = DeletionError::Row;
        let people: Vec<Person> = serde_json::from_str(&self.opened).or(Err(row("opened")))?;
        let agreement: AgreementId = self.agreement_id.parse().or(Err(row("agreement")))?;
        let study: StudyUid = self.study_uid.parse().or(Err(row("study")))?;
        let more = people.len().saturating_sub(OPENED_MAX);
        Ok(Deleted {
            study,
            agreement,
            why: self.why,
            objects: self.objects.unsigned_abs(),
            bytes: self.bytes.unsigned_abs(),
            parts: self.parts.unsigned_abs(),
            reports: self.reports.unsigned_abs(),
            at: Timestamp(self.done_us),
            opened: people.into_iter().take(OPENED_MAX).map(person).collect(),
            more: u64::try_from(more).unwrap_or(0),
        })
    }
}

fn person((account, name, organisation, first, last, what): Person) -> Opened {
    Opened {
        account: short(account),
        name: short(name),
        organisation: short(organisation),
        first: Timestamp(first),
        last: Timestamp(last),
        what,
    }
}

/// Cut to the bound of a name, at a character.
fn short(mut text: String) -> String {
    if text.len() > NAME_MAX_BYTES {
        let end = (0..=NAME_MAX_BYTES).rev();
        let end = end.into_iter().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
    }
    text
}

/// The site has kept a receipt. One that names another time than the receipt that stands changes nothing.
///
/// # Errors
/// When the database refuses.
pub async fn heard(
    rows: &Rows,
    site: &SiteId,
    said: &DeletedNoted,
    now: Timestamp,
) -> Result<(), DeletionError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "UPDATE deletion SET heard_us = $1 WHERE site_id = $2 AND agreement_id = $3 AND study_uid = $4 AND state = 'done' AND done_us = $5",
    )
    .bind(now.0)
    .bind(site.as_str())
    .bind(said.agreement.as_str())
    .bind(said.study.as_str())
    .bind(said.at.0)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}
