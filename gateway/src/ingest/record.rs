//! The one transaction in which durable instances become rows, tasks and receipts; or are found to be there already.

use std::sync::Arc;
use std::time::Duration;

use causeway_proto::ids::{SiteId, StudyKey};
use causeway_proto::link::message::Receipt;
use causeway_proto::time::Timestamp;
use sqlx::{Any, Transaction};

use super::again::Held;
use super::index::{Facts, Indexed};
use super::together::Stored;
use super::{Ingest, IngestError, quarantine, receipt_of};
use crate::archive::catalog::{
    self, ContentRow, Demographics, InstanceRow, RequestRow, SeriesRow, StudyRow, StudyText,
};
use crate::audit;
use crate::deletion;
use crate::worklist::{self, ANOTHER_PATIENT, Changed};

/// OPEN travels on another stream than the instances: how long an instance waits for it. As long as a line may be silent: what is refused
/// is sent a second time.
const OPEN_WAIT: Duration = Duration::from_secs(15);
/// What a quarantine row says of a second content.
const CONFLICT: &str = "another object with the same SOP Instance UID was received first";

/// What came of the recording of one instance.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is recorded, now or earlier.
    Done(Recorded),
    /// Its study was not opened yet.
    NotOpen,
    /// It cannot be recorded; nothing was written.
    Refused(IngestError),
}

/// An instance that is recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) receipt: Receipt,
    pub(super) changed: Changed,
    /// Its bytes were deleted with everything else of their study and are not kept again.
    pub(super) unneeded: bool,
    /// Its bytes were damaged and have come again.
    pub(super) mended: bool,
}

impl Ingest {
    /// Records a stored instance, waiting a little for its study to be opened.
    pub(super) async fn record(&self, stored: Arc<Stored>) -> Result<Receipt, IngestError> {
        let give_up = tokio::time::Instant::now() + OPEN_WAIT;
        loop {
            let opened = self.opened().notified();
            match self.record_together(&stored).await? {
                Outcome::Done(recorded) => {
                    if recorded.unneeded {
                        let (site, blob) = (&stored.label.key.site, &stored.blob);
                        let blob = std::slice::from_ref(blob);
                        deletion::take_unneeded(self.archive(), site, blob).await?;
                    }
                    if recorded.mended
                        && let Err(error) = self.archive().blobs.drop_aside(&stored.blob)
                    {
                        tracing::warn!(%error, "what was damaged could not be removed; it goes with its study");
                    }
                    self.announce(&recorded.changed);
                    return Ok(recorded.receipt);
                }
                Outcome::Refused(error) => return Err(error),
                Outcome::NotOpen => {
                    if tokio::time::timeout_at(give_up, opened).await.is_err() {
                        return Err(IngestError::NotOpen);
                    }
                }
            }
        }
    }

    /// Records instances of one site in one transaction, in their order.
    pub(super) async fn record_all(
        &self,
        site: &SiteId,
        all: &[Arc<Stored>],
    ) -> Result<Vec<Outcome>, IngestError> {
        let mut tx = self.archive().rows.begin().await?;
        // first of all the site's row: it numbers the receipts, and its lock lets one transaction of a site after the other
        let mut numbers = Numbers::of(&mut tx, site).await?;
        let mut outcomes = Vec::with_capacity(all.len());
        for stored in all {
            outcomes.push(self.place(&mut tx, stored, &mut numbers).await?);
        }
        numbers.keep(&mut tx, site).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    /// Makes an instance rows of its transaction, a task and a receipt. What refuses it does so before anything of it is written; an
    /// error is the whole transaction's.
    async fn place(
        &self,
        tx: &mut Transaction<'_, Any>,
        stored: &Stored,
        numbers: &mut Numbers,
    ) -> Result<Outcome, IngestError> {
        let key = &stored.label.key;
        let sop = stored.label.message.instance.as_str();
        let now = self.clock().now();
        let Some(study) = catalog::study(tx, key).await? else {
            return Ok(Outcome::NotOpen);
        };
        if study.recalled_us.is_some() {
            return Ok(Outcome::Refused(IngestError::Recalled));
        }
        if self.archive().blobs.length(&stored.blob).await?.is_none() {
            // taken away as belonging to nobody, between its storing and here
            let gone = IngestError::Busy("its bytes have to come again");
            return Ok(Outcome::Refused(gone));
        }
        let is_this = |row: &ContentRow| {
            row.source_tag == stored.label.message.source_tag.to_string()
                || row.sent_digest == stored.digest.to_string()
        };
        let deleted = catalog::deleted(tx, key, sop).await?;
        if let Some(row) = deleted.filter(is_this) {
            let receipt = self.receipt_again(tx, stored, row, numbers, Held::Deleted);
            return Ok(Outcome::Done(Recorded {
                receipt: receipt.await?,
                changed: Changed::default(),
                unneeded: true,
                mended: false,
            }));
        }
        let first = catalog::held(tx, key, sop).await?;
        let reason = match (first, &stored.indexed) {
            (Some(row), _) if is_this(&row) => {
                let place = Held::Served;
                return self.again(tx, stored, row, numbers, (place, now)).await;
            }
            (Some(_), _) => CONFLICT.to_owned(),
            (None, Err(error)) => error.to_string(),
            (None, Ok(indexed)) if another_patient(&study, &indexed.facts) => {
                ANOTHER_PATIENT.to_owned()
            }
            (None, Ok(indexed)) => {
                let content = self.content(stored, numbers.next());
                let changed = self.add(tx, stored, indexed, &study, &content, now).await?;
                return Ok(Outcome::Done(Recorded {
                    receipt: receipt_of(stored.label.instance_key(), &content, false)?,
                    changed,
                    unneeded: false,
                    mended: false,
                }));
            }
        };
        self.put_aside(tx, stored, &reason, numbers, now).await
    }

    /// Keeps an instance that is not to be shown where a person decides about it.
    async fn put_aside(
        &self,
        tx: &mut Transaction<'_, Any>,
        stored: &Stored,
        reason: &str,
        numbers: &mut Numbers,
        now: Timestamp,
    ) -> Result<Outcome, IngestError> {
        let key = &stored.label.key;
        let sop = stored.label.message.instance.as_str();
        let tag = stored.label.message.source_tag.to_string();
        let digest = stored.digest.to_string();
        if let Some(row) = quarantine::held(tx, key, sop, &tag, &digest).await? {
            return self
                .again(tx, stored, row, numbers, (Held::Aside, now))
                .await;
        }
        let content = self.content(stored, numbers.next());
        self.set_aside(tx, stored, &content, (reason, now), numbers)
            .await?;
        let cases = worklist::cases_of(tx, key).await?;
        Ok(Outcome::Done(Recorded {
            receipt: receipt_of(stored.label.instance_key(), &content, true)?,
            changed: Changed { cases },
            unneeded: false,
            mended: false,
        }))
    }

    fn content(&self, stored: &Stored, number: i64) -> ContentRow {
        ContentRow {
            length: signed(stored.length),
            sent_digest: stored.digest.to_string(),
            source_tag: stored.label.message.source_tag.to_string(),
            blob_key: stored.blob.as_str().to_owned(),
            receipt_number: number,
            receipt_epoch: signed(self.epoch()),
        }
    }

    /// Adds the rows of a new instance.
    async fn add(
        &self,
        tx: &mut Transaction<'_, Any>,
        stored: &Stored,
        indexed: &Indexed,
        study: &StudyRow,
        content: &ContentRow,
        now: Timestamp,
    ) -> Result<Changed, IngestError> {
        let (key, message) = (&stored.label.key, &stored.label.message);
        let facts = &indexed.facts;
        if indexed.undecodable > 0 {
            tracing::info!(study = %key.study, instance = %message.instance, places = indexed.undecodable,
                "text that its named character sets give no meaning is shown as such");
        }
        identify(tx, key, study, facts).await?;
        catalog::fill_study(tx, key, &study_text(facts), now).await?;
        if let Some(protection) = &indexed.protection
            && study.sealed_sets == 0
        {
            catalog::put_protection(tx, key, protection).await?;
        }
        catalog::grow_series(tx, key, &series_row(message.series.as_str(), facts)).await?;
        let row = InstanceRow {
            sop: message.instance.to_string(),
            series: message.series.to_string(),
            class: message.class.to_string(),
            syntax: message.syntax.to_string(),
            number: facts.number,
            frames: signed(facts.frames),
            rows: some(facts.rows),
            columns: some(facts.columns),
            bits_allocated: some(facts.bits_allocated),
            pixels: indexed.frames.to_string(),
            metadata: indexed.metadata.clone(),
            content: content.clone(),
        };
        catalog::add_instance(tx, key, &row, now).await?;
        for request in &facts.requests {
            let row = RequestRow {
                accession: request.accession.clone(),
                issuer: request.issuer.clone(),
                placer: request.placer.clone(),
                filler: request.filler.clone(),
                procedure: request.procedure.clone(),
                description: request.description.clone(),
            };
            catalog::link_request(tx, key, &row, &self.random().token()).await?;
        }
        // P5: what is no image attaches to a sealed study without opening it again
        if !worklist::makes_task(message.class.as_str()) {
            return Ok(Changed::default());
        }
        if study.sealed_us.is_some() {
            catalog::unseal(tx, key).await?;
            return Ok(worklist::study_grew(tx, key, now, self.random()).await?);
        }
        Ok(worklist::study_opened(tx, key, now, self.random()).await?)
    }

    async fn set_aside(
        &self,
        tx: &mut Transaction<'_, Any>,
        stored: &Stored,
        content: &ContentRow,
        (reason, now): (&str, Timestamp),
        numbers: &mut Numbers,
    ) -> Result<(), IngestError> {
        let key = &stored.label.key;
        let sop = stored.label.message.instance.as_str();
        let id = self.random().token();
        let kept = (content, &stored.label.message.syntax);
        quarantine::add(tx, &id, key, sop, kept, reason, now).await?;
        tracing::warn!(site = %key.site, study = %key.study, instance = sop, reason, "an object was put into quarantine");
        let detail = serde_json::json!({ "study": key.study, "instance": sop, "reason": reason });
        numbers.told.push((now, "quarantined", id, detail));
        Ok(())
    }
}

/// The numbers of a site's receipts, and what the audit trail is told when the transaction ends. The site's row is locked until then, so
/// that they are given in the order of commits; the head of the trail is locked last, as everywhere.
pub(super) struct Numbers {
    before: i64,
    last: i64,
    pub(super) told: Vec<(Timestamp, &'static str, String, serde_json::Value)>,
}

impl Numbers {
    pub(super) async fn of(
        tx: &mut Transaction<'_, Any>,
        site: &SiteId,
    ) -> Result<Self, IngestError> {
        let row: Option<(i64,)> = sqlx::query_as(
            "UPDATE site SET receipt_number = receipt_number WHERE id = $1 AND closed_us IS NULL RETURNING receipt_number",
        )
        .bind(site.as_str())
        .fetch_optional(&mut **tx)
        .await?;
        let (last,) = row.ok_or(IngestError::Forbidden)?;
        Ok(Self {
            before: last,
            last,
            told: Vec::new(),
        })
    }

    pub(super) fn next(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    pub(super) async fn keep(
        self,
        tx: &mut Transaction<'_, Any>,
        site: &SiteId,
    ) -> Result<(), IngestError> {
        if self.last != self.before {
            sqlx::query("UPDATE site SET receipt_number = $1 WHERE id = $2")
                .bind(self.last)
                .bind(site.as_str())
                .execute(&mut **tx)
                .await?;
        }
        for (at, event, subject, detail) in &self.told {
            audit::record(tx, *at, event, "site", site.as_str(), subject, detail).await?;
        }
        Ok(())
    }
}

/// Takes the lock under which instances of a site are recorded, so that a late image and a seal or a recall cannot pass each other.
pub(super) async fn one_after_the_other(
    tx: &mut Transaction<'_, Any>,
    site: &SiteId,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE site SET receipt_number = receipt_number WHERE id = $1")
        .bind(site.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether an instance names another patient than its study: another ID, or the same ID of another issuer.
fn another_patient(study: &StudyRow, facts: &Facts) -> bool {
    let differ = |said: &str, known: &str| {
        let (said, known) = (said.trim(), known.trim());
        !said.is_empty() && !known.is_empty() && said != known
    };
    let said = &facts.patient;
    let both_ids = !said.id.trim().is_empty() && !study.patient_id.trim().is_empty();
    differ(&said.id, &study.patient_id) || (both_ids && differ(&said.issuer, &study.patient_issuer))
}

/// The first instance says who the study is of. A later one that says otherwise changes it, and counts (P24); what a later one
/// leaves empty stays.
async fn identify(
    tx: &mut Transaction<'_, Any>,
    key: &StudyKey,
    study: &StudyRow,
    facts: &Facts,
) -> Result<(), sqlx::Error> {
    let said = &facts.patient;
    let keep = |new: &str, old: &str| if new.is_empty() { old } else { new }.to_owned();
    let who = Demographics {
        id: keep(&said.id, &study.patient_id),
        issuer: keep(&said.issuer, &study.patient_issuer),
        name: keep(&said.name, &study.patient_name),
        birth_date: keep(&said.birth_date, &study.birth_date),
        sex: keep(&said.sex, &study.sex),
        age: said.age.clone(),
    };
    let old = Demographics {
        id: study.patient_id.clone(),
        issuer: study.patient_issuer.clone(),
        name: study.patient_name.clone(),
        birth_date: study.birth_date.clone(),
        sex: study.sex.clone(),
        age: said.age.clone(),
    };
    if who == old && said.age.is_empty() {
        return Ok(());
    }
    let known = Demographics {
        age: String::new(),
        ..old.clone()
    } != Demographics::default();
    catalog::set_demographics(tx, key, &who, known && who != old).await
}

fn study_text(facts: &Facts) -> StudyText {
    StudyText {
        date: facts.study_date.clone(),
        time: facts.study_time.clone(),
        utc_offset: facts.utc_offset.clone(),
        shifted_dates: facts.shifted_dates,
        accession: facts.accession.clone(),
        study_id: facts.study_id.clone(),
        description: facts.description.clone(),
        referrer: facts.referrer.clone(),
    }
}

fn series_row(uid: &str, facts: &Facts) -> SeriesRow {
    SeriesRow {
        uid: uid.to_owned(),
        modality: facts.modality.clone(),
        number: facts.series_number,
        description: facts.series_description.clone(),
        body_part: facts.body_part.clone(),
        laterality: facts.laterality.clone(),
        date: facts.series_date.clone(),
        time: facts.series_time.clone(),
    }
}

fn some(count: u64) -> Option<i64> {
    (count > 0).then(|| signed(count))
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
