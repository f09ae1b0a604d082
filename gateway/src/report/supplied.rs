//! What the site has supplied about a case, as it stands in the report: in the section of the history, before the reader's own words.

use causeway_proto::link::message::Facts;
use causeway_proto::report::model::{Section, SectionKind};

use super::Content;
use crate::worklist::{CaseFacts, StudyFacts, interval};

/// The sections of a report: the reader's, and in the history first what the site supplied.
pub(super) fn with_supplied(
    mut sections: Vec<Section>,
    facts: &CaseFacts,
    content: &Content,
) -> Vec<Section> {
    let Some(supplied) = Section::typed(SectionKind::History, &supplied(facts, content)) else {
        return sections;
    };
    match sections
        .iter_mut()
        .find(|section| section.kind == SectionKind::History)
    {
        Some(history) => {
            history.paragraphs.splice(0..0, supplied.paragraphs);
        }
        None => {
            // procedure stands before the history
            let before = |section: &Section| section.kind == SectionKind::Procedure;
            let at = sections.iter().take_while(|one| before(one)).count();
            sections.insert(at, supplied);
        }
    }
    sections
}

fn supplied(facts: &CaseFacts, content: &Content) -> String {
    let mut out = Vec::new();
    let several = facts.studies.len() > 1;
    for one in &facts.studies {
        let Some(context) = &one.context else {
            continue;
        };
        let lines = lines(&context.facts, content);
        if lines.is_empty() {
            continue;
        }
        let of = if several {
            about(facts, one)
        } else {
            String::new()
        };
        out.push(format!(
            "Supplied by the site{}:\n{}",
            of.trim_end(),
            lines.join("\n")
        ));
    }
    out.join("\n\n")
}

/// Which study it is about: by its date, or by where it lies from the first one where dates are shifted.
fn about(facts: &CaseFacts, one: &StudyFacts) -> String {
    let description = &one.study.description;
    if !one.study.has_shifted_dates() {
        return format!(" about the study of {} {description}", one.study.study_date);
    }
    let first = facts.studies.first().map(|first| &first.study);
    let lies = first
        .filter(|first| first.study_uid != one.study.study_uid)
        .and_then(|first| interval(first, &one.study));
    match lies {
        Some(lies) => format!(
            " about the study {} {description}",
            lies.replace("this study", "the first one")
        ),
        None => format!(" about the study {description}"),
    }
}

fn lines(said: &Facts, content: &Content) -> Vec<String> {
    let dated = match (said.renal.as_str(), said.renal_date.as_str()) {
        ("", _) => String::new(),
        (renal, "") => renal.to_owned(),
        (renal, date) => format!("{renal} ({date})"),
    };
    let weight = match said.weight_kg.as_str() {
        "" => String::new(),
        weight => format!("{weight} kg"),
    };
    let call: Vec<&str> = [said.call_role.as_str(), said.call_number.as_str()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    // a reader who keeps the question as his own history says it once
    let repeated = content.history.contains(said.question.as_str());
    let question = if repeated { "" } else { &said.question };
    [
        ("Clinical question", question),
        ("Contrast", &said.contrast),
        ("Renal function", &dated),
        ("Allergy", &said.allergy),
        ("Pregnancy", &said.pregnancy),
        ("Weight", &weight),
        ("To be called", &call.join(", ")),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .map(|(word, text)| format!("{word}: {}", closed(text)))
    .collect()
}

/// Without blank lines, which would end the paragraph.
fn closed(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}
