//! The tables of PS3.16 that a report needs. They stay tables.

use super::model::{Code, Headings, Language, Role, SectionKind};

/// A concept of a table: value, scheme, meaning.
pub type Concept = (&'static str, &'static str, &'static str);

/// TID 2000 row 1, CID 7000: the generic title; what is not better known has this one.
pub const IMAGING_REPORT: Concept = ("18748-4", "LN", "Diagnostic Imaging Report");
/// TID 2000 row 2.
pub const PROCEDURE_REPORTED: Concept = ("121058", "DCM", "Procedure reported");
/// TID 1204.
pub const LANGUAGE: Concept = ("121049", "DCM", "Language of Content Item and Descendants");
/// TID 1002 row 1.
pub const OBSERVER_TYPE: Concept = ("121005", "DCM", "Observer Type");
/// CID 270.
pub const PERSON: Concept = ("121006", "DCM", "Person");
/// TID 1003 row 1.
pub const OBSERVER_NAME: Concept = ("121008", "DCM", "Person Observer Name");
/// TID 1003 row 2.
pub const OBSERVER_ORGANISATION: Concept = ("121009", "DCM", "Person Observer's Organization Name");
/// TID 1003 row 3.
pub const OBSERVER_ROLE: Concept = (
    "121010",
    "DCM",
    "Person Observer's Role in the Organization",
);
/// TID 1003: the registration of the physician.
pub const OBSERVER_IDENTIFIER: Concept =
    ("128775", "DCM", "Identifier within Person Observer's Role");
/// CID 7001 and, with the same meaning, CID 7002: what stands before and after the sections.
pub const SUMMARY_ELEMENT: Concept = ("121111", "DCM", "Summary");

/// CID 7000 titles by modality, for a study of one modality; the generic one for all others.
pub const TITLES: [(&str, Concept); 10] = [
    ("CT", ("18747-6", "LN", "CT Report")),
    ("MR", ("18755-9", "LN", "MRI Report")),
    ("US", ("18760-9", "LN", "Ultrasound Report")),
    ("NM", ("18757-5", "LN", "Nuclear Medicine Report")),
    ("PT", ("18758-3", "LN", "PET Scan Report")),
    ("CR", ("18782-3", "LN", "X-Ray Report")),
    ("DX", ("18782-3", "LN", "X-Ray Report")),
    ("RF", ("18782-3", "LN", "X-Ray Report")),
    ("XA", ("18782-3", "LN", "X-Ray Report")),
    ("RG", ("18782-3", "LN", "X-Ray Report")),
];

/// The title for studies of these modalities.
#[must_use]
pub fn title<'a>(modalities: impl IntoIterator<Item = &'a str>) -> Code {
    let mut found: Vec<Concept> = modalities
        .into_iter()
        .filter(|modality| !matches!(*modality, "SR" | "PR" | "KO" | "DOC" | "OT" | "SC"))
        .map(|modality| {
            TITLES
                .iter()
                .find(|(known, _)| *known == modality)
                .map_or(IMAGING_REPORT, |(_, title)| *title)
        })
        .collect();
    found.dedup();
    match found.as_slice() {
        [one] => code(*one),
        _ => code(IMAGING_REPORT),
    }
}

/// CID 7001 in both styles and CID 7002: heading in LOINC, heading in DCM, element.
#[must_use]
pub fn section(kind: SectionKind) -> (Concept, Concept, Concept) {
    match kind {
        SectionKind::Procedure => (
            ("55111-9", "LN", "Current Procedure Descriptions"),
            ("121064", "DCM", "Current Procedure Descriptions"),
            ("121065", "DCM", "Procedure Description"),
        ),
        SectionKind::History => (
            ("11329-0", "LN", "History"),
            ("121060", "DCM", "History"),
            ("121060", "DCM", "History"),
        ),
        SectionKind::Comparison => (
            ("18834-2", "LN", "Previous Findings"),
            ("121068", "DCM", "Previous Findings"),
            ("121069", "DCM", "Previous Finding"),
        ),
        SectionKind::Findings => (
            ("59776-5", "LN", "Findings"),
            ("121070", "DCM", "Findings"),
            ("121071", "DCM", "Finding"),
        ),
        SectionKind::Impression => (
            ("19005-8", "LN", "Impressions"),
            ("121072", "DCM", "Impressions"),
            ("121073", "DCM", "Impression"),
        ),
        SectionKind::Recommendation => (
            ("18783-1", "LN", "Recommendations"),
            ("121074", "DCM", "Recommendations"),
            ("121075", "DCM", "Recommendation"),
        ),
    }
}

/// Every kind of section, in the usual order.
pub const SECTIONS: [SectionKind; 6] = [
    SectionKind::Procedure,
    SectionKind::History,
    SectionKind::Comparison,
    SectionKind::Findings,
    SectionKind::Impression,
    SectionKind::Recommendation,
];

/// The heading of a section in a style.
#[must_use]
pub fn heading(kind: SectionKind, style: Headings) -> Concept {
    let (loinc, legacy, _) = section(kind);
    match style {
        Headings::Loinc => loinc,
        Headings::Legacy => legacy,
    }
}

/// The section that a heading of either style begins.
#[must_use]
pub fn section_of(value: &str, scheme: &str) -> Option<(SectionKind, Headings)> {
    SECTIONS.into_iter().find_map(|kind| {
        let (loinc, legacy, _) = section(kind);
        match (value, scheme) {
            pair if pair == (loinc.0, loinc.1) => Some((kind, Headings::Loinc)),
            pair if pair == (legacy.0, legacy.1) => Some((kind, Headings::Legacy)),
            _ => None,
        }
    })
}

/// CID 7001: the heading of the notices and of the closing.
#[must_use]
pub fn summary(style: Headings) -> Concept {
    match style {
        Headings::Loinc => ("55112-7", "LN", "Summary"),
        Headings::Legacy => SUMMARY_ELEMENT,
    }
}

/// CID 7452.
#[must_use]
pub fn role(role: Role) -> Concept {
    match role {
        Role::Physician => ("121081", "DCM", "Physician"),
        Role::Consultant => ("121089", "DCM", "Attending [Consultant]"),
        Role::Fellow => ("121088", "DCM", "Fellow"),
        Role::Registrar => ("121087", "DCM", "Registrar"),
        Role::Resident => ("121086", "DCM", "Resident"),
    }
}

/// The role of a code of CID 7452.
#[must_use]
pub fn role_of(value: &str) -> Option<Role> {
    [
        Role::Physician,
        Role::Consultant,
        Role::Fellow,
        Role::Registrar,
        Role::Resident,
    ]
    .into_iter()
    .find(|known| role(*known).0 == value)
}

/// CID 5000: the languages of the European Union and their neighbours; a tag that is not here is its own meaning.
const LANGUAGES: [(&str, &str); 40] = [
    ("ar", "Arabic"),
    ("be", "Belarusian"),
    ("bg", "Bulgarian"),
    ("bs", "Bosnian"),
    ("ca", "Catalan"),
    ("cs", "Czech"),
    ("da", "Danish"),
    ("de", "German"),
    ("el", "Greek, Modern (1453-)"),
    ("en", "English"),
    ("es", "Spanish"),
    ("et", "Estonian"),
    ("eu", "Basque"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("ga", "Irish"),
    ("he", "Hebrew"),
    ("hr", "Croatian"),
    ("hu", "Hungarian"),
    ("is", "Icelandic"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("lt", "Lithuanian"),
    ("lv", "Latvian"),
    ("mk", "Macedonian"),
    ("mt", "Maltese"),
    ("nb", "Norwegian Bokmål"),
    ("nl", "Dutch"),
    ("no", "Norwegian"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("sk", "Slovak"),
    ("sl", "Slovenian"),
    ("sq", "Albanian"),
    ("sr", "Serbian"),
    ("sv", "Swedish"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
];

/// The code of a language, TID 1204. A region is kept in the value and added to the meaning.
#[must_use]
pub fn language(language: &Language) -> Code {
    let tag = language.as_str();
    let (primary, region) = tag.split_once('-').unwrap_or((tag, ""));
    let known = LANGUAGES.iter().find(|(known, _)| *known == primary);
    match (known, region) {
        (None, _) => Code::new(tag, "RFC5646", tag),
        (Some((_, meaning)), "") => Code::new(tag, "RFC5646", meaning),
        (Some((_, meaning)), region) => Code::new(tag, "RFC5646", &format!("{meaning} ({region})")),
    }
}

/// A concept of a table as a code.
#[must_use]
pub fn code((value, scheme, meaning): Concept) -> Code {
    Code::new(value, scheme, meaning)
}

/// Purposes of digital signatures (PS3.3 C.12.1.1.3.1.2, ASTM E2084).
pub const AUTHOR_SIGNATURE: Concept = ("1", "ASTM-sigpurpose", "Author's Signature");
/// As [`AUTHOR_SIGNATURE`].
pub const VERIFICATION_SIGNATURE: Concept = ("5", "ASTM-sigpurpose", "Verification Signature");
/// As [`AUTHOR_SIGNATURE`]: of a house that passes a document on, and of nobody who answers for what it says.
pub const SOURCE_SIGNATURE: Concept = ("14", "ASTM-sigpurpose", "Source Signature");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_modality_gives_its_title_and_several_the_generic_one() {
        assert_eq!(title(["CT", "SR", "CT", "PR"]).meaning, "CT Report");
        assert_eq!(title(["CR", "DX"]).meaning, "X-Ray Report");
        assert_eq!(title(["CT", "PT"]).value, "18748-4");
        assert_eq!(title(["CT", "US", "CT"]).value, "18748-4");
        assert_eq!(title(["ECG"]).value, "18748-4");
        assert_eq!(title([]).value, "18748-4");
    }

    #[test]
    fn headings_are_told_apart_in_both_styles() {
        for kind in SECTIONS {
            for style in [Headings::Loinc, Headings::Legacy] {
                let (value, scheme, _) = heading(kind, style);
                assert_eq!(section_of(value, scheme), Some((kind, style)));
            }
        }
        assert_eq!(section_of("121070", "LN"), None);
    }

    #[test]
    fn languages_keep_their_region() {
        let told = |tag: &str| language(&tag.parse().unwrap()).meaning;
        assert_eq!(told("pt-BR"), "Portuguese (BR)");
        assert_eq!(told("de"), "German");
        assert_eq!(told("tlh"), "tlh");
    }
}
