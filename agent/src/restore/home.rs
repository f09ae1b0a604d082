//! Who a study belongs to at home, as one source tells it: the PACS, the header as received, or the sealed originals.

use causeway_proto::dataset::Dataset;
use causeway_proto::patient::PatientText;
use causeway_proto::text::CharacterSet;
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use serde::{Deserialize, Serialize};

/// Accession numbers beyond this are not taken.
const MOST_ACCESSIONS: usize = 16;

/// Patient and General Study modules as one source spells them, in Unicode; what it does not say is empty. Printing shows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Home {
    /// (0010,0020).
    pub id: PatientText,
    /// (0010,0021).
    pub issuer: PatientText,
    /// (0010,0010).
    pub name: PatientText,
    /// (0010,0030).
    pub birth_date: PatientText,
    /// (0010,0040).
    pub sex: PatientText,
    /// (0008,0050), of the study and of each request.
    pub accessions: Vec<PatientText>,
    /// (0008,0090).
    pub referrer: PatientText,
    /// (0020,0010).
    pub study_id: PatientText,
    /// (0008,0020).
    pub study_date: PatientText,
    /// (0008,0030).
    pub study_time: PatientText,
    /// (0008,1030).
    pub description: PatientText,
}

impl Home {
    /// What a dataset says. `outer` is its character set when it names none itself.
    #[must_use]
    pub fn of(dataset: &Dataset, outer: &CharacterSet) -> Self {
        let own = dataset.character_set();
        let named = dataset.get(tags::SPECIFIC_CHARACTER_SET).is_some();
        let set = if named { &own } else { outer };
        // leading and trailing spaces say nothing in any of these (PS3.5 6.2)
        let text = |tag: Tag| PatientText::from(dataset.text(tag, set).trim());
        Self {
            id: text(tags::PATIENT_ID),
            issuer: text(tags::ISSUER_OF_PATIENT_ID),
            name: text(tags::PATIENT_NAME),
            birth_date: text(tags::PATIENT_BIRTH_DATE),
            sex: text(tags::PATIENT_SEX),
            accessions: accessions(dataset, set),
            referrer: text(tags::REFERRING_PHYSICIAN_NAME),
            study_id: text(tags::STUDY_ID),
            study_date: text(tags::STUDY_DATE),
            study_time: text(tags::STUDY_TIME),
            description: text(tags::STUDY_DESCRIPTION),
        }
    }

    /// Whether a text has bytes that its character set gives no meaning.
    #[must_use]
    pub fn is_undecodable(&self) -> bool {
        self.texts()
            .any(|text| text.reveal().contains(char::REPLACEMENT_CHARACTER))
    }

    /// Whether both mean one patient: the same ID, and no two different issuers.
    #[must_use]
    pub fn is_same_patient(&self, other: &Self) -> bool {
        let issuers = [&self.issuer, &other.issuer];
        self.id == other.id
            && (issuers.iter().any(|issuer| issuer.is_empty()) || self.issuer == other.issuer)
    }

    /// Takes from another source what this one does not say of the study; of the patient only when both mean the same one. The
    /// issuer is never taken: a PACS that has none may refuse one.
    #[must_use]
    pub fn completed_by(mut self, other: &Self) -> Self {
        let fill = |into: &mut PatientText, from: &PatientText| {
            if into.is_empty() {
                into.clone_from(from);
            }
        };
        if self.is_same_patient(other) {
            fill(&mut self.name, &other.name);
            fill(&mut self.birth_date, &other.birth_date);
            fill(&mut self.sex, &other.sex);
        }
        if self.accessions.is_empty() {
            self.accessions.clone_from(&other.accessions);
        }
        fill(&mut self.referrer, &other.referrer);
        fill(&mut self.study_id, &other.study_id);
        fill(&mut self.study_date, &other.study_date);
        fill(&mut self.study_time, &other.study_time);
        fill(&mut self.description, &other.description);
        self
    }

    /// Adds the accession numbers of the requests that another header names, if it is one of the same study at home.
    #[must_use]
    pub fn with_requests_of(mut self, header: &Self) -> Self {
        let known = |one: &PatientText| header.accessions.contains(one);
        if self.is_same_patient(header) && self.accessions.iter().all(known) {
            for one in &header.accessions {
                if !self.accessions.contains(one) {
                    self.accessions.push(one.clone());
                }
            }
        }
        self
    }

    fn texts(&self) -> impl Iterator<Item = &PatientText> {
        [
            &self.id,
            &self.issuer,
            &self.name,
            &self.birth_date,
            &self.sex,
            &self.referrer,
            &self.study_id,
            &self.study_date,
            &self.study_time,
            &self.description,
        ]
        .into_iter()
        .chain(&self.accessions)
    }
}

/// The study's own, which some PACS write as several values, and those of its requests; each once, in this order.
fn accessions(dataset: &Dataset, set: &CharacterSet) -> Vec<PatientText> {
    let mut found: Vec<PatientText> = Vec::new();
    let requests = [
        tags::REFERENCED_REQUEST_SEQUENCE,
        tags::REQUEST_ATTRIBUTES_SEQUENCE,
    ];
    let items = requests
        .into_iter()
        .flat_map(|sequence| dataset.items(sequence));
    for holder in std::iter::once(dataset).chain(items) {
        for one in holder.text(tags::ACCESSION_NUMBER, set).split('\\') {
            let one = PatientText::from(one.trim());
            if !one.is_empty() && !found.contains(&one) && found.len() < MOST_ACCESSIONS {
                found.push(one);
            }
        }
    }
    found
}
