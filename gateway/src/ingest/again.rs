//! What is held already: the same receipt again, with a number of this epoch, and the mending of what was damaged.

use causeway_proto::ids::{AgreementId, SiteId, SopInstanceUid};
use causeway_proto::link::message::Receipt;
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::record::{Numbers, Outcome, Recorded, signed};
use super::together::Stored;
use super::{Ingest, IngestError, receipt_of};
use crate::archive::catalog::ContentRow;
use crate::archive::fault;
use crate::worklist::{self, Changed};

/// Where content stands that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Among what is shown.
    Served,
    /// In quarantine.
    Aside,
    /// Among what was held until its time was over.
    Deleted,
}

impl Held {
    /// Gives its receipt another number.
    fn numbered(self) -> &'static str {
        match self {
            Self::Served => {
                "UPDATE instance SET receipt_number = $1, receipt_epoch = $2 WHERE site_id = $3 AND agreement_id = $4 AND sop_uid = $5 AND sent_digest = $6"
            }
            Self::Aside => {
                "UPDATE quarantine SET receipt_number = $1, receipt_epoch = $2 WHERE site_id = $3 AND agreement_id = $4 AND sop_uid = $5 AND sent_digest = $6"
            }
            Self::Deleted => {
                "UPDATE deleted_instance SET receipt_number = $1, receipt_epoch = $2 WHERE site_id = $3 AND agreement_id = $4 AND sop_uid = $5 AND sent_digest = $6"
            }
        }
    }
}

impl Ingest {
    /// What is there already: the same receipt. Where what was there is damaged, these very bytes have taken its place; others are not
    /// taken for them.
    pub(super) async fn again(
        &self,
        tx: &mut Transaction<'_, Any>,
        stored: &Stored,
        row: ContentRow,
        numbers: &mut Numbers,
        (place, now): (Held, Timestamp),
    ) -> Result<Outcome, IngestError> {
        let key = &stored.label.key;
        let mended = fault::is_faulty(tx, &row.blob_key).await?;
        if mended {
            if row.blob_key != stored.blob.as_str() {
                return Ok(Outcome::Refused(IngestError::DigestMismatch));
            }
            fault::forget(tx, &stored.blob).await?;
            let detail = serde_json::json!({ "blob": stored.blob.as_str() });
            let study = key.study.as_str().to_owned();
            numbers.told.push((now, "blob-mended", study, detail));
            tracing::info!(site = %key.site, blob = stored.blob.as_str(), "a damaged blob has come again");
        }
        let receipt = self.receipt_again(tx, stored, row, numbers, place).await?;
        let cases = if mended {
            worklist::cases_of(tx, key).await?
        } else {
            Vec::new()
        };
        Ok(Outcome::Done(Recorded {
            receipt,
            changed: Changed { cases },
            unneeded: false,
            mended,
        }))
    }

    /// The receipt for what is there, with a new number when the old one was given in another epoch.
    pub(super) async fn receipt_again(
        &self,
        tx: &mut Transaction<'_, Any>,
        stored: &Stored,
        content: ContentRow,
        numbers: &mut Numbers,
        place: Held,
    ) -> Result<Receipt, IngestError> {
        let label = &stored.label;
        let of = (
            &label.key.site,
            &label.key.agreement,
            &label.message.instance,
        );
        let content = number_again(tx, of, content, numbers, place, self.epoch()).await?;
        receipt_of(label.instance_key(), &content, place == Held::Aside)
    }
}

/// What is held, with a number of this epoch: another one when that of its receipt was given in another epoch.
pub(super) async fn number_again(
    tx: &mut Transaction<'_, Any>,
    (site, agreement, instance): (&SiteId, &AgreementId, &SopInstanceUid),
    mut content: ContentRow,
    numbers: &mut Numbers,
    place: Held,
    epoch: u64,
) -> Result<ContentRow, sqlx::Error> {
    let epoch = signed(epoch);
    if content.receipt_epoch != epoch {
        (content.receipt_number, content.receipt_epoch) = (numbers.next(), epoch);
        sqlx::query(place.numbered())
            .bind(content.receipt_number)
            .bind(epoch)
            .bind(site.as_str())
            .bind(agreement.as_str())
            .bind(instance.as_str())
            .bind(content.sent_digest.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(content)
}
