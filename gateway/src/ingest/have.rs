//! What is there of an instance already: the answer to QUERY, so that nothing is sent twice.

use std::collections::HashMap;
use std::time::Duration;

use causeway_proto::ids::SiteId;
use causeway_proto::link::message::{Have, Held, InstanceKey, Query, Receipt};

use super::again::Held as Place;
use super::{Ingest, IngestError, admit, receipt_of, record};
use crate::archive::catalog::ContentRow;

/// A query asks about at most this many instances.
const MAX_KEYS: usize = 256;
/// How long a query waits for what is being kept of its instances.
const KEEPING: Duration = Duration::from_secs(5);

impl Ingest {
    /// The receipt for what is held of an instance under this `source_tag`. One of another epoch is void: none.
    pub(super) async fn durable(
        &self,
        site: &SiteId,
        key: &InstanceKey,
    ) -> Result<Option<Receipt>, IngestError> {
        let found = self.held(site, key).await?;
        found.map_or(Ok(None), |found| self.valid(key, &found))
    }

    fn valid(
        &self,
        key: &InstanceKey,
        (row, place): &(ContentRow, Place),
    ) -> Result<Option<Receipt>, IngestError> {
        if row.receipt_epoch != record::signed(self.epoch()) {
            return Ok(None);
        }
        receipt_of(key.clone(), row, *place == Place::Aside).map(Some)
    }

    /// What is held of an instance under this `source_tag`, and where.
    async fn held(
        &self,
        site: &SiteId,
        key: &InstanceKey,
    ) -> Result<Option<(ContentRow, Place)>, IngestError> {
        let tag = key.source_tag.to_string();
        for (place, sql) in [
            (
                Place::Served,
                "SELECT length, sent_digest, source_tag, blob_key, receipt_number, receipt_epoch FROM instance
                 WHERE site_id = $1 AND agreement_id = $2 AND sop_uid = $3 AND source_tag = $4
                 AND NOT EXISTS (SELECT 1 FROM blob_fault f WHERE f.blob_key = instance.blob_key)",
            ),
            (
                Place::Aside,
                "SELECT length, sent_digest, source_tag, blob_key, receipt_number, receipt_epoch FROM quarantine
                 WHERE site_id = $1 AND agreement_id = $2 AND sop_uid = $3 AND source_tag = $4
                 AND NOT EXISTS (SELECT 1 FROM blob_fault f WHERE f.blob_key = quarantine.blob_key)",
            ),
            (
                Place::Deleted,
                "SELECT length, sent_digest, source_tag, '' AS blob_key, receipt_number, receipt_epoch FROM deleted_instance
                 WHERE site_id = $1 AND agreement_id = $2 AND sop_uid = $3 AND source_tag = $4",
            ),
        ] {
            let row: Option<ContentRow> = sqlx::query_as(sql)
                .bind(site.as_str())
                .bind(key.agreement.as_str())
                .bind(key.instance.as_str())
                .bind(tag.as_str())
                .fetch_optional(self.archive().rows.read())
                .await?;
            if let Some(row) = row {
                return Ok(Some((row, place)));
            }
        }
        Ok(None)
    }

    /// Says how much of some instances is there, in the order asked.
    ///
    /// # Errors
    /// More than 256 keys, or when the database or the archive refuses.
    pub async fn have(&self, site: &SiteId, query: &Query) -> Result<Have, IngestError> {
        if query.keys.len() > MAX_KEYS {
            return Err(IngestError::Malformed("more than 256 keys in one query"));
        }
        self.released(site, &query.keys).await;
        let mut found = Vec::with_capacity(query.keys.len());
        for key in &query.keys {
            found.push(self.held(site, key).await?);
        }
        let mut anew = self.anew(site, &query.keys, &found).await?;
        let mut entries = Vec::with_capacity(query.keys.len());
        for (key, found) in query.keys.iter().zip(&found) {
            let receipt = match (anew.remove(key), found) {
                (Some(receipt), _) => Some(receipt),
                (None, Some(found)) => self.valid(key, found)?,
                (None, None) => None,
            };
            let name = admit::part_name(site, key);
            let arriving = self.active().contains(&name);
            let offset = match &receipt {
                Some(receipt) => receipt.length,
                None if arriving => 0,
                None => self.archive().parts.length(&name).await?,
            };
            entries.push(Held {
                key: key.clone(),
                offset,
                receipt,
            });
        }
        Ok(Have { entries })
    }

    /// New receipts for those whose receipts were given in another epoch.
    async fn anew(
        &self,
        site: &SiteId,
        keys: &[InstanceKey],
        found: &[Option<(ContentRow, Place)>],
    ) -> Result<HashMap<InstanceKey, Receipt>, IngestError> {
        let epoch = record::signed(self.epoch());
        let both = keys.iter().zip(found);
        let old: Vec<_> = both
            .filter_map(|(key, found)| Some((key, found.as_ref()?)))
            .filter(|(_, (row, _))| row.receipt_epoch != epoch)
            .map(|(key, (row, place))| (key.clone(), row.clone(), *place))
            .collect();
        if old.is_empty() {
            return Ok(HashMap::new());
        }
        let given = self.receipted_anew(site, &old).await?;
        let given = given.into_iter().flatten();
        Ok(given.map(|it| (it.key.clone(), it)).collect())
    }

    /// Waits a little until no stream holds any of these: the streams of a connection that has ended are still keeping what they
    /// have while the next one asks, and what they keep need not come again.
    async fn released(&self, site: &SiteId, keys: &[InstanceKey]) {
        let names: Vec<_> = keys.iter().map(|key| admit::part_name(site, key)).collect();
        let waits = async {
            loop {
                let released = self.0.released.notified();
                let arriving = {
                    let active = self.active();
                    names.iter().any(|name| active.contains(name))
                };
                if !arriving {
                    return;
                }
                released.await;
            }
        };
        if tokio::time::timeout(KEEPING, waits).await.is_err() {
            tracing::debug!(%site, "an instance is asked about while it is arriving");
        }
    }
}
