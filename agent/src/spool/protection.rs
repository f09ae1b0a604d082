//! What the spool gives to be protected, and what it keeps of each decision: nothing leaves before its form has a row.

use causeway_proto::ids::AgreementId;
use causeway_proto::link::message::InstanceKey;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::entry::{Kept, Private, Sent, Unprotected, Verdict};
use super::outgoing::{self, BY_URGENCY, kept, renew};
use super::{Spool, SpoolError, loss, masked, masks, parsed, refused_row};
use crate::audit;
use crate::rows::{fact, set_fact, to_row};

/// The sealed originals that travel with one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seals {
    /// Those of its study.
    pub study: Option<Vec<u8>>,
    /// Its own, where they differ.
    pub own: Option<Vec<u8>>,
}

/// What [`unprotected`] reads, and from where.
pub(super) const COLUMNS: &str = "i.id, s.id, s.agreement, a.options, s.study_uid, i.sop_uid, i.sop_class, i.modality, s.bound_id, \
     s.bound_issuer, i.syntax, i.length, i.source_digest, i.handle, t.pseudonym, s.patient_name, s.accession, i.released <> '', \
     a.profile, COALESCE(i.mask, ''), i.mask_rule, i.overlay_rule, t.date_shift, s.uids FROM instance i \
     JOIN study s ON s.id = i.study_id LEFT JOIN sealed_set t ON t.study_id = s.id \
     JOIN agreement a ON a.id = s.agreement";

/// Nobody has said that instance `i` stays for good.
pub(super) const NOT_KEPT: &str = "COALESCE((SELECT d.what FROM decision d WHERE d.instance_id = i.id ORDER BY d.id DESC LIMIT 1), '') <> 'keep'";

impl Spool {
    /// Up to `limit` instances whose form is not decided, after the first `skip`: most urgent study first, then in order of arrival.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn next_to_protect(
        &self,
        limit: usize,
        skip: usize,
    ) -> Result<Vec<Unprotected>, SpoolError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} AND a.in_force = 1 WHERE i.state = 'waiting' AND i.sent_digest IS NULL AND i.lost = 0 AND i.handle IS NOT NULL \
             AND (a.identity = 'pseudonymous' OR s.uids = 'replaced') ORDER BY {BY_URGENCY}, i.turn, i.id LIMIT $1 OFFSET $2"
        )))
        .bind(to_row(limit as u64))
        .bind(to_row(skip as u64))
        .fetch_all(self.inner.rows.read())
        .await
        .map_err(refused_row("listing what is to be protected"))?;
        rows.iter()
            .map(|row| unprotected(self, row))
            .collect::<Result<_, _>>()
            .map_err(refused_row("reading what is to be protected"))
    }

    /// Where the bytes lie of an instance that is to leave in this form; none when it was decided anew meanwhile, or waits for that.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn still_leaves(
        &self,
        key: &InstanceKey,
        form: &Sent,
    ) -> Result<Option<Kept>, SpoolError> {
        let row = outgoing::row_of(self, key).await?;
        let named = (form.digest.to_string(), to_row(form.length));
        if row.is_none_or(|row| row.sent != Some(named)) {
            return Ok(None);
        }
        Ok(self.given(key).await?.map(|given| given.source))
    }

    /// An instance whose form is decided, as it was given to be protected.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn given(&self, key: &InstanceKey) -> Result<Option<Unprotected>, SpoolError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} WHERE i.agreement = $1 AND i.sop_uid = $2 AND i.handle IS NOT NULL"
        )))
        .bind(key.agreement.as_str())
        .bind(key.instance.as_str())
        .fetch_optional(self.inner.rows.read())
        .await
        .map_err(refused_row("looking for a protected instance"))?;
        row.as_ref()
            .map(|row| unprotected(self, row))
            .transpose()
            .map_err(refused_row("reading a protected instance"))
    }

    /// The sealed originals of the study of `instance`: `made`, with the pseudonym that stands in them and the shift of its dates,
    /// when there were none. Durable when this returns.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn study_seal(
        &self,
        instance: &Unprotected,
        (pseudonym, shift): (&str, Option<u16>),
        made: &[u8],
    ) -> Result<Vec<u8>, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let first = sqlx::query(
                "INSERT INTO sealed_set (study_id, agreement, pseudonym, sealed, made_us, date_shift) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (study_id) DO NOTHING",
            )
            .bind(instance.study_row)
            .bind(instance.agreement.as_str())
            .bind(pseudonym)
            .bind(made)
            .bind(self.inner.clock.now().0)
            .bind(shift.map(i64::from))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            if first > 0 {
                let agreement = instance.agreement.as_str();
                let detail = json!({ "agreement": agreement, "patient": pseudonym });
                let (now, study) = (self.inner.clock.now(), instance.study.as_str());
                audit::record(&mut tx, now, "study-protected", "agent", study, &detail).await?;
            }
            let kept = sqlx::query_scalar("SELECT sealed FROM sealed_set WHERE study_id = $1")
                .bind(instance.study_row)
                .fetch_one(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(kept)
        };
        work.await
            .map_err(refused_row("keeping the sealed originals of a study"))
    }

    /// The shift of the dates of the study of `instance`: `made` when there was none, for a study that began to leave before its dates
    /// were to be shifted.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn keep_shift(&self, instance: &Unprotected, made: u16) -> Result<(), SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            sqlx::query(
                "UPDATE sealed_set SET date_shift = $2 WHERE study_id = $1 AND date_shift IS NULL",
            )
            .bind(instance.study_row)
            .bind(i64::from(made))
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        };
        work.await.map_err(refused_row(
            "keeping by how much a study's dates are shifted",
        ))
    }

    /// Whether the dates of an agreement leave shifted.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn shifts_dates_of(&self, agreement: &AgreementId) -> Result<bool, SpoolError> {
        let options: Option<String> =
            sqlx::query_scalar("SELECT options FROM agreement WHERE id = $1")
                .bind(agreement.as_str())
                .fetch_optional(self.inner.rows.read())
                .await
                .map_err(refused_row("looking for the options of an agreement"))?;
        Ok(self.shifts_dates(&options.unwrap_or_default()))
    }

    /// Whether dates leave shifted under an agreement that announces these options.
    #[must_use]
    pub fn shifts_dates(&self, announced: &str) -> bool {
        self.inner.config.agreement.shifts_dates(announced)
    }

    /// The sealed originals of the study of `instance`, when they have been made.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn has_study_seal(
        &self,
        instance: &Unprotected,
    ) -> Result<Option<Vec<u8>>, SpoolError> {
        sqlx::query_scalar("SELECT sealed FROM sealed_set WHERE study_id = $1")
            .bind(instance.study_row)
            .fetch_optional(self.inner.rows.read())
            .await
            .map_err(refused_row("reading the sealed originals of a study"))
    }

    /// The sealed originals that travel with an instance.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn seals(&self, key: &InstanceKey) -> Result<Seals, SpoolError> {
        let row = sqlx::query(
            "SELECT (SELECT sealed FROM sealed_set t WHERE t.study_id = i.study_id), i.sealed FROM instance i \
             WHERE i.agreement = $1 AND i.sop_uid = $2",
        )
        .bind(key.agreement.as_str())
        .bind(key.instance.as_str())
        .fetch_optional(self.inner.rows.read())
        .await
        .map_err(refused_row("reading sealed originals"))?;
        let Some(row) = row else {
            return Ok(Seals::default());
        };
        let read = || -> Result<Seals, sqlx::Error> {
            Ok(Seals {
                study: row.try_get(0)?,
                own: row.try_get(1)?,
            })
        };
        read().map_err(refused_row("reading sealed originals"))
    }

    /// Keeps what was decided, all of it or nothing. What has changed meanwhile (recalled, lost, sent again) keeps its state.
    ///
    /// # Errors
    /// When the rows refuse; everything is then offered for protection again.
    pub async fn protected(&self, decided: &[(Unprotected, Verdict)]) -> Result<(), SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let mut useless = Vec::new();
            let now = self.inner.clock.now();
            for (instance, verdict) in decided {
                match verdict {
                    Verdict::Leaves { looked, pixels, .. } => {
                        let still = masks::looked_at(&mut tx, instance.id, looked, now).await?;
                        let taken = still && leaves(&mut tx, instance, verdict).await?;
                        if taken {
                            name_study(&mut tx, instance, Some(true)).await?;
                        }
                        let kept = pixels.as_ref().filter(|_| taken);
                        useless.extend(masked::keep(&mut tx, instance, kept).await?);
                        let unused = pixels.as_ref().filter(|_| !taken);
                        useless.extend(unused.map(|pixels| pixels.handle.clone()));
                    }
                    Verdict::Withheld {
                        reason,
                        blocks,
                        looked,
                        named,
                    } => {
                        if masks::looked_at(&mut tx, instance.id, looked, now).await? {
                            name_study(&mut tx, instance, *named).await?;
                            withhold(self, &mut tx, instance, reason, blocks.as_deref()).await?;
                        }
                    }
                    Verdict::Lost => {
                        loss::note(&mut tx, instance.id, &instance.source.handle).await?;
                    }
                }
            }
            tx.commit().await?;
            Ok(useless)
        };
        let useless = work
            .await
            .map_err(refused_row("keeping what was decided about instances"))?;
        for handle in &useless {
            self.remove_bytes(handle).await;
        }
        self.wake();
        Ok(())
    }

    /// Instances on which another version of the protection has decided, and that have no receipt, are decided anew.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn protect_anew(&self, profile: u32) -> Result<u64, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let changed = sqlx::query(
                "UPDATE instance SET sent_digest = NULL, sealed = NULL, remarks = '' \
                 WHERE state = 'waiting' AND sent_digest IS NOT NULL AND profile NOT IN (0, $1)",
            )
            .bind(i64::from(profile))
            .execute(&mut *tx)
            .await?
            .rows_affected();
            tx.commit().await?;
            Ok(changed)
        };
        work.await
            .map_err(refused_row("having instances protected anew"))
    }

    /// The agreements under which something has a protected form and has not left.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn agreements_decided(&self) -> Result<Vec<AgreementId>, SpoolError> {
        let rows = sqlx::query(
            "SELECT DISTINCT agreement FROM instance WHERE state = 'waiting' AND sent_digest IS NOT NULL AND profile > 0",
        )
        .fetch_all(self.inner.rows.read())
        .await
        .map_err(refused_row("listing what is protected"))?;
        rows.iter()
            .map(|row| parsed(row, 0, "an agreement"))
            .collect::<Result<_, _>>()
            .map_err(refused_row("reading what is protected"))
    }

    /// What has not left of an agreement is decided anew unless `key` stands for the key under which it was decided. Answers whether
    /// it stood for another.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn other_key(&self, agreement: &AgreementId, key: &str) -> Result<bool, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let name = format!("key-of {agreement}");
            let known = fact(&mut tx, &name).await?;
            if known.as_deref() == Some(key) {
                return Ok(false);
            }
            set_fact(&mut tx, &name, key).await?;
            sqlx::query(
                "UPDATE instance SET sent_digest = NULL, sealed = NULL, remarks = '' \
                 WHERE agreement = $1 AND state = 'waiting' AND profile > 0",
            )
            .bind(agreement.as_str())
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(known.is_some())
        };
        work.await.map_err(refused_row(
            "having what another key has protected protected anew",
        ))
    }

    /// The form of one instance could not be made again as it was decided: it is decided anew.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn protect_again(&self, key: &InstanceKey) -> Result<(), SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            sqlx::query(
                "UPDATE instance SET sent_digest = NULL, sealed = NULL, remarks = '' \
                 WHERE agreement = $1 AND sop_uid = $2 AND state = 'waiting' AND profile > 0",
            )
            .bind(key.agreement.as_str())
            .bind(key.instance.as_str())
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        };
        work.await
            .map_err(refused_row("having an instance protected again"))?;
        self.inner.arrived.notify_one();
        Ok(())
    }
}

/// An instance as it is given to be protected, from [`COLUMNS`].
pub(super) fn unprotected(spool: &Spool, row: &SqliteRow) -> Result<Unprotected, sqlx::Error> {
    Ok(Unprotected {
        id: row.try_get(0)?,
        study_row: row.try_get(1)?,
        agreement: parsed(row, 2, "an agreement")?,
        options: spool.inner.config.agreement.allowed(row.try_get(3)?),
        // fails closed: what is not decided is not let out
        replaces_uids: row.try_get::<&str, _>(23)? != "kept",
        study: parsed(row, 4, "a study UID")?,
        instance: parsed(row, 5, "an instance UID")?,
        class: parsed(row, 6, "a class UID")?,
        modality: row.try_get(7)?,
        bound_id: Private::new(row.try_get::<String, _>(8)?),
        bound_issuer: Private::new(row.try_get::<String, _>(9)?),
        source: kept(row, 10)?,
        pseudonym: row.try_get(14)?,
        patient_name: Private::new(row.try_get::<String, _>(15)?),
        accession: Private::new(row.try_get::<String, _>(16)?),
        released: row.try_get::<i64, _>(17)? != 0,
        terms: row.try_get(18)?,
        mask: match row.try_get::<String, _>(19)?.as_str() {
            "" => None,
            _ => Some(masks::rectangles(row, 19)?),
        },
        ruled: [row.try_get(20)?, row.try_get(21)?],
        shifts_dates: spool.inner.config.agreement.shifts_dates(row.try_get(3)?),
        date_shift: shift(row, 22)?,
    })
}

/// A column that says by how many days dates are shifted.
fn shift(row: &SqliteRow, column: usize) -> Result<Option<u16>, sqlx::Error> {
    let days: Option<i64> = row.try_get(column)?;
    let read = |days| u16::try_from(days).or(Err(sqlx::Error::Decode("a shift of dates".into())));
    days.map(read).transpose()
}

async fn leaves(
    tx: &mut SqliteConnection,
    instance: &Unprotected,
    verdict: &Verdict,
) -> Result<bool, sqlx::Error> {
    let Verdict::Leaves {
        sent,
        profile,
        sealed,
        remarks,
        uids,
        ..
    } = verdict
    else {
        return Ok(false);
    };
    let changed = sqlx::query(
        "UPDATE instance SET sent_digest = $2, sent_length = $3, sent_syntax = $4, profile = $5, sealed = $6, remarks = $7, \
         source_digest = COALESCE(source_digest, $9) WHERE id = $1 AND state = 'waiting' AND handle = $8 AND $9 IS NOT NULL",
    )
    .bind(instance.id)
    .bind(sent.digest.to_string())
    .bind(to_row(sent.length))
    .bind(sent.syntax.as_str())
    .bind(i64::from(*profile))
    .bind(sealed.as_deref())
    .bind(remarks.join("\n"))
    .bind(instance.source.handle.as_row())
    .bind(instance.source.digest.map(|digest| digest.to_string()))
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if changed > 0 {
        super::uids::note(tx, &instance.agreement, uids).await?;
    }
    Ok(changed > 0)
}

/// Whether the study may be said to the gateway under its UID: the first object that tells decides, so that one that does not state
/// what another found cannot; a person who releases, or the agreement, decides over both.
async fn name_study(
    tx: &mut SqliteConnection,
    instance: &Unprotected,
    may: Option<bool>,
) -> Result<(), sqlx::Error> {
    let Some(may) = may else { return Ok(()) };
    sqlx::query(
        "UPDATE study SET named = $2 WHERE id = $1 AND named <> $2 AND (named = '' OR ($3 AND $2 = 'may'))",
    )
    .bind(instance.study_row)
    .bind(if may { "may" } else { "must-not" })
    .bind(instance.accepts_uids())
    .execute(tx)
    .await?;
    Ok(())
}

async fn withhold(
    spool: &Spool,
    tx: &mut SqliteConnection,
    instance: &Unprotected,
    reason: &str,
    blocks: Option<&str>,
) -> Result<(), sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE instance SET state = 'withheld', reason = $2, source_digest = COALESCE(source_digest, $4) \
         WHERE id = $1 AND state = 'waiting' AND handle = $3",
    )
    .bind(instance.id)
    .bind(reason)
    .bind(instance.source.handle.as_row())
    .bind(instance.source.digest.map(|digest| digest.to_string()))
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if changed == 0 {
        return Ok(());
    }
    if let Some(blocks) = blocks {
        sqlx::query("UPDATE study SET blocked = $2 WHERE id = $1")
            .bind(instance.study_row)
            .bind(blocks)
            .execute(&mut *tx)
            .await?;
    }
    renew(tx, instance.id, spool.inner.clock.now()).await
}
