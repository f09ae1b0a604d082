//! What a person at the site decides about a case: each decision changes exactly its rows and stays as a row of its own.

use causeway_proto::ids::{CaseCode, Priority};
use serde_json::json;
use sqlx::SqliteConnection;

use super::manifest::new_version;
use super::{Spool, SpoolError, refused_row};
use crate::audit;

/// The basis of a version that a person caused.
const PERSON: &str = "person";

/// Who decides, and why.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// The account at the site.
    pub who: &'a str,
    /// In the person's own words; may be empty where no reason is asked for.
    pub reason: &'a str,
}

/// A decision that changes no row of the spool, or whose change was made elsewhere: it is only noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// The wait for more was ended.
    SendNow,
    /// The study was taken back.
    Recall,
    /// Its reports were offered again.
    Retry,
    /// A report was opened to be printed.
    Print,
    /// A report was filed under the names as they were received.
    FileOurs,
    /// A report was filed under the names that the PACS has.
    FilePacs,
    /// A report is not to be filed.
    Refuse,
    /// A withdrawal was seen.
    Acknowledge,
}

impl Noted {
    fn word(self) -> &'static str {
        match self {
            Self::SendNow => "send-now",
            Self::Recall => "recall",
            Self::Retry => "retry",
            Self::Print => "print",
            Self::FileOurs => "file-ours",
            Self::FilePacs => "file-pacs",
            Self::Refuse => "refuse",
            Self::Acknowledge => "acknowledge",
        }
    }
}

impl Spool {
    /// Lets withheld instances of a case leave: they wait again, and `released` tells the protection that a person has looked at their
    /// pixels. A sealed study gets one new version. Answers how many of them there were to release.
    ///
    /// # Errors
    /// When the rows refuse; nothing is changed then.
    pub async fn release(
        &self,
        case: &CaseCode,
        instances: &[i64],
        by: By<'_>,
    ) -> Result<usize, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let mut released = 0_usize;
            let mut of = None;
            for instance in instances {
                let study: Option<i64> = sqlx::query_scalar(
                    "UPDATE instance SET state = 'waiting', reason = '', released = $3, refusals = 0, next_try_us = 0 \
                     WHERE id = $2 AND state = 'withheld' AND handle IS NOT NULL AND lost = 0 \
                     AND study_id = (SELECT id FROM study WHERE case_code = $1 AND state <> 'recalled') RETURNING study_id",
                )
                .bind(case.as_str())
                .bind(instance)
                .bind(by.who)
                .fetch_optional(&mut *tx)
                .await?;
                let Some(study) = study else { continue };
                self.decide(&mut tx, study, Some(*instance), "release", by)
                    .await?;
                released = released.saturating_add(1);
                of = Some(study);
            }
            if let Some(study) = of {
                let detail = json!({ "objects": released });
                self.on_record(&mut tx, study, "withheld-released", by.who, detail)
                    .await?;
                seal_again(self, &mut tx, study).await?;
            }
            tx.commit().await?;
            Ok(released)
        };
        let released = work.await.map_err(refused_row("releasing instances"))?;
        self.wake();
        Ok(released)
    }

    /// Withheld instances stay at the site for good: nobody is asked about them again. Answers how many there were.
    ///
    /// # Errors
    /// When the rows refuse; nothing is changed then.
    pub async fn keep_back(
        &self,
        case: &CaseCode,
        instances: &[i64],
        by: By<'_>,
    ) -> Result<usize, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let mut kept = 0_usize;
            let mut of = None;
            for instance in instances {
                let study: Option<i64> = sqlx::query_scalar(
                    "SELECT s.id FROM instance i JOIN study s ON s.id = i.study_id \
                     WHERE s.case_code = $1 AND i.id = $2 AND i.state = 'withheld'",
                )
                .bind(case.as_str())
                .bind(instance)
                .fetch_optional(&mut *tx)
                .await?;
                let Some(study) = study else { continue };
                self.decide(&mut tx, study, Some(*instance), "keep", by)
                    .await?;
                kept = kept.saturating_add(1);
                of = Some(study);
            }
            if let Some(study) = of {
                let detail = json!({ "objects": kept });
                self.on_record(&mut tx, study, "withheld-kept", by.who, detail)
                    .await?;
            }
            tx.commit().await?;
            Ok(kept)
        };
        work.await.map_err(refused_row("keeping instances back"))
    }

    /// A person has decided about a blocked study: it may be signed again (`lift`), or stays blocked and nobody is asked again.
    /// Answers whether it was blocked.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn decide_block(
        &self,
        case: &CaseCode,
        lift: bool,
        by: By<'_>,
    ) -> Result<bool, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let study: Option<i64> = sqlx::query_scalar(
                "UPDATE study SET blocked = CASE WHEN $2 = 1 THEN '' ELSE blocked END \
                 WHERE case_code = $1 AND blocked <> '' RETURNING id",
            )
            .bind(case.as_str())
            .bind(i64::from(lift))
            .fetch_optional(&mut *tx)
            .await?;
            let Some(study) = study else { return Ok(false) };
            let (what, event) = match lift {
                true => ("unblock", "block-lifted"),
                false => ("keep-blocked", "block-kept"),
            };
            self.decide(&mut tx, study, None, what, by).await?;
            self.on_record(&mut tx, study, event, by.who, json!({}))
                .await?;
            tx.commit().await?;
            Ok(true)
        };
        let changed = work
            .await
            .map_err(refused_row("deciding about a blocked study"))?;
        self.wake();
        Ok(changed)
    }

    /// Raises a case to a more urgent level (P26); never lowers it. Answers whether that changed anything.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn raise(
        &self,
        case: &CaseCode,
        to: Priority,
        by: By<'_>,
    ) -> Result<bool, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let row: Option<(i64, String)> = sqlx::query_as(
                "SELECT id, priority FROM study WHERE case_code = $1 AND state <> 'recalled'",
            )
            .bind(case.as_str())
            .fetch_optional(&mut *tx)
            .await?;
            let Some((study, now)) = row else {
                return Ok(false);
            };
            // most urgent first: a smaller one is more urgent
            if now
                .parse::<Priority>()
                .is_ok_and(|now| now.min(Priority::Routine) <= to)
            {
                return Ok(false);
            }
            sqlx::query("UPDATE study SET priority = $2 WHERE id = $1")
                .bind(study)
                .bind(to.as_str())
                .execute(&mut *tx)
                .await?;
            let reason = if by.reason.is_empty() {
                to.as_str()
            } else {
                by.reason
            };
            let by = By { reason, ..by };
            self.decide(&mut tx, study, None, "raise", by).await?;
            let detail = json!({ "to": to.as_str() });
            self.on_record(&mut tx, study, "case-raised", by.who, detail)
                .await?;
            tx.commit().await?;
            Ok(true)
        };
        let raised = work.await.map_err(refused_row("raising a case"))?;
        self.wake();
        Ok(raised)
    }

    /// Keeps a row about a decision whose change was made elsewhere. Answers whether there is such a case.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn note(&self, case: &CaseCode, what: Noted, by: By<'_>) -> Result<bool, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let study: Option<i64> =
                sqlx::query_scalar("SELECT id FROM study WHERE case_code = $1")
                    .bind(case.as_str())
                    .fetch_optional(&mut *tx)
                    .await?;
            let Some(study) = study else { return Ok(false) };
            self.decide(&mut tx, study, None, what.word(), by).await?;
            // the others are on record where their change is made
            if what == Noted::Print {
                self.on_record(&mut tx, study, "report-shown", by.who, json!({}))
                    .await?;
            }
            tx.commit().await?;
            Ok(true)
        };
        work.await.map_err(refused_row("noting a decision"))
    }

    /// Puts a person's act on a study on record, in the transaction of the act. The reason stays in the decision's own row: it is free
    /// text, and may name the patient.
    pub(super) async fn on_record(
        &self,
        tx: &mut SqliteConnection,
        study: i64,
        event: &str,
        who: &str,
        detail: serde_json::Value,
    ) -> Result<(), sqlx::Error> {
        let (uid, case): (String, String) =
            sqlx::query_as("SELECT study_uid, case_code FROM study WHERE id = $1")
                .bind(study)
                .fetch_one(&mut *tx)
                .await?;
        let mut detail = detail;
        if let Some(members) = detail.as_object_mut() {
            members.insert("case".to_owned(), case.into());
        }
        audit::record(tx, self.inner.clock.now(), event, who, &uid, &detail).await
    }

    pub(crate) async fn decide(
        &self,
        tx: &mut SqliteConnection,
        study: i64,
        instance: Option<i64>,
        what: &str,
        by: By<'_>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO decision (study_id, instance_id, what, who, reason, at_us) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(study)
        .bind(instance)
        .bind(what)
        .bind(by.who)
        .bind(by.reason)
        .bind(self.inner.clock.now().0)
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// A study that was sealed without what is released now gets another version.
pub(super) async fn seal_again(
    spool: &Spool,
    tx: &mut SqliteConnection,
    study: i64,
) -> Result<(), sqlx::Error> {
    let sealed: i64 =
        sqlx::query_scalar("SELECT state IN ('complete', 'handed-off') FROM study WHERE id = $1")
            .bind(study)
            .fetch_one(&mut *tx)
            .await?;
    if sealed == 0 {
        return Ok(());
    }
    new_version(tx, study, PERSON, spool.inner.clock.now()).await
}
