//! What a reader should know before he signs. None of it stops him.

use std::collections::BTreeSet;

use super::Content;
use crate::worklist::{CaseFacts, StudyFacts};

/// Sentences, the gravest first.
#[must_use]
pub fn warnings(facts: &CaseFacts, content: &Content, is_final: bool) -> Vec<String> {
    let patients: BTreeSet<&str> = facts
        .studies
        .iter()
        .map(|s| s.study.patient_id.as_str())
        .collect();
    let here: i64 = facts.studies.iter().map(StudyFacts::here).sum();
    let unknown = !facts.established();
    let blank = |text: &str| text.trim().is_empty();
    let mut out: Vec<String> = [
        (
            facts.recalled(),
            "The site has taken a study of this case back.",
        ),
        (
            patients.len() > 1,
            "The studies of this case name different patients.",
        ),
    ]
    .into_iter()
    .filter(|(holds, _)| *holds)
    .map(|(_, sentence)| sentence.to_owned())
    .collect();
    if let Some(why) = facts.blocked() {
        out.insert(0, format!("Nothing may be signed now: {why}"));
    }
    let dated = content.dated();
    if facts.has_shifted_dates() && !dated.is_empty() {
        out.push(format!(
            "Dates are shifted at the site: the date in {} has to become an interval before this is signed.",
            dated.join(", ")
        ));
    }
    if !facts.complete() {
        out.push(format!(
            "Images are still arriving; {here} are here. The report will say so."
        ));
    }
    for group in facts.studies.iter().flat_map(|s| &s.withheld) {
        out.push(format!(
            "{} × {} withheld at the site: {}.",
            group.count, group.modality, group.reason
        ));
    }
    let rest = [
        (unknown, "The identity is not established at the site."),
        (blank(&content.impression), "The impression is empty."),
        (blank(&content.findings), "The findings are empty."),
        (
            !facts.priors.is_empty() && blank(&content.comparison),
            "There are priors, and the comparison is empty.",
        ),
        (
            blank(&content.history) && facts.question().is_none(),
            "No clinical question was supplied, and the history is empty.",
        ),
        (!is_final, "PRELIMINARY stands first in the report."),
    ];
    out.extend(
        rest.into_iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, sentence)| sentence.to_owned()),
    );
    out
}
