//! Withdrawing a signed report (P17): a new signed version that names the old one, whose text begins WITHDRAWN, DO NOT USE and says
//! why. It is made of what was signed, not of what is here now: the study may have been taken back and its images be gone.

use causeway_proto::report::closing::WITHDRAWN;
use causeway_proto::report::model::{
    Evidence, EvidenceSeries, Paragraph, Report, Section, SectionKind, Stamp, Standing,
    Verification,
};
use causeway_proto::time::Timestamp;
use serde_json::json;

use super::act::{ActError, Done, Signer, to_json};
use super::checks::undated;
use super::{SignError, Signing};
use crate::archive::Archive;
use crate::eligibility::{Act, Decision, decide};
use crate::report::{self, Content, NewReport, ReportError, Signed, SignedDocument};
use crate::worklist::{self, CaseFacts};
use crate::{audit, delivery};

/// Who may, beside the reader who signed.
const WHO: &str = "a report is withdrawn by the reader who signed it, or by a verifier who is an operator as well";

/// What is withdrawn, and why.
#[derive(Clone, Debug)]
pub struct Withdrawn<'a> {
    /// The case.
    pub case: &'a str,
    /// The report that the person saw as the newest.
    pub report: &'a str,
    /// Why, in words that stand in the new version.
    pub reason: &'a str,
}

impl Signing {
    /// Withdraws the newest report of a case.
    ///
    /// # Errors
    /// Says which of the conditions does not hold; nothing is stored then.
    pub async fn withdraw(
        &self,
        archive: &Archive,
        signer: &Signer<'_>,
        wanted: &Withdrawn<'_>,
    ) -> Result<Done, ActError> {
        let mut reading = self.rows.read().acquire().await?;
        let facts = worklist::case(&mut reading, wanted.case).await?;
        let facts = facts.ok_or(ActError::Unknown)?;
        let last = report::of_case(&mut reading, wanted.case).await?.pop();
        let last = last.ok_or(ReportError::NoDraft)?;
        may(signer, &facts, &last)?;
        stands(&last, wanted)?;
        let at = last.replaced_at(self.clock.now());
        let reason = Some(wanted.reason.to_owned());
        undated(&facts, &Content::default(), [&None, &reason])?;
        let documents = report::documents(&mut reading, &last.id).await?;
        drop(reading);
        let key = self.unlocked(signer.session, &signer.subject.account)?;
        let reports = self.composed(&last, &documents, signer, wanted.reason, at)?;
        let of = (&*facts.site.site_id, &*facts.agreement);
        let made = self.make(of, reports.clone(), key.clone()).await?;
        for one in &made {
            archive.put_report(&one.key, one.bytes.clone()).await?;
        }
        let rows: Vec<SignedDocument> = made.into_iter().map(|m| m.row).collect();
        let row = self.row_of(&last, signer, &reports, at)?;
        let language = reports.first().map_or("", |r| r.language.as_str());
        let new = NewReport {
            row: &row,
            workitem: "",
            language,
            manifest_version: "",
            identity_version: "",
            signing_serial: key.serial(),
            documents: &rows,
        };
        let mut tx = self.rows.begin().await?;
        worklist::lock(&mut tx, wanted.case).await?;
        let now = report::of_case(&mut tx, wanted.case).await?.pop();
        stands(&now.ok_or(ReportError::NoDraft)?, wanted)?;
        self.still_usable(&mut tx, &key, at).await?;
        insert(&mut tx, &last, new).await?;
        for document in &rows {
            let id = self.random.token();
            let of = (&*document.sop_uid, &*document.site_id);
            delivery::enqueue(&mut tx, &id, of, delivery::Turn::First, at).await?;
        }
        let detail =
            json!({ "case_id": wanted.case, "version": row.version, "withdraws": last.id });
        let (account, site) = (&signer.subject.account, &facts.site.site_id);
        audit::record(
            &mut tx,
            at,
            "report-withdrawn",
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

    fn row_of(
        &self,
        last: &Signed,
        signer: &Signer<'_>,
        reports: &[Report],
        at: Timestamp,
    ) -> Result<Signed, ActError> {
        let account = &signer.subject.account;
        let version = last.version.saturating_add(1);
        Ok(Signed {
            id: self.random.token(),
            case_id: last.case_id.clone(),
            version,
            predecessor_id: Some(last.id.clone()),
            status: delivery::WITHDRAWN.to_owned(),
            author_id: account.clone(),
            verifier_id: Some(account.clone()),
            // of no draft: one text may be signed, and withdrawn, as preliminary and as final
            draft_version: version.saturating_neg(),
            content: to_json(&content(reports))?,
            model: to_json(reports)?,
            signed_us: at.0,
        })
    }

    /// The new version of each document.
    fn composed(
        &self,
        last: &Signed,
        documents: &[SignedDocument],
        signer: &Signer<'_>,
        reason: &str,
        at: Timestamp,
    ) -> Result<Vec<Report>, ActError> {
        let mut reports: Vec<Report> =
            serde_json::from_str(&last.model).or(Err(ReportError::Row("model")))?;
        let copies: Vec<Evidence> = reports
            .iter()
            .map(|report| {
                Ok(Evidence {
                    study: report.document.study.clone(),
                    series: vec![EvidenceSeries {
                        series: parsed(&self.random.uid())?,
                        instances: vec![(
                            parsed(causeway_proto::report::sr::SOP_CLASS)?,
                            parsed(&self.random.uid())?,
                        )],
                    }],
                })
            })
            .collect::<Result<_, ActError>>()?;
        for (own, report) in reports.iter_mut().enumerate() {
            let study = report.document.study.as_str();
            let before = documents.iter().filter(|d| d.study_uid == study);
            report.predecessors = before.map(evidence).collect::<Result<_, _>>()?;
            let others = copies.iter().enumerate().filter(|(at, _)| *at != own);
            report.identical = others.map(|(_, copy)| copy.clone()).collect();
            let series = copies.get(own).and_then(|copy| copy.series.first());
            let series = series.ok_or(ReportError::Row("model"))?;
            report.document.series = series.series.clone();
            if let Some((_, instance)) = series.instances.first() {
                report.document.instance = instance.clone();
            }
            let version = last.version.saturating_add(1);
            report.document.instance_number = u32::try_from(version).unwrap_or(u32::MAX);
            rewritten(report, last, signer, reason, at);
        }
        Ok(reports)
    }
}

/// The words of the new version, and who answers for them.
fn rewritten(report: &mut Report, last: &Signed, signer: &Signer<'_>, reason: &str, at: Timestamp) {
    let stamp = Stamp::new(at, report.observed_at.offset_minutes());
    report.standing = Standing::Final(Verification {
        person: signer.person.clone(),
        at: stamp,
    });
    report.author = signer.person.clone();
    report.observed_at = stamp;
    let before = Stamp::new(last.at(), stamp.offset_minutes()).spoken();
    let what = format!(
        "Version {}, {}, signed {before}, is withdrawn: {reason}",
        last.version, last.status
    );
    report.notices = Paragraph::split(&format!("{WITHDRAWN}\n{what}"));
    // for a PACS that shows the impression alone
    let sentence = format!("{WITHDRAWN}. {reason}");
    report.sections = Section::typed(SectionKind::Impression, &sentence)
        .into_iter()
        .collect();
    report.procedure = None;
}

/// What a page shows as its text.
fn content(reports: &[Report]) -> Content {
    let first = reports.first();
    let impression = first.and_then(|report| report.sections.first());
    Content {
        language: first.map_or_else(String::new, |r| r.language.to_string()),
        impression: impression.map_or_else(String::new, Section::text),
        ..Content::default()
    }
}

fn may(signer: &Signer<'_>, facts: &CaseFacts, last: &Signed) -> Result<(), ActError> {
    let (subject, site) = (signer.subject, &facts.site.site_id);
    if !subject.sees(site, &facts.agreement) {
        return Err(ActError::Unknown);
    }
    let decision = decide(subject, site, &facts.agreement, Act::SignFinal);
    if !decision.allowed {
        return Err(ActError::NotEligible(decision));
    }
    if is_his(&subject.account, last) || subject.roles.operator {
        return Ok(());
    }
    Err(ActError::NotEligible(Decision {
        allowed: false,
        reasons: vec![WHO],
    }))
}

/// Whether this account signed it.
fn is_his(account: &str, last: &Signed) -> bool {
    last.verifier_id.as_deref().unwrap_or(&last.author_id) == account
}

/// Whether what is to be withdrawn is what stands.
fn stands(last: &Signed, wanted: &Withdrawn<'_>) -> Result<(), ActError> {
    if last.status == delivery::WITHDRAWN && last.predecessor_id.as_deref() == Some(wanted.report) {
        return Err(ActError::Already(Done {
            report: last.id.clone(),
            version: last.version,
        }));
    }
    if last.id == wanted.report && last.status != delivery::WITHDRAWN {
        return Ok(());
    }
    Err(ActError::NotTheLast)
}

/// Stores the new version with what the old one rested on.
async fn insert(
    tx: &mut sqlx::Transaction<'_, sqlx::Any>,
    last: &Signed,
    new: NewReport<'_>,
) -> Result<(), ActError> {
    let (workitem, manifest, identity): (String, String, String) = sqlx::query_as(
        "SELECT workitem_uid, manifest_version, identity_version FROM report WHERE id = $1",
    )
    .bind(&last.id)
    .fetch_one(&mut **tx)
    .await?;
    let new = NewReport {
        workitem: &workitem,
        manifest_version: &manifest,
        identity_version: &identity,
        ..new
    };
    Ok(report::insert(tx, &new).await?)
}

fn evidence(document: &SignedDocument) -> Result<Evidence, ActError> {
    Ok(Evidence {
        study: parsed(&document.study_uid)?,
        series: vec![EvidenceSeries {
            series: parsed(&document.series_uid)?,
            instances: vec![(parsed(&document.sop_class)?, parsed(&document.sop_uid)?)],
        }],
    })
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, ActError> {
    text.parse()
        .or(Err(ActError::Key(SignError::Damaged("an identifier"))))
}
