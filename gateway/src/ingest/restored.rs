//! What a restore changes here: another epoch, so that agents offer what is newer than the backup, and receipts for what came back with it.

use causeway_proto::ids::SiteId;
use causeway_proto::link::message::{InstanceKey, Receipt};
use causeway_proto::random::Random;
use sqlx::{Any, Transaction};

use super::again::{Held, number_again};
use super::record::Numbers;
use super::{EPOCH, Ingest, IngestError, drawn, receipt_of};
use crate::archive::catalog::ContentRow;

/// Draws another epoch, and says which. Called in the transaction that makes a restore count.
///
/// # Errors
/// When the database refuses, or holds no gateway's rows: there is no epoch to take the place of.
pub async fn renew_epoch(
    tx: &mut Transaction<'_, Any>,
    random: &Random,
) -> Result<u64, IngestError> {
    let (old,): (String,) = sqlx::query_as("SELECT value FROM gateway_fact WHERE name = $1")
        .bind(EPOCH)
        .fetch_one(&mut **tx)
        .await?;
    let mut new = drawn(random);
    while new.to_string() == old {
        new = drawn(random);
    }
    sqlx::query("UPDATE gateway_fact SET value = $1 WHERE name = $2")
        .bind(new.to_string())
        .bind(EPOCH)
        .execute(&mut **tx)
        .await?;
    Ok(new)
}

impl Ingest {
    /// Receipts of this epoch for what is held from another one, in the order asked: the bytes need not come again to be receipted. None
    /// where nothing is held, or what is held is not whole on the disk.
    pub(super) async fn receipted_anew(
        &self,
        site: &SiteId,
        keys: &[(InstanceKey, ContentRow, Held)],
    ) -> Result<Vec<Option<Receipt>>, IngestError> {
        let mut tx = self.archive().rows.begin().await?;
        let mut numbers = Numbers::of(&mut tx, site).await?;
        let mut receipts = Vec::with_capacity(keys.len());
        for (key, content, place) in keys {
            let whole = *place == Held::Deleted || self.is_whole(content).await?;
            receipts.push(if whole {
                let of = (site, &key.agreement, &key.instance);
                let again = number_again(
                    &mut tx,
                    of,
                    content.clone(),
                    &mut numbers,
                    *place,
                    self.epoch(),
                );
                let content = again.await?;
                Some(receipt_of(key.clone(), &content, *place == Held::Aside)?)
            } else {
                None
            });
        }
        numbers.keep(&mut tx, site).await?;
        tx.commit().await?;
        Ok(receipts)
    }

    async fn is_whole(&self, content: &ContentRow) -> Result<bool, IngestError> {
        let key = content.blob_key.parse()?;
        let length = self.archive().blobs.length(&key).await?;
        Ok(length == Some(content.length.unsigned_abs()))
    }
}
