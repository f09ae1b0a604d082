//! What a person at the site says about a case before orders exist (P9): kept as typed, sent as checked, the newest counts.

use causeway_proto::ids::CaseCode;
use causeway_proto::link::message::{Context, ContextHeld, Facts};
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::dates::shifted;
use super::{Checked, Talk, TalkError, refused};
use crate::audit;
use crate::rows::{Rows, to_row};
use crate::spool::decision::By;

/// So many are said at a time.
const AT_ONCE: i64 = 64;

/// A context that was typed, by whom and when. Debug shows nothing of its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// As typed.
    pub typed: Facts,
    /// What the reader gets.
    pub leaves: Facts,
    /// The account.
    pub who: String,
    /// When.
    pub at: Timestamp,
    /// How far it has come.
    pub standing: Standing,
}

/// How far a context has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The gateway has named no agreement for the study yet, or the agreement is not in force.
    NoAgreement,
    /// On its way.
    Going,
    /// The gateway holds it since then.
    Held(Timestamp),
}

impl Talk {
    /// Keeps what was typed about a case, to be sent as it was checked; what was typed before stays in the rows.
    ///
    /// # Errors
    /// When there is no such case, it was recalled, or the rows refuse.
    pub async fn describe(
        &self,
        case: &CaseCode,
        checked: &Checked<Facts>,
        who: &str,
    ) -> Result<(), TalkError> {
        let study = self.study(case).await?;
        let mut tx = self.begin().await?;
        let now = self.spool.now();
        let work = async {
            let last: Option<i64> =
                sqlx::query_scalar("SELECT MAX(version) FROM case_context WHERE study_id = $1")
                    .bind(study.id)
                    .fetch_one(&mut *tx)
                    .await?;
            let version = last.map_or(now.0, |last| now.0.max(last.saturating_add(1)));
            let typed = &checked.typed;
            // unchecked words are for an agreement under which names leave, and for no other that comes after it
            let unchecked = Facts::default();
            let leaves = if study.identified {
                &unchecked
            } else {
                &checked.leaves
            };
            let leaves =
                serde_json::to_string(leaves).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let mut insert = sqlx::query(
                "INSERT INTO case_context (study_id, version, leaves, who, at_us, question, contrast, renal, renal_date, allergy, \
                 pregnancy, weight_kg, call_role, call_number) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            )
            .bind(study.id)
            .bind(version)
            .bind(leaves)
            .bind(who)
            .bind(now.0);
            for (_, text) in typed.fields() {
                insert = insert.bind(text.to_owned());
            }
            insert.execute(&mut *tx).await?;
            let by = By { who, reason: "" };
            self.spool
                .decide(&mut tx, study.id, None, "context", by)
                .await?;
            let detail = json!({ "case": case.as_str(), "agreement": study.agreement, "version": version,
                "removed": checked.removed.len() });
            audit::record(&mut tx, now, "context-given", who, &study.uid, &detail).await?;
            tx.commit().await
        };
        work.await
            .map_err(refused("keeping what is said about a case"))?;
        self.spool.wake();
        Ok(())
    }

    /// What the gateway has not heard of the studies that it knows: the newest of each.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn contexts_to_say(&self) -> Result<Vec<Context>, TalkError> {
        let rows = sqlx::query(
            "SELECT c.question, c.contrast, c.renal, c.renal_date, c.allergy, c.pregnancy, c.weight_kg, c.call_role, c.call_number, \
             c.leaves, c.version, s.study_uid, s.agreement, a.identity, s.id FROM case_context c JOIN study s ON s.id = c.study_id \
             JOIN agreement a ON a.id = s.agreement AND a.in_force = 1 WHERE s.state <> 'recalled' AND c.heard_us IS NULL \
             AND (a.identity = 'identified' OR s.named = 'may') \
             AND c.id = (SELECT MAX(n.id) FROM case_context n WHERE n.study_id = c.study_id) ORDER BY c.id LIMIT $1",
        )
        .bind(AT_ONCE)
        .fetch_all(self.spool.rows().read())
        .await
        .map_err(refused("listing what is said about cases"))?;
        let mut out = Vec::with_capacity(rows.len());
        for row in &rows {
            let (study, mut context) =
                to_say(row).map_err(refused("reading what is said about cases"))?;
            if let Some(shift) = self.shift(study).await? {
                context.facts = shifted(&context.facts, shift);
            }
            out.push(context);
        }
        Ok(out)
    }

    /// The gateway holds a context.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn context_held(&self, held: &ContextHeld) -> Result<(), TalkError> {
        let mut tx = self.begin().await?;
        let work = async {
            sqlx::query(
                "UPDATE case_context SET heard_us = $4 WHERE heard_us IS NULL AND version <= $3 \
                 AND study_id IN (SELECT id FROM study WHERE study_uid = $1 AND agreement = $2)",
            )
            .bind(held.study.as_str())
            .bind(held.agreement.as_str())
            .bind(to_row(held.version))
            .bind(self.spool.now().0)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        };
        work.await
            .map_err(refused("noting that a context was heard"))
    }
}

fn to_say(row: &SqliteRow) -> Result<(i64, Context), sqlx::Error> {
    let identified = row.try_get::<&str, _>(13)? == "identified";
    let context = Context {
        study: super::parsed(row.try_get(11)?)?,
        agreement: super::parsed(row.try_get(12)?)?,
        version: crate::rows::from_row(row.try_get(10)?),
        facts: if identified {
            typed(row)?
        } else {
            leaves(row)?
        },
    };
    Ok((row.try_get(14)?, context))
}

fn typed(row: &SqliteRow) -> Result<Facts, sqlx::Error> {
    Ok(Facts {
        question: row.try_get(0)?,
        contrast: row.try_get(1)?,
        renal: row.try_get(2)?,
        renal_date: row.try_get(3)?,
        allergy: row.try_get(4)?,
        pregnancy: row.try_get(5)?,
        weight_kg: row.try_get(6)?,
        call_role: row.try_get(7)?,
        call_number: row.try_get(8)?,
    })
}

fn leaves(row: &SqliteRow) -> Result<Facts, sqlx::Error> {
    serde_json::from_str(row.try_get(9)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The newest context of a case.
///
/// # Errors
/// When the rows refuse.
pub async fn context(rows: &Rows, case: &CaseCode) -> Result<Option<Said>, TalkError> {
    let row = sqlx::query(
        "SELECT c.question, c.contrast, c.renal, c.renal_date, c.allergy, c.pregnancy, c.weight_kg, c.call_role, c.call_number, \
         c.leaves, c.who, c.at_us, c.heard_us, COALESCE(a.identity, '') FROM case_context c JOIN study s ON s.id = c.study_id \
         LEFT JOIN agreement a ON a.id = s.agreement AND a.in_force = 1 WHERE s.case_code = $1 ORDER BY c.id DESC LIMIT 1",
    )
    .bind(case.as_str())
    .fetch_optional(rows.read())
    .await
    .map_err(refused("looking for what is said about a case"))?;
    row.as_ref()
        .map(said)
        .transpose()
        .map_err(refused("reading what is said about a case"))
}

fn said(row: &SqliteRow) -> Result<Said, sqlx::Error> {
    let heard: Option<i64> = row.try_get(12)?;
    let identity: &str = row.try_get(13)?;
    Ok(Said {
        typed: typed(row)?,
        leaves: if identity == "identified" {
            typed(row)?
        } else {
            leaves(row)?
        },
        who: row.try_get(10)?,
        at: Timestamp(row.try_get(11)?),
        standing: match heard {
            Some(at) => Standing::Held(Timestamp(at)),
            None if identity.is_empty() => Standing::NoAgreement,
            None => Standing::Going,
        },
    })
}
