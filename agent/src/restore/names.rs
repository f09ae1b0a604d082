//! Whether a report's own words name the patient (P33): looked for in what the reader wrote, flagged, never changed.

use causeway_proto::dataset::Dataset;
use causeway_proto::report::sr;
use causeway_proto::text::CharacterSet;
use dicom_dictionary_std::tags;

use super::home::Home;
use crate::protect::{folded, spellings};

/// Shorter parts of a name are words of any language.
const SHORTEST_NAME: usize = 3;
/// Shorter numbers stand in any text.
const SHORTEST_NUMBER: usize = 4;

/// What of the patient stands in the report's text, in words without the text itself; empty when nothing does.
#[must_use]
pub fn named_in(report: &Dataset, patients: &[&Home]) -> Vec<&'static str> {
    let mut words = Vec::new();
    match sr::decode(report) {
        // what the program has added names the author, who may have the patient's name
        Ok(ours) => {
            let written = ours.sections.iter().flat_map(|section| &section.paragraphs);
            written.for_each(|paragraph| take(paragraph.as_str(), &mut words));
        }
        Err(_) => collect(report, &report.character_set(), &mut words),
    }
    let mut found = Vec::new();
    for home in patients {
        let number = |text: &str| {
            let number = joined(text);
            number.len() >= SHORTEST_NUMBER && stands(&words, &number)
        };
        let named = home
            .name
            .reveal()
            .split(['^', '=', ' ', '-'])
            .flat_map(spellings)
            .map(|part| joined(&part))
            .any(|part| part.chars().count() >= SHORTEST_NAME && words.contains(&part));
        let checks = [
            ("name", named),
            ("patient ID", number(home.id.reveal())),
            (
                "accession number",
                home.accessions.iter().any(|one| number(one.reveal())),
            ),
            ("birth date", born(home.birth_date.reveal(), &words)),
        ];
        for (what, there) in checks {
            if there && !found.contains(&what) {
                found.push(what);
            }
        }
    }
    found
}

/// The words of a text, in order, folded as what leaves is: one spelling of a name is found under every other.
fn take(text: &str, words: &mut Vec<String>) {
    let text = folded(text);
    let each = text.split(|c: char| !c.is_alphanumeric());
    words.extend(each.filter(|word| !word.is_empty()).map(str::to_owned));
}

/// The words of every text of a content tree.
fn collect(item: &Dataset, set: &CharacterSet, words: &mut Vec<String>) {
    for child in item.items(tags::CONTENT_SEQUENCE) {
        take(&child.text(tags::TEXT_VALUE, set), words);
        collect(child, set, words);
    }
}

/// Letters and digits only, folded.
fn joined(text: &str) -> String {
    let mut text = folded(text);
    text.retain(char::is_alphanumeric);
    text
}

/// Whether a number stands in the text, also when the text divides it by spaces, hyphens or points.
fn stands(words: &[String], number: &str) -> bool {
    (0..words.len()).any(|start| {
        let mut rest = number;
        for word in words.iter().skip(start) {
            match rest.strip_prefix(word.as_str()) {
                Some("") => return true,
                Some(left) => rest = left,
                None => return false,
            }
        }
        false
    })
}

/// A date of birth written as a date: year, month and day in either order.
fn born(date: &str, words: &[String]) -> bool {
    let (Some(year), Some(month), Some(day)) = (date.get(..4), date.get(4..6), date.get(6..8))
    else {
        return false;
    };
    let short = |text: &str| text.trim_start_matches('0').to_owned();
    let orders = [
        [year.to_owned(), month.to_owned(), day.to_owned()],
        [day.to_owned(), month.to_owned(), year.to_owned()],
        [month.to_owned(), day.to_owned(), year.to_owned()],
        [short(day), short(month), year.to_owned()],
    ];
    words.contains(&date.to_owned())
        || words
            .windows(3)
            .any(|three| orders.iter().any(|order| three == order.as_slice()))
}

#[cfg(test)]
mod tests {
    use causeway_proto::report::model::{Section, SectionKind};

    use super::*;
    use crate::restore::sample::document;

    #[test]
    fn a_text_that_names_the_patient_is_flagged() {
        let check = |text: &str, expect: &[&str]| {
            let mut report = document("1.2.3", "2.25.1");
            report.sections = Section::typed(SectionKind::Findings, text)
                .into_iter()
                .collect();
            let home = Home {
                accessions: vec!["20261234".into()],
                id: "4711-08".into(),
                name: "Papadopoúlou^Anna Maria=山田太郎".into(),
                birth_date: "19600101".into(),
                ..Home::default()
            };
            assert_eq!(named_in(&sr::encode(&report), &[&home]), expect, "{text}");
        };
        for (name, text) in [
            ("Weiß^Jörg", "Herr WEISS"),
            ("Mueller^Anna", "Frau Müller"),
            ("Müller^Anna", "Frau Mueller"),
            ("Sørensen^Bo", "Hr. Soerensen"),
            ("Aagaard^Bo", "Hr. Ågård"),
            ("Παπαδόπουλος^Νίκος", "ο ΠΑΠΑΔΟΠΟΥΛΟΣ"),
            ("Королёв^Сергей", "г-н Королев"),
            ("Nováková^Jana", "pani NOVAKOVA, Jany"),
            ("Dvořák^Jan", "Dvor\u{30c}a\u{301}k"),
        ] {
            let mut report = document("1.2.3", "2.25.1");
            report.sections = Section::typed(SectionKind::Findings, text)
                .into_iter()
                .collect();
            let home = Home {
                name: name.into(),
                ..Home::default()
            };
            assert_eq!(named_in(&sr::encode(&report), &[&home]), ["name"], "{text}");
        }
        check("No haemorrhage in 471108 slices of 2026.", &["patient ID"]);
        check("No haemorrhage.", &[]);
        check("PAPADOPOÚLOU has no haemorrhage.", &["name"]);
        check("山田太郎", &["name"]);
        check("Annals of 1960: 4712.", &[]);
        check("Seen for 4711-08, and for 4711 08.", &["patient ID"]);
        check(
            "Order 20261234, born 1.1.1960.",
            &["accession number", "birth date"],
        );
        check(
            "Born 1960-01-01; born 01/01/1960; 19600101",
            &["birth date"],
        );
    }
}
