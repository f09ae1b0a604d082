//! The commit of one instance: durable bytes first, then the row that names them, and what a repeated UID means (P24).

use causeway_proto::digest::Digest;
use causeway_proto::ids::{Priority, Purpose};
use causeway_proto::time::Timestamp;
use sqlx::{Row, SqliteConnection, SqliteExecutor};
use tokio::sync::oneshot;

use super::corrected;
use super::disk::Handle;
use super::entry::{Arrival, CallingKind, Header, Stored};
use super::insert::{
    block_other_patient, correct_study, grow_study, insert_aside, insert_instances, insert_study,
};
use super::there::{There, complete, existing, repeated};
use super::{Spool, SpoolError, StoreError, Writer, digests, group, refused_row, told};
use crate::rows::{Write, to_row};

/// Everything known of an instance when its row is written.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) arrival: Arrival,
    pub(super) header: Header,
    pub(super) agreement: String,
    pub(super) kind: CallingKind,
    /// None as long as nobody has needed it.
    pub(super) digest: Option<Digest>,
    /// Whatever digests it has were computed.
    pub(super) digested: bool,
    pub(super) length: u64,
    pub(super) now: Timestamp,
}

/// What a received instance is, as far as its sender has to wait for it: durable.
#[derive(Debug)]
pub(super) enum Received {
    /// Its rows are written.
    Entered(Stored),
    /// They will be: with those of whatever comes meanwhile.
    Queued(oneshot::Receiver<Stored>),
}

/// What the row says about the bytes that were made durable for it.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) stored: Stored,
    pub(super) study: Option<i64>,
    pub(super) keeps_file: bool,
    /// A study was opened with it.
    pub(super) opens: bool,
}

/// See [`Spool::receive`] and [`Spool::commit`].
pub(super) async fn receive(
    spool: &Spool,
    mut writer: Writer,
    header: Header,
) -> Result<Received, StoreError> {
    let arrival = writer.arrival().clone();
    let incoming = Incoming {
        agreement: String::new(),
        kind: spool.kind_of(arrival.association),
        digest: writer.digest(),
        digested: false,
        length: writer.length(),
        now: spool.inner.clock.now(),
        arrival,
        header,
    };
    if let Some(mut block) = writer.take_block() {
        if block.seal(&told::tell(&incoming)) {
            return group::commit(spool, incoming, block).await;
        }
        writer.put_back(block);
    }
    // it is long: a file of its own
    let handle = writer.keep(incoming.digest).await?;
    Ok(Received::Entered(enter(spool, incoming, handle).await?))
}

/// Writes the rows of one instance whose bytes are durable; when they are refused nothing of it is kept.
async fn enter(
    spool: &Spool,
    mut incoming: Incoming,
    handle: Handle,
) -> Result<Stored, SpoolError> {
    let (tx, recorded) = match named(spool, &mut incoming, &handle).await {
        Ok(named) => named,
        Err(error) => {
            spool.remove_bytes(&handle).await;
            return Err(error);
        }
    };
    // When the commit's own outcome is unknown the file stays: without a row the next start collects it, with one it is needed.
    tx.commit()
        .await
        .map_err(refused_row("committing an instance"))?;
    if !recorded.keeps_file {
        spool.remove_bytes(&handle).await;
    }
    recorded.tell(spool, &incoming);
    spool.wake();
    Ok(recorded.stored)
}

/// As [`enter`], for an instance that was acknowledged: whatever happens its bytes stay. Answers whether a row names them; those that
/// none does are the caller's to remove, who may still be reading what lies behind them.
pub(super) async fn again(
    spool: &Spool,
    incoming: &mut Incoming,
    handle: &Handle,
) -> Result<bool, SpoolError> {
    let (tx, recorded) = named(spool, incoming, handle).await?;
    tx.commit()
        .await
        .map_err(refused_row("committing an instance again"))?;
    recorded.tell(spool, incoming);
    Ok(recorded.keeps_file)
}

async fn named(
    spool: &Spool,
    incoming: &mut Incoming,
    handle: &Handle,
) -> Result<(Write, Recorded), SpoolError> {
    digests::ahead(spool, incoming, handle).await?;
    let mut tx = spool.begin_rows().await?;
    let recorded = record(spool, &mut tx, incoming, handle).await?;
    Ok((tx, recorded))
}

impl Recorded {
    /// The first of its UID.
    pub(super) fn new(study: i64, opens: bool) -> Self {
        Self {
            stored: Stored::New,
            study: Some(study),
            keeps_file: true,
            opens,
        }
    }

    /// Says what it was to whom it matters, when the rows are committed.
    pub(super) fn tell(&self, spool: &Spool, incoming: &Incoming) {
        match self.stored {
            Stored::Correction => {
                tracing::info!("a correction of a received object is kept aside");
            }
            Stored::Conflict => {
                tracing::warn!("other content under a received UID is kept aside; see `held`");
            }
            Stored::New | Stored::Same | Stored::OurReport | Stored::Unentered => {}
        }
        if let Some(study) = self.study {
            spool.touched(incoming.arrival.association, study);
        }
    }
}

/// The agreement's name for a row: the one of the called title or of a rule, that of its study if it is in force, the site's default
/// or only one, that of its study all the same, or none yet. A study has one agreement unless a title or a rule says otherwise.
pub(super) async fn agreement(
    spool: &Spool,
    rows: impl SqliteExecutor<'_>,
    arrival: &Arrival,
    header: &Header,
) -> Result<String, SpoolError> {
    let choice = &spool.inner.config.agreement;
    let given = arrival.agreement.as_ref();
    if let Some(given) = given.or_else(|| choice.ruled(arrival, header)) {
        return Ok(given.as_str().to_owned());
    }
    sqlx::query_scalar(
        "SELECT COALESCE((SELECT s.agreement FROM study s JOIN agreement a ON a.id = s.agreement AND a.in_force = 1 \
           WHERE s.study_uid = $1 ORDER BY s.id DESC LIMIT 1), \
         (SELECT CASE WHEN COUNT(*) = 1 THEN MIN(id) END FROM agreement WHERE in_force = 1), \
         (SELECT agreement FROM study WHERE study_uid = $1 AND agreement <> '' ORDER BY id DESC LIMIT 1), '')",
    )
    .bind(header.study.as_str())
    .bind(choice.default.as_ref().map(|it| it.as_str()))
    .fetch_one(rows)
    .await
    .map_err(refused_row("reading the agreements"))
}

/// Whether it is a report of ours that comes back, which is noted and dropped (P5).
async fn ours(tx: &mut SqliteConnection, incoming: &Incoming) -> Result<bool, SpoolError> {
    let mut ours = 0;
    for own in [
        "UPDATE own_report SET returned = returned + 1, noted_us = $2 WHERE sop_uid = $1 \
         OR sop_uid IN (SELECT r.sop_uid FROM report r JOIN home_report h ON h.report_id = r.id WHERE h.sop_uid = $1)",
        "UPDATE own_page SET returned = returned + 1, noted_us = $2 WHERE sop_uid = $1",
    ] {
        let noted = sqlx::query(own)
            .bind(incoming.header.instance.as_str())
            .bind(incoming.now.0)
            .execute(&mut *tx)
            .await
            .map_err(refused_row("noting a report of ours"))?;
        ours += noted.rows_affected();
    }
    Ok(ours > 0)
}

/// A sender that repeats what is here may be about to send the rest of a study that is still arriving (P30).
async fn not_silent(
    tx: &mut SqliteConnection,
    study: i64,
    now: Timestamp,
) -> Result<(), SpoolError> {
    sqlx::query(
        "UPDATE study SET last_us = $2, silent_from_us = NULL WHERE id = $1 AND state = 'arriving'",
    )
    .bind(study)
    .bind(now.0)
    .execute(tx)
    .await
    .map_err(refused_row("noting that a sender is at it"))?;
    Ok(())
}

/// Writes the rows for bytes that are durable now, whatever is there of them.
pub(super) async fn record(
    spool: &Spool,
    tx: &mut SqliteConnection,
    incoming: &mut Incoming,
    handle: &Handle,
) -> Result<Recorded, SpoolError> {
    if ours(tx, incoming).await? {
        return Ok(Recorded {
            stored: Stored::OurReport,
            study: None,
            keeps_file: false,
            opens: false,
        });
    }
    // the gateway may have named the agreement since: what is recorded without one is only looked at when it names them
    incoming.agreement = agreement(spool, &mut *tx, &incoming.arrival, &incoming.header).await?;
    let Some(mut there) = existing(tx, incoming).await? else {
        let (study, opens) = study_of(spool, tx, incoming).await?;
        insert_instances(tx, &[(study, incoming, handle)]).await?;
        return Ok(Recorded::new(study, opens));
    };
    let study_id = there.study_id;
    let again = |stored, keeps_file| Recorded {
        stored,
        study: Some(study_id),
        keeps_file,
        opens: false,
    };
    // its row was written, by a commit whose end nobody saw
    if there.handle.as_deref() == Some(handle.as_row()) {
        return Ok(again(Stored::New, true));
    }
    complete(spool, tx, &mut there).await?;
    digests::of_incoming(spool, incoming, handle).await?;
    let digest = incoming.digest.map(|digest| digest.to_string());
    // what was lost before it had a digest has not left: whatever comes in its place is it
    if there.gone && (there.source_digest.is_none() || there.source_digest == digest) {
        mend(tx, incoming, handle, &there).await?;
        return Ok(again(Stored::Same, true));
    }
    if let Some((stored, named)) = repeated(tx, incoming, handle, &there).await? {
        not_silent(tx, there.study_id, incoming.now).await?;
        return Ok(again(stored, named));
    }
    let stored = judge(incoming, &there);
    insert_aside(tx, incoming, handle, &there, stored).await?;
    if stored == Stored::Correction {
        block_other_patient(tx, incoming, there.study_id).await?;
        correct_study(tx, incoming, there.study_id).await?;
        let later = (handle, &incoming.arrival.syntax);
        corrected::compare(spool, tx, there.id, later).await?;
    }
    Ok(Recorded {
        study: None,
        ..again(stored, true)
    })
}

/// The study of a new instance, and whether it was opened for it.
pub(super) async fn study_of(
    spool: &Spool,
    tx: &mut SqliteConnection,
    incoming: &Incoming,
) -> Result<(i64, bool), SpoolError> {
    match study_row_of(tx, incoming).await? {
        Some(id) => Ok((id, false)),
        None => Ok((insert_study(spool, tx, incoming).await?, true)),
    }
}

/// Bytes that were lost or removed have come again: the instance takes its place, whatever had become of it.
async fn mend(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
    handle: &Handle,
    there: &There,
) -> Result<(), SpoolError> {
    sqlx::query(
        "UPDATE instance SET handle = $2, lost = 0, seen_us = $3, quarantined = 0, receipt_us = NULL, \
         receipt_running = NULL, receipt_number = NULL, receipt_epoch = NULL, syntax = $4, length = $5, source_digest = $6 \
         WHERE id = $1",
    )
    .bind(there.id)
    .bind(handle.as_row())
    .bind(incoming.now.0)
    .bind(incoming.arrival.syntax.as_str())
    .bind(to_row(incoming.length))
    .bind(incoming.digest.map(|digest| digest.to_string()))
    .execute(&mut *tx)
    .await
    .map_err(refused_row("mending an instance"))?;
    try_again(tx, incoming, there).await
}

/// The instance is offered as if it were new, and its study, whose manifest may have named it as withheld, is sealed again.
pub(super) async fn try_again(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
    there: &There,
) -> Result<(), SpoolError> {
    sqlx::query(
        "UPDATE instance SET refusals = 0, next_try_us = 0, \
         state = CASE WHEN s.state = 'recalled' THEN 'withheld' ELSE 'waiting' END, \
         reason = CASE WHEN s.state = 'recalled' THEN 'the site has recalled the study' ELSE '' END \
         FROM study s WHERE instance.id = $1 AND s.id = instance.study_id",
    )
    .bind(there.id)
    .execute(&mut *tx)
    .await
    .map_err(refused_row("offering an instance again"))?;
    study_row_of(tx, incoming).await?;
    sqlx::query(
        "UPDATE study SET state = 'arriving', send_now = 0 WHERE id = $1 AND state IN ('complete', 'handed-off')",
    )
    .bind(there.study_id)
    .execute(&mut *tx)
    .await
    .map_err(refused_row("opening a study again"))?;
    Ok(())
}

/// P24: equal pixels of the same study under another header are a correction, everything else is a conflict.
fn judge(incoming: &Incoming, there: &There) -> Stored {
    let pixels = incoming.header.pixel_digest.map(|d| d.to_string());
    if pixels.is_some()
        && pixels == there.pixel_digest
        && there.study_uid == incoming.header.study.as_str()
    {
        Stored::Correction
    } else {
        Stored::Conflict
    }
}

/// Grows the study of an instance when there is one: it is re-opened by a late image (P5), raised by a more urgent title (P4).
async fn study_row_of(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
) -> Result<Option<i64>, SpoolError> {
    let row = sqlx::query(
        "SELECT id, purpose, priority FROM study WHERE study_uid = $1 AND agreement IN ($2, '') \
         ORDER BY agreement DESC LIMIT 1",
    )
    .bind(incoming.header.study.as_str())
    .bind(&incoming.agreement)
    .fetch_optional(&mut *tx)
    .await
    .map_err(refused_row("looking for the study"))?;
    let Some(row) = row else { return Ok(None) };
    let read = || -> Result<(i64, String, String), sqlx::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let (id, purpose, priority) = read().map_err(refused_row("reading the study"))?;
    let purpose = match (purpose.parse(), incoming.arrival.purpose) {
        (Ok(Purpose::Comparison), Purpose::Comparison) => Purpose::Comparison,
        _ => Purpose::Read,
    };
    let there = priority.parse().unwrap_or(Priority::Unstated);
    let priority = there.min(incoming.arrival.priority);
    grow_study(tx, incoming, id, purpose, priority).await?;
    Ok(Some(id))
}
