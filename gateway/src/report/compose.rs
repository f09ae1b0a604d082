//! From draft, ground and people to the model of the report: one copy for each study, with the same text.

use causeway_proto::report::coding;
use causeway_proto::report::model::{
    Document, Equipment, Evidence, Headings, Language, Paragraph, Patient, Person, Report, Section,
    Stamp, Standing, Study, Verification,
};
use causeway_proto::report::sr;
use causeway_proto::time::Timestamp;

use super::ground::{Ground, parsed, single};
use super::supplied::with_supplied;
use super::{Content, ReportError};
use crate::worklist::StudyFacts;

/// A report has this series number in its study: far from those of modalities.
const SERIES_NUMBER: u32 = 9_901;

/// What the signer decides.
#[derive(Clone, Debug)]
pub struct Basis<'a> {
    /// The text.
    pub content: &'a Content,
    /// Who wrote it.
    pub author: Person,
    /// Who verifies it; none for a preliminary report.
    pub verifier: Option<Person>,
    /// Why it is signed final although not everything is here.
    pub override_reason: Option<&'a str>,
    /// Why it replaces the last one.
    pub correction: Option<&'a str>,
    /// When it is signed.
    pub at: Timestamp,
}

/// Identifiers of one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// (0020,000E).
    pub series: String,
    /// (0008,0018).
    pub instance: String,
}

impl Ground {
    /// The version that the next report of the case has.
    #[must_use]
    pub fn next_version(&self) -> i64 {
        self.last
            .as_ref()
            .map_or(1, |(last, _)| last.version.saturating_add(1))
    }

    /// When the next report of the case is signed that is signed `now`.
    #[must_use]
    pub fn signed_at(&self, now: Timestamp) -> Timestamp {
        let last = self.last.as_ref();
        last.map_or(now, |(last, _)| last.replaced_at(now))
    }

    /// The report, once for each study of the case, in their order; `copies` names the documents.
    ///
    /// # Errors
    /// When the text is empty or a row cannot be read.
    pub fn compose(&self, basis: &Basis<'_>, copies: &[Copy]) -> Result<Vec<Report>, ReportError> {
        let sections = basis.content.sections()?;
        let sections = with_supplied(sections, &self.facts, basis.content);
        let studies = self.facts.studies.iter().zip(copies).enumerate();
        studies
            .map(|(at, (one, copy))| {
                let mut report = self.common(basis, &sections, one, copy)?;
                report.requests = self.requests.get(at).cloned().unwrap_or_default();
                report.protection = self.protection.get(at).cloned().flatten();
                report.identical = self.identical(at, copies)?;
                Ok(report)
            })
            .collect()
    }

    fn common(
        &self,
        basis: &Basis<'_>,
        sections: &[Section],
        one: &StudyFacts,
        copy: &Copy,
    ) -> Result<Report, ReportError> {
        let stamp = self.stamp(basis.at);
        let series = self.facts.studies.iter().flat_map(|s| &s.series);
        let read = series.filter(|s| s.is_evidence());
        let compared = !basis.content.comparison.trim().is_empty();
        let standing = match &basis.verifier {
            None => Standing::Preliminary,
            Some(person) => Standing::Final(Verification {
                person: person.clone(),
                at: stamp,
            }),
        };
        Ok(Report {
            document: Document {
                study: parsed(&one.study.study_uid, "study")?,
                series: parsed(&copy.series, "series")?,
                instance: parsed(&copy.instance, "instance")?,
                series_number: SERIES_NUMBER,
                instance_number: u32::try_from(self.next_version()).unwrap_or(u32::MAX),
            },
            title: coding::title(read.map(|s| s.modality.as_str())),
            language: self.language(basis.content)?,
            headings: match self.facts.site.legacy_headings {
                0 => Headings::Loinc,
                _ => Headings::Legacy,
            },
            standing,
            procedure: None,
            notices: self.notices(basis),
            sections: sections.to_vec(),
            author: basis.author.clone(),
            observed_at: stamp,
            patient: patient(one),
            protection: None,
            study: study(one),
            requests: Vec::new(),
            evidence: filled(&self.evidence),
            other_evidence: if compared {
                filled(&self.priors)
            } else {
                Vec::new()
            },
            predecessors: self.predecessors(one),
            identical: Vec::new(),
            equipment: Equipment::causeway(env!("CARGO_PKG_VERSION")),
        })
    }

    fn stamp(&self, at: Timestamp) -> Stamp {
        let zone = jiff::tz::TimeZone::get(&self.facts.site.time_zone);
        let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
        let minutes = zone.to_offset(at.calendar()).seconds() / 60;
        Stamp::new(at, i16::try_from(minutes).unwrap_or(0))
    }

    fn language(&self, content: &Content) -> Result<Language, ReportError> {
        if content.language.is_empty() {
            parsed(&self.facts.site.language, "the site's language")
        } else {
            parsed(&content.language, "language")
        }
    }

    /// Sentences that stand before everything else (P1, P2, P9, P13).
    fn notices(&self, basis: &Basis<'_>) -> Vec<Paragraph> {
        let mut out = Vec::new();
        if let (Some(reason), Some((last, _))) = (basis.correction, &self.last) {
            let (version, at) = (last.version, last.at());
            out.push(format!("Replaces version {version} signed {at}: {reason}"));
        }
        if !self.facts.complete() {
            let here: i64 = self.facts.studies.iter().map(StudyFacts::here).sum();
            out.push(format!(
                "Reported on {here} instances while images were still arriving."
            ));
        }
        if let Some(reason) = basis.override_reason {
            out.push(format!(
                "Signed as final before the site declared the study complete: {reason}"
            ));
        }
        for group in self.facts.studies.iter().flat_map(|s| &s.withheld) {
            out.push(format!(
                "Withheld at the site and not seen: {} × {} ({}).",
                group.count, group.modality, group.reason
            ));
        }
        let remarks: Vec<String> = self
            .facts
            .studies
            .iter()
            .flat_map(|s| s.study.remarks())
            .collect();
        if !remarks.is_empty() {
            out.push(format!("The images as read: {}.", remarks.join("; ")));
        }
        if !self.facts.established() {
            out.push("Identity not established at the site.".to_owned());
        }
        if basis.content.history.trim().is_empty() && self.facts.question().is_none() {
            out.push("No clinical question supplied.".to_owned());
        }
        out.iter().map(|text| Paragraph::joined(text)).collect()
    }

    fn predecessors(&self, one: &StudyFacts) -> Vec<Evidence> {
        let Some((_, documents)) = &self.last else {
            return Vec::new();
        };
        documents
            .iter()
            .filter(|d| d.study.as_str() == one.study.study_uid)
            .cloned()
            .collect()
    }

    fn identical(&self, own: usize, copies: &[Copy]) -> Result<Vec<Evidence>, ReportError> {
        let studies = self.facts.studies.iter().zip(copies).enumerate();
        studies
            .filter(|(at, _)| *at != own)
            .map(|(_, (one, copy))| {
                single(
                    &one.study.study_uid,
                    &copy.series,
                    sr::SOP_CLASS,
                    &copy.instance,
                )
            })
            .collect()
    }
}

fn patient(one: &StudyFacts) -> Patient {
    Patient {
        name: one.study.patient_name.as_str().into(),
        id: one.study.patient_id.as_str().into(),
        issuer: one.study.patient_issuer.as_str().into(),
        birth_date: one.study.birth_date.as_str().into(),
        sex: one.study.sex.as_str().into(),
    }
}

fn study(one: &StudyFacts) -> Study {
    Study {
        date: one.study.study_date.as_str().into(),
        time: one.study.study_time.as_str().into(),
        id: one.study.study_id.as_str().into(),
        accession: one.study.accession.as_str().into(),
        referrer: one.study.referrer.as_str().into(),
        description: one.study.description.as_str().into(),
    }
}

/// Studies that have something to refer to.
fn filled(all: &[Evidence]) -> Vec<Evidence> {
    all.iter()
        .filter(|e| !e.series.is_empty())
        .cloned()
        .collect()
}
