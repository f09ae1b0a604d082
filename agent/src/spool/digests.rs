//! Digests that are computed when somebody needs them: receiving an object does not wait for them.
//!
//! The digest of an object is computed when the object is protected, or when its UID comes again; that of its pixels when its UID
//! comes again, or before its bytes are removed, so that a later correction is still known as one (P24).

use std::io::{self, BufReader};

use causeway_proto::digest::Digest;
use causeway_proto::ids::TransferSyntaxUid;
use causeway_proto::prescan::{self, Limits};
use causeway_proto::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::disk::checked::{Checked, is_rotten};
use super::disk::{Disk, Handle};
use super::store::Incoming;
use super::{Kept, Spool, SpoolError, loss, off_runtime, parsed, refused_row};
use crate::rows::{from_row, to_row};

/// Buffer of the reader that looks for pixels.
const LOOK: usize = 256 * 1024;

/// Where the bytes of a row lie that lacks a digest.
struct Bytes {
    id: i64,
    handle: Handle,
    syntax: TransferSyntaxUid,
    length: u64,
    source: bool,
    pixels: bool,
}

const COLUMNS: &str = "SELECT i.id, i.handle, i.syntax, i.length, i.source_digest IS NULL, i.pixel_digest IS NULL FROM instance i \
     JOIN study s ON s.id = i.study_id WHERE i.handle IS NOT NULL AND i.lost = 0 \
     AND (i.source_digest IS NULL OR i.pixel_digest IS NULL) AND ";

fn bytes(row: &SqliteRow) -> Result<Bytes, sqlx::Error> {
    Ok(Bytes {
        id: row.try_get(0)?,
        handle: Handle::from_row(row.try_get(1)?),
        syntax: parsed(row, 2, "a transfer syntax")?,
        length: from_row(row.try_get(3)?),
        source: row.try_get::<i64, _>(4)? != 0,
        pixels: row.try_get::<i64, _>(5)? != 0,
    })
}

/// The digests that a row lacks, as it holds them; of pixels that are not there or cannot be reached an empty one.
type Found = (Option<String>, Option<String>);

async fn compute(spool: &Spool, of: Bytes) -> Result<Found, SpoolError> {
    let disk = spool.inner.disk.clone();
    let read = off_runtime(move || {
        let source = of.source.then(|| source_of(&disk, &of)).transpose()?;
        let pixels = of.pixels.then(|| pixels_of(&disk, &of)).transpose()?;
        let pixels = pixels.map(|it| it.map_or_else(String::new, |digest| digest.to_string()));
        Ok((source.map(|digest| digest.to_string()), pixels))
    });
    read.await?.map_err(|source| SpoolError::Disk {
        tried: "reading an object again",
        source,
    })
}

fn source_of(disk: &Disk, of: &Bytes) -> io::Result<Digest> {
    disk.digest_of(&of.handle, of.length, &of.syntax)
}

/// The digest of the value of its pixel data. Blocks.
fn pixels_of(disk: &Disk, of: &Bytes) -> io::Result<Option<Digest>> {
    let limits = Limits {
        total_bytes: Some(of.length),
        digest_pixels: true,
        ..Limits::default()
    };
    let mut checked = disk.checked(&of.handle, of.length)?;
    let reader = BufReader::with_capacity(LOOK, &mut checked);
    let scan = prescan::prescan(reader, &of.syntax, &limits);
    checked.end()?;
    Ok(scan.ok().and_then(|scan| scan.pixel_digest))
}

async fn note(tx: &mut SqliteConnection, id: i64, found: &Found) -> Result<(), SpoolError> {
    sqlx::query(
        "UPDATE instance SET source_digest = COALESCE(source_digest, $2), pixel_digest = COALESCE(pixel_digest, $3) WHERE id = $1",
    )
    .bind(id)
    .bind(found.0.as_deref())
    .bind(found.1.as_deref())
    .execute(tx)
    .await
    .map_err(refused_row("keeping a digest"))?;
    Ok(())
}

/// Computes what a row lacks, and keeps it.
pub(super) async fn of_row(
    spool: &Spool,
    tx: &mut SqliteConnection,
    id: i64,
) -> Result<Found, SpoolError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} i.id = $1")))
        .bind(id)
        .fetch_optional(&mut *tx)
        .await
        .map_err(refused_row("looking for an object without its digest"))?;
    let Some(row) = row else {
        return Ok((None, None));
    };
    let of = bytes(&row).map_err(refused_row("reading of an object without its digest"))?;
    let found = compute(spool, of).await?;
    note(tx, id, &found).await?;
    Ok(found)
}

/// Computes what rows without an agreement lack whose UIDs are there under one as well, and what those lack.
pub(super) async fn of_twins(spool: &Spool, tx: &mut SqliteConnection) -> Result<(), SpoolError> {
    let twins: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT i.id, j.id FROM instance i JOIN instance j ON j.sop_uid = i.sop_uid AND j.agreement <> '' \
         WHERE i.agreement = '' AND (i.source_digest IS NULL OR j.source_digest IS NULL \
         OR i.pixel_digest IS NULL OR j.pixel_digest IS NULL)",
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(refused_row("looking for objects without their digests"))?;
    for (one, other) in twins {
        for id in [one, other] {
            match of_row(spool, tx, id).await {
                Ok(_) => {}
                Err(SpoolError::Disk { source, .. }) => {
                    tracing::warn!(%source, "no digest of an object");
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Computes the digests of the pixels whose objects may be removed now.
pub(super) async fn before_removal(
    spool: &Spool,
    before: Timestamp,
    before_running: i64,
    at_once: i64,
) -> Result<(), SpoolError> {
    let lacking = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{COLUMNS} i.state = 'receipted' AND i.receipt_us <= $1 AND i.receipt_running <= $2 \
         AND s.state IN ('handed-off', 'recalled') ORDER BY i.receipt_us LIMIT $3"
    )))
    .bind(before.0)
    .bind(before_running)
    .bind(at_once)
    .fetch_all(spool.inner.rows.read());
    keep_all(spool, lacking.await).await.map(drop)
}

pub(super) async fn keep_all(
    spool: &Spool,
    lacking: Result<Vec<SqliteRow>, sqlx::Error>,
) -> Result<usize, SpoolError> {
    let reading = "looking for objects without their digests";
    let (mut all, mut rotten) = (Vec::new(), Vec::new());
    for row in lacking.map_err(refused_row(reading))? {
        let of = bytes(&row).map_err(refused_row(reading))?;
        let (id, handle) = (of.id, of.handle.clone());
        match compute(spool, of).await {
            Ok(found) => all.push((id, found)),
            Err(SpoolError::Disk { source, .. }) if is_rotten(&source) => rotten.push((id, handle)),
            // bytes that cannot be read have no digest: what comes in their place has
            Err(SpoolError::Disk { source, .. }) => {
                tracing::warn!(%source, "no digest of an object")
            }
            Err(error) => return Err(error),
        }
    }
    if all.is_empty() && rotten.is_empty() {
        return Ok(0);
    }
    let mut tx = spool.begin_rows().await?;
    for (id, found) in &all {
        note(&mut tx, *id, found).await?;
    }
    for (id, handle) in rotten {
        let noted = loss::note(&mut tx, id, &handle).await;
        noted.map_err(refused_row("noting a loss"))?;
    }
    tx.commit().await.map_err(refused_row("keeping digests"))?;
    Ok(all.len())
}

/// What is needed of an object whose UID is there already; its own bytes are durable.
pub(super) async fn of_incoming(
    spool: &Spool,
    incoming: &mut Incoming,
    handle: &Handle,
) -> Result<(), SpoolError> {
    if incoming.digested {
        return Ok(());
    }
    let of = Bytes {
        id: 0,
        handle: handle.clone(),
        syntax: incoming.arrival.syntax.clone(),
        length: incoming.length,
        source: incoming.digest.is_none(),
        pixels: incoming.header.pixel_digest.is_none(),
    };
    let (source, pixels) = compute(spool, of).await?;
    let found = |digest: Option<String>| digest.and_then(|digest| digest.parse().ok());
    incoming.digest = incoming.digest.or_else(|| found(source));
    incoming.header.pixel_digest = incoming.header.pixel_digest.or_else(|| found(pixels));
    incoming.digested = true;
    Ok(())
}

/// What is needed of an object whose UID is there already, and of what is there: both may be long, so they are read before the rows are
/// held for writing. What is lacking all the same is read then.
pub(super) async fn ahead(
    spool: &Spool,
    incoming: &mut Incoming,
    handle: &Handle,
) -> Result<(), SpoolError> {
    let uid = incoming.header.instance.as_str().to_owned();
    let met: i64 = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM instance WHERE sop_uid = $1)")
        .bind(&uid)
        .fetch_one(spool.inner.rows.read())
        .await
        .map_err(refused_row("looking for the same instance"))?;
    if met == 0 {
        return Ok(());
    }
    of_incoming(spool, incoming, handle).await?;
    let lacking = lacking(spool, &uid).await;
    keep_all(spool, lacking).await.map(drop)
}

/// The rows of a UID that lack something.
pub(super) async fn lacking(spool: &Spool, uid: &str) -> Result<Vec<SqliteRow>, sqlx::Error> {
    sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} i.sop_uid = $1")))
        .bind(uid)
        .fetch_all(spool.inner.rows.read())
        .await
}

impl Spool {
    /// The digest of kept bytes, read again and compared with what they were. Blocks.
    ///
    /// # Errors
    /// When they cannot be read, and [`is_rotten`].
    pub fn digest_of(&self, kept: &Kept) -> io::Result<Digest> {
        let disk = &self.inner.disk;
        disk.digest_of(&kept.handle, kept.length, &kept.syntax)
    }

    /// Kept bytes, to be compared with what they were as they are read. Blocks.
    ///
    /// # Errors
    /// When they cannot be read, and [`is_rotten`].
    pub fn checked(&self, kept: &Kept) -> io::Result<Checked> {
        self.inner.disk.checked(&kept.handle, kept.length)
    }

    /// Gives instances that leave as they were received the digest of their bytes, which is the form's: up to `limit`; answers how many.
    /// Where the site lets identities leave it is computed while the bytes come; what came before that is found here.
    ///
    /// # Errors
    /// When the rows or the disk refuse.
    pub async fn name_plain(&self, limit: usize) -> Result<usize, SpoolError> {
        let lacking = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} i.state = 'waiting' AND i.sent_digest IS NULL AND i.source_digest IS NULL AND s.uids <> 'replaced' \
             AND s.agreement IN (SELECT id FROM agreement WHERE identity = 'identified') ORDER BY i.id LIMIT $1"
        )))
        .bind(to_row(limit as u64))
        .fetch_all(self.inner.rows.read())
        .await;
        let count = keep_all(self, lacking).await?;
        if count == 0 {
            return Ok(0);
        }
        let mut tx = self.begin_rows().await?;
        super::insert::leaves_as_received(&mut tx)
            .await
            .map_err(refused_row("naming the form of instances"))?;
        tx.commit()
            .await
            .map_err(refused_row("naming the form of instances"))?;
        self.wake();
        Ok(count)
    }
}
