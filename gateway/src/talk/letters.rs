//! Letters between readers and sites: a reader's waits here for its site, a site's for a reader.

use std::collections::HashMap;

use causeway_proto::ids::{AgreementId, SiteId};
use causeway_proto::link::message::{Letter, LetterState, LetterStep};
use causeway_proto::link::talk::plain;
use causeway_proto::random::Random;
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::{Any, FromRow, Transaction};

use super::{LETTERS, LONG, TalkError, in_force};
use crate::audit;
use crate::rows::Rows;
use crate::worklist::{CaseFacts, Changed};

/// So many are said at a time.
const AT_ONCE: i64 = 64;

/// The cases that read a study with this code: a letter belongs to all of them.
const OF_CODE: &str =
    "SELECT DISTINCT cs.case_id FROM study s JOIN case_study cs ON cs.site_id = s.site_id
    AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid
    WHERE s.site_id = $1 AND s.agreement_id = $2 AND s.case_code = $3 ORDER BY cs.case_id";

/// One letter of a case, for its readers. Debug shows none of its words.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct Line {
    /// Its name.
    pub id: String,
    /// Written at the site; else by a reader.
    pub from_site: i64,
    /// The reader's account; empty for the site.
    pub account_id: String,
    /// Who wrote it.
    pub who: String,
    /// What; empty when the site has taken the study back.
    pub text: String,
    /// When it was written, by the writer's clock.
    pub written_us: i64,
    /// When the other end had it.
    pub heard_us: Option<i64>,
    /// When it was read at its other end.
    pub read_us: Option<i64>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Line({})", self.id)
    }
}

/// Who writes, and what.
#[derive(Clone, Copy)]
pub struct Written<'a> {
    /// The account.
    pub account: &'a str,
    /// The name that the site is shown.
    pub name: &'a str,
    /// The words.
    pub text: &'a str,
}

impl std::fmt::Debug for Written<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Written(by {})", self.account)
    }
}

/// Holds the studies of a code, so that letters about it come one after the other. Says whether there is such a study, and whether it
/// may still be talked about.
async fn hold(
    tx: &mut Transaction<'_, Any>,
    site: &str,
    agreement: &str,
    code: &str,
) -> Result<bool, sqlx::Error> {
    let held = sqlx::query(
        "UPDATE study SET last_us = last_us WHERE site_id = $1 AND agreement_id = $2 AND case_code = $3 AND recalled_us IS NULL",
    )
    .bind(site)
    .bind(agreement)
    .bind(code)
    .execute(&mut **tx)
    .await?;
    Ok(held.rows_affected() > 0)
}

/// A letter about to be kept.
struct New<'a> {
    id: &'a str,
    site: &'a str,
    agreement: &'a str,
    code: &'a str,
    account: &'a str,
    who: String,
    text: String,
    written: i64,
}

impl New<'_> {
    /// Keeps it behind the last one about its code, once. Says whether it is new.
    async fn insert(
        &self,
        tx: &mut Transaction<'_, Any>,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let done = sqlx::query(
            "INSERT INTO letter (id, site_id, agreement_id, case_code, seq, from_site, account_id, who, text, written_us, came_us)
             SELECT $1, $2, $3, $4, COALESCE(MAX(seq), 0) + 1, $5, $6, $7, $8, $9, $10 FROM letter
             WHERE site_id = $2 AND agreement_id = $3 AND case_code = $4
             ON CONFLICT (site_id, id) DO NOTHING",
        )
        .bind(self.id)
        .bind(self.site)
        .bind(self.agreement)
        .bind(self.code)
        .bind(i64::from(self.account.is_empty()))
        .bind(self.account)
        .bind(self.who.as_str())
        .bind(self.text.as_str())
        .bind(self.written)
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

async fn cases(
    tx: &mut Transaction<'_, Any>,
    site: &str,
    agreement: &str,
    code: &str,
) -> Result<Changed, sqlx::Error> {
    let found: Vec<(String,)> = sqlx::query_as(OF_CODE)
        .bind(site)
        .bind(agreement)
        .bind(code)
        .fetch_all(&mut **tx)
        .await?;
    Ok(Changed {
        cases: found.into_iter().map(|(case,)| case).collect(),
    })
}

/// A reader writes to the site of a case. Answers the letter's name.
///
/// # Errors
/// When the words are none or too long, the site has taken the study back, there are too many letters, or the database refuses.
pub async fn write(
    rows: &Rows,
    facts: &CaseFacts,
    written: Written<'_>,
    random: &Random,
    now: Timestamp,
) -> Result<String, TalkError> {
    let text = plain(written.text, true, LONG.saturating_add(1));
    if text.is_empty() || text.chars().count() > LONG {
        return Err(TalkError::Length);
    }
    let (site, agreement, code) = (&facts.site.site_id, &facts.agreement, &facts.code);
    let mut tx = rows.begin().await?;
    if !hold(&mut tx, site, agreement, code).await? || facts.recalled() {
        return Err(TalkError::Recalled);
    }
    let (own,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM letter WHERE site_id = $1 AND agreement_id = $2 AND case_code = $3 AND from_site = 0",
    )
    .bind(site)
    .bind(agreement)
    .bind(code)
    .fetch_one(&mut *tx)
    .await?;
    if own >= LETTERS {
        return Err(TalkError::TooMany);
    }
    let id = random.token();
    let new = New {
        id: &id,
        site,
        agreement,
        code,
        account: written.account,
        who: plain(written.name, false, 60),
        text,
        written: now.0,
    };
    new.insert(&mut tx, now).await?;
    let detail = json!({ "case": code, "agreement": agreement, "letter": id });
    let (actor, case) = (written.account, facts.id.as_str());
    audit::record(&mut tx, now, "letter-written", actor, site, case, &detail).await?;
    tx.commit().await?;
    Ok(id)
}

/// Takes a letter of a site; the answer, and the cases that show it. None when the site has no such study here: it is not answered,
/// and says it again.
///
/// # Errors
/// When the database refuses; nothing is kept then.
pub async fn take(
    rows: &Rows,
    site: &SiteId,
    letter: &Letter,
    now: Timestamp,
) -> Result<Option<(LetterState, Changed)>, TalkError> {
    let (agreement, code) = (letter.agreement.as_str(), letter.case.as_str());
    let mut tx = rows.begin().await?;
    let known = hold(&mut tx, site.as_str(), agreement, code).await?;
    if !known || !in_force(&mut tx, site, &letter.agreement, now).await? {
        return Ok(None);
    }
    let new = New {
        id: &letter.id,
        site: site.as_str(),
        agreement,
        code,
        account: "",
        who: plain(&letter.who, false, 60),
        text: plain(&letter.text, true, LONG),
        written: letter.written.0,
    };
    let mut changed = Changed::default();
    if room(&mut tx, &new).await? && new.insert(&mut tx, now).await? {
        changed = cases(&mut tx, site.as_str(), agreement, code).await?;
        let detail = json!({ "agreement": agreement, "letter": letter.id });
        let (site, event) = (site.as_str(), "letter-received");
        audit::record(&mut tx, now, event, "site", site, code, &detail).await?;
    }
    tx.commit().await?;
    let held = LetterState {
        id: letter.id.clone(),
        step: LetterStep::Held,
        at: now,
    };
    Ok(Some((held, changed)))
}

/// A site that keeps no bound of its own fills nobody's rows: what is beyond it is answered and dropped.
async fn room(tx: &mut Transaction<'_, Any>, new: &New<'_>) -> Result<bool, sqlx::Error> {
    let (own,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM letter WHERE site_id = $1 AND agreement_id = $2 AND case_code = $3 AND from_site = 1",
    )
    .bind(new.site)
    .bind(new.agreement)
    .bind(new.code)
    .fetch_one(&mut **tx)
    .await?;
    Ok(own < LETTERS)
}

/// Takes what has become of a letter; the answer, when it wants one, and the cases that show it.
///
/// # Errors
/// When the database refuses.
pub async fn heard(
    rows: &Rows,
    site: &SiteId,
    said: &LetterState,
    now: Timestamp,
) -> Result<(Option<LetterState>, Changed), TalkError> {
    let statement = match said.step {
        LetterStep::Held => {
            "UPDATE letter SET heard_us = COALESCE(heard_us, $3) WHERE site_id = $1 AND id = $2 AND from_site = 0"
        }
        LetterStep::Read => {
            "UPDATE letter SET heard_us = COALESCE(heard_us, $3), read_us = COALESCE(read_us, $3)
             WHERE site_id = $1 AND id = $2 AND from_site = 0"
        }
        LetterStep::Known => {
            "UPDATE letter SET known_us = COALESCE(known_us, $3) WHERE site_id = $1 AND id = $2 AND from_site = 1"
        }
    };
    let mut tx = rows.begin().await?;
    sqlx::query(statement)
        .bind(site.as_str())
        .bind(said.id.as_str())
        .bind(said.at.0)
        .execute(&mut *tx)
        .await?;
    let of: Option<(String, String)> =
        sqlx::query_as("SELECT agreement_id, case_code FROM letter WHERE site_id = $1 AND id = $2")
            .bind(site.as_str())
            .bind(said.id.as_str())
            .fetch_optional(&mut *tx)
            .await?;
    let changed = match of {
        Some((agreement, code)) => cases(&mut tx, site.as_str(), &agreement, &code).await?,
        None => Changed::default(),
    };
    tx.commit().await?;
    let answer = (said.step == LetterStep::Read).then(|| LetterState {
        id: said.id.clone(),
        step: LetterStep::Known,
        at: now,
    });
    Ok((answer, changed))
}

#[derive(FromRow)]
struct DueRow {
    id: String,
    agreement_id: String,
    case_code: String,
    written_us: i64,
    who: String,
    text: String,
}

/// Letters of readers that a site has not got, in the order of writing. Nothing of a study that the site has taken back.
///
/// # Errors
/// When the database refuses.
pub async fn due(rows: &Rows, site: &SiteId, now: Timestamp) -> Result<Vec<Letter>, TalkError> {
    let found: Vec<DueRow> = sqlx::query_as(
        "SELECT l.id, l.agreement_id, l.case_code, l.written_us, l.who, l.text FROM letter l JOIN agreement a ON a.id = l.agreement_id
         WHERE l.site_id = $1 AND l.from_site = 0 AND l.heard_us IS NULL AND a.ended_us IS NULL
         AND (a.from_us IS NULL OR a.from_us <= $2) AND (a.until_us IS NULL OR a.until_us > $2)
         AND EXISTS (SELECT 1 FROM study s WHERE s.site_id = l.site_id AND s.agreement_id = l.agreement_id
           AND s.case_code = l.case_code AND s.recalled_us IS NULL)
         ORDER BY l.came_us, l.case_code, l.seq LIMIT $3",
    )
    .bind(site.as_str())
    .bind(now.0)
    .bind(AT_ONCE)
    .fetch_all(rows.read())
    .await?;
    let letter = |row: DueRow| {
        Ok(Letter {
            agreement: row
                .agreement_id
                .parse::<AgreementId>()
                .or(Err(TalkError::Row))?,
            case: row.case_code.parse().or(Err(TalkError::Row))?,
            id: row.id,
            written: Timestamp(row.written_us),
            who: row.who,
            text: row.text,
        })
    };
    found.into_iter().map(letter).collect()
}

/// Letters of a site that a reader has read, and the site does not know that.
///
/// # Errors
/// When the database refuses.
pub async fn readings(rows: &Rows, site: &SiteId) -> Result<Vec<LetterState>, TalkError> {
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT id, read_us FROM letter WHERE site_id = $1 AND from_site = 1 AND read_us IS NOT NULL AND known_us IS NULL
         ORDER BY read_us, id LIMIT $2",
    )
    .bind(site.as_str())
    .bind(AT_ONCE)
    .fetch_all(rows.read())
    .await?;
    let read = |(id, at)| LetterState {
        id,
        step: LetterStep::Read,
        at: Timestamp(at),
    };
    Ok(found.into_iter().map(read).collect())
}

/// The letters of a case, oldest first.
///
/// # Errors
/// When the database refuses.
pub async fn of_case(rows: &Rows, case: &str) -> Result<Vec<Line>, sqlx::Error> {
    sqlx::query_as(
        "SELECT DISTINCT l.id, l.from_site, l.account_id, l.who, l.text, l.written_us, l.heard_us, l.read_us, l.came_us, l.seq
         FROM letter l JOIN study s ON s.site_id = l.site_id AND s.agreement_id = l.agreement_id AND s.case_code = l.case_code
         JOIN case_study cs ON cs.site_id = s.site_id AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid
         WHERE cs.case_id = $1 ORDER BY l.came_us, l.seq, l.id",
    )
    .bind(case)
    .fetch_all(rows.read())
    .await
}

/// A reader has read what the site has written about a case. Answers how many letters that were.
///
/// # Errors
/// When the database refuses.
pub async fn mark_read(
    rows: &Rows,
    facts: &CaseFacts,
    account: &str,
    now: Timestamp,
) -> Result<u64, TalkError> {
    let site = facts.site.site_id.as_str();
    let mut tx = rows.begin().await?;
    let marked = sqlx::query(
        "UPDATE letter SET read_us = $3 WHERE site_id = $1 AND agreement_id = $2 AND from_site = 1 AND read_us IS NULL
         AND case_code IN (SELECT s.case_code FROM study s JOIN case_study cs ON cs.site_id = s.site_id
           AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid WHERE cs.case_id = $4)",
    )
    .bind(site)
    .bind(facts.agreement.as_str())
    .bind(now.0)
    .bind(facts.id.as_str())
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if marked > 0 {
        let detail = json!({ "case": facts.code, "agreement": facts.agreement, "letters": marked });
        let (case, event) = (facts.id.as_str(), "letter-read");
        audit::record(&mut tx, now, event, account, site, case, &detail).await?;
    }
    tx.commit().await?;
    Ok(marked)
}

/// How many letters of its site nobody has read, by case: for the list.
///
/// # Errors
/// When the database refuses.
pub async fn unread(rows: &Rows) -> Result<HashMap<String, i64>, sqlx::Error> {
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT cs.case_id, count(DISTINCT l.id) FROM letter l
         JOIN study s ON s.site_id = l.site_id AND s.agreement_id = l.agreement_id AND s.case_code = l.case_code
         JOIN case_study cs ON cs.site_id = s.site_id AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid
         WHERE l.from_site = 1 AND l.read_us IS NULL AND s.recalled_us IS NULL GROUP BY cs.case_id",
    )
    .fetch_all(rows.read())
    .await?;
    Ok(found.into_iter().collect())
}
