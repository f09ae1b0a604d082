//! Letters between the site and the readers: written once, said until they are heard, read by a person.

use causeway_proto::dates::without;
use causeway_proto::ids::CaseCode;
use causeway_proto::link::message::{Letter, LetterState, LetterStep};
use causeway_proto::link::talk::plain;
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Checked, LETTERS, LONG, Talk, TalkError, refused};
use crate::audit;
use crate::protect::typed::REMOVED;
use crate::rows::Rows;
use crate::spool::Private;

/// So many are said at a time.
const AT_ONCE: i64 = 64;

/// What stands for a letter that was written while names could leave, should they not any more when it is said.
const UNCHECKED: &str = "[removed]";

/// One letter of a case, for people at the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Written here; else by a reader.
    pub from_site: bool,
    /// The account, or the reader's name.
    pub who: String,
    /// As typed, or as it came.
    pub text: Private,
    /// What of it the reader gets, when that is something else.
    pub leaves: Option<Private>,
    /// When it was written, by the writer's clock.
    pub written: Timestamp,
    /// Since when the gateway holds it; none for a reader's letter.
    pub heard: Option<Timestamp>,
    /// When it was read at its other end.
    pub read: Option<Timestamp>,
    /// The account that read a reader's letter.
    pub read_by: String,
}

/// A reader's letter that nobody at the site has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// About which case.
    pub case: CaseCode,
    /// (0010,0010).
    pub patient: Private,
    /// How urgent the case is.
    pub priority: String,
    /// The reader.
    pub who: String,
    /// What.
    pub text: Private,
    /// When it came.
    pub came: Timestamp,
    /// How many there are about this case.
    pub count: u64,
}

impl Talk {
    /// Writes a letter, to be sent as it was checked. What readers have written about the case counts as read.
    ///
    /// # Errors
    /// When there is no such case, it was recalled, it has too many letters, or the rows refuse.
    pub async fn write(
        &self,
        case: &CaseCode,
        checked: &Checked<String>,
        (who, role): (&str, &str),
    ) -> Result<(), TalkError> {
        let study = self.study(case).await?;
        let mut tx = self.begin().await?;
        let (now, id) = (self.spool.now(), self.spool.token());
        let work = async {
            let own: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM letter WHERE study_id = $1 AND from_site = 1",
            )
            .bind(study.id)
            .fetch_one(&mut *tx)
            .await?;
            if own >= LETTERS {
                return Ok(false);
            }
            sqlx::query(
                "INSERT INTO letter (id, study_id, from_site, who, says_who, text, leaves, written_us, came_us) \
                 VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $7)",
            )
            .bind(&id)
            .bind(study.id)
            .bind(who)
            .bind(role)
            .bind(&checked.typed)
            .bind(if study.identified {
                UNCHECKED
            } else {
                &checked.leaves
            })
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
            read(&mut tx, study.id, who, now).await?;
            let detail = json!({ "case": case.as_str(), "agreement": study.agreement, "letter": id,
                "removed": checked.removed.len() });
            audit::record(&mut tx, now, "letter-written", who, case.as_str(), &detail).await?;
            tx.commit().await?;
            Ok(true)
        };
        let kept = work.await.map_err(refused("keeping a letter"))?;
        self.spool.wake();
        kept.then_some(()).ok_or(TalkError::TooMany)
    }

    /// A person has read what readers have written about a case. Answers how many letters that were.
    ///
    /// # Errors
    /// When there is no such case, or the rows refuse.
    pub async fn mark_read(&self, case: &CaseCode, who: &str) -> Result<u64, TalkError> {
        let study = super::study(self.spool.rows(), case).await?;
        let study = study.ok_or(TalkError::Unknown)?;
        let mut tx = self.begin().await?;
        let now = self.spool.now();
        let work = async {
            let marked = read(&mut tx, study.id, who, now).await?;
            if marked > 0 {
                let detail = json!({ "case": case.as_str(), "agreement": study.agreement, "letters": marked });
                audit::record(&mut tx, now, "letter-read", who, case.as_str(), &detail).await?;
            }
            tx.commit().await?;
            Ok(marked)
        };
        let marked = work
            .await
            .map_err(refused("noting that letters were read"))?;
        self.spool.wake();
        Ok(marked)
    }

    /// Letters of the site that the gateway has not heard, in the order of writing.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn letters_to_say(&self) -> Result<Vec<Letter>, TalkError> {
        let rows = sqlx::query(
            "SELECT l.id, s.agreement, s.case_code, l.written_us, l.says_who, \
             CASE WHEN a.identity = 'identified' THEN l.text ELSE l.leaves END, s.id FROM letter l JOIN study s ON s.id = l.study_id \
             JOIN agreement a ON a.id = s.agreement AND a.in_force = 1 \
             WHERE l.from_site = 1 AND l.heard_us IS NULL AND s.state <> 'recalled' \
             AND (a.identity = 'identified' OR s.named = 'may') ORDER BY l.seq LIMIT $1",
        )
        .bind(AT_ONCE)
        .fetch_all(self.spool.rows().read())
        .await
        .map_err(refused("listing letters to say"))?;
        let mut out = Vec::with_capacity(rows.len());
        for row in &rows {
            let read = || Ok((to_say(row)?, row.try_get(6)?));
            let (mut letter, study): (Letter, i64) =
                read().map_err(refused("reading letters to say"))?;
            if self.shift(study).await?.is_some() {
                letter.text = without(&letter.text, REMOVED);
            }
            out.push(letter);
        }
        Ok(out)
    }

    /// Letters of readers that a person has read, and the gateway does not know that: id, and when.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn readings_to_say(&self) -> Result<Vec<LetterState>, TalkError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT id, read_us FROM letter WHERE from_site = 0 AND read_us IS NOT NULL AND known_us IS NULL ORDER BY seq LIMIT $1",
        )
        .bind(AT_ONCE)
        .fetch_all(self.spool.rows().read())
        .await
        .map_err(refused("listing letters that were read"))?;
        let read = |(id, at)| LetterState {
            id,
            step: LetterStep::Read,
            at: Timestamp(at),
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Takes a letter of a reader; the answer, when it is durable. None when this site has no such case or has taken its study back:
    /// nobody answers then.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn take(&self, letter: &Letter) -> Result<Option<LetterState>, TalkError> {
        let study = super::study(self.spool.rows(), &letter.case).await?;
        let Some(study) = study.filter(|it| it.agreement == letter.agreement.as_str()) else {
            return Ok(None);
        };
        let mut tx = self.begin().await?;
        let now = self.spool.now();
        let work = async {
            let text = plain(&letter.text, true, LONG);
            let new = sqlx::query(
                "INSERT INTO letter (id, study_id, from_site, who, says_who, text, leaves, written_us, came_us) \
                 VALUES ($1, $2, 0, $3, $3, $4, '', $5, $6) ON CONFLICT (id) DO NOTHING",
            )
            .bind(&letter.id)
            .bind(study.id)
            .bind(plain(&letter.who, false, 128))
            .bind(text)
            .bind(letter.written.0)
            .bind(now.0)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if new > 0 {
                let detail = json!({ "case": letter.case.as_str(), "agreement": study.agreement, "letter": letter.id });
                audit::record(
                    &mut tx,
                    now,
                    "letter-received",
                    "gateway",
                    &study.uid,
                    &detail,
                )
                .await?;
            }
            tx.commit().await
        };
        work.await.map_err(refused("keeping a reader's letter"))?;
        Ok(Some(LetterState {
            id: letter.id.clone(),
            step: LetterStep::Held,
            at: now,
        }))
    }

    /// Takes what has become of a letter; the answer, when it wants one.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn heard(&self, said: &LetterState) -> Result<Option<LetterState>, TalkError> {
        let statement = match said.step {
            LetterStep::Held => {
                "UPDATE letter SET heard_us = COALESCE(heard_us, $2) WHERE id = $1 AND from_site = 1"
            }
            LetterStep::Read => {
                "UPDATE letter SET heard_us = COALESCE(heard_us, $2), read_us = COALESCE(read_us, $2) \
                 WHERE id = $1 AND from_site = 1"
            }
            LetterStep::Known => {
                "UPDATE letter SET known_us = COALESCE(known_us, $2) WHERE id = $1 AND from_site = 0"
            }
        };
        let mut tx = self.begin().await?;
        let work = async {
            sqlx::query(statement)
                .bind(&said.id)
                .bind(said.at.0)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        work.await
            .map_err(refused("noting what became of a letter"))?;
        Ok((said.step == LetterStep::Read).then(|| LetterState {
            id: said.id.clone(),
            step: LetterStep::Known,
            at: self.spool.now(),
        }))
    }
}

/// Marks what readers have written about a study as read.
async fn read(
    tx: &mut SqliteConnection,
    study: i64,
    who: &str,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE letter SET read_us = $2, read_by = $3 WHERE study_id = $1 AND from_site = 0 AND read_us IS NULL",
    )
    .bind(study)
    .bind(now.0)
    .bind(who)
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

fn to_say(row: &SqliteRow) -> Result<Letter, sqlx::Error> {
    Ok(Letter {
        id: row.try_get(0)?,
        agreement: super::parsed(row.try_get(1)?)?,
        case: super::parsed(row.try_get(2)?)?,
        written: Timestamp(row.try_get(3)?),
        who: row.try_get(4)?,
        text: row.try_get(5)?,
    })
}

/// The letters of a case, oldest first.
///
/// # Errors
/// When the rows refuse.
pub async fn letters(rows: &Rows, case: &CaseCode) -> Result<Vec<Line>, TalkError> {
    let rows = sqlx::query(
        "SELECT l.from_site, l.who, l.text, CASE WHEN a.identity = 'identified' THEN l.text ELSE l.leaves END, l.written_us, \
         l.heard_us, l.read_us, l.read_by FROM letter l JOIN study s ON s.id = l.study_id LEFT JOIN agreement a ON a.id = s.agreement \
         WHERE s.case_code = $1 ORDER BY l.seq",
    )
    .bind(case.as_str())
    .fetch_all(rows.read())
    .await
    .map_err(refused("listing the letters of a case"))?;
    rows.iter()
        .map(line)
        .collect::<Result<_, _>>()
        .map_err(refused("reading the letters of a case"))
}

fn line(row: &SqliteRow) -> Result<Line, sqlx::Error> {
    let at = |index| -> Result<_, sqlx::Error> {
        Ok(row.try_get::<Option<i64>, _>(index)?.map(Timestamp))
    };
    let (text, leaves): (String, String) = (row.try_get(2)?, row.try_get(3)?);
    let from_site = row.try_get::<i64, _>(0)? == 1;
    Ok(Line {
        from_site,
        who: row.try_get(1)?,
        leaves: (from_site && leaves != text).then(|| Private::new(leaves)),
        text: Private::new(text),
        written: Timestamp(row.try_get(4)?),
        heard: at(5)?,
        read: at(6)?,
        read_by: row.try_get(7)?,
    })
}

/// How many letters of readers nobody at the site has read.
///
/// # Errors
/// When the rows refuse.
pub async fn unread(rows: &Rows) -> Result<u64, TalkError> {
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM letter WHERE from_site = 0 AND read_us IS NULL")
            .fetch_one(rows.read())
            .await
            .map_err(refused("counting letters"))?;
    Ok(crate::rows::from_row(count))
}

/// The cases about which readers have written something that nobody at the site has read: the most urgent first, then the oldest.
///
/// # Errors
/// When the rows refuse.
pub async fn questions(rows: &Rows) -> Result<Vec<Question>, TalkError> {
    let rows = sqlx::query(
        "SELECT s.case_code, s.patient_name, s.priority, l.who, l.text, l.came_us, COUNT(*), MIN(l.seq) FROM letter l \
         JOIN study s ON s.id = l.study_id WHERE l.from_site = 0 AND l.read_us IS NULL GROUP BY s.id \
         ORDER BY CASE s.priority WHEN 'stat' THEN 0 WHEN 'urgent' THEN 1 ELSE 2 END, MIN(l.seq)",
    )
    .fetch_all(rows.read())
    .await
    .map_err(refused("listing questions of readers"))?;
    rows.iter()
        .map(question)
        .collect::<Result<_, _>>()
        .map_err(refused("reading questions of readers"))
}

fn question(row: &SqliteRow) -> Result<Question, sqlx::Error> {
    Ok(Question {
        case: super::parsed(row.try_get(0)?)?,
        patient: Private::new(row.try_get::<String, _>(1)?),
        priority: row.try_get(2)?,
        who: row.try_get(3)?,
        text: Private::new(row.try_get::<String, _>(4)?),
        came: Timestamp(row.try_get(5)?),
        count: crate::rows::from_row(row.try_get(6)?),
    })
}
