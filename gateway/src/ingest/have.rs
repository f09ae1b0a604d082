//! What is there of an instance already: the answer to QUERY, so that nothing is sent twice.

use std::time::Duration;

use causeway_proto::ids::SiteId;
use causeway_proto::link::message::{Have, Held, InstanceKey, Query, Receipt};

use super::{Ingest, IngestError, admit, receipt_of, record};
use crate::archive::catalog::ContentRow;

/// A query asks about at most this many instances.
const MAX_KEYS: usize = 256;
/// How long a query waits for what is being kept of its instances.
const KEEPING: Duration = Duration::from_secs(5);

impl Ingest {
    /// What is held of an instance under this `source_tag`, and whether it is in quarantine.
    pub(super) async fn durable(
        &self,
        site: &SiteId,
        key: &InstanceKey,
    ) -> Result<Option<Receipt>, IngestError> {
        let tag = key.source_tag.to_string();
        for (quarantined, sql) in [
            (
                false,
                "SELECT length, sent_digest, source_tag, blob_key, receipt_number, receipt_epoch FROM instance
                 WHERE site_id = $1 AND agreement_id = $2 AND sop_uid = $3 AND source_tag = $4",
            ),
            (
                true,
                "SELECT length, sent_digest, source_tag, blob_key, receipt_number, receipt_epoch FROM quarantine
                 WHERE site_id = $1 AND agreement_id = $2 AND sop_uid = $3 AND source_tag = $4",
            ),
            (
                false,
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
            // a receipt of another epoch is given anew, with a new number, when the content is offered again
            if let Some(row) = row
                && row.receipt_epoch == record::signed(self.epoch())
            {
                return Ok(Some(receipt_of(key.clone(), &row, quarantined)?));
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
        let mut entries = Vec::with_capacity(query.keys.len());
        for key in &query.keys {
            let receipt = self.durable(site, key).await?;
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
