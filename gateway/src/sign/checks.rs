//! What must hold for a report to be signed, checked before the documents are made and again in the transaction.

use causeway_proto::dates::dates;
use sqlx::{Any, Transaction};

use super::act::{ActError, Done, Signer, Wanted};
use crate::eligibility::{Act, Subject, decide};
use crate::report::{Content, Draft, Ground};
use crate::worklist::CaseFacts;

pub(super) fn may(subject: &Subject, facts: &CaseFacts, wanted: &Wanted) -> Result<(), ActError> {
    let (site, agreement) = (&facts.site.site_id, &facts.agreement);
    if !subject.sees(site, agreement) {
        return Err(ActError::Unknown);
    }
    let act = if wanted.is_final {
        Act::SignFinal
    } else {
        Act::SignPreliminary
    };
    let decision = decide(subject, site, agreement, act);
    if decision.allowed {
        Ok(())
    } else {
        Err(ActError::NotEligible(decision))
    }
}

/// Everything is as the reader saw it, and nothing forbids signing.
pub(super) fn as_previewed(
    facts: &CaseFacts,
    draft: &Draft,
    signer: &Signer<'_>,
    wanted: &Wanted,
) -> Result<(), ActError> {
    if facts.recalled() {
        return Err(ActError::Recalled);
    }
    if facts.another_patient() {
        return Err(ActError::AnotherPatient);
    }
    if let Some(why) = facts.blocked() {
        return Err(ActError::Blocked(why.to_owned()));
    }
    if facts.identity_version() != wanted.identity_version {
        return Err(ActError::IdentityChanged);
    }
    let redrafted = draft.version != wanted.draft_version || draft.author != signer.author_id;
    let mut stale: Vec<&str> = redrafted.then_some("draft").into_iter().collect();
    stale.extend(facts.changed_since(&wanted.manifest_version));
    if !stale.is_empty() {
        return Err(ActError::Stale(stale));
    }
    let withheld = facts.studies.iter().any(|s| !s.withheld.is_empty());
    if withheld && !wanted.acknowledged_withheld {
        return Err(ActError::Withheld);
    }
    let reason = wanted.override_reason.as_deref().unwrap_or_default();
    if wanted.is_final && !facts.complete() && reason.trim().is_empty() {
        return Err(ActError::Incomplete);
    }
    Ok(())
}

/// No words of the reader name a date where dates are shifted.
pub(super) fn undated(
    facts: &CaseFacts,
    content: &Content,
    [override_reason, correction]: [&Option<String>; 2],
) -> Result<(), ActError> {
    if !facts.has_shifted_dates() {
        return Ok(());
    }
    let dated = |text: &Option<String>| text.as_deref().is_some_and(|it| !dates(it).is_empty());
    let mut found = content.dated();
    found.extend(dated(override_reason).then_some("the reason for signing it as final"));
    found.extend(dated(correction).then_some("the reason for the correction"));
    if found.is_empty() {
        Ok(())
    } else {
        Err(ActError::Dated(found))
    }
}

/// The documents were made from `made`; they are stored only when the rows still say the same.
pub(super) fn same_ground(made: &Ground, now: &Ground) -> Result<(), ActError> {
    let last = |ground: &Ground| ground.last.as_ref().map(|(report, _)| report.id.clone());
    let images = made.evidence != now.evidence || made.priors != now.priors;
    let images = images || made.protection != now.protection;
    let stale: Vec<&str> = [(images, "images"), (last(made) != last(now), "report")]
        .into_iter()
        .filter_map(|(changed, what)| changed.then_some(what))
        .collect();
    if stale.is_empty() {
        Ok(())
    } else {
        Err(ActError::Stale(stale))
    }
}

/// The report that was signed from this draft: for the task that is held, or for any task of the case when none is, so that a
/// repeated request is answered with what stands. A later task may sign the same text again. What a later version takes back does not
/// stand, and its text is not signed a second time.
pub(super) async fn already(
    tx: &mut Transaction<'_, Any>,
    wanted: &Wanted,
    held: Option<&str>,
) -> Result<Option<Done>, ActError> {
    let found: Option<(String, i64, i64)> = sqlx::query_as(
        "SELECT r.id, r.version, (SELECT count(*) FROM report w WHERE w.case_id = r.case_id AND w.version > r.version AND w.status = 'withdrawn')
         FROM report r WHERE r.case_id = $1 AND r.draft_version = $2 AND r.status = $3 AND ($4 = '' OR r.workitem_uid = $4)
         ORDER BY r.version DESC LIMIT 1",
    )
    .bind(&wanted.case)
    .bind(wanted.draft_version)
    .bind(wanted.status())
    .bind(held.unwrap_or_default())
    .fetch_optional(&mut **tx)
    .await?;
    match found {
        Some((_, _, 1..)) => Err(ActError::TextWithdrawn),
        found => Ok(found.map(|(report, version, _)| Done { report, version })),
    }
}
