//! What a study is to the spool: when it counts as complete (P30), its versions, and what the link has to say of it.

use std::time::Duration;

use causeway_proto::ids::CaseCode;
use causeway_proto::link::message::{Open, Progress};
use causeway_proto::time::Timestamp;
use serde::Deserialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::entry::CallingKind;
use super::manifest::{SILENCE, new_version};
use super::{Spool, SpoolError, pending, refused_row};
use crate::audit;

/// How long a sender must be silent before a study counts as complete.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// After the last association of a PACS closed, in seconds.
    pub pacs_silence_s: u64,
    /// After the last association of a modality closed (CT, MR, X-ray), in seconds.
    pub modality_silence_s: u64,
    /// The same for studies that are acquired with pauses (US, XA), in seconds.
    pub paused_modality_silence_s: u64,
    /// A sender that keeps its association open counts as silent when nothing of the study came for so many seconds.
    pub held_open_silence_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pacs_silence_s: 30,
            modality_silence_s: 120,
            paused_modality_silence_s: 600,
            held_open_silence_s: 600,
        }
    }
}

impl Config {
    /// How long to wait after the association of a sender of this kind closed; `paused` says whether the study holds a modality
    /// that pauses while it acquires.
    #[must_use]
    pub fn silence(&self, kind: CallingKind, paused: bool) -> Duration {
        Duration::from_secs(match (kind, paused) {
            (CallingKind::Pacs, _) => self.pacs_silence_s,
            (CallingKind::Modality, false) => self.modality_silence_s,
            (CallingKind::Modality, true) => self.paused_modality_silence_s,
        })
    }
}

/// A study that the gateway has to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToOpen {
    /// What to say first on a connection, and again whenever it changes.
    pub open: Open,
    /// How far it has come.
    pub progress: Progress,
}

const PERSON: &str = "person";

/// An arriving study, as far as its completeness goes.
struct Arriving {
    id: i64,
    kind: CallingKind,
    paused: bool,
    send_now: bool,
    last: Timestamp,
    silent_from: Option<Timestamp>,
}

impl Arriving {
    fn of(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            kind: match row.try_get::<&str, _>(1)? {
                "modality" => CallingKind::Modality,
                _ => CallingKind::Pacs,
            },
            paused: row.try_get::<i64, _>(2)? != 0,
            send_now: row.try_get::<i64, _>(3)? != 0,
            last: Timestamp(row.try_get(4)?),
            silent_from: row.try_get::<Option<i64>, _>(5)?.map(Timestamp),
        })
    }

    /// On which ground the study is complete at `now`, if it is.
    fn complete(&self, config: &Config, now: Timestamp) -> Option<&'static str> {
        if self.send_now {
            return Some(PERSON);
        }
        let silent = match self.silent_from {
            Some(from) => now.since(from) >= config.silence(self.kind, self.paused),
            None => now.since(self.last) >= Duration::from_secs(config.held_open_silence_s),
        };
        silent.then_some(SILENCE)
    }
}

/// Seals every study that is complete now, each in a new version. Answers how many.
///
/// # Errors
/// When the rows refuse.
pub(super) async fn seal_complete(spool: &Spool) -> Result<usize, SpoolError> {
    pending::settle(spool).await?;
    not_from_the_future(spool).await?;
    let rows = sqlx::query(
        "SELECT id, kind, paused, send_now, last_us, silent_from_us FROM study WHERE state = 'arriving'",
    )
    .fetch_all(spool.inner.rows.read())
    .await
    .map_err(refused_row("listing what is arriving"))?;
    let mut sealed = 0;
    for row in rows {
        let seen = Arriving::of(&row).map_err(refused_row("reading what is arriving"))?;
        if seen
            .complete(&spool.inner.config.complete, spool.inner.clock.now())
            .is_some()
        {
            sealed += usize::from(seal(spool, seen.id).await?);
        }
    }
    if sealed > 0 {
        spool.wake();
    }
    Ok(sealed)
}

/// A clock that was set back holds nothing up for as long as the step: what was silent is silent from now on (R18).
async fn not_from_the_future(spool: &Spool) -> Result<(), SpoolError> {
    let now = spool.inner.clock.now().0;
    let ahead: i64 = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM study WHERE state = 'arriving' AND (silent_from_us > $1 OR last_us > $1))",
    )
    .bind(now)
    .fetch_one(spool.inner.rows.read())
    .await
    .map_err(refused_row("comparing the clock with what is arriving"))?;
    if ahead == 0 {
        return Ok(());
    }
    let mut tx = spool.begin_rows().await?;
    sqlx::query(
        "UPDATE study SET silent_from_us = MIN(silent_from_us, $1), last_us = MIN(last_us, $1) WHERE state = 'arriving'",
    )
    .bind(now)
    .execute(&mut *tx)
    .await
    .map_err(refused_row("following a clock that was set back"))?;
    tx.commit()
        .await
        .map_err(refused_row("following a clock that was set back"))
}

/// Seals one study, unless something has come since it was looked at.
async fn seal(spool: &Spool, id: i64) -> Result<bool, SpoolError> {
    let now = spool.inner.clock.now();
    let mut tx = spool.begin_rows().await?;
    let work = async {
        let row = sqlx::query(
            "SELECT id, kind, paused, send_now, last_us, silent_from_us FROM study WHERE state = 'arriving' AND id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(false) };
        let Some(basis) = Arriving::of(&row)?.complete(&spool.inner.config.complete, now) else {
            return Ok(false);
        };
        new_version(&mut tx, id, basis, now).await?;
        tx.commit().await?;
        Ok(true)
    };
    work.await.map_err(refused_row("sealing a study"))
}

/// See [`Spool::send_now`].
pub(super) async fn send_now(
    spool: &Spool,
    case: Option<&CaseCode>,
    who: &str,
) -> Result<u64, SpoolError> {
    let mut tx = spool.begin_rows().await?;
    let changed = sqlx::query(
        "UPDATE study SET send_now = 1 WHERE state = 'arriving' AND ($1 = '' OR case_code = $1)",
    )
    .bind(case.map(CaseCode::as_str).unwrap_or_default())
    .execute(&mut *tx)
    .await
    .map_err(refused_row("ending a wait"))?
    .rows_affected();
    if changed > 0 {
        let (now, subject) = (spool.now(), case.map_or("all", CaseCode::as_str));
        let detail = serde_json::json!({ "studies": changed });
        audit::record(&mut tx, now, "wait-ended", who, subject, &detail)
            .await
            .map_err(refused_row("recording the end of a wait"))?;
    }
    tx.commit().await.map_err(refused_row("ending a wait"))?;
    spool.inner.tick.notify_one();
    Ok(changed)
}
