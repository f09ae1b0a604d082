//! Signing one report: everything that was previewed is checked again, the documents are made durable, and one transaction makes the
//! report, its deliveries and the end of its task.

use causeway_proto::report::model::{Person, Report};
use causeway_proto::time::Timestamp;
use serde_json::json;
use sqlx::{Any, Transaction};
use thiserror::Error;

use super::checks::{already, as_previewed, may, same_ground, undated};
use super::document::{Made, document};
use super::vault::Unlocked;
use super::{SignError, Signing};
use crate::archive::{Archive, BlobError};
use crate::eligibility::{Decision, Subject};
use crate::report::{
    self, Basis, Copy, Draft, Ground, NewReport, ReportError, Signed, SignedDocument,
};
use crate::worklist;
use crate::{audit, delivery};

/// What the reader asks to be signed, as he saw it in the preview.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The case.
    pub case: String,
    /// Final, or preliminary.
    pub is_final: bool,
    /// Of the draft.
    pub draft_version: i64,
    /// Of the content.
    pub manifest_version: String,
    /// Of the identity.
    pub identity_version: String,
    /// He knows what stayed at the site.
    pub acknowledged_withheld: bool,
    /// Why it is final although not everything is here.
    pub override_reason: Option<String>,
}

impl Wanted {
    pub(super) fn status(&self) -> &'static str {
        if self.is_final {
            "final"
        } else {
            "preliminary"
        }
    }
}

/// Who signs, and who wrote.
#[derive(Clone, Debug)]
pub struct Signer<'a> {
    /// The signer.
    pub subject: &'a Subject,
    /// The session in which his key is unlocked.
    pub session: &'a str,
    /// The signer in the report.
    pub person: Person,
    /// The account that wrote the draft last.
    pub author_id: &'a str,
    /// That person in the report.
    pub author: Person,
}

/// A report that now stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its identifier.
    pub report: String,
    /// Its version.
    pub version: i64,
}

/// A report was not signed.
#[derive(Debug, Error)]
pub enum ActError {
    /// There is no such case for this person.
    #[error("there is no such case")]
    Unknown,
    /// The person may not sign this.
    #[error("you may not sign this: {}", .0.reasons.join("; "))]
    NotEligible(Decision),
    /// The site has taken a study back.
    #[error("the site has taken a study of this case back")]
    Recalled,
    /// Objects of another patient came under a study, and nobody has decided on them.
    #[error(
        "objects with another Patient ID came under a study of this case and are set aside; the operator has to decide on them first"
    )]
    AnotherPatient,
    /// Nothing may be signed about a study for now: the site says so, or has to be heard first.
    #[error("nothing may be signed now: {0}")]
    Blocked(String),
    /// The patient of a study is another than in the preview.
    #[error("who the patient is has changed since the preview")]
    IdentityChanged,
    /// Something else is another than in the preview.
    #[error("changed since the preview: {}", .0.join(", "))]
    Stale(Vec<&'static str>),
    /// Final needs the seal, or a reason.
    #[error("the site has not said that the study is complete")]
    Incomplete,
    /// Something stayed at the site and the reader did not say that he knows.
    #[error("objects were withheld at the site; acknowledge that first")]
    Withheld,
    /// Dates are shifted, and the reader's words name one (P11).
    #[error(
        "the dates of these images are shifted at the site, so that a date in the report would be wrong there; there is one in {}: write how long before or after this study instead", .0.join(", ")
    )]
    Dated(Vec<&'static str>),
    /// This draft was signed already.
    #[error("this draft was signed already")]
    Already(Done),
    /// What was signed from this draft was taken back.
    #[error(
        "the report that was signed from this text was withdrawn: change the text before you sign it again"
    )]
    TextWithdrawn,
    /// Draft, task or content do not allow it.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The key could not be used.
    #[error(transparent)]
    Key(#[from] SignError),
    /// The signed documents could not be stored.
    #[error("the signed documents could not be stored")]
    Blob(#[from] BlobError),
    /// The report that was to be withdrawn is not the one that stands.
    #[error("this is not the report that stands now: look at the newest version")]
    NotTheLast,
    /// A document could not be signed.
    #[error("a document could not be signed: {0}")]
    Document(String),
    /// The database refused.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// The audit trail could not be written.
    #[error(transparent)]
    Audit(#[from] audit::AuditError),
}

impl Signing {
    /// Signs the report of a case.
    ///
    /// # Errors
    /// Says which of the conditions does not hold; nothing is stored then.
    pub async fn sign(
        &self,
        archive: &Archive,
        signer: &Signer<'_>,
        wanted: &Wanted,
    ) -> Result<Done, ActError> {
        let mut reading = self.rows.read().acquire().await?;
        let facts = worklist::case(&mut reading, &wanted.case).await?;
        let facts = facts.ok_or(ActError::Unknown)?;
        may(signer.subject, &facts, wanted)?;
        let draft = report::draft(&mut reading, &wanted.case).await?;
        let draft = draft.ok_or(ReportError::NoDraft)?;
        as_previewed(&facts, &draft, signer, wanted)?;
        let key = self.unlocked(signer.session, &signer.subject.account)?;
        let ground = report::gather(&mut reading, facts).await?;
        drop(reading);
        let at = ground.signed_at(self.clock.now());
        let correction = self.reason_of(&ground, signer).await?;
        let reasons = [&wanted.override_reason, &correction];
        undated(&ground.facts, &draft.content, reasons)?;
        let copies: Vec<Copy> = ground
            .facts
            .studies
            .iter()
            .map(|_| Copy {
                series: self.random.uid(),
                instance: self.random.uid(),
            })
            .collect();
        let basis = Basis {
            content: &draft.content,
            author: signer.author.clone(),
            verifier: wanted.is_final.then(|| signer.person.clone()),
            override_reason: wanted
                .override_reason
                .as_deref()
                .filter(|_| !ground.facts.complete()),
            correction: correction.as_deref(),
            at,
        };
        let reports = ground.compose(&basis, &copies)?;
        let of = (&*ground.facts.site.site_id, &*ground.facts.agreement);
        let made = self.make(of, reports.clone(), key.clone()).await?;
        for one in &made {
            archive.put_report(&one.key, one.bytes.clone()).await?;
        }
        let rows: Vec<SignedDocument> = made.into_iter().map(|m| m.row).collect();
        self.store(signer, wanted, &ground, (&draft, &reports, &rows), &key, at)
            .await
    }

    /// Why the case's task is a correction; none for a first report.
    async fn reason_of(
        &self,
        ground: &Ground,
        signer: &Signer<'_>,
    ) -> Result<Option<String>, ActError> {
        if ground.last.is_none() {
            return Ok(None);
        }
        let found: Option<(Option<String>,)> = sqlx::query_as(
            "SELECT reason FROM workitem WHERE case_id = $1 AND state = 'IN PROGRESS' AND claimed_by = $2",
        )
        .bind(&ground.facts.id)
        .bind(&signer.subject.account)
        .fetch_optional(self.rows.read())
        .await?;
        Ok(found.and_then(|(reason,)| reason))
    }

    /// Encodes and signs on a blocking thread, and verifies what was signed before anybody sees it.
    pub(super) async fn make(
        &self,
        (site, agreement): (&str, &str),
        reports: Vec<Report>,
        key: Unlocked,
    ) -> Result<Vec<Made>, ActError> {
        let random = self.random.clone();
        let (site, agreement) = (site.to_owned(), agreement.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            reports
                .iter()
                .map(|report| document(report, &key, &random.uid(), (&site, &agreement)))
                .collect::<Result<Vec<_>, ActError>>()
        });
        work.await.or(Err(SignError::Failed))?
    }

    /// The one transaction.
    async fn store(
        &self,
        signer: &Signer<'_>,
        wanted: &Wanted,
        ground: &Ground,
        (draft, reports, documents): (&Draft, &[Report], &[SignedDocument]),
        key: &Unlocked,
        at: Timestamp,
    ) -> Result<Done, ActError> {
        let account = &signer.subject.account;
        let mut tx = self.rows.begin().await?;
        let held = report::hold(&mut tx, &wanted.case, account).await;
        // the same draft signed again answers with the report that stands, whatever became of its task
        let mine = held.as_ref().ok().map(|(uid, _)| uid.as_str());
        if let Some(done) = already(&mut tx, wanted, mine).await? {
            return Err(ActError::Already(done));
        }
        let (workitem, _) = held?;
        let now = worklist::case(&mut tx, &wanted.case).await?;
        let now = now.ok_or(ActError::Unknown)?;
        let again = report::draft(&mut tx, &wanted.case).await?;
        as_previewed(&now, &again.ok_or(ReportError::NoDraft)?, signer, wanted)?;
        self.still_usable(&mut tx, key, at).await?;
        same_ground(ground, &report::gather(&mut tx, now).await?)?;
        let row = self.row(signer, wanted, ground, (draft, reports), at)?;
        let language = reports.first().map_or("", |r| r.language.as_str());
        report::insert(
            &mut tx,
            &NewReport {
                row: &row,
                workitem: &workitem,
                language,
                manifest_version: &wanted.manifest_version,
                identity_version: &wanted.identity_version,
                signing_serial: key.serial(),
                documents,
            },
        )
        .await?;
        for document in documents {
            let id = self.random.token();
            let due = delivery::Turn::InOrder;
            delivery::enqueue(
                &mut tx,
                &id,
                (&document.sop_uid, &document.site_id),
                due,
                at,
            )
            .await?;
        }
        if wanted.is_final && !worklist::complete(&mut tx, &workitem, account, at).await? {
            return Err(ReportError::NotClaimed.into());
        }
        let detail = json!({ "case_id": wanted.case, "version": row.version, "status": row.status, "workitem": workitem });
        let site = &ground.facts.site.site_id;
        audit::record(
            &mut tx,
            at,
            "report-signed",
            account,
            site,
            &row.id,
            &detail,
        )
        .await?;
        tx.commit().await?;
        Ok(Done {
            report: row.id,
            version: row.version,
        })
    }

    fn row(
        &self,
        signer: &Signer<'_>,
        wanted: &Wanted,
        ground: &Ground,
        (draft, reports): (&Draft, &[Report]),
        at: Timestamp,
    ) -> Result<Signed, ActError> {
        let verifier = &signer.subject.account;
        Ok(Signed {
            id: self.random.token(),
            case_id: wanted.case.clone(),
            version: ground.next_version(),
            predecessor_id: ground.last.as_ref().map(|(last, _)| last.id.clone()),
            status: wanted.status().to_owned(),
            author_id: signer.author_id.to_owned(),
            verifier_id: wanted.is_final.then(|| verifier.clone()),
            draft_version: draft.version,
            content: to_json(&draft.content)?,
            model: to_json(&reports)?,
            signed_us: at.0,
        })
    }

    /// The certificate was not revoked while the documents were made, and holds now and at the time that stands in them: after a clock was
    /// set back that is a later one.
    pub(super) async fn still_usable(
        &self,
        tx: &mut Transaction<'_, Any>,
        key: &Unlocked,
        at: Timestamp,
    ) -> Result<(), ActError> {
        let usable: Option<(String,)> = sqlx::query_as(
            "SELECT serial FROM signing_key WHERE serial = $1 AND revoked_us IS NULL AND usable_until_us > $2",
        )
        .bind(key.serial())
        .bind(self.clock.now().max(at).0)
        .fetch_optional(&mut **tx)
        .await?;
        usable.map(|_| ()).ok_or(ActError::Key(SignError::NoKey))
    }
}

pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, ReportError> {
    serde_json::to_string(value).or(Err(ReportError::Row("report")))
}
