//! The document that is filed at home when the signed one names other UIDs than the site's (standards.md 5.7): two links instead of one.
//!
//! What a reader signed stays as it is, and is kept. The document of the site says the same under the site's own UIDs, names the signed
//! one as its predecessor, and is signed by the site as its source: never as the reader.

use std::collections::{BTreeSet, HashMap};

use causeway_proto::dataset::{Dataset, Value};
use causeway_proto::ids::{AgreementId, SopInstanceUid, TransferSyntaxUid};
use causeway_proto::report::model::Stamp;
use causeway_proto::report::signature::{self, SignError};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_dictionary_std::uids::EXPLICIT_VR_LITTLE_ENDIAN;

use super::home::Home;
use super::rewrite::{RestoreError, identify, verified};
use crate::keys::{Keys, KeysError, UidPurpose};

/// The standard's own UIDs mean the same everywhere.
const STANDARD: &str = "1.2.840.10008.";
/// UIDs of these have to be known: a reference that leads nowhere is not filed.
const REFERENCES: [Tag; 3] = [
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::REFERENCED_SOP_INSTANCE_UID,
];
/// Where other reports are named: their homes are made as this one's is.
const OF_REPORTS: [Tag; 2] = [
    tags::PREDECESSOR_DOCUMENTS_SEQUENCE,
    tags::IDENTICAL_DOCUMENTS_SEQUENCE,
];

/// Who files it: the site, under an agreement, at a time.
#[derive(Clone, Debug)]
pub struct Filing {
    /// The site's keys.
    pub keys: Keys,
    /// The agreement under which the study left.
    pub agreement: AgreementId,
    /// When the document of the site was made first.
    pub at: Stamp,
    /// What the UIDs in the signed document stand for.
    pub homes: HashMap<String, String>,
}

/// A document of the site.
#[derive(Debug)]
pub struct Rehomed {
    /// The dataset.
    pub bytes: Vec<u8>,
    /// Its syntax.
    pub syntax: TransferSyntaxUid,
    /// Its own UID.
    pub instance: SopInstanceUid,
}

/// What a UID that the gateway gave to a report or its series is at home: always the same.
///
/// # Errors
/// When the agreement's key cannot be used.
pub fn home_uid(keys: &Keys, agreement: &AgreementId, said: &str) -> Result<String, KeysError> {
    keys.uid(agreement, UidPurpose::Home, said)
}

/// Every UID that a document names, each once.
#[must_use]
pub fn uids_of(dataset: &Dataset) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(dataset, &mut found);
    found
}

fn collect(dataset: &Dataset, found: &mut BTreeSet<String>) {
    for (tag, element) in dataset.iter() {
        match &element.value {
            Value::Items(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Bytes(_) if element.vr == VR::UI => {
                let said = dataset.code(tag);
                found.extend(said.split('\\').map(str::to_owned));
            }
            Value::Bytes(_) | Value::Fragments(_) => {}
        }
    }
}

/// The document of the site for a signed one. Blocks: two signatures are verified and one is made.
///
/// # Errors
/// [`RestoreError`]; then nothing may be delivered.
pub fn rehomed(
    report: &[u8],
    syntax: &TransferSyntaxUid,
    home: &Home,
    filing: &Filing,
) -> Result<Rehomed, RestoreError> {
    let signed = Dataset::read(report, syntax)?;
    verified(&signed, "received")?;
    let filing = filing.with_own(&signed)?;
    let mut dataset = filing.renamed(&signed, false)?;
    for gone in [
        tags::MAC_PARAMETERS_SEQUENCE,
        tags::DIGITAL_SIGNATURES_SEQUENCE,
    ] {
        dataset.remove(gone);
    }
    identify(&mut dataset, home)?;
    let mut predecessors = dataset.items(tags::PREDECESSOR_DOCUMENTS_SEQUENCE).to_vec();
    predecessors.push(reference(&signed));
    dataset.put_items(tags::PREDECESSOR_DOCUMENTS_SEQUENCE, predecessors);
    let mut equipment = dataset
        .items(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE)
        .to_vec();
    equipment.push(filing.contribution(&signed));
    dataset.put_items(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, equipment);
    filing.sign(&mut dataset, &signed)?;
    let bytes = dataset.write();
    let Ok(explicit) = EXPLICIT_VR_LITTLE_ENDIAN.parse::<TransferSyntaxUid>() else {
        return Err(RestoreError::OtherDocument);
    };
    let read = Dataset::read(&bytes, &explicit)?;
    let after = signature::verify_source(&read)
        .map_err(|error| RestoreError::Signature("restored", error))?;
    if after.instance.as_str() != dataset.code(tags::SOP_INSTANCE_UID) {
        return Err(RestoreError::OtherDocument);
    }
    Ok(Rehomed {
        bytes,
        syntax: explicit,
        instance: after.instance,
    })
}

impl Filing {
    fn home_uid(&self, said: &str) -> Result<String, RestoreError> {
        Ok(home_uid(&self.keys, &self.agreement, said)?)
    }

    /// With what the document's own UIDs are at home.
    fn with_own(&self, signed: &Dataset) -> Result<Self, RestoreError> {
        let mut all = self.clone();
        for tag in [tags::SOP_INSTANCE_UID, tags::SERIES_INSTANCE_UID] {
            let said = signed.code(tag);
            let home = self.home_uid(&said)?;
            all.homes.insert(said, home);
        }
        Ok(all)
    }

    /// The dataset with home UIDs; `of_report` inside of what names another report.
    fn renamed(&self, dataset: &Dataset, of_report: bool) -> Result<Dataset, RestoreError> {
        let mut out = Dataset::new();
        for (tag, element) in dataset.iter() {
            match &element.value {
                Value::Items(items) => {
                    let inside = of_report || OF_REPORTS.contains(&tag);
                    let items = items.iter().map(|item| self.renamed(item, inside));
                    out.put_items(tag, items.collect::<Result<_, _>>()?);
                }
                Value::Bytes(_) if element.vr == VR::UI => {
                    let said = dataset.code(tag);
                    let homes = said.split('\\').map(|uid| self.home(tag, uid, of_report));
                    let homes: Vec<String> = homes.collect::<Result<_, _>>()?;
                    out.put_text(tag, VR::UI, &homes.join("\\"));
                }
                value => out.put(tag, element.vr, value.clone()),
            }
        }
        Ok(out)
    }

    fn home(&self, tag: Tag, said: &str, of_report: bool) -> Result<String, RestoreError> {
        if let Some(home) = self.homes.get(said) {
            return Ok(home.clone());
        }
        if said.is_empty() || said.starts_with(STANDARD) || !REFERENCES.contains(&tag) {
            return Ok(said.to_owned());
        }
        if of_report && tag != tags::STUDY_INSTANCE_UID {
            return self.home_uid(said);
        }
        Err(RestoreError::Reference)
    }

    /// Says that and from what this document was made, and where the signed one is (PS3.3 C.12.1.1.5).
    fn contribution(&self, signed: &Dataset) -> Dataset {
        let mut code = Dataset::new();
        code.put_text(tags::CODE_VALUE, VR::SH, "109103");
        code.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM");
        code.put_text(tags::CODE_MEANING, VR::LO, "Modifying Equipment");
        let mut item = Dataset::new();
        item.put_items(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![code]);
        item.put_text(tags::MANUFACTURER, VR::LO, "Causeway");
        item.put_text(tags::MANUFACTURER_MODEL_NAME, VR::LO, "Causeway agent");
        item.put_text(tags::SOFTWARE_VERSIONS, VR::LO, env!("CARGO_PKG_VERSION"));
        item.put_text(tags::CONTRIBUTION_DATE_TIME, VR::DT, &self.at.dicom_dt());
        let said = signed.code(tags::SOP_INSTANCE_UID);
        let text = format!(
            "Made by the site from the report that was signed as SOP Instance UID {said}, under the UIDs of the site and the name of \
             its patient; otherwise the same. The signed report is kept at the site, unchanged: causeway-agent reports export \
             --report {said}"
        );
        item.put_text(tags::CONTRIBUTION_DESCRIPTION, VR::ST, &text);
        item
    }

    fn sign(&self, dataset: &mut Dataset, signed: &Dataset) -> Result<(), RestoreError> {
        let certificate = self.keys.signing_certificate()?;
        let said = signed.code(tags::SOP_INSTANCE_UID);
        let uid = self.home_uid(&format!("signature of {said}"))?;
        let key = |message: &[u8]| self.keys.sign(message);
        signature::sign_as_source(dataset, &certificate, &uid, self.at, key).map_err(|error| {
            match error {
                SignError::Key(error) => RestoreError::Keys(error),
                SignError::AlreadySigned | SignError::Missing(_) => RestoreError::OtherDocument,
            }
        })
    }
}

/// The signed document as a predecessor names it (PS3.3 Table C.17-3).
fn reference(signed: &Dataset) -> Dataset {
    let mut instance = Dataset::new();
    let class = signed.code(tags::SOP_CLASS_UID);
    instance.put_text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, &class);
    let uid = signed.code(tags::SOP_INSTANCE_UID);
    instance.put_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, &uid);
    let mut series = Dataset::new();
    let uid = signed.code(tags::SERIES_INSTANCE_UID);
    series.put_text(tags::SERIES_INSTANCE_UID, VR::UI, &uid);
    series.put_items(tags::REFERENCED_SOP_SEQUENCE, vec![instance]);
    let mut study = Dataset::new();
    let uid = signed.code(tags::STUDY_INSTANCE_UID);
    study.put_text(tags::STUDY_INSTANCE_UID, VR::UI, &uid);
    study.put_items(tags::REFERENCED_SERIES_SEQUENCE, vec![series]);
    study
}
