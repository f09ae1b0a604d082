//! What is there already under the UID of an instance that comes.

use sqlx::{Row, SqliteConnection};

use super::disk::Handle;
use super::entry::Stored;
use super::outgoing::NOT_TAKEN;
use super::store::{Incoming, try_again};
use super::{Spool, SpoolError, digests, refused_row};

/// The row that holds this UID already.
pub(super) struct There {
    pub(super) id: i64,
    pub(super) study_id: i64,
    pub(super) study_uid: String,
    pub(super) handle: Option<String>,
    pub(super) source_digest: Option<String>,
    pub(super) pixel_digest: Option<String>,
    /// Its bytes are not here: they were found missing, or removed after their time.
    pub(super) gone: bool,
    /// The gateway refused it until the link gave up; a sender that sends it again asks for another try.
    parked: bool,
}

pub(super) async fn existing(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
) -> Result<Option<There>, SpoolError> {
    let row = sqlx::query(
        "SELECT i.id, i.study_id, s.study_uid, i.source_digest, i.pixel_digest, \
         i.lost = 1 OR i.handle IS NULL, i.state = 'withheld' AND i.refusals > 0 AND i.reason LIKE $3 || '%', i.handle \
         FROM instance i JOIN study s ON s.id = i.study_id \
         WHERE i.sop_uid = $1 AND i.agreement IN ($2, '') ORDER BY i.agreement DESC LIMIT 1",
    )
    .bind(incoming.header.instance.as_str())
    .bind(&incoming.agreement)
    .bind(NOT_TAKEN)
    .fetch_optional(&mut *tx)
    .await
    .map_err(refused_row("looking for the same instance"))?;
    let Some(row) = row else { return Ok(None) };
    let read = || {
        Ok(There {
            id: row.try_get(0)?,
            study_id: row.try_get(1)?,
            study_uid: row.try_get(2)?,
            source_digest: row.try_get(3)?,
            pixel_digest: row.try_get(4)?,
            gone: row.try_get::<i64, _>(5)? != 0,
            parked: row.try_get::<i64, _>(6)? != 0,
            handle: row.try_get(7)?,
        })
    };
    let there = read().map_err(refused_row("reading the same instance"))?;
    Ok(Some(there))
}

/// Computes the digests that the row lacks. Bytes that cannot be read are as good as gone: what comes again takes their place.
pub(super) async fn complete(
    spool: &Spool,
    tx: &mut SqliteConnection,
    there: &mut There,
) -> Result<(), SpoolError> {
    if there.source_digest.is_some() && there.pixel_digest.is_some() {
        return Ok(());
    }
    match digests::of_row(spool, tx, there.id).await {
        Ok((source, pixels)) => {
            there.source_digest = there.source_digest.take().or(source);
            there.pixel_digest = there.pixel_digest.take().or(pixels);
        }
        Err(SpoolError::Disk { source, .. }) => {
            tracing::warn!(%source, "an object that comes again cannot be read as it is here");
            there.gone = true;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Bytes that are held already, first or aside: notes that they were seen again, and answers whether by the row of these very bytes.
/// Those that were removed have to be kept anew.
pub(super) async fn repeated(
    tx: &mut SqliteConnection,
    incoming: &Incoming,
    handle: &Handle,
    there: &There,
) -> Result<Option<(Stored, bool)>, SpoolError> {
    let digest = incoming.digest.map(|digest| digest.to_string());
    if digest.is_some() && there.source_digest == digest {
        if there.gone {
            return Ok(None);
        }
        sqlx::query("UPDATE instance SET seen_us = $2 WHERE id = $1")
            .bind(there.id)
            .bind(incoming.now.0)
            .execute(&mut *tx)
            .await
            .map_err(refused_row("noting the same instance"))?;
        if there.parked {
            try_again(tx, incoming, there).await?;
        }
        return Ok(Some((Stored::Same, false)));
    }
    let aside: Option<(String, String)> = sqlx::query_as(
        "UPDATE aside SET seen_us = $3 WHERE instance_id = $1 AND source_digest = $2 AND handle IS NOT NULL RETURNING kind, handle",
    )
    .bind(there.id)
    .bind(&digest)
    .bind(incoming.now.0)
    .fetch_optional(&mut *tx)
    .await
    .map_err(refused_row("noting the same correction"))?;
    Ok(aside.map(|(kind, named)| {
        let stored = match kind.as_str() {
            "correction" => Stored::Correction,
            _ => Stored::Conflict,
        };
        (stored, named == handle.as_row())
    }))
}
