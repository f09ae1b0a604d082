//! Where a study left under other UIDs: the document of the site that is offered in the place of the signed one.

use std::collections::BTreeMap;

use bytes::Bytes;
use causeway_proto::dataset::Dataset;
use causeway_proto::digest::ContentHasher;
use causeway_proto::ids::{AgreementId, TransferSyntaxUid};
use causeway_proto::report::model::Stamp;
use causeway_proto::time::Timestamp;
use dicom_dictionary_std::tags;
use serde_json::json;

use super::offer::Parcel;
use super::{Deliveries, DeliveryError, refused};
use crate::audit;
use crate::restore::{self, Filing, Home, Rehomed, RestoreError};
use crate::spool::SpoolError;

/// What is known of a report whose document names another study than the site does.
pub(super) struct Signed<'a> {
    pub(super) report: i64,
    pub(super) agreement: &'a AgreementId,
    pub(super) parcel: &'a Parcel,
    pub(super) bytes: Bytes,
}

/// Makes the document of the site, the same on every try while its patient is the same. Its UID, what it stands for and both digests
/// are durable when this returns. None when it cannot be made: then nothing is offered.
pub(super) async fn rehomed(
    deliveries: &Deliveries,
    signed: &Signed<'_>,
    home: Home,
) -> Result<Result<Rehomed, RestoreError>, DeliveryError> {
    let spool = &deliveries.inner.spool;
    let (bytes, syntax) = (signed.bytes.clone(), signed.parcel.syntax.clone());
    let read = move || Dataset::read(&bytes, &syntax);
    let dataset = match blocking(read).await? {
        Ok(dataset) => dataset,
        Err(error) => return Ok(Err(error.into())),
    };
    let named = restore::uids_of(&dataset);
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let homes = spool.homes_of(signed.agreement, &named).await?;
    let made = match named_home(deliveries, signed, &dataset).await? {
        Ok(made) => made,
        Err(error) => return Ok(Err(error)),
    };
    let filing = Filing {
        keys: spool.keys().clone(),
        agreement: signed.agreement.clone(),
        at: Stamp::new(made, 0),
        homes,
    };
    let (bytes, syntax) = (signed.bytes.clone(), signed.parcel.syntax.clone());
    let work = move || restore::rehomed(&bytes, &syntax, &home, &filing);
    let rehomed = match blocking(work).await? {
        Ok(rehomed) => rehomed,
        Err(error) => return Ok(Err(error)),
    };
    note(deliveries, signed, &rehomed).await?;
    Ok(Ok(rehomed))
}

/// Gives the document of the site its UID, once: from then on the PACS sending it back is recognised (P5). Answers when that was.
async fn named_home(
    deliveries: &Deliveries,
    signed: &Signed<'_>,
    dataset: &Dataset,
) -> Result<Result<Timestamp, RestoreError>, DeliveryError> {
    let spool = &deliveries.inner.spool;
    let mut pairs = BTreeMap::new();
    for tag in [tags::SOP_INSTANCE_UID, tags::SERIES_INSTANCE_UID] {
        let said = dataset.code(tag);
        match restore::home_uid(spool.keys(), signed.agreement, &said) {
            Ok(home) => pairs.insert(home, said),
            Err(error) => return Ok(Err(error.into())),
        };
    }
    spool.note_uids(signed.agreement, &pairs).await?;
    let said = dataset.code(tags::SOP_INSTANCE_UID);
    let home = pairs.iter().find(|(_, one)| **one == said);
    let home = home.map(|(home, _)| home.clone()).unwrap_or_default();
    let now = deliveries.inner.clock.now();
    let mut tx = deliveries.begin().await?;
    let work = async {
        sqlx::query(
            "INSERT INTO home_report (report_id, sop_uid, made_us) VALUES ($1, $2, $3) ON CONFLICT (report_id) DO NOTHING",
        )
        .bind(signed.report)
        .bind(home)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        let made = sqlx::query_scalar("SELECT made_us FROM home_report WHERE report_id = $1")
            .bind(signed.report)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(made)
    };
    let made: Result<i64, sqlx::Error> = work.await;
    Ok(Ok(Timestamp(
        made.map_err(refused("naming the document of the site"))?,
    )))
}

/// Both digests in the audit trail, again when the document has changed because its patient has.
async fn note(
    deliveries: &Deliveries,
    signed: &Signed<'_>,
    rehomed: &Rehomed,
) -> Result<(), DeliveryError> {
    let of = |bytes: &[u8], syntax: &TransferSyntaxUid| {
        let mut hasher = ContentHasher::new(syntax);
        hasher.update(bytes);
        hasher.finish().to_string()
    };
    let digest = of(&rehomed.bytes, &rehomed.syntax);
    let now = deliveries.inner.clock.now();
    let mut tx = deliveries.begin().await?;
    let work = async {
        let changed =
            sqlx::query("UPDATE home_report SET digest = $2 WHERE report_id = $1 AND digest <> $2")
                .bind(signed.report)
                .bind(&digest)
                .execute(&mut *tx)
                .await?
                .rows_affected();
        if changed > 0 {
            let detail = json!({
                "agreement": signed.agreement.as_str(),
                "signed": signed.parcel.instance.as_str(),
                "signed-digest": of(&signed.bytes, &signed.parcel.syntax),
                "home": rehomed.instance.as_str(),
                "home-digest": digest,
            });
            let study = signed.parcel.study.as_str();
            audit::record(&mut tx, now, "report-rehomed", "agent", study, &detail).await?;
        }
        tx.commit().await
    };
    work.await
        .map_err(refused("recording the document of the site"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DeliveryError> {
    // RSA and parsing are not work for the runtime's threads
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => {
            tracing::error!(%error, "the document of the site was not made");
            Err(SpoolError::Ending.into())
        }
    }
}
